// Every platform that has a Request and answers with a Response: Workers, Deno, Bun, and the
// frameworks for them.

/** @import { Verifier } from "pioneer-session" */

import { fetchAuthorization } from "./bearer.mjs";
import { authenticate } from "./check.mjs";
import { problem } from "./problem.mjs";
import { responseOf } from "./response.mjs";

/**
 * The session of the request. Rejects with a SessionError if it has no valid session.
 *
 * @param {Request} request
 * @param {Verifier} verifier
 */
export async function sessionFrom(request, verifier) {
  return authenticate(fetchAuthorization(request), verifier);
}

/**
 * The answer to a request without a valid session. Throws every other error again, because the
 * application must handle it.
 *
 * @param {unknown} error
 */
export function refusal(error) {
  const refused = problem(error);
  if (!refused) throw error;
  return responseOf(refused);
}
