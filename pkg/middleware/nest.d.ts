// Types of pioneer-session/nest. They import nothing of NestJS, so that they fit every version.

import type { GuardOptions, Session } from "pioneer-session";

/**
 * A guard: `@UseGuards(sessionGuard(options))` on a controller or a method, or
 * `app.useGlobalGuards(sessionGuard(options))`. A request without a valid session is refused with
 * an HttpException. `onRefused` gets the request of Express or Fastify.
 */
export function sessionGuard(options: GuardOptions): {
  canActivate(context: { getType(): string; switchToHttp(): { getRequest(): any; getResponse(): any } }): Promise<boolean>;
};

/**
 * A decorator for a parameter of a handler: `profile(@CurrentSession() session: Session)`. The
 * handler fails if the request did not pass the guard.
 */
export const CurrentSession: () => ParameterDecorator;

/** The session of a request that passed the guard. Throws if it did not. */
export function sessionOf(request: object): Session;
