// Waits, with a limit for everything that may never end.

import { SignInError } from "./errors.mjs";

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Runs a task with a time limit. After that the task is aborted, if it can be, and fails with this code. */
export function within(ms, code, run) {
  const controller = new AbortController();
  let timer;
  const late = new Promise((done, fail) => {
    timer = setTimeout(() => {
      fail(new SignInError(code));
      controller.abort();
    }, ms);
  });
  return Promise.race([run(controller.signal), late]).finally(() => clearTimeout(timer));
}

/** Resolves like the promise, unless the caller aborts first. */
export function unless(signal, promise) {
  const stopped = new Promise((done, fail) => {
    const stop = () => fail(signal.reason || new DOMException("Aborted", "AbortError"));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop);
  });
  return Promise.race([promise, stopped]);
}
