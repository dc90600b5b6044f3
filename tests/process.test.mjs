// Verifiers in processes as they are: frozen and woken, with frozen intrinsics, with other clocks and timers, with requests
// that no socket brought, and with more verifiers than anybody needs.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { connect, createServer as createHttp2Server } from "node:http2";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import Fastify from "fastify";
import { Hono } from "hono";
import { root } from "../scripts/paths.mjs";
import { AUDIENCE, issuer } from "./issuer.mjs";

let made;
let options;
before(async () => {
  made = await issuer();
  options = { issuer: made.url, audience: AUDIENCE, revocations: true };
});
after(() => made.close());

describe("frozen intrinsics", () => {
  for (const [kind, args, freeze] of [["node --frozen-intrinsics", ["--frozen-intrinsics"], false], ["Object.freeze", [], true]]) {
    test(`${kind}: a bad token is a refusal, and a mistake in the options is one`, async () => {
      const { good, expired, forged, revoked } = made.tokens;
      const program = { options, freeze, tokens: { good, expired, forged, revoked, malformed: "x" } };
      const { stdout } = await promisify(execFile)(process.execPath, [...args, `${root}/tests/frozen.mjs`], { cwd: root, env: { ...process.env, PROGRAM: JSON.stringify(program) } });
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

describe("fastify: the plugin is there more than once", () => {
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

  test("import and require share what they know of a scope", async (context) => {
    const app = Fastify();
    context.after(() => app.close());
    const { requireSession } = createRequire(import.meta.url)("pioneer-session/fastify");
    app.register(await guard()).register(requireSession(options)).after(() => app.get("/profile", profile));
    assert.deepEqual(await statuses(app, "/profile"), [200, 401, 401]);
  });

  test("where something else has taken request.session, ready() rejects and says what to do", async () => {
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
      await assert.rejects(app.ready(), /request\.session is in use: register @fastify\/session/);
      await app.close();
    }
    // In another scope it disturbs nobody.
    const app = Fastify();
    app.register(async (scope) => void taken(scope)).register(async (scope) => void scope.register(ours).get("/profile", profile));
    assert.deepEqual(await statuses(app, "/profile"), [200, 401, 401]);
    await app.close();
  });

  test("a plugin that is made once serves one application after the other, and two at a time", async () => {
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
    assert.equal(made.asked.length, asked, "its verifier is open");
    await second.close();
    const third = build();
    assert.deepEqual(await statuses(third, "/profile"), [200, 401, 401]);
    assert.ok(made.asked.length > asked, "an open verifier polls, so this one is new");
    await third.close();
  });
});

describe("a middleware that is there twice", () => {
  const headers = () => ({ authorization: `Bearer ${made.tokens.good}` });

  test("hono: the session stays", async () => {
    const { requireSession } = await import("pioneer-session/hono");
    const app = new Hono();
    app.use(requireSession(options));
    app.get("/profile", requireSession(options), (c) => c.text(c.var.session.uid));
    assert.equal(await (await app.request("/profile", { headers: headers() })).text(), "uid-alice");
    assert.equal((await app.request("/profile")).status, 401);
  });

  test("next: a handler that is wrapped twice has its session", async () => {
    const { requireSession } = await import("pioneer-session/next");
    const signedIn = requireSession(options);
    const GET = signedIn(signedIn((_, { params, session }) => Response.json([params, session.uid])));
    const context = { params: "x" };
    assert.deepEqual(await (await GET(new Request("http://localhost/", { headers: headers() }), context)).json(), ["x", "uid-alice"]);
    assert.equal((await GET(new Request("http://localhost/"), context)).status, 401);
  });
});

describe("requests that no socket of HTTP/1 brought", () => {
  const guarded = async () => (await import("pioneer-session/express")).requireSession(options);

  /** What an Express middleware makes of a request: whose session it is, the code of a refusal, or an error. */
  const outcome = (middleware, request) => new Promise((done) => {
    const response = { setHeader() {}, end: (body) => done(JSON.parse(body).code) };
    middleware(request, response, (error) => done(error ? String(error) : request.session.uid));
  });

  test("express: a request that a test or a serverless adapter made by hand", async () => {
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

  test("express: a response that was sent while this waited is left alone", async () => {
    const middleware = await guarded();
    const response = { headersSent: true, setHeader: () => assert.fail("too late"), end: () => assert.fail("too late") };
    await middleware({ headers: {} }, response, assert.fail);
  });

  test("express: a verifier of the application's own that returns no session is its mistake", async () => {
    const { requireSession } = await import("pioneer-session/express");
    const middleware = requireSession({ verifier: { verify: () => undefined } });
    assert.match(await outcome(middleware, { headers: { authorization: "Bearer x" } }), /TypeError/);
  });

  test("fastify: what inject sends", async (context) => {
    const app = Fastify();
    context.after(() => app.close());
    app.register((await import("pioneer-session/fastify")).requireSession(options)).after(() => app.get("/profile", async ({ session }) => session.uid));
    const status = async (headers) => (await app.inject({ url: "/profile", headers })).statusCode;
    const good = `Bearer ${made.tokens.good}`;
    assert.equal(await status({ Authorization: good }), 200);
    assert.equal(await status({}), 401);
    assert.equal(await status({ authorization: [good, good] }), 400);
  });

  test("HTTP/2: express's middleware and fastify see each header", async (context) => {
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
