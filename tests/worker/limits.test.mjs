// The limits on one client, one account, one slow connection or one broken binding, on the built
// Worker in workerd, where the order of bytes, the clock and the limiters are real.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { createVerifier } from "pioneer-session";
import { newKey } from "../../pkg/cli/keys.mjs";
import { root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";
import { eventually } from "../support/clock.mjs";
import { JSON_TYPE, startFakePi, user } from "../support/fake-pi.mjs";
import { freshFeed } from "../support/feed.mjs";
import { mint } from "../support/issuer.mjs";

const AUDIENCE = "test-app";
const CREDENTIAL = "credential-of-a-backend";
const CREDENTIAL_HASH = "7375bfa0180bf9b5d032ba7d2c5c6e2cf523b0b8d2392a68b547e155c5a5f76c";
const GRACE_SECONDS = 120; // src/session/refresh.rs
const BODY_MS = 20_000; // this and the next two: host.mjs
const DATABASE_MS = 5_000;
const LIMITER_MS = 1_000;
const NAMED = 120_000; // MAX_NAMED in src/service/feed.rs
const NAMED_OF_USER = 100; // src/session/store.rs
const PIECES = 6; // batches of 500 rows that one request erases: user.rs

/** A module around the built Worker whose bindings hang if a header says so. */
const TEST_ENTRY = `
import worker from "./index.js";
const never = new Promise(() => {});
const calls = { limit: () => never, batch: () => never, prepare: () => ({ bind: () => ({ all: () => never }) }) };
const hanging = (binding) => new Proxy(binding, { get: (target, name) => (Object.hasOwn(calls, name) ? calls : target)[name] });
const stuck = new Map();
// Pollutes Object.prototype, as a dependency of another Worker could.
Object.assign(Object.prototype, { PI_APP_ID: "evil-app", SESSION_COOKIE: "on", status: 500 });
export default {
  scheduled: worker.scheduled,
  async fetch(request, env, context) {
    const name = request.headers.get("x-hangs");
    if (name === null) return worker.fetch(request, env, context);
    if (!stuck.has(name)) stuck.set(name, { ...env, [name]: hanging(env[name]) });
    return worker.fetch(request, stuck.get(name), context);
  },
};`;

/** The members that are not undefined. */
const bound = (vars) => Object.fromEntries(Object.entries(vars).filter(([, value]) => value !== undefined));

const now = () => Math.floor(Date.now() / 1000);

describe("the Worker's limits", { concurrency: 4 }, () => {
  let pi;
  let answerSlowly; // lets Pi answer for "token-slow"
  const started = [];

  /** Starts a Worker with these vars and these limits per minute, by binding. */
  async function start({ vars = {}, limits } = {}) {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const lines = [];
    const worker = new Miniflare(convertV4MiniflareOptions({
      host: "127.0.0.1",
      port,
      modulesRoot: `${root}/build`,
      modules: [
        { type: "ESModule", path: `${root}/build/test-entry.mjs`, contents: TEST_ENTRY },
        { type: "ESModule", path: `${root}/build/index.js` },
        { type: "CompiledWasm", path: `${root}/build/index_bg.wasm` },
      ],
      compatibilityDate: readFileSync(`${root}/wrangler.toml`, "utf8").match(/compatibility_date = "(.+)"/)[1],
      bindings: bound({
        ENVIRONMENT: "development",
        SESSION_ISSUER: url,
        SESSION_AUDIENCE: AUDIENCE,
        SESSION_KEYS: JSON.stringify({ keys: [newKey()] }),
        REFRESH_SECRET: randomBytes(32).toString("base64url"),
        BACKEND_CREDENTIALS: JSON.stringify({ api: CREDENTIAL_HASH }),
        RATE_LIMITS: limits ? "on" : "off",
        PI_API_BASE: pi.url,
        PI_APP_ID: "test-app",
        ...vars,
      }),
      ratelimits: limits && Object.fromEntries(Object.entries(limits).map(([name, limit], index) => [name, { namespace_id: String(index + 1), simple: { limit, period: 60 } }])),
      d1Databases: { DB: "test" },
      unsafeTriggerHandlers: true,
      handleStructuredLogs: ({ message }) => lines.push(message),
    }));
    started.push(worker);
    await worker.ready;
    const ask = (path, { method = "GET", token, body, ...headers } = {}) => fetch(url + path, {
      method,
      body: body && (typeof body === "string" ? body : JSON.stringify(body)),
      headers: { ...(body && { "content-type": "application/json" }), ...(token && { authorization: `Bearer ${token}` }), ...headers },
    });
    await ask("/session"); // sets the development database up
    return {
      url,
      port,
      lines,
      ask,
      database: await worker.getD1Database("DB"),
      signIn: async (accessToken, headers) => ask("/session", { method: "POST", body: { accessToken }, ...headers }),
      refresh: (refreshToken, headers) => ask("/session/refresh", { method: "POST", body: { refreshToken }, ...headers }),
      feed: () => freshFeed(() => ask("/revocations")),
      scheduled: () => fetch(`${url}/cdn-cgi/local/scheduled`),
    };
  }

  /** Sends the head of a request. Returns the socket and its answer. */
  function open(port, lines) {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.write([...lines, `Host: 127.0.0.1:${port}`, "\r\n"].join("\r\n"), "latin1");
    const answer = new Promise((done, fail) => {
      let text = "";
      socket.on("data", (data) => {
        text += data;
        const body = text.match(/\r\n\r\n(?:[0-9a-f]+\r\n)?(\{.*\})/s);
        if (body) done({ status: Number(text.split(" ")[1]), ...JSON.parse(body[1]) });
      });
      socket.on("error", fail);
    });
    return { socket, answer: answer.finally(() => socket.destroy()) };
  }

  before(async () => {
    const slowly = (_, response) => void (answerSlowly = () => response.writeHead(200, JSON_TYPE).end(JSON.stringify(user({ uid: "slow" }))));
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`token-${index}`, user({ uid: `uid-${index}` })]));
    pi = await startFakePi({ "token-alice": user(), "token-bob": user({ uid: "uid-bob" }), "token-slow": slowly, ...many });
  });
  after(async () => {
    await Promise.all(started.map((worker) => worker.dispose()));
    await pi.close();
  });

  test("R2: the Worker judges a slow refresh by the time at which its body is complete, and refuses one that never is", async () => {
    const worker = await start();
    const { refreshToken } = await (await worker.signIn("token-alice")).json();
    const body = JSON.stringify({ refreshToken });
    const head = ["POST /session/refresh HTTP/1.1", "Content-Type: application/json", `Content-Length: ${body.length}`];
    // The thief sends one byte first; then the owner refreshes; the thief sends the rest after the
    // grace period.
    const thief = open(worker.port, head);
    thief.socket.write(body[0]);
    const never = open(worker.port, head);
    never.socket.write(body[0]);
    const began = Date.now();
    await sleep(500);
    assert.equal((await worker.refresh(refreshToken)).status, 200);
    // The grace period ends while the body is on its way.
    await worker.database.prepare(`UPDATE sessions SET last_seen_at = last_seen_at - ${GRACE_SECONDS - 10}`).run();
    await sleep(12_000);
    thief.socket.write(body.slice(1));
    const { status, code } = await thief.answer;
    assert.deepEqual([status, code], [401, "refresh_reused"]);
    const late = await never.answer;
    assert.deepEqual([late.status, late.code], [408, "request_timeout"]);
    const took = Date.now() - began;
    assert.ok(took > BODY_MS - 1000 && took < BODY_MS + 40_000, `${took} ms`);
  });

  test("R2: the Worker does not write data if the token expires while the body arrives", async () => {
    const key = newKey();
    const worker = await start({ vars: { SESSION_TTL: "60", SESSION_KEYS: JSON.stringify({ keys: [key] }) } });
    const fresh = await (await worker.signIn("token-bob")).json();
    const payload = JSON.parse(Buffer.from(fresh.sessionToken.split(".")[1], "base64url"));
    assert.equal(payload.exp - payload.iat, 60);
    // The token expires in fifteen seconds, as if the test had waited for it.
    for (const name of ["iat", "exp", "auth_time"]) payload[name] -= 45;
    const sessionToken = mint(payload, { key });
    assert.equal((await worker.ask("/me", { token: sessionToken })).status, 200);
    const body = '{"late":true}';
    const { socket, answer } = open(worker.port, ["PUT /me/data HTTP/1.1", "Content-Type: application/json", `Authorization: Bearer ${sessionToken}`, `Content-Length: ${body.length}`]);
    socket.write(body[0]);
    await sleep((payload.exp + 1) * 1000 - Date.now());
    socket.write(body.slice(1));
    const { status, code } = await answer;
    assert.deepEqual([status, code], [401, "session_expired"]);
    assert.equal(await worker.database.prepare("SELECT data FROM users").first("data"), null);
  });

  test("R3: if the feed cannot name every revoked session, a token refreshed afterwards is valid at the next poll, and stays valid", async () => {
    const worker = await start();
    const alice = await (await worker.signIn("token-alice")).json();
    const ended = await (await worker.signIn("token-bob")).json();
    await worker.ask("/session", { method: "DELETE", token: ended.sessionToken });
    await sleep(1100);
    // Revoked in this second, as if many accounts signed in again and again.
    const numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?2)";
    await worker.database.prepare(`${numbers}
      INSERT INTO sessions (sid, uid, created_at, last_seen_at, token_expires_at, tokens_expire_at, expires_at, revoked_at, revocation)
      SELECT printf('flood-%016d', n), 'uid-bob', ?1, ?1, ?1 + 600, ?1 + 600, ?1 + 600, ?1, ?1 * 1000 + n % 1000 FROM numbers`).bind(now(), NAMED + 10_000).run();
    // The epoch covers as many seconds more as the clocks of two processes may differ.
    await sleep(6100);
    const { sessionToken, refreshToken } = await (await worker.refresh(alice.refreshToken)).json();
    const verifier = await createVerifier({ issuer: worker.url, audience: AUDIENCE, revocations: { pollSeconds: 1 } });
    try {
      const [first, second] = [await worker.feed(), (await sleep(1100), await worker.feed())];
      assert.deepEqual([second.epoch, second.names], [first.epoch, first.names], "the epoch does not change");
      await sleep(2500);
      assert.equal(verifier.verify(sessionToken).uid, user().uid);
      assert.throws(() => verifier.verify(alice.sessionToken), { code: "revoked" }, "an older token must be refreshed");
      assert.throws(() => verifier.verify(ended.sessionToken), { code: "revoked" }, "and a revoked session cannot be refreshed");
      await sleep(2500);
      assert.equal(verifier.verify(sessionToken).uid, user().uid);
      assert.equal((await worker.refresh(refreshToken)).status, 200);
    } finally {
      await verifier.close();
    }
  });

  test("R3: one account cannot fill the feed, even if it signs in once a second", async (t) => {
    const worker = await start({ vars: { MAX_SESSIONS_PER_USER: "1" } });
    const count = 3 * NAMED_OF_USER;
    for (let i = 0; i < count; i++) {
      assert.equal((await worker.signIn("token-bob")).status, 200);
      // A second passes, because sessions that were revoked in the second of the user's own entry
      // are named.
      await worker.database.prepare("UPDATE sessions SET created_at = created_at - 1, last_seen_at = last_seen_at - 1").run();
    }
    const feed = await worker.feed();
    t.diagnostic(`${count} sign-ins of one account: ${feed.names.length} of its sessions are named`);
    assert.ok(feed.names.length <= NAMED_OF_USER, `${feed.names.length} names`);
    assert.ok(feed.users["uid-bob"] > 0);
    const last = await (await worker.signIn("token-bob")).json();
    assert.equal((await worker.ask("/session", { token: last.sessionToken })).status, 200);
  });

  test("R3: with the limit, an account adds at most ten sessions a minute to the feed", async (t) => {
    const limits = { SIGN_IN_LIMIT: 300, USER_SIGN_IN_LIMIT: 10 };
    const worker = await start({ vars: { MAX_SESSIONS_PER_USER: "1" }, limits });
    const statuses = [];
    for (let i = 0; i < 50; i++) statuses.push((await worker.signIn("token-bob", { "cf-connecting-ip": `192.0.2.${i}` })).status);
    const refused = statuses.filter((status) => status === 429).length;
    // A minute can end while the test runs.
    assert.ok(refused >= 30, `${refused} of ${statuses.length} were refused`);
    const { names } = await worker.feed();
    t.diagnostic(`50 sign-ins within a minute: ${names.length} sessions are named`);
    assert.ok(names.length <= 20);
  });

  test("R5: 300 junk requests a minute do not stop a neighbour from refreshing", async () => {
    const worker = await start({ limits: { SIGN_IN_LIMIT: 300, REFRESH_LIMIT: 30 } });
    const address = { "cf-connecting-ip": "192.0.2.1" };
    const { refreshToken } = await (await worker.signIn("token-alice", address)).json();
    const statuses = new Map();
    for (let i = 0; i < 320; i++) {
      const { status } = await worker.refresh(`junk-${i}`, address);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    assert.deepEqual([...statuses.keys()].filter((status) => ![401, 429].includes(status)), []);
    assert.equal((await worker.refresh(refreshToken, address)).status, 200);
    assert.equal((await worker.signIn("token-bob", address)).status, 200);
  });

  test("R8, A1: the Worker limits reads without a session by address, and writes of data by session", async () => {
    const worker = await start({ limits: { READ_LIMIT: 5, WRITE_LIMIT: 5 } });
    for (const path of ["/products", "/revocations"]) {
      const [here, there] = [`192.0.2.${path.length}`, `198.51.100.${path.length}`];
      const statuses = [];
      for (let i = 0; i < 12; i++) statuses.push((await worker.ask(path, { "cf-connecting-ip": here })).status);
      assert.ok(statuses.filter((status) => status === 429).length >= 2, `${path} ${statuses}`);
      const over = await worker.ask(path, { "cf-connecting-ip": there });
      assert.equal(over.status, 200, "another address");
    }
    const { sessionToken: token } = await (await worker.signIn("token-alice")).json();
    const statuses = [];
    for (let i = 0; i < 12; i++) statuses.push((await worker.ask("/me/data", { method: "PUT", token, body: { i }, "if-match": "*" })).status);
    assert.ok(statuses.includes(429), String(statuses));
  });

  test("A1: the thief of a revoked token cannot use up the limits of the user's other sessions", async () => {
    const worker = await start({ limits: { ORDER_LIMIT: 5, WRITE_LIMIT: 5 } });
    await worker.database.prepare("INSERT INTO products (id, name, amount_stroops) VALUES ('tea', 'Tea', 1)").run();
    const [stolen, own] = await Promise.all([0, 1].map(async () => (await (await worker.signIn("token-alice")).json()).sessionToken));
    assert.equal((await worker.ask("/session", { method: "DELETE", token: stolen })).status, 204);
    const requests = [
      [201, (token) => worker.ask("/orders", { method: "POST", token, body: { productId: "tea" } })],
      [204, (token) => worker.ask("/me/data", { method: "PUT", token, body: {}, "if-none-match": "*" })],
    ];
    for (const [status, send] of requests) {
      // All at the same time: none of them knows yet that the session was revoked.
      const refusals = await Promise.all(Array.from({ length: 12 }, async () => (await send(stolen)).status));
      assert.deepEqual(refusals.filter((refusal) => ![401, 429].includes(refusal)), []);
      assert.equal((await send(own)).status, status);
    }
  });

  test("R3: a sign-in that is repeated after a lost answer is not counted again", async () => {
    const worker = await start();
    const again = { "idempotency-key": "a-key-that-nobody-can-guess" };
    const [first, second] = [await worker.signIn("token-alice", again), await worker.signIn("token-alice", again)];
    assert.deepEqual([first.status, second.status], [200, 200]);
    const { results } = await worker.database.prepare("SELECT sign_ins, counted FROM users").all();
    assert.deepEqual(results, [{ sign_ins: 1, counted: 1 }]);
  });

  test("A1, A3: ten thousand wrong credentials of operators write nothing, and do not stop an operator", async (t) => {
    const operator = randomBytes(32).toString("base64url");
    const entry = { sha256: createHash("sha256").update(operator).digest("hex"), role: "owner" };
    const worker = await start({ vars: { COUNTS: "off", OPERATOR_CREDENTIALS: JSON.stringify({ alice: entry }) }, limits: { SIGN_IN_LIMIT: 300, USER_SIGN_IN_LIMIT: 10 } });
    const attempt = async (token, method = "POST") => (await worker.ask("/admin/session", { method, token, "cf-connecting-ip": "192.0.2.7" })).status;
    const { results: tables } = await worker.database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'").all();
    const contents = async () => JSON.stringify(await Promise.all(tables.map(({ name }) => worker.database.prepare(`SELECT * FROM ${name}`).all().then(({ results }) => results))));
    const before = await contents();
    const began = Date.now();
    const tally = { 401: 0, 429: 0 };
    let left = 10_000;
    const attack = async () => {
      while (left-- > 0) tally[await attempt(randomBytes(32).toString("base64url"), left % 2 ? "GET" : "POST")] += 1;
    };
    const good = sleep(1000).then(() => Promise.all(["POST", "GET"].map((method) => attempt(operator, method))));
    const [, signedIn] = await Promise.all([Promise.all(Array.from({ length: 40 }, attack)), good]);
    const minutes = Math.floor(Date.now() / 60_000) - Math.floor(began / 60_000) + 1;
    t.diagnostic(`${JSON.stringify(tally)} in ${Date.now() - began} ms`);
    assert.equal(tally[401] + tally[429], 10_000);
    // A limiter that does not answer in time admits the attempt. Then the log says so.
    const uncounted = worker.lines.filter((line) => line.includes("was not counted")).length;
    assert.ok(tally[401] <= 300 * minutes + uncounted, JSON.stringify(tally));
    assert.deepEqual(signedIn, [200, 200]);
    for (const method of ["POST", "GET"]) {
      // A minute can have begun with the last of these attempts.
      let status;
      for (let tries = 0; tries < 700 && status !== 429; tries++) status = await attempt("wrong", method);
      assert.equal(status, 429);
    }
    // Each address has a limit of its own.
    assert.equal((await worker.ask("/admin/session", { token: "wrong", "cf-connecting-ip": "192.0.2.8" })).status, 401);
    assert.equal(await contents(), before);
    const own = [];
    for (let i = 0; i < 24; i++) own.push(await attempt(operator));
    assert.ok(own.includes(429), "an operator's own sign-ins have a limit");
  });

  test("R16: the Worker refuses a caller without a valid credential before the body has arrived", async () => {
    const worker = await start();
    for (const [path, method, length, code] of [["/notifications", "POST", 262_144, "backend_rejected"], ["/me/data", "PUT", 65_536, "session_invalid"], ["/orders", "POST", 16_384, "session_invalid"]]) {
      const began = Date.now();
      const { answer } = open(worker.port, [`${method} ${path} HTTP/1.1`, "Content-Type: application/json", "Authorization: Bearer wrong", `Content-Length: ${length}`]);
      const answered = await answer;
      assert.deepEqual([answered.status, answered.code], [401, code]);
      assert.ok(Date.now() - began < BODY_MS * 0.75, "without waiting for the body");
    }
  });

  test("R17: the Worker answers within seconds if the database hangs, and allows the attempt if a limiter hangs", async () => {
    const worker = await start({ limits: { SIGN_IN_LIMIT: 300, USER_SIGN_IN_LIMIT: 10 } });
    const { sessionToken: token, refreshToken } = await (await worker.signIn("token-alice")).json();
    const requests = [
      () => worker.ask("/session", { token, "x-hangs": "DB" }),
      () => worker.refresh(refreshToken, { "x-hangs": "DB" }),
      () => worker.ask("/me", { method: "DELETE", token, "x-hangs": "DB" }),
      () => worker.ask("/products", { "x-hangs": "DB" }),
      () => worker.signIn("token-bob", { "x-hangs": "DB" }),
    ];
    await Promise.all(requests.map(async (request) => {
      const began = Date.now();
      const response = await request();
      const took = Date.now() - began;
      assert.deepEqual([response.status, (await response.json()).code], [503, "storage_unavailable"]);
      assert.ok(response.headers.has("retry-after"));
      // In development, the Worker sets up the database first, and that would wait just as long.
      // The rest is for a busy machine: without its deadline, a call never ends.
      assert.ok(took < 12 * DATABASE_MS, `${took} ms`);
    }));
    const began = Date.now();
    assert.equal((await worker.signIn("token-1", { "x-hangs": "SIGN_IN_LIMIT" })).status, 200);
    assert.ok(Date.now() - began < LIMITER_MS + 20_000);
    assert.ok(await eventually(() => worker.lines.some((line) => line.includes("SIGN_IN_LIMIT failed"))), worker.lines.join("\n"));
    assert.equal((await worker.ask("/session", { token })).status, 200, "the next request succeeds");
  });

  test("R14: the Worker and a verifier agree about a sign-in during which all sessions are revoked", async () => {
    const worker = await start();
    const pending = worker.signIn("token-slow");
    assert.ok(await eventually(() => answerSlowly), "the Worker asks Pi");
    await sleep(1200); // the sign-in begins in another second
    assert.equal((await worker.ask("/revoke-all", { method: "POST", token: CREDENTIAL })).status, 204);
    answerSlowly();
    const { sessionToken } = await (await pending).json();
    assert.equal((await worker.ask("/session", { token: sessionToken })).status, 200);
    const verifier = await createVerifier({ issuer: worker.url, audience: AUDIENCE, revocations: true });
    try {
      assert.equal(verifier.verify(sessionToken).uid, "slow");
    } finally {
      await verifier.close();
    }
  });

  test("R13, A5: in production, the Worker refuses a published key as misconfigured", async () => {
    const rfc8037 = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", kid: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", state: "active" };
    const worker = await start({ vars: { ENVIRONMENT: "production", RATE_LIMITS: "on", SESSION_ISSUER: "https://session.pioneers.dev", PI_API_BASE: "https://api.minepi.com", SESSION_KEYS: JSON.stringify({ keys: [rfc8037] }) } });
    for (const path of ["/.well-known/jwks.json", "/revocations", "/session"]) {
      const response = await worker.ask(path);
      const { code, detail } = await response.json();
      assert.deepEqual([response.status, code], [500, "misconfigured"]);
      assert.match(detail, /SESSION_KEYS/);
      assert.ok(!detail.includes(rfc8037.d));
    }
    assert.equal((await worker.ask("/health")).status, 200);
  });

  test("R15: the Worker reads no setting from Object.prototype", async () => {
    // The module around this Worker has put PI_APP_ID, SESSION_COOKIE and more there.
    const worker = await start({ vars: { PI_APP_ID: undefined } });
    const response = await worker.signIn("token-alice");
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("set-cookie"), null);
    const claims = JSON.parse(Buffer.from((await response.json()).sessionToken.split(".")[1], "base64url"));
    assert.equal(claims.app_bound, false);
  });

  test("R6: the Worker erases a user with very many orders immediately, and removes the uid from the orders in batches", async (t) => {
    const worker = await start();
    const { sessionToken: token } = await (await worker.signIn("token-3")).json();
    const { sessionToken: other } = await (await worker.signIn("token-4")).json();
    const count = PIECES * 500 + 700;
    await worker.database.prepare(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?2)
      INSERT INTO orders (id, uid, product_id, amount_stroops, memo, created_at) SELECT printf('order-%08d', n), 'uid-3', 'tea', 1, 'tea', ?1 FROM numbers`).bind(now(), count).run();
    await worker.database.prepare(`INSERT INTO payments (id, order_id, uid, amount_stroops, state, txid, created_at, updated_at)
      SELECT 'payment-' || id, id, uid, 1, 'paid', 'tx-' || id, created_at, created_at FROM orders`).run();
    const named = async () => (await worker.database.prepare("SELECT count(*) AS n FROM orders WHERE uid IS NOT NULL").first()).n;
    const began = performance.now();
    assert.equal((await worker.ask("/me", { method: "DELETE", token })).status, 204);
    t.diagnostic(`${count} orders: erased in ${Math.round(performance.now() - began)} ms, ${await named()} still to be done by the clock`);
    assert.equal(await named(), count - PIECES * 500);
    // Meanwhile, nothing of the user is visible.
    assert.equal((await worker.ask("/users/uid-3", { token: CREDENTIAL })).status, 404);
    assert.deepEqual(await (await worker.ask("/users/uid-3/payments", { token: CREDENTIAL })).json(), { payments: [] });
    const left = await worker.database.prepare("SELECT username, scopes, data, first_seen_at, sign_ins FROM users WHERE uid = 'uid-3'").first();
    assert.deepEqual(left, { username: null, scopes: "", data: null, first_seen_at: 0, sign_ins: 0 });
    // The first run of an hour makes the numbers of the days instead.
    for (let run = 0; run < 6 && (await named()) > 0; run++) assert.equal((await worker.scheduled()).status, 200);
    assert.equal(await named(), 0);
    assert.equal((await worker.database.prepare("SELECT count(*) AS n FROM users WHERE uid = 'uid-3'").first()).n, 0);
    assert.equal((await worker.ask("/session", { token: other })).status, 200);
    const again = await (await worker.signIn("token-3")).json();
    assert.equal(again.user.isNew, true);
  });
});
