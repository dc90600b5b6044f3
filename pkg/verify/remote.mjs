// A document of the issuer's (its keys, its revocation feed): fetched, kept, refreshed, and given up when it is
// too old to be believed.

import { SessionError } from "./errors.mjs";
import { own } from "./own.mjs";

const RETRY_MS = 5_000; // between fetches after a failure
const TIMEOUT_MS = 3_000;
const DROPPED_MS = TIMEOUT_MS + 1_000; // a fetch has long failed by then, unless nobody is left to see that
const LATE_MS = 2_000; // as long as a busy process may keep a timer waiting, however short its interval is
const MAX_CAUSES = 5; // of an error, in which its system's code is looked for

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

// Taken now, because fake timers of tests replace it, and then go back to the real one.
const steadyMs = globalThis.performance?.now.bind(globalThis.performance) ?? Date.now;

/** A moment on two clocks: the wall's can be set, and the steady one may stand still while the machine is suspended. */
const moment = () => ({ wall: Date.now(), steady: steadyMs() });
const NEVER = { wall: -Infinity, steady: -Infinity };

/** Milliseconds since a moment, by the clock that says more; without end when the clocks make no sense. */
function elapsed({ wall, steady }) {
  const passed = Math.max(Date.now() - wall, steadyMs() - steady);
  return passed >= 0 ? passed : Infinity;
}

/** The document is the issuer's, but of another time: it is an old one, or this machine's clock is wrong. */
export class UntimelyError extends Error {}

/** The URL that an option names, if documents may come from there: https, or http on this machine. */
export function documentUrl(text, option) {
  let url;
  try {
    url = new URL(text);
  } catch {
    throw new SessionError("invalid_options", `${option} must be a URL such as https://session.example.com`);
  }
  const secure = url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK.has(url.hostname));
  if (!secure) throw new SessionError("invalid_options", `${option} must begin with https://, or with http:// on this machine only`);
  if (url.username || url.password) throw new SessionError("invalid_options", `${option} must have no user name and no password`);
  return url.href;
}

const NO_ANSWER = `no answer within ${TIMEOUT_MS / 1000} seconds`;

/** Aborts after so long. Browsers of before 2022 have no AbortSignal.timeout. */
function deadline(ms) {
  if (typeof AbortSignal.timeout === "function") return AbortSignal.timeout(ms);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), ms).unref?.();
  return controller.signal;
}

/** Fetches within the deadline, which holds as well for a `fetch` of the caller's that heeds no signal. */
async function fetchInTime(url, options) {
  const signal = deadline(TIMEOUT_MS);
  let abort;
  const aborted = new Promise((_, fail) => (abort = () => fail(new Error(NO_ANSWER))));
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([fetchText(url, { ...options, signal }), aborted]);
  } finally {
    signal.removeEventListener("abort", abort); // with it, Deno would wait for the deadline before it ends
  }
}

async function fetchText(url, { accept, maxBytes, etag, fetch, fetchOptions, mayRepeat, signal }) {
  if (typeof fetch !== "function") throw new Error("there is no fetch here; pass one as the option fetch");
  // One deadline for headers and body; a redirect is somebody else's answer.
  const options = {
    ...fetchOptions,
    method: "GET", // or Node's fetch would inherit one from a polluted Object.prototype
    redirect: "manual",
    headers: own({ accept, ...(etag && { "if-none-match": etag }) }),
    signal,
  };
  const once = async () => fetch(url, own(options));
  const response = await once().catch((error) => {
    // The connection that an earlier fetch left open may have died while the process stood still.
    if (!mayRepeat || signal.aborted) throw error;
    return once();
  });
  if (response.status === 304 && etag) return { text: undefined, etag };
  // A fetch that the caller passed may have followed it.
  if (response.status !== 200 || response.redirected) {
    await response.body?.cancel?.();
    throw new Error(`the issuer answered ${(!response.redirected && response.status) || "with a redirect"}`);
  }
  if (!response.body) throw new Error("the issuer's answer is empty");
  return {
    text: new TextDecoder("utf-8", { fatal: true }).decode(await bytesOf(response, maxBytes)),
    etag: response.headers.get("etag") ?? undefined,
  };
}

