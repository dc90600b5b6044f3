// Locks that all tabs of the browser share.

import { own } from "./own.mjs";
import { use } from "./storage.mjs";
import { sleep } from "./wait.mjs";

const LOCK_MS = 30_000; // a tab that the system has frozen may keep its lock

/**
 * Runs a task while no other tab runs one with this name. With `ifAvailable`, it does nothing if
 * another tab does. The browser may have no locks, refuse them, or grant none in time: then the
 * task runs anyway, and the issuer's rules keep the session right.
 *
 * @template T
 * @overload
 * @param {string} name
 * @param {() => Promise<T>} task
 * @returns {Promise<T>}
 */
/**
 * @template T
 * @overload
 * @param {string} name
 * @param {() => Promise<T>} task
 * @param {boolean} ifAvailable
 * @returns {Promise<T | undefined>}
 */
/**
 * @param {string} name
 * @param {() => Promise<unknown>} task
 */
export async function exclusively(name, task, ifAvailable = false) {
  /** @type {any} */
  let release;
  /** @type {Promise<void>} */
  const held = new Promise((done) => (release = done));
  const turn = new Promise((go) => {
    const hold = (/** @type {Lock | null} */ lock) => /** @type {any} */ (go(lock)) || held;
    Promise.resolve(use(navigator.locks, "request", name, own({ ifAvailable }), hold)).then(go, go);
  });
  try {
    return (await Promise.race([turn, sleep(LOCK_MS)])) === null ? undefined : await task();
  } finally {
    release();
  }
}
