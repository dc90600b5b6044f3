// The error of the package: its codes, and a hint for each.

/** @import { SessionErrorCode } from "pioneer-session" */

import { helpFor } from "./homepage.mjs";

/** @type {Record<SessionErrorCode, string>} */
const HINTS = {
  token_malformed: 'This is not a session token. Pass the sessionToken that POST /session returned, without "Bearer ".',
  token_too_long: "This is not a session token: it has more than 4096 characters. Pass the sessionToken that POST /session returned.",
  unknown_key: "No key of this issuer has signed the token. Check the option issuer, and that its key set is current.",
  bad_signature: "The token was changed or forged. Refuse the request.",
  wrong_issuer: "The token comes from another issuer. Compare the option issuer with the Worker's SESSION_ISSUER.",
  wrong_audience: "The token was issued for another audience. Compare the option audience with the Worker's SESSION_AUDIENCE.",
  not_yet_valid: "The token is from the future. Check this machine's clock.",
  expired: "The session token has expired. Renew the session with POST /session/refresh, or sign in again.",
  invalid_claims: "The token is signed, but its claims are not those of a session. Check the service that issued it.",
  revoked: "The session was revoked. Sign in again.",
  keys_unavailable: "The issuer's keys could not be fetched. Check that this machine can reach the issuer, or pass the keys as the option jwks.",
  revocations_unavailable: "The issuer's list of revoked sessions could not be fetched. Check that this machine can reach the issuer.",
  session_missing: "The request has no session token. Sign in, then send Authorization: Bearer <sessionToken>.",
  ambiguous_credentials: "The request has more than one Authorization header. Refuse the request.",
  invalid_options: "An option is wrong. Change the option that the message names.",
};

/**
 * Sets how many lines of stack an error gets. In a process with frozen intrinsics, it has no
 * effect.
 *
 * @param {number} lines
 */
function limitStack(lines) {
  try {
    Error.stackTraceLimit = lines;
  } catch {
    // Then capturing the stack costs time, but the error is the same.
  }
}

/**
 * A session was refused, or a verifier could not be made. The error never contains the token.
 * Errors about a token carry no stack trace: capturing one would cost more than rejecting a forged
 * token, and it always names the same line.
 */
export class SessionError extends Error {
  // Fields, because an assignment to `name` throws where Error.prototype is frozen.
  name = /** @type {const} */ ("SessionError");
  code;
  hint;

  /**
   * @param {SessionErrorCode} code
   * @param {string} [detail]
   * @param {string} [hint] if more is known than the code tells
   */
  constructor(code, detail, hint = HINTS[code]) {
    const limit = Error.stackTraceLimit;
    if (detail === undefined) limitStack(0);
    super(detail ? `${code}: ${detail}` : code);
    if (detail === undefined) limitStack(limit);
    this.code = code;
    this.hint = hint;
  }

  /** The page about this error. A getter, because refusing a forged token must stay cheap. */
  get help() {
    return helpFor(this.code);
  }
}

/**
 * A mistake in the options.
 *
 * @param {string} detail
 */
export const invalidOptions = (detail) => new SessionError("invalid_options", detail);
