// Every platform that has a Request and answers with a Response: Workers, Deno, Bun, and the
// frameworks for them.

/** @import { OnRefused, SessionError, Verifier } from "pioneer-session" */

import { own } from "../verify/own.mjs";
import { fetchAuthorization } from "./bearer.mjs";
import { authenticate, listener } from "./check.mjs";
import { problem } from "./problem.mjs";
import { report } from "./refused.mjs";
import { responseOf } from "./response.mjs";

/**
 * The session of the request. Rejects with a SessionError if it has no valid session.
 *
 * @param {Request} request
 * @param {Verifier} verifier
 * @param {{ onRefused?: OnRefused<Request> }} [options]
 */
export async function sessionFrom(request, verifier, options) {
  const onRefused = options === undefined ? undefined : listener(own(options).onRefused);
  try {
    return await authenticate(fetchAuthorization(request), verifier);
  } catch (error) {
    if (problem(error)) report(/** @type {SessionError} */ (error), request, verifier, onRefused);
    throw error;
  }
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
