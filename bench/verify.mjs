// Compares token verification in Node with other libraries: `node bench/verify.mjs` prints JSON for
// the Node that runs it. With `quick`, it measures only the figures of bench/floors.mjs. With `cold
// <contender>` or `memory <contender> <keys>`, it is the fresh process that measures such a figure.

import { execFileSync } from "node:child_process";
import { contenders } from "./contenders.mjs";
import { watchMemory } from "./memory.mjs";
import { median, quantile } from "./statistics.mjs";
import { AUDIENCE, ISSUER, keyRing, makeTokens } from "./tokens.mjs";

const ROUNDS = 15;
const SLICE_MS = 100;
const REFUSAL_SLICE_MS = 30;
const WARM_UP_MS = 200;
const MIN_SAMPLE_NS = 5000; // shorter calls are timed in batches; otherwise the clock itself would dominate
const COLD_RUNS = 10;

const now = () => performance.now() * 1e6;

/** Repeats the call for this long, and adds the time of each sample to `samples`. */
function timeSync(call, batch, ms, samples) {
  const end = now() + ms * 1e6;
  let before = now();
  do {
    for (let i = 0; i < batch; i++) call();
    const after = now();
    samples.push((after - before) / batch);
    before = after;
  } while (before < end);
}

async function timeAsync(call, batch, ms, samples) {
  const end = now() + ms * 1e6;
  let before = now();
  do {
    for (let i = 0; i < batch; i++) await call();
    const after = now();
    samples.push((after - before) / batch);
    before = after;
  } while (before < end);
}

const accepting = (verify, token) => () => verify(token);

function refusing(verify, token, isAsync) {
  const mustThrow = () => {
    throw new RangeError("a contender accepted what it must refuse");
  };
  if (isAsync) return () => verify(token).then(mustThrow, () => {});
  return () => {
    try {
      verify(token);
    } catch {
      return;
    }
    mustThrow();
  };
}

/**
 * The calls take turns, so that each runs long enough to warm up, and a quiet minute benefits all
 * of them. A round's figure is its median, because means on a shared machine mostly show the load
 * of other programs. The means are kept too.
 */
async function measure(entries, sliceMs, rounds = ROUNDS) {
  for (const entry of entries) {
    entry.time = entry.isAsync ? timeAsync : timeSync;
    Object.assign(entry, { rounds: [], samples: [] });
    const warm = [];
    await entry.time(entry.call, 1, WARM_UP_MS, warm);
    entry.batch = Math.max(1, Math.ceil(MIN_SAMPLE_NS / median(warm)));
  }
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[(i + round) % entries.length];
      const samples = [];
      await entry.time(entry.call, entry.batch, sliceMs, samples);
      entry.rounds.push(median(samples));
      for (const sample of samples) entry.samples.push(sample);
    }
  }
  return Object.fromEntries(entries.map(({ name, rounds: medians, samples, batch }) => {
    const sorted = Float64Array.from(samples).sort();
    const mean = sorted.reduce((sum, sample) => sum + sample, 0) / sorted.length;
    return [name, { nsPerOp: median(medians), mean, p99: quantile(sorted, 0.99), min: sorted[0], batch, rounds: medians.map(Math.round) }];
  }));
}

async function compare() {
  const tokens = makeTokens();
  const made = [];
  const absent = [];
  for (const [name, contender] of Object.entries(contenders)) {
    const verify = await contender.make(tokens);
    if (verify) made.push({ name, ...contender, verify });
    else absent.push(name);
  }
  const cases = {};
  for (const kind of ["valid", "malformed", "foreign", "forged", "expired"]) {
    // Few caches store refused tokens. The valid token shows the cost of a hit.
    const entries = made.filter(({ cached }) => kind === "valid" || !cached).map((contender) => {
      const token = tokens[contender.algorithm][kind];
      const call = (kind === "valid" ? accepting : refusing)(contender.verify, token, contender.isAsync);
      return { name: contender.name, isAsync: contender.isAsync, call };
    });
    for (const { call } of entries) await call();
    cases[kind] = await measure(entries, kind === "valid" ? SLICE_MS : REFUSAL_SLICE_MS);
  }
  return { absent, cases, tokenBytes: { EdDSA: tokens.EdDSA.valid.length, ES256: tokens.ES256.valid.length }, many: await manyKeys() };
}

