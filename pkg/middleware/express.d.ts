// Types of pioneer-session/express. They name no package but this one and node:http, so that Express 4 and 5 both fit.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { RequireSessionOptions, Session } from "pioneer-session";

/**
 * Lets a request pass with its session as `request.session`, and answers it otherwise. `sessionOf` reads it with its type.
 * To declare `request.session` instead, import `pioneer-session/express/augment` once.
 */
export function requireSession(
  options: RequireSessionOptions,
): (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;

/** The session of a request that passed `requireSession`. Throws when it did not: the route lacks the middleware. */
export function sessionOf(request: IncomingMessage): Session;
