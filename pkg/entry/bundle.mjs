// What esbuild makes pkg/wasm/node.cjs from. Node's `import` and `require` share that one file, so that
// there is one instance and one SessionError. It uses nothing of Node's own, so that it also serves `require` in tests that
// resolve like a browser (Jest with jsdom), and old bundlers that know only `main`.

import { lazy } from "./instance.mjs";
import base64 from "./wasm/bytes.mjs";

export const { verify, createVerifier, makeVerifier, SessionError } = lazy({ base64 });
