// `doctor URL`: checks a deployed Worker from outside. It sends no secret, except for the service
// token of Cloudflare Access if there is one.
//
// A deployment with SERVES=admin has no keys, no feed and no sign-in to check.

/** @import { Report } from "./report.mjs" */

/** @typedef {Record<string, any> & { x: string }} PublicKey a key that the package accepts */
/** @typedef {RequestInit & { headers?: Record<string, string>, maxBytes?: number, asBrowser?: boolean }} AskOptions */

import { createPublicKey, verify } from "node:crypto";
import { isSecure } from "../verify/secure.mjs";
import { BehindAccess, SHUTS_USERS_OUT, requestWorker } from "./access.mjs";
import { parseObject } from "./json.mjs";
import { decode } from "./keys.mjs";
import { isKnownToOthers } from "./known-keys.mjs";
import { Problem } from "./problem.mjs";
import { request } from "./request.mjs";

const TIMEOUT_MS = 5_000;
const MAX_BYTES = 64 * 1024;
const MAX_FEED_BYTES = 6 * 1024 * 1024; // the Worker signs no longer feed
const MAX_KEYS_AGE = 300; // seconds: a rotation waits for verifiers and for caches, five minutes each
const MAX_SKEW_SECONDS = 5; // the default clock tolerance of verifiers
const MAX_FEED_AGE = 5; // seconds for which caches may keep the feed
const NOBODYS_ORIGIN = "https://pioneer-session-doctor.invalid"; // RFC 2606 §2: nobody can register it

/**
 * Another program's text without control characters, which could change this terminal.
 *
 * @param {string} text
 */
export const printable = (text) => text.replace(/[^ -~]/g, "?").slice(0, 400);

/**
 * Returns whether the Worker answers, so that further checks make sense.
 *
 * @param {Report} report
 * @param {URL} url
 * @param {{ isForOperators?: boolean }} [options] whether the configuration says SERVES=admin
 */
export async function checkDeployment(report, url, { isForOperators = false } = {}) {
  if (!isSecure(url)) {
    report.error("The URL must be https: over plain http, anyone on the network can read the tokens. Plain http is only for this machine.");
    return false;
  }
  if (url.href !== `${url.origin}/`) {
    report.error("The URL must be the Worker's origin only, as in SESSION_ISSUER. Remove the path, the query and the user.");
    return false;
  }
  const { origin } = url;
  // Without health, every other check would fail with the same error.
  const health = await step(report, () => checkHealth(origin));
  if (!health) return false;
  const served = await step(report, () => whoIsServed(origin));
  if (served?.operators) {
    report.note("This deployment serves operators only (SERVES=admin). Check the one that serves users as well.");
    return true;
  }
  if (isForOperators) {
    report.error(served?.users ? "SERVES is admin, but the Worker at this URL also serves users. Check the URL, and deploy it again." : "SERVES is admin, but the Worker has no operators, so it serves nothing but /health. Make one: npx pioneer-session operators add NAME. Then run: npx wrangler secret put OPERATOR_CREDENTIALS");
    return true;
  }
  if (health.isClosed) report.error(SHUTS_USERS_OUT);
  const keys = (await step(report, () => checkKeys(report, origin))) || [];
  await step(report, () => checkFeed(report, origin, keys));
  await step(report, () => checkOrigins(report, origin));
  return true;
}

/**
 * Whether the Worker serves users, and if it does not, whether it serves operators.
 *
 * @param {string} origin
 */
async function whoIsServed(origin) {
  if ((await ask(`${origin}/session`)).status !== 404) return { users: true, operators: false };
  const { status, text } = await ask(`${origin}/admin/session`);
  return { users: false, operators: status === 401 && parseObject(text)?.code === "operator_rejected" };
}

/**
 * Runs a check. If it cannot go on, its problem is an error, and the other checks still run; not if
 * Cloudflare Access answered, because then the Worker answers none of them.
 *
 * @template T
 * @param {Report} report
 * @param {() => Promise<T>} check
 * @returns {Promise<T | undefined>}
 */
