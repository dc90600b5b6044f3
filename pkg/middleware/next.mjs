// Next.js: wraps the route handlers of the App Router.

/** @import { RequireSessionOptions, Session } from "pioneer-session" */

import { fetchAuthorization } from "./bearer.mjs";
import { check, verifierOf } from "./check.mjs";
import { responseOf } from "./response.mjs";

/**
 * Wraps a handler, which gets the session beside `params`. A request without a valid session is
 * answered without the handler.
 *
 * @param {RequireSessionOptions} options
 */
export function requireSession(options) {
  const verifier = verifierOf(options);
  /**
   * @template [Params=any]
   * @template {Request} [R=Request]
   * @param {(request: R, context: { params: Promise<Params>, session: Session }) => Response |
   *   Promise<Response>} handler
   * @returns {(request: R, context: { params: Promise<Params> }) => Promise<Response>}
   */
  return (handler) => async (request, context) => {
    const { session, refusal } = await check(request, fetchAuthorization, verifier);
    if (refusal) return responseOf(refusal);
    return handler(request, { ...context, session });
  };
}
