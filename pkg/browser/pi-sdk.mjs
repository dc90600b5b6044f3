// Pi's SDK. Its promises may hang, or be settled when nobody waits any more.

import { SignInError } from "./errors.mjs";
import { own } from "./own.mjs";
import { within } from "./wait.mjs";

const MAX_SDK_TEXT = 200; // characters: a sentence

let asking; // the call of Pi.authenticate whose answer is still awaited. Two open ones would both hang.

/** The SDK's own text, without anything that looks like a token. */
const wordsOf = (cause) => String((cause && cause.message) || cause).replace(/[\w.~+/=-]{24,}/g, "…").slice(0, MAX_SDK_TEXT);

/** Asks Pi for the user, or shares the call that is open. */
export async function askPi(Pi, scopes, ms) {
  if (!Pi || typeof Pi.authenticate !== "function") throw new SignInError("pi_unavailable");
  const wait = (promise) => within(ms, "pi_unavailable", () => promise);
  const forget = (open) => asking === open && (asking = undefined);
  while (asking && !(asking.Pi === Pi && scopes.every((scope) => asking.scopes.includes(scope)))) {
    const other = asking;
    await wait(other.answer.catch(() => {}));
    forget(other);
  }
  if (!asking) {
    const open = { Pi, scopes, payments: [], takers: new Set() };
    const found = (payment) => {
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
    throw new SignInError("pi_failed", `Pi could not sign you in: ${words}`, cause);
  }
}
