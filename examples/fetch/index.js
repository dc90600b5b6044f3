// A Worker with a public route and a route for signed-in Pioneers. Other platforms with Request do
// the same.

import { createVerifier } from "pioneer-session";
import { refusal, sessionFrom } from "pioneer-session/fetch";

let verifier; // created by the first request, because a Worker cannot fetch before it

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/") return Response.json({ hello: "anybody" });
    if (pathname !== "/profile") return new Response("There is nothing here.", { status: 404 });
    try {
      verifier ??= await createVerifier({
        issuer: env.SESSION_ISSUER,
        audience: env.SESSION_AUDIENCE,
        revocations: true,
        // On workers.dev, a Worker reaches another Worker of its account only by a service binding.
        fetch: env.SESSION && ((url, init) => env.SESSION.fetch(url, init)),
      });
      const { uid, username } = await sessionFrom(request, verifier);
      return Response.json({ uid, username });
    } catch (error) {
      return refusal(error);
    }
  },
};
