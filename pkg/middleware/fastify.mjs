// Fastify: a plugin that guards the scope in which it is registered.

import { nodeAuthorization, problem, sessionOf, verifierOf } from "./bearer.mjs";
import { remember } from "./guarded.mjs";
import { own } from "../verify/own.mjs";

export { sessionOf } from "./guarded.mjs";

/** A plugin. Every route of its scope has the session as `request.session`, or answers before the body is read. */
export function requireSession(options) {
  const given = own(options);
  let verifier = verifierOf(options);
  let scopes = 0;
  let isClosed = false;

  /** The verifier lives as long as the last application that uses it. One that was passed in may have other users. */
  function keep(scope) {
    if (given.verifier !== undefined) return;
    if (isClosed) verifier = verifierOf(given);
    isClosed = false;
    scopes += 1;
    scope.addHook("onClose", async () => {
      scopes -= 1;
      isClosed = scopes === 0;
      if (isClosed) await verifier.close();
    });
  }

  function plugin(scope, _, done) {
    keep(scope);
    refuseOthers(scope);
    scope.addHook("onRequest", async (request, reply) => {
      try {
        request.session = await sessionOf(nodeAuthorization(request.raw), verifier);
        remember(request, request.session);
      } catch (error) {
        const refusal = problem(error);
        if (!refusal) throw error;
        // As bytes, because to a text Fastify would add a charset, which JSON does not have.
        return reply.code(refusal.status).headers(refusal.headers).send(Buffer.from(refusal.body));
      }
    });
    done();
  }
  // What the package fastify-plugin would write: the hook is for the caller's scope, not for one of its own.
  plugin[Symbol.for("skip-override")] = true;
  plugin[Symbol.for("fastify.display-name")] = "pioneer-session";
  return plugin;
}

/**
 * Lets the application not start where something else decorates requests with `session`. We do not decorate them ourselves:
 * the second decorator of one name is thrown out of the plugin that adds it, which no `catch` around `ready()` sees, and
 * this plugin may be there twice.
 */
function refuseOthers(scope) {
  const scopes = new Set([scope]);
  scope.addHook("onRoute", function () {
    scopes.add(this);
  });
  scope.addHook("onReady", async () => {
    if ([...scopes].some((each) => each.hasRequestDecorator("session"))) {
      throw new Error("request.session is in use: register @fastify/session, or whatever else sets it, in another scope");
    }
  });
}
