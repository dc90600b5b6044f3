// Workers import wasm as a compiled module.

import module from "./wasm/pioneer_session_bg.wasm";
import { RawVerifier, errorCodes, initSync } from "./wasm/pioneer_session.js";
import { bind } from "./verifier.mjs";

export const { verify, createVerifier, SessionError } = bind(
  { RawVerifier, errorCodes },
  initSync({ module }),
);
