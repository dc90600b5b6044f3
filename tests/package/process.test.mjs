// Verifiers in unusual processes: stopped and continued, with frozen intrinsics, with other clocks
// and timers, with requests that did not come from a socket, and with too many verifiers.

import assert from "node:assert/strict";
import { execFile, fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, createServer as createHttp2Server } from "node:http2";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import Fastify from "fastify";
import { Hono } from "hono";
import { createVerifier, verify } from "pioneer-session";
import { root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";
import { AUDIENCE, issuer } from "../support/issuer.mjs";

/** Waits until the condition is true, for ten seconds at most. */
async function until(condition, what) {
  for (const end = performance.now() + 10_000; !(await condition()); await sleep(20)) assert.ok(performance.now() < end, `waited in vain: ${what}`);
}

let made;
let options;
before(async () => {
  made = await issuer();
  options = { issuer: made.url, audience: AUDIENCE, revocations: true };
});
after(() => made.close());

describe("frozen intrinsics", () => {
  for (const [kind, args, freeze] of [["node --frozen-intrinsics", ["--frozen-intrinsics"], false], ["Object.freeze", [], true]]) {
    test(`${kind}: a bad token and a wrong option are SessionErrors`, async () => {
      const { good, expired, forged, revoked } = made.tokens;
      const program = { options, freeze, tokens: { good, expired, forged, revoked, malformed: "x" } };
      const { stdout } = await promisify(execFile)(process.execPath, [...args, `${root}/tests/package/frozen.mjs`], { cwd: root, env: { ...process.env, PROGRAM: JSON.stringify(program) } });
      const refused = (code) => ({ name: "SessionError", code, hint: "string" });
      const all = (code) => ({ sync: refused(code), once: refused(code), fetch: 401, express: 401 });
      assert.deepEqual(JSON.parse(stdout), {
        good: { sync: "uid-alice", once: "uid-alice", fetch: "uid-alice", express: 200 },
        expired: all("expired"), forged: all("bad_signature"), revoked: all("revoked"), malformed: all("token_malformed"),
        options: refused("invalid_options"),
      });
    });
  }
});

describe("fastify: the plugin is registered more than once", () => {
  const guard = async (more = {}) => (await import("pioneer-session/fastify")).requireSession({ ...options, ...more });
  const profile = async ({ session }) => ({ uid: session.uid });
  const statuses = async (app, url) => {
    const answers = [];
    for (const token of [made.tokens.good, made.tokens.revoked, undefined]) {
      answers.push((await app.inject({ url, headers: token ? { authorization: `Bearer ${token}` } : {} })).statusCode);
    }
    return answers;
  };

  test("a scope in a scope, the root and a scope, and the root twice all work", async (context) => {
    const [first, second] = [await guard(), await guard({ clockTolerance: 6 })];
    for (const build of [
      (app) => app.register(async (scope) => {
        scope.register(first);
        scope.register(async (inner) => {
          inner.register(second);
          inner.get("/profile", profile);
        });
      }),
      (app) => app.register(first).register(async (scope) => void scope.register(first).get("/profile", profile)),
      (app) => app.register(first).register(second).after(() => app.get("/profile", profile)),
      (app) => app.register(async (scope) => void scope.register(first).get("/profile", profile)).register(async (scope) => void scope.register(second).get("/other", profile)),
      (app) => app.register(async (scope) => void scope.register(first).get("/profile", profile)).register(second),
    ]) {
      const app = Fastify();
      context.after(() => app.close());
      build(app);
      assert.deepEqual(await statuses(app, "/profile"), [200, 401, 401]);
    }
  });

  test("the copies for import and for require work in one scope", async (context) => {
    const app = Fastify();
    context.after(() => app.close());
    const { requireSession } = createRequire(import.meta.url)("pioneer-session/fastify");
    app.register(await guard()).register(requireSession(options)).after(() => app.get("/profile", profile));
    assert.deepEqual(await statuses(app, "/profile"), [200, 401, 401]);
  });

  test("if another plugin uses request.session, ready() rejects and says what to do", async () => {
    const taken = (app) => app.decorateRequest("session", null);
    const ours = await guard();
    const plugin = Object.assign((app, _, done) => done(void taken(app)), { [Symbol.for("skip-override")]: true });
    for (const build of [
      (app) => taken(app).register(ours),
      (app) => taken(app).register(async (scope) => void scope.register(ours)),
      (app) => app.register(async (scope) => void taken(scope).register(ours)),
      (app) => app.register(ours).register(plugin),
      (app) => app.register(ours).register(async (scope) => void taken(scope).get("/profile", profile)),
    ]) {
      const app = Fastify();
      build(app);
      await assert.rejects(app.ready(), /request\.session is in use\. Register @fastify\/session/);
      await app.close();
    }
    // In another scope, the other plugin is allowed.
    const app = Fastify();
    app.register(async (scope) => void taken(scope)).register(async (scope) => void scope.register(ours).get("/profile", profile));
    assert.deepEqual(await statuses(app, "/profile"), [200, 401, 401]);
    await app.close();
  });

  test("one plugin serves several applications, one after the other and two at a time", async () => {
    const once = await guard();
    const build = () => {
      const app = Fastify();
      return app.register(once).after(() => app.get("/profile", profile));
    };
    const [first, second] = [build(), build()];
    assert.deepEqual(await statuses(first, "/profile"), [200, 401, 401]);
    assert.deepEqual(await statuses(second, "/profile"), [200, 401, 401]);
    await first.close();
    const asked = made.asked.length;
    assert.deepEqual(await statuses(second, "/profile"), [200, 401, 401]);
    assert.equal(made.asked.length, asked, "its verifier is still open");
    await second.close();
    const third = build();
    assert.deepEqual(await statuses(third, "/profile"), [200, 401, 401]);
    assert.ok(made.asked.length > asked, "an open verifier polls, so this one is new");
    await third.close();
  });
});

describe("a middleware that is used twice", () => {
  const headers = () => ({ authorization: `Bearer ${made.tokens.good}` });

  test("hono: the session is kept", async () => {
    const { requireSession } = await import("pioneer-session/hono");
    const app = new Hono();
    app.use(requireSession(options));
    app.get("/profile", requireSession(options), (c) => c.text(c.var.session.uid));
    assert.equal(await (await app.request("/profile", { headers: headers() })).text(), "uid-alice");
    assert.equal((await app.request("/profile")).status, 401);
  });

  test("express: the copies for import and for require know each other's session", async () => {
    const { requireSession } = await import("pioneer-session/express");
    const required = createRequire(import.meta.url)("pioneer-session/express").requireSession(options);
    const request = { headers: headers() };
    for (const middleware of [requireSession(options), required, requireSession(options)]) {
      assert.equal(await new Promise((done) => middleware(request, {}, done)), undefined);
      assert.equal(request.session.uid, "uid-alice");
    }
    request.session = { cookie: {} };
    assert.match((await new Promise((done) => required(request, {}, done))).message, /express-session/);
  });

  test("a verifier of the application that returns no session lets no request pass", async () => {
    for (const nothing of [undefined, null, false, "uid-alice"]) {
      const verifier = { verify: () => nothing };
      const { requireSession: forExpress } = await import("pioneer-session/express");
      const request = { headers: headers() };
      assert.match((await new Promise((done) => forExpress({ verifier })(request, {}, done))).message, /must return a session/);
      const { requireSession: forFastify } = await import("pioneer-session/fastify");
      const app = Fastify().register(forFastify({ verifier })).after(() => app.get("/", assert.fail));
      assert.equal((await app.inject({ url: "/", headers: headers() })).statusCode, 500);
      await app.close();
      for (const name of ["hono", "next"]) {
        const { requireSession } = await import(`pioneer-session/${name}`);
        const call = name === "next" ? requireSession({ verifier })(assert.fail) : (raw) => requireSession({ verifier })({ req: { raw } }, assert.fail);
        await assert.rejects(async () => call(new Request("http://localhost/", { headers: headers() }), {}), /must return a session/);
      }
    }
  });

  test("next: a handler that is wrapped twice gets its session", async () => {
    const { requireSession } = await import("pioneer-session/next");
    const signedIn = requireSession(options);
    const GET = signedIn(signedIn((_, { params, session }) => Response.json([params, session.uid])));
    const context = { params: "x" };
    assert.deepEqual(await (await GET(new Request("http://localhost/", { headers: headers() }), context)).json(), ["x", "uid-alice"]);
    assert.equal((await GET(new Request("http://localhost/"), context)).status, 401);
  });
});

describe("requests that did not come from an HTTP/1 socket", () => {
  const guarded = async () => (await import("pioneer-session/express")).requireSession(options);

  /**
   * The result of an Express middleware: the uid of the session, the code of a refusal, or an
   * error.
   */
  const outcome = (middleware, request) => new Promise((done) => {
    const response = { setHeader() {}, end: (body) => done(JSON.parse(body).code) };
    middleware(request, response, (error) => done(error ? String(error) : request.session.uid));
  });

  test("express: a request object from a test or a serverless adapter", async () => {
    const middleware = await guarded();
    const [good, forged] = [`Bearer ${made.tokens.good}`, `Bearer ${made.tokens.forged}`];
    for (const [request, expected] of [
      [{ headers: { authorization: good } }, "uid-alice"],
      [{ headers: { Authorization: good } }, "uid-alice"],
      [{ headers: { authorization: [good] } }, "uid-alice"],
      [{ headers: { authorization: good }, rawHeaders: [] }, "uid-alice"],
      [{ headers: { authorization: good }, rawHeaders: null }, "uid-alice"],
      [{ headers: { authorization: forged } }, "session_invalid"],
      [{ headers: {} }, "session_missing"],
      [{}, "session_missing"],
      [{ headers: { authorization: undefined } }, "session_missing"],
      [{ headers: { authorization: 7 } }, "session_missing"],
      [{ headers: Object.create({ authorization: good }) }, "session_missing"],
      [{ headers: { authorization: [good, forged] } }, "ambiguous_credentials"],
      [{ headers: { authorization: `${good},${forged}` } }, "ambiguous_credentials"],
      [{ headers: { authorization: good, Authorization: forged } }, "ambiguous_credentials"],
      [{ headers: { authorization: good }, rawHeaders: ["Authorization", good, "authorization", good] }, "ambiguous_credentials"],
    ]) {
      assert.equal(await outcome(middleware, request), expected, JSON.stringify({ ...request, headers: Object.keys(request.headers ?? {}) }));
    }
  });

  test("express: a response that was sent meanwhile is not touched", async () => {
    const middleware = await guarded();
    const response = { headersSent: true, setHeader: () => assert.fail("too late"), end: () => assert.fail("too late") };
    await middleware({ headers: {} }, response, assert.fail);
  });

  test("fastify: requests from inject", async (context) => {
    const app = Fastify();
    context.after(() => app.close());
    app.register((await import("pioneer-session/fastify")).requireSession(options)).after(() => app.get("/profile", async ({ session }) => session.uid));
    const status = async (headers) => (await app.inject({ url: "/profile", headers })).statusCode;
    const good = `Bearer ${made.tokens.good}`;
    assert.equal(await status({ Authorization: good }), 200);
    assert.equal(await status({}), 401);
    assert.equal(await status({ authorization: [good, good] }), 400);
  });

  test("HTTP/2: the middlewares of Express and Fastify see every header", async (context) => {
    const middleware = await guarded();
    const plain = createHttp2Server((request, response) => middleware(request, response, (error) => response.end(String(error ?? request.session.uid))));
    await new Promise((done) => plain.listen(0, "127.0.0.1", done));
    context.after(() => plain.close());
    const app = Fastify({ http2: true });
    context.after(() => app.close());
    app.register((await import("pioneer-session/fastify")).requireSession(options)).after(() => app.get("/profile", async ({ session }) => session.uid));
    await app.listen({ host: "127.0.0.1", port: 0 });
    const good = `Bearer ${made.tokens.good}`;
    for (const server of [plain, app.server]) {
      const client = connect(`http://127.0.0.1:${server.address().port}`, { strictSingleValueFields: false });
      context.after(() => client.destroy());
      const ask = (authorization) => new Promise((done, fail) => {
        const stream = client.request([":path", "/profile", ...authorization.flatMap((value) => ["authorization", value])]);
        let answer;
        stream.on("response", ({ ":status": status }) => (answer = status)).on("error", fail).on("close", () => done(answer)).resume();
      });
      assert.deepEqual([await ask([good]), await ask([]), await ask([`Bearer ${made.tokens.forged}`])], [200, 401, 401]);
      assert.deepEqual([await ask([good, good]), await ask([good, `Bearer ${made.tokens.forged}`])], [400, 400]);
    }
  });
});

const accepted = { sync: "uid-alice", once: "uid-alice", middleware: "uid-alice", ready: "uid-alice", after: "uid-alice" };

describe("a process that stood still", () => {
  /** Starts a process that verifies, which the test can stop and continue. */
  async function sleeper(context, program) {
    const child = fork(`${root}/tests/support/paused-verifier.mjs`, { cwd: root, env: { ...process.env, PROGRAM: JSON.stringify(program) } });
    context.after(() => child.kill("SIGKILL"));
    await once(child, "message");
    return {
      async judge(token) {
        child.send(token);
        return (await once(child, "message"))[0];
      },
      /**
       * Sends the question before the process continues, like an event that wakes a cloud function.
       */
      async judgeAsleep(token, ms, meanwhile) {
        child.kill("SIGSTOP");
        await meanwhile();
        await sleep(ms);
        child.send(token);
        child.kill("SIGCONT");
        return (await once(child, "message"))[0];
      },
    };
  }

  test("SIGSTOP: a session that was revoked meanwhile is accepted by no function", async (context) => {
    const server = await issuer();
    context.after(() => server.close());
    const process = await sleeper(context, { issuer: server.url, audience: AUDIENCE, revocations: { pollSeconds: 1 } });
    assert.deepEqual(await process.judge(server.tokens.good), accepted);
    const { sync, ...others } = await process.judgeAsleep(server.tokens.good, 5_000, () => server.end("sid-alice"));
    // It is synchronous and cannot wait, so it does not know the newer feed.
    assert.equal(sync, "revocations_unavailable");
    assert.deepEqual(others, { once: "revoked", middleware: "session_revoked", ready: "revoked", after: "revoked" });
  });

  test("SIGSTOP: a connection that the issuer closed meanwhile does not make a request fail", async (context) => {
    const server = await issuer();
    context.after(() => server.close());
    const process = await sleeper(context, { issuer: server.url, audience: AUDIENCE, revocations: { pollSeconds: 1, maxAgeSeconds: 2 } });
    assert.deepEqual(await process.judge(server.tokens.good), accepted);
    const { sync, ...others } = await process.judgeAsleep(server.tokens.good, 5_000, () => server.drop());
    assert.equal(sync, "revocations_unavailable");
    assert.deepEqual(others, { once: "uid-alice", middleware: "uid-alice", ready: "uid-alice", after: "uid-alice" });
  });

  test("a kept connection that is reset at its next use is not a failure of the issuer", async (context) => {
    let resets = false;
    const server = await issuer({ resets: () => resets && !(resets = false) });
    context.after(() => server.close());
    const settings = { issuer: server.url, audience: AUDIENCE, revocations: true };
    assert.equal((await verify(server.tokens.good, settings)).uid, "uid-alice");
    server.end("sid-alice");
    resets = true;
    const real = Date.now;
    context.mock.method(Date, "now", () => real() + 20_000);
    await assert.rejects(verify(server.tokens.good, settings), { code: "revoked" });
    assert.equal(resets, false, "a connection was reset");
  });

  test("with the fake timers of a test runner, a verifier works, and their time counts", async (context) => {
    const server = await issuer();
    context.after(() => server.close());
    context.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: Date.now() });
    const settings = { issuer: server.url, audience: AUDIENCE, revocations: true };
    const verifier = await createVerifier(settings);
    assert.equal(verifier.verify(server.tokens.good).uid, "uid-alice");
    assert.equal((await verify(server.tokens.good, settings)).uid, "uid-alice");
    server.end("sid-alice");
    const feeds = () => server.asked.filter((path) => path === "/revocations").length;
    const asked = feeds();
    context.mock.timers.tick(16_000);
    await assert.rejects(verify(server.tokens.good, settings), { code: "revoked" });
    // The verifier's timer has begun a fetch of its own, which may end later.
    for (const end = performance.now() + 10_000; feeds() < asked + 2; await new Promise(setImmediate)) assert.ok(performance.now() < end, "the timer has fired");
    await verifier.ready();
    assert.throws(() => verifier.verify(server.tokens.good), { code: "revoked" });
    context.mock.timers.reset();
    // The real clock shows the time of the beginning again.
    assert.throws(() => verifier.verify(server.tokens.good), { code: "revoked" });
    assert.equal(verifier.verify(server.token({ sid: "sid-2" })).uid, "uid-alice");
    await verifier.close();
  });

  /** A verifier of each kind, and how far the clock must jump until its timers count as stopped. */
  const kinds = {
    feed: { more: { revocations: true }, later: 200_000, code: "revocations_unavailable" },
    keys: { more: {}, later: 700_000, code: "keys_unavailable" },
    "keys, after more than an hour": { more: {}, later: 3_700_000, code: "keys_unavailable" },
    "feed, behind a cache": { more: { revocations: true, cache: { max: 10 } }, later: 200_000, code: "revocations_unavailable" },
  };
  for (const [kind, { more, later, code }] of Object.entries(kinds)) {
    test(`a clock that jumps: ${kind}`, async (context) => {
      const server = await issuer();
      context.after(() => server.close());
      const verifier = await createVerifier({ issuer: server.url, audience: AUDIENCE, ...more });
      context.after(() => verifier.close());
      assert.equal(verifier.verify(server.tokens.good).uid, "uid-alice");
      const real = Date.now;
      context.mock.method(Date, "now", () => real() + later);
      const now = Math.floor(Date.now() / 1000);
      const token = server.token({ iat: now, exp: now + 600 });
      for (let time = 0; time < 2; time++) assert.throws(() => verifier.verify(token), { code });
      const asked = server.asked.length;
      assert.equal((await verifier.ready()).verify(token).uid, "uid-alice");
      assert.ok(server.asked.length <= asked + 2, "keys and feed are fetched once each");
    });
  }

  test("a verifier that createVerifier made works again by itself once the issuer has answered, or failed to", async (context) => {
    for (const fails of [false, true]) {
      let isFailing = false;
      const server = await issuer({ fails: () => isFailing });
      context.after(() => server.close());
      const verifier = await createVerifier({ issuer: server.url, audience: AUDIENCE, revocations: true });
      context.after(() => verifier.close());
      isFailing = fails;
      const real = Date.now;
      context.mock.method(Date, "now", () => real() + 300_000);
      const token = server.token({ iat: Math.floor(real() / 1000) + 300, exp: Math.floor(real() / 1000) + 900 });
      assert.throws(() => verifier.verify(token), { code: "revocations_unavailable", message: /stood still.*await verifier\.ready\(\)/ });
      await until(() => {
        try {
          return verifier.verify(token);
        } catch {
          return false;
        }
      }, "the issuer was asked");
      context.mock.restoreAll();
    }
  });

  test("a closed verifier does not use its last feed forever", async (context) => {
    const server = await issuer();
    context.after(() => server.close());
    const verifier = await createVerifier({ issuer: server.url, audience: AUDIENCE, revocations: true });
    await verifier.close();
    assert.equal(verifier.verify(server.tokens.good).uid, "uid-alice");
    const real = Date.now;
    context.mock.method(Date, "now", () => real() + 60_000);
    assert.throws(() => verifier.verify(server.tokens.good), { code: "revocations_unavailable", message: /closed/ });
  });

  test("a clock that is set back does not make documents younger", async (context) => {
    const server = await issuer();
    context.after(() => server.close());
    const verifier = await createVerifier({ issuer: server.url, audience: AUDIENCE, revocations: { pollSeconds: 1 } });
    context.after(() => verifier.close());
    const token = server.token({ iat: Math.floor(Date.now() / 1000) - 200, exp: Math.floor(Date.now() / 1000) + 300 });
    const real = Date.now;
    context.mock.method(Date, "now", () => real() - 100_000);
    assert.equal(verifier.verify(token).uid, "uid-alice");
    assert.ok(verifier.health().keysAgeSeconds >= 0);
    const settings = { issuer: server.url, audience: AUDIENCE, revocations: { pollSeconds: 1 } };
    assert.equal((await verify(token, settings)).uid, "uid-alice");
    context.mock.restoreAll();
    context.mock.method(Date, "now", () => real() - 200_000);
    const asked = server.asked.length;
    await sleep(1_100);
    assert.equal((await verify(token, settings)).uid, "uid-alice");
    assert.ok(server.asked.length > asked, "the poll interval is measured by the steady clock");
  });
});