async function step(report, check) {
  try {
    return await check();
  } catch (error) {
    if (!(error instanceof Problem) || error instanceof BehindAccess) throw error;
    report.error(error.message);
    return undefined;
  }
}

/** @param {string} origin */
async function checkHealth(origin) {
  const { status, text, isClosed } = await ask(`${origin}/health`);
  if (status !== 200 || parseObject(text)?.status !== "ok") {
    throw new Problem(`/health answered ${status} without {"status":"ok"}: this is not a pioneer-session Worker, or it is not running. Check the URL, then look at \`npx wrangler tail\`.`);
  }
  return { isClosed };
}

/**
 * @param {Report} report
 * @param {string} origin
 * @returns {Promise<PublicKey[]>}
 */
async function checkKeys(report, origin) {
  const { headers, text } = await askWell(`${origin}/.well-known/jwks.json`);
  const set = /** @type {{ keys: any[] } | undefined} */ (parseObject(text));
  if (!Array.isArray(set?.keys)) throw new Problem("/.well-known/jwks.json is not a JSON object with an array \"keys\". Deploy the Worker again.");
  const keys = set.keys.filter((key) => key !== null && typeof key === "object");
  if (keys.some((key) => ["d", "k", "p", "q"].some((member) => member in key))) {
    throw new Problem("/.well-known/jwks.json publishes a private key, with which anyone can sign in as any user. Create new keys now (npx pioneer-session keys new), and replace these.");
  }
  try {
    // The package itself judges the keys, as backends will. It is loaded only here, so that all
    // other commands work where the wasm has not been built.
    const { createVerifier } = await import("pioneer-session");
    await (await createVerifier({ issuer: origin, audience: "doctor", jwks: set })).close();
  } catch (error) {
    throw new Problem(`/.well-known/jwks.json is unsound, and no backend will accept it: ${/** @type {Error} */ (error).message.replace(/^.*jwks: /, "")}. Put a valid SESSION_KEYS into the Worker.`);
  }
  if (keys.some(({ x }) => isKnownToOthers(x))) {
    report.error("The Worker signs with a key that others know (a published test key, or a seed that anyone would guess), so anyone can sign in as any user. Create new keys now: npx pioneer-session keys new");
  }
  const cacheControl = headers.get("cache-control") ?? "";
  const age = Number(/\bmax-age=(\d+)/.exec(cacheControl)?.[1] ?? NaN);
  if (/\bno-store\b/.test(cacheControl) || Number.isNaN(age)) {
    report.warning("/.well-known/jwks.json does not say how long it may be cached (Cache-Control: public, max-age=300). Check whether something in front of the Worker changes its headers.");
  } else if (age > MAX_KEYS_AGE) {
    report.warning(`/.well-known/jwks.json may be cached for over ${MAX_KEYS_AGE} seconds: backends would learn of new and of stolen keys too late. Check whether something in front of the Worker changes its headers.`);
  }
  return keys.filter(({ crv }) => crv === "Ed25519");
}

/**
 * @param {Report} report
 * @param {string} origin
 * @param {PublicKey[]} keys
 */
