// Hono, on every platform that it runs on.

import { refusal, sessionFrom } from "./fetch.mjs";
import { verifierOf } from "./bearer.mjs";

/** Lets a request pass with its session as `c.var.session`, and answers it otherwise. */
export function requireSession(options) {
  const verifier = verifierOf(options);
  return async (c, next) => {
    let session;
    try {
      session = await sessionFrom(c.req.raw, verifier);
    } catch (error) {
      return refusal(error);
    }
    c.set("session", session);
    await next();
  };
}
