// The package's functions, for one instance of the wasm. Verifiers with the same options share
// their work here.

/** @import { Verifier as PublicVerifier, VerifyOptions } from "pioneer-session" */
/** @import { Platform } from "./remote.mjs" */
/** @import { Engine } from "./verifier.mjs" */

import { keyOf, read } from "./options.mjs";
import { SharedVerifier } from "./verifier.mjs";

const MAX_CACHED_VERIFIERS = 100; // of verify(); an application has one or two
// Per issuer, before a warning. An application has one or two, and a test suite a dozen.
const MAX_OPEN_VERIFIERS = 20;

/** @param {string} text */
function warn(text) {
  // Not the bare name `process`: Parcel would replace it with a package that is not installed.
  const { process, console } = globalThis;
  if (typeof process?.emitWarning === "function") process.emitWarning(text, "PioneerSessionWarning");
  else console?.warn(text);
}

/**
 * A verifier as its caller has it. Those with the same options share the work: a middleware on each
 * of fifty routes, or a verifier for each request, polls once.
 *
 * @implements {PublicVerifier}
 */
class Verifier {
  #shared;
  /** @type {(() => void) | undefined} */
  #release;

  /**
   * @param {SharedVerifier} shared
   * @param {() => void} release
   */
  constructor(shared, release) {
    this.#shared = shared;
    this.#release = release;
  }

  /** The issuer and the audience: one object for all verifiers that share their work. */
  get about() {
    return this.#shared.about;
  }

  /** @param {string} token */
  verify(token) {
    return this.#shared.verify(token);
  }

  /** @param {string} token */
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

/** All verifiers of one instance of the wasm. */
export class Pool {
  #engine;
  #platform;
  /** @type {Map<string, SharedVerifier>} The open verifiers, by their options. */
  #opened = new Map();
  /** @type {Map<string, SharedVerifier>} Those of verify(), by their options. */
  #timerless = new Map();
  /** @type {Map<string, number>} How many are open, by issuer. */
  #counts = new Map();
  #hasWarned = false;

  /**
   * @param {Engine} engine
   * @param {Platform} platform
   */
  constructor(engine, platform) {
    this.#engine = engine;
    this.#platform = platform;
  }

  /**
   * @param {string} issuer
   * @param {number} more
   */
  #count(issuer, more) {
    const open = (this.#counts.get(issuer) ?? 0) + more;
    if (open > 0) this.#counts.set(issuer, open);
    else this.#counts.delete(issuer);
    if (open <= MAX_OPEN_VERIFIERS || this.#hasWarned) return;
    this.#hasWarned = true;
    warn(`pioneer-session: ${open} verifiers of ${issuer} are open. Make one when the application starts and use it for every request, or close() each.`);
  }

  /**
   * Opens a verifier. Middlewares that share one count as one, because an application may have one
   * for each route.
   *
   * @param {VerifyOptions} options
   * @param {boolean} isMiddleware
   */
  #open(options, isMiddleware) {
    const settings = read(options);
    const { issuer } = settings;
    const key = keyOf(settings);
    const known = this.#opened.get(key);
    const shared = known ?? new SharedVerifier(this.#engine, settings, this.#platform);
    this.#opened.set(key, shared);
    const counted = known && isMiddleware ? 0 : 1;
    shared.users += 1;
    this.#count(issuer, counted);
    const verifier = new Verifier(shared, () => {
      this.#count(issuer, -counted);
      shared.users -= 1;
      if (shared.users > 0) return;
      this.#opened.delete(key);
      shared.close();
    });
    return { shared, verifier };
  }

  /**
   * Makes a verifier that fetches its keys when it first needs them. It throws immediately when an
   * option is wrong.
   *
   * @param {VerifyOptions} options
   */
  makeVerifier(options) {
    const { shared, verifier } = this.#open(options, true);
    shared.keepFresh();
    return verifier;
  }

  /**
   * Makes a verifier, and waits until it has keys.
   *
   * @param {VerifyOptions} options
   */
  async createVerifier(options) {
    const { shared, verifier } = this.#open(options, false);
    try {
      await shared.ready();
    } catch (error) {
      await verifier.close();
      throw error;
    }
    shared.keepFresh();
    return verifier;
  }

  /**
   * Verifies one token. The keys are fetched once and kept for the next call with the same options.
   *
   * @param {string} token
   * @param {VerifyOptions} options
   */
  async verify(token, options) {
    if (typeof token !== "string") throw new TypeError("the token must be a string");
    const settings = read(options);
    const key = keyOf(settings);
    let verifier = this.#timerless.get(key);
    if (!verifier) {
      verifier = new SharedVerifier(this.#engine, settings, this.#platform);
      if (this.#timerless.size >= MAX_CACHED_VERIFIERS) this.#timerless.delete(/** @type {string} */ (this.#timerless.keys().next().value));
      this.#timerless.set(key, verifier);
    }
    return verifier.verifyWaiting(token);
  }
}
