// The answer to a request without a valid session: a problem document (RFC 9457), as from the
// Worker.

import { SessionError } from "#entry";
import { helpFor } from "../verify/homepage.mjs";
import { toJson } from "../verify/own.mjs";

/**
 * The reasons that a client can act on. Every other code of a SessionError becomes session_invalid.
 *
 * @type {Record<string, [status: 400 | 401 | 503, detail: string]>}
 */
const REASONS = {
  session_missing: [401, "The request has no session token. Sign in with POST /session, then send Authorization: Bearer <sessionToken>."],
  session_expired: [401, "The session token has expired. Renew the session with POST /session/refresh, or sign in again."],
  session_revoked: [401, "The session was revoked. Sign in again."],
  session_invalid: [401, "This is not a session token for this service. Sign in again."],
  ambiguous_credentials: [400, "The request has more than one credential. Send exactly one Authorization header."],
  keys_unavailable: [503, "Sessions cannot be verified at the moment. Try again in a few seconds."],
  revocations_unavailable: [503, "Sessions cannot be verified at the moment. Try again in a few seconds."],
};
const TITLES = { 400: "Bad Request", 401: "Unauthorized", 503: "Service Unavailable" };
const RETRY_AFTER_SECONDS = "5"; // the verifier itself asks a failing issuer again after this pause

/** @typedef {{ status: number, headers: Record<string, string>, body: string }} Problem */

/**
 * The problem document for an error about the session. Returns nothing for any other error, because
 * the application must handle it.
 *
 * @param {unknown} error
 * @returns {Problem | undefined}
 */
export function problem(error) {
  if (!(error instanceof SessionError) || error.code === "invalid_options") return undefined;
  const code = [error.code, `session_${error.code}`].find((name) => Object.hasOwn(REASONS, name)) ?? "session_invalid";
  const [status, detail] = /** @type {(typeof REASONS)[string]} */ (REASONS[code]);
  /** @type {Record<string, string>} */
  const headers = {
    "Cache-Control": "no-store",
    "Content-Type": "application/problem+json",
    "X-Content-Type-Options": "nosniff",
  };
  // RFC 6750 §3.1: the answer to a request without a credential has no error code.
  if (status === 401) headers["WWW-Authenticate"] = code === "session_missing" ? "Bearer" : 'Bearer error="invalid_token"';
  if (status === 503) headers["Retry-After"] = RETRY_AFTER_SECONDS;
  return { status, headers, body: toJson({ type: helpFor(code), title: TITLES[status], status, code, detail }) };
}
