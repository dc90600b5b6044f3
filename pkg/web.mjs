// Browsers, and whatever else has fetch and import.meta.url.

import init, { RawVerifier, errorCodes } from "./wasm/pioneer_session.js";
import { bind } from "./verifier.mjs";

const exports = await init({ module_or_path: new URL("./wasm/pioneer_session_bg.wasm", import.meta.url) });
export const { verify, createVerifier, makeVerifier, SessionError } = bind({ RawVerifier, errorCodes }, exports, {
  // The page's cache would answer with the very keys that are too old.
  fetchOptions: { cache: "no-store" },
});
