// Reads and writes objects without the members that a polluted Object.prototype would add.

/** A copy of an object's own members. */
export function own(value) {
  return { __proto__: null, ...value };
}

/** JSON of a value, without any toJSON that all objects or arrays would inherit. */
export function json(value) {
  return JSON.stringify(value, function (name) {
    return this[name];
  });
}