describe("the poll interval", () => {
  const ways = {
    "verify() in one call": async (settings) => (token) => verify(token, settings),
    "ready() where there are no timers": async (settings) => {
      // As in a Worker, where nothing runs between requests.
      const verifier = await createVerifier(settings);
      await verifier.close();
      const fresh = await bare(settings);
      return async (token) => (await fresh.ready()).verify(token);
    },
  };
  /** A verifier whose timers never fire. */
  async function bare(settings) {
    const { setInterval } = globalThis;
    globalThis.setInterval = () => ({ unref() {} });
    try {
      return await createVerifier(settings);
    } finally {
      globalThis.setInterval = setInterval;
    }
  }

  for (const [way, begin] of Object.entries(ways)) {
    for (const pollSeconds of [1, 2, 4, 6]) {
      test(`${way} keeps ${pollSeconds} s`, async (context) => {
        const server = await issuer();
        context.after(() => server.close());
        const judge = await begin({ issuer: server.url, audience: AUDIENCE, revocations: { pollSeconds } });
        const real = Date.now;
        const at = (ms) => {
          context.mock.restoreAll();
          context.mock.method(Date, "now", () => real() + ms);
        };
        for (let round = 0; round < 3; round++) {
          at(round * (pollSeconds * 1000 + 50));
          const token = server.token({ sid: `sid-${round}` });
          assert.equal((await judge(token)).uid, "uid-alice");
          server.end(`sid-${round}`);
          at((round + 1) * (pollSeconds * 1000 + 50));
          await assert.rejects(judge(token), { code: "revoked" }, `round ${round}`);
        }
      });
    }
  }

  test("a middleware and a verifier keep an interval of a second by their timers", async (context) => {
    const server = await issuer();
    context.after(() => server.close());
    const settings = { issuer: server.url, audience: AUDIENCE, revocations: { pollSeconds: 1 } };
    const verifier = await createVerifier(settings);
    context.after(() => verifier.close());
    const app = new Hono().get("/", (await import("pioneer-session/hono")).requireSession({ ...settings, clockTolerance: 6 }), (c) => c.text(c.var.session.uid));
    const status = async (token) => (await app.request("/", { headers: { authorization: `Bearer ${token}` } })).status;
    assert.equal(await status(server.tokens.good), 200);
    const isRevoked = () => {
      try {
        return !verifier.verify(server.tokens.good);
      } catch ({ code }) {
        return code === "revoked";
      }
    };
    for (let round = 0; round < 3; round++) {
      const polls = () => server.asked.filter((path) => path === "/revocations").length;
      const before = polls();
      await until(() => polls() >= before + 4, "both poll twice");
    }
    server.end("sid-alice");
    await until(async () => isRevoked() && (await status(server.tokens.good)) === 401, "the feed");
  });

  test("after a failure, the issuer is asked again after the pause, and not before", async (context) => {
    let isFailing = false;
    const server = await issuer({ fails: () => isFailing });
    context.after(() => server.close());
    const settings = { issuer: server.url, audience: AUDIENCE, revocations: { pollSeconds: 10 } };
    // The clock stands still between the steps, however long they take.
    const began = Date.now();
    const at = (ms) => {
      context.mock.restoreAll();
      context.mock.method(Date, "now", () => began + ms);
    };
    at(0);
    assert.equal((await verify(server.tokens.good, settings)).uid, "uid-alice");
    isFailing = true;
    at(10_100);
    assert.equal((await verify(server.tokens.good, settings)).uid, "uid-alice");
    const asked = server.asked.length;
    isFailing = false;
    server.end("sid-alice");
    for (const ms of [11_000, 14_900]) {
      at(ms);
      assert.equal((await verify(server.tokens.good, settings)).uid, "uid-alice");
    }
    assert.equal(server.asked.length, asked);
    at(15_300);
    // The issuer has just failed, so no request waits for it.
    await verify(server.tokens.good, settings);
    await until(() => verify(server.tokens.good, settings).then(() => false, ({ code }) => code === "revoked"), "the feed");
  });
});

