// NestJS, on Express and on Fastify: a guard, and a decorator for the session.

/** @import { GuardOptions, Session } from "pioneer-session" */

import { HttpException, createParamDecorator } from "@nestjs/common";
import { SessionError } from "#entry";
import { own } from "../verify/own.mjs";
import { nodeAuthorization } from "./bearer.mjs";
import { check, guardOf } from "./check.mjs";
import { remember, sessionOf } from "./guarded.mjs";

export { sessionOf };

/**
 * The parts of NestJS's ExecutionContext that are used.
 *
 * @typedef {object} Execution
 * @property {() => string} getType
 * @property {() => { getRequest(): any, getResponse(): any }} switchToHttp
 */

/** @param {Execution} execution */
function httpOf(execution) {
  if (execution.getType() === "http") return execution.switchToHttp();
  throw new Error("sessionGuard protects routes of HTTP. Remove it from this gateway, resolver or message handler.");
}

/**
 * A guard for `@UseGuards` and `useGlobalGuards`. A request without a valid session is refused with
 * an HttpException, which the application's exception filters see.
 *
 * @param {GuardOptions} options
 */
export function sessionGuard(options) {
  if (/** @type {{ property?: unknown }} */ (own(options)).property !== undefined) throw new SessionError("invalid_options", "sessionGuard has no option property; use @CurrentSession()");
  const guard = guardOf(options);
  return {
    /** @param {Execution} execution */
    async canActivate(execution) {
      const http = httpOf(execution);
      const request = http.getRequest();
      // Fastify's request has the one of node:http as `raw`.
      const { session, refusal } = await check(request.raw ?? request, nodeAuthorization, guard, request);
      if (refusal) {
        const response = http.getResponse();
        // NestJS 11 on Express replaces any other type than its own, and logs that for each answer.
        const { "Content-Type": _, ...headers } = refusal.headers;
        for (const [name, value] of Object.entries(headers)) response.header(name, value);
        throw new HttpException(JSON.parse(refusal.body), refusal.status);
      }
      remember(request, session);
      return true;
    },
  };
}

/**
 * A decorator for a parameter: the session of the request. The route must have the guard.
 *
 * @type {() => ParameterDecorator}
 */
export const CurrentSession = createParamDecorator(
  /**
   * @param {unknown} _
   * @param {Execution} execution
   * @returns {Session}
   */
  (_, execution) => sessionOf(httpOf(execution).getRequest()),
);
