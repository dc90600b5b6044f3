// Types of pioneer-session/next. Next.js compares the exports of a route with its own types.

import type { RequireSessionOptions, Session } from "pioneer-session";

/**
 * Wraps a route handler of the App Router: `export const GET = requireSession(options)(handler)`.
 * The handler gets the session beside `params`, as `session` or under the name in the option
 * `property`. A request without a valid session is answered
 * without the handler.
 */
export function requireSession<const P extends string = "session">(
  options: RequireSessionOptions<Request, P>,
): <Params = any, R extends Request = Request>(
  handler: (request: R, context: { params: Promise<Params> } & { [Name in P]: Session }) => Response | Promise<Response>,
) => (request: R, context: { params: Promise<Params> }) => Promise<Response>;
