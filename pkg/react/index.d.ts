// The types of pioneer-session/react: a hook that reads the session of a page.

import type { PageSession, SessionState } from "pioneer-session/browser";

export type { PageSession, SessionState };

/**
 * The state of a page's session, with `signIn`, `signOut`, `fetch` and `pay`. Its `status` decides
 * the types of the others. All components that read one page agree, also while it changes. It needs
 * no provider. On a server and while a page is hydrated, the state is `loading`.
 */
export function useSession(page: PageSession): SessionState;
