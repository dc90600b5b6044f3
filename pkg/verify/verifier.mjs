// verify() and createVerifier(), on any platform: the entry of each binds them to the one wasm.

import { Cache } from "./cache.mjs";
import { SessionError } from "./errors.mjs";
import { own, toJson } from "./own.mjs";
import { RemoteDocument, UntimelyError, documentUrl } from "./remote.mjs";

const MAX_TOKEN_LENGTH = 4096;
const MAX_CLOCK_TOLERANCE = 60;
const OPTIONS = { issuer: undefined, audience: undefined, clockTolerance: 5, jwks: undefined, jwksUrl: undefined, revocations: undefined, cache: false, fetch: undefined };
const POLL_OPTIONS = { pollSeconds: 15, maxAgeSeconds: undefined };
const TIMERLESS_MAX_AGE_SECONDS = 300; // where nothing refreshes a feed in quiet times, an old one must not pass for the newest
const MAX_POLL_SECONDS = 300; // as long as the issuer says that a feed may be believed
const UNTIMELY = new Set(["not_yet_valid", "expired"]);
const KEYS = {
  accept: "application/jwk-set+json, application/json",
  maxBytes: 64 * 1024, // a hundred keys have a third of that
  freshMs: 5 * 60_000, // as long as the issuer lets caches keep them
  untimelyMs: Infinity, // keys have no date
  staleMs: 60 * 60_000, // how long an issuer may be away; after that, a removed key would live on
  unavailable: "keys_unavailable",
};
const FEED = {
  accept: "application/jwt",
  maxBytes: 8 * 1024 * 1024, // what the issuer signs at most
  untimelyMs: 300_000, // as long as the issuer says that a feed may be believed
  unavailable: "revocations_unavailable",
};
const MAX_CACHED_TOKENS = 100_000; // of half a kilobyte
const UNKNOWN_KEY_MS = 30_000; // between fetches for an unknown key, or anyone could make us flood the issuer
const MAX_CACHED_VERIFIERS = 100; // of verify(): an application has one or two
const MAX_OPEN_VERIFIERS = 20; // of one issuer, before a warning: an application has one or two, and a test a dozen

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const invalid = (detail) => new SessionError("invalid_options", detail);

/** Reads each of the object's own options once, so that no getter can change its mind, and no prototype adds any. */
function members(options, defaults, of = "") {
  const known = { ...defaults };
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(defaults, name)) throw invalid(`there is no option ${JSON.stringify(name)}${of} in this version`);
    const value = options[name];
    if (value !== undefined) known[name] = value;
  }
  return known;
}

function read(options) {
  if (options === null || typeof options !== "object") throw new TypeError("options must be an object");
  const { issuer, audience, clockTolerance, jwks, jwksUrl, revocations, cache, fetch } = members(options, OPTIONS);
  checkIssuer(issuer);
  if (typeof audience !== "string" || audience === "") throw invalid("audience must be the Worker's SESSION_AUDIENCE");
  if (!Number.isInteger(clockTolerance) || clockTolerance < 0 || clockTolerance > MAX_CLOCK_TOLERANCE) {
    throw invalid("clockTolerance must be whole seconds from 0 to 60");
  }
  if (jwks !== undefined && jwksUrl !== undefined) throw invalid("pass jwks or jwksUrl, not both");
  if (jwks !== undefined && (jwks === null || typeof jwks !== "object")) throw invalid("jwks must be an object {keys: […]}");
  const cached = cache === false ? 0 : own(cache).max;
  if (!Number.isInteger(cached) || cached < (cache === false ? 0 : 1) || cached > MAX_CACHED_TOKENS) {
    throw invalid("cache must be false, or an object { max } with a whole number of tokens from 1 to 100000");
  }
  if (jwksUrl !== undefined && typeof jwksUrl !== "string") throw invalid("jwksUrl must be a string");
  if (fetch !== undefined && typeof fetch !== "function") throw invalid("fetch must be a function that is called as the global fetch is");
  return { issuer, audience, clockTolerance, jwks: keySet(jwks), jwksUrl, poll: readPoll(revocations), cached, fetch };
}

