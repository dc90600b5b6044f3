// Reads the options of a session, and refuses those that would send credentials in the clear.

import { own } from "./own.mjs";

const PI_TIMEOUT_MS = 30_000; // Pi's SDK has been seen to take twenty seconds without showing anything

/** The URL, if credentials may go there: https, or http on this machine. */
export function secure(text) {
  const url = new URL(text);
  if (url.protocol === "https:" || /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(url.origin)) return url;
  throw new TypeError("issuer, origins and authorizeUrl must be https, or http on this machine");
}

export function read(options) {
  const { Pi, issuer, origins = [], scopes = ["username"], cookie = false, storage, piTimeout = PI_TIMEOUT_MS, ...others } = own(options);
  if (cookie && (storage || origins.length > 0)) {
    throw new TypeError("cookie excludes storage and origins");
  }
  const [home, ...backends] = [issuer, ...origins].map((text) => secure(text).origin);
  return own({ ...others, Pi, issuer: home, origins: new Set([home, ...backends]), scopes, cookie, storage, piTimeout });
}
