// `import "pioneer-session/fastify/augment"` declares `request.session` on the requests of Fastify,
// in the whole program. The types of @fastify/session declare the same name. Where they are
// installed, use `sessionOf(request)` or the option `property` instead.

import type { Session } from "pioneer-session";

declare module "fastify" {
  interface FastifyRequest {
    /**
     * The verified session, in scopes where `requireSession` is registered. It is missing in other
     * scopes, so use `sessionOf(request)` where it must be there.
     */
    session?: Session;
  }
}
