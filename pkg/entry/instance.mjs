// Makes the package's functions, and instantiates the wasm when one of them is first called. So an
// import does nothing, needs no top-level await, and succeeds where WebAssembly is forbidden.

/** @import { VerifyOptions } from "pioneer-session" */
/** @import { Platform } from "../verify/remote.mjs" */

import { SessionError } from "../verify/errors.mjs";
import { own } from "../verify/own.mjs";
import { Pool } from "../verify/pool.mjs";
import * as glue from "../wasm/pioneer_session_bg.js";

const IMPORTS = /** @type {WebAssembly.Imports} */ (/** @type {unknown} */ ({ __proto__: null, "./pioneer_session_bg.js": glue }));

/**
 * Decodes base64 in a way that every engine knows.
 *
 * @param {string} base64
 */
const decode = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

/**
 * A TypeError, because the application must change: no other token and no later call will succeed.
 *
 * @param {unknown} cause
 */
const unavailable = (cause) =>
  new TypeError(
    "pioneer-session cannot run its WebAssembly here. In a page, add 'wasm-unsafe-eval' to script-src of the Content-Security-Policy. " +
      `On an edge platform, bundle with the condition "workerd" or "edge-light". The engine says: ${/** @type {Error} */ (cause)?.message}`,
    { cause },
  );

/**
 * The functions of an entry. The entry passes the wasm as a compiled `module`, or as `base64` where
 * the platform compiles bytes.
 *
 * @param {{ module: WebAssembly.Module, base64?: undefined } | { module?: undefined, base64: string
 *   }} wasm
 * @param {Platform} [platform]
 */
export function lazy({ module, base64 }, platform) {
  /** @type {Pool | undefined} */
  let pool;
  /** @type {Promise<Pool> | undefined} */
  let starting;

  /** @param {WebAssembly.Instance} instance */
  function start({ exports }) {
    // makeVerifier may have been faster than a verify that waits. The glue has room for one
    // instance.
    if (pool) return pool;
    const { memory, __wbindgen_start } = /** @type {{ memory: WebAssembly.Memory, __wbindgen_start(): void }} */ (/** @type {unknown} */ (exports));
    glue.__wbg_set_wasm(exports);
    __wbindgen_start();
    pool = new Pool({ RawVerifier: glue.RawVerifier, errorCodes: glue.errorCodes(), memory }, own({ ...platform }));
    return pool;
  }

  function now() {
    if (pool) return pool;
    let instance;
    try {
      instance = new WebAssembly.Instance(module ?? new WebAssembly.Module(decode(base64)), IMPORTS);
    } catch (error) {
      throw unavailable(error);
    }
    return start(instance);
  }

  async function soon() {
    if (module) return now();
    let instantiated;
    try {
      // Asynchronously, because older Chromium refuses to compile more than 4 KB synchronously in a
      // page.
      instantiated = await WebAssembly.instantiate(decode(base64), IMPORTS);
    } catch (error) {
      throw unavailable(error);
    }
    return start(instantiated.instance);
  }

  /**
   * Calls `use` with the pool: immediately, once there is one.
   *
   * @template T
   * @param {(pool: Pool) => Promise<T>} use
   */
  function using(use) {
    if (pool) return use(pool);
    starting ??= soon().catch((error) => {
      starting = undefined; // so that a later call tries again
      throw error;
    });
    return starting.then(use);
  }

  return {
    verify: (/** @type {string} */ token, /** @type {VerifyOptions} */ options) => using((pool) => pool.verify(token, options)),
    createVerifier: (/** @type {VerifyOptions} */ options) => using((pool) => pool.createVerifier(options)),
    /** Only for the middlewares: a verifier that has no keys yet. */
    makeVerifier: (/** @type {VerifyOptions} */ options) => now().makeVerifier(options),
    SessionError,
  };
}
