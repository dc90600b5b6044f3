// Types of pioneer-session/hono.

import type { Context, MiddlewareHandler } from "hono";
import type { RequireSessionOptions, Session } from "pioneer-session";

/**
 * Lets a request pass with its session as `c.var.session`, or under the name in the option
 * `property`. Answers a request without a valid session. `onRefused` gets the context.
 */
export function requireSession<const P extends string = "session">(
  options: RequireSessionOptions<Context, P>,
): MiddlewareHandler<{ Variables: { [Name in P]: Session } }>;
