// Begins a session through Pi's SDK, or goes on with one that this browser has.

/** @import { BrowserSession, PiOptions, PiSdk, SessionOptions } from "pioneer-session/browser" */

import { read } from "./options.mjs";
import { own } from "./own.mjs";
import { open } from "./session.mjs";

/** @type {Map<string, Promise<BrowserSession>>} */
const signingIn = new Map(); // by issuer

/**
 * Signs in through Pi's SDK, after `Pi.init`. A second call, as by a double click, returns the same
 * session.
 *
 * @param {PiSdk | undefined} Pi
 * @param {SessionOptions & PiOptions} options
 * @returns {Promise<BrowserSession>}
 */
export async function signIn(Pi, options) {
  const settings = read(own({ ...options, Pi }));
  const { issuer } = settings;
  if (!signingIn.has(issuer)) {
    signingIn.set(issuer, open(settings).authenticate().finally(() => signingIn.delete(issuer)));
  }
  return /** @type {Promise<BrowserSession>} */ (signingIn.get(issuer));
}

/**
 * The session that a reload left in `storage` or in the cookie; null if there is none.
 *
 * @param {SessionOptions & PiOptions & { Pi?: PiSdk }} options
 */
export const resume = async (options) => open(read(options)).restore();
