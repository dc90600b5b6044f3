// Whatever has a Request and answers with a Response: Workers, Deno, Bun, and the frameworks upon them.

import { problem, sessionOf } from "./bearer.mjs";
import { own } from "../verify/own.mjs";

/** The session of the request. Rejects with a SessionError when there is none that holds. */
export async function sessionFrom(request, verifier) {
  return sessionOf(request.headers.get("authorization"), verifier);
}

/** The answer to a request whose session was refused. Throws every other error again: it is the application's. */
export function refusal(error) {
  const refused = problem(error);
  if (!refused) throw error;
  const { status, headers, body } = refused;
  return new Response(body, own({ status, headers }));
}
