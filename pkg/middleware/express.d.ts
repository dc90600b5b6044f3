// Types of pioneer-session/express. They import only this package and node:http, so that they fit
// Express 4 and 5.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { RequireSessionOptions, Session } from "pioneer-session";

/**
 * Lets a request pass with its session as `request.session`, or under the name in the option
 * `property`. Answers a request without a valid session. `sessionOf` returns the session with its
 * type. To declare `request.session` on all requests, import `pioneer-session/express/augment`
 * once.
 */
export function requireSession<Request extends IncomingMessage = any>(
  options: RequireSessionOptions<Request, string>,
): (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;

/**
 * The session of a request that passed `requireSession`. Throws if it did not: the route lacks the
 * middleware.
 */
export function sessionOf(request: IncomingMessage): Session;
