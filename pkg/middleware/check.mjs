// The check that all middlewares run. It returns the session of a request, or the answer to it.

/** @import { RequireSessionOptions, Session, Verifier, VerifyOptions } from "pioneer-session" */
/** @import { Problem } from "./problem.mjs" */

import { SessionError, makeVerifier } from "#entry";
import { own } from "../verify/own.mjs";
import { bearerToken } from "./bearer.mjs";
import { problem } from "./problem.mjs";

/**
 * A verifier of this package also has `verifyWaiting`; one that the application wrote may not.
 *
 * @typedef {Verifier & { verifyWaiting?(token: string): Promise<Session> }} AnyVerifier
 */

/**
 * The verifier in the options, or a new one with these options. It throws when an option is wrong,
 * so that the application does not start.
 *
 * @param {RequireSessionOptions} options
 * @returns {AnyVerifier}
 */
export function verifierOf(options) {
  const { verifier, ...rest } = /** @type {Partial<VerifyOptions> & { verifier?: Verifier }} */ (own(options));
  if (verifier === undefined) return makeVerifier(/** @type {VerifyOptions} */ (options));
  if (Object.keys(rest).length > 0) throw new SessionError("invalid_options", "a verifier and the options of one exclude each other; pass one of them");
  return checked(verifier);
}

/**
 * Whether an object has this method: its own or its class's, and not one that all objects have.
 *
 * @param {any} object
 * @param {string} name
 */
const has = (object, name) => typeof object?.[name] === "function" && object[name] !== /** @type {any} */ (Object.prototype)[name];

/**
 * @param {AnyVerifier} verifier
 * @returns {AnyVerifier}
 */
function checked(verifier) {
  if (has(verifier, "verify")) return verifier;
  throw new SessionError("invalid_options", "the verifier must have a method verify; await createVerifier, which returns a promise");
}

/**
 * Verifies the session of a request with this Authorization header.
 *
 * @param {unknown} authorization
 * @param {AnyVerifier} verifier
 * @returns {Promise<Session>}
 */
export async function authenticate(authorization, verifier) {
  const token = bearerToken(authorization);
  // A verifier of this package can wait for a key that the issuer has only just begun to use.
  const waits = has(checked(verifier), "verifyWaiting");
  const session = await (waits ? /** @type {Required<AnyVerifier>} */ (verifier).verifyWaiting(token) : verifier.verify(token));
  // An application's own verifier may refuse a token by returning nothing.
  if (session === null || typeof session !== "object") throw new TypeError("the verifier must return a session, or throw an error");
  return session;
}

/**
 * The session of a request, or the problem with which to answer it. Rejects with every other error.
 *
 * @template Request
 * @param {Request} request
 * @param {(request: Request) => unknown} authorizationOf
 * @param {AnyVerifier} verifier
 * @returns {Promise<{ session: Session, refusal?: undefined } | { session?: undefined, refusal:
 *   Problem }>}
 */
export async function check(request, authorizationOf, verifier) {
  try {
    return own({ session: await authenticate(authorizationOf(request), verifier) });
  } catch (error) {
    const refusal = problem(error);
    if (!refusal) throw error;
    return own({ refusal });
  }
}
