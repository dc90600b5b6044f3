// The state that the panels share, and the hooks with which they load.

import { createContext } from "preact";
import { useCallback, useContext, useEffect, useRef, useState } from "preact/hooks";

/** What every panel may use: `api`, `operator`, `isOwner`, `ask` (a question before an act), `say`
 * (a message after it), and two counters: `minute` of the regular refresh, `changes` of acts. */
export const Shared = createContext(/** @type {any} */ (undefined));

export const useShared = () => useContext(Shared);

/** What a panel has of its answer: the data and when they came, or why the last request failed.
 *
 * @typedef {{ path?: string, data?: any, at?: Date, error?: Error, isLoading?: boolean }} Loading */

/** Loads a path: again each minute unless `isPaused`, and after every act. A failure keeps the data
 * that are there. With `keeps`, another path keeps them as well until its own have come. */
export function useLoad(path, { isPaused = false, keeps = false } = {}) {
  const { api, minute, changes } = useShared();
  const [state, setState] = useState(/** @type {Loading} */ ({ path }));
  const seen = useRef(minute);
  if (!isPaused) seen.current = minute;
  useEffect(() => {
    if (path === undefined) return undefined;
    const controller = new AbortController();
    setState((old) => ({ ...(old.path === path || keeps ? old : {}), path, isLoading: true }));
    api.read(path, controller.signal).then(
      (data) => controller.signal.aborted || setState({ path, data, at: new Date() }),
      (error) => controller.signal.aborted || setState((old) => ({ ...old, error, isLoading: false })),
    );
    return () => controller.abort();
  }, [api, path, changes, seen.current]);
  return state.path === path || keeps ? state : { isLoading: true };
}

/** Loads a list, page by page: the items are in the member `name` of each answer. While more than
 * the first page is there, the regular refresh waits, so that nothing moves under a reader. */
export function useList(path, name) {
  const { api, changes } = useShared();
  const key = `${changes} ${path}`;
  const [later, setLater] = useState(/** @type {{ key: string, pages?: any[], isLoading?: boolean, error?: Error }} */ ({ key }));
  const pages = later.key === key ? (later.pages ?? []) : [];
  const first = useLoad(path, { isPaused: pages.length > 0 });
  const last = pages.at(-1) ?? first.data;
  const next = last?.next;
  const more = useCallback(async () => {
    setLater({ key, pages, isLoading: true });
    try {
      const after = new URLSearchParams({ after: next });
      const page = await api.read(`${path}${path.includes("?") ? "&" : "?"}${after}`);
      setLater({ key, pages: [...pages, page] });
    } catch (error) {
      setLater({ key, pages, error });
    }
  }, [api, key, next, pages]);
  return {
    ...first,
    items: first.data && [first.data, ...pages].flatMap((page) => page[name]),
    more: next && more,
    isLoadingMore: later.key === key && later.isLoading === true,
    moreError: later.key === key ? later.error : undefined,
  };
}
