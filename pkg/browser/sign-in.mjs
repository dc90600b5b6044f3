// Begins a session through Pi's SDK or with an access token, or goes on with one that this browser
// has.

/** @import { BrowserSession, PiOptions, PiSdk, SessionOptions, TokenOptions } from "pioneer-session/browser" */

import { read } from "./options.mjs";
import { own } from "./own.mjs";
import { open } from "./session.mjs";

/** @type {Map<string, Promise<BrowserSession>>} */
const signingIn = new Map(); // by issuer, and by the access token if the page has one

/**
 * Begins a sign-in, or shares the one with this name that is under way.
 *
 * @param {string} name
 * @param {() => Promise<BrowserSession>} begin
 */
function once(name, begin) {
  if (!signingIn.has(name)) signingIn.set(name, begin().finally(() => signingIn.delete(name)));
  return /** @type {Promise<BrowserSession>} */ (signingIn.get(name));
}

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
  return once(settings.issuer, () => open(settings).authenticate());
}

/**
 * Signs in with an access token that the page has from its own call of `Pi.authenticate`.
 *
 * @param {string} accessToken
 * @param {SessionOptions & PiOptions & TokenOptions} options
 * @returns {Promise<BrowserSession>}
 */
export async function signInWithToken(accessToken, options) {
  const settings = read(own({ ...options, Pi: undefined }));
  return once(`${settings.issuer} ${accessToken}`, () => open(settings).enter(accessToken, settings.scopes));
}

/**
 * The session that a reload left in `storage` or in the cookie; null if there is none.
 *
 * @param {SessionOptions & PiOptions & TokenOptions & { Pi?: PiSdk }} options
 */
export const resume = async (options) => open(read(options)).restore();
