// GET /profile needs a signed-in Pioneer.

import { requireSession } from "pioneer-session/next";

const { SESSION_ISSUER = "http://localhost:8787", SESSION_AUDIENCE = "demo" } = process.env;
const signedIn = requireSession({ issuer: SESSION_ISSUER, audience: SESSION_AUDIENCE, revocations: true });

export const GET = signedIn((request, { session: { uid, username } }) => Response.json({ uid, username }));
