// The entry for Cloudflare Workers. They import wasm as a compiled module. They cancel work that a
// request leaves unfinished, except promises passed to `waitUntil`.

import { waitUntil } from "cloudflare:workers";
import module from "../wasm/pioneer_session_bg.wasm";
import { lazy } from "./instance.mjs";

export const { verify, createVerifier, makeVerifier, SessionError } = lazy({ module }, { keepAlive: waitUntil, isWorker: true });
