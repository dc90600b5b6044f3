// Runs sessions of the browser module against the built Worker in workerd over a network that loses
// and delays answers, with and without thieves who have copied a browser's storage.

import { setTimeout as sleep } from "node:timers/promises";
import { startIssuer, startSimulator } from "../support/workers.mjs";
import { Browser } from "./browser.mjs";

const REFRESH = "/session/refresh";
const START_MS = 40; // the average time between two starting browsers
const ORIGIN = "https://app.example";
const TABS = 3;
const open = new Set(); // requests
const SESSION_TTL = 60; // the shortest that the Worker allows, so that there are many refreshes
const HANG_SHARE = 0.5; // the share of lost answers whose connection stays open
const ASK_TIMEOUT_MS = 15_000; // the timeout of the page's own requests
const ASK_MS = [5_000, 15_000]; // the pause between two requests of a tab

/** A network that loses every third answer and delays the others. It delivers all sign-ins, so
 * that there are sessions. It adds the refresh tokens of refresh answers to `successors`. */
function lossy(random, delayMs, successors) {
  let answers = 0;
  return async (input, init) => {
    const request = new Request(input, init);
    const { signal } = request;
    // The request always arrives; only the answer can be lost.
    const headers = new Headers(request.headers);
    headers.set("origin", ORIGIN);
    const answer = await fetch(new Request(request, { headers, signal: undefined }));
    if (new URL(request.url).pathname === "/session" && request.method === "POST") return answer;
    const body = await answer.arrayBuffer();
    const { pathname } = new URL(request.url);
    if (pathname === REFRESH && answer.ok) successors.add(JSON.parse(Buffer.from(body)).refreshToken);
    answers += 1;
    const isLost = answers % 3 === 0;
    const hangs = isLost && random() < HANG_SHARE;
    // Node does not abort a request without references, and its waiting promise would never settle.
    // So keep one.
    const isOpen = [input, request];
    open.add(isOpen);
    await new Promise((done, fail) => {
      const abort = () => fail(signal.reason);
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort, { once: true });
      if (!hangs) setTimeout(done, random() * delayMs);
    }).finally(() => open.delete(isOpen));
    if (isLost) throw new TypeError("Failed to fetch");
    return new Response(body.byteLength > 0 ? body : null, answer);
  };
}

/** Random numbers from 0 to 1 (mulberry32). Equal seeds produce equal numbers. */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A fake of Pi's SDK for a page. */
const piOf = (token) => ({ authenticate: async () => ({ accessToken: token, user: { uid: "ignored" } }) });

/** Like AbortSignal.timeout, whose timer Node drops together with an unreferenced signal. */
function timeout(ms) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new DOMException("timed out", "TimeoutError")), ms);
  return controller.signal;
}

/** Sends requests from a tab until the time is over, and counts their statuses and errors in
 * `seen`. */
async function use(session, url, until, random, seen) {
  while (Date.now() < until) {
    await sleep(ASK_MS[0] + random() * (ASK_MS[1] - ASK_MS[0]));
    try {
      const response = await session.fetch(`${url}/session`, { signal: timeout(ASK_TIMEOUT_MS) });
      seen[response.status] = (seen[response.status] ?? 0) + 1;
    } catch (error) {
      const code = typeof error.code === "string" ? error.code : error.name;
      seen[code] = (seen[code] ?? 0) + 1;
    }
  }
}

/**
 * Runs this many sessions for this many seconds. With `thief`, a thief copies the storage of each
 * browser after the sign-in and refreshes with the copy again and again.
 */
