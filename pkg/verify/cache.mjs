// Verified tokens, so that one that comes again is not verified again. What can change is checked at each hit.

/** A bounded memory, by the whole token: nothing shorter tells two tokens apart. */
export class Cache {
  #max;
  #entries = new Map();

  constructor(max) {
    this.#max = max;
  }

  /** The claims that this token was found to have, unless it has expired since, or is from what is now the future. */
  get(token, now, clockTolerance) {
    const claims = this.#entries.get(token);
    if (claims === undefined) return undefined;
    if (now < claims.exp + clockTolerance && claims.iat <= now + clockTolerance && !(claims.nbf > now + clockTolerance)) return claims;
    this.#entries.delete(token);
    return undefined;
  }

  set(token, claims) {
    // The oldest makes way. Tokens live for minutes, so there is little to gain from keeping the most used.
    if (this.#entries.size >= this.#max) this.#entries.delete(this.#entries.keys().next().value);
    this.#entries.set(token, deepFreeze(claims));
  }

  /** Keys or the feed have changed: what was found by the old ones counts no more. */
  clear() {
    this.#entries.clear();
  }
}

/** One caller's change must not be the next one's session. */
function deepFreeze(value) {
  if (value !== null && typeof value === "object") {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}
