// The entry point of the built Worker: its exports, changing bindings, and failures of the wasm.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { newKey } from "../../pkg/cli/keys.mjs";
import { root } from "../../scripts/paths.mjs";
import { eventually } from "../support/clock.mjs";
import { cookiesOf } from "../support/cookies.mjs";
import { JSON_TYPE, startFakePi, user } from "../support/fake-pi.mjs";
import { freshFeed } from "../support/feed.mjs";
import { logLine } from "../support/log.mjs";

const BEGUN_MS = 500; // until the Worker has read the head of a request
const ROOM = 100; // left for sessions of other tests
const NAMED_SESSIONS = 120_000 - ROOM; // MAX_NAMED in src/service/feed.rs
const NAMED_USERS = 20_000; // MAX_NAMED_USERS
const ISOLATE_BYTES = 128 * 1024 * 1024; // https://developers.cloudflare.com/workers/platform/limits/#memory

/** A module around the built Worker. Headers make it report, change bindings, make a call from the
 * wasm fail, set the clock ahead, or pass the body on as a JavaScript stream. */
const TEST_ENTRY = `
import { counts, memories } from "./wasm.mjs";
import worker, * as exported from "./index.js";
const parse = JSON.parse;
let fails = false;
JSON.parse = (text) => {
  if (!fails) return parse(text);
  fails = false;
  throw new Error("this call fails");
};
const { now } = Date;
let ahead = 0;
Date.now = () => now() + ahead;
const changed = new Map();
export default {
  async fetch(request, env, context) {
    if (request.headers.has("x-report")) {
      return Response.json({ names: [Object.keys(exported), Object.keys(worker)], bytes: memories.at(-1).buffer.byteLength, begun: counts.begun });
    }
    fails = request.headers.has("x-fail");
    ahead = Number(request.headers.get("x-ahead-ms"));
    if (request.headers.has("x-stream")) {
      const text = await request.text();
      const start = (controller) => [...text].map((letter) => controller.enqueue(new TextEncoder().encode(letter))) && controller.close();
      request = new Request(request, { body: new ReadableStream({ start }) });
      request.headers.delete("content-length");
    }
    const settings = request.headers.get("x-settings");
    if (settings === null) return worker.fetch(request, env, context);
    if (!changed.has(settings)) changed.set(settings, { ...env, ...parse(settings) });
    return worker.fetch(request, changed.get(settings), context);
  },
};`;

/** Records the memory of each wasm instance, and counts the requests that reach the wasm. */
const WASM = `
export const memories = [];
export const counts = { begun: 0 };
const { Instance } = WebAssembly;
WebAssembly.Instance = class extends Instance {
  constructor(...args) {
    super(...args);
    memories.push(this.exports.memory);
  }
  get exports() {
    const { begin, ...others } = super.exports;
    return { ...others, begin: (...args) => (counts.begun++, begin(...args)) };
  }
};`;

const issuer = "https://session.example.com";
const OTHER_APP = { "x-settings": JSON.stringify({ SESSION_AUDIENCE: "other-app" }) };