describe("options", () => {
  const settings = { issuer: "https://session.example.com", audience: AUDIENCE };
  const ways = {
    createVerifier: (given) => createVerifier(given),
    verify: (given) => verify("x", given),
    express: async (given) => (await import("pioneer-session/express")).requireSession(given),
    fastify: async (given) => (await import("pioneer-session/fastify")).requireSession(given),
    hono: async (given) => (await import("pioneer-session/hono")).requireSession(given),
    koa: async (given) => (await import("pioneer-session/koa")).requireSession(given),
    nest: async (given) => (await import("pioneer-session/nest")).sessionGuard(given),
    next: async (given) => (await import("pioneer-session/next")).requireSession(given),
  };

  for (const [way, begin] of Object.entries(ways)) {
    test(`${way}: an issuer that is not an origin is refused, and the error names the right value`, async () => {
      for (const [given, should] of [
        ["https://session.example.com/", /write "https:\/\/session\.example\.com"/], ["https://session.example.com/.well-known/jwks.json", /write "https:\/\/session\.example\.com"/],
        ["https://Session.example.com", /write "https:\/\/session\.example\.com"/], ["https://session.example.com:443", /write "https:\/\/session\.example\.com"/],
        [" https://session.example.com", /write "https:\/\/session\.example\.com"/], ["https://session.example.com?x", /an origin/], ["https://session.example.com#x", /an origin/],
        ["https://user:hunter2@session.example.com", /write "https:\/\/session\.example\.com"/], ["session.example.com", /an origin such as/], ["ftp://session.example.com", /https:/], ["file:///x", /https:/],
        [new URL("https://session.example.com"), /SESSION_ISSUER/],
      ]) {
        for (const more of [{}, { jwks: { keys: [] } }, { jwksUrl: "https://session.example.com/keys" }, { revocations: true }]) {
          await assert.rejects(async () => begin({ ...settings, issuer: given, ...more }), (error) => {
            assert.equal(error.code, "invalid_options", String(given));
            assert.match(error.message, should);
            assert.ok(!error.message.includes("hunter2"));
            return true;
          });
        }
      }
    });

    test(`${way}: a jwksUrl or a fetch that cannot be used is refused`, async () => {
      for (const [more, said] of [
        [{ jwksUrl: "/keys" }, /jwksUrl must be a URL/], [{ jwksUrl: "http://session.example.com/keys" }, /jwksUrl must begin with https/], [{ jwksUrl: "https://user:hunter2@session.example.com/" }, /jwksUrl must have no user name/],
        [{ fetch: "fetch" }, /fetch must be a function/], [{ fetch: null }, /fetch must be a function/], [{ fetch: {} }, /fetch must be a function/],
      ]) {
        await assert.rejects(async () => begin({ ...settings, ...more }), (error) => {
          assert.equal(error.code, "invalid_options");
          assert.match(error.message, said);
          assert.ok(!error.message.includes("hunter2"));
          return true;
        });
      }
    });
  }

  test("the error of a failed fetch has the reason and the address, without the query", async (context) => {
    const server = createServer((_, response) => response.writeHead(404).end());
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address();
    context.after(() => server.close());
    const closed = `http://127.0.0.1:${await freePort()}`;
    for (const [given, said] of [
      [{ issuer: closed }, `${closed}/.well-known/jwks.json: fetch failed (ECONNREFUSED)`],
      [{ issuer: "https://session.invalid" }, /^keys_unavailable: https:\/\/session\.invalid\/\.well-known\/jwks\.json: (fetch failed \((ENOTFOUND|EAI_AGAIN)\)|no answer within 3 seconds)$/],
      [{ issuer: `https://127.0.0.1:${port}` }, /ERR_SSL|EPROTO|ECONNRESET/],
      [{ jwksUrl: `http://127.0.0.1:${port}/keys?secret=hunter2` }, `http://127.0.0.1:${port}/keys: the issuer answered 404`],
    ]) {
      await assert.rejects(createVerifier({ ...settings, ...given }), ({ code, message }) => {
        assert.equal(code, "keys_unavailable");
        if (typeof said === "string") assert.equal(message, `keys_unavailable: ${said}`);
        else assert.match(message, said);
        assert.ok(!message.includes("hunter2"));
        return true;
      });
    }
  });

  test("fetch: is called instead of the global fetch, for keys and feed, and verifiers with different functions share nothing", async (context) => {
    const server = await issuer();
    context.after(() => server.close());
    const calls = [];
    const through = (name) => function (url, init) {
      calls.push([name, this, url, init.method, init.redirect, typeof init.signal, Object.keys(init.headers)]);
      return fetch(url.replace("https://session.example.com", server.url), init);
    };
    const proxied = { ...settings, issuer: server.url, revocations: true };
    const [first, second] = [through("first"), through("second")];
    const made = [await createVerifier({ ...proxied, fetch: first }), await createVerifier({ ...proxied, fetch: second })];
    for (const verifier of made) {
      assert.equal(verifier.verify(server.tokens.good).uid, "uid-alice");
      assert.throws(() => verifier.verify(server.tokens.revoked), { code: "revoked" });
      await verifier.close();
    }
    for (const each of [first, second, first]) assert.equal((await verify(server.tokens.good, { ...proxied, fetch: each })).uid, "uid-alice");
    assert.deepEqual(calls.map(([name]) => name).sort(), ["first", "first", "first", "first", "second", "second", "second", "second"]);
    for (const [, self, url, ...rest] of calls) {
      assert.equal(self, undefined);
      assert.ok(url.startsWith(`${server.url}/`));
      assert.deepEqual(rest, ["GET", "manual", "object", ["accept"]]);
    }
  });

  test("fetch: if the caller's function fails or returns something else, only the keys are unavailable", async () => {
    const response = (more) => ({ status: 200, headers: new Headers(), body: { cancel() {} }, ...more });
    const buffer = async () => new TextEncoder().encode(JSON.stringify({ keys: [made.jwk] })).buffer;
    for (const [given, said] of [
      [() => { throw new Error("no proxy"); }, /no proxy/],
      [() => { throw undefined; }, /undefined/],
      [() => Promise.reject(null), /null/],
      [() => undefined, /must return a Response/],
      [() => Promise.reject(Object.assign(new Error("refused"), { code: "EPROXY" })), /refused \(EPROXY\)/],
      [() => response({ redirected: true }), /redirect/],
      [() => response({ status: 0 }), /redirect/],
      [() => response({ arrayBuffer: async () => new ArrayBuffer(70_000) }), /over 64 KiB/],
      [() => new Response(new Uint8Array(10 * 1024 * 1024)), /over 64 KiB/],
      [() => new Response("<!doctype html><h1>Hello</h1>"), /./],
      [() => new Response(new Uint8Array([0xff, 0xfe])), /not text in UTF-8/],
      [() => new Response("error code: 1042\n", { status: 404 }), /error code: 1042/],
      [() => new Response(new ReadableStream({}), { status: 404 }), /no answer within 3 seconds/],
      [() => new Response(new ReadableStream({}), { status: 200 }), /no answer within 3 seconds/],
      [() => new Response(new ReadableStream({ cancel: () => new Promise(() => {}) }), { status: 500 }), /no answer within 3 seconds/],
      [() => new Response(new ReadableStream({ pull: (controller) => controller.error(new Error("cut off")) })), /cut off/],
      [() => Promise.reject(Object.create(null)), /the fetch failed/],
      [() => ({ get status() { throw new Error("no status"); } }), /no status/],
      [() => ({ status: "200" }), /must return a Response/],
      [() => "{}", /must return a Response/],
      [() => new Promise(() => {}), /no answer within 3 seconds/],
    ]) {
      await assert.rejects(createVerifier({ ...settings, fetch: given }), ({ code, message }) => code === "keys_unavailable" && said.test(message), String(given));
    }
    const verifier = await createVerifier({ ...settings, fetch: () => response({ arrayBuffer: buffer }) });
    assert.throws(() => verifier.verify(made.tokens.good), { code: "wrong_issuer" }, "its keys were used");
    await verifier.close();
  });

  test("fetch: a hint says whether the address answered, or what to do about Cloudflare's error 1042", async () => {
    const blocked = (text) => () => new Response(text, { status: 404 });
    for (const [given, hint] of [
      [blocked("error code: 1042\n"), /1042\).*Use a service binding: pass fetch: \(url, init\) => env\.SESSION\.fetch\(url, init\)\.$/],
      [blocked("error code: 1042".padStart(5_000)), /The address answered/],
      [blocked("<h1>Not Found</h1>"), /The address answered/],
      [() => new Response("error code: 1042", { status: 500 }), /The address answered/],
      [() => new Response("<h1>Hello</h1>"), /The address answered/],
      [() => new Response(null, { status: 302 }), /The address answered/],
      [() => Promise.reject(new Error("no route")), /Check that this machine can reach the issuer/],
    ]) {
      for (const begin of [createVerifier, (options) => verify(made.tokens.good, options)]) {
        await assert.rejects(begin({ ...settings, fetch: given.bind(undefined) }), (error) => error.code === "keys_unavailable" && hint.test(error.hint), String(given));
      }
    }
  });

  test("a platform without performance, AbortSignal.timeout or fetch", async () => {
    const program = `
      const { settings, token } = JSON.parse(process.env.PROGRAM);
      delete AbortSignal.timeout;
      const { performance } = globalThis;
      globalThis.performance = undefined;
      const { createVerifier } = await import("pioneer-session");
      globalThis.performance = performance; // without it, Node's own fetch does nothing
      if (process.argv[1]) delete globalThis[process.argv[1]];
      console.log(await createVerifier(settings).then((verifier) => verifier.verify(token).uid, ({ message }) => message));
      process.exit();`;
    const run = async (...args) => (await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program, ...args], { cwd: root, env: { ...process.env, PROGRAM: JSON.stringify({ settings: options, token: made.tokens.good }) } })).stdout;
    assert.equal(await run(), "uid-alice\n");
    assert.match(await run("fetch"), /this platform has no fetch; pass one as the option fetch/);
  });
});

