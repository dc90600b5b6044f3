// Express, and other frameworks that call middlewares with (request, response, next) of node:http.

/** @import { IncomingMessage, ServerResponse } from "node:http" */
/** @import { RequireSessionOptions } from "pioneer-session" */

import { nodeAuthorization } from "./bearer.mjs";
import { check, guardOf } from "./check.mjs";
import { remember } from "./guarded.mjs";

export { sessionOf } from "./guarded.mjs";

/**
 * Lets a request pass with its session as `request.session`, or under the name in the option
 * `property`. Answers a request without a valid session.
 *
 * @param {RequireSessionOptions<any, string>} options
 */
export function requireSession(options) {
  const guard = guardOf(options);
  const { property } = guard;
  // Where a request has the session that this middleware set. The copy of this file for `require`
  // uses the same symbol.
  const ours = Symbol.for(`pioneer-session.express.${property}`);
  /**
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   * @param {(error?: unknown) => void} next
   */
  return async (request, response, next) => {
    const members = /** @type {Record<string | symbol, unknown>} */ (/** @type {unknown} */ (request));
    // express-session would save this session as its own, and fail far from the cause.
    if (members[property] && members[property] !== members[ours]) {
      return next(new Error(`request.${property} is in use. Remove express-session, or the other middleware that sets it, from this route, or choose another name with the option property.`));
    }
    try {
      const { session, refusal } = await check(request, nodeAuthorization, guard, request);
      if (refusal) {
        // A time limit, for example, may have answered while this waited for keys.
        if (response.headersSent) return;
        response.statusCode = refusal.status;
        for (const [name, value] of Object.entries(refusal.headers)) response.setHeader(name, value);
        return void response.end(refusal.body);
      }
      members[property] = members[ours] = session;
      remember(request, session);
    } catch (error) {
      return next(error);
    }
    next();
  };
}
