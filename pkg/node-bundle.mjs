// What esbuild makes pkg/wasm/node.cjs from. Node's `import` and `require` share that one file, so that
// there is one instance and one SessionError. The wasm is inside it: a bundler (Next.js has one) would part
// the file from anything that it read from its folder.

import wasm from "./wasm/pioneer_session_bg.wasm";
import { RawVerifier, errorCodes, initSync } from "./wasm/pioneer_session.js";
import { bind } from "./verifier.mjs";

const module = new WebAssembly.Module(wasm);
export const { verify, createVerifier, makeVerifier, SessionError } = bind(
  { RawVerifier, errorCodes },
  initSync({ module }),
);
