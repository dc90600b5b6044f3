// The module that the runtime loads: requests and scheduled events become jobs of the wasm, and the
// promises that jobs wait for are awaited here. A request that waits for nothing (it has no body
// and asks neither D1 nor Pi) makes no promise. A request that waits is polled in its own context
// when its answer is there, without a queue of micro-tasks or closures between two languages.
// mod.rs has a diagram of a job.
//
// "worker/glue" is made by wasm-bindgen, and "worker/console" has the texts of the console's files,
// by their names (scripts/build.mjs).

import { __wbg_reset_state as reset, configure, initSync } from "worker/glue";
import { files } from "worker/console";
import module from "./index_bg.wasm";
import { log, polling } from "./host.mjs";
import { DEADLINE, head, pairs, read, text } from "./wire.mjs";

/** The headers that the service reads: of requests that only read, of those that are counted by
 * address, and of all others. `Headers` joins several values of one name with commas. */
const READING = ["authorization", "cookie", "if-none-match", "origin", "sec-fetch-site"];
const COUNTED = [...READING, "cf-connecting-ip", "cf-worker"];
const CHANGING = [
  ...["authorization", "cookie", "if-match", "origin", "sec-fetch-site", "access-control-request-headers"],
  ...["cf-connecting-ip", "cf-ipcountry", "cf-worker", "content-encoding", "content-length", "content-type", "user-agent"],
  ...["dpop", "idempotency-key"],
];
const ENTROPY_BYTES = 28; // Entropy::BYTES
const [WAITS, DONE] = [0, 1]; // job.rs
const TICK_MS = 500; // a job learns at most this late that its deadline has passed
const MAX_DIRECT = 64 * 1024; // characters: a longer text is encoded apart, because room for any text is three times its length

const encoder = new TextEncoder();

let wasm = initSync({ module });
let memory = new Uint8Array(wasm.memory.buffer);
let configured; // the bindings that the wasm knows, if it knows any
let jobs = 0;

/** Calls into the wasm, for a job if there is one. A call that fails leaves the wasm in an unknown
 * state: it is started anew, and all jobs in flight end. */
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

/** The wasm's memory from an address on. A view of it is of no use once the memory grows. */
function bytes(address, length) {
  if (memory.buffer !== wasm.memory.buffer) memory = new Uint8Array(wasm.memory.buffer);
  return memory.subarray(address, address + length);
}

const roomFor = (length) => call(() => wasm.room(length));

/** Writes bytes, or a text in UTF-8, into the wasm's input, from `offset` on. Returns the offset of
 * their end. */
function write(value, offset = 0) {
  const data = typeof value === "string" && value.length > MAX_DIRECT ? encoder.encode(value) : value;
  const most = offset + (typeof data === "string" ? 3 : 1) * data.length;
  const room = bytes(roomFor(most) + offset, most - offset);
  if (typeof data === "string") return offset + encoder.encodeInto(data, room).written;
  room.set(data);
  return most;
}

/** Whether the wasm knows these bindings. A wrapper may make a new object of the same bindings for
 * each request. */
function isConfigured(env) {
  if (configured === env) return true;
  if (configured === undefined || Object.getPrototypeOf(configured) !== Object.getPrototypeOf(env)) return false;
  const names = Object.keys(env);
  return names.length === Object.keys(configured).length && names.every((name) => env[name] === configured[name]);
}

/** Hands the bindings to the wasm, if they are new: Cloudflare may change bindings and keep the
 * isolate. */
function useBindings(env) {
  if (isConfigured(env)) return;
  kept.clear();
  // Without a prototype: a property that a dependency put on Object.prototype is no setting of this
  // Worker.
  call(() => configure(Object.assign(Object.create(null), env)));
  configured = env;
}

function newJob(request) {
  jobs = (jobs + 1) >>> 0;
  return { id: jobs, request, wasm, text: constant, promise: undefined, left: 0, refuse: undefined, timer: undefined };
}

/** A text in the wasm's memory. */
const constant = (address, length) => text(bytes(address, length));

/** Checks every tick whether the job has waited for too long, until it is done. One timer serves
 * all its waits, because most are over before the first tick. */
function watch(job) {
  job.timer = setTimeout(() => {
    if (job.left === Infinity) return;
    // Counted in ticks, because a clock may be set.
    if (job.left <= 0) job.refuse(new Error(DEADLINE));
    job.left -= TICK_MS;
    watch(job);
  }, TICK_MS);
}

/** The value of the promise that the job waits for, or an error after its deadline. */
function inTime(job) {
  if (job.timer === undefined) watch(job);
  return new Promise((resolve, reject) => {
    job.refuse = reject;
    job.promise.then(resolve, reject);
  });
}

/** Awaits and polls the job until it is done, and then calls `last` immediately, before the next
 * job overwrites the output. */
async function finish(job, last) {
  try {
    for (;;) {
      let [value, isGood] = ["", true];
      try {
        value = await inTime(job);
      } catch (error) {
        [value, isGood] = [String(error?.message), false];
      }
      if (job.wasm !== wasm) throw new Stopped("another job stopped the wasm");
      const length = Array.isArray(value) ? write(value[1], write(value[0])) : write(value);
      const state = call(() => wasm.resume(job.id, length, isGood, Date.now()), job);
      if (state === DONE) return last();
      if (state !== WAITS) throw new Stopped("the job took too long");
    }
  } finally {
    // Clearing the timer costs more than its last tick.
    job.left = Infinity;
  }
}

