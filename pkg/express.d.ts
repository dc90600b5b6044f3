// Types of pioneer-session/express. They name no package but this one and node:http, so that Express 4 and 5 both fit.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { RequireSessionOptions, Session } from "pioneer-session";

declare global {
  namespace Express {
    interface Request {
      /**
       * The verified session, on routes behind `requireSession`; nothing on others. The name is that of express-session,
       * because it is the same thing: an application has one or the other.
       */
      session: Session;
    }
  }
}

/** Lets a request pass with its session as `request.session`, and answers it otherwise. */
export function requireSession(
  options: RequireSessionOptions,
): (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;