describe("the entry of the Worker", () => {
  let [pi, worker, url, database] = [];
  const lines = [];
  const held = []; // answers of Pi that a test lets go

  const call = (path, { token, ...headers } = {}) => fetch(new URL(path, url), { headers: { ...(token && { authorization: `Bearer ${token}` }), ...headers } });
  const signIn = (accessToken, headers) => fetch(new URL("/session", url), { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify({ accessToken }) });
  const sessionToken = async (headers) => (await (await signIn("token-alice", headers)).json()).sessionToken;
  const audience = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url")).aud;
  const report = async () => (await call("/", { "x-report": "1" })).json();
  const sessionsOf = async (uid) => (await database.prepare("SELECT count(*) AS count FROM sessions WHERE uid = ?").bind(uid).first()).count;

  /** Sends raw bytes that `fetch` would not send. */
  const send = ([first, ...rest]) => {
    const socket = connect({ port: url.port, host: url.hostname });
    socket.write([first, `Host: ${url.host}`, ...rest].join("\r\n"), "latin1");
    return socket;
  };
  const statusOf = (socket) => new Promise((done) => {
    socket.once("data", (data) => done(Number(String(data).split(" ")[1])));
  }).finally(() => socket.destroy());

  before(async () => {
    const slowly = (_, response) => void held.push(() => response.writeHead(200, JSON_TYPE).end(JSON.stringify(user({ uid: "stopped" }))));
    pi = await startFakePi({ "token-alice": user(), "token-stopped": slowly });
    worker = new Miniflare(convertV4MiniflareOptions({
      modulesRoot: `${root}/build`,
      modules: [
        { type: "ESModule", path: `${root}/build/test-entry.mjs`, contents: TEST_ENTRY },
        { type: "ESModule", path: `${root}/build/wasm.mjs`, contents: WASM },
        { type: "ESModule", path: `${root}/build/index.js` },
        { type: "CompiledWasm", path: `${root}/build/index_bg.wasm` },
      ],
      compatibilityDate: readFileSync(`${root}/wrangler.toml`, "utf8").match(/compatibility_date = "(.+)"/)[1],
      bindings: {
        ENVIRONMENT: "development",
        SESSION_ISSUER: issuer,
        SESSION_COOKIE: "on",
        SESSION_AUDIENCE: "one-app",
        SESSION_KEYS: JSON.stringify({ keys: [newKey()] }),
        REFRESH_SECRET: randomBytes(32).toString("base64url"),
        RATE_LIMITS: "off",
        PI_API_BASE: pi.url,
        PI_APP_ID: "test-app",
      },
      d1Databases: { DB: "test" },
      handleStructuredLogs: ({ message }) => lines.push(message),
    }));
    url = await worker.ready;
    database = await worker.getD1Database("DB");
    await call("/session"); // sets the development database up
  });
  after(async () => {
    await worker?.dispose();
    await pi?.close();
  });

  test("exports one object with fetch and scheduled, and nothing else", async () => {
    assert.deepEqual((await report()).names, [["default"], ["fetch", "scheduled"]]);
  });

  test("uses changed bindings from the next request on", async () => {
    assert.equal(audience(await sessionToken()), "one-app");
    const token = await sessionToken(OTHER_APP);
    assert.equal(audience(token), "other-app");
    assert.equal((await call("/session", { token })).status, 401);
    assert.equal((await call("/session", { token, ...OTHER_APP })).status, 200);
  });

  /** Sends a request. Returns its answer without its id, and whether the wasm made the answer. */
  const ask = async (path, { method = "GET", ...headers } = {}) => {
    const { begun } = await report();
    const response = await fetch(new URL(path, url), { method, headers });
    const id = response.headers.get("x-request-id");
    const answer = JSON.stringify([response.status, ...response.headers, await response.text()]).replaceAll(id, "");
    return { id, answer, isMade: (await report()).begun > begun };
  };
  /** Drops the kept answers: changes the settings, and changes them back. In development, the first
   * request with changed settings sets the database up. */
  const drop = async () => {
    await call("/", OTHER_APP);
    await call("/");
  };

  test("repeats an answer that depends on its request and settings only, with another id", async () => {
    for (const path of ["/health", "/health?a=b", "/.well-known/jwks.json", "/openapi.json"]) {
      for (const headers of [{}, { origin: issuer }, { "sec-fetch-site": "cross-site" }, { "if-none-match": '"other"' }, { "if-none-match": "*" }]) {
        for (const method of ["GET", "HEAD"]) {
          await drop();
          const [first, second] = [await ask(path, { method, ...headers }), await ask(path, { method, ...headers })];
          const what = `${method} ${path} ${JSON.stringify(headers)}`;
          assert.deepEqual([first.isMade, second.isMade], [true, false], what);
          assert.equal(second.answer, first.answer, what);
          assert.notEqual(second.id, first.id, what);
        }
      }
    }
  });

  test("makes every other answer: to credentials, refused origins, and routes that ask the database", async () => {
    await ask("/health");
    for (const [path, headers] of [["/health", { authorization: "Bearer none" }], ["/health", { cookie: "theme=dark" }], ["/health", { origin: "https://evil.example" }], ["/products", {}], ["/revocations", {}], ["/unknown", {}]]) {
      for (let i = 0; i < 2; i++) assert.ok((await ask(path, headers)).isMade, `${path} ${JSON.stringify(headers)}`);
    }
  });

  test("logs no poll; with LOG_POLLS on, it makes each answer anew and logs it", async () => {
    /** The ids of the lines of these requests, and of a last one that is always logged. */
    const logged = async (headers) => {
      lines.length = 0;
      const ids = [];
      for (const path of ["/health", "/health", "/.well-known/jwks.json", "/revocations", "/unknown"]) ids.push((await ask(path, headers)).id);
      const found = () => lines.map((line) => logLine(line)?.requestId);
      while (!found().includes(ids.at(-1))) await sleep(1);
      return [ids, found().filter((id) => ids.includes(id))];
    };
    const [ids, some] = await logged({});
    assert.deepEqual(some, ids.slice(-1));
    const [others, all] = await logged({ "x-settings": JSON.stringify({ LOG_POLLS: "on" }) });
    assert.deepEqual(all, others);
  });

  test("repeats no answer under other settings", async () => {
    const other = { "x-settings": JSON.stringify({ SESSION_COOKIE: "off", SESSION_KEYS: JSON.stringify({ keys: [newKey()] }) }) };
    const known = await ask("/.well-known/jwks.json", { origin: issuer });
    const changed = await ask("/.well-known/jwks.json", { origin: issuer, ...other });
    const again = await ask("/.well-known/jwks.json", { origin: issuer });
    assert.deepEqual([changed.isMade, again.isMade], [true, true]);
    assert.deepEqual([known, changed].map(({ answer }) => answer.includes("access-control-allow-credentials")), [true, false]);
    const { keys } = JSON.parse(JSON.parse(changed.answer).at(-1));
    assert.ok(!known.answer.includes(keys[0].x));
    assert.equal(again.answer, known.answer);
  });

  test("keeps at most sixteen answers, and none to a long request", async () => {
    await drop();
    const paths = Array.from({ length: 40 }, (_, i) => `/health?${i}`);
    for (const path of paths) await ask(path);
    let repeated = 0;
    for (const path of paths.reverse()) repeated += (await ask(path)).isMade ? 0 : 1;
    assert.ok(repeated > 0 && repeated <= 16, `${repeated} answers were kept`);
    for (let i = 0; i < 2; i++) assert.ok((await ask(`/health?${"a".repeat(512)}`)).isMade);
  });

  test("keeps a job's bindings while it waits for its body, whatever other requests arrive", async () => {
    const body = JSON.stringify({ accessToken: "token-alice" });
    const slow = send(["POST /session HTTP/1.1", "Content-Type: application/json", `Content-Length: ${body.length}`, "\r\n"]);
    await sleep(BEGUN_MS);
    await sessionToken(OTHER_APP);
    // The head and the body can arrive one after the other.
    let text = "";
    slow.on("data", (data) => (text += data));
    slow.write(body);
    const [answer] = await eventually(() => text.match(/\{.*\}/));
    assert.equal(audience(JSON.parse(answer).sessionToken), "one-app");
    slow.destroy();
  });

  test("if a call from the wasm fails, all open requests fail and the next one gets a new instance", async () => {
    const token = await sessionToken();
    const waiting = signIn("token-stopped");
    await eventually(() => held.length > 0);
    const failed = await call("/session", { token, "x-fail": "1", origin: issuer });
    assert.equal(failed.headers.get("access-control-allow-origin"), issuer);
    assert.equal((await call("/session", { token })).status, 200);
    for (const answer of held.splice(0)) answer();
    for (const answer of [failed, await waiting]) {
      assert.equal(answer.status, 500);
      assert.equal(answer.headers.get("content-type"), "application/problem+json");
      const { code, requestId } = await answer.json();
      assert.deepEqual([code, requestId], ["internal", answer.headers.get("x-request-id")]);
    }
    assert.equal(await sessionsOf("stopped"), 0);
  });

  test("drops a job that the runtime has abandoned after five minutes, whether or not it continues", async () => {
    for (const [ahead, status] of [[290_000, 200], [302_000, 500]]) {
      lines.length = 0;
      const waiting = signIn("token-stopped");
      await eventually(() => held.length > 0);
      assert.equal((await call("/", { "x-ahead-ms": ahead })).status, 200);
      for (const answer of held.splice(0)) answer();
      const { headers, status: answered } = await waiting;
      assert.equal(answered, status);
      await eventually(() => lines.some((line) => line.includes(headers.get("x-request-id"))));
      assert.equal(lines.some((line) => line.includes("the job took too long")), status === 500);
    }
  });

  test("does not treat an interrupted body as an empty one, so its cookie is not refreshed", async () => {
    const cookies = cookiesOf(await signIn("token-alice"));
    const refreshed = async () => (await database.prepare("SELECT max(refreshes) AS count FROM sessions").first()).count;
    const before = await refreshed();
    const head = ["POST /session/refresh HTTP/1.1", `Origin: ${issuer}`, `Cookie: ${cookies.join("; ")}`, "Content-Type: application/json"];
    lines.length = 0;
    for (const length of ["Content-Length: 50", "Transfer-Encoding: chunked"]) {
      const socket = send([...head, length, "\r\n"]);
      await sleep(BEGUN_MS);
      socket.destroy();
    }
    const refused = () => lines.filter((line) => line.includes('"status":400'));
    await eventually(() => refused().length >= 2);
    assert.equal(refused().length, 2, lines.join("\n"));
    assert.equal(await refreshed(), before);
    // The Worker does not read a body that is announced as too long. It is not an empty body
    // either.
    assert.equal(await statusOf(send([...head, "Content-Length: 20000", "\r\n"])), 413);
    assert.equal(await refreshed(), before);
    assert.equal(await statusOf(send([...head, "Content-Length: 0\r\n\r\n"])), 200);
    assert.equal(await refreshed(), before + 1);
  });

  describe("the products that a process remembers", () => {
    const price = (stroops) => database.prepare("INSERT INTO products (id, name, amount_stroops) VALUES ('coffee', 'Coffee', ?1) ON CONFLICT (id) DO UPDATE SET amount_stroops = ?1").bind(stroops).run();
    let began;
    let late; // the whole seconds that the first reading took, on a busy machine
    /** Reads the products so many seconds after the test began, by the Worker's clock. */
    const products = async (seconds, headers) => {
      const response = await call("/products", { "x-ahead-ms": String(began + seconds * 1000 - Date.now()), ...headers });
      const text = await response.text();
      return { status: response.status, etag: response.headers.get("etag"), amount: text && JSON.parse(text).products[0].amount };
    };

    // Each test begins with a price that the process has read in the first of its seconds.
    beforeEach(async () => {
      began = Math.ceil(Date.now() / 1000) * 1000;
      await price(10_000_000);
      await products(-3600);
      const asked = performance.now();
      assert.equal((await products(0)).amount, "1");
      late = Math.floor((performance.now() - asked) / 1000);
      await price(20_000_000);
    });

    test("a changed price is listed after five seconds at the latest, and applies to an order immediately", async () => {
      assert.equal((await products(1)).amount, "1");
      const headers = { "content-type": "application/json", authorization: `Bearer ${await sessionToken()}` };
      const ordered = await fetch(new URL("/orders", url), { method: "POST", headers, body: JSON.stringify({ productId: "coffee" }) });
      assert.deepEqual([ordered.status, (await ordered.json()).amount], [201, "2"]);
      assert.equal((await products(5 + late)).amount, "2");
    });

    test("a client that has the list gets 304 until the list has changed", async () => {
      const { etag } = await products(1);
      const known = { "if-none-match": etag };
      assert.deepEqual(await products(1, known), { status: 304, etag, amount: "" });
      const changed = await products(5 + late, known);
      assert.deepEqual([changed.status, changed.amount], [200, "2"]);
      assert.notEqual(changed.etag, etag);
      assert.deepEqual(await products(6 + late, { "if-none-match": changed.etag }), { status: 304, etag: changed.etag, amount: "" });
    });

    test("other settings never get it", async () => {
      assert.equal((await products(1)).amount, "1");
      assert.equal((await products(1, OTHER_APP)).amount, "2");
    });
  });

  const numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?2)";
  let ahead = 0;
  /** The feed, six seconds later each time: the Worker keeps it for five. */
  const feed = () => freshFeed(() => call("/revocations", { "x-ahead-ms": String((ahead += 6_000)) }));

  test("needs a third of an isolate's memory for the largest feed, and issues no larger one", async () => {
    await sessionToken();
    const now = Math.floor(Date.now() / 1000);
    const end = (prefix, count) => database.prepare(`${numbers}
      INSERT INTO sessions (sid, uid, created_at, last_seen_at, token_expires_at, tokens_expire_at, expires_at, app_bound, revoked_at, revocation)
      SELECT printf('${prefix}-%014d', n), (SELECT uid FROM users LIMIT 1), ?1, ?1, ?1 + 600, ?1 + 600, ?1 + 600, 1, ?1,
        max(?1 * 1000, (SELECT number FROM last_revocation) + 1) FROM numbers`).bind(now, count).run();
    await end("session", NAMED_SESSIONS);
    for (let i = 0; i < 3; i++) assert.ok((await feed()).names.length >= NAMED_SESSIONS);
    await end("one-more", ROOM + 1);
    const { epoch, names } = await feed();
    assert.deepEqual([names.length <= ROOM + 1, epoch >= now], [true, true]);
    const { bytes } = await report();
    assert.ok(bytes < ISOLATE_BYTES / 3, `${bytes} bytes`);
    await database.prepare("DELETE FROM sessions WHERE revoked_at IS NOT NULL").run();
  });

  test("names no more users in a feed than fit", async () => {
    const now = Math.floor(Date.now() / 1000) + 1000; // after the epoch of the test before
    const end = (first, count) => database.prepare(`${numbers}
      INSERT INTO users (uid, scopes, first_seen_at, last_seen_at, sign_ins, valid_after, revocation)
      SELECT printf('%0128d', ?3 + n), '', ?1, ?1, 1, ?1, ?1 * 1000 + ?3 + n FROM numbers`).bind(now, count, first).run();
    await end(0, NAMED_USERS);
    assert.equal(Object.keys((await feed()).users).length, NAMED_USERS);
    await end(NAMED_USERS, 1);
    const { epoch, users } = await feed();
    assert.deepEqual([users, epoch >= now], [{}, true]);
  });

  test("accepts a JavaScript stream as a body", async () => {
    assert.equal((await signIn("token-alice", { "x-stream": "1" })).status, 200);
  });

  test("B4: ignores the content of other cookies", async () => {
    const cookies = cookiesOf(await signIn("token-alice"));
    for (const other of ["theme=\xc3\xbc", "theme=\xff", "theme"]) {
      assert.equal(await statusOf(send(["GET /session HTTP/1.1", `Cookie: ${other}; ${cookies.join("; ")}`, "\r\n"])), 200, other);
    }
  });

  test("B3: does not treat an unreadable header as a missing one", async () => {
    const ask = (origin) => statusOf(send(["GET /health HTTP/1.1", ...origin, "\r\n"]));
    assert.equal(await ask([]), 200);
    assert.equal(await ask([`Origin: ${issuer}`]), 200);
    assert.equal(await ask([`Origin: ${issuer}\x7f`]), 403);
  });
});
