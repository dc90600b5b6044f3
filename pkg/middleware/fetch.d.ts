// Types of pioneer-session/fetch.

import type { Session, Verifier } from "pioneer-session";

/** The session of the request. Rejects with a SessionError when there is none that holds. */
export function sessionFrom(request: Request, verifier: Verifier): Promise<Session>;

/** The answer to a request whose session was refused. Throws every other error again: it is the application's. */
export function refusal(error: unknown): Response;
