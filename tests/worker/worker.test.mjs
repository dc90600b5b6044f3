// The built Worker in real workerd with a real local D1, against a fake Pi on a real socket.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, createPrivateKey, randomBytes, sign } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { promisify } from "node:util";
import { createVerifier as createJwtVerifier } from "fast-jwt";
import { createRemoteJWKSet, importJWK, jwtVerify } from "jose";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { createVerifier } from "pioneer-session";
import { newKey } from "../../pkg/cli/keys.mjs";
import { environment, root } from "../../scripts/paths.mjs";
import { calm, eventually } from "../support/clock.mjs";
import { JSON_TYPE, startFakePi, user } from "../support/fake-pi.mjs";
import { freshFeed } from "../support/feed.mjs";
import { logLine } from "../support/log.mjs";

const execute = promisify(execFile);

const ISSUER = "https://session.example.com";
const AUDIENCE = "test-app-audience";
const REFRESH_SECRET = randomBytes(32).toString("base64url");
const CREDENTIAL = randomBytes(32).toString("base64url");
const OPERATOR = randomBytes(32).toString("base64url");
const keys = { keys: [newKey("next"), newKey("active"), newKey("retired")] };

/** The secrets that no log, answer or table may contain. */
const CANARIES = ["token-alice", REFRESH_SECRET, CREDENTIAL, OPERATOR, ...keys.keys.map((key) => key.d)];

const logs = [];

/** In development, the Worker sets up its database at its first request. */
async function start(bindings, { d1 = true, ratelimits } = {}) {
  const worker = new Miniflare(convertV4MiniflareOptions({
    modulesRoot: `${root}/build`,
    modules: [
      { type: "ESModule", path: `${root}/build/index.js` },
      { type: "CompiledWasm", path: `${root}/build/index_bg.wasm` },
    ],
    compatibilityDate: readFileSync(`${root}/wrangler.toml`, "utf8").match(/compatibility_date = "(.+)"/)[1],
    bindings,
    ...(d1 && { d1Databases: { DB: "test" } }),
    ratelimits,
    handleStructuredLogs: ({ message }) => logs.push(message),
  }));
  const url = await worker.ready;
  const database = d1 ? await worker.getD1Database("DB") : undefined;
  if (database) await fetch(new URL("/session", url));
  return { worker, url, database };
}

const settings = (pi) => ({
  ENVIRONMENT: "development",
  SESSION_ISSUER: ISSUER,
  SESSION_AUDIENCE: AUDIENCE,
  SESSION_KEYS: JSON.stringify(keys),
  REFRESH_SECRET,
  BACKEND_CREDENTIALS: JSON.stringify({ api: createHash("sha256").update(CREDENTIAL).digest("hex") }),
  OPERATOR_CREDENTIALS: JSON.stringify({ alice: { sha256: createHash("sha256").update(OPERATOR).digest("hex"), role: "owner" } }),
  RATE_LIMITS: "off",
  ALLOWED_ORIGINS: "https://app.example.com,https://other.example.com",
  PI_API_BASE: pi,
  PI_APP_ID: "test-app",
});

