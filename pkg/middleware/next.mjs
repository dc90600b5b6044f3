// Next.js: wraps the route handlers of the App Router.

/** @import { RequireSessionOptions } from "pioneer-session" */

import { fetchAuthorization } from "./bearer.mjs";
import { check, guardOf } from "./check.mjs";
import { responseOf } from "./response.mjs";

/**
 * Wraps a handler, which gets the session beside `params`, as `session` or under the name in the
 * option `property`. A request without a valid session is answered without the handler.
 *
 * @param {RequireSessionOptions<any, string>} options
 */
export function requireSession(options) {
  const guard = guardOf(options);
  /**
   * @template [Params=any]
   * @template {Request} [R=Request]
   * @param {(request: R, context: any) => Response | Promise<Response>} handler
   * @returns {(request: R, context: { params: Promise<Params> }) => Promise<Response>}
   */
  return (handler) => async (request, context) => {
    const { session, refusal } = await check(request, fetchAuthorization, guard, request);
    if (refusal) return responseOf(refusal);
    return handler(request, { ...context, [guard.property]: session });
  };
}
