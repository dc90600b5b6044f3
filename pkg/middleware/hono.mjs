// Hono, on every platform that it runs on.

/** @import { Context, Next } from "hono" */
/** @import { RequireSessionOptions } from "pioneer-session" */

import { fetchAuthorization } from "./bearer.mjs";
import { check, guardOf } from "./check.mjs";
import { responseOf } from "./response.mjs";

/**
 * Lets a request pass with its session as `c.var.session`, or under the name in the option
 * `property`. Answers a request without a valid session.
 *
 * @param {RequireSessionOptions<any, string>} options
 */
export function requireSession(options) {
  const guard = guardOf(options);
  /**
   * @param {Context<any>} c
   * @param {Next} next
   */
  return async (c, next) => {
    const { session, refusal } = await check(c.req.raw, fetchAuthorization, guard, c);
    if (refusal) return responseOf(refusal);
    c.set(guard.property, session);
    await next();
    return undefined;
  };
}