describe("the Worker", () => {
  let pi;
  let elsewhere;
  let worker;
  let url;
  let database;

  const call = (path, { token, ...init } = {}) =>
    fetch(new URL(path, url), {
      redirect: "manual",
      ...init,
      headers: { ...(token && { authorization: `Bearer ${token}` }), ...init.headers },
    });
  const post = (path, body, headers = {}) =>
    call(path, { method: "POST", body, headers: { "content-type": "application/json", ...headers } });
  const signIn = (accessToken = "token-alice") => post("/session", JSON.stringify({ accessToken }));
  const sessionToken = async (accessToken) => (await (await signIn(accessToken)).json()).sessionToken;
  const counts = async () => {
    const row = await database.prepare("SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM sessions) AS sessions").first();
    return [row.users, row.sessions];
  };

  /** Expects a refusal: this status and code, the headers of every answer, and nothing written. */
  async function refused(response, status, code, written = [0, 0]) {
    const text = await response.text();
    assert.equal(response.status, status, text);
    const problem = JSON.parse(text);
    assert.equal(problem.code, code);
    assert.equal(problem.status, status);
    assert.equal(response.headers.get("content-type"), "application/problem+json");
    assert.equal(response.headers.get("x-request-id"), problem.requestId);
    assert.equal(response.headers.get("cache-control"), "no-store");
    assert.match(response.headers.get("vary"), /Origin/);
    if (status === 401) assert.match(response.headers.get("www-authenticate"), /^Bearer/);
    if (status === 405) assert.ok(response.headers.get("allow"));
    if (status === 503) assert.ok(response.headers.get("retry-after"));
    for (const canary of CANARIES) assert.ok(!text.includes(canary), "no answer may contain a secret");
    assert.deepEqual(await counts(), written);
    return problem;
  }

  before(async () => {
    elsewhere = await startFakePi({ "token-redirect": user() });
    const redirect = (status, location) => (_, response) => response.writeHead(status, { location }).end();
    const send = (status, headers, body) => (_, response) => response.writeHead(status, headers).end(body);
    pi = await startFakePi({
      "token-alice": user(),
      "token-bob": user({ uid: "b0b", username: "bob_pioneer" }),
      "token-long-ago": user({ credentials: { scopes: [], valid_until: { timestamp: 1 } } }),
      "token-other-app": user({ app_id: "other-app" }),
      "token-no-app": user({ app_id: undefined }),
      "token-301": (request, response) => redirect(301, `${elsewhere.url}/v2/me`)(request, response),
      "token-302": (request, response) => redirect(302, `${elsewhere.url}/v2/me`)(request, response),
      "token-307": (request, response) => redirect(307, `${elsewhere.url}/v2/me`)(request, response),
      "token-loop": redirect(308, "/v2/me"),
      "token-403": send(403, {}, ""),
      "token-404": send(404, JSON_TYPE, "{}"),
      "token-429": send(429, { "retry-after": "7" }, ""),
      "token-500": send(500, { "content-type": "text/html" }, "<html>"),
      "token-200-html": send(200, { "content-type": "text/html" }, "<html>"),
      "token-empty": send(200, JSON_TYPE, ""),
      "token-array": send(200, JSON_TYPE, "[]"),
      "token-null": send(200, JSON_TYPE, "null"),
      "token-bom": send(200, JSON_TYPE, `\ufeff${JSON.stringify(user())}`),
      "token-utf16": send(200, { "content-type": "application/json; charset=utf-16le" }, Buffer.from(JSON.stringify(user()), "utf16le")),
      "token-duplicates": send(200, JSON_TYPE, '{"uid":"a","uid":"b","app_id":"test-app"}'),
      "token-cookie": send(200, { ...JSON_TYPE, "set-cookie": "evil=1", "x-evil": "1" }, JSON.stringify(user())),
      "token-reset": (request) => request.socket.destroy(),
      "token-cut": (_, response) => {
        response.writeHead(200, { ...JSON_TYPE, "content-length": "1000" });
        response.write('{"uid":"a');
        setTimeout(() => response.destroy(), 50);
      },
      "token-huge": (_, response) => {
        response.writeHead(200, JSON_TYPE);
        const timer = setInterval(() => response.write(Buffer.alloc(64 * 1024, " ")), 1);
        response.on("close", () => clearInterval(timer));
      },
      "token-503-huge": send(503, { "retry-after": "9" }, "x".repeat(70_000)),
      "token-late": (_, response) => void setTimeout(() => response.writeHead(200, JSON_TYPE).end(JSON.stringify(user({ uid: "late" }))), 6_000),
      "token-hang": () => {},
      "token-drip": (_, response) => {
        response.writeHead(200, JSON_TYPE);
        const timer = setInterval(() => response.write(" "), 200);
        response.on("close", () => clearInterval(timer));
      },
    });
    ({ worker, url, database } = await start(settings(pi.url)));
  });

  after(async () => {
    await worker?.dispose();
    await pi?.close();
    await elsewhere?.close();
  });

  beforeEach(async () => {
    await database.prepare("DELETE FROM sessions").run();
    await database.prepare("DELETE FROM erased_sessions").run();
    await database.prepare("DELETE FROM users").run();
  });

  test("signs in, shows the session, stores data, signs out, and finds the data again", async () => {
    const response = await signIn();
    const answer = await response.json();
    assert.equal(response.status, 200, JSON.stringify(answer));
    assert.equal(answer.tokenType, "Bearer");
    assert.equal(answer.expiresIn, 600);
    assert.equal(answer.user.uid, "a11ce000-0000-4000-8000-000000000001");
    assert.equal(answer.user.isNew, true);
    const token = answer.sessionToken;
    const shown = await (await call("/session", { token })).json();
    assert.equal(shown.uid, answer.user.uid);
    assert.equal(shown.expiresAt, answer.expiresAt);

    const body = '{"level":7,"big":12345678901234567890}';
    const json = { "content-type": "application/json" };
    const put = await call("/me/data", { token, method: "PUT", body, headers: json });
    assert.equal(put.status, 204);
    const etag = put.headers.get("etag");
    const got = await call("/me/data", { token });
    assert.equal(await got.text(), body);
    assert.equal(got.headers.get("etag"), etag);
    await refused(await call("/me/data", { token, method: "PUT", body: "{}", headers: json }), 428, "precondition_required", [1, 1]);
    await refused(await call("/me/data", { token, method: "PUT", body: "{}", headers: { ...json, "if-match": '"x"' } }), 412, "precondition_failed", [1, 1]);
    assert.equal((await call("/me/data", { token, method: "PUT", body: '{"level":8}', headers: { ...json, "if-match": etag } })).status, 204);

    assert.equal((await call("/session", { token, method: "DELETE" })).status, 204);
    await refused(await call("/session", { token }), 401, "session_revoked", [1, 1]);
    await refused(await call("/me/data", { token, method: "PUT", body: "{}", headers: { ...json, "if-match": "*" } }), 401, "session_revoked", [1, 1]);

    const again = await (await signIn()).json();
    assert.equal(again.user.isNew, false);
    assert.equal(again.user.firstSeenAt, answer.user.firstSeenAt);
    const me = await (await call("/me", { token: again.sessionToken })).json();
    assert.deepEqual(me.data, { level: 8 });
    assert.equal((await call("/me", { token: again.sessionToken, method: "DELETE" })).status, 204);
    assert.deepEqual(await counts(), [0, 0]);
  });

  test("S1: lists a user's sessions, and revokes them one by one and all together", async () => {
    const agent = (name) => post("/session", '{"accessToken":"token-alice"}', { "user-agent": name });
    const [here, there] = await Promise.all(
      ["here", "x".repeat(1000)].map(async (name) => (await (await agent(name)).json()).sessionToken),
    );
    const other = await sessionToken("token-bob");
    const list = async (token) => (await (await call("/sessions", { token })).json()).sessions;
    const sessions = await list(here);
    assert.equal(sessions.length, 2);
    const mine = sessions.find(({ current }) => current);
    const second = sessions.find(({ current }) => !current);
    assert.equal(mine.userAgent, "here");
    assert.equal(second.userAgent, "x".repeat(200));
    assert.equal(mine.lastSeenAt, mine.createdAt);
    const bobs = (await list(other))[0].sid;
    const rows = [2, 3];
    await refused(await call(`/sessions/${bobs}`, { token: here, method: "DELETE" }), 404, "not_found", rows);
    assert.equal((await call(`/sessions/${second.sid}`, { token: here, method: "DELETE" })).status, 204);
    await refused(await call("/sessions", { token: there }), 401, "session_revoked", rows);
    await refused(await call(`/sessions/${mine.sid}`, { token: there, method: "DELETE" }), 401, "session_revoked", rows);
    assert.equal((await call("/sessions", { token: here, method: "DELETE" })).status, 204);
    await refused(await call("/session", { token: here }), 401, "session_revoked", rows);
    assert.equal((await call("/session", { token: other })).status, 200);
  });

  test("S2: revokes the oldest session when there is one too many", async () => {
    const tokens = [];
    for (let i = 0; i < 11; i++) {
      tokens.push(await sessionToken());
      // D1 stores seconds, so this makes every earlier session older.
      await database.prepare("UPDATE sessions SET created_at = created_at - 1").run();
    }
    await refused(await call("/session", { token: tokens[0] }), 401, "session_revoked", [1, 11]);
    assert.equal((await (await call("/sessions", { token: tokens[10] })).json()).sessions.length, 10);
  });

  const refresh = (refreshToken, headers) => post("/session/refresh", JSON.stringify({ refreshToken }), headers);
  const asBackend = (path, init = {}) => call(path, { token: CREDENTIAL, method: "POST", ...init });
  /** Makes every session this many seconds older. */
  const age = (seconds) =>
    database.prepare(`UPDATE sessions SET last_seen_at = last_seen_at - ${seconds}`).run();
  /** The feed, read by a general JWT library. */
  async function feed() {
    const found = await freshFeed(() => call("/revocations"));
    const remote = createRemoteJWKSet(new URL("/.well-known/jwks.json", url));
    const expected = { issuer: ISSUER, audience: AUDIENCE, typ: "pi-revocations+jwt", algorithms: ["EdDSA"] };
    await jwtVerify(found.token, remote, expected);
    return found;
  }
  const sidOf = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url")).sid;

  test("S3: rotates once for a hundred simultaneous refreshes, and returns the same successor to all", async () => {
    const first = await (await signIn()).json();
    const answers = await Promise.all(Array.from({ length: 100 }, () => refresh(first.refreshToken)));
    assert.ok(answers.every(({ status }) => status === 200));
    const bodies = await Promise.all(answers.map((answer) => answer.json()));
    for (const name of ["refreshToken", "sessionToken"]) assert.equal(new Set(bodies.map((body) => body[name])).size, 1);
    assert.notEqual(bodies[0].refreshToken, first.refreshToken);
    assert.equal(await database.prepare("SELECT refreshes FROM sessions").first("refreshes"), 1);
    assert.deepEqual(await counts(), [1, 1]);

    // After the grace period, it counts as reuse: the session is revoked here, in the list and in
    // the feed.
    const other = await sessionToken();
    const { sessionToken: token } = bodies[0];
    assert.equal((await call("/session", { token })).status, 200);
    await age(121);
    const before = logs.length;
    await refused(await refresh(first.refreshToken), 401, "refresh_reused", [1, 2]);
    await refused(await refresh(bodies[0].refreshToken), 401, "refresh_rejected", [1, 2]);
    await refused(await call("/session", { token }), 401, "session_revoked", [1, 2]);
    const { sessions } = await (await call("/sessions", { token: other })).json();
    assert.deepEqual(sessions.map(({ sid }) => sid), [sidOf(other)]);
    const found = await feed();
    assert.deepEqual([token, other].map((one) => found.has(sidOf(one))), [true, false]);
    const line = await eventually(() => logs.slice(before).map(logLine).find((line) => line?.code === "refresh_reused"));
    assert.deepEqual([line.level, line.event, line.reason.includes("theft"), line.sid], ["warn", "refresh.reused", true, sidOf(token)]);
    const text = logs.join("\n");
    for (const secret of [first.refreshToken, bodies[0].refreshToken]) assert.ok(!text.includes(secret), "the log must not contain a refresh token");
    const { results } = await database.prepare("SELECT * FROM sessions").all();
    assert.ok(!JSON.stringify(results).includes(first.refreshToken.slice(0, 20)), "no table may contain a refresh token");
  });

  test("S4, S6: a refresh extends the session within its limits", async () => {
    const first = await (await signIn()).json();
    await age(300);
    await database.prepare("UPDATE sessions SET created_at = created_at - 300").run();
    const second = await (await refresh(first.refreshToken)).json();
    assert.equal(second.expiresIn, 600);
    assert.equal(second.user.isNew, false);
    const { sessions } = await (await call("/sessions", { token: second.sessionToken })).json();
    // The refresh can happen in the next second.
    const seconds = (Date.parse(sessions[0].lastSeenAt) - Date.parse(sessions[0].createdAt)) / 1000;
    assert.ok(seconds >= 300 && seconds < 310, `${seconds} s`);
    assert.equal(sessions[0].expiresAt, second.refreshExpiresAt);
    await refused(await refresh(second.sessionToken), 401, "refresh_rejected", [1, 1]);
    await refused(await call("/session", { token: second.refreshToken }), 401, "session_invalid", [1, 1]);
    await database.prepare("UPDATE sessions SET created_at = created_at - 2592000").run();
    await refused(await refresh(second.refreshToken), 401, "refresh_rejected", [1, 1]);
    await database.prepare("UPDATE sessions SET created_at = created_at + 2592000, expires_at = 1").run();
    await refused(await refresh(second.refreshToken), 401, "refresh_rejected", [1, 1]);
  });

  test("S1, S2: the feed names the sessions that backends and users revoke, and no erased user", async () => {
    const [mine, again, bobs] = await Promise.all([sessionToken(), sessionToken(), sessionToken("token-bob")]);
    const empty = await feed();
    // The process still names the revoked sessions of earlier tests.
    assert.deepEqual([empty.epoch, empty.users, [mine, again, bobs].some((token) => empty.has(sidOf(token)))], [0, {}, false]);
    assert.equal(empty.exp - empty.iat, 300);
    const first = await call("/revocations");
    assert.match(first.headers.get("cache-control"), /^public, max-age=[1-5]$/);
    assert.equal((await call("/revocations", { headers: { "if-none-match": first.headers.get("etag") } })).status, 304);

    await age(60);
    const alice = sidOf(mine) && user().uid;
    assert.equal((await asBackend(`/users/${alice}/revoke`)).status, 204);
    const revoked = await feed();
    assert.deepEqual([revoked.names, Object.keys(revoked.users)], [empty.names, [alice]]);
    for (const token of [mine, again]) await refused(await call("/session", { token }), 401, "session_revoked", [2, 3]);
    assert.equal((await call("/session", { token: bobs })).status, 200);
    const fresh = await sessionToken();
    assert.equal((await call("/session", { token: fresh })).status, 200);

    assert.equal((await call("/me", { token: fresh, method: "DELETE" })).status, 204);
    const erased = await feed();
    assert.deepEqual([erased.users, [fresh, mine, again].map((token) => erased.has(sidOf(token)))], [{}, [true, true, true]]);
    assert.deepEqual(await counts(), [1, 1]);

    assert.equal((await asBackend("/revoke-all")).status, 204);
    await refused(await call("/session", { token: bobs }), 401, "session_revoked", [1, 1]);
    const after = await feed();
    assert.ok(after.epoch > 0);
    const newcomer = await sessionToken("token-bob");
    assert.equal((await call("/session", { token: newcomer })).status, 200);
    assert.equal((await call("/sessions", { token: newcomer, method: "DELETE" })).status, 204);
    assert.ok((await feed()).has(sidOf(newcomer)));
  });

  test("A3: only backends can read users and introspect tokens", async () => {
    const token = await sessionToken();
    const form = (body, credential = CREDENTIAL) =>
      call("/introspect", { token: credential, method: "POST", body: new URLSearchParams(body) });
    const shown = await (await form({ token })).json();
    assert.deepEqual([shown.active, shown.sub, shown.username, shown.token_type], [true, user().uid, "alice_pioneer", "Bearer"]);
    assert.deepEqual(await (await form({ token: `${token}x` })).json(), { active: false });
    const record = await (await asBackend(`/users/${user().uid}`, { method: "GET" })).json();
    assert.deepEqual([record.user.uid, record.data], [user().uid, {}]);
    await refused(await form({ token }, token), 401, "backend_rejected", [1, 1]);
    await refused(await call("/revoke-all", { method: "POST", token: "x" }), 401, "backend_rejected", [1, 1]);
    await refused(await call(`/users/${user().uid}`), 401, "backend_rejected", [1, 1]);
    assert.equal((await call("/session", { token, method: "DELETE" })).status, 204);
    assert.deepEqual(await (await form({ token })).json(), { active: false });
  });

  test("A3: an operator exchanges the credential for a token, which is valid in no other place", async () => {
    const operate = (method, token, headers) => call("/admin/session", { method, token, headers });
    const response = await operate("POST", OPERATOR);
    const { operatorToken, ...rest } = await response.json();
    assert.deepEqual([response.status, rest], [200, { expiresIn: 3600, name: "alice", role: "owner" }]);
    assert.equal(response.headers.get("cache-control"), "no-store");
    const jwks = createRemoteJWKSet(new URL("/.well-known/jwks.json", url));
    const expected = { issuer: ISSUER, audience: AUDIENCE, algorithms: ["EdDSA"] };
    const { payload } = await jwtVerify(operatorToken, jwks, { ...expected, typ: "pi-operator+jwt" });
    assert.deepEqual([payload.sub, payload.role, payload.exp - payload.iat], ["alice", "owner", 3600]);
    const shown = await (await operate("GET", operatorToken)).json();
    assert.deepEqual(shown, { name: "alice", role: "owner", expiresAt: new Date(payload.exp * 1000).toISOString().replace(".000", "") });

    const verifier = await createVerifier({ issuer: ISSUER, audience: AUDIENCE, jwks: await (await call("/.well-known/jwks.json")).json() });
    assert.throws(() => verifier.verify(operatorToken), { code: "unknown_key" });
    await refused(await call("/session", { token: operatorToken }), 401, "session_invalid");
    await refused(await call("/revoke-all", { method: "POST", token: operatorToken }), 401, "backend_rejected");
    await refused(await operate("POST", operatorToken), 401, "operator_rejected");
    const session = await sessionToken();
    for (const token of [undefined, "x", CREDENTIAL, session, (await feed()).token]) {
      for (const method of ["GET", "POST"]) await refused(await operate(method, token), 401, "operator_rejected", [1, 1]);
    }
    const headers = { origin: "https://app.example.com" };
    await refused(await operate("POST", OPERATOR, headers), 403, "origin_not_allowed", [1, 1]);
    assert.equal((await operate("POST", OPERATOR, { origin: ISSUER })).status, 200);
  });

  test("no query of a request scans a whole table", async () => {
    const plans = [
      "SELECT uid FROM live_sessions JOIN users USING (uid) WHERE sid = 'a' AND expires_at > 1",
      "UPDATE sessions SET refreshes = 1 WHERE sid = (SELECT sid FROM live_sessions WHERE sid = 'a' AND expires_at > 1) AND refreshes = 0",
      "SELECT uid, valid_after FROM users WHERE revocation > 1 ORDER BY revocation DESC LIMIT 9",
      "SELECT sid FROM sessions WHERE revocation > 1 AND tokens_expire_at > 1 ORDER BY revocation DESC LIMIT 9",
      "SELECT sid FROM erased_sessions WHERE revocation > 1 AND tokens_expire_at > 1 ORDER BY revocation DESC LIMIT 9",
      "SELECT number FROM last_revocation",
      "SELECT sid FROM sessions WHERE uid = 'a' AND revoked_at IS NULL AND expires_at <= 1 UNION ALL SELECT sid FROM sessions WHERE uid = 'a' AND revoked_at <= 1 LIMIT 20",
      "SELECT sid FROM sessions WHERE sid >= '0' AND sid < '1' AND expires_at <= 1 LIMIT 9",
      "SELECT id FROM payments WHERE uid = 'a' ORDER BY updated_at DESC, id LIMIT 200",
      "SELECT id FROM payments WHERE order_id = 'a' AND state <> 'cancelled'",
      "SELECT payer FROM turns WHERE due_at <= 1 ORDER BY due_at, payer LIMIT 7",
      "SELECT 1 FROM payments WHERE txid = 'a'",
      "SELECT sid FROM erased_sessions WHERE tokens_expire_at > 1",
    ];
    for (const question of plans) {
      const { results } = await database.prepare(`EXPLAIN QUERY PLAN ${question}`).all();
      const scans = results.map(({ detail }) => detail).filter((detail) => /^SCAN (sessions|users|erased|payments|orders)/.test(detail));
      assert.deepEqual(scans, [], question);
    }
  });

  test("A1: limits attempts by address, whatever other headers the client sends", async () => {
    const limited = await start({ ...settings(pi.url), RATE_LIMITS: "on" }, { ratelimits: { SIGN_IN_LIMIT: { namespace_id: "1", simple: { limit: 3, period: 60 } } } });
    try {
      const attempt = (address, forwarded) =>
        fetch(new URL("/session", limited.url), {
          method: "POST",
          body: '{"accessToken":"token-nobody"}',
          headers: { "content-type": "application/json", "cf-connecting-ip": address, "x-forwarded-for": forwarded },
        });
      await calm(60, 12); // the limiter counts by the minute
      const statuses = [];
      for (let i = 0; i < 5; i++) statuses.push((await attempt("2001:db8::1", `10.0.0.${i}`)).status);
      assert.deepEqual(statuses, [401, 401, 401, 429, 429]);
      const over = await attempt("2001:db8::2", "10.0.0.9");
      assert.equal((await over.json()).code, "rate_limited");
      assert.equal(over.headers.get("retry-after"), "60");
      assert.equal((await attempt("2001:db8:0:1::1", "10.0.0.9")).status, 401, "another /64");
    } finally {
      await limited.worker.dispose();
    }
  });

  test("B1, B4, S5: works in cookie mode from sign-in to sign-out", async () => {
    const on = await start({ ...settings(pi.url), SESSION_COOKIE: "on" });
    const origin = "https://app.example.com";
    const ask = (path, { cookies = [], headers = {}, ...init } = {}) =>
      fetch(new URL(path, on.url), { ...init, headers: { origin, cookie: cookies.join("; "), ...headers } });
    const begin = (accessToken, cookies) =>
      ask("/session", { method: "POST", cookies, body: JSON.stringify({ accessToken }), headers: { "content-type": "application/json" } });
    try {
      const signedIn = await begin("token-alice");
      assert.equal(signedIn.headers.get("access-control-allow-credentials"), "true");
      const set = signedIn.headers.getSetCookie();
      const { sessionToken: token, refreshToken } = await signedIn.json();
      // Unpartitioned cookies, which the browser stored before it knew `Partitioned`, are deleted
      // too.
      assert.deepEqual(set.filter((cookie) => cookie.endsWith("Max-Age=0")), [
        "__Host-pi_session=; Path=/; Secure; HttpOnly; SameSite=None; Max-Age=0",
        "__Host-pi_refresh=; Path=/; Secure; HttpOnly; SameSite=None; Max-Age=0",
      ]);
      const kept = (response) => response.headers.getSetCookie().filter((cookie) => !cookie.endsWith("Max-Age=0"));
      assert.deepEqual(kept(signedIn), [
        `__Host-pi_session=${token}; Path=/; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=600`,
        `__Host-pi_refresh=${refreshToken}; Path=/; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=604800`,
      ]);
      const cookies = kept(signedIn).map((cookie) => cookie.split(";")[0]);
      assert.equal((await ask("/me", { cookies })).status, 200);
      assert.equal((await ask("/session", { cookies, method: "DELETE", headers: { origin: "https://evil.example" } })).status, 403);
      const forged = await fetch(new URL("/session", on.url), { method: "DELETE", headers: { cookie: cookies.join("; ") } });
      assert.equal(forged.status, 403);
      assert.equal((await ask("/session", { cookies, headers: { authorization: `Bearer ${token}` } })).status, 400);
      const refreshed = await ask("/session/refresh", { cookies, method: "POST" });
      assert.equal(refreshed.status, 200);
      const next = kept(refreshed).map((cookie) => cookie.split(";")[0]);
      const replaced = await begin("token-bob", next);
      assert.equal(replaced.status, 200);
      assert.equal((await ask("/session", { cookies: next })).status, 401);
      const last = kept(replaced).map((cookie) => cookie.split(";")[0]);
      const out = await ask("/session", { cookies: last, method: "DELETE" });
      assert.equal(out.status, 204);
      assert.equal(out.headers.getSetCookie().length, 4);
      assert.ok(out.headers.getSetCookie().every((cookie) => cookie.endsWith("Max-Age=0")));
    } finally {
      await on.worker.dispose();
    }
  });

  test("S7: changes nothing when the database fails in a refresh or an erasure", async () => {
    const broken = await start(settings(pi.url));
    const ask = (path, method, body, token) =>
      fetch(new URL(path, broken.url), {
        method,
        body: body && JSON.stringify(body),
        headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
      });
    try {
      const { refreshToken, sessionToken: token } = await (await ask("/session", "POST", { accessToken: "token-alice" })).json();
      const state = () => broken.database.prepare("SELECT refreshes, revoked_at, expires_at FROM sessions").first();
      const before = await state();
      // The last statement of each fails, so the database undoes the ones before it.
      await broken.database.prepare("ALTER TABLE users RENAME COLUMN scopes TO scopes_gone").run();
      const failed = await ask("/session/refresh", "POST", { refreshToken });
      assert.deepEqual([failed.status, (await failed.json()).code], [503, "storage_unavailable"]);
      assert.deepEqual(await state(), before);
      await broken.database.prepare("ALTER TABLE users RENAME COLUMN scopes_gone TO scopes").run();
      await broken.database.prepare("CREATE TRIGGER no BEFORE DELETE ON users BEGIN SELECT RAISE(ABORT, 'no'); END").run();
      assert.equal((await ask("/me", "DELETE", undefined, token)).status, 503);
      assert.equal(await broken.database.prepare("SELECT count(*) AS n FROM erased_sessions").first("n"), 0);
      await broken.database.prepare("DROP TRIGGER no").run();
      assert.equal((await ask("/session/refresh", "POST", { refreshToken })).status, 200);
    } finally {
      await broken.worker.dispose();
    }
  });

  test("jose and fast-jwt accept its tokens through its key set", async () => {
    const token = await sessionToken();
    const remote = createRemoteJWKSet(new URL("/.well-known/jwks.json", url));
    const expected = { issuer: ISSUER, audience: AUDIENCE, typ: "pi-session+jwt", algorithms: ["EdDSA"] };
    const { payload } = await jwtVerify(token, remote, expected);
    assert.equal(payload.sub, "a11ce000-0000-4000-8000-000000000001");
    assert.equal(payload.app_bound, true);
    const jwks = await (await call("/.well-known/jwks.json")).json();
    assert.equal(jwks.keys.length, 3);
    assert.ok(jwks.keys.every((key) => !("d" in key) && !("state" in key)));
    const active = jwks.keys.find((key) => key.kid === keys.keys[1].kid);
    const { createPublicKey } = await import("node:crypto");
    const pem = createPublicKey({ key: active, format: "jwk" }).export({ type: "spki", format: "pem" });
    const checked = createJwtVerifier({ key: pem, algorithms: ["EdDSA"], allowedIss: ISSUER, allowedAud: AUDIENCE })(token);
    assert.equal(checked.sid, payload.sid);
    assert.ok(await importJWK(active, "EdDSA"));
  });

  test("T3: accepts its key's tokens with the algorithm's newer name, and no other header", async () => {
    const token = await sessionToken();
    const [head, payload] = token.split(".");
    const { alg, kid, typ } = JSON.parse(Buffer.from(head, "base64url"));
    assert.deepEqual({ alg, kid }, { alg: "EdDSA", kid: keys.keys[1].kid });
    const jwks = await (await call("/.well-known/jwks.json")).json();
    assert.deepEqual(jwks.keys.map((key) => key.alg), ["EdDSA", "EdDSA", "EdDSA"]);
    const key = createPrivateKey({ key: keys.keys[1], format: "jwk" });
    const encoded = (header) => Buffer.from(JSON.stringify(header)).toString("base64url");
    const signed = (header) => {
      const input = `${encoded(header)}.${payload}`;
      return `${input}.${sign(null, Buffer.from(input), key).toString("base64url")}`;
    };
    const renamed = signed({ alg: "Ed25519", kid, typ });
    for (let i = 0; i < 2; i++) { // the second time, from the cache
      const answer = await (await call("/session", { token: renamed })).json();
      assert.equal(answer.user.uid, "a11ce000-0000-4000-8000-000000000001");
    }
    assert.equal((await (await call("/introspect", { method: "POST", token: CREDENTIAL, body: new URLSearchParams({ token: renamed }) })).json()).active, true);
    for (const name of ["ed25519", "ED25519", "eddsa", "Ed448", "ES256", "none", ["Ed25519"], undefined]) {
      await refused(await call("/session", { token: signed({ alg: name, kid, typ }) }), 401, "session_invalid", [1, 1]);
    }
    for (const name of ["EdDSA", "Ed25519"]) {
      for (const header of [{ typ, alg: name, kid }, { alg: name, kid, typ: "pi-revocations+jwt" }, { alg: name, kid, typ, crit: ["exp"] }]) {
        await refused(await call("/session", { token: signed(header) }), 401, "session_invalid", [1, 1]);
      }
    }
    await refused(await call("/session", { token: token.replace(head, encoded({ alg: "Ed25519", kid, typ })) }), 401, "session_invalid", [1, 1]);
  });

  test("serves the key set with an ETag, and caches may store it", async () => {
    const first = await call("/.well-known/jwks.json");
    assert.equal(first.headers.get("cache-control"), "public, max-age=300");
    const second = await call("/.well-known/jwks.json", { headers: { "if-none-match": first.headers.get("etag") } });
    assert.equal(second.status, 304);
  });

  test("I1: ignores a posted user", async () => {
    const response = await post("/session", JSON.stringify({ accessToken: "token-alice", user: { uid: "b0b", username: "bob_pioneer" } }));
    const { user: signedIn } = await response.json();
    assert.equal(signedIn.uid, "a11ce000-0000-4000-8000-000000000001");
    const rows = await database.prepare("SELECT uid FROM users").all();
    assert.deepEqual(rows.results.map(({ uid }) => uid), ["a11ce000-0000-4000-8000-000000000001"]);
  });

  test("I2: refuses a token of another app, or of no app", async () => {
    await refused(await signIn("token-other-app"), 403, "wrong_app");
    await refused(await signIn("token-no-app"), 403, "wrong_app");
    assert.equal((await signIn()).status, 200);
  });

  test("I4, U4, U7, I7: maps each answer of Pi to a status and a code", async () => {
    for (const [token, status, code] of [
      ["token-unknown", 401, "access_token_rejected"],
      ["token-403", 401, "access_token_rejected"],
      ["token-long-ago", 401, "access_token_rejected"],
      ["token-404", 502, "upstream_invalid"],
      ["token-429", 503, "upstream_unavailable"],
      ["token-500", 503, "upstream_unavailable"],
      ["token-503-huge", 503, "upstream_unavailable"],
      ["token-reset", 503, "upstream_unavailable"],
      ["token-cut", 503, "upstream_unavailable"],
      ["token-200-html", 502, "upstream_invalid"],
      ["token-empty", 502, "upstream_invalid"],
      ["token-array", 502, "upstream_invalid"],
      ["token-null", 502, "upstream_invalid"],
      ["token-bom", 502, "upstream_invalid"],
      ["token-utf16", 502, "upstream_invalid"],
      ["token-duplicates", 502, "upstream_invalid"],
    ]) {
      const response = await signIn(token);
      if (token === "token-429") assert.equal(response.headers.get("retry-after"), "7");
      await refused(response, status, code);
    }
    assert.equal((await signIn()).status, 200);
  });

  test("U1: refuses a token that no header can carry before it sends anything", async () => {
    const before = pi.requests.length;
    for (const token of ["", " ", "a b", "a\r\nX-Evil: 1", "a\u0000", "é", "a\t", "=", "a=b", "x".repeat(4097), 7, null, ["a"], {}]) {
      await refused(await post("/session", JSON.stringify({ accessToken: token })), 400, "invalid_request");
    }
    assert.equal(pi.requests.length, before);
  });

  test("U2: follows no redirect", async () => {
    for (const token of ["token-301", "token-302", "token-307", "token-loop"]) {
      await refused(await signIn(token), 502, "upstream_invalid");
    }
    assert.equal(elsewhere.requests.length, 0);
  });

  test("U5: stops reading an endless body", async () => {
    await refused(await signIn("token-huge"), 502, "upstream_invalid");
    assert.equal((await signIn()).status, 200);
  });

  test("U6: stops waiting at the deadline for a silent or slow Pi, and delays no other request", async () => {
    const slow = Promise.all([signIn("token-hang"), signIn("token-drip")]);
    const late = signIn("token-late");
    const quick = await signIn();
    assert.equal(quick.status, 200);
    // Pi has sometimes taken more than five seconds.
    assert.equal((await (await late).json()).user?.uid, "late");
    for (const response of await slow) {
      const problem = await response.json();
      assert.equal(response.status, 504);
      assert.equal(problem.code, "upstream_timeout");
    }
    assert.deepEqual(await counts(), [2, 2]);
  });

  test("U8: passes only the user from Pi's answer to the client", async () => {
    const response = await signIn("token-cookie");
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("set-cookie"), null);
    assert.equal(response.headers.get("x-evil"), null);
  });

  test("U9: sends Pi three headers of its own, and none of the caller's", async () => {
    await post("/session", '{"accessToken":"token-alice"}', { cookie: "a=b", "x-forwarded-for": "10.0.0.1", "x-own": "1" });
    const { method, url: path, headers } = pi.requests.at(-1);
    assert.equal(method, "GET");
    assert.equal(path, "/v2/me");
    assert.equal(headers.authorization, "Bearer token-alice");
    assert.equal(headers.accept, "application/json");
    assert.match(headers["user-agent"], /^pioneer-session\//);
    for (const name of ["cookie", "x-forwarded-for", "x-own", "origin", "content-type"]) assert.equal(headers[name], undefined);
  });

  test("I5, B3: refuses an unlisted origin, even at the first sign-in", async () => {
    for (const origin of ["null", "https://app.example.com.evil", "https://evil-app.example.com", "http://app.example.com", "https://app.example.com:444", "HTTPS://APP.EXAMPLE.COM", "https://app.example.com."]) {
      const response = await post("/session", '{"accessToken":"token-alice"}', { origin });
      assert.equal(response.headers.get("access-control-allow-origin"), null);
      await refused(response, 403, "origin_not_allowed");
    }
    const response = await post("/session", '{"accessToken":"token-alice"}', { origin: "https://app.example.com" });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("access-control-allow-origin"), "https://app.example.com");
    assert.equal(response.headers.get("access-control-allow-credentials"), null);
    const preflight = await call("/me/data", { method: "OPTIONS", headers: { origin: "https://app.example.com", "access-control-request-method": "PUT" } });
    assert.equal(preflight.status, 204);
    assert.match(preflight.headers.get("access-control-allow-methods"), /PUT/);
  });

  test("B3: allows a listed origin the headers that its preflight names, and no other origin", async () => {
    const names = "authorization,baggage,content-type,dpop,idempotency-key,if-none-match,sentry-trace,traceparent,x-datadog-origin,x-datadog-parent-id,x-datadog-trace-id";
    const ask = (origin, named) => call("/session", { method: "OPTIONS", headers: { ...(origin && { origin }), "access-control-request-method": "POST", "access-control-request-headers": named } });
    const preflight = await ask("https://app.example.com", names);
    assert.deepEqual([preflight.status, preflight.headers.get("access-control-allow-headers")], [204, names]);
    assert.equal(preflight.headers.get("vary"), "Access-Control-Request-Headers, Origin");
    assert.equal((await ask("https://app.example.com", "dpop,<a>")).headers.get("access-control-allow-headers"), null);
    assert.equal((await ask(undefined, "dpop")).headers.get("access-control-allow-headers"), null);
    const other = await ask("https://evil.example", "dpop");
    assert.equal(other.headers.get("access-control-allow-headers"), null);
    await refused(other, 403, "origin_not_allowed");
    const exposed = (await call("/health", { headers: { origin: "https://app.example.com" } })).headers.get("access-control-expose-headers");
    assert.equal(exposed, "dpop-nonce, etag, retry-after, x-request-id");
  });

  test("B3: logs a refused origin without characters that control a terminal", async () => {
    const lineOf = async (origin) => {
      const requestId = (await call("/products", { headers: { origin } })).headers.get("x-request-id");
      return logLine(await eventually(() => logs.find((line) => line.includes(requestId))));
    };
    const { level, status, code, reason } = await lineOf("https://www.app.example.com");
    assert.deepEqual([level, status, code, reason], ["info", 403, "origin_not_allowed", "the origin https://www.app.example.com is not in ALLOWED_ORIGINS"]);
    assert.match((await lineOf('https://a"\\\t\xe9[2J')).reason.replace(/^the origin /, ""), /^https:\/\/a\?{4,}\[2J is not in ALLOWED_ORIGINS$/);
  });

  test("an order and a write of data can be repeated after a lost answer, and happen once", async () => {
    const token = await sessionToken();
    await database.prepare("INSERT INTO products (id, name, amount_stroops) VALUES ('tea', 'Tea', 7), ('rum', 'Rum', 8) ON CONFLICT DO NOTHING").run();
    const json = { "content-type": "application/json" };
    const order = (productId, key) => call("/orders", { token, method: "POST", body: JSON.stringify({ productId }), headers: { ...json, "idempotency-key": key } });
    const answers = await Promise.all(Array.from({ length: 5 }, () => order("tea", "one-of-five")));
    assert.deepEqual(answers.map(({ status }) => status), [201, 201, 201, 201, 201]);
    const bodies = new Set(await Promise.all(answers.map((answer) => answer.text())));
    // They are equal, even their times.
    assert.deepEqual([...bodies].map((body) => JSON.parse(body).createdAt).filter((at, _, all) => at !== all[0]), []);
    assert.equal(bodies.size, 1);
    const count = () => database.prepare("SELECT count(*) AS n FROM orders WHERE product_id IN ('tea', 'rum')").first("n");
    assert.equal(await count(), 1);
    await refused(await order("rum", "one-of-five"), 422, "idempotency_key_reused", [1, 1]);
    for (const key of ["", "a b", "a".repeat(65), "a, b", "é"]) await refused(await order("tea", key), 400, "invalid_request", [1, 1]);
    assert.equal((await order("tea", "another")).status, 201);
    assert.equal(await count(), 2);

    const put = (body, tag) => call("/me/data", { token, method: "PUT", body, headers: { ...json, ...(tag && { "if-match": tag }) } });
    const first = await put('{"level":1}');
    assert.deepEqual([first.status, (await put('{"level":1}')).status], [204, 204]);
    const tag = first.headers.get("etag");
    const second = await put('{"level":2}', tag);
    const again = await put('{"level":2}', tag);
    assert.deepEqual([second.status, again.status, again.headers.get("etag")], [204, 204, second.headers.get("etag")]);
    assert.equal((await put('{"level":3}', second.headers.get("etag"))).status, 204);
    await refused(await put('{"level":2}', tag), 412, "precondition_failed", [1, 1]);
    assert.equal(await (await call("/me/data", { token })).text(), '{"level":3}');
    await database.batch([database.prepare("DELETE FROM orders"), database.prepare("DELETE FROM products")]);
  });

  test("A8: refuses wrong routes, methods, sizes and types, and duplicate names", async () => {
    await refused(await call("/nowhere"), 404, "not_found");
    await refused(await call("/session/"), 404, "not_found");
    await refused(await call("/session", { method: "PATCH" }), 405, "method_not_allowed");
    await refused(await call("/session", { method: "PROPFIND" }), 405, "method_not_allowed");
    await refused(await post("/health", "{}"), 405, "method_not_allowed");
    const big = JSON.stringify({ accessToken: "token-alice", user: "x".repeat(17_000) });
    await refused(await post("/session", big), 413, "body_too_large");
    // A stream does not announce its length.
    const stream = ReadableStream.from([new Uint8Array(16_385)]);
    await refused(await call("/session", { method: "POST", body: stream, duplex: "half", headers: { "content-type": "application/json" } }), 413, "body_too_large");
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=latin1", ""]) {
      await refused(await post("/session", '{"accessToken":"token-alice"}', { "content-type": type }), 415, "unsupported_media_type");
    }
    await refused(await post("/session", "x", { "content-encoding": "gzip" }), 415, "unsupported_media_type");
    for (const body of ["", "{", "[]", '"x"', "null", '{"accessToken":"token-alice","accessToken":"token-bob"}', '{"access\\u0054oken":"a","accessToken":"b"}', "[".repeat(16_000)]) {
      await refused(await post("/session", body), 400, "invalid_request");
    }
    // A body that does not match its chunk sizes.
    const broken = await new Promise((done) => {
      const socket = createConnection(Number(url.port), url.hostname);
      let text = "";
      socket.on("data", (chunk) => (text += chunk));
      socket.on("close", () => done(text));
      socket.on("error", () => {});
      socket.write("POST /session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n{}\r\n");
    });
    assert.doesNotMatch(broken, /^HTTP\/1.1 (200|500)/);
    assert.equal((await signIn()).status, 200);
    const head = await call("/health", { method: "HEAD" });
    assert.equal(head.status, 200);
    assert.equal(await head.text(), "");
  });

  test("A8: a hundred simultaneous sign-ins of one user make one user", async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => signIn()));
    assert.ok(answers.every((answer) => answer.status === 200));
    const users = await Promise.all(answers.map((answer) => answer.json()));
    assert.equal(users.filter((answer) => answer.user.isNew).length, 1);
    assert.deepEqual(await counts(), [1, 100]); // of which ten are live
  });

  test("refuses no credential, two credentials, and anything but a session token", async () => {
    const token = await sessionToken();
    await refused(await call("/session"), 401, "session_missing", [1, 1]);
    await refused(await call(`/session?access_token=${token}`), 401, "session_missing", [1, 1]);
    await refused(await call("/session", { headers: { authorization: `Basic ${token}` } }), 401, "session_missing", [1, 1]);
    await refused(await call("/session", { token: "token-alice" }), 401, "session_invalid", [1, 1]);
    await refused(await call("/session", { token: `${token.slice(0, -4)}AAAA` }), 401, "session_invalid", [1, 1]);
    await refused(await call("/session", { headers: { authorization: `Bearer ${token}, Bearer ${token}` } }), 400, "ambiguous_credentials", [1, 1]);
    // Two header lines, which fetch cannot send.
    const raw = await new Promise((done, fail) => {
      const socket = createConnection(Number(url.port), url.hostname.replace(/[[\]]/g, ""));
      let text = "";
      socket.on("data", (chunk) => (text += chunk));
      socket.on("end", () => done(text));
      socket.on("error", fail);
      socket.end(`GET /session HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`);
    });
    assert.match(raw, /^HTTP\/1.1 400 .*ambiguous_credentials/s);
    assert.equal((await call("/session", { token })).status, 200);
  });

  test("A2, A5: answers 500 for a faulty setting and names it without its value; /health still works", async () => {
    const sound = settings(pi.url);
    const wrong = async (name, value, options) => {
      const { [name]: _, ...rest } = sound; // `undefined` removes it
      const faulty = await start(value === undefined ? rest : { ...rest, [name]: value }, options);
      try {
        const response = await fetch(new URL("/session", faulty.url), { method: "POST", body: "{}", headers: { "content-type": "application/json" } });
        const text = await response.text();
        assert.equal(response.status, 500, `${name}: ${text}`);
        const problem = JSON.parse(text);
        assert.equal(problem.code, "misconfigured");
        assert.ok(problem.detail.includes(name), problem.detail);
        if (value) assert.ok(!text.includes(String(value)), "the answer must not contain the value");
        assert.equal((await fetch(new URL("/health", faulty.url))).status, 200);
      } finally {
        await faulty.worker.dispose();
      }
    };
    await wrong("SESSION_KEYS", undefined);
    const [, active] = keys.keys;
    await wrong("SESSION_KEYS", JSON.stringify({ keys: [{ ...active, d: active.d.slice(0, 20) }] }));
    await wrong("SESSION_KEYS", JSON.stringify({ keys: [active, active] }));
    await wrong("REFRESH_SECRET", undefined);
    await wrong("REFRESH_SECRET", "c2hvcnQ");
    await wrong("BACKEND_CREDENTIALS", '{"api":"plain text"}');
    await wrong("OPERATOR_CREDENTIALS", '{"alice":"plain text"}');
    await wrong("SERVES", "console");
    await wrong("SESSION_ISSUER", "https://session.example.com/path");
    await wrong("SESSION_TTL", "36000");
    await wrong("ENVIRONMENT", "staging");
    await wrong("SESSION_AUDIENCE", "a".repeat(257));
    // Numbers and lists in wrangler.toml are not text. If they counted as absent, any app could
    // sign in.
    await wrong("PI_APP_ID", 12345);
    await wrong("ALLOWED_ORIGINS", ["https://app.example.com"]);
    await wrong("DB", undefined, { d1: false });
    // A simulated Pi can never speak for the real one.
    const production = await start({ ...sound, ENVIRONMENT: "production", RATE_LIMITS: "on" });
    const response = await fetch(new URL("/session", production.url));
    assert.match((await response.json()).detail, /PI_API_BASE/);
    await production.worker.dispose();
  });

  test("I2: without PI_APP_ID, the session says that no app was checked, and the log says it once", async () => {
    const before = logs.length;
    const { PI_APP_ID: _, ...rest } = settings(pi.url);
    const open = await start(rest);
    try {
      let last;
      for (const accessToken of ["token-other-app", "token-no-app"]) {
        const response = await fetch(new URL("/session", open.url), {
          method: "POST",
          body: JSON.stringify({ accessToken }),
          headers: { "content-type": "application/json" },
        });
        const { sessionToken } = await response.json();
        const [, payload] = sessionToken.split(".");
        assert.equal(JSON.parse(Buffer.from(payload, "base64url")).app_bound, false);
        last = response.headers.get("x-request-id");
      }
      await eventually(() => logs.some((line) => line.includes(last)));
      assert.equal(logs.slice(before).filter((line) => line.includes("PI_APP_ID is not set")).length, 1);
    } finally {
      await open.worker.dispose();
    }
  });

  test("S7: issues no session and writes nothing partially when the database fails at any statement", async () => {
    const broken = await start(settings(pi.url));
    const post = () =>
      fetch(new URL("/session", broken.url), {
        method: "POST",
        body: '{"accessToken":"token-alice"}',
        headers: { "content-type": "application/json" },
      });
    const users = () => broken.database.prepare("SELECT count(*) AS users FROM users").first("users");
    try {
      // The last statement of the sign-in fails, then the first.
      for (const [table, count] of [["sessions", users], ["users", () => 0]]) {
        await broken.database.prepare(`DROP TABLE ${table}`).run();
        const response = await post();
        const problem = await response.json();
        assert.deepEqual([response.status, problem.code], [503, "storage_unavailable"]);
        assert.ok(response.headers.get("retry-after"));
        assert.ok(!("sessionToken" in problem));
        assert.ok(!problem.detail.includes("table"), "the answer must not name tables");
        assert.equal(await count(), 0);
      }
    } finally {
      await broken.worker.dispose();
    }
  });

  test("wrangler applies the same migrations, and recognizes the applied ones", async () => {
    const state = mkdtempSync(join(tmpdir(), "pioneer-session-d1-"));
    // Not synchronous: this process has to see when the Worker closes idle connections meanwhile.
    const apply = async () => {
      const options = { cwd: root, encoding: "utf8", env: { ...environment, CI: "true" } };
      return (await execute("wrangler", ["d1", "migrations", "apply", "DB", "--local", "--persist-to", state], options)).stdout;
    };
    assert.match(await apply(), /0001_users_and_sessions\.sql[\s\S]*0002_refresh_and_revocation\.sql[\s\S]*0003_orders_and_payments\.sql[\s\S]*0005_payments\.sql/);
    assert.match(await apply(), /No migrations to apply/);
    rmSync(state, { recursive: true, force: true });
  });

  test("A2: logs JSON with request ids, and no token or key", async () => {
    const response = await signIn();
    const { sessionToken: token } = await response.json();
    const leaking = await call(`/session?leak=${token}`, { token });
    await eventually(() => logs.some((line) => line.includes(leaking.headers.get("x-request-id"))));
    const text = logs.join("\n");
    const line = logs.map(logLine).find((line) => line?.requestId === response.headers.get("x-request-id"));
    assert.deepEqual([line?.route, line?.method, line?.status], ["/session", "POST", 200], text);
    for (const canary of [...CANARIES, token]) assert.ok(!text.includes(canary), "the log must not contain a secret");
    const { results } = await database.prepare("SELECT * FROM users JOIN sessions USING (uid)").all();
    assert.ok(!JSON.stringify(results).includes("token-alice"));
  });
});
