// Types of pioneer-session/fastify.

import type { FastifyPluginCallback, FastifyRequest } from "fastify";
import type { RequireSessionOptions, Session } from "pioneer-session";

/**
 * A plugin: `scope.register(requireSession(options))`. Every route of the scope gets the session as
 * `request.session`, or under the name in the option `property`. A request without a valid session
 * is answered before its body is read. `sessionOf` returns the session with its type. To declare
 * `request.session` on all requests, import `pioneer-session/fastify/augment` once.
 */
export function requireSession(options: RequireSessionOptions<FastifyRequest, string>): FastifyPluginCallback;

/**
 * The session of a request that passed `requireSession`. Throws if it did not: its scope lacks the
 * plugin.
 */
export function sessionOf(request: FastifyRequest<any, any, any, any, any, any, any, any>): Session;
