// A module around the built Worker, in workerd, that breaks its calls to D1, Pi, the limiters and
// signatures. The header `x-faults` of a request says which of its calls break and how, so many
// requests can run in parallel. AsyncLocalStorage tells to which request a call belongs. The Worker
// itself is unchanged.

import { AsyncLocalStorage } from "node:async_hooks";
import { memories } from "./wasm-memory.mjs";
import worker from "./index.js";

const LATE_MS = 5_500; // later than each deadline of host.mjs
const SLOW_MS = 1_000;
const STORAGE = ["error", "reset", "lost", "busy", "slow"];
const PI = ["refused", "reset", "reset-after", "500", "429", "html", "truncated"];
const LIMITER = ["error", "slow"];
const SIGNATURE = ["error"];

const plans = new AsyncLocalStorage();
const current = () => plans.getStore() ?? { calls: { d1: 0, pi: 0, limiter: 0, signature: 0 } };
const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const never = () => new Promise(() => {});

/** The faults that a request asks for, and the number of its calls so far. */
function plan(headers) {
  const { chaos, ...faults } = JSON.parse(headers.get("x-faults") ?? "{}");
  return { faults, chaos: chaos && { ...chaos, random: mulberry(chaos.seed) }, calls: { d1: 0, pi: 0, limiter: 0, signature: 0 }, hit: [] };
}

/** Random numbers from 0 to 1. Equal seeds produce equal numbers. */
function mulberry(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The fault of this call, if it has one. */
function next(upstream, kinds) {
  const now = current();
  now.calls[upstream] += 1;
  let kind = now.faults?.[upstream]?.[now.calls[upstream]];
  if (now.chaos && now.chaos.random() < now.chaos.rate) {
    // A call that hangs waits seconds for its deadline, so few of the faults do.
    const drawn = now.chaos.random();
    kind = drawn < now.chaos.hangs ? "hang" : kinds[Math.floor(now.chaos.random() * kinds.length)];
  }
  if (kind !== undefined) now.hit?.push(`${upstream}:${kind}`);
  return kind;
}

/** Tells the test that the request has reached its stop, and never continues. */
async function stop() {
  await fetchOf(new URL("/stop", current().faults.at), { method: "POST" });
  return never();
}

/** Runs a call to D1, or breaks it. */
async function storage(run) {
  switch (next("d1", STORAGE)) {
    case "error": throw new Error("D1_ERROR: something failed: SQLITE_ERROR");
    case "busy": throw new Error("D1_ERROR: database is locked: SQLITE_BUSY");
    case "reset": throw new Error("D1_ERROR: D1 DB storage operation exceeded timeout which caused object to be reset.");
    case "slow": return sleep(SLOW_MS).then(run);
    case "hang": return never();
    // D1 executes the statement, but its answer is lost.
    case "lost": return run().then(() => { throw new Error("D1_ERROR: Network connection lost."); });
    case "silent": return run().then(never);
    // D1 executes the statement after the Worker has stopped waiting.
    case "late": return sleep(LATE_MS).then(run);
    case "odd": return run().then(() => [{}]);
    case "stop-before": return stop();
    case "stop-after": return run().then(stop);
    default: return run();
  }
}

/** A D1 database whose calls break. */
const breakable = (database) => ({
  prepare: (sql) => ({
    bind(...parameters) {
      const real = database.prepare(sql).bind(...parameters);
      return { real, all: () => storage(() => real.all()) };
    },
  }),
  batch: (statements) => storage(() => database.batch(statements.map(({ real }) => real))),
});

const countable = (limiter) => ({
  async limit(options) {
    switch (next("limiter", LIMITER)) {
      case "error": throw new Error("the limiter failed");
      case "full": return { success: false };
      case "slow": await sleep(SLOW_MS / 2); break;
      case "hang": return never();
    }
    return limiter.limit(options);
  },
});

const fetchOf = globalThis.fetch;
globalThis.fetch = (url, init) => {
  const kind = next("pi", PI);
  if (kind === "refused") return fetchOf("http://127.0.0.1:1/", init);
  // The proxy between the Worker and Pi (pi-proxy.mjs) does the rest, on a real socket.
  return fetchOf(url, kind === undefined ? init : { ...init, headers: { ...init.headers, "x-fault": kind } });
};

for (const name of ["sign", "verify"]) {
  const real = crypto.subtle[name].bind(crypto.subtle);
  crypto.subtle[name] = async (...parameters) => {
    switch (next("signature", SIGNATURE)) {
      case "error": throw new Error("the signature failed");
      case "hang": return never();
      default: return real(...parameters);
    }
  };
}

// A scheduled run can be minutes ahead.
const { now } = Date;
Date.now = () => now() + (current().faults?.aheadMs ?? 0);

let broken;
function bindings(env) {
  if (broken === undefined) {
    // The `worker` crate recognizes a binding by the name of its class.
    const as = (binding, real) => Object.defineProperty(binding, "constructor", { value: real.constructor });
    const entries = Object.entries(env).map(([name, value]) => {
      if (name === "DB") return [name, as(breakable(value), value)];
      return [name, name.endsWith("_LIMIT") ? as(countable(value), value) : value];
    });
    broken = Object.fromEntries(entries);
  }
  return broken;
}

export default {
  async fetch(request, env, context) {
    if (new URL(request.url).pathname === "/faults/memory") return Response.json({ bytes: memories.at(-1).buffer.byteLength, instances: memories.length });
    const store = plan(request.headers);
    return plans.run(store, async () => {
      const { pathname } = new URL(request.url);
      let response = Response.json({});
      if (pathname === "/faults/scheduled") await worker.scheduled({}, bindings(env), context);
      else response = await worker.fetch(request, bindings(env), context);
      response = new Response(response.body, response);
      response.headers.set("x-calls", JSON.stringify({ ...store.calls, hit: store.hit }));
      return response;
    });
  },
};
