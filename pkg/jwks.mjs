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

async function fetchText(url) {
  // One deadline for headers and body; a redirect is somebody else's answer.
  const response = await fetch(url, {
    redirect: "manual",
    headers: { accept: "application/jwk-set+json, application/json" },
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`the issuer answered ${response.status || "with a redirect"}`);
  }
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
 * set stays.
 */
export class RemoteKeys {
  #url;
  #use;
  #fetchedAt = -Infinity;
  #triedAt = -Infinity;
  #failure = "no attempt was made yet";
  #pending;
  #closed = false;

  constructor(url, use) {
    this.#url = url;
    this.#use = use;
  }

  /** Milliseconds since the keys were fetched. */
  get age() {
    return Date.now() - this.#fetchedAt;
  }

  /** Throws when there are no keys that may still be used; refreshes old ones in the background. */
  check() {
    const age = this.age;
    // A clock that jumped back makes no key younger than new.
    if (age > FRESH_MS || age < 0) this.#refresh(RETRY_MS);
    if (age > STALE_MS) throw new SessionError("keys_unavailable", this.#failure);
  }

  /** Waits for keys that may be used, fetching them if need be. */
  async ready() {
    if (this.age > STALE_MS) {
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
  }

  #refresh(cooldown) {
    const since = Date.now() - this.#triedAt;
    // A fetch that outlived its deadline is dead: Workers drop those of a request that has been answered.
    const pending = this.#pending && since >= 0 && since <= TIMEOUT_MS;
    if (this.#closed || pending || (since >= 0 && since < cooldown)) return;
    const triedAt = Date.now();
    this.#triedAt = triedAt;
    const attempt = fetchText(this.#url)
      .then(this.#use)
      .then(
        () => {
          this.#fetchedAt = triedAt;
        },
        (error) => {
          this.#failure = error.message;
        },
      )
      .finally(() => {
        if (this.#pending === attempt) this.#pending = undefined;
      });
    this.#pending = attempt;
  }

  /** Waits for the fetch under way, with a timer of one's own: it may be another request's, and be dropped. */
  async #settled() {
    let timer;
    await Promise.race([this.#pending, new Promise((done) => (timer = setTimeout(done, TIMEOUT_MS)))]);
    clearTimeout(timer);
  }
}
