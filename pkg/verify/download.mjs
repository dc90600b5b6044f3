// One fetch of one of the issuer's documents, within a deadline.

/** @import { FetchedResponse, FetchInit, VerifyOptions } from "pioneer-session" */

import { readBody } from "./body.mjs";
import { own } from "./own.mjs";

export const TIMEOUT_MS = 3_000; // shorter than the patience of a client whose request waits for keys
export const NO_ANSWER = `no answer within ${TIMEOUT_MS / 1000} seconds`;
const MAX_CAUSES = 5; // an error's chain of causes may be a circle

/**
 * @typedef {object} Request
 * @property {string} accept
 * @property {number} maxBytes
 * @property {string | undefined} etag of the document that is known
 * @property {VerifyOptions["fetch"]} fetch
 * @property {Partial<FetchInit> | undefined} fetchOptions those of the platform
 * @property {boolean} mayRepeat whether an earlier fetch may have left a connection open
 */

/**
 * The document, or no text when the one with the `etag` is still the newest.
 *
 * @typedef {{ text: string | undefined, etag: string | undefined }} Download
 */

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
    return await Promise.race([fetchText(url, request, signal), aborted]);
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
async function fetchText(url, { accept, maxBytes, etag, fetch, fetchOptions, mayRepeat }, signal) {
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
  if (response.status === 304 && etag) return { text: undefined, etag };
  // The caller's fetch may have followed a redirect.
  if (response.status !== 200 || response.redirected) {
    await response.body?.cancel?.();
    throw new Error(`the issuer answered ${(!response.redirected && response.status) || "with a redirect"}`);
  }
  if (!response.body) throw new Error("the issuer's answer is empty");
  const { bytes, isWhole } = await readBody(response, maxBytes);
  if (!isWhole) throw new Error(`the issuer's answer is over ${maxBytes / 1024} KiB`);
  return {
    text: new TextDecoder("utf-8", { fatal: true }).decode(bytes),
    etag: response.headers.get("etag") ?? undefined,
  };
}

/**
 * Why a download failed. Node's fetch only says "fetch failed", and has the system's code in a
 * cause.
 *
 * @param {any} error
 */
export function reasonOf(error) {
  if (error?.name === "TimeoutError" || error?.name === "AbortError") return NO_ANSWER;
  const text = String(error?.message ?? error);
  for (let cause = error, depth = 0; cause && depth < MAX_CAUSES; cause = cause.cause, depth++) {
    if (typeof cause.code === "string" && !text.includes(cause.code)) return `${text} (${cause.code})`;
  }
  return text;
}
