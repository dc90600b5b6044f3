// What all middlewares share: the session token of a request, its verifier, and the answer when it is refused.

import { SessionError, makeVerifier } from "#entry";
import { own, toJson } from "../verify/own.mjs";

/** Of what a SessionError may say, the reasons that a client can act on; every other is an invalid session. */
const REASONS = {
  session_missing: [401, "Sign in with POST /session, then send Authorization: Bearer <sessionToken>."],
  session_expired: [401, "The session token has expired. Sign in again."],
  session_revoked: [401, "The session was ended. Sign in again."],
  session_invalid: [401, "This is not a session token for this service. Sign in again."],
  ambiguous_credentials: [400, "Send exactly one Authorization header."],
  keys_unavailable: [503, "Sessions cannot be verified at the moment. Try again after Retry-After seconds."],
  revocations_unavailable: [503, "Sessions cannot be verified at the moment. Try again after Retry-After seconds."],
};
const TITLES = { 400: "Bad Request", 401: "Unauthorized", 503: "Service Unavailable" };
const RETRY_AFTER_SECONDS = "5"; // as soon as the verifier itself would ask the issuer again

/** The verifier that the options ask for, or carry. Mistakes show here, when the application starts. */
export function verifierOf(options) {
  const { verifier, ...rest } = own(options);
  if (verifier === undefined) return makeVerifier(options);
  if (Object.keys(rest).length > 0) throw new SessionError("invalid_options", "pass a verifier or the options of one, not both");
  return sound(verifier);
}

/** Whether an object has this method: of its own or of its class, but not because all objects have it. */
const has = (object, name) => typeof object?.[name] === "function" && object[name] !== Object.prototype[name];

function sound(verifier) {
  if (has(verifier, "verify")) return verifier;
  throw new SessionError("invalid_options", "the verifier must be what createVerifier resolves to; await it");
}

/** Verifies the session of a request. `authorization` is its header, or nothing. */
export async function sessionOf(authorization, verifier) {
  const token = bearer(authorization);
  // Ours can wait for a key that the issuer has only just begun to use.
  const session = await (has(sound(verifier), "verifyWaiting") ? verifier.verifyWaiting(token) : verifier.verify(token));
  // A verifier of the application's own may say no by returning nothing. Nobody is signed in then.
  if (session === null || typeof session !== "object") throw new TypeError("the verifier must return a session, or throw");
  return session;
}

/** The token of `Authorization: Bearer` (RFC 6750 §2.1). Two headers arrive joined with a comma, which no token has. */
function bearer(authorization) {
  if (typeof authorization !== "string") throw new SessionError("session_missing");
  if (authorization.includes(",")) throw new SessionError("ambiguous_credentials");
  if (!/^bearer /i.test(authorization)) throw new SessionError("session_missing");
  return authorization.slice("bearer ".length).replace(/^ +/, "");
}

const isAuthorization = (name) => typeof name === "string" && name.toLowerCase() === "authorization";

/**
 * The Authorization header of a request as node:http makes them. Only `rawHeaders` shows a second one, because `headers`
 * drops all but the first. Requests of tests and of serverless adapters have `headers` only, in any spelling.
 */
export function nodeAuthorization({ headers, rawHeaders }) {
  const raw = Array.isArray(rawHeaders) ? rawHeaders.filter((text, i) => i % 2 === 0 && isAuthorization(text)).length : 0;
  const values = Object.keys(headers ?? {}).filter(isAuthorization).flatMap((name) => headers[name]);
  if (raw > 1 || values.length > 1) throw new SessionError("ambiguous_credentials");
  return values[0];
}

/** Status, headers and body for an error about the session; nothing for any other, which is the application's. */
export function problem(error) {
  if (!(error instanceof SessionError) || error.code === "invalid_options") return undefined;
  const code = [error.code, `session_${error.code}`].find((name) => Object.hasOwn(REASONS, name)) ?? "session_invalid";
  const [status, detail] = REASONS[code];
  const headers = {
    "Cache-Control": "no-store",
    "Content-Type": "application/problem+json",
    "X-Content-Type-Options": "nosniff",
  };
  // RFC 6750 §3.1: without any credential, no error code.
  if (status === 401) headers["WWW-Authenticate"] = code === "session_missing" ? "Bearer" : 'Bearer error="invalid_token"';
  if (status === 503) headers["Retry-After"] = RETRY_AFTER_SECONDS;
  return { status, headers, body: toJson({ type: "about:blank", title: TITLES[status], status, code, detail }) };
}
