// pioneer-session/react: a hook that reads the session of a page.
"use client";

/** @import { PageSession, SessionState } from "pioneer-session/browser" */

import { useSyncExternalStore } from "react";

/**
 * The state of a page's session. The component is rendered again when it changes.
 *
 * @param {PageSession} page
 * @returns {SessionState}
 */
export const useSession = (page) => useSyncExternalStore(page.subscribe, page.getState, page.getInitialState);
