// Answers of the issuer: how one is read, which refusals are final, and which are tried again.

import { SignInError, UNKNOWN } from "./errors.mjs";
import { own } from "./own.mjs";
import { use } from "./storage.mjs";
import { sleep, within } from "./wait.mjs";

const TIMEOUT_MS = 20_000; // the issuer itself waits ten seconds for Pi, and a slow network takes ten more
const PAUSES_MS = [1_000, 2_000, 4_000]; // between the tries of a renewal: a phone changes networks within seconds
export const MAX_TRIES = PAUSES_MS.length;
const MAX_PAUSE_MS = 30_000; // an issuer that asks for a longer pause gets it, but no caller waits for that
const BODY_MS = 4_000; // for the body of a refusal, which is short: it may never end

// The issuer may still renew a session that was refused with one of these. Missing: the cookie has
// expired.
export const REFUSED = /^session_(expired|invalid|missing|revoked)$/;
export const OVER = /^(refresh_rejected|refresh_reused|session_revoked)$/;
export const BAD_PROOF = "invalid_dpop_proof";

/**
 * Sends a request and reads the answer. A refusal throws, with the issuer's code, and its detail as
 * the hint.
 *
 * @param {(signal: AbortSignal) => Promise<Response>} send
 * @returns {Promise<any>}
 */
export const answerTo = (send) => within(TIMEOUT_MS, "network", (signal) => readAnswer(send(signal)));

/** @param {Promise<Response>} request */
async function readAnswer(request) {
  let response, text;
  try {
    response = await request;
    text = await response.text();
  } catch (error) {
    throw error instanceof SignInError ? error : new SignInError("network");
  }
  const parsed = use(JSON, "parse", text);
  const answer = own(parsed);
  const { status, headers, ok } = response;
  if (ok && (parsed || !text)) return answer;
  const error = new SignInError((!ok && answer.code) || "invalid_answer", "", answer.piError, answer.detail);
  const nonce = headers.get("dpop-nonce") || undefined;
  throw Object.assign(error, { status, nonce, retryAfter: Number(headers.get("retry-after")) });
}

/**
 * Sends a request that outlives the page. Some browsers refuse that for a request with a preflight,
 * which looks like a failed network: then it is sent once more, plainly. Repeating these requests
 * is harmless.
 *
 * @template T
 * @param {(keepalive: boolean) => Promise<T>} send
 */
export function lasting(send) {
  return send(true).catch((error) => {
    if (error.code !== "network") throw error;
    return send(false);
  });
}

/**
 * Whether such a failure decides nothing: the same request may succeed the next time.
 *
 * @param {{ code: string, status?: any }} failure
 */
export const isPassing = ({ code, status }) => status === 408 || status > 428 || ["network", "invalid_answer", UNKNOWN].includes(code);

/**
 * Repeats an attempt, after pauses, while its failures are passing ones.
 *
 * @template T
 * @param {number} tries
 * @param {() => Promise<T>} attempt
 */
export async function persist(tries, attempt) {
  for (let count = 0; ; count++) {
    try {
      return await attempt();
    } catch (/** @type {any} */ error) {
      const pause = Math.max(/** @type {number} */ (PAUSES_MS[count]) * (0.5 + Math.random()), error.retryAfter * 1000 || 0);
      if (count >= tries || pause > MAX_PAUSE_MS || !isPassing(error) || navigator.onLine === false) throw error;
      await sleep(pause);
    }
  }
}

/**
 * Why a backend or the issuer refuses the session; undefined for any other answer, or a late one.
 *
 * @param {Response} response
 * @returns {Promise<string | undefined>}
 */
export async function refusalOf(response) {
  if (response.status !== 401) return undefined;
  const { code } = own(await Promise.race([response.clone().json(), sleep(BODY_MS)]).catch(() => undefined));
  return REFUSED.test(code) ? code : undefined;
}
