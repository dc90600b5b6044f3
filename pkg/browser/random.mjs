// Makes values that nobody can guess.

/** It fits the alphabet and the length of an Idempotency-Key. */
export const random = () => crypto.getRandomValues(new Uint32Array(5)).join("-");