async function checkFeed(report, origin, keys) {
  const { headers, text, sentAt, receivedAt } = await askWell(`${origin}/revocations`, { maxBytes: MAX_FEED_BYTES });
  const [token = ""] = text.split("\n", 1); // fingerprints follow the line feed
  const parts = token.split(".");
  const [header, payload] = parts.slice(0, 2).map((part) => parseObject(decode(part)?.toString() ?? ""));
  if (parts.length !== 3 || !header || !payload) throw new Problem("/revocations is not a signed list (a compact JWS). Deploy a current version of the Worker.");
  const key = keys.find(({ kid }) => kid === header.kid);
  if (keys.length > 0) {
    const signed = key && verify(null, Buffer.from(`${parts[0]}.${parts[1]}`), createPublicKey({ key, format: "jwk" }), decode(parts[2]) ?? Buffer.alloc(0));
    if (!signed || header.typ !== "pi-revocations+jwt") {
      report.error("/revocations is not signed by a key in /.well-known/jwks.json. Check whether a cache returns an old copy of one of them, or whether another Worker answers.");
    }
  }
  if (payload.iss !== origin) {
    report.error("SESSION_ISSUER does not match this URL, so backends that verify with this URL refuse every session (wrong_issuer). Set SESSION_ISSUER to this origin, or run doctor with the origin in SESSION_ISSUER.");
  }
  if (typeof payload.aud !== "string" || payload.aud === "") report.error("/revocations names no audience. Check SESSION_AUDIENCE.");
  if (!Number.isSafeInteger(payload.iat)) return report.error("/revocations has no time of issue. Deploy a current version of the Worker.");
  // Seconds by which the Worker's time is before or after the request. A Date is cut to whole
  // seconds.
  /** @type {(time: number, slack: number) => number} */
  const outside = (time, slack) => Math.max(time - receivedAt, sentAt - slack - time, 0);
  const date = Date.parse(headers.get("date") ?? "") / 1000 + Number(headers.get("age") ?? 0);
  const skew = Math.max(outside(payload.iat, 1 + MAX_FEED_AGE), Number.isNaN(date) ? 0 : outside(date, 1));
  if (skew > MAX_SKEW_SECONDS) {
    report.warning(`The clocks of the Worker and of this machine differ by ${Math.round(skew)} seconds: a backend on this machine would refuse valid sessions. Set this machine's clock by NTP.`);
  }
}

/**
 * @param {Report} report
 * @param {string} origin
 */
async function checkOrigins(report, origin) {
  const { status, headers, text } = await ask(`${origin}/session`, {
    method: "POST",
    headers: { origin: NOBODYS_ORIGIN, "content-type": "application/json" },
    body: "{}", // no access token, so that Pi is not asked even when the origin passes
  });
  if (status === 429) return report.warning("POST /session answered 429, so the origins were not checked. Run doctor again in a minute.");
  if (status >= 500) throw new Problem(said("POST /session", status, text));
  if (status !== 403 || parseObject(text)?.code !== "origin_not_allowed" || headers.has("access-control-allow-origin")) {
    report.error("Open origins: POST /session did not refuse an unknown origin with 403 origin_not_allowed. Hostile pages could sign in their visitors. Check ALLOWED_ORIGINS, and anything in front of the Worker.");
  }
}

/**
 * @param {string} url
 * @param {AskOptions} [options]
 */
async function askWell(url, options) {
  const answer = await ask(url, options);
  if (answer.status !== 200) throw new Problem(said(new URL(url).pathname, answer.status, answer.text));
  return answer;
}

/**
 * An error with the Worker's own detail, if there is one. The Worker's details never contain a
 * secret.
 *
 * @param {string} what
 * @param {number} status
 * @param {string} text
 */
export function said(what, status, text) {
  if (status === 404) return `${what} answered 404. Deploy a current version of the Worker.`;
  const { code, detail } = parseObject(text) ?? {};
  if (typeof code !== "string" || typeof detail !== "string") return `${what} answered ${status}. Look at \`npx wrangler tail\`.`;
  // The same on every route.
  const words = code === "misconfigured" ? detail : `${what} answered ${status} ${code}: ${detail}`;
  return printable(words);
}

/**
 * Sends one request to the Worker. A browser has no service token for it.
 *
 * @param {string} url
 * @param {AskOptions} options
 */
export async function ask(url, { maxBytes = MAX_BYTES, asBrowser = false, ...options } = {}) {
  const path = new URL(url).pathname;
  const sentAt = Date.now() / 1000;
  const explain = (/** @type {string} */ reason) => `${path} cannot be reached: ${reason}. Check the URL, and whether the Worker is deployed.`;
  const limits = { timeoutMs: TIMEOUT_MS, maxBytes, explain };
  const answer = asBrowser ? { ...(await request(url, options, limits)), isClosed: false } : await requestWorker(url, options, limits);
  const { response, text, isWhole, isClosed } = answer;
  if (!isWhole) throw new Problem(`${path} answered with more than ${maxBytes / 1024} KiB: this is not a pioneer-session Worker. Check the URL.`);
  const { status, headers } = response;
  return { status, headers, text, isClosed, sentAt, receivedAt: Date.now() / 1000 };
}
