// The entry for Node. The build bundles it into pkg/wasm/node.cjs, which `import` and `require`
// share, so that a process has one instance and one SessionError. It uses nothing that only Node
// has: Jest with jsdom loads it, and so do old bundlers that read only `main`.

import base64 from "../wasm/bytes.mjs";
import { lazy } from "./instance.mjs";

export const { verify, createVerifier, makeVerifier, SessionError } = lazy({ base64 });
