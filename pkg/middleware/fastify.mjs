// Fastify: a plugin that protects the scope in which it is registered.

/** @import { FastifyInstance, FastifyPluginCallback } from "fastify" */
/** @import { RequireSessionOptions } from "pioneer-session" */

import { nodeAuthorization } from "./bearer.mjs";
import { check, guardOf } from "./check.mjs";
import { remember } from "./guarded.mjs";

export { sessionOf } from "./guarded.mjs";

/**
 * A plugin. Every route of its scope gets the session as `request.session`, or under the name in
 * the option `property`. A request without a valid session is answered before its body is read.
 *
 * @param {RequireSessionOptions<any, string>} options
 */
export function requireSession(options) {
  const guard = guardOf(options);
  const { property } = guard;
  let scopes = 0;
  let isClosed = false;

  /**
   * Keeps the verifier open as long as an application uses it. A verifier that was passed in may
   * have other users.
   *
   * @param {FastifyInstance} scope
   */
  function keep(scope) {
    if (!guard.isOwn) return;
    if (isClosed) guard.renew();
    isClosed = false;
    scopes += 1;
    scope.addHook("onClose", async () => {
      scopes -= 1;
      isClosed = scopes === 0;
      if (isClosed) await guard.verifier.close();
    });
  }

  /** @type {FastifyPluginCallback} */
  const plugin = (scope, _, done) => {
    keep(scope);
    refuseOthers(scope, property);
    scope.addHook("onRequest", async (request, reply) => {
      const { session, refusal } = await check(request.raw, nodeAuthorization, guard, request);
      // As bytes, because Fastify would add a charset to a text, and JSON has none.
      if (refusal) return reply.code(refusal.status).headers(refusal.headers).send(Buffer.from(refusal.body));
      /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (request))[property] = session;
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
 * Stops the application from starting when another plugin decorates requests with the same name.
 * This plugin does not decorate them: Fastify throws the second decorator of a name out of the
 * plugin that adds it, where no `catch` around `ready()` can see it, and this plugin may be
 * registered twice.
 *
 * @param {FastifyInstance} scope
 * @param {string} property
 */
function refuseOthers(scope, property) {
  const scopes = new Set([scope]);
  scope.addHook("onRoute", /** @this {FastifyInstance} */ function () {
    scopes.add(this);
  });
  scope.addHook("onReady", async () => {
    if ([...scopes].some((each) => each.hasRequestDecorator(property))) {
      throw new Error(`request.${property} is in use. Register @fastify/session, or the other plugin that sets it, in another scope, or choose another name with the option property.`);
    }
  });
}