const QUICK = ["pioneer-session", "pioneer-session, cache", "fast-jwt", "fast-jwt, cache", "jose", "node:crypto by hand"];
const QUICK_ROUNDS = 7;

/** Only a valid token, and few contenders. */
async function quick() {
  const tokens = makeTokens();
  const entries = [];
  for (const name of QUICK) {
    const verify = await contenders[name].make(tokens);
    entries.push({ ...contenders[name], name, call: accepting(verify, tokens.EdDSA.valid) });
  }
  return measure(entries, SLICE_MS, QUICK_ROUNDS);
}

/** One key against a set of a hundred, of which the last one has signed. */
async function manyKeys() {
  const { createVerifier } = await import("../pkg/index.mjs");
  const entries = [];
  for (const count of [1, 100]) {
    const { jwks, token } = keyRing(count);
    const verifier = await createVerifier({ issuer: ISSUER, audience: AUDIENCE, jwks });
    entries.push({ name: String(count), call: () => verifier.verify(token) });
  }
  return measure(entries, SLICE_MS);
}

function inFreshProcess(...args) {
  return JSON.parse(execFileSync(process.execPath, ["--expose-gc", import.meta.filename, ...args], { encoding: "utf8", maxBuffer: 1 << 24 }));
}

/** The time from an empty process to the first verified token. */
async function cold(name) {
  const { make, isAsync, algorithm } = contenders[name];
  const tokens = makeTokens();
  const began = performance.now();
  const verify = await make(tokens);
  const ready = performance.now();
  const first = verify(tokens[algorithm].valid);
  if (isAsync) await first;
  return { importMs: ready - began, firstMs: performance.now() - ready, totalMs: performance.now() - began };
}

function coldStarts(absent) {
  const names = Object.keys(contenders).filter((name) => !contenders[name].cached && !absent.includes(name));
  const runs = Object.fromEntries(names.map((name) => [name, []]));
  for (let run = 0; run < COLD_RUNS; run++) for (const name of names) runs[name].push(inFreshProcess("cold", name));
  const part = (name, member) => median(runs[name].map((run) => run[member]));
  return Object.fromEntries(names.map((name) => [name, { importMs: part(name, "importMs"), firstMs: part(name, "firstMs"), totalMs: part(name, "totalMs") }]));
}

/** The memory of a verifier with this many keys, after two uses of each. */
async function memory(name, count) {
  const look = watchMemory();
  const { jwks, tokens } = keyRing(Number(count));
  const prepare = {
    "pioneer-session": async () => {
      const { createVerifier } = await import("../pkg/index.mjs");
      return async () => {
        const verifier = await createVerifier({ issuer: ISSUER, audience: AUDIENCE, jwks });
        return (token) => verifier.verify(token);
      };
    },
    "jose, key set": async () => {
      const { createLocalJWKSet, jwtVerify } = await import("jose");
      return async () => {
        const keys = createLocalJWKSet(jwks);
        return (token) => jwtVerify(token, keys, { issuer: ISSUER, audience: AUDIENCE });
      };
    },
  };
  const make = await prepare[name]();
  const before = look();
  const verify = await make();
  for (let twice = 0; twice < 2; twice++) for (const token of tokens) await verify(token);
  const after = look();
  await verify(tokens[0]); // keeps the verifier alive until here
  return { before, after };
}

function memories() {
  const grown = (name, keys) => {
    const { before, after } = inFreshProcess("memory", name, String(keys));
    return { rss: after.rss - before.rss, heapUsed: after.heapUsed - before.heapUsed, wasm: after.wasm - before.wasm, wasmTotal: after.wasm };
  };
  return Object.fromEntries(["pioneer-session", "jose, key set"].map((name) => [name, { 1: grown(name, 1), 100: grown(name, 100) }]));
}

const [mode, ...args] = process.argv.slice(2);
const run = { cold, memory, quick }[mode];
if (run) console.log(JSON.stringify(await run(...args)));
else {
  const compared = await compare();
  console.log(JSON.stringify({ node: process.version, ...compared, cold: coldStarts(compared.absent), memory: memories() }));
}
