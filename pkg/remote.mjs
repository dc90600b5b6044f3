// A document of the issuer's (its keys, its revocation feed): fetched, kept, refreshed, and given up when it is
// too old to be believed.

import { SessionError } from "./errors.mjs";
import { own } from "./own.mjs";

const RETRY_MS = 5_000; // between fetches after a failure
const TIMEOUT_MS = 3_000;
const DROPPED_MS = TIMEOUT_MS + 1_000; // a fetch has long failed by then, unless nobody is left to see that

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** The document is the issuer's, but of another time: it is an old one, or this machine's clock is wrong. */
export class UntimelyError extends Error {}

/** The URL, if documents may come from there: https, or http on this machine. */
export function documentUrl(text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    throw new SessionError("invalid_options", "the issuer, or the URL of its keys, is not a URL");
  }
  const secure = url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK.has(url.hostname));
  if (!secure || url.username || url.password) {
    throw new SessionError("invalid_options", "keys are fetched over https only, or over http from this machine");
  }
  return url.href;
}

async function fetchText(url, { accept, maxBytes, etag, fetchOptions }) {
  // One deadline for headers and body; a redirect is somebody else's answer.
  const options = {
    ...fetchOptions,
    method: "GET", // or Node's fetch would inherit one from a polluted Object.prototype
    redirect: "manual",
    headers: own({ accept, ...(etag && { "if-none-match": etag }) }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
  const response = await fetch(url, own(options));
  if (response.status === 304 && etag) return { text: undefined, etag };
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`the issuer answered ${response.status || "with a redirect"}`);
  }
  if (!response.body) throw new Error("the issuer's answer is empty");
  const chunks = [];
  let length = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > maxBytes) {
      await reader.cancel();
      throw new Error(`the issuer's answer is over ${maxBytes / 1024} KiB`);
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return {
    text: new TextDecoder("utf-8", { fatal: true }).decode(bytes),
    etag: response.headers.get("etag") ?? undefined,
  };
}

/**
 * Keeps the document at `url`. `use(text)` takes a new one, and throws when it is unsound: then the last good one
 * stays. It may return a promise. `use(undefined)` says that the last one is still the newest, and throws when that cannot be believed.
 *
 * `freshMs` is how long one is used without asking again, `staleMs` how long one is used when the issuer does not
 * answer, `untimelyMs` how long one is used when the issuer's answers are of another time, `unavailable` the code of the
 * error after that. `platform.keepAlive(promise)`, where there is one, lets a
 * fetch outlive the request that began it; `platform.fetchOptions` are the platform's own.
 */
export class RemoteDocument {
  #kind;
  #platform;
  #fetchedAt = -Infinity;
  #triedAt = -Infinity;
  #etag;
  #failure;
  #pending;
  #wasIdle; // nothing was fetched for long before the last fetch began
  #isPromising; // the issuer is not known to be failing, as of when the last fetch began
  #isUntimely = false; // the issuer's last answer was
  #closed = false;
  #timer;

  constructor(kind, platform) {
    this.#kind = kind;
    this.#platform = platform;
  }

