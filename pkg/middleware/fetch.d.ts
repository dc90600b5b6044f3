// Types of pioneer-session/fetch.

import type { Session, Verifier } from "pioneer-session";

/** The session of the request. Rejects with a SessionError if it has no valid session. */
export function sessionFrom(request: Request, verifier: Verifier): Promise<Session>;

/**
 * The answer to a request without a valid session. Throws every other error again, because the
 * application must handle it.
 */
export function refusal(error: unknown): Response;
