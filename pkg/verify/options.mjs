// The options of a verifier: reads them once, and checks each.

/** @import { VerifyOptions } from "pioneer-session" */

/**
 * Checked options. The key set is JSON text, and `cached` is how many tokens to remember.
 *
 * @typedef {object} Settings
 * @property {string} issuer
 * @property {string} audience
 * @property {number} clockTolerance
 * @property {string | undefined} jwks
 * @property {string | undefined} jwksUrl
 * @property {{ pollSeconds: number, maxAgeSeconds: number | undefined } | undefined} poll
 * @property {number} cached
 * @property {VerifyOptions["fetch"]} fetch
 */

import { invalidOptions } from "./errors.mjs";
import { own, toJson } from "./own.mjs";

const MAX_CLOCK_TOLERANCE = 60; // seconds: clocks that differ by more are wrong
const MAX_POLL_SECONDS = 300; // the issuer signs a feed for this long
const MAX_CACHED_TOKENS = 100_000; // half a kilobyte each
const OPTIONS = {
  issuer: undefined,
  audience: undefined,
  clockTolerance: 5,
  jwks: undefined,
  jwksUrl: undefined,
  revocations: undefined,
  cache: false,
  fetch: undefined,
};
const POLL_OPTIONS = { pollSeconds: 15, maxAgeSeconds: undefined };

/**
 * Reads each of the object's own options exactly once. So a getter cannot pass the checks with
 * another value, and a prototype cannot add options. Unknown options are mistakes.
 *
 * @param {Record<string, any>} options
 * @param {Record<string, any>} defaults
 * @returns {Record<string, any>}
 */
function members(options, defaults, of = "") {
  const known = { ...defaults };
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(defaults, name)) throw invalidOptions(`this version has no option ${JSON.stringify(name)}${of}; check its spelling`);
    const value = options[name];
    if (value !== undefined) known[name] = value;
  }
  return known;
}

/**
 * The settings that a caller's options describe.
 *
 * @param {VerifyOptions} options
 * @returns {Settings}
 */
export function read(options) {
  if (options === null || typeof options !== "object") throw new TypeError("options must be an object");
  const { issuer, audience, clockTolerance, jwks, jwksUrl, revocations, cache, fetch } = members(options, OPTIONS);
  checkIssuer(issuer);
  if (typeof audience !== "string" || audience === "") throw invalidOptions("audience must be the Worker's SESSION_AUDIENCE");
  if (!Number.isInteger(clockTolerance) || clockTolerance < 0 || clockTolerance > MAX_CLOCK_TOLERANCE) {
    throw invalidOptions(`clockTolerance must be whole seconds from 0 to ${MAX_CLOCK_TOLERANCE}`);
  }
  if (jwks !== undefined && jwksUrl !== undefined) throw invalidOptions("jwks and jwksUrl exclude each other; pass one of them");
  if (jwks !== undefined && (jwks === null || typeof jwks !== "object")) throw invalidOptions("jwks must be an object {keys: […]}");
  const cached = cache === false ? 0 : own(cache).max;
  if (!Number.isInteger(cached) || cached < (cache === false ? 0 : 1) || cached > MAX_CACHED_TOKENS) {
    throw invalidOptions(`cache must be false, or an object { max } with a whole number of tokens from 1 to ${MAX_CACHED_TOKENS}`);
  }
  if (jwksUrl !== undefined && typeof jwksUrl !== "string") throw invalidOptions("jwksUrl must be a string");
  if (fetch !== undefined && typeof fetch !== "function") throw invalidOptions("fetch must be a function with the parameters of the global fetch");
  return { issuer, audience, clockTolerance, jwks: keySet(jwks), jwksUrl, poll: readPoll(revocations), cached, fetch };
}

/**
 * An issuer with a path, or with a slash at its end, would match the `iss` of no token, and its
 * keys would not be found.
 *
 * @param {unknown} issuer
 */
function checkIssuer(issuer) {
  if (typeof issuer !== "string" || issuer === "") throw invalidOptions("issuer must be the Worker's SESSION_ISSUER");
  let url;
  try {
    url = new URL(issuer);
  } catch {
    throw invalidOptions("issuer must be an origin such as https://session.example.com, as in the Worker's SESSION_ISSUER");
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") throw invalidOptions("issuer must begin with https://");
  if (url.origin !== issuer) {
    throw invalidOptions(`issuer must be an origin: write ${JSON.stringify(url.origin)}, without a slash at its end, a path, a query or a user name`);
  }
}

/** @param {object | undefined} jwks */
function keySet(jwks) {
  try {
    return jwks && toJson(jwks);
  } catch (error) {
    throw invalidOptions(`jwks: ${/** @type {Error} */ (error).message}`);
  }
}

/**
 * @param {any} revocations
 * @returns {Settings["poll"]}
 */
function readPoll(revocations) {
  if (revocations === undefined || revocations === false) return undefined;
  if (revocations !== true && (revocations === null || typeof revocations !== "object")) {
    throw invalidOptions("revocations must be true, or an object such as { pollSeconds: 15 }");
  }
  const { pollSeconds, maxAgeSeconds } = members(revocations, POLL_OPTIONS, " of revocations");
  if (!Number.isInteger(pollSeconds) || pollSeconds < 1 || pollSeconds > MAX_POLL_SECONDS) {
    throw invalidOptions(`pollSeconds must be whole seconds from 1 to ${MAX_POLL_SECONDS}`);
  }
  if (maxAgeSeconds !== undefined && !(typeof maxAgeSeconds === "number" && maxAgeSeconds >= 2 * pollSeconds)) {
    throw invalidOptions("maxAgeSeconds must be at least twice pollSeconds, so that tokens are still accepted after one lost answer");
  }
  return { pollSeconds, maxAgeSeconds };
}

/** @type {WeakMap<Function, number>} A number for each function that was passed as `fetch`. */
const fetches = new WeakMap();
let fetchCount = 0;

/**
 * A text that is the same for equal settings, and differs for others.
 *
 * @param {Settings} settings
 */
export function keyOf({ issuer, audience, clockTolerance, jwks, jwksUrl, poll, cached, fetch }) {
  if (fetch && !fetches.has(fetch)) fetches.set(fetch, ++fetchCount);
  return toJson([issuer, audience, clockTolerance, jwksUrl, poll?.pollSeconds, poll?.maxAgeSeconds, cached, fetch && fetches.get(fetch)]) + jwks;
}
