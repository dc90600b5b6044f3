// Waits, with a limit for everything that may never end.

/** @import { SignInErrorCode } from "pioneer-session/browser" */

import { SignInError } from "./errors.mjs";

/**
 * @param {number} ms
 * @returns {Promise<void>}
 */
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/**
 * Runs a task with a time limit. After that the task is aborted, if it can be, and fails with this
 * code.
 *
 * @template T
 * @param {number} ms
 * @param {SignInErrorCode} code
 * @param {(signal: AbortSignal) => Promise<T>} run
 * @returns {Promise<T>}
 */
export function within(ms, code, run) {
  const controller = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {Promise<never>} */
  const late = new Promise((done, fail) => {
    timer = setTimeout(() => {
      fail(new SignInError(code));
      controller.abort();
    }, ms);
  });
  return Promise.race([run(controller.signal), late]).finally(() => clearTimeout(timer));
}

/**
 * Resolves like the promise, unless the caller aborts first.
 *
 * @template T
 * @param {AbortSignal} signal
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export function unless(signal, promise) {
  /** @type {Promise<never>} */
  const stopped = new Promise((done, fail) => {
    const stop = () => fail(signal.reason || new DOMException("Aborted", "AbortError"));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop);
  });
  return Promise.race([promise, stopped]);
}
