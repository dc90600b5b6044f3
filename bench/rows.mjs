// Measures the Worker's answers as its tables grow, with a real D1, and counts the rows that D1
// reads and writes for them: `node bench/rows.mjs [deadline]` prints JSON. The deadline, in ms since 1970, decides whether there is time for a
// million rows. With `feed <issuer>`, it is the fresh process that measures a verifier's memory.

import { execFileSync } from "node:child_process";
import { render, sequence } from "./load.mjs";
import { watchMemory } from "./memory.mjs";
import { costs, countRows } from "./operations.mjs";
import * as statements from "./peer/statements.mjs";
import { prepare } from "./runtime.mjs";
import { median, quantile } from "./statistics.mjs";
import { startTestbed } from "./testbed.mjs";
import { AUDIENCE } from "./tokens.mjs";

const SIZES = [10, 1000, 100_000, 1_000_000];
const MILLION_MS = 120_000; // the time to insert and measure a million rows on a slow machine
const CHUNK = 100_000;
const REQUESTS = 200;
const ENDED = 100_000;
const FEEDS = 3;
const FIRST_USER = 5000; // the first of the crowd whose answers are timed; the ones before are counted

const say = (text) => console.error(`[bench]   ${text}`);
const summary = (latencies) => {
  const sorted = Float64Array.from(latencies).sort();
  return { p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99) };
};

/** Inserts users with one live session each, numbered from `from` to `to`. Their expiry times
 * are spread, as real ones are. */
async function insert(database, from, to, now) {
  for (let first = from; first < to; first += CHUNK) {
    const last = Math.min(first + CHUNK, to);
    const numbers = `WITH RECURSIVE numbers (n) AS (SELECT ${first} UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ${last})`;
    await database.batch([
      database.prepare(`${numbers} INSERT INTO users (uid, username, scopes, first_seen_at, last_seen_at, sign_ins)
        SELECT printf('row-%08x-%08d', n * 2654435761 % 4294967296, n), 'pioneer_' || n, 'username payments', ${now}, ${now}, 1 FROM numbers`),
      database.prepare(`${numbers} INSERT INTO sessions (sid, uid, created_at, last_seen_at, token_expires_at, tokens_expire_at, expires_at, app_bound, user_agent)
        SELECT printf('sid-%08x-%08d', n * 2246822519 % 4294967296, n), printf('row-%08x-%08d', n * 2654435761 % 4294967296, n),
          ${now}, ${now}, ${now} + 3600, ${now} + 3600, ${now} + 4000 + n % 600000, 1, 'bench/1' FROM numbers`),
    ]);
  }
}

/** SQLite's query plan for each statement. A scan of users or sessions would grow with them. */
async function plans(database) {
  const found = {};
  for (const [name, sql] of Object.entries(statements)) {
    const values = Array(Math.max(...[...sql.matchAll(/\?(\d+)/g)].map(([, n]) => Number(n)))).fill(1);
    const { results } = await database.prepare(`EXPLAIN QUERY PLAN ${sql}`).bind(...values).all();
    found[name] = results.map(({ detail }) => detail);
  }
  return found;
}

const scans = (plan) => Object.values(plan).flat().filter((step) => /^SCAN (users|sessions)\b/.test(step));

async function grow(testbed, deadline) {
  const { port, database } = testbed;
  const now = Math.floor(Date.now() / 1000);
  const steps = [];
  let [rows, number] = [0, FIRST_USER];
  const signIn = () => render("POST", "/session", { body: JSON.stringify({ accessToken: `sim-crowd-${number++}` }) });
  const signedIn = await fetch(`http://127.0.0.1:${port}/session`, { method: "POST", headers: { "content-type": "application/json" }, body: '{"accessToken":"sim-crowd-9999"}' });
  const { sessionToken } = await signedIn.json();
  const check = () => render("GET", "/session", { headers: { Authorization: `Bearer ${sessionToken}` } });
  for (const size of SIZES) {
    if (size === 1_000_000 && Date.now() + MILLION_MS > deadline) {
      say("no time is left for a million rows");
      break;
    }
    say(`${size} rows`);
    await insert(database, rows, size, now);
    rows = size;
    for (const request of [signIn, check]) await sequence({ port, count: REQUESTS, request, status: 200 });
    const signIns = await sequence({ port, count: REQUESTS, request: signIn, status: 200 });
    const checks = await sequence({ port, count: REQUESTS, request: check, status: 200 });
    steps.push({ rows, signIn: summary(signIns), check: summary(checks), operations: await countRows(testbed) });
  }
  const plan = await plans(database);
  return { steps, plan, scans: scans(plan), costs: costs(steps.at(-1).operations) };
}

/** Measures the feed of revoked sessions, from D1 to a verifier that has read it. */
async function feed({ port, database }) {
  say(`a feed of ${ENDED} ended sessions`);
  await database.prepare(`UPDATE sessions SET revoked_at = last_seen_at, expires_at = tokens_expire_at, revocation = last_seen_at * 1000 WHERE sid IN (SELECT sid FROM sessions WHERE sid LIKE 'sid-%' ORDER BY sid LIMIT ${ENDED})`).run();
  const url = `http://127.0.0.1:${port}/revocations`;
  const [whole, unchanged] = [[], []];
  let [bytes, etag] = [0, ""];
  for (let i = 0; i < FEEDS; i++) {
    const began = performance.now();
    const response = await fetch(url);
    bytes = (await response.arrayBuffer()).byteLength;
    if (response.status !== 200) throw new Error(`the feed answered ${response.status}`);
    whole.push(performance.now() - began);
    etag = response.headers.get("etag");
    const again = performance.now();
    await (await fetch(url, { headers: { "if-none-match": etag } })).arrayBuffer();
    unchanged.push(performance.now() - again);
  }
  const verifier = JSON.parse(execFileSync(process.execPath, ["--expose-gc", import.meta.filename, "feed", `http://127.0.0.1:${port}`], { encoding: "utf8" }));
  return { ended: ENDED, wholeMs: median(whole), unchangedMs: median(unchanged), bytes, verifier };
}

async function verifierWithFeed(issuer) {
  const look = watchMemory();
  const { createVerifier } = await import("../pkg/index.mjs");
  const before = look();
  const began = performance.now();
  const verifier = await createVerifier({ issuer, audience: AUDIENCE, revocations: true });
  const readyMs = performance.now() - began;
  const after = look();
  await verifier.close();
  console.log(JSON.stringify({ readyMs, rss: after.rss - before.rss, heapUsed: after.heapUsed - before.heapUsed, wasm: after.wasm - before.wasm }));
}

async function main(deadline) {
  prepare();
  const testbed = await startTestbed("ours");
  try {
    console.log(JSON.stringify({ ...(await grow(testbed, deadline)), feed: await feed(testbed) }));
  } finally {
    await testbed.close();
  }
}

const [mode, issuer] = process.argv.slice(2);
if (mode === "feed") await verifierWithFeed(issuer);
else await main(mode === undefined ? Infinity : Number(mode));
