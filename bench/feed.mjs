// Measures the feed of revoked sessions with a real D1, at several sizes: the bytes and the time of
// each kind of answer, the memory of a verifier, and what a thousand verifiers cost in a minute:
// `node bench/feed.mjs` prints JSON.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { Agent, get } from "node:http";
import { promisify } from "node:util";
import { readFeed } from "../tests/support/feed.mjs";
import { prepare } from "./runtime.mjs";
import { median } from "./statistics.mjs";
import { startTestbed } from "./testbed.mjs";
import { AUDIENCE } from "./tokens.mjs";

const SIZES = [1000, 10_000, 100_000];
/** How long the feed names a session with a new token of the default lifetime: ten minutes, and two
 * more for slow clocks. The sessions of each size are revoked evenly in this time. */
const NAMED_SECONDS = 720;
const POLL_SECONDS = 15; // the default of the npm package
const VERIFIERS = 1000;
const MINUTE_SECONDS = 60;
const ROUNDS = 3; // with a new process each, because only its first answer reads everything
const REPEATS = 20;

const say = (text) => console.error(`[bench]   ${text}`);

/** An issuer with sessions that end. Its clock stands ahead by `aheadSeconds`. */
async function startIssuer() {
  const testbed = await startTestbed("ours");
  const { database, port } = testbed;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const began = Math.floor(Date.now() / 1000);
  const issuer = { url: testbed.url, aheadSeconds: 0 };
  let revoked = 0;
  await database.prepare(`INSERT INTO users (uid, username, scopes, first_seen_at, last_seen_at, sign_ins) VALUES ('feed', 'feed', '', ${began}, ${began}, 1)`).run();

  /** Revokes sessions, evenly in the seconds before the issuer's clock. Their tokens live for an
   * hour, so the feed forgets none during a measurement. */
  issuer.revoke = async (count, seconds) => {
    const since = began + issuer.aheadSeconds - seconds;
    await database.prepare(`WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ${count}),
        times AS (SELECT n, ${since} * 1000 + n * ${seconds} * 1000 / ${count} AS number FROM numbers)
      INSERT INTO sessions (sid, uid, created_at, last_seen_at, token_expires_at, tokens_expire_at, expires_at, revoked_at, revocation)
      SELECT printf('sid-%012d', ${revoked} + n), 'feed', number / 1000, number / 1000, number / 1000 + 3600, number / 1000 + 3600, number / 1000 + 3600, number / 1000, number FROM times`).run();
    revoked += count;
  };

  /** Asks for the feed as a verifier does. `bytes` are those on the wire, with the headers. */
  issuer.ask = async (after, etag) => {
    const [cpu, start] = [testbed.cpuMs(), performance.now()];
    const headers = { "x-ahead": issuer.aheadSeconds * 1000, ...(etag && { "if-none-match": etag }) };
    const answer = await new Promise((done, fail) => {
      const request = get({ agent, host: "127.0.0.1", port, path: `/revocations${after ? `?after=${after}` : ""}`, headers }, async (response) => {
        const before = request.socket.feedBytes ?? 0;
        const body = Buffer.concat(await response.toArray());
        request.socket.feedBytes = request.socket.bytesRead;
        done({ status: response.statusCode, etag: response.headers.etag, body, bytes: request.socket.bytesRead - before, counts: JSON.parse(response.headers["x-counts"]) });
      });
      request.on("error", fail);
    });
    const ms = performance.now() - start;
    assert.ok([200, 304].includes(answer.status), String(answer.body));
    return { ...answer, ms, cpuMs: testbed.cpuMs() - cpu };
  };

  issuer.close = async () => {
    agent.destroy();
    await testbed.close();
  };
  return issuer;
}

/** The medians of several answers of a kind. */
function figures(answers) {
  const middle = (read) => median(answers.map(read));
  return {
    status: answers[0].status,
    bytes: middle(({ bytes }) => bytes),
    ms: middle(({ ms }) => ms),
    d1Ms: middle(({ counts }) => counts.d1Ms),
    cpuMs: middle(({ cpuMs }) => cpuMs),
    d1: middle(({ counts }) => counts.d1),
    rowsRead: middle(({ counts }) => counts.rowsRead),
  };
}

