// Reads the members that a caller passed, and no others: a polluted Object.prototype must add no options.

/** A copy of an object's own members, without a prototype. */
export const own = (value) => ({ __proto__: null, ...value });

/** JSON of a value, without any toJSON that all objects or arrays would inherit. */
export function toJson(value) {
  if (!("toJSON" in Array.prototype)) return JSON.stringify(value);
  return JSON.stringify(value, function (name) {
    return this[name];
  });
}