/** Whether a read is counted by address: those that query the database without a session, and those
 * of operators with a wrong credential. A query string must not hide it. */
const isCounted = (url) => url.includes("/products") || url.includes("/revocations") || url.includes("/admin/");

/** The text of a request for a job: method, URL and headers as fields. */
function textOf({ method, url, headers }) {
  const fields = [method, url];
  for (const name of method !== "GET" && method !== "HEAD" ? CHANGING : isCounted(url) ? COUNTED : READING) {
    const value = headers.get(name);
    if (value !== null) fields.push(name, value);
  }
  return head(fields);
}

/** Writes a request for a job: its text, and random bytes as the body. Returns its length. */
function writeRequest(text) {
  const end = write(text);
  const length = end + ENTROPY_BYTES;
  crypto.getRandomValues(bytes(roomFor(length) + end, ENTROPY_BYTES));
  return length;
}

/** Sets of headers that many responses share, by their number: making them is most of the cost of a
 * response. */
const sets = [];

/** The repeatable answers, by the texts of their requests: for health checks and verifiers, the
 * wasm would make the same again and again. They depend on that text and the bindings only, and
 * no limit counts them. */
const kept = new Map();
// A text has values that its sender has chosen, so there may be any number of texts, of any length.
const MAX_KEPT = 16;
const MAX_KEPT_TEXT = 512; // characters

const REQUEST_ID_BYTES = 12; // Entropy::request_id

/** Makes the response of an answer. */
function send({ requestId, status, headers, body }) {
  // Set before the headers are copied: reading a response's own headers costs more.
  headers.set("x-request-id", requestId);
  // 204 and 304 must have no body; an empty body is not the same.
  return new Response(body, { __proto__: null, status, headers });
}

let hasCountsDue = false; // as the last response said

/** The response that the wasm has put out (response.rs). It is kept for the text of its request, if
 * that is given. */
function respond(text) {
  const [[status, method, line, requestId, isRepeatable, areCountsDue, file, number, shared, ...rest], body] = read(bytes(wasm.output(), wasm.outputLength()));
  if (method !== "") log(method, line);
  hasCountsDue = areCountsDue === "yes";
  const own = pairs(rest);
  if (shared !== "0") sets[number] = new Headers(own.splice(0, Number(shared)));
  const answer = { status, headers: sets[number], body: file === "" ? body : files.get(file) };
  const response = send({ ...answer, requestId });
  for (const [name, value] of own) response.headers.append(name, value);
  if (isRepeatable === "yes" && text?.length <= MAX_KEPT_TEXT) {
    if (kept.size === MAX_KEPT) kept.clear();
    kept.set(text, { ...answer, headers: new Headers(response.headers) });
  }
  return response;
}

/** The response of a kept answer, with an id of its own. */
function repeat(answer) {
  const requestId = crypto.getRandomValues(new Uint8Array(REQUEST_ID_BYTES)).toBase64({ alphabet: "base64url" });
  return send({ ...answer, requestId });
}

/** The response of a job that is done. If counts are due to be written, that begins after it. */
function done(context, text) {
  const response = call(() => respond(text));
  if (hasCountsDue) context?.waitUntil(writeCounts());
  return response;
}

/** Writes what was counted. If it fails, nobody waits for it, and the wasm keeps the counts. */
async function writeCounts() {
  await new Promise((sent) => setTimeout(sent));
  const job = newJob(undefined);
  try {
    if (call(() => wasm.count(job.id, Date.now()), job) !== DONE) await finish(job, () => {});
  } catch (error) {
    logStop(error);
  }
}

/** The reason why a job does not continue although its own calls succeeded. */
class Stopped extends Error {}

function logStop(error) {
  // The message of any other error may contain text of the request.
  const isPlain = error instanceof Stopped || error instanceof WebAssembly.RuntimeError;
  log("error", JSON.stringify({ message: "a job was stopped", level: "error", event: "job.stopped", error: isPlain ? error.message : String(error?.name) }));
}

/** The answer to a request whose job was stopped. */
function stopped(request, env, error) {
  logStop(error);
  try {
    useBindings(env);
  } catch {
    // Without settings, the answer has no CORS headers, and a page of another origin cannot read
    // it.
  }
  const length = writeRequest(textOf(request));
  call(() => wasm.stopped(length));
  return call(() => respond());
}

export default {
  fetch(request, env, context) {
    let answer;
    try {
      useBindings(env);
      const text = textOf(request);
      const known = kept.get(text);
      if (known !== undefined) return repeat(known);
      const job = newJob(request);
      const length = writeRequest(text);
      if (call(() => wasm.begin(job.id, length, Date.now()), job) === DONE) return done(context, text);
      // Not kept: while the job waits, the bindings may change.
      answer = finish(job, () => done(context)).catch((error) => stopped(request, env, error));
    } catch (error) {
      return stopped(request, env, error);
    }
    // A job that has begun is finished, even if its client goes away.
    context?.waitUntil(answer);
    return answer;
  },

  async scheduled(_event, env) {
    useBindings(env);
    const job = newJob(undefined);
    if (call(() => wasm.schedule(job.id, Date.now()), job) !== DONE) await finish(job, () => {});
  },
};