/** The body, as long as it is no longer than it may be. */
async function bytesOf(response, maxBytes) {
  const tooLong = () => new Error(`the issuer's answer is over ${maxBytes / 1024} KiB`);
  if (typeof response.body.getReader !== "function") {
    // A fetch that the caller passed may have streams of its own.
    const buffer = await response.arrayBuffer();
    if (buffer.byteLength > maxBytes) throw tooLong();
    return new Uint8Array(buffer);
  }
  const chunks = [];
  let length = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > maxBytes) {
      await reader.cancel();
      throw tooLong();
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

/** Why a fetch failed. Node's fetch says no more than "fetch failed", and has the system's code in a cause. */
function reason(error) {
  if (error?.name === "TimeoutError" || error?.name === "AbortError") return NO_ANSWER;
  const text = String(error?.message ?? error);
  for (let cause = error, depth = 0; cause && depth < MAX_CAUSES; cause = cause.cause, depth++) {
    if (typeof cause.code === "string" && !text.includes(cause.code)) return `${text} (${cause.code})`;
  }
  return text;
}

/**
 * Keeps the document at `url`. `use(text)` takes a new one, and throws when it is unsound: then the last good one
 * stays. It may return a promise. `use(undefined)` says that the last one is still the newest, and throws when that cannot be believed.
 *
 * `freshMs` is how long one is used without asking again, `staleMs` how long one is used when the issuer does not
 * answer, `untimelyMs` how long one is used when the issuer's answers are of another time, `unavailable` the code of the
 * error after that, `fetch` the caller's own, if there is one. `platform.keepAlive(promise)`, where there is one, lets a
 * fetch outlive the request that began it; `platform.fetchOptions` are the platform's own.
 *
 * Where timers refresh it, they stand still while a machine sleeps or a cloud function is frozen. Then the document is not
 * used before the issuer has answered again, or has failed to.
 */
export class RemoteDocument {
  #kind;
  #platform;
  #address;
  #fetchedAt = NEVER;
  #triedAt = NEVER;
  #heardAt = NEVER; // when the last fetch ended, in whatever way
  #etag;
  #failure;
  #pending;
  #isWaking = false; // timers stood still before the fetch under way began
  #isPromising; // the issuer is not known to be failing, as of when the last fetch began
  #isUntimely = false; // the issuer's last answer was
  #closed = false;
  #timer;

  constructor(kind, platform) {
    this.#kind = own(kind);
    this.#platform = platform;
    const { origin, pathname } = new URL(kind.url);
    this.#address = origin + pathname; // a query may be a secret
  }

  /** Refreshes also while nobody asks, so that the first token after a quiet hour finds it. */
  keepFresh() {
    // Where a promise needs keeping alive, so would a timer, and there is nothing for that.
    if (this.#platform.keepAlive || this.#timer !== undefined) return;
    if (this.#heardAt === NEVER) this.#heardAt = moment(); // so far, nobody was late
    this.#timer = setInterval(() => this.#refresh(0), this.#kind.freshMs);
    // A process may end all the same. In Deno, a timer is a number.
    if (this.#timer.unref) this.#timer.unref();
    else globalThis.Deno?.unrefTimer?.(this.#timer);
  }

  /** Milliseconds since it was fetched. */
  get age() {
    return elapsed(this.#fetchedAt);
  }

  #mayBeUsed(age) {
    const { staleMs, untimelyMs } = this.#kind;
    return age <= staleMs && age !== Infinity && !(this.#isUntimely && age > untimelyMs);
  }

  /** Whether there are timers, and they would have asked the issuer by now. */
  #isLate() {
    const { freshMs } = this.#kind;
    return this.#timer !== undefined && elapsed(this.#heardAt) > freshMs + Math.max(freshMs, LATE_MS);
  }

  /** How long to leave an issuer alone that has just failed. One that has answered is asked as often as was wanted. */
  get #pauseMs() {
    return this.#failure === undefined ? 0 : Math.min(RETRY_MS, this.#kind.freshMs);
  }

  /** Throws when there is none that may still be used; refreshes an old one in the background. */
  check() {
    const { freshMs, unavailable } = this.#kind;
    const age = this.age;
    if (age <= freshMs) return;
    this.#refresh(this.#pauseMs);
    const mayBeUsed = this.#mayBeUsed(age);
    const isUnheard = this.#isWaking || (this.#closed && this.#isLate());
    if (mayBeUsed && !isUnheard) return;
    throw new SessionError(unavailable, this.#reason(mayBeUsed));
  }

  #reason(mayBeUsed) {
    if (this.#closed) return "the verifier was closed";
    if (!mayBeUsed && this.#failure !== undefined) return this.#failure;
    if (this.#isWaking) return "this process stood still, so the issuer is being asked; await verifier.ready() before verify, or try again";
    return "the issuer is being asked; try again";
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
    this.#refresh(this.#pauseMs);
    return this.#isPromising || this.#isWaking || !this.#mayBeUsed(this.age) ? this.#settled() : undefined;
  }

  /**
   * Like `refreshed`, for one request of many. Where timers refresh it, one that may be used is waited for only after
   * they stood still.
   */
  usable() {
    if (this.age <= this.#kind.freshMs) return undefined;
    this.#refresh(this.#pauseMs);
    return !this.#mayBeUsed(this.age) || (this.#timer !== undefined ? this.#isWaking : this.#isPromising) ? this.#settled() : undefined;
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
    const since = elapsed(this.#triedAt);
    // It outlived its deadline, so it was dropped with the request that began it, and counts as not made.
    const wasDropped = this.#pending && since > DROPPED_MS;
    if (this.#closed || (this.#pending && !wasDropped) || (!wasDropped && since < cooldown)) return;
    if (wasDropped) this.#failure ??= NO_ANSWER;
    this.#isWaking = this.#isLate();
    // A failure of long ago says nothing about the issuer now.
    this.#isPromising = this.#failure === undefined || since > Math.max(this.#kind.freshMs, 2 * RETRY_MS);
    const triedAt = moment();
    this.#triedAt = triedAt;
    const { url, use, accept, maxBytes, fetch = globalThis.fetch } = this.#kind;
    const mayRepeat = this.#fetchedAt !== NEVER;
    const options = { accept, maxBytes, etag: this.#etag, fetch, fetchOptions: this.#platform.fetchOptions, mayRepeat };
    const attempt = fetchInTime(url, options)
      .then(async ({ text, etag }) => {
        await use(text);
        this.#etag = etag;
        this.#fetchedAt = triedAt;
        this.#failure = undefined;
        this.#isUntimely = false;
      })
      .catch((error) => {
        this.#etag = undefined;
        this.#failure = `${this.#address}: ${reason(error)}`;
        if (error instanceof UntimelyError) this.#isUntimely = true;
      })
      .finally(() => {
        // An answer or a failure of before the process stood still says nothing about the time after it.
        if (elapsed(triedAt) <= DROPPED_MS) this.#heardAt = moment();
        if (this.#pending !== attempt) return;
        this.#pending = undefined;
        this.#isWaking = false;
      });
    this.#pending = attempt;
    this.#platform.keepAlive?.(attempt);
  }

  /**
   * Waits for the fetch under way until its deadline, with a timer of its own: the fetch may belong to another request,
   * and be dropped with it.
   */
  async #settled() {
    const attempt = this.#pending;
    if (!attempt) return;
    const leftMs = Math.max(0, TIMEOUT_MS - elapsed(this.#triedAt));
    let timer;
    await Promise.race([attempt, new Promise((done) => (timer = setTimeout(done, leftMs)))]);
    clearTimeout(timer);
    // It was waited for in vain, which is as good as a failure.
    if (this.#pending !== attempt) return;
    this.#failure ??= NO_ANSWER;
    this.#isWaking = false;
  }
}
