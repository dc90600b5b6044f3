// The entry for browsers, and for every platform and bundler that is neither Node nor an edge
// runtime. The wasm is inside a module, because bundlers separate modules from the files beside
// them.

import base64 from "../wasm/bytes.mjs";
import { lazy } from "./instance.mjs";

export const { verify, createVerifier, makeVerifier, SessionError } = lazy(
  { base64 },
  // Without this, a page's HTTP cache would answer a request for newer keys with the old ones.
  { fetchOptions: { cache: "no-store" } },
);
