// Types of pioneer-session/fastify.

import type { FastifyPluginCallback, FastifyRequest } from "fastify";
import type { RequireSessionOptions, Session } from "pioneer-session";

/**
 * A plugin: `scope.register(requireSession(options))`. Every route of the scope has the session as `request.session`, or
 * answers before the body is read. `sessionOf` reads it with its type. To declare `request.session` instead, import
 * `pioneer-session/fastify/augment` once.
 */
export function requireSession(options: RequireSessionOptions): FastifyPluginCallback;

/** The session of a request that passed `requireSession`. Throws when it did not: its scope lacks the plugin. */
export function sessionOf(request: FastifyRequest<any, any, any, any, any, any, any, any>): Session;
