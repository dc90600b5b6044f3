// What esbuild makes pkg/wasm/node.cjs from. Node's `import` and `require` share that one file, so that
// there is one instance and one SessionError. `__dirname` is the bundle's, where the wasm lies, too.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { RawVerifier, errorCodes, initSync } from "./wasm/pioneer_session.js";
import { bind } from "./verifier.mjs";

const module = new WebAssembly.Module(readFileSync(join(__dirname, "pioneer_session_bg.wasm")));
export const { verify, createVerifier, SessionError } = bind(
  { RawVerifier, errorCodes },
  initSync({ module }),
);
