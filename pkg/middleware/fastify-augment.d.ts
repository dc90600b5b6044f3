// `import "pioneer-session/fastify/augment"` declares `request.session` on the requests of Fastify, in the whole program.
// Types of @fastify/session claim the same name: where they are installed, use `sessionOf(request)` instead.

import type { Session } from "pioneer-session";

declare module "fastify" {
  interface FastifyRequest {
    /** The verified session, in scopes where `requireSession` is registered; nothing in others. */
    session: Session;
  }
}
