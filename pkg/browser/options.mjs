// Reads the options of a session, and refuses those that would send credentials in the clear.

/** @import { PiOptions, PiSdk, SessionOptions } from "pioneer-session/browser" */

/**
 * Calls one of the page's functions, if the page has passed it. It gets the rest of the arguments.
 *
 * @typedef {"onSignedOut" | "onReplaced" | "onRecovered"} Listener
 * @typedef {(name: Listener, ...news: any[]) => void} Tell
 */

/**
 * Checked options. `origins` has the issuer too.
 *
 * @typedef {object} Checked
 * @property {PiSdk | undefined} Pi
 * @property {string} issuer
 * @property {Set<string>} origins
 * @property {readonly string[]} scopes
 * @property {boolean} cookie
 * @property {SessionOptions["storage"]} storage
 * @property {number} piTimeout
 * @property {PiOptions["onIncompletePaymentFound"]} [onIncompletePaymentFound]
 *
 * @typedef {Checked & Partial<Record<Listener, (...news: any[]) => void>>} Settings
 */

import { own } from "./own.mjs";

const PI_TIMEOUT_MS = 30_000; // Pi's SDK has been seen to take twenty seconds without showing anything

/**
 * The URL, if credentials may go there: https, or http on this machine.
 *
 * @param {string} text
 */
export function secure(text) {
  const url = new URL(text);
  if (url.protocol === "https:" || /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(url.origin)) return url;
  throw new TypeError("issuer, origins and authorizeUrl must be https, or http on this machine");
}

/**
 * @param {SessionOptions & PiOptions & { Pi?: PiSdk }} options
 * @returns {Settings}
 */
export function read(options) {
  const { Pi, issuer, origins = [], scopes = ["username"], cookie = false, storage, piTimeout = PI_TIMEOUT_MS, ...others } = own(options);
  if (cookie && (storage || origins.length > 0)) {
    throw new TypeError("cookie excludes storage and origins");
  }
  const [home, ...backends] = /** @type {[string, ...string[]]} */ ([issuer, ...origins].map((text) => secure(text).origin));
  return own({ ...others, Pi, issuer: home, origins: new Set([home, ...backends]), scopes, cookie, storage, piTimeout });
}
