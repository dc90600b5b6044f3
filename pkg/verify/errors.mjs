// Why a session was refused, and what to do about it.

const HINTS = {
  token_malformed: "This is not a session token: pass what POST /session answered as sessionToken, without \"Bearer \".",
  token_too_long: "Session tokens have at most 4096 characters; this is something else.",
  unknown_key: "The token was not signed by a key of this issuer. Check the issuer, and that its key set is current.",
  bad_signature: "The token was changed or forged. Refuse the request.",
  wrong_issuer: "The token comes from another issuer. Compare the option issuer with the Worker's SESSION_ISSUER.",
  wrong_audience: "The token was made for another audience. Compare the option audience with the Worker's SESSION_AUDIENCE.",
  not_yet_valid: "The token is from the future. Check this machine's clock.",
  expired: "The session token has expired. Sign in again.",
  invalid_claims: "The token is signed, but is not a session of this kind.",
  revoked: "The session was ended. Sign in again.",
  keys_unavailable: "The issuer's keys could not be fetched. Check that the issuer can be reached from here, or pass them as jwks.",
  revocations_unavailable: "What the issuer says of ended sessions could not be fetched. Check that the issuer can be reached from here.",
  session_missing: "The request has no session token. The client signs in, then sends Authorization: Bearer <sessionToken>.",
  ambiguous_credentials: "The request has more than one Authorization header. Refuse it.",
  invalid_options: "Check the options that were passed.",
};

/** Sets how many lines of stack an error gets. In a process with frozen intrinsics it stays as it is. */
function limitStack(lines) {
  try {
    Error.stackTraceLimit = lines;
  } catch {
    // The stack then costs time, and a refusal is still a refusal.
  }
}

/**
 * A session that was refused, or a verifier that could not be made. It never holds the token. Errors about a token have no
 * stack trace: capturing one would cost more than rejecting a forged token, and it always names the same line.
 */
export class SessionError extends Error {
  // Fields, because an assignment to `name` throws where Error.prototype is frozen.
  name = "SessionError";
  code;
  hint;

  constructor(code, detail) {
    const limit = Error.stackTraceLimit;
    if (detail === undefined) limitStack(0);
    super(detail ? `${code}: ${detail}` : code);
    if (detail === undefined) limitStack(limit);
    this.code = code;
    this.hint = HINTS[code];
  }
}