/** An issuer with a path, or with a slash at its end, would have no keys where they are looked for, and be no token's `iss`. */
function checkIssuer(issuer) {
  if (typeof issuer !== "string" || issuer === "") throw invalid("issuer must be the Worker's SESSION_ISSUER");
  let url;
  try {
    url = new URL(issuer);
  } catch {
    throw invalid("issuer must be an origin such as https://session.example.com, as in the Worker's SESSION_ISSUER");
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") throw invalid("issuer must begin with https://");
  if (url.origin !== issuer) throw invalid(`issuer must be an origin: write ${JSON.stringify(url.origin)}, without a path or a slash at its end`);
}

function keySet(jwks) {
  try {
    return jwks && toJson(jwks);
  } catch (error) {
    throw invalid(`jwks: ${error.message}`);
  }
}

function readPoll(revocations) {
  if (revocations === undefined || revocations === false) return undefined;
  if (revocations !== true && (revocations === null || typeof revocations !== "object")) {
    throw invalid("revocations must be true, or an object such as { pollSeconds: 15 }");
  }
  const { pollSeconds, maxAgeSeconds } = members(revocations, POLL_OPTIONS, " of revocations");
  if (!Number.isInteger(pollSeconds) || pollSeconds < 1 || pollSeconds > MAX_POLL_SECONDS) {
    throw invalid("pollSeconds must be whole seconds from 1 to 300");
  }
  if (maxAgeSeconds !== undefined && !(typeof maxAgeSeconds === "number" && maxAgeSeconds >= 2 * pollSeconds)) {
    throw invalid("maxAgeSeconds must be at least twice pollSeconds, so that one lost answer stops nobody");
  }
  return { pollSeconds, maxAgeSeconds };
}

const fetches = new WeakMap(); // a number for each function that was passed as `fetch`
let fetchCount = 0;

/** A text that is the same for the same options, and for no others. */
function nameOf({ issuer, audience, clockTolerance, jwks, jwksUrl, poll, cached, fetch }) {
  if (fetch && !fetches.has(fetch)) fetches.set(fetch, ++fetchCount);
  return toJson([issuer, audience, clockTolerance, jwksUrl, poll?.pollSeconds, poll?.maxAgeSeconds, cached, fetch && fetches.get(fetch)]) + jwks;
}

function warn(text) {
  if (typeof globalThis.process?.emitWarning === "function") process.emitWarning(text, "PioneerSessionWarning");
  else globalThis.console?.warn(text);
}

/** Makes the package's functions from the glue of wasm-bindgen, the exports of the instance, and what is particular to
 * the platform (`RemoteDocument`). */
export function bind(glue, exports, particular) {
  const platform = own(particular);
  const codes = glue.errorCodes();

  /** Does the work of all verifiers with the same options. */
  class SharedVerifier {
    users = 0;
    #raw;
    #address;
    #view = new Uint8Array();
    #keys;
    #feed;
    #feedExpiresAt;
    #cache;
    #clockTolerance;

    constructor({ issuer, audience, clockTolerance, jwks, jwksUrl, poll, cached, fetch }) {
      this.#clockTolerance = clockTolerance;
      if (cached > 0) this.#cache = new Cache(cached);
      const use = (text) => {
        if (this.#raw) {
          this.#raw.setKeys(text);
          this.#cache?.clear();
        } else {
          this.#raw = new glue.RawVerifier(issuer, audience, clockTolerance, text);
          this.#address = this.#raw.buffer();
        }
      };
      if (jwks !== undefined) {
        try {
          use(jwks);
        } catch (error) {
          throw invalid(`jwks: ${error.message}`);
        }
      } else {
        const url = jwksUrl === undefined ? documentUrl(`${issuer}/.well-known/jwks.json`, "issuer") : documentUrl(jwksUrl, "jwksUrl");
        this.#keys = new RemoteDocument({ ...KEYS, url, fetch, use: (text) => text === undefined || use(text) }, platform);
      }
      if (poll) {
        const url = documentUrl(`${issuer}/revocations`, "issuer");
        const lasting = platform.keepAlive ? Math.max(TIMERLESS_MAX_AGE_SECONDS, 2 * poll.pollSeconds) : Infinity;
        const [freshMs, staleMs] = [poll.pollSeconds * 1000, (poll.maxAgeSeconds ?? lasting) * 1000];
        this.#feed = new RemoteDocument({ ...FEED, freshMs, staleMs, url, fetch, use: (text) => this.#useFeed(text) }, platform);
      }
    }

    async #useFeed(text) {
      const now = Date.now() / 1000;
      if (text === undefined) {
        // An unchanged feed is signed anew before it expires; whoever says otherwise repeats an old one.
        if (now > this.#feedExpiresAt) throw new Error("the issuer's feed is too old");
        return;
      }
      // A timer may ask for the feed before any token has asked for the keys.
      if (!this.#raw) await this.#keys.ready();
      try {
        this.#feedExpiresAt = this.#raw.setRevocations(text, now);
      } catch (error) {
        // The first sign of a new key may be a feed.
        if (UNTIMELY.has(error.message)) throw new UntimelyError(`the issuer's feed is of another time (${error.message}): check this machine's clock`);
        const news = error.message === "unknown_key" && this.#keys?.renew(UNKNOWN_KEY_MS);
        if (!news) throw new Error(`the issuer's feed is unsound (${error.message})`);
        await news;
        this.#feedExpiresAt = this.#raw.setRevocations(text, now);
      }
      this.#cache?.clear();
    }

    /** Waits until keys and feed are as fresh as was asked for. Where there are no timers, call it before verify(). */
    async ready() {
      // Together, so that both take no longer than one.
      await Promise.all([this.#keys?.refreshed(), this.#feed?.refreshed()]);
      this.#keys?.check();
      this.#feed?.check();
    }

    keepFresh() {
      this.#keys?.keepFresh();
      this.#feed?.keepFresh();
    }

    verify(token) {
      if (typeof token !== "string") throw new TypeError("the token must be a string");
      if (token.length > MAX_TOKEN_LENGTH) throw new SessionError("token_too_long");
      this.#keys?.check();
      this.#feed?.check();
      const now = Date.now() / 1000;
      const known = this.#cache?.get(token, now, this.#clockTolerance);
      if (known) return session(known);
      // Memory that has grown leaves its old views empty.
      if (this.#view.length === 0) {
        this.#view = new Uint8Array(exports.memory.buffer, this.#address, MAX_TOKEN_LENGTH);
      }
      const { read, written } = encoder.encodeInto(token, this.#view);
      // Characters beyond ASCII take more room; the token is not one of ours.
      if (read !== token.length) throw new SessionError("token_malformed");
      const length = this.#raw.verify(written, now);
      if (length < 0) {
        const code = codes[-1 - length];
        if (code === "unknown_key") this.#keys?.renew(UNKNOWN_KEY_MS);
        throw new SessionError(code);
      }
      if (this.#view.length === 0) {
        this.#view = new Uint8Array(exports.memory.buffer, this.#address, MAX_TOKEN_LENGTH);
      }
      const claims = parse(decoder.decode(this.#view.subarray(0, length)));
      this.#cache?.set(token, claims);
      return session(claims);
    }

    /** Prepares the keys for fast verification now, in some milliseconds each; otherwise that happens with use. */
    warm() {
      this.#raw?.warm();
    }

    /** Like verify(), but waits once for new keys when the token's key is unknown. */
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
      const seconds = (document) => Math.round(document.age / 1000);
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

  /**
   * A verifier as its user has it. Those with the same options share the work: a guard for each of fifty routes, or a
   * verifier that somebody makes for each request, polls once.
   */
  class Verifier {
    #shared;
    #release;

    constructor(shared, release) {
      this.#shared = shared;
      this.#release = release;
    }

    verify(token) {
      return this.#shared.verify(token);
    }

    verifyWaiting(token) {
      return this.#shared.verifyWaiting(token);
    }

    async ready() {
      await this.#shared.ready();
      return this;
    }

    warm() {
      this.#shared.warm();
      return this;
    }

    health() {
      return this.#shared.health();
    }

    async close() {
      this.#release?.();
      this.#release = undefined;
    }
  }

  const opened = new Map(); // the shared verifiers that somebody has open, by their options
  const timerless = new Map(); // those of verify(), likewise
  const counts = new Map(); // how many are open, by issuer
  let hasWarned = false;

  function count(issuer, more) {
    const open = (counts.get(issuer) ?? 0) + more;
    if (open > 0) counts.set(issuer, open);
    else counts.delete(issuer);
    if (open <= MAX_OPEN_VERIFIERS || hasWarned) return;
    hasWarned = true;
    warn(`pioneer-session: ${open} verifiers of ${issuer} are open. Make one when the application starts and use it for every request, or close() each.`);
  }

  /** Opens a verifier. Guards that share one count as one, because an application may have one for each route. */
  function open(options, isGuard) {
    const wanted = read(options);
    const { issuer } = wanted;
    const name = nameOf(wanted);
    const isNew = !opened.has(name);
    if (isNew) opened.set(name, new SharedVerifier(wanted));
    const shared = opened.get(name);
    const counted = isNew || !isGuard ? 1 : 0;
    shared.users += 1;
    count(issuer, counted);
    const verifier = new Verifier(shared, () => {
      count(issuer, -counted);
      shared.users -= 1;
      if (shared.users > 0) return;
      opened.delete(name);
      shared.close();
    });
    return { shared, verifier };
  }

  /** Makes a verifier that fetches its keys when it first needs them. Mistakes in the options show immediately. */
  function makeVerifier(options) {
    const { shared, verifier } = open(options, true);
    shared.keepFresh();
    return verifier;
  }

  /** Makes a verifier, and waits until it has keys. */
  async function createVerifier(options) {
    const { shared, verifier } = open(options, false);
    try {
      await shared.ready();
    } catch (error) {
      await verifier.close();
      throw error;
    }
    shared.keepFresh();
    return verifier;
  }

  /** Verifies one token. The keys are fetched once and kept for the next call with the same options. */
  async function verify(token, options) {
    if (typeof token !== "string") throw new TypeError("the token must be a string");
    const wanted = read(options);
    const name = nameOf(wanted);
    let verifier = timerless.get(name);
    if (!verifier) {
      verifier = new SharedVerifier(wanted);
      if (timerless.size >= MAX_CACHED_VERIFIERS) timerless.delete(timerless.keys().next().value);
      timerless.set(name, verifier);
    }
    return verifier.verifyWaiting(token);
  }

  return { verify, createVerifier, makeVerifier, SessionError };
}

/**
 * The claims of a checked payload, without the members through which a careless copy or merge would reach a prototype.
 * An escape might spell one of them.
 */
function parse(payload) {
  if (!payload.includes("__proto__") && !payload.includes("constructor") && !payload.includes("\\")) return JSON.parse(payload);
  return JSON.parse(payload, (name, value) => (name === "__proto__" || name === "constructor" ? undefined : value));
}

/** The session that a checked payload describes. Only what a token may lack must be looked for among its own members. */
function session(claims) {
  const scopes = claims.scope === "" ? [] : claims.scope.split(" ");
  const appBound = claims.app_bound === true && Object.hasOwn(claims, "app_bound");
  const issuedAt = new Date(claims.iat * 1000);
  const expiresAt = new Date(claims.exp * 1000);
  const authTime = new Date(claims.auth_time * 1000);
  const { sub: uid, sid } = claims;
  if (!Object.hasOwn(claims, "preferred_username")) return { uid, sid, scopes, appBound, issuedAt, expiresAt, authTime, claims };
  return { uid, sid, username: claims.preferred_username, scopes, appBound, issuedAt, expiresAt, authTime, claims };
}
