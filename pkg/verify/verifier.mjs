// Verifies tokens with the wasm, and keeps the issuer's keys and revocation feed.

/** @import { SessionErrorCode } from "pioneer-session" */
/** @import { RawVerifier } from "../wasm/pioneer_session_bg.js" */
/** @import { Settings } from "./options.mjs" */
/** @import { Platform } from "./remote.mjs" */

import { documentUrl } from "./address.mjs";
import { Cache } from "./cache.mjs";
import { textOf } from "./download.mjs";
import { SessionError, invalidOptions } from "./errors.mjs";
import { RemoteDocument, UntimelyError } from "./remote.mjs";
import { claimsIn, sessionWith } from "./session.mjs";

/**
 * One instance of the wasm. `errorCodes` are the reasons to refuse a token, in the order of the
 * numbers that the wasm returns.
 *
 * @typedef {object} Engine
 * @property {typeof RawVerifier} RawVerifier
 * @property {SessionErrorCode[]} errorCodes
 * @property {WebAssembly.Memory} memory
 */

const MAX_TOKEN_LENGTH = 4096;
const UNTIMELY = new Set(["not_yet_valid", "expired"]);
const KEYS = {
  accept: "application/jwk-set+json, application/json",
  maxBytes: 64 * 1024, // a hundred keys take a third of that
  freshMs: 5 * 60_000, // the issuer lets caches keep the keys for this long
  untimelyMs: Infinity, // keys have no date
  staleMs: 60 * 60_000, // after an hour without the issuer, a removed key could be in use
  unavailable: /** @type {const} */ ("keys_unavailable"),
};
const FEED = {
  accept: "application/octet-stream",
  maxBytes: 6 * 1024 * 1024, // the issuer signs no longer feed
  untimelyMs: 300_000, // the issuer signs a feed for this long
  unavailable: /** @type {const} */ ("revocations_unavailable"),
};
// Without a timer, an old feed must not count as the newest after a quiet time.
const TIMERLESS_MAX_AGE_SECONDS = 300;
// Between fetches for an unknown key. Without it, anyone could make a verifier flood the issuer.
const UNKNOWN_KEY_MS = 30_000;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const messageOf = (/** @type {unknown} */ error) => /** @type {Error} */ (error).message;

/** Does the work of all verifiers with the same settings. */
export class SharedVerifier {
  users = 0;
  /** The settings that a text for the developer may name. */
  about;
  #engine;
  #settings;
  /** @type {RawVerifier | undefined} */
  #raw;
  #address = 0;
  #view = new Uint8Array();
  /** @type {RemoteDocument | undefined} */
  #keys;
  /** @type {RemoteDocument | undefined} */
  #feed;
  #feedExpiresAt = 0;
  #isWindowRefused = false; // the last window of the feed was invalid
  /** @type {Cache | undefined} */
  #cache;

  /**
   * @param {Engine} engine
   * @param {Settings} settings
   * @param {Platform} platform
   */
  constructor(engine, settings, platform) {
    this.#engine = engine;
    this.#settings = settings;
    const { issuer, audience, jwks, jwksUrl, poll, cached, fetch } = settings;
    this.about = Object.freeze({ issuer, audience });
    if (cached > 0) this.#cache = new Cache(cached);
    if (jwks !== undefined) {
      try {
        this.#useKeys(jwks);
      } catch (error) {
        throw invalidOptions(`jwks: ${messageOf(error)}`);
      }
    } else {
      const url = jwksUrl === undefined ? documentUrl(`${issuer}/.well-known/jwks.json`, "issuer") : documentUrl(jwksUrl, "jwksUrl");
      this.#keys = new RemoteDocument({ ...KEYS, url, fetch, use: (bytes) => bytes && this.#useKeys(textOf(bytes)) }, platform);
    }
    if (poll) {
      const url = documentUrl(`${issuer}/revocations`, "issuer");
      const lasting = platform.keepAlive ? Math.max(TIMERLESS_MAX_AGE_SECONDS, 2 * poll.pollSeconds) : Infinity;
      const [freshMs, staleMs] = [poll.pollSeconds * 1000, (poll.maxAgeSeconds ?? lasting) * 1000];
      this.#feed = new RemoteDocument({ ...FEED, freshMs, staleMs, url, fetch, query: () => this.#feedQuery(), use: (bytes) => this.#useFeed(bytes) }, platform);
    }
  }

