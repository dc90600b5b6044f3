// A Fastify application with a public route and a scope for signed-in Pioneers.

import Fastify from "fastify";
import { requireSession } from "pioneer-session/fastify";

const { SESSION_ISSUER = "http://localhost:8787", SESSION_AUDIENCE = "demo", PORT = "3000" } = process.env;

const app = Fastify();

app.get("/", async () => ({ hello: "anybody" }));

app.register(async (scope) => {
  scope.register(requireSession({ issuer: SESSION_ISSUER, audience: SESSION_AUDIENCE, revocations: true }));

  scope.get("/profile", async (request) => {
    const { uid, username } = request.session;
    return { uid, username };
  });
});

console.log(await app.listen({ host: "127.0.0.1", port: Number(PORT) }));
