// Reads only the members that a caller passed: a polluted Object.prototype must not add options.

/**
 * A copy of an object's own members, without a prototype.
 *
 * @template {object | null | undefined} T
 * @param {T} value
 * @returns {T}
 */
export const own = (value) => ({ __proto__: null, ...value });

/**
 * The JSON of a value, without any toJSON that all objects or arrays would inherit.
 *
 * @param {unknown} value
 * @returns {string}
 */
export function toJson(value) {
  if (!("toJSON" in Array.prototype)) return JSON.stringify(value);
  return JSON.stringify(value, /** @this {any} */ function (name) {
    return this[name];
  });
}
