// One of the issuer's documents (its keys, its revocation feed): fetched, kept and refreshed, and
// no longer used when it is too old.

/** @import { FetchInit, SessionErrorCode, VerifyOptions } from "pioneer-session" */

import { elapsed, moment, NEVER } from "./clock.mjs";
import { AnswerError, download, NO_ANSWER, reasonOf, TIMEOUT_MS, UNUSABLE } from "./download.mjs";
import { SessionError } from "./errors.mjs";
import { own } from "./own.mjs";

const RETRY_MS = 5_000; // between fetches after a failure
const DROPPED_MS = TIMEOUT_MS + 1_000; // a fetch has failed by then, unless the platform dropped it
const LATE_MS = 2_000; // a busy process may delay any timer by this much

/**
 * The document comes from the issuer, but from another time: it is an old one, or this machine's
 * clock is wrong.
 */
export class UntimelyError extends Error {}

/**
 * The differences between platforms.
 *
 * @typedef {object} Platform
 * @property {(promise: Promise<unknown>) => void} [keepAlive] lets a fetch outlive the request that
 *   began it
 * @property {Partial<FetchInit>} [fetchOptions]
 * @property {boolean} [isWorker] whether this is a Cloudflare Worker
 */

/**
 * The differences between the documents.
 *
 * @typedef {object} Kind
 * @property {string} url
 * @property {() => string} [query] the part of the document that the next fetch asks for, with its
 *   question mark
 * @property {string} accept
 * @property {number} maxBytes
 * @property {number} freshMs how long a document is used without asking the issuer again
 * @property {number} staleMs how long it is used while the issuer does not answer
 * @property {number} untimelyMs how long it is used while the issuer's answers are from another
 *   time
 * @property {SessionErrorCode} unavailable the code of the error after that
 * @property {VerifyOptions["fetch"]} fetch the caller's own, if there is one
 * @property {(bytes: Uint8Array | undefined) => unknown} use accepts a new document, and throws when
 *   it is invalid; then the last valid one stays. It may return a promise. Without bytes, the last
 *   one is still the newest; then it throws when that is not credible.
 */

/**
 * Keeps one document.
 *
 * Timers refresh it. They stop while a machine sleeps or a cloud function is frozen. After that,
 * the document is not used until the issuer has answered again, or has failed to.
 */
export class RemoteDocument {
  #kind;
  #platform;
  #address;
  #fetchedAt = NEVER;
  #triedAt = NEVER;
  #heardAt = NEVER; // when the last fetch ended, with or without an answer
  /** @type {string | undefined} */
  #etag;
  /** @type {string | undefined} The address that answered with the entity tag. */
  #etagUrl;
  /** @type {string | undefined} */
  #failure;
  /** @type {string | undefined} The next step after the failure, if it is a special one. */
  #hint;
  /** @type {Promise<void> | undefined} */
  #pending;
  #isWaking = false; // timers had stopped before the current fetch began
  #isPromising = false; // when the last fetch began, the issuer was not known to be failing
  #isUntimely = false; // the issuer's last answer was from another time
  #closed = false;
  /** @type {any} */
  #timer;

  /**
   * @param {Kind} kind
   * @param {Platform} platform
   */
  constructor(kind, platform) {
    this.#kind = own(kind);
    this.#platform = platform;
    const { origin, pathname } = new URL(kind.url);
    this.#address = origin + pathname; // a query may be a secret
  }

