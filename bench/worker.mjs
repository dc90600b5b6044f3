// Compares the Worker with the same service in JavaScript (bench/peer): `node bench/worker.mjs`
// prints JSON. First, both must answer alike; then they are loaded in turns, slice by slice. With
// `--quick`, it measures only the figures of bench/floors.mjs. `--before <folder>` names an earlier
// build of ours, which is then loaded in turns with them; it need not answer alike.

import assert from "node:assert/strict";
import { createPrivateKey, randomBytes, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { newKey } from "../pkg/cli/keys.mjs";
import { root } from "../scripts/paths.mjs";
import { FLOORS } from "./floors.mjs";
import { load, render, sequence } from "./load.mjs";
import * as statements from "./peer/statements.mjs";
import { bare, bundles, prepare, settings, startUpstream, withD1 } from "./runtime.mjs";
import { median, quantile } from "./statistics.mjs";

const { quick: isQuick, before } = parseArgs({ options: { quick: { type: "boolean" }, before: { type: "string" } } }).values;
const SLICES = isQuick ? 11 : 5;
const SLICE_SECONDS = isQuick ? 0.5 : 3;
const WARM_UP_SECONDS = 1;
const CONNECTIONS = 16;
const STARTS = 5;
const USERS = 20_000; // enough that few users reach the limit of sessions
const TOKENS = 16_000; // many more than our cache stores
const NAMES = ["ours", "peer", ...(before ? ["before"] : [])];

const key = newKey();
const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A copy of the token with other claims or another signature. */
function changed(token, members, { forge = false } = {}) {
  const payload = { ...JSON.parse(Buffer.from(token.split(".")[1], "base64url")), ...members };
  const signed = `${token.split(".")[0]}.${base64url(payload)}`;
  const signature = sign(null, Buffer.from(signed), createPrivateKey({ key, format: "jwk" }));
  if (forge) signature[10] ^= 1;
  return `${signed}.${signature.toString("base64url")}`;
}

const signIn = (number) => render("POST", "/session", { body: JSON.stringify({ accessToken: `user-${number}` }) });
const check = (token) => render("GET", "/session", { headers: { Authorization: `Bearer ${token}` } });

/** Session checks with so many tokens that each has left the cache before it returns. */
function others(token) {
  const texts = Array.from({ length: TOKENS }, (_, i) => check(changed(token, { jti: `other-${i}` })));
  let next = 0;
  return () => texts[next++ % TOKENS];
}

/** Sends a request by `fetch`, and returns the whole answer. */
async function look(port, method, path, { token, accessToken } = {}) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: { ...(token && { authorization: `Bearer ${token}` }), ...(accessToken && { "content-type": "application/json" }) },
    body: accessToken && JSON.stringify({ accessToken }),
  });
  return { status: response.status, headers: [...response.headers.keys()].filter((name) => name !== "transfer-encoding" && name !== "content-length").sort(), body: await response.json() };
}

/** The names and types of all members of a body. */
function shape(value) {
  if (Array.isArray(value)) return value.map(shape);
  if (value === null || typeof value !== "object") return typeof value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, shape(value[name])]));
}

/** Checks that both behave alike, so that their speeds can be compared. Returns the session
 * token of each. */
async function mustBeAlike(ports) {
  const answers = {};
  for (const name of NAMES) {
    const port = ports[name];
    const signedIn = await look(port, "POST", "/session", { accessToken: "user-1" });
    const token = signedIn.body.sessionToken;
    assert.equal(signedIn.status, 200, `${name}: ${JSON.stringify(signedIn.body)}`);
    answers[name] = {
      token,
      all: {
        signedIn,
        checked: await look(port, "GET", "/session", { token }),
        expired: await look(port, "GET", "/session", { token: changed(token, { iat: 1, exp: 2 }) }),
        forged: await look(port, "GET", "/session", { token: changed(token, {}, { forge: true }) }),
        health: await look(port, "GET", "/health"),
        jwks: await look(port, "GET", "/.well-known/jwks.json"),
        wrongPioneer: await look(port, "POST", "/session", { accessToken: "nobody" }),
      },
    };
  }
  for (const [what, ours] of Object.entries(answers.ours.all)) {
    const peer = answers.peer.all[what];
    const expected = { signedIn: 200, checked: 200, health: 200, jwks: 200 }[what] ?? 401;
    assert.equal(ours.status, expected, `${what}: ${JSON.stringify(ours.body)}`);
    assert.deepEqual({ status: peer.status, headers: peer.headers, body: shape(peer.body) }, { status: ours.status, headers: ours.headers, body: shape(ours.body) }, `${what}: the peer answers otherwise`);
  }
  const claims = (name) => shape(JSON.parse(Buffer.from(answers[name].token.split(".")[1], "base64url")));
  assert.deepEqual(claims("peer"), claims("ours"));
  return Object.fromEntries(NAMES.map((name) => [name, answers[name].token]));
}

/** The peer must run the SQL that the Worker runs. */
function mustHaveOurStatements() {
  const plain = (text) => text.replace(/\s+/g, " ").trim();
  const files = ["session", "counts"].map((name) => readFileSync(`${root}/src/worker/d1/${name}.rs`, "utf8"));
  const source = plain(files.join("\n")).replace(/", number!\("(\?\d)"\), "/g, (_, now) => `max(${now} * 1000, (SELECT number FROM last_revocation) + 1)`)
    .replace('", $or_blocked, "', " OR blocked_at IS NOT NULL");
  for (const [name, sql] of Object.entries(statements)) assert.ok(source.includes(plain(sql)), `bench/peer/statements.mjs: ${name} is no longer the Worker's`);
}

