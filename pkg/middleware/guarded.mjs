// Which requests passed requireSession. `sessionOf(request)` reads the session without declaring
// `request.session` for the whole program.

/** @import { Session } from "pioneer-session" */

/** @type {WeakMap<object, Session>} */
const sessions = new WeakMap();

/**
 * @param {object} request
 * @param {Session} session
 */
export function remember(request, session) {
  sessions.set(request, session);
}

/**
 * The session of a request that passed requireSession.
 *
 * @param {object} request
 */
export function sessionOf(request) {
  const session = sessions.get(request);
  if (session) return session;
  // `import` and `require` load a copy of the middleware each.
  throw new Error("This request has not passed requireSession. Add requireSession to its route, from the same module as sessionOf.");
}
