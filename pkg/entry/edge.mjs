// Vercel's and Next.js's edge runtimes: like Workers, they import wasm as a compiled module, forbid compiling bytes, and drop
// what a request leaves unfinished unless it is waited for.

import { lazy } from "./instance.mjs";
import module from "./wasm/pioneer_session_bg.wasm?module";

/** Where the platform keeps the context of the request: on Vercel, and wherever else Next.js runs. */
const CONTEXTS = ["@vercel/request-context", "@next/request-context"].map((name) => Symbol.for(name));

/** Without such a context, as in `next start`, the process lives on by itself. */
function keepAlive(promise) {
  for (const name of CONTEXTS) globalThis[name]?.get?.()?.waitUntil?.(promise);
}

export const { verify, createVerifier, makeVerifier, SessionError } = lazy({ module }, { keepAlive });
