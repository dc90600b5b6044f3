// Types of pioneer-session/fastify.

import type { FastifyPluginCallback } from "fastify";
import type { RequireSessionOptions, Session } from "pioneer-session";

declare module "fastify" {
  interface FastifyRequest {
    /** The verified session, in scopes where `requireSession` is registered; nothing in others. */
    session: Session;
  }
}

/**
 * A plugin: `scope.register(requireSession(options))`. Every route of the scope has the session as `request.session`, or
 * answers before the body is read.
 */
export function requireSession(options: RequireSessionOptions): FastifyPluginCallback;
