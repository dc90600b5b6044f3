// Next.js: wraps the route handlers of the App Router.

import { refusal, sessionFrom } from "./fetch.mjs";
import { verifierOf } from "./bearer.mjs";

/** Wraps a handler, which finds the session beside `params`; without one, it is not called. */
export function requireSession(options) {
  const verifier = verifierOf(options);
  return (handler) => async (request, context) => {
    let session;
    try {
      session = await sessionFrom(request, verifier);
    } catch (error) {
      return refusal(error);
    }
    return handler(request, { ...context, session });
  };
}