  /**
   * Refreshes the document also while no tokens arrive, so that the first token after a quiet hour
   * finds it.
   */
  keepFresh() {
    // A platform that cancels promises also cancels timers, and it has no waitUntil for these.
    if (this.#platform.keepAlive || this.#timer !== undefined) return;
    if (this.#heardAt === NEVER) this.#heardAt = moment(); // until now, no timer was late
    this.#timer = setInterval(() => this.#refresh(0), this.#kind.freshMs);
    // The timer must not keep the process alive. In Deno, a timer is a number.
    if (this.#timer.unref) this.#timer.unref();
    else globalThis.Deno?.unrefTimer?.(this.#timer);
  }

  /** Milliseconds since the document was fetched. */
  get age() {
    return elapsed(this.#fetchedAt);
  }

  /** @param {number} age */
  #mayBeUsed(age) {
    const { staleMs, untimelyMs } = this.#kind;
    return age <= staleMs && age !== Infinity && !(this.#isUntimely && age > untimelyMs);
  }

  /** Whether there is a timer, and it is overdue. */
  #isLate() {
    const { freshMs } = this.#kind;
    return this.#timer !== undefined && elapsed(this.#heardAt) > freshMs + Math.max(freshMs, LATE_MS);
  }

  /** How long to wait before the next fetch. Only an issuer that has just failed gets a pause. */
  get #pauseMs() {
    return this.#failure === undefined ? 0 : Math.min(RETRY_MS, this.#kind.freshMs);
  }

  /** Throws when there is no document that may be used. Refreshes an old one in the background. */
  check() {
    const { freshMs, unavailable } = this.#kind;
    const age = this.age;
    if (age <= freshMs) return;
    this.#refresh(this.#pauseMs);
    const mayBeUsed = this.#mayBeUsed(age);
    const isUnheard = this.#isWaking || (this.#closed && this.#isLate());
    if (mayBeUsed && !isUnheard) return;
    const reason = this.#reason(mayBeUsed);
    throw new SessionError(unavailable, reason, reason === this.#failure ? this.#hint : undefined);
  }

  /** @param {boolean} mayBeUsed */
  #reason(mayBeUsed) {
    if (this.#closed) return "the verifier was closed; make a new one";
    if (!mayBeUsed && this.#failure !== undefined) return this.#failure;
    if (this.#isWaking) return "this process stood still, so the issuer is being asked again; await verifier.ready() before verify, or try again";
    return "the issuer is being asked; try again in a moment";
  }

  /**
   * Waits until the document is fresh, for one fetch at most. Throws when there is none that may be
   * used.
   */
  async ready() {
    await this.refreshed();
    this.check();
  }

  /**
   * Refreshes an old document. Returns a promise that settles when that is done. Returns nothing
   * when there is no need to wait: the document is fresh, or it may be used and the issuer has just
   * failed to answer.
   */
  refreshed() {
    if (this.age <= this.#kind.freshMs) return undefined;
    this.#refresh(this.#pauseMs);
    return this.#isPromising || this.#isWaking || !this.#mayBeUsed(this.age) ? this.#settled() : undefined;
  }

  /**
   * Like `refreshed`, for one request of many. If timers refresh the document and it may be used, a
   * request waits only after they had stopped.
   */
  usable() {
    if (this.age <= this.#kind.freshMs) return undefined;
    this.#refresh(this.#pauseMs);
    return !this.#mayBeUsed(this.age) || (this.#timer !== undefined ? this.#isWaking : this.#isPromising) ? this.#settled() : undefined;
  }

  /**
   * Fetches, at most once in `cooldownMs`, because there may be a newer document. Returns a promise
   * that settles after the fetch. Returns nothing when no newer one is expected: nothing is being
   * fetched, or the issuer has just failed to answer.
   *
   * @param {number} cooldownMs
   */
  renew(cooldownMs) {
    this.#refresh(cooldownMs);
    return this.#pending && this.#isPromising ? this.#settled() : undefined;
  }

  close() {
    this.#closed = true;
    clearInterval(this.#timer);
  }

  /** @param {number} cooldownMs */
  #refresh(cooldownMs) {
    const since = elapsed(this.#triedAt);
    // A fetch that outlived its deadline was dropped with the request that began it, and counts as
    // not made.
    const wasDropped = this.#pending && since > DROPPED_MS;
    if (this.#closed || (this.#pending && !wasDropped) || (!wasDropped && since < cooldownMs)) return;
    if (wasDropped) this.#failure ??= `${this.#address}: ${NO_ANSWER}`;
    this.#isWaking = this.#isLate();
    // An old failure says nothing about the issuer now.
    this.#isPromising = this.#failure === undefined || since > Math.max(this.#kind.freshMs, 2 * RETRY_MS);
    const triedAt = moment();
    this.#triedAt = triedAt;
    const { query, use, accept, maxBytes, fetch = globalThis.fetch } = this.#kind;
    const url = this.#kind.url + (query?.() ?? "");
    const etag = url === this.#etagUrl ? this.#etag : undefined;
    const { fetchOptions, isWorker = false } = this.#platform;
    const mayRepeat = this.#fetchedAt !== NEVER;
    const request = { accept, maxBytes, etag, fetch, fetchOptions, isWorker: isWorker && fetch === globalThis.fetch, mayRepeat };
    let hasAnswered = false;
    /** @type {Promise<void>} */
    const attempt = download(url, request)
      .then(async ({ bytes, etag }) => {
        hasAnswered = true;
        await use(bytes);
        [this.#etag, this.#etagUrl] = [etag, url];
        this.#fetchedAt = triedAt;
        this.#failure = undefined;
        this.#hint = undefined;
        this.#isUntimely = false;
      })
      .catch((error) => {
        this.#etag = undefined;
        this.#failure = `${this.#address}: ${reasonOf(error)}`;
        this.#hint = error instanceof AnswerError ? error.hint : hasAnswered ? UNUSABLE : undefined;
        if (error instanceof UntimelyError) this.#isUntimely = true;
      })
      .finally(() => {
        // A result that is older than the standstill of the process says nothing about the time
        // after it.
        if (elapsed(triedAt) <= DROPPED_MS) this.#heardAt = moment();
        if (this.#pending !== attempt) return;
        this.#pending = undefined;
        this.#isWaking = false;
      });
    this.#pending = attempt;
    this.#platform.keepAlive?.(attempt);
  }

  /**
   * Waits for the current fetch until its deadline. It needs a timer, because the platform may drop
   * the fetch together with the request that began it.
   */
  async #settled() {
    const attempt = this.#pending;
    if (!attempt) return;
    const leftMs = Math.max(0, TIMEOUT_MS - elapsed(this.#triedAt));
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let timer;
    await Promise.race([attempt, new Promise((done) => (timer = setTimeout(done, leftMs)))]);
    clearTimeout(timer);
    // The deadline has passed, which counts as a failure.
    if (this.#pending !== attempt) return;
    this.#failure ??= `${this.#address}: ${NO_ANSWER}`;
    this.#isWaking = false;
  }
}
