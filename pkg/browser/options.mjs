// Reads the options of a session, and refuses those that would send credentials in the clear.

/** @import { PiOptions, PiSdk, SessionOptions, TokenOptions } from "pioneer-session/browser" */

/** @typedef {"onSignedOut" | "onReplaced" | "onRecovered"} Listener a function of the page */

/**
 * Calls a function of the page with the news, if the page has passed that function.
 *
 * @typedef {(name: Listener, ...news: any[]) => void} Tell
 */

/**
 * Checked options. `origins` has the issuer too.
 *
 * @typedef {object} Settings
 * @property {PiSdk | undefined} Pi
 * @property {string} issuer
 * @property {Set<string>} origins
 * @property {readonly string[]} scopes
 * @property {boolean} cookie
 * @property {SessionOptions["storage"]} storage
 * @property {number} piTimeout
 * @property {PiOptions["onIncompletePaymentFound"]} [onIncompletePaymentFound]
 * @property {(...news: any[]) => void} [onSignedOut]
 * @property {(...news: any[]) => void} [onReplaced]
 * @property {(...news: any[]) => void} [onRecovered]
 */

import { isSecure } from "../verify/secure.mjs";
import { own } from "./own.mjs";

const PI_TIMEOUT_MS = 30_000; // Pi's SDK has been seen to take twenty seconds without showing anything

/**
 * The URL, if credentials may go there.
 *
 * @param {string} text
 */
export function secure(text) {
  const url = new URL(text);
  if (isSecure(url)) return url;
  throw new TypeError("issuer, origins and authorizeUrl must be https, or http on this machine");
}

/**
 * Pi's SDK for a page that calls `Pi.authenticate` itself: two calls at a time would both hang.
 *
 * @param {NonNullable<TokenOptions["getAccessToken"]>} getAccessToken
 * @returns {PiSdk}
 */
const callingFor = (getAccessToken) => ({
  authenticate: async (scopes, found) => ({ accessToken: await getAccessToken(scopes, found) }),
});

/**
 * @param {SessionOptions & PiOptions & TokenOptions & { Pi?: PiSdk }} options
 * @returns {Settings}
 */
export function read(options) {
  const { Pi, getAccessToken, issuer, origins = [], scopes = ["username"], cookie = false, storage, piTimeout = PI_TIMEOUT_MS, ...others } = own(options);
  if (cookie && (storage || origins.length > 0)) {
    throw new TypeError("cookie excludes storage and origins");
  }
  const [home, ...backends] = /** @type {[string, ...string[]]} */ ([issuer, ...origins].map((text) => secure(text).origin));
  return own({ ...others, Pi: getAccessToken ? callingFor(getAccessToken) : Pi, issuer: home, origins: new Set([home, ...backends]), scopes, cookie, storage, piTimeout });
}
