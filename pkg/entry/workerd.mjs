// Workers import wasm as a compiled module, and drop what a request leaves unfinished unless it is waited for.

import { waitUntil } from "cloudflare:workers";
import { lazy } from "./instance.mjs";
import module from "./wasm/pioneer_session_bg.wasm";

export const { verify, createVerifier, makeVerifier, SessionError } = lazy({ module }, { keepAlive: waitUntil });
