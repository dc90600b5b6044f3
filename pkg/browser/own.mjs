// Reads and writes objects without the members that a polluted Object.prototype would add.

/**
 * A copy of an object's own members, without a prototype. It is empty without an object.
 *
 * @template {object} T
 * @overload
 * @param {T} value
 * @returns {T}
 */
/**
 * @template {object} T
 * @overload
 * @param {T | null | undefined} value
 * @returns {Partial<T>}
 */
/** @param {object | null | undefined} value */
export function own(value) {
  return { __proto__: null, ...value };
}

/**
 * JSON of a value, without any toJSON that all objects or arrays would inherit.
 *
 * @param {object | undefined} value
 * @returns {string}
 */
export function json(value) {
  return JSON.stringify(value, /** @this {any} */ function (name) {
    return this[name];
  });
}
