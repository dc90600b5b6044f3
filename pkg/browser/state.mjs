// The state of a session: makes it from the issuer's answer, checks it, and compares two states.

/** @import { User } from "pioneer-session/browser" */

/**
 * The state of a session, as a page keeps it. `chain` names the session, `jkt` its key, and
 * `renewal` the renewal that is under way. Times are in milliseconds. `until` and `due` are in the
 * issuer's time, and `skew` is its difference to ours. With the cookie, there are no tokens.
 *
 * @typedef {object} State
 * @property {number} v
 * @property {string} chain
 * @property {string} [jkt]
 * @property {number} count
 * @property {string} [token]
 * @property {string} [refreshToken]
 * @property {number} until
 * @property {number} due
 * @property {number} skew
 * @property {User} user
 * @property {string} [renewal]
 */

import { SignInError } from "./errors.mjs";
import { own } from "./own.mjs";

const VERSION = 1; // of the state in storage: another version is not read
const MARGIN_MS = 60_000; // renewed so long before it expires: two tries on a slow network, and a request after them

/**
 * The state after an answer. With the cookie, no script keeps a token.
 *
 * @param {any} answer
 * @param {{ chain: string, jkt?: string, count?: number }} before
 * @param {boolean} cookie
 * @returns {State}
 */
export function stateOf(answer, before, cookie) {
  const { sessionToken, refreshToken, expiresIn, expiresAt, user } = own(answer);
  if (typeof sessionToken !== "string" || !(expiresIn > 0) || !user) throw new SignInError("invalid_answer");
  const { chain, jkt, count = 0 } = before;
  // This machine's clock may be wrong, so expiry is kept in the issuer's time, with the difference
  // to ours.
  const until = Date.parse(expiresAt) || Date.now() + expiresIn * 1000;
  const skew = until - expiresIn * 1000 - Date.now();
  const due = until - Math.min(MARGIN_MS, expiresIn * 500);
  const tokens = !cookie && { token: sessionToken, refreshToken };
  return own({ v: VERSION, chain, jkt, count: count + 1, ...tokens, until, due, skew, user: own(user) });
}

/**
 * Checks a state that something else has written: another page of this origin, another version, or
 * a person.
 *
 * @param {any} value
 * @param {boolean} cookie
 * @returns {State | undefined}
 */
export function sound(value, cookie) {
  const state = own(value);
  const user = own(state.user);
  const isWhole = [user.uid, ...(cookie ? [] : [state.token, state.refreshToken])].every((text) => typeof text === "string");
  return state.v === VERSION && state.until > 0 && Number.isFinite(state.skew) && isWhole ? own({ ...state, user }) : undefined;
}

/**
 * Compares two states of one session by the issuer's time, and within one second by the count of
 * renewals. Without a key the count goes first: times may go back when the issuer's SESSION_TTL is
 * lowered.
 *
 * @param {State} one
 * @param {State} other
 */
export function isNewer(one, other) {
  const [time, count] = [one.until - other.until, one.count - other.count];
  return (one.jkt ? time || count : count || time) > 0;
}
