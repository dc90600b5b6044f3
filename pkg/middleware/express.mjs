// Express, and whatever else calls its middlewares with (request, response, next) of node:http.

import { nodeAuthorization, problem, sessionOf, verifierOf } from "./bearer.mjs";
import { remember } from "./guarded.mjs";

export { sessionOf } from "./guarded.mjs";

/** Where a request has the session that we gave it. The copy of this file for `require` knows it, too. */
const OURS = Symbol.for("pioneer-session.express");

/** Lets a request pass with its session as `request.session`, and answers it otherwise. */
export function requireSession(options) {
  const verifier = verifierOf(options);
  return async (request, response, next) => {
    // express-session would save what it finds there, and fail far from the cause.
    if (request.session && request.session !== request[OURS]) {
      return next(new Error("request.session is in use: take express-session, or whatever else sets it, off this route"));
    }
    try {
      const session = await sessionOf(nodeAuthorization(request), verifier);
      request.session = request[OURS] = session;
      remember(request, session);
    } catch (error) {
      const refusal = problem(error);
      if (!refusal) return next(error);
      // Something else, such as a time limit, has answered while this waited for keys.
      if (response.headersSent) return;
      response.statusCode = refusal.status;
      for (const [name, value] of Object.entries(refusal.headers)) response.setHeader(name, value);
      return response.end(refusal.body);
    }
    next();
  };
}
