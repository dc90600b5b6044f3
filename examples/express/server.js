// An Express application with a public route and a route for signed-in Pioneers.

import express from "express";
import { requireSession } from "pioneer-session/express";

const { SESSION_ISSUER = "http://localhost:8787", SESSION_AUDIENCE = "demo", PORT = "3000" } = process.env;
const signedIn = requireSession({ issuer: SESSION_ISSUER, audience: SESSION_AUDIENCE, revocations: true });

const app = express();

app.get("/", (request, response) => {
  response.json({ hello: "anybody" });
});

app.get("/profile", signedIn, (request, response) => {
  const { uid, username } = request.session;
  response.json({ uid, username });
});

app.listen(Number(PORT), "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`http://127.0.0.1:${PORT}`);
});
