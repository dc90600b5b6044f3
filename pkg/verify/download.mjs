// One fetch of one of the issuer's documents, within a deadline.

/** @import { FetchedResponse, FetchInit, VerifyOptions } from "pioneer-session" */

import { readBody } from "./body.mjs";
import { own } from "./own.mjs";

export const TIMEOUT_MS = 3_000; // shorter than the patience of a client whose request waits for keys
export const NO_ANSWER = `no answer within ${TIMEOUT_MS / 1000} seconds`;
const MAX_FAILURE_BYTES = 1024; // of another answer's text; Cloudflare's has 17
const MAX_CAUSES = 5; // an error's chain of causes may be a circle

/**
 * @typedef {object} Request
 * @property {string} accept
 * @property {number} maxBytes
 * @property {string | undefined} etag of the document that is known
 * @property {VerifyOptions["fetch"]} fetch
 * @property {Partial<FetchInit> | undefined} fetchOptions those of the platform
 * @property {boolean} isWorker whether this is a Cloudflare Worker, with the platform's fetch
 * @property {boolean} mayRepeat whether an earlier fetch may have left a connection open
 */

/**
 * The document, or no bytes when the one with the `etag` is still the newest.
 *
 * @typedef {{ bytes: Uint8Array | undefined, etag: string | undefined }} Download
 */

/** The hint when the issuer's address answers, but not with the document. */
export const UNUSABLE =
  "The address answered, but its answer cannot be used; the message says why. Check that the option issuer is the Worker's SESSION_ISSUER.";
const BETWEEN_WORKERS =
  "Cloudflare refuses a fetch from a Worker to another Worker of the same account on workers.dev (error 1042). " +
  "Use a service binding: pass fetch: (url, init) => env.SESSION.fetch(url, init).";

/** The address answered, but not with the document. */
export class AnswerError extends Error {
  hint;

  /**
   * @param {string} message
   * @param {string} [hint]
   */
  constructor(message, hint = UNUSABLE) {
    super(message);
    this.hint = hint;
  }
}

/**
 * A signal that aborts after the deadline. Browsers older than 2022 have no AbortSignal.timeout.
 *
 * @param {number} ms
 */
function deadline(ms) {
  if (typeof AbortSignal.timeout === "function") return AbortSignal.timeout(ms);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), ms).unref?.();
  return controller.signal;
}

/**
 * Fetches the document. The deadline also holds when the caller's `fetch` ignores the signal.
 *
 * @param {string} url
 * @param {Request} request
 * @returns {Promise<Download>}
 */
export async function download(url, request) {
  const signal = deadline(TIMEOUT_MS);
  /** @type {() => void} */
  let abort = () => {};
  const aborted = new Promise((_, fail) => (abort = () => fail(new Error(NO_ANSWER))));
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([fetchBytes(url, request, signal), aborted]);
  } finally {
    signal.removeEventListener("abort", abort); // it would keep a Deno process alive
  }
}

/**
 * @param {string} url
 * @param {Request} request
 * @param {AbortSignal} signal
 * @returns {Promise<Download>}
 */
async function fetchBytes(url, { accept, maxBytes, etag, fetch, fetchOptions, isWorker, mayRepeat }, signal) {
  if (typeof fetch !== "function") throw new Error("this platform has no fetch; pass one as the option fetch");
  const options = {
    ...fetchOptions,
    // Without it, Node's fetch would use the method of a polluted Object.prototype.
    method: /** @type {const} */ ("GET"),
    redirect: /** @type {const} */ ("manual"), // another server must not answer for the issuer
    headers: own({ accept, ...(etag && { "if-none-match": etag }) }),
    signal, // one deadline for headers and body
  };
  const once = async () => fetch(url, own(options));
  const response = await once().catch((error) => {
    // The connection that an earlier fetch left open may have died while the process stood still.
    if (!mayRepeat || signal.aborted) throw error;
    return once();
  });
  if (typeof response?.status !== "number") throw new Error("the option fetch must return a Response");
  if (response.status === 304 && etag) return { bytes: undefined, etag };
  // The caller's fetch may have followed a redirect.
  if (response.status !== 200 || response.redirected) throw await refused(response, new URL(url), isWorker);
  if (!response.body) throw new AnswerError("the issuer's answer is empty");
  const { bytes, isWhole } = await readBody(response, maxBytes);
  if (!isWhole) throw new AnswerError(`the issuer's answer is over ${maxBytes / 1024} KiB`);
  return { bytes, etag: response.headers.get("etag") ?? undefined };
}

/**
 * The text of a document that is not binary.
 *
 * @param {Uint8Array} bytes
 */
export function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new AnswerError("the issuer's answer is not text in UTF-8");
  }
}

/**
 * The error for an answer with another status than 200. To a Worker that fetches a Worker of its
 * own account, Cloudflare answers 404 with the text "error code: 1042".
 *
 * @param {FetchedResponse} response
 * @param {URL} url
 * @param {boolean} isWorker
 */
async function refused(response, { hostname }, isWorker) {
  const { status, redirected } = response;
  if (status === 404 && !redirected) {
    const { bytes, isWhole } = await readBody(response, MAX_FAILURE_BYTES);
    const isBlocked = isWhole && new TextDecoder().decode(bytes).includes("error code: 1042");
    if (isBlocked) return new AnswerError("Cloudflare answered 404 (error code: 1042)", BETWEEN_WORKERS);
    return new AnswerError("the issuer answered 404", isWorker && hostname.endsWith(".workers.dev") ? BETWEEN_WORKERS : UNUSABLE);
  }
  await response.body?.cancel?.();
  return new AnswerError(`the issuer answered ${(!redirected && status) || "with a redirect"}`);
}

/**
 * Why a download failed. Node's fetch only says "fetch failed", and has the system's code in a
 * cause.
 *
 * @param {any} error
 */
export function reasonOf(error) {
  try {
    return describe(error);
  } catch {
    return "the fetch failed"; // the caller's fetch has thrown an object that cannot be read
  }
}

/** @param {any} error */
function describe(error) {
  if (error?.name === "TimeoutError" || error?.name === "AbortError") return NO_ANSWER;
  const text = String(error?.message ?? error);
  for (let cause = error, depth = 0; cause && depth < MAX_CAUSES; cause = cause.cause, depth++) {
    if (typeof cause.code === "string" && !text.includes(cause.code)) return `${text} (${cause.code})`;
  }
  return text;
}
