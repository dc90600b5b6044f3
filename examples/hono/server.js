// A Hono application with a public route and a route for signed-in Pioneers. Only the last line is
// for Node.

import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { requireSession } from "pioneer-session/hono";

const { SESSION_ISSUER = "http://localhost:8787", SESSION_AUDIENCE = "demo", PORT = "3000" } = process.env;
const signedIn = requireSession({ issuer: SESSION_ISSUER, audience: SESSION_AUDIENCE, revocations: true });

const app = new Hono();

app.get("/", (c) => c.json({ hello: "anybody" }));

app.get("/profile", signedIn, (c) => {
  const { uid, username } = c.var.session;
  return c.json({ uid, username });
});

serve({ fetch: app.fetch, hostname: "127.0.0.1", port: Number(PORT) }, () => console.log(`http://127.0.0.1:${PORT}`));