  /** Refreshes also while nobody asks, so that the first token after a quiet hour finds it. */
  keepFresh() {
    // Where a promise needs keeping alive, so would a timer, and there is nothing for that.
    if (this.#platform.keepAlive) return;
    this.#timer = setInterval(() => this.#refresh(0), this.#kind.freshMs);
    this.#timer.unref?.(); // a process may end all the same
  }

  /** Milliseconds since it was fetched. */
  get age() {
    return Date.now() - this.#fetchedAt;
  }

  #mayBeUsed(age) {
    const { staleMs, untimelyMs } = this.#kind;
    return age <= staleMs && age !== Infinity && !(this.#isUntimely && age > untimelyMs);
  }

  /** Throws when there is none that may still be used; refreshes an old one in the background. */
  check() {
    const { freshMs, unavailable } = this.#kind;
    // A clock that was set back makes nothing younger than new.
    if (this.age < 0) this.#fetchedAt = Date.now() - freshMs;
    const age = this.age;
    if (age > freshMs) this.#refresh(RETRY_MS);
    if (!this.#mayBeUsed(age)) {
      const reason = this.#closed ? "the verifier was closed" : (this.#failure ?? "the issuer is being asked; try again");
      throw new SessionError(unavailable, reason);
    }
  }

  /** Waits until it is fresh, for no longer than one fetch may take; or throws when there is none that may be used. */
  async ready() {
    await this.refreshed();
    this.check();
  }

  /**
   * Refreshes an old one. Returns a promise that settles when that is done; or nothing when there is nothing to wait for:
   * it is fresh, or it may be used and the issuer has just failed to answer.
   */
  refreshed() {
    if (this.age <= this.#kind.freshMs) return undefined;
    this.#refresh(RETRY_MS);
    return this.#isPromising || !this.#mayBeUsed(this.age) ? this.#settled() : undefined;
  }

  /**
   * Like `refreshed`, for one request of many. Where timers refresh it, one that may be used is waited for only after
   * they stood still: a machine was asleep, or a cloud function was frozen between two calls.
   */
  usable() {
    if (this.age <= this.#kind.freshMs) return undefined;
    this.#refresh(RETRY_MS);
    return !this.#mayBeUsed(this.age) || (this.#timer ? this.#wasIdle : this.#isPromising) ? this.#settled() : undefined;
  }

  /**
   * There may be a newer one: fetches, at most once in `cooldownMs`. Returns a promise that settles when there may be
   * news, or nothing when none are expected: nothing is being fetched, or the issuer has just failed to answer.
   */
  renew(cooldownMs) {
    this.#refresh(cooldownMs);
    return this.#pending && this.#isPromising ? this.#settled() : undefined;
  }

  close() {
    this.#closed = true;
    clearInterval(this.#timer);
  }

  #refresh(cooldown) {
    const triedAt = Date.now();
    const since = triedAt - this.#triedAt;
    // It outlived its deadline, so it was dropped with the request that began it, and counts as not made.
    const wasDropped = this.#pending && (since < 0 || since > DROPPED_MS);
    if (this.#closed || (this.#pending && !wasDropped) || (!wasDropped && since >= 0 && since < cooldown)) return;
    if (wasDropped) this.#failure ??= "the issuer did not answer in time";
    const { freshMs } = this.#kind;
    const idleMs = since < 0 ? Infinity : since;
    this.#wasIdle = idleMs > freshMs + Math.max(freshMs, RETRY_MS); // timers would not have been that late
    // A failure of long ago says nothing about the issuer now.
    this.#isPromising = this.#failure === undefined || idleMs > Math.max(freshMs, 2 * RETRY_MS);
    this.#triedAt = triedAt;
    const { url, use, accept, maxBytes } = this.#kind;
    const options = { accept, maxBytes, etag: this.#etag, fetchOptions: this.#platform.fetchOptions };
    const attempt = fetchText(url, options)
      .then(async ({ text, etag }) => {
        await use(text);
        this.#etag = etag;
        this.#fetchedAt = triedAt;
        this.#failure = undefined;
        this.#isUntimely = false;
      })
      .catch((error) => {
        this.#etag = undefined;
        this.#failure = error.message;
        if (error instanceof UntimelyError) this.#isUntimely = true;
      })
      .finally(() => {
        if (this.#pending === attempt) this.#pending = undefined;
      });
    this.#pending = attempt;
    this.#platform.keepAlive?.(attempt);
  }

  /**
   * Waits for the fetch under way until its deadline, with a timer of its own: the fetch may belong to another request,
   * and be dropped with it.
   */
  async #settled() {
    const leftMs = Math.min(TIMEOUT_MS, Math.max(0, this.#triedAt + TIMEOUT_MS - Date.now()));
    if (!this.#pending) return;
    let timer;
    await Promise.race([this.#pending, new Promise((done) => (timer = setTimeout(done, leftMs)))]);
    clearTimeout(timer);
  }
}
