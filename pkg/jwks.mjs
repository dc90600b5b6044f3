// The issuer's keys: fetched, kept, refreshed, and given up when they are too old to be believed.

import { SessionError } from "./errors.mjs";

const FRESH_MS = 5 * 60_000; // as long as the issuer lets caches keep them
const STALE_MS = 60 * 60_000; // how long an issuer may be away; after that, a removed key would live on
const COOLDOWN_MS = 30_000; // between fetches for an unknown key, or anyone could make us flood the issuer
const RETRY_MS = 5_000; // between fetches after a failure
const TIMEOUT_MS = 3_000;
const MAX_BYTES = 64 * 1024; // a hundred keys have a third of that

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** The URL, if keys may come from there: https, or http on this machine. */
export function keyUrl(text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    throw new SessionError("invalid_options", "the URL of the keys is not a URL");
  }
  const secure = url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK.has(url.hostname));
  if (!secure || url.username || url.password) {
    throw new SessionError("invalid_options", "keys are fetched over https only, or over http from this machine");
  }
  return url.href;
}

async function fetchText(url, options) {
  // One deadline for headers and body; a redirect is somebody else's answer.
  const response = await fetch(url, {
    ...options,
    redirect: "manual",
    headers: { accept: "application/jwk-set+json, application/json" },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
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
    if (length > MAX_BYTES) {
      await reader.cancel();
      throw new Error("the issuer's key set is over 64 KiB");
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

/**
 * Keeps the keys at `url`. `use(text)` takes a new set, and throws when it is unsound: then the last good
 * set stays. `platform.keepAlive(promise)`, where there is one, lets a fetch outlive the request that began it;
 * `platform.fetchOptions` are the platform's own.
 */
export class RemoteKeys {
  #url;
  #use;
  #fetchedAt = -Infinity;
  #triedAt = -Infinity;
  #failure;
  #pending;
  #closed = false;
  #platform;
  #timer;

  constructor(url, use, platform) {
    this.#url = url;
    this.#use = use;
    this.#platform = platform;
  }

  /** Refreshes also while nobody asks, so that the first token after a quiet hour finds keys. */
  keepFresh() {
    // Where a promise needs keeping alive, so would a timer, and there is nothing for that.
    if (this.#platform.keepAlive) return;
    this.#timer = setInterval(() => this.#refresh(RETRY_MS), FRESH_MS);
    this.#timer.unref?.(); // a process may end all the same
  }

  /** Milliseconds since the keys were fetched. */
  get age() {
    return Date.now() - this.#fetchedAt;
  }

  /** Throws when there are no keys that may still be used; refreshes old ones in the background. */
  check() {
    // A clock that was set back makes no key younger than new.
    if (this.age < 0) this.#fetchedAt = Date.now() - FRESH_MS;
    const age = this.age;
    if (age > FRESH_MS) this.#refresh(RETRY_MS);
    if (age > STALE_MS) {
      const reason = this.#closed ? "the verifier was closed" : (this.#failure ?? "they are being fetched; try again");
      throw new SessionError("keys_unavailable", reason);
    }
  }

  /** Waits for keys that may be used, fetching them if need be. */
  async ready() {
    // Twice: there was no traffic that could have refreshed them in the background, so it is waited for.
    if (this.age > 2 * FRESH_MS) {
      this.#refresh(RETRY_MS);
      await this.#settled();
    }
    this.check();
  }

  /**
   * A token names a key that is not known: fetches, at most every 30 s. Gives a promise that settles when
   * there may be news, or nothing when there will be none.
   */
  unknownKey() {
    this.#refresh(COOLDOWN_MS);
    return this.#pending && this.#settled();
  }

  close() {
    this.#closed = true;
    clearInterval(this.#timer);
  }

  #refresh(cooldown) {
    const triedAt = Date.now();
    let since = triedAt - this.#triedAt;
    if (this.#pending && (since < 0 || since > TIMEOUT_MS)) {
      // It outlived its deadline, so it was dropped with the request that began it, and counts as not made.
      this.#pending = undefined;
      since = Infinity;
    }
    if (this.#closed || this.#pending || (since >= 0 && since < cooldown)) return;
    this.#triedAt = triedAt;
    const attempt = fetchText(this.#url, this.#platform.fetchOptions)
      .then(this.#use)
      .then(
        () => {
          this.#fetchedAt = triedAt;
          this.#failure = undefined;
        },
        (error) => {
          this.#failure = error.message;
        },
      )
      .finally(() => {
        if (this.#pending === attempt) this.#pending = undefined;
      });
    this.#pending = attempt;
    this.#platform.keepAlive?.(attempt);
  }

  /** Waits for the fetch under way, with a timer of one's own: it may be another request's, and be dropped. */
  async #settled() {
    let timer;
    await Promise.race([this.#pending, new Promise((done) => (timer = setTimeout(done, TIMEOUT_MS)))]);
    clearTimeout(timer);
  }
}
