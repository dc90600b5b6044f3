// How the npm package learns about revoked sessions: from feeds of every kind, and from the Worker
// itself while its keys change under load.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createPrivateKey, randomBytes, sign as edSign } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { createVerifier, verify } from "pioneer-session";
import { newKey } from "../../pkg/cli/keys.mjs";
import { root } from "../../scripts/paths.mjs";
import { startFakePi, user } from "../support/fake-pi.mjs";

const AUDIENCE = "example-app";
const now = () => Math.floor(Date.now() / 1000);
const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Waits until a condition is true, for ten seconds at most. */
async function until(condition, what) {
  for (const end = Date.now() + 10_000; !(await condition()); await sleep(20)) assert.ok(Date.now() < end, `did not happen in time: ${what}`);
}

describe("a verifier with revocations", () => {
  const key = newKey();
  const other = newKey();
  const publicJwk = ({ d, state, ...bare }) => ({ ...bare, alg: "EdDSA", use: "sig" });

  const mint = (payload, { typ = "pi-session+jwt", signer = key } = {}) => {
    const signed = `${base64url({ alg: "EdDSA", kid: signer.kid, typ })}.${base64url(payload)}`;
    return `${signed}.${edSign(null, Buffer.from(signed), createPrivateKey({ key: signer, format: "jwk" })).toString("base64url")}`;
  };

  /** An issuer whose answers the test sets. */
  async function issuer() {
    const made = { keys: [key], polls: [], etag: undefined };
    const server = createServer((request, response) => {
      if (request.url === "/.well-known/jwks.json") return response.writeHead(200).end(JSON.stringify({ keys: made.keys.map(publicJwk) }));
      made.polls.push(request);
      made.respond(response, request);
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    made.url = `http://127.0.0.1:${server.address().port}`;
    made.token = (members = {}, options) => mint({
      iss: made.url, aud: AUDIENCE, sub: "uid-1", sid: "sid-1", iat: now() - 10, exp: now() + 590, auth_time: now() - 10, jti: "jti-1", scope: "", ...members,
    }, options);
    made.feed = (members = {}, options = {}) => mint({
      iss: made.url, aud: AUDIENCE, iat: now(), exp: now() + 300, epoch: 0, sids: [], users: {}, ...members,
    }, { typ: "pi-revocations+jwt", ...options });
    made.respond = (response) => response.writeHead(200).end(made.feed());
    made.close = () => {
      server.closeAllConnections();
      return new Promise((done) => server.close(done));
    };
    made.verifier = (revocations = { pollSeconds: 1 }) => createVerifier({ issuer: made.url, audience: AUDIENCE, revocations });
    return made;
  }

  test("refuses exactly the sessions that the feed names, to the second", async () => {
    const server = await issuer();
    const at = now() - 60;
    server.respond = (response) => response.writeHead(200).end(server.feed({ epoch: at - 100, sids: ["zz", "sid-9", "__proto__", "aa"], users: { "uid-9": at } }));
    const made = await server.verifier();
    try {
      const revoked = (members) => assert.throws(() => made.verify(server.token(members)), { name: "SessionError", code: "revoked" });
      const holds = (members) => assert.equal(made.verify(server.token(members)).uid, members.sub ?? "uid-1");
      for (const sid of ["zz", "sid-9", "aa", "__proto__"]) revoked({ sid });
      for (const sid of ["sid-1", "SID-9", "sid", "zzz", "constructor"]) holds({ sid });
      revoked({ sub: "uid-9", iat: at - 1 });
      holds({ sub: "uid-9", iat: at });
      holds({ sub: "uid-8", iat: at - 1 });
      revoked({ iat: at - 101, exp: at + 400 });
      holds({ iat: at - 100, exp: at + 400 });
      // The order of the checks: an expired or forged token is reported as that first.
      assert.throws(() => made.verify(server.token({ sid: "zz", iat: at - 600, exp: at - 1 })), { code: "expired" });
      assert.deepEqual(Object.keys(made.health()).sort(), ["keysAgeSeconds", "revocationsAgeSeconds"]);
      assert.equal((await verify(server.token(), { issuer: server.url, audience: AUDIENCE, revocations: true })).sid, "sid-1");
      await assert.rejects(verify(server.token({ sid: "zz" }), { issuer: server.url, audience: AUDIENCE, revocations: true }), { code: "revoked" });
    } finally {
      await made.close();
      await server.close();
    }
  });

  test("T7: accepts only the issuer's own and newest feed", async () => {
    const server = await issuer();
    try {
      const sound = server.feed();
      const [head, payload, signature] = sound.split(".");
      for (const [what, feed] of Object.entries({
        "a session token": server.token(),
        "a feed of another key": server.feed({}, { signer: other }),
        "another payload": `${head}.${base64url({ iss: server.url })}.${signature}`,
        "a session's header": `${base64url({ alg: "EdDSA", kid: key.kid, typ: "pi-session+jwt" })}.${payload}.${signature}`,
        "another issuer": server.feed({ iss: "https://other.example" }),
        "another audience": server.feed({ aud: "other" }),
        "an old one": server.feed({ iat: now() - 400, exp: now() - 100 }),
        "one of the future": server.feed({ iat: now() + 60, exp: now() + 120 }),
        "one without an end": server.feed({ exp: now() + 86_400 }),
        "no list": server.feed({ sids: "sid-1" }),
        "a missing member": server.feed({ users: undefined }),
        "an odd user": server.feed({ users: { "uid-1": "soon" } }),
        "not a feed": "<html>",
        "nothing": "",
        "padding": `${sound}=`,
      })) {
        server.respond = (response) => response.writeHead(200).end(feed);
        await assert.rejects(server.verifier(), { name: "SessionError", code: "revocations_unavailable" }, what);
      }
      for (const respond of [
        (response) => response.writeHead(500).end(),
        (response) => response.writeHead(304).end(),
        (response) => response.writeHead(302, { location: "/elsewhere" }).end(),
        (response) => response.destroy(),
        (response) => response.writeHead(200).end(Buffer.alloc(8 * 1024 * 1024 + 1, "a")),
      ]) {
        server.respond = respond;
        await assert.rejects(server.verifier(), { code: "revocations_unavailable" });
      }
    } finally {
      await server.close();
    }
  });

  test("polls, keeps the last valid feed, and ignores an older one", async () => {
    const server = await issuer();
    server.respond = (response, request) => {
      if (request.headers["if-none-match"] === "W/\"one\"") return response.writeHead(304).end();
      response.writeHead(200, { etag: "W/\"one\"" }).end(server.feed({ sids: ["sid-1"] }));
    };
    const made = await server.verifier();
    const isRevoked = (members) => {
      try {
        made.verify(server.token(members));
        return false;
      } catch (error) {
        assert.equal(error.code, "revoked");
        return true;
      }
    };
    try {
      await until(() => server.polls.length >= 3, "polls");
      assert.ok(server.polls.slice(1).every(({ headers }) => headers["if-none-match"] === "W/\"one\""));
      assert.ok(isRevoked() && !isRevoked({ sid: "sid-2" }));
      server.respond = (response) => response.writeHead(200).end(server.feed({ iat: now() - 30, exp: now() + 200 }));
      const before = server.polls.length;
      await until(() => server.polls.length >= before + 2, "polls");
      assert.ok(isRevoked(), "an older feed must not restore a session");
      server.respond = (response) => response.writeHead(200).end(server.feed({ sids: ["sid-1", "sid-2"] }));
      await until(() => isRevoked({ sid: "sid-2" }), "the newest feed");
      // The feed can be the first thing that a new key signs.
      server.keys = [key, other];
      server.respond = (response) => response.writeHead(200).end(server.feed({ sids: ["sid-3"] }, { signer: other }));
      const later = await server.verifier({ pollSeconds: 2 });
      assert.throws(() => later.verify(server.token({ sid: "sid-3" })), { code: "revoked" });
      await later.close();
    } finally {
      await made.close();
      await server.close();
    }
  });

  test("K5: without the issuer it uses the last feed, reports its age, and fails closed if configured to", async (context) => {
    const server = await issuer();
    server.respond = (response) => response.writeHead(200).end(server.feed({ sids: ["sid-9"] }));
    const lasting = await server.verifier({ pollSeconds: 1 });
    const strict = await server.verifier({ pollSeconds: 1, maxAgeSeconds: 120 });
    const tokens = { good: server.token({ exp: now() + 3500 }), ended: server.token({ sid: "sid-9", exp: now() + 3500 }) };
    await server.close();
    const real = Date.now;
    try {
      for (const later of [0, 110]) {
        context.mock.method(Date, "now", () => real() + later * 1000);
        for (const made of [lasting, strict]) {
          // The clock jump also triggers its timers, so it asks once more, in vain.
          await made.ready();
          assert.equal(made.verify(tokens.good).sid, "sid-1");
          assert.throws(() => made.verify(tokens.ended), { code: "revoked" });
        }
      }
      context.mock.method(Date, "now", () => real() + 1_000_000);
      await lasting.ready();
      await assert.rejects(strict.ready(), { code: "revocations_unavailable" });
      assert.equal(lasting.verify(tokens.good).sid, "sid-1");
      assert.ok(lasting.health().revocationsAgeSeconds >= 1000);
      assert.throws(() => strict.verify(tokens.good), { code: "revocations_unavailable" });
    } finally {
      context.mock.restoreAll();
      await Promise.all([lasting.close(), strict.close()]);
    }
  });

  for (const [clock, ahead] of [["slow", 45], ["fast", -400]]) {
    test(`R11: with a clock that is too ${clock} for the issuer's feeds, accepts nothing once the last feed is five minutes old`, async (context) => {
      const server = await issuer();
      const made = await server.verifier({ pollSeconds: 1 });
      const token = server.token({ exp: now() + 3500 });
      const real = Date.now;
      try {
        assert.equal(made.verify(token).sid, "sid-1");
        // The new feeds name a session revoked since then, but the verifier cannot distinguish them
        // from old ones.
        const respond = server.respond;
        server.respond = (response) => response.writeHead(200).end(server.feed({ iat: now() + ahead, exp: now() + ahead + 300, sids: ["sid-1"] }));
        const before = server.polls.length;
        await until(() => server.polls.length >= before + 2, "polls");
        assert.equal(made.verify(token).sid, "sid-1", "one malformed feed must not stop the verifier");
        context.mock.method(Date, "now", () => real() + 310_000);
        assert.throws(() => made.verify(token), { code: "revocations_unavailable", message: /clock/ });
        server.respond = respond;
        await until(() => {
          try {
            return made.verify(token);
          } catch {
            return false;
          }
        }, "a feed of this time");
      } finally {
        context.mock.restoreAll();
        await made.close();
        await server.close();
      }
    });
  }

  test("S1: verify() also learns about a revoked session within the interval", async (context) => {
    const server = await issuer();
    const options = { issuer: server.url, audience: AUDIENCE, revocations: true };
    const token = server.token();
    const real = Date.now;
    try {
      assert.equal((await verify(token, options)).sid, "sid-1");
      server.respond = (response) => response.writeHead(200).end(server.feed({ sids: ["sid-1"] }));
      context.mock.method(Date, "now", () => real() + 14_000);
      assert.equal((await verify(token, options)).sid, "sid-1");
      context.mock.method(Date, "now", () => real() + 15_500);
      await assert.rejects(verify(token, options), { code: "revoked" });
    } finally {
      context.mock.restoreAll();
      await server.close();
    }
  });

  test("K7: refuses a cached token when the feed names its session", async () => {
    const server = await issuer();
    const made = await createVerifier({ issuer: server.url, audience: AUDIENCE, revocations: { pollSeconds: 1 }, cache: { max: 10 } });
    try {
      const token = server.token();
      for (let i = 0; i < 3; i++) assert.equal(made.verify(token).sid, "sid-1");
      server.respond = (response) => response.writeHead(200).end(server.feed({ sids: ["sid-1"] }));
      await until(() => {
        try {
          return !made.verify(token);
        } catch (error) {
          return error.code === "revoked";
        }
      }, "the feed");
    } finally {
      await made.close();
      await server.close();
    }
  });

  test("rejects invalid options", async () => {
    for (const revocations of [1, "yes", null, { pollSeconds: 0 }, { pollSeconds: 1.5 }, { pollSeconds: 301 }, { poll: 1 }, { maxAgeSeconds: 29 }, { maxAgeSeconds: NaN }]) {
      await assert.rejects(createVerifier({ issuer: "https://a.example", audience: AUDIENCE, jwks: { keys: [publicJwk(key)] }, revocations }), { code: "invalid_options" });
    }
  });
});

describe("the Worker and its verifiers", { timeout: 300_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-keys-"));
  const file = join(folder, "keys.json");
  const origin = "http://127.0.0.1";
  let pi;
  let workers;
  let issuer;

  const command = (...args) => execFileSync(process.execPath, [`${root}/pkg/cli/index.mjs`, "keys", ...args, "--file", file], { stdio: ["ignore", "pipe", "pipe"] });
  const kids = () => JSON.parse(readFileSync(file, "utf8")).keys.map(({ kid, state }) => `${state} ${kid}`).sort();

  before(async () => {
    const people = Array.from({ length: 50 }, (_, index) => [`token-${index}`, user({ uid: `uid-${index}`, username: `user_${index}` })]);
    pi = await startFakePi(Object.fromEntries(people));
    // Every state of the keys during a rotation, each deployed as a Worker with the same database.
    const states = {};
    command("new");
    states.a = readFileSync(file, "utf8");
    command("rotate");
    states.b = readFileSync(file, "utf8");
    command("rotate", "--now");
    states.c = readFileSync(file, "utf8");
    command("retire", "--now");
    states.d = readFileSync(file, "utf8");
    assert.equal(new Set([...Object.values(states)]).size, 4);
    const front = createServer();
    await new Promise((done) => front.listen(0, "127.0.0.1", done));
    const { port } = front.address();
    await new Promise((done) => front.close(done));
    issuer = `${origin}:${port}`;
    const shared = {
      ENVIRONMENT: "development", SESSION_ISSUER: issuer, SESSION_AUDIENCE: AUDIENCE, PI_API_BASE: pi.url, PI_APP_ID: "test-app", RATE_LIMITS: "off",
      SESSION_TTL: "3600", REFRESH_SECRET: randomBytes(32).toString("base64url"), MAX_SESSIONS_PER_USER: "100",
    };
    const compatibilityDate = readFileSync(`${root}/wrangler.toml`, "utf8").match(/compatibility_date = "(.+)"/)[1];
    const modules = [
      { type: "ESModule", path: `${root}/build/index.js` },
      { type: "CompiledWasm", path: `${root}/build/index_bg.wasm` },
    ];
    workers = new Miniflare(convertV4MiniflareOptions({
      handleStructuredLogs() {},
      port,
      host: "127.0.0.1",
      workers: [
        {
          name: "front",
          modules: true,
          compatibilityDate,
          // Selects the current deployment.
          script: `let stage = "a"; export default { fetch(request, env) {
            const { pathname } = new URL(request.url);
            if (!pathname.startsWith("/deploy/")) return env[stage].fetch(request);
            stage = pathname.at(-1);
            return new Response();
          } }`,
          serviceBindings: Object.fromEntries(Object.keys(states).map((name) => [name, name])),
        },
        ...Object.entries(states).map(([name, keys]) => ({
          name, modulesRoot: `${root}/build`, modules, compatibilityDate, bindings: { ...shared, SESSION_KEYS: keys }, d1Databases: { DB: "test" },
        })),
      ],
    }));
    await workers.ready;
    // The first request sets the development database up.
    await ask("/session");
  });

  after(async () => {
    await workers?.dispose();
    await pi?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = (path, { token, ...init } = {}) =>
    fetch(`${issuer}${path}`, { ...init, headers: { ...(init.body && { "content-type": "application/json" }), ...(token && { authorization: `Bearer ${token}` }) } });
  const signIn = async (index = 0) => {
    const response = await ask("/session", { method: "POST", body: JSON.stringify({ accessToken: `token-${index}` }) });
    assert.equal(response.status, 200);
    return response.json();
  };

  test("S1: verifiers refuse a session revoked at the Worker within the interval, and other devices stay signed in", async () => {
    const verifier = await createVerifier({ issuer, audience: AUDIENCE, revocations: { pollSeconds: 1 } });
    try {
      const [here, there] = [(await signIn()).sessionToken, (await signIn()).sessionToken];
      for (const token of [here, there]) assert.equal(verifier.verify(token).uid, "uid-0");
      assert.equal((await ask("/session", { token: here, method: "DELETE" })).status, 204);
      assert.equal((await ask("/session", { token: here })).status, 401);
      const isRevoked = (token) => {
        try {
          verifier.verify(token);
          return false;
        } catch (error) {
          return error.code === "revoked";
        }
      };
      await until(() => isRevoked(here), "the feed");
      assert.ok(!isRevoked(there));
      assert.ok(verifier.health().revocationsAgeSeconds <= 3);
    } finally {
      await verifier.close();
    }
  });

  test("a key rotation by the commands, under load, fails no request", async (context) => {
    const verifier = await createVerifier({ issuer, audience: AUDIENCE });
    const seen = new Set();
    let done = 0;
    /** Signs in and verifies, ten at a time. */
    const load = async (count) => {
      let left = count;
      const one = async () => {
        while (left-- > 0) {
          const index = left % 50;
          const { sessionToken, refreshToken } = await signIn(index);
          seen.add(JSON.parse(Buffer.from(sessionToken.split(".")[0], "base64url")).kid);
          assert.equal(verifier.verify(sessionToken).uid, `uid-${index}`);
          if (index % 10 === 0) {
            const refreshed = await ask("/session/refresh", { method: "POST", body: JSON.stringify({ refreshToken }) });
            assert.equal(verifier.verify((await refreshed.json()).sessionToken).uid, `uid-${index}`);
          }
          done += 1;
        }
      };
      await Promise.all(Array.from({ length: 10 }, one));
    };
    try {
      await load(250);
      const old = (await signIn()).sessionToken;
      // The first `keys rotate`: the Worker publishes the next key.
      await ask("/deploy/b");
      await load(250);
      assert.equal(seen.size, 1, "published, not yet signing");
      // Ten minutes pass on the verifier's clock: it fetches the keys again.
      const real = Date.now;
      context.mock.method(Date, "now", () => real() + 600_000);
      await verifier.ready();
      assert.equal(verifier.health().keysAgeSeconds, 0);
      context.mock.restoreAll();
      // The second `keys rotate`: the new key signs, and tokens of the old one are still valid.
      await ask("/deploy/c");
      await load(250);
      assert.equal(seen.size, 2);
      assert.equal(verifier.verify(old).uid, "uid-0");
      assert.equal((await ask("/session", { token: old })).status, 200);
      // `keys retire` after all tokens of the old key have expired: tokens of the new key stay
      // valid.
      await ask("/deploy/d");
      await load(250);
      assert.equal(seen.size, 2);
      assert.equal(done, 1000);
      assert.equal((await ask("/session", { token: old })).status, 401);
      assert.deepEqual(kids().length, 1);
    } finally {
      await verifier.close();
    }
  });
});