/** The names of the Workers in the order of a turn, so that each is first equally often. */
const turn = (number) => NAMES.map((_, i) => NAMES[(i + number) % NAMES.length]);

/** Loads all in turns. */
async function duel({ request, status = 200 }, workers) {
  const results = Object.fromEntries(NAMES.map((name) => [name, { perSecond: [], cpuMs: [], latencies: [] }]));
  for (const name of NAMES) await load({ port: workers[name].port, connections: CONNECTIONS, seconds: WARM_UP_SECONDS, request: request[name], status });
  for (let slice = 0; slice < SLICES; slice++) {
    for (const name of turn(slice)) {
      const cpuMs = workers[name].cpuMs();
      const { latencies, seconds } = await load({ port: workers[name].port, connections: CONNECTIONS, seconds: SLICE_SECONDS, request: request[name], status });
      results[name].cpuMs.push((workers[name].cpuMs() - cpuMs) / latencies.length);
      results[name].perSecond.push(latencies.length / seconds);
      for (const latency of latencies) results[name].latencies.push(latency);
    }
  }
  return Object.fromEntries(NAMES.map((name) => {
    const sorted = Float64Array.from(results[name].latencies).sort();
    // The least: other programs of the machine and of its host only add to it.
    return [name, { perSecond: median(results[name].perSecond), cpuMs: Math.min(...results[name].cpuMs), slices: results[name].perSecond.map(Math.round), p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99) }];
  }));
}

const all = (request) => Object.fromEntries(NAMES.map((name) => [name, request]));
const each = (tokens, make) => Object.fromEntries(NAMES.map((name) => {
  const text = make(tokens[name]);
  return [name, () => text];
}));

function signIns() {
  let number = 0;
  return () => signIn((number += 7) % USERS);
}

async function main() {
  mustHaveOurStatements();
  const folder = prepare({ before });
  const upstream = await startUpstream();
  const bindings = settings({ pi: upstream.url, keys: JSON.stringify({ keys: [key] }), secret: randomBytes(32).toString("base64url") });
  const say = (text) => console.error(`[bench]   ${text}`);
  const size = (name) => bundles[name].map((file) => readFileSync(`${folder}/${name}/${file}`)).reduce((sum, bytes) => sum + gzipSync(bytes, { level: 9 }).length, 0);
  const results = { scenarios: {}, gzippedBytes: Object.fromEntries(NAMES.map((name) => [name, size(name)])) };
  const running = [];
  try {
    const start = async (how) => {
      const workers = {};
      for (const name of NAMES) running.push((workers[name] = await how(name, bindings)));
      return workers;
    };
    const stop = async () => {
      for (const worker of running.splice(0)) await worker.close();
    };
    const ports = (workers) => Object.fromEntries(NAMES.map((name) => [name, workers[name].port]));

    // One token for each, signed with the key that both share. The database in the isolate treats
    // every session as live.
    let workers = await start(bare);
    const tokens = await mustBeAlike(ports(workers));
    results.tokenBytes = tokens.ours.length;
    const scenarios = {
      "health": { request: all(() => render("GET", "/health")) },
      "jwks": { request: all(() => render("GET", "/.well-known/jwks.json")) },
      "session check, no storage": { request: each(tokens, check) },
      "session check of other tokens, no storage": { request: Object.fromEntries(NAMES.map((name) => [name, others(tokens[name])])) },
      "sign-in, no storage": { request: all(signIns()) },
      "expired token refused": { request: each(tokens, (token) => check(changed(token, { iat: 1, exp: 2 }))), status: 401 },
      "forged token refused": { request: each(tokens, (token) => check(changed(token, {}, { forge: true }))), status: 401 },
    };
    const rssAtStart = Object.fromEntries(NAMES.map((name) => [name, workers[name].rss()]));
    for (const [name, scenario] of Object.entries(scenarios)) {
      if (isQuick && !(name in FLOORS.worker)) continue;
      say(name);
      results.scenarios[name] = await duel(scenario, workers);
    }
    if (isQuick) return console.log(JSON.stringify(results));
    results.rss = Object.fromEntries(NAMES.map((name) => [name, { start: rssAtStart[name], loaded: workers[name].rss() }]));
    await stop();

    say("with D1");
    workers = await start(withD1);
    const live = await mustBeAlike(ports(workers));
    for (const [name, scenario] of Object.entries({
      "session check, D1": { request: each(live, check) },
      "sign-in, D1": { request: all(signIns()) },
    })) {
      say(name);
      results.scenarios[name] = await duel(scenario, workers);
    }
    await stop();

    say("first requests");
    const firsts = Object.fromEntries(NAMES.map((name) => [name, []]));
    for (let run = 0; run < STARTS; run++) {
      for (const name of turn(run)) {
        const worker = await bare(name, bindings);
        running.push(worker);
        const [firstMs] = await sequence({ port: worker.port, count: 1, request: () => check(tokens[name]), status: 200 });
        firsts[name].push({ listenMs: worker.listenMs, firstMs, totalMs: worker.listenMs + firstMs });
        await stop();
      }
    }
    const part = (name, member) => median(firsts[name].map((run) => run[member]));
    results.firstRequest = Object.fromEntries(NAMES.map((name) => [name, { listenMs: part(name, "listenMs"), firstMs: part(name, "firstMs"), totalMs: part(name, "totalMs") }]));
  } finally {
    for (const worker of running) await worker.close();
    upstream.close();
  }
  console.log(JSON.stringify(results));
}

await main();
