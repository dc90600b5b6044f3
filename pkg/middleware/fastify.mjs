// Fastify: a plugin that protects the scope in which it is registered.

/** @import { FastifyInstance, FastifyPluginCallback } from "fastify" */
/** @import { RequireSessionOptions, Session } from "pioneer-session" */

import { own } from "../verify/own.mjs";
import { nodeAuthorization } from "./bearer.mjs";
import { check, verifierOf } from "./check.mjs";
import { remember } from "./guarded.mjs";

export { sessionOf } from "./guarded.mjs";

/**
 * A plugin. Every route of its scope gets the session as `request.session`. A request without a
 * valid session is answered before its body is read.
 *
 * @param {RequireSessionOptions} options
 */
export function requireSession(options) {
  const given = own(options);
  let verifier = verifierOf(options);
  let scopes = 0;
  let isClosed = false;

  /**
   * Keeps the verifier open as long as an application uses it. A verifier that was passed in may
   * have other users.
   *
   * @param {FastifyInstance} scope
   */
  function keep(scope) {
    if ("verifier" in given && given.verifier !== undefined) return;
    if (isClosed) verifier = verifierOf(given);
    isClosed = false;
    scopes += 1;
    scope.addHook("onClose", async () => {
      scopes -= 1;
      isClosed = scopes === 0;
      if (isClosed) await verifier.close();
    });
  }

  /** @type {FastifyPluginCallback} */
  const plugin = (scope, _, done) => {
    keep(scope);
    refuseOthers(scope);
    scope.addHook("onRequest", async (request, reply) => {
      const { session, refusal } = await check(request.raw, nodeAuthorization, verifier);
      // As bytes, because Fastify would add a charset to a text, and JSON has none.
      if (refusal) return reply.code(refusal.status).headers(refusal.headers).send(Buffer.from(refusal.body));
      /** @type {{ session?: Session }} */ (request).session = session;
      remember(request, session);
    });
    done();
  };
  // The package fastify-plugin would set these: the hook is for the caller's scope, not for a new
  // one.
  return Object.assign(plugin, {
    [Symbol.for("skip-override")]: true,
    [Symbol.for("fastify.display-name")]: "pioneer-session",
  });
}

/**
 * Stops the application from starting when another plugin decorates requests with `session`. This
 * plugin does not decorate them: Fastify throws the second decorator of a name out of the plugin
 * that adds it, where no `catch` around `ready()` can see it, and this plugin may be registered
 * twice.
 *
 * @param {FastifyInstance} scope
 */
function refuseOthers(scope) {
  const scopes = new Set([scope]);
  scope.addHook("onRoute", /** @this {FastifyInstance} */ function () {
    scopes.add(this);
  });
  scope.addHook("onReady", async () => {
    if ([...scopes].some((each) => each.hasRequestDecorator("session"))) {
      throw new Error("request.session is in use. Register @fastify/session, or the other plugin that sets it, in another scope.");
    }
  });
}
