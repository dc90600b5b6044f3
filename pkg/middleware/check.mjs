// The check that all middlewares run. It returns the session of a request, or the answer to it.

/** @import { OnRefused, RequireSessionOptions, Session, Verifier, VerifyOptions } from "pioneer-session" */
/** @import { Problem } from "./problem.mjs" */

import { SessionError, makeVerifier } from "#entry";
import { own } from "../verify/own.mjs";
import { bearerToken } from "./bearer.mjs";
import { problem } from "./problem.mjs";
import { report } from "./refused.mjs";

/**
 * A verifier of this package also has the optional members; one that the application wrote may not.
 *
 * @typedef {Verifier & { verifyWaiting?(token: string): Promise<Session>, about?: { issuer: string,
 *   audience: string } }} AnyVerifier
 */

/**
 * The options of a middleware, read and checked.
 *
 * @template Request
 * @typedef {object} Guard
 * @property {AnyVerifier} verifier
 * @property {boolean} isOwn whether the middleware has made the verifier
 * @property {() => void} renew makes another verifier of the same options, after `verifier` was
 *   closed
 * @property {string} property the name under which requests get their session
 * @property {OnRefused<Request> | undefined} onRefused
 */

/**
 * The guard that the options describe. It throws when an option is wrong, so that the application
 * does not start.
 *
 * @template Request
 * @param {RequireSessionOptions<Request, string>} options
 * @returns {Guard<Request>}
 */
export function guardOf(options) {
  if (options === null || typeof options !== "object") throw new TypeError("options must be an object");
  const { property, onRefused, ...rest } = own(options);
  const isOwn = /** @type {{ verifier?: unknown }} */ (own(rest)).verifier === undefined;
  /** @type {Guard<Request>} */
  const guard = {
    property: propertyName(property),
    onRefused: listener(onRefused),
    verifier: verifierOf(rest),
    isOwn,
    renew() {
      guard.verifier = verifierOf(rest);
    },
  };
  return guard;
}

/**
 * The verifier in the options, or a new one with these options.
 *
 * @param {Partial<VerifyOptions> & { verifier?: Verifier }} options
 * @returns {AnyVerifier}
 */
function verifierOf(options) {
  const { verifier, ...rest } = own(options);
  if (verifier === undefined) return makeVerifier(/** @type {VerifyOptions} */ (rest));
  if (Object.keys(rest).length > 0) throw new SessionError("invalid_options", "a verifier and the options of one exclude each other; pass one of them");
  return checked(verifier);
}

/** Names that frameworks use on requests. A body, for example, would replace the session. */
const TAKEN = new Set([
  ...["app", "body", "context", "cookies", "headers", "hostname", "id", "ip", "log", "method", "next", "params", "path", "protocol"],
  ...["query", "raw", "req", "request", "res", "response", "server", "socket", "state", "url"],
]);

/** @param {unknown} property */
function propertyName(property) {
  if (property === undefined) return "session";
  // A member of all objects, such as __proto__, would be replaced for every reader of the request.
  const isName = typeof property === "string" && /^[A-Za-z_$][\w$]*$/.test(property) && !(property in Object.prototype);
  if (!isName) throw new SessionError("invalid_options", 'property must be a name such as "pi", of letters, digits, _ and $');
  if (TAKEN.has(property)) throw new SessionError("invalid_options", `requests have another member ${property}; choose another property, such as "pi"`);
  return property;
}

/**
 * @template {Function} F
 * @param {F | undefined} onRefused
 */
export function listener(onRefused) {
  if (onRefused === undefined || typeof onRefused === "function") return onRefused;
  throw new SessionError("invalid_options", "onRefused must be a function with the parameters error and request");
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
 * @template Head
 * @template Request
 * @param {Head} head of the request: its headers
 * @param {(head: Head) => unknown} authorizationOf
 * @param {Guard<Request>} guard
 * @param {Request} request for `onRefused`
 * @returns {Promise<{ session: Session, refusal?: undefined } | { session?: undefined, refusal:
 *   Problem }>}
 */
export async function check(head, authorizationOf, guard, request) {
  try {
    return own({ session: await authenticate(authorizationOf(head), guard.verifier) });
  } catch (error) {
    const refusal = problem(error);
    if (!refusal) throw error;
    report(/** @type {InstanceType<typeof SessionError>} */ (error), request, guard.verifier, guard.onRefused);
    return own({ refusal });
  }
}
