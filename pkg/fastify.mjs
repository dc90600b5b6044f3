// Fastify: a plugin that guards the scope in which it is registered.

import { nodeAuthorization, problem, sessionOf, verifierOf } from "./bearer.mjs";
import { remember } from "./guarded.mjs";
import { own } from "./own.mjs";

export { sessionOf } from "./guarded.mjs";

/** A plugin. Every route of its scope has the session as `request.session`, or answers before the body is read. */
export function requireSession(options) {
  const verifier = verifierOf(options);
  function plugin(scope, _, done) {
    scope.decorateRequest("session", null);
    scope.addHook("onRequest", async (request, reply) => {
      try {
        request.session = await sessionOf(nodeAuthorization(request.raw), verifier);
        remember(request, request.session);
      } catch (error) {
        const refusal = problem(error);
        if (!refusal) throw error;
        // As bytes, for to a text Fastify would add a charset, which JSON does not have.
        return reply.code(refusal.status).headers(refusal.headers).send(Buffer.from(refusal.body));
      }
    });
    // One that was passed in may have other users.
    if (own(options).verifier === undefined) scope.addHook("onClose", () => verifier.close());
    done();
  }
  // What the package fastify-plugin would write: the hook is for the caller's scope, not for one of its own.
  plugin[Symbol.for("skip-override")] = true;
  plugin[Symbol.for("fastify.display-name")] = "pioneer-session";
  return plugin;
}
