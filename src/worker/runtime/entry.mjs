// Where the runtime enters: requests and scheduled events become jobs of the wasm, and what a job waits for is awaited
// here. So a request that waits for nothing (it has no body and asks neither D1 nor Pi) makes no promise, and one that
// waits is polled when its answer is there, in its own context, without a queue of micro-tasks or closures between two
// languages.
//
// "worker/glue" is what wasm-bindgen makes (scripts/build.mjs).

import { __wbg_reset_state as reset, configure, initSync } from "worker/glue";
import module from "./index_bg.wasm";
import { pair, polling } from "./bridge.mjs";

/** The headers that somebody reads, of requests that only ask, and of all others. Several of one name come joined with
 * commas. */
const ASKING = ["authorization", "cookie", "if-none-match", "origin", "sec-fetch-site"];
const COUNTED = [...ASKING, "cf-connecting-ip", "cf-worker"];
const CHANGING = [
  ...["authorization", "cookie", "if-match", "origin", "sec-fetch-site", "access-control-request-headers"],
  ...["cf-connecting-ip", "cf-ipcountry", "cf-worker", "content-encoding", "content-length", "content-type", "user-agent"],
  ...["dpop", "idempotency-key"],
];
const ENTROPY_BYTES = 28; // Entropy::BYTES
const [WAITS, DONE] = [0, 1]; // job.rs
const TICK_MS = 500; // a job learns so much too late, at most, that its time is over
const MUCH = 64 * 1024; // longer texts are encoded apart, for the room that any text could take is three times its length

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

let wasm = initSync({ module });
let memory = new Uint8Array(wasm.memory.buffer);
let configured; // the bindings that the wasm knows, once it does
let jobs = 0;

/** Calls into the wasm, for a job if there is one. A call that fails has left it in an unknown state: it is started anew,
 * and whatever it still had to do ends with it. */
function call(run, job) {
  polling(job);
  try {
    return run();
  } catch (error) {
    wasm = undefined;
    reset();
    wasm = initSync();
    configured = undefined;
    throw error;
  }
}

/** The wasm's memory from an address on: a view dies when the memory grows. */
function bytes(address, length) {
  if (memory.buffer !== wasm.memory.buffer) memory = new Uint8Array(wasm.memory.buffer);
  return memory.subarray(address, address + length);
}

const roomFor = (length) => call(() => wasm.room(length));

/** Writes bytes, or a text in UTF-8, to where the wasm reads them, `offset` bytes on. Gives where they end. */
function write(value, offset = 0) {
  const data = typeof value === "string" && value.length > MUCH ? encoder.encode(value) : value;
  const most = offset + (typeof data === "string" ? 3 : 1) * data.length;
  const room = bytes(roomFor(most) + offset, most - offset);
  if (typeof data === "string") return offset + encoder.encodeInto(data, room).written;
  room.set(data);
  return most;
}

/** A wrapper may make a new object of the same bindings for each request. */
function isConfigured(env) {
  if (configured === env) return true;
  if (configured === undefined || Object.getPrototypeOf(configured) !== Object.getPrototypeOf(env)) return false;
  const names = Object.keys(env);
  return names.length === Object.keys(configured).length && names.every((name) => env[name] === configured[name]);
}

/** Not once for an isolate: Cloudflare may change bindings and keep it. */
function useBindings(env) {
  if (isConfigured(env)) return;
  // Without a prototype: what some dependency has put on Object.prototype is no setting of this Worker.
  call(() => configure(Object.assign(Object.create(null), env)));
  configured = env;
}

function newJob(request, env) {
  useBindings(env);
  jobs = (jobs + 1) >>> 0;
  return { id: jobs, request, wasm, text, promise: undefined, left: 0, refuse: undefined, timer: undefined };
}

/** A text of the wasm. */
const text = (address, length) => decoder.decode(bytes(address, length));

/** Looks whether the job has waited for too long, until it is done. One timer for all its waits: most are over before. */
function watch(job) {
  job.timer = setTimeout(() => {
    if (job.left === Infinity) return;
    // Counted in ticks, for a clock may be set.
    if (job.left <= 0) job.refuse(new Error("deadline"));
    job.left -= TICK_MS;
    watch(job);
  }, TICK_MS);
}