export async function run({ sessions, seconds, delayMs = 10_000, mode, thief = false, seed = 1 }) {
  const random = randomOf(seed);
  const simulator = await startSimulator();
  const issuer = await startIssuer({ pi: simulator.url, allowedOrigin: ORIGIN, variables: { SESSION_TTL: String(SESSION_TTL) } });
  const result = { mode, thief, sessions, tabs: TABS, ended: 0, reasons: {}, requests: {}, refreshes: 0, stolenRefreshes: 0, detected: 0, ownerRefreshes: 0, unbound: 0 };
  try {
    await fetch(`${issuer.url}/products`); // sets the database up
    const database = await issuer.worker.getD1Database("DB");
    const until = Date.now() + START_MS * sessions + seconds * 1000;
    await Promise.all(Array.from({ length: sessions }, async (_, index) => {
      // Starts are spread out: in one process, a thousand simultaneous browsers would exceed the
      // module's wait for a key.
      await sleep(random() * START_MS * sessions);
      const clockSeconds = [0, 7200, -7200, 90][index % 4];
      const successors = new Set();
      const browser = new Browser({ fetch: lossy(random, delayMs, successors), clockSeconds, has: { indexedDB: mode === "bound" } });
      const ended = (error) => {
        result.reasons[error?.code ?? "none"] = (result.reasons[error?.code ?? "none"] ?? 0) + 1;
      };
      const options = { issuer: issuer.url, storage: browser.storage, onSignedOut: ended };
      const first = await browser.tab().module.signIn(piOf(`sim-crowd-${index}`), options);
      if (mode === "bound" && !JSON.parse(browser.storage.getItem(`pioneer-session:${issuer.url}`)).jkt) result.unbound += 1;
      const stolen = thief && browser.storage.copy();
      const others = [];
      for (let i = 1; i < TABS; i++) others.push(await browser.tab().module.resume(options));
      if (others.some((session) => !session)) throw new Error("a tab found no session");
      const tabs = [first, ...others];
      const jobs = tabs.map((session) => use(session, issuer.url, until, random, result.requests));
      if (stolen) jobs.push(steal(stolen, issuer.url, until, random, result));
      await Promise.all(jobs);
      if (tabs.some((session) => !session.user)) result.ended += 1;
      if (thief) result.ownerRefreshes = Math.max(result.ownerRefreshes, successors.size);
    }));
    const { n, total } = await database.prepare("SELECT sum(revoked_at IS NOT NULL) AS n, total(refreshes) AS total FROM sessions").first();
    Object.assign(result, { revoked: n ?? 0, refreshes: total });
  } finally {
    await issuer.close();
    await simulator.close();
  }
  return result;
}

/** Runs a thief with a copy of the storage: another browser with the same module, on a good
 * network. */
async function steal(storage, url, until, random, result) {
  const thief = new Browser({
    async fetch(input, init) {
      const request = new Request(input, init);
      const headers = new Headers(request.headers);
      headers.set("origin", ORIGIN);
      const answer = await fetch(new Request(request, { headers }));
      if (new URL(request.url).pathname === REFRESH && answer.ok) {
        result.stolenRefreshes += 1;
      }
      return answer;
    },
  });
  thief.storage = storage;
  let isOver = false;
  const session = await thief.tab().module.resume({ issuer: url, storage, onSignedOut: () => (isOver = true) });
  await sleep(SESSION_TTL * 500 + random() * 5_000);
  while (Date.now() < until && !isOver) {
    await session?.renew().catch(() => {});
    if (isOver || !session?.user) break;
    await sleep(12_000 + random() * 8_000);
  }
  if (isOver || !session?.user) result.detected += 1;
}

/** The faults in a result. */
export function wrong({ mode, thief, sessions, ended, refreshes, stolenRefreshes, detected, unbound }) {
  const faults = [];
  if (unbound > 0) faults.push(`${unbound} sessions got no key`);
  if (refreshes < sessions) faults.push("there were too few refreshes to judge");
  if (mode === "bound" || !thief) {
    if (ended > 0) faults.push(`${ended} sessions ended`);
    if (stolenRefreshes > 0) faults.push(`a thief got ${stolenRefreshes} refreshes`);
  } else {
    if (detected < sessions) faults.push(`${sessions - detected} thieves were not found`);
  }
  return faults;
}
