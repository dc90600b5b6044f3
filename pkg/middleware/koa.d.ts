// Types of pioneer-session/koa.

import type { Context, Middleware } from "koa";
import type { RequireSessionOptions, Session } from "pioneer-session";

/**
 * Lets a request pass with its session as `ctx.state.session`, or under the name in the option
 * `property`. Answers a request without a valid session.
 */
export function requireSession<const P extends string = "session">(
  options: RequireSessionOptions<Context, P>,
): Middleware<{ [Name in P]: Session }>;

/**
 * The session of a request that passed `requireSession`. Throws if it did not: the route lacks the
 * middleware.
 */
export function sessionOf(ctx: object): Session;
