// Types of pioneer-session/fetch.

import type { OnRefused, Session, Verifier } from "pioneer-session";

/**
 * The session of the request. Rejects with a SessionError if it has no valid session. `onRefused`
 * is called with each of these, instead of a warning on the console.
 */
export function sessionFrom(
  request: Request,
  verifier: Verifier,
  options?: { onRefused?: OnRefused<Request> },
): Promise<Session>;

/**
 * The answer to a request without a valid session. Throws every other error again, because the
 * application must handle it.
 */
export function refusal(error: unknown): Response;
