// Finds the session token in the Authorization header of a request (RFC 6750 §2.1).

import { SessionError } from "#entry";

/**
 * The token of `Authorization: Bearer`. Two headers arrive joined with a comma, which no token
 * contains.
 *
 * @param {unknown} authorization
 */
export function bearerToken(authorization) {
  if (typeof authorization !== "string") throw new SessionError("session_missing");
  if (authorization.includes(",")) throw new SessionError("ambiguous_credentials");
  if (!/^bearer /i.test(authorization)) throw new SessionError("session_missing");
  return authorization.slice("bearer ".length).replace(/^ +/, "");
}

/**
 * The Authorization header of a `Request`.
 *
 * @param {Pick<Request, "headers">} request
 */
export const fetchAuthorization = ({ headers }) => headers.get("authorization");

const isAuthorization = (/** @type {unknown} */ name) => typeof name === "string" && name.toLowerCase() === "authorization";

/**
 * The Authorization header of a request from node:http. Only `rawHeaders` shows a second one,
 * because `headers` drops all but the first. Requests from tests and serverless adapters only have
 * `headers`, in any spelling.
 *
 * @param {{ headers?: Record<string, string | string[] | undefined>, rawHeaders?: string[] }}
 *   request
 */
export function nodeAuthorization({ headers, rawHeaders }) {
  const sent = headers ?? {};
  const raw = Array.isArray(rawHeaders) ? rawHeaders.filter((text, i) => i % 2 === 0 && isAuthorization(text)).length : 0;
  const values = Object.keys(sent).filter(isAuthorization).flatMap((name) => sent[name]);
  if (raw > 1 || values.length > 1) throw new SessionError("ambiguous_credentials");
  return values[0];
}