/** All answers of one process, by kind. */
async function answers(issuer, count) {
  const repeat = async (after, etag) => {
    const found = [];
    while (found.length < REPEATS) found.push(await issuer.ask(after, etag));
    return found;
  };
  const ended = Math.round(count * POLL_SECONDS / NAMED_SECONDS);
  issuer.aheadSeconds += POLL_SECONDS; // the verifier of an empty feed has just made it read
  await issuer.revoke(count, NAMED_SECONDS);
  const whole = await issuer.ask();
  const wholeAgain = await repeat();
  issuer.aheadSeconds += POLL_SECONDS;
  await issuer.revoke(ended, POLL_SECONDS);
  const { to, names } = readFeed(whole.body);
  const behind = await issuer.ask(to);
  const behindAgain = await repeat(to);
  const feed = readFeed(behind.body);
  assert.deepEqual([names.length, feed.names.length], [count, ended]);
  const upToDate = await issuer.ask(feed.to);
  const unchanged = await repeat(feed.to, upToDate.etag);
  const signedAgain = await issuer.ask(); // the revocations are known, but not yet in one window
  return { ended, kinds: { whole: [whole], signedAgain: [signedAgain], wholeAgain, behind: [behind], behindAgain, upToDate: [upToDate], unchanged } };
}

async function measure(count) {
  say(`a feed of ${count} revoked sessions`);
  const rounds = [];
  let verifier;
  while (rounds.length < ROUNDS) {
    const issuer = await startIssuer();
    try {
      const empty = await verifierMemory(issuer);
      rounds.push(await answers(issuer, count));
      const { readyMs, wasm, heapUsed } = await verifierMemory(issuer);
      verifier = { readyMs, wasm: wasm - empty.wasm, heapUsed: heapUsed - empty.heapUsed };
    } finally {
      await issuer.close();
    }
  }
  const { ended } = rounds[0];
  const kinds = Object.keys(rounds[0].kinds).map((name) => [name, figures(rounds.flatMap(({ kinds }) => kinds[name]))]);
  return { count, ended, kinds: Object.fromEntries(kinds), verifier };
}

/** What a verifier adds to a fresh process. */
async function verifierMemory({ url }) {
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", `${import.meta.dirname}/verifier-memory.mjs`, url, AUDIENCE]);
  return JSON.parse(stdout);
}

/** What many verifiers cost in a simulated minute, in which sessions are revoked as fast as before.
 * All polls reach one process. */
async function minute(count) {
  say(`a minute of ${VERIFIERS} verifiers`);
  const issuer = await startIssuer();
  try {
    await issuer.revoke(count, NAMED_SECONDS);
    const whole = await issuer.ask();
    const { to } = readFeed(whole.body);
    const verifiers = Array.from({ length: VERIFIERS }, () => ({ to }));
    const total = { polls: 0, d1: 0, rowsRead: 0, bytes: 0, cpuMs: 0, unchanged: 0 };
    let revoked = 0;
    // After the first interval, each verifier is at another place.
    for (let second = 1; second <= POLL_SECONDS + MINUTE_SECONDS; second++) {
      issuer.aheadSeconds += 1;
      const due = Math.round(second * count / NAMED_SECONDS);
      await issuer.revoke(due - revoked, 1);
      revoked = due;
      for (let i = second % POLL_SECONDS; i < VERIFIERS; i += POLL_SECONDS) {
        const verifier = verifiers[i];
        const answer = await issuer.ask(verifier.to, verifier.to === verifier.taggedAt ? verifier.etag : undefined);
        [verifier.taggedAt, verifier.etag] = [verifier.to, answer.etag];
        if (answer.status === 200) verifier.to = readFeed(answer.body).to;
        if (second <= POLL_SECONDS) continue;
        total.polls += 1;
        total.unchanged += answer.status === 304 ? 1 : 0;
        for (const name of ["d1", "rowsRead"]) total[name] += answer.counts[name];
        for (const name of ["bytes", "cpuMs"]) total[name] += answer[name];
      }
    }
    // If the process remembered nothing, each poll would read what its first answer has read.
    const forgetful = { d1: total.polls * whole.counts.d1, rowsRead: total.polls * whole.counts.rowsRead };
    return { verifiers: VERIFIERS, count, ...total, forgetful };
  } finally {
    await issuer.close();
  }
}

prepare();
const sizes = [];
for (const count of SIZES) sizes.push(await measure(count));
console.log(JSON.stringify({ namedSeconds: NAMED_SECONDS, pollSeconds: POLL_SECONDS, sizes, minute: await minute(SIZES.at(-1)) }));
