// The entry for the edge runtimes of Vercel and Next.js. Like Workers, they import wasm as a
// compiled module and forbid compiling bytes. They cancel work that a request leaves unfinished,
// except promises passed to `waitUntil`.

import module from "../wasm/pioneer_session_bg.wasm?module";
import { lazy } from "./instance.mjs";

/** The globals where Vercel, and Next.js elsewhere, keep the context of the request. */
const CONTEXTS = ["@vercel/request-context", "@next/request-context"].map((name) => Symbol.for(name));

/**
 * Keeps a promise alive after the response. Without a context, as in `next start`, the process
 * continues anyway.
 *
 * @param {Promise<unknown>} promise
 */
function keepAlive(promise) {
  for (const name of CONTEXTS) /** @type {any} */ (globalThis)[name]?.get?.()?.waitUntil?.(promise);
}

export const { verify, createVerifier, makeVerifier, SessionError } = lazy({ module }, { keepAlive });
