// Hono, on every platform that it runs on.

/** @import { Context, Next } from "hono" */
/** @import { RequireSessionOptions, Session } from "pioneer-session" */

import { fetchAuthorization } from "./bearer.mjs";
import { check, verifierOf } from "./check.mjs";
import { responseOf } from "./response.mjs";

/**
 * Lets a request pass with its session as `c.var.session`. Answers a request without a valid
 * session.
 *
 * @param {RequireSessionOptions} options
 */
export function requireSession(options) {
  const verifier = verifierOf(options);
  /**
   * @param {Context<{ Variables: { session: Session } }>} c
   * @param {Next} next
   */
  return async (c, next) => {
    const { session, refusal } = await check(c.req.raw, fetchAuthorization, verifier);
    if (refusal) return responseOf(refusal);
    c.set("session", session);
    await next();
    return undefined;
  };
}
