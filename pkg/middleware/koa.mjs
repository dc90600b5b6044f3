// Koa: a middleware that sets `ctx.state.session`.

/** @import { RequireSessionOptions } from "pioneer-session" */

import { nodeAuthorization } from "./bearer.mjs";
import { check, guardOf } from "./check.mjs";
import { remember } from "./guarded.mjs";

export { sessionOf } from "./guarded.mjs";

/**
 * Lets a request pass with its session as `ctx.state.session`, or under the name in the option
 * `property`. Answers a request without a valid session.
 *
 * @param {RequireSessionOptions<any, string>} options
 */
export function requireSession(options) {
  const guard = guardOf(options);
  /**
   * @param {any} ctx
   * @param {() => Promise<any>} next
   */
  return async (ctx, next) => {
    const { session, refusal } = await check(ctx.req, nodeAuthorization, guard, ctx);
    if (refusal) {
      ctx.status = refusal.status;
      ctx.set(refusal.headers);
      ctx.body = refusal.body;
      return;
    }
    ctx.state[guard.property] = session;
    remember(ctx, session);
    await next();
  };
}
