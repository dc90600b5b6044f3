// Workers import wasm as a compiled module, and drop what a request leaves unfinished unless it is waited for.

import { waitUntil } from "cloudflare:workers";
import module from "./wasm/pioneer_session_bg.wasm";
import { RawVerifier, errorCodes, initSync } from "./wasm/pioneer_session.js";
import { bind } from "./verifier.mjs";

export const { verify, createVerifier, makeVerifier, SessionError } = bind(
  { RawVerifier, errorCodes },
  initSync({ module }),
  { keepAlive: waitUntil },
);
