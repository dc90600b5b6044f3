// Remembers verified tokens, so that a token is not verified again. Each hit checks everything that
// can change.

/** @import { SessionClaims } from "pioneer-session" */

/**
 * A bounded memory. Its key is the whole token, because anything shorter may be the same for two
 * tokens.
 */
export class Cache {
  #max;
  /** @type {Map<string, SessionClaims>} */
  #entries = new Map();

  /** @param {number} max */
  constructor(max) {
    this.#max = max;
  }

  /**
   * The claims of a token that was verified earlier, unless it has expired since, or the clock was
   * set back to before it was issued.
   *
   * @param {string} token
   * @param {number} now
   * @param {number} clockTolerance
   */
  get(token, now, clockTolerance) {
    const claims = this.#entries.get(token);
    if (claims === undefined) return undefined;
    const { exp, iat, nbf } = /** @type {SessionClaims & { nbf?: number }} */ (claims);
    // Without nbf, the comparison is false.
    const isEarly = iat > now + clockTolerance || /** @type {number} */ (nbf) > now + clockTolerance;
    if (now < exp + clockTolerance && !isEarly) return claims;
    this.#entries.delete(token);
    return undefined;
  }

  /**
   * @param {string} token
   * @param {SessionClaims} claims
   */
  set(token, claims) {
    // The oldest entry goes first. Tokens live for minutes, so keeping the most used ones would
    // gain little.
    if (this.#entries.size >= this.#max) this.#entries.delete(/** @type {string} */ (this.#entries.keys().next().value));
    this.#entries.set(token, deepFreeze(claims));
  }

  /** Forgets all tokens, because the keys or the feed have changed. */
  clear() {
    this.#entries.clear();
  }
}

/**
 * Freezes claims that several callers get, so that none can change the session of another.
 *
 * @template T
 * @param {T} value
 * @returns {T}
 */
function deepFreeze(value) {
  if (value !== null && typeof value === "object") {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}
