// Types of pioneer-session/hono.

import type { MiddlewareHandler } from "hono";
import type { RequireSessionOptions, Session } from "pioneer-session";

/**
 * Lets a request pass with its session as `c.var.session`. Answers a request without a valid
 * session.
 */
export function requireSession(
  options: RequireSessionOptions,
): MiddlewareHandler<{ Variables: { session: Session } }>;