describe("verifiers that are not closed", () => {
  test("a thousand with the same options poll like one, do not keep the process alive, and cause one warning", async (context) => {
    const server = await issuer();
    context.after(() => server.close());
    const program = `
      import { createVerifier } from "pioneer-session";
      import { requireSession } from "pioneer-session/express";
      const { settings, token } = JSON.parse(process.env.PROGRAM);
      process.on("warning", ({ name, message }) => console.log(name, message));
      for (let i = 0; i < 1000; i++) requireSession(settings);
      console.log("guards are made");
      for (let i = 0; i < 1000; i++) (await createVerifier(settings)).verify(token);
      await new Promise((done) => setTimeout(done, 2500));`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], {
      cwd: root, env: { ...process.env, PROGRAM: JSON.stringify({ settings: { issuer: server.url, audience: AUDIENCE, revocations: { pollSeconds: 1 } }, token: server.tokens.good }) },
    });
    const [guards, warning, ...rest] = stdout.trim().split("\n");
    assert.equal(guards, "guards are made");
    assert.ok(warning.startsWith(`PioneerSessionWarning pioneer-session: 21 verifiers of ${server.url} are open.`), warning);
    assert.deepEqual(rest, []);
    assert.ok(server.asked.length < 20, `asked ${server.asked.length} times`);
  });

  test("closing one, even twice, does not close another with the same options", async () => {
    const server = await issuer();
    try {
      const settings = { issuer: server.url, audience: AUDIENCE, revocations: { pollSeconds: 1 } };
      const [first, second] = [await createVerifier(settings), await createVerifier(settings)];
      await first.close();
      await first.close();
      server.end("sid-alice");
      await until(() => {
        try {
          return !second.verify(server.tokens.good);
        } catch ({ code }) {
          return code === "revoked";
        }
      }, "the feed");
      await second.close();
      const asked = server.asked.length;
      const third = await createVerifier(settings);
      assert.ok(server.asked.length > asked, "the closed ones left no keys");
      await third.close();
    } finally {
      await server.close();
    }
  });
});
