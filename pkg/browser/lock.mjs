// Locks that all tabs of the browser share.

import { own } from "./own.mjs";
import { use } from "./storage.mjs";
import { sleep } from "./wait.mjs";

const LOCK_MS = 30_000; // a tab that the system has frozen may keep its lock

/**
 * Runs a task while no other tab runs one with this name. With `ifAvailable`, it does nothing if
 * another tab does. The browser may have no locks, refuse them, or grant none in time: then the task
 * runs anyway, and the issuer's rules keep the session right.
 */
export async function exclusively(name, task, ifAvailable = false) {
  let release;
  const held = new Promise((done) => (release = done));
  const turn = new Promise((go) => {
    const hold = (lock) => go(lock) || held;
    Promise.resolve(use(navigator.locks, "request", name, own({ ifAvailable }), hold)).then(go, go);
  });
  try {
    return (await Promise.race([turn, sleep(LOCK_MS)])) === null ? undefined : await task();
  } finally {
    release();
  }
}
