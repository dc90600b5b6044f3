// Express, and other frameworks that call middlewares with (request, response, next) of node:http.

/** @import { IncomingMessage, ServerResponse } from "node:http" */
/** @import { RequireSessionOptions, Session } from "pioneer-session" */

import { nodeAuthorization } from "./bearer.mjs";
import { check, verifierOf } from "./check.mjs";
import { remember } from "./guarded.mjs";

export { sessionOf } from "./guarded.mjs";

/**
 * Where a request has the session that this middleware set. The copy of this file for `require`
 * uses the same symbol.
 *
 * @type {unique symbol}
 */
const OURS = Symbol.for("pioneer-session.express");

/**
 * Lets a request pass with its session as `request.session`. Answers a request without a valid
 * session.
 *
 * @param {RequireSessionOptions} options
 */
export function requireSession(options) {
  const verifier = verifierOf(options);
  /**
   * @param {IncomingMessage & { session?: unknown, [OURS]?: Session }} request
   * @param {ServerResponse} response
   * @param {(error?: unknown) => void} next
   */
  return async (request, response, next) => {
    // express-session would save this session as its own, and fail far from the cause.
    if (request.session && request.session !== request[OURS]) {
      return next(new Error("request.session is in use. Remove express-session, or the other middleware that sets it, from this route."));
    }
    try {
      const { session, refusal } = await check(request, nodeAuthorization, verifier);
      if (refusal) {
        // A time limit, for example, may have answered while this waited for keys.
        if (response.headersSent) return;
        response.statusCode = refusal.status;
        for (const [name, value] of Object.entries(refusal.headers)) response.setHeader(name, value);
        return void response.end(refusal.body);
      }
      request.session = request[OURS] = session;
      remember(request, session);
    } catch (error) {
      return next(error);
    }
    next();
  };
}
