// Pi's SDK. Its promises may hang, or be settled when nobody waits any more.

/** @import { PiSdk } from "pioneer-session/browser" */

/**
 * A call of Pi.authenticate, with the unfinished payments that Pi has reported. The takers get the
 * payments that Pi reports later.
 *
 * @typedef {object} Asking
 * @property {PiSdk} Pi
 * @property {readonly string[]} scopes
 * @property {any[]} payments
 * @property {Set<(payment: any) => void>} takers
 * @property {ReturnType<PiSdk["authenticate"]>} answer
 * @property {{ accessToken: unknown }} result once Pi has answered
 */

import { SignInError } from "./errors.mjs";
import { own } from "./own.mjs";
import { within } from "./wait.mjs";

const MAX_SDK_TEXT = 200; // characters: a sentence

/** @type {Asking | undefined} */
let asking; // the call of Pi.authenticate whose answer is still awaited. Two open ones would both hang.

/**
 * The SDK's own text, without anything that looks like a token.
 *
 * @param {any} cause
 */
const wordsOf = (cause) => String((cause && cause.message) || cause).replace(/[\w.~+/=-]{24,}/g, "…").slice(0, MAX_SDK_TEXT);

/**
 * Asks Pi for the user, or shares the call that is open.
 *
 * @param {PiSdk | undefined} Pi
 * @param {readonly string[]} scopes
 * @param {number} ms
 */
export async function askPi(Pi, scopes, ms) {
  if (!Pi || typeof Pi.authenticate !== "function") throw new SignInError("pi_unavailable");
  /** @type {<T>(promise: Promise<T>) => Promise<T>} */
  const wait = (promise) => within(ms, "pi_unavailable", () => promise);
  /** @type {(open: Asking) => unknown} */
  const forget = (open) => asking === open && (asking = undefined);
  while (asking && !(asking.Pi === Pi && scopes.every((scope) => /** @type {Asking} */ (asking).scopes.includes(scope)))) {
    const other = asking;
    await wait(other.answer.catch(() => {}));
    forget(other);
  }
  if (!asking) {
    /** @type {Asking} */
    const open = /** @type {any} */ ({ Pi, scopes, payments: [], takers: new Set() });
    const found = (/** @type {any} */ payment) => {
      open.payments.push(payment);
      for (const take of open.takers) take(payment);
    };
    open.answer = new Promise((done) => done(Pi.authenticate(scopes, found)));
    open.answer.catch(() => forget(open));
    asking = open;
  }
  const open = asking;
  try {
    open.result = own(await wait(open.answer));
    forget(open);
    return open;
  } catch (cause) {
    if (cause instanceof SignInError) throw cause;
    const words = wordsOf(cause);
    if (/cancel|denied|declined/i.test(words)) throw new SignInError("cancelled", "", cause);
    throw new SignInError("pi_failed", "", cause, words);
  }
}
