// Types of pioneer-session/next. Next.js checks what a route exports against its own.

import type { RequireSessionOptions, Session } from "pioneer-session";

/**
 * Wraps a route handler of the App Router: `export const GET = requireSession(options)(handler)`. The handler finds the
 * session beside `params`; without one, it is not called.
 */
export function requireSession(
  options: RequireSessionOptions,
): <Params = any, R extends Request = Request>(
  handler: (request: R, context: { params: Promise<Params>; session: Session }) => Response | Promise<Response>,
) => (request: R, context: { params: Promise<Params> }) => Promise<Response>;
