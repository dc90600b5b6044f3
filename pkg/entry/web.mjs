// Browsers, and every platform and bundler that is neither Node nor a Worker. The wasm is inside the module, because bundlers
// move modules away from the files beside them.

import { lazy } from "./instance.mjs";
import base64 from "./wasm/bytes.mjs";

export const { verify, createVerifier, makeVerifier, SessionError } = lazy(
  { base64 },
  // The page's cache would answer with the very keys that are too old.
  { fetchOptions: { cache: "no-store" } },
);
