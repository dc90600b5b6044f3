// Measures what a verifier adds to a fresh process after the import, its feed included:
// `node --expose-gc bench/verifier-memory.mjs <issuer> <audience>` prints JSON. Compare an issuer
// whose feed is empty: the tables of its key are most of the rest.

import { watchMemory } from "./memory.mjs";

const [, , issuer, audience] = process.argv;
const look = watchMemory();
const { createVerifier } = await import("../pkg/index.mjs");
const before = look();
const began = performance.now();
const verifier = await createVerifier({ issuer, audience, revocations: true });
const readyMs = performance.now() - began;
const after = look();
await verifier.close();
console.log(JSON.stringify({ readyMs, rss: after.rss - before.rss, heapUsed: after.heapUsed - before.heapUsed, wasm: after.wasm - before.wasm, wasmTotal: after.wasm }));
