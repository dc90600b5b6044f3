// Measures the Worker's answers as its tables grow, with a real D1, and counts the rows that D1
// reads and writes for them: `node bench/rows.mjs [deadline]` prints JSON. The deadline, in ms
// since 1970, decides whether there is time for a million rows.

import { render, sequence } from "./load.mjs";
import { costs, countRows } from "./operations.mjs";
import * as statements from "./peer/statements.mjs";
import { prepare } from "./runtime.mjs";
import { quantile } from "./statistics.mjs";
import { startTestbed } from "./testbed.mjs";

const SIZES = [10, 1000, 100_000, 1_000_000];
const MILLION_MS = 120_000; // the time to insert and measure a million rows on a slow machine
const CHUNK = 100_000;
const REQUESTS = 200;
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
  const timed = async (request) => {
    const before = testbed.cpuMs();
    const latencies = await sequence({ port, count: REQUESTS, request, status: 200 });
    return { ...summary(latencies), cpuMs: (testbed.cpuMs() - before) / REQUESTS };
  };
  for (const size of SIZES) {
    if (size === 1_000_000 && Date.now() + MILLION_MS > deadline) {
      say("no time is left for a million rows");
      break;
    }
    say(`${size} rows`);
    await insert(database, rows, size, now);
    rows = size;
    for (const request of [signIn, check]) await sequence({ port, count: REQUESTS, request, status: 200 });
    const [signIns, checks] = [await timed(signIn), await timed(check)];
    steps.push({ rows, signIn: signIns, check: checks, operations: await countRows(testbed) });
  }
  const plan = await plans(database);
  return { steps, plan, scans: scans(plan), costs: costs(steps.at(-1)) };
}

async function main(deadline) {
  prepare();
  const testbed = await startTestbed("ours");
  try {
    console.log(JSON.stringify(await grow(testbed, deadline)));
  } finally {
    await testbed.close();
  }
}

const [deadline = Infinity] = process.argv.slice(2).map(Number);
await main(deadline);
