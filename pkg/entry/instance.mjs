// Makes the package's functions, and instantiates the wasm when one of them is first called. So an import does nothing, needs
// no top-level await, and succeeds where WebAssembly is forbidden.

import { SessionError } from "../verify/errors.mjs";
import { bind } from "../verify/verifier.mjs";
import * as glue from "../wasm/pioneer_session_bg.js";

const IMPORTS = { __proto__: null, "./pioneer_session_bg.js": glue };

/** The bytes of base64, in a way that every engine has. */
const decode = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

/** A TypeError, because the application must change: no other token and no later call will do better. */
const unavailable = (cause) =>
  new TypeError(
    "pioneer-session cannot run its WebAssembly here. In a page, add 'wasm-unsafe-eval' to script-src of the Content-Security-Policy. " +
      `On an edge platform, bundle with the condition "workerd" or "edge-light". The engine says: ${cause?.message}`,
    { cause },
  );

/**
 * The functions of an entry. It passes the wasm as a compiled `module`, or as `base64` where the platform compiles bytes.
 * `particular` is for `bind`.
 */
export function lazy({ module, base64 }, particular) {
  let bound;
  let binding;

  function start({ exports }) {
    // makeVerifier may have been faster than a verify that waits. The glue has room for one instance.
    if (bound) return bound;
    glue.__wbg_set_wasm(exports);
    exports.__wbindgen_start();
    bound = bind(glue, exports, particular);
    return bound;
  }

  function now() {
    if (bound) return bound;
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
      // Asynchronously, because older Chromium refuses to compile more than 4 KB synchronously in a page.
      instantiated = await WebAssembly.instantiate(decode(base64), IMPORTS);
    } catch (error) {
      throw unavailable(error);
    }
    return start(instantiated.instance);
  }

  /** Calls `use` with the bound functions: immediately, once there are any. */
  function using(use) {
    if (bound) return use(bound);
    binding ??= soon().catch((error) => {
      binding = undefined; // so that a later call tries again
      throw error;
    });
    return binding.then(use);
  }

  return {
    verify: (token, options) => using(({ verify }) => verify(token, options)),
    createVerifier: (options) => using(({ createVerifier }) => createVerifier(options)),
    makeVerifier: (options) => now().makeVerifier(options),
    SessionError,
  };
}