  /** @param {string} text */
  #useKeys(text) {
    if (this.#raw) {
      this.#raw.setKeys(text);
      this.#cache?.clear();
    } else {
      const { issuer, audience, clockTolerance } = this.#settings;
      this.#raw = new this.#engine.RawVerifier(issuer, audience, clockTolerance, text);
      this.#address = this.#raw.buffer();
    }
  }

  /**
   * Asks only for the revocations that are not known yet. After an invalid window, asks for the
   * whole feed, because the issuer may have lost or changed its numbers.
   */
  #feedQuery() {
    const position = this.#isWindowRefused ? 0 : (this.#raw?.position() ?? 0);
    return position === 0 ? "" : `?after=${position}`;
  }

  /** @param {Uint8Array | undefined} bytes */
  async #useFeed(bytes) {
    const now = Date.now() / 1000;
    if (bytes === undefined) {
      // The issuer signs an unchanged feed again before it expires. So a later "not modified" comes
      // from somebody else.
      if (now > this.#feedExpiresAt) throw new Error("the issuer's feed is too old");
      return;
    }
    // A timer may ask for the feed before the first token has asked for the keys.
    if (!this.#raw) await this.#keys?.ready();
    const raw = /** @type {RawVerifier} */ (this.#raw);
    try {
      this.#feedExpiresAt = raw.addRevocations(bytes, now);
    } catch (error) {
      // The feed may be the first document that a new key has signed.
      const news = messageOf(error) === "unknown_key" && this.#keys?.renew(UNKNOWN_KEY_MS);
      if (!news) throw this.#refusal(messageOf(error));
      await news;
      try {
        this.#feedExpiresAt = raw.addRevocations(bytes, now);
      } catch (again) {
        throw this.#refusal(messageOf(again));
      }
    }
    this.#isWindowRefused = false;
    this.#cache?.clear();
  }

  /**
   * The error for a window that the wasm refused with this code.
   *
   * @param {string} code
   */
  #refusal(code) {
    if (UNTIMELY.has(code)) return new UntimelyError(`the issuer's feed is from another time (${code}); check this machine's clock`);
    this.#isWindowRefused = true;
    if (code === "window_missing") return new Error("the issuer's feed leaves out revocations that are not known yet (window_missing); the next fetch asks for the whole feed");
    return new Error(`the issuer's feed is invalid (${code})`);
  }

  /** Waits until keys and feed are fresh. Where there are no timers, call it before verify(). */
  async ready() {
    // Both at the same time, so that they take no longer than one.
    await Promise.all([this.#keys?.refreshed(), this.#feed?.refreshed()]);
    this.#keys?.check();
    this.#feed?.check();
  }

  keepFresh() {
    this.#keys?.keepFresh();
    this.#feed?.keepFresh();
  }

  /** @param {string} token */
  verify(token) {
    if (typeof token !== "string") throw new TypeError("the token must be a string");
    if (token.length > MAX_TOKEN_LENGTH) throw new SessionError("token_too_long");
    this.#keys?.check();
    this.#feed?.check();
    const now = Date.now() / 1000;
    const known = this.#cache?.get(token, now, this.#settings.clockTolerance);
    if (known) return sessionWith(known);
    if (this.#view.length === 0) this.#renewView();
    const { read, written } = encoder.encodeInto(token, this.#view);
    // A character outside ASCII takes more than one byte, and no session token has one.
    if (read !== token.length) throw new SessionError("token_malformed");
    // Keys that check() lets pass were given to it.
    const length = /** @type {RawVerifier} */ (this.#raw).verify(written, now);
    if (length < 0) {
      const code = /** @type {SessionErrorCode} */ (this.#engine.errorCodes[-1 - length]);
      // The wasm compares headers as a whole, so "Bearer eyJ…" is the header of no key.
      if (code === "unknown_key" && /\s/.test(token)) throw new SessionError("token_malformed");
      if (code === "unknown_key") this.#keys?.renew(UNKNOWN_KEY_MS);
      throw new SessionError(code);
    }
    if (this.#view.length === 0) this.#renewView();
    const claims = claimsIn(decoder.decode(this.#view.subarray(0, length)));
    this.#cache?.set(token, claims);
    return sessionWith(claims);
  }

  /** Makes the view of the buffer again, because memory that grows detaches its views. */
  #renewView() {
    this.#view = new Uint8Array(this.#engine.memory.buffer, this.#address, MAX_TOKEN_LENGTH);
  }

  /**
   * Prepares the keys for fast verification, in a few milliseconds each. Without it, that happens
   * during use.
   */
  warm() {
    this.#raw?.warm();
  }

  /**
   * Like verify(), but waits once for newer keys when the token's key is unknown.
   *
   * @param {string} token
   */
  async verifyWaiting(token) {
    const waits = [this.#keys?.usable(), this.#feed?.usable()];
    if (waits[0] || waits[1]) await Promise.all(waits);
    try {
      return this.verify(token);
    } catch (error) {
      const news = error instanceof SessionError && error.code === "unknown_key" && this.#keys?.renew(UNKNOWN_KEY_MS);
      if (!news) throw error;
      await news;
      return this.verify(token);
    }
  }

  health() {
    const seconds = (/** @type {RemoteDocument} */ { age }) => Math.round(age / 1000);
    return {
      keysAgeSeconds: this.#keys ? seconds(this.#keys) : 0,
      ...(this.#feed && { revocationsAgeSeconds: seconds(this.#feed) }),
    };
  }

  close() {
    this.#keys?.close();
    this.#feed?.close();
  }
}