/** What the job waits for, or an error when its time is over. */
function inTime(job) {
  if (job.timer === undefined) watch(job);
  return new Promise((resolve, reject) => {
    job.refuse = reject;
    job.promise.then(resolve, reject);
  });
}

/** Awaits what the job waits for, until it is done, and then at once does `last`: the next job overwrites what it wrote. */
async function finish(job, last) {
  try {
    for (;;) {
      let [value, isGood] = ["", true];
      try {
        value = await inTime(job);
      } catch (error) {
        [value, isGood] = [String(error?.message), false];
      }
      if (job.wasm !== wasm) throw new Stopped("another job has stopped the wasm");
      const length = Array.isArray(value) ? write(value[1], write(value[0])) : write(value);
      const state = call(() => wasm.resume(job.id, length, isGood, Date.now()), job);
      if (state === DONE) return call(last);
      if (state !== WAITS) throw new Stopped("the job took too long");
    }
  } finally {
    // To take the timer away costs more than to let it find out.
    job.left = Infinity;
  }
}

/** Whether a read is counted by address: those that ask the database without a session. A query must not hide it. */
const isCounted = (url) => url.includes("/products") || url.includes("/revocations");

/** Writes what a job is to know of a request; gives its length. */
function writeHead(request) {
  const { method, url, headers } = request;
  let head = `${method}\n${url}`;
  for (const name of method !== "GET" && method !== "HEAD" ? CHANGING : isCounted(url) ? COUNTED : ASKING) {
    const value = headers.get(name);
    if (value !== null) head += `\n${name}:${value}`;
  }
  const length = write(head, ENTROPY_BYTES);
  crypto.getRandomValues(bytes(roomFor(length), ENTROPY_BYTES));
  return length;
}

/** Sets of headers that many responses share, by their number: making them is most of what a response costs. */
const sets = [];

/** The response that the wasm has put out; `write` in mod.rs says how. */
function respond() {
  const [first, line, shared, own, body] = text(wasm.output(), wasm.outputLength()).split("\0");
  const [status, level, requestId, number] = first.split(" ");
  console[level](line);
  if (shared !== "") sets[number] = new Headers(shared.split("\n").map(pair));
  // Set before the headers are copied: to ask a response for its own costs more.
  sets[number].set("x-request-id", requestId);
  // 204 and 304 must have no body at all, not an empty one.
  const response = new Response(body === "" ? null : body, { __proto__: null, status, headers: sets[number] });
  if (own !== "") for (const header of own.split("\n")) response.headers.append(...pair(header));
  return response;
}

/** Why a job does not go on, although its own calls went well. */
class Stopped extends Error {}

/** The answer to a request whose job was stopped. */
function stopped(request, env, error) {
  // Of other errors, the message may hold what was read.
  const isPlain = error instanceof Stopped || error instanceof WebAssembly.RuntimeError;
  console.error(JSON.stringify({ level: "error", message: "a job was stopped", error: isPlain ? error.message : String(error?.name) }));
  try {
    useBindings(env);
  } catch {
    // Then it is an answer that only a page of ours cannot read.
  }
  const length = writeHead(request);
  call(() => wasm.stopped(length));
  return call(respond);
}

export default {
  fetch(request, env, context) {
    let answer;
    try {
      const job = newJob(request, env);
      const length = writeHead(request);
      if (call(() => wasm.begin(job.id, length, Date.now()), job) === DONE) return call(respond);
      answer = finish(job, respond).catch((error) => stopped(request, env, error));
    } catch (error) {
      return stopped(request, env, error);
    }
    // What has begun is finished, also when nobody waits for its answer any more.
    context?.waitUntil(answer);
    return answer;
  },

  async scheduled(_event, env) {
    const job = newJob(undefined, env);
    if (call(() => wasm.schedule(job.id, Date.now()), job) !== DONE) await finish(job, () => {});
  },
};
