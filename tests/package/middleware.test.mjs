// The middlewares, each in its real framework on a real socket: which requests pass, how the others
// are answered, and that a mistake in the program is not reported as a refused session.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { after, before, describe, test } from "node:test";
import { build } from "esbuild";
import express from "express";
import Fastify from "fastify";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { SessionError, createVerifier } from "pioneer-session";
import { paths, root } from "../../scripts/paths.mjs";
import { setTimeout as sleep } from "node:timers/promises";
import { newKey } from "../../pkg/cli/keys.mjs";
import { applications, moduleOf } from "../support/applications.mjs";
import { AUDIENCE, ask, issuer } from "../support/issuer.mjs";

const require = createRequire(import.meta.url);
const { homepage } = require("../../package.json");

/**
 * Checks a refusal: it is complete, has the form of the Worker's, and does not repeat what the
 * client sent.
 */
function refused({ status, headers, text }, expected, code, sent = []) {
  assert.equal(status, expected, text);
  const { detail, ...problem } = JSON.parse(text);
  const title = { 400: "Bad Request", 401: "Unauthorized", 503: "Service Unavailable" }[status];
  assert.deepEqual(problem, { type: `${homepage}errors#${code}`, title, status, code });
  assert.match(detail, /^[A-Z].*\.$/);
  assert.match(headers["content-type"], /^application\/(problem\+json|json; charset=utf-8)$/);
  assert.equal(headers["cache-control"], "no-store");
  assert.equal(headers["x-content-type-options"], "nosniff");
  const challenge = { session_missing: "Bearer" }[code] ?? 'Bearer error="invalid_token"';
  assert.equal(headers["www-authenticate"], status === 401 ? challenge : undefined);
  assert.equal(headers["retry-after"], status === 503 ? "5" : undefined);
  for (const value of [sent].flat()) assert.ok(value.length < 20 || !text.includes(value.slice(-20)), "the answer contains what was sent");
}

const alice = { uid: "uid-alice", username: "alice_pioneer" };
function passed({ status, text }) {
  assert.equal(status, 200, text);
  assert.deepEqual(JSON.parse(text), alice);
}

let made;
let options;
before(async () => {
  made = await issuer();
  options = { issuer: made.url, audience: AUDIENCE, revocations: true };
});
after(() => made.close());

for (const [name, application] of Object.entries(applications)) {
  const module = moduleOf(name);
  describe(name, () => {
    let api;
    let app;
    const profile = (init, query = "") => ask(`${app.url}/profile${query}`, init);
    before(async () => {
      api = await import(module);
      app = await application(api, options);
    });
    after(() => app.close());

    test("a good session passes, however its scheme is written", async () => {
      for (const scheme of ["Bearer", "bearer", "BEARER", "Bearer  "]) {
        passed(await profile({ authorization: `${scheme} ${made.tokens.good}` }));
      }
    });

    test("a request without a session is answered with session_missing", async () => {
      const { good } = made.tokens;
      for (const authorization of [[], "Bearer", `Basic ${good}`, `Token ${good}`, `Bearer${good}`, good]) {
        const answer = await profile({ authorization });
        refused(answer, 401, "session_missing", authorization);
        // NestJS has one type for all errors.
        assert.equal(answer.headers["content-type"], name.startsWith("nest") ? "application/json; charset=utf-8" : "application/problem+json");
      }
      passed(await profile({ authorization: `Bearer ${good}` }));
    });

    for (const [kind, code, attack] of [
      ["expired", "session_expired", "C1"], ["revoked", "session_revoked", "S1"], ["forged", "session_invalid", "T4"], ["unsigned", "session_invalid", "T1"],
      ["otherAudience", "session_invalid", "C4"], ["otherIssuer", "session_invalid", "C5"], ["feed", "session_invalid", "T7"],
    ]) {
      test(`${attack}: ${kind} is ${code}`, async () => {
        const authorization = `Bearer ${made.tokens[kind]}`;
        refused(await profile({ authorization }), 401, code, authorization);
        passed(await profile({ authorization: `Bearer ${made.tokens.good}` }));
      });
    }

    test("B7: two credentials are refused", async () => {
      const [good, forged] = [`Bearer ${made.tokens.good}`, `Bearer ${made.tokens.forged}`];
      for (const authorization of [[good, forged], [forged, good], [good, good], [good, "Basic eDp5"], `${good}, ${forged}`, `${good},`]) {
        refused(await profile({ authorization }), 400, "ambiguous_credentials", authorization);
      }
    });

    test("B7, A6: neither query nor body is a credential or a session", async () => {
      const { good } = made.tokens;
      const query = `?access_token=${good}&token=${good}&session[uid]=mallory&session=mallory&uid=mallory&__proto__[session][uid]=mallory`;
      refused(await profile({}, query), 401, "session_missing", good);
      passed(await profile({ authorization: `Bearer ${good}` }, query));
      const posts = [
        { type: "application/json", body: `{"access_token":"${good}","session":{"uid":"mallory"},"__session":{"uid":"mallory"}}` },
        ...(name === "fastify" ? [] : [{ type: "application/x-www-form-urlencoded", body: `access_token=${good}&session[uid]=mallory` }]),
      ];
      for (const post of posts) {
        refused(await profile({ method: "POST", ...post }), 401, "session_missing", good);
        passed(await profile({ method: "POST", authorization: `Bearer ${good}`, ...post }));
      }
    });

    test("a failure in the application is not reported as a refused session", async (context) => {
      assert.equal((await ask(`${app.url}/broken`, { authorization: `Bearer ${made.tokens.good}` })).status, 500);
      refused(await ask(`${app.url}/broken`), 401, "session_missing");
      const faulty = await application(api, { verifier: { verify() { throw new TypeError("of the verifier"); } } });
      context.after(() => faulty.close());
      assert.equal((await ask(`${faulty.url}/profile`, { authorization: `Bearer ${made.tokens.good}` })).status, 500);
    });

    test("K1: no header of a request changes which issuer is asked for keys", async () => {
      const before = made.asked.length;
      for (const host of ["evil.example", "127.0.0.1:9"]) {
        const headers = ["X-Forwarded-Host", host, "X-Forwarded-Proto", "http", "Forwarded", `host=${host}`, "X-Original-URL", `http://${host}/`];
        for (const spoofed of [undefined, host]) {
          passed(await profile({ authorization: `Bearer ${made.tokens.good}`, headers, host: spoofed }));
          refused(await profile({ authorization: `Bearer ${made.tokens.otherIssuer}`, headers, host: spoofed }), 401, "session_invalid");
          refused(await profile({ authorization: `Bearer ${made.tokens.forged}`, headers, host: spoofed }), 401, "session_invalid");
        }
      }
      passed(await profile({ authorization: `Bearer ${made.tokens.good}` }));
      for (const path of made.asked.slice(before)) assert.ok(["/.well-known/jwks.json", "/revocations"].includes(path), path);
    });

    test("an existing verifier can be passed, and stays open", async (context) => {
      const verifier = await createVerifier(options);
      context.after(() => verifier.close());
      const second = await application(api, { verifier });
      passed(await ask(`${second.url}/profile`, { authorization: `Bearer ${made.tokens.good}` }));
      refused(await ask(`${second.url}/profile`, { authorization: `Bearer ${made.tokens.expired}` }), 401, "session_expired");
      await second.close();
      assert.equal(verifier.verify(made.tokens.good).uid, alice.uid, "only the application closes it");
    });

    if (name !== "fetch") {
      test("K2: while the issuer fails, the answer is 503 and not a refused session", async (context) => {
        for (const [path, code] of [["/.well-known/jwks.json", "keys_unavailable"], ["/revocations", "revocations_unavailable"]]) {
          const failing = await issuer({ fails: (asked) => asked === path });
          context.after(() => failing.close());
          const waiting = await application(api, { ...options, issuer: failing.url });
          context.after(() => waiting.close());
          const authorization = `Bearer ${failing.tokens.good}`;
          refused(await ask(`${waiting.url}/profile`, { authorization }), 503, code, authorization);
          refused(await ask(`${waiting.url}/profile`), 401, "session_missing");
        }
      });

      test("wrong options throw when the application starts", () => {
        const { requireSession = api.sessionGuard } = api;
        const verifier = { verify() {} };
        for (const wrong of [
          {}, { issuer: made.url }, { ...options, audience: "" }, { ...options, audince: "x" }, { ...options, clockTolerance: 61 }, { ...options, issuer: "http://session.example.com" },
          { ...options, jwks: { keys: [] } }, { verifier, ...options }, { verifier: Promise.resolve(verifier) }, { verifier: {} }, { verifier: null },
          { ...options, property: "" }, { ...options, property: "__proto__" }, { ...options, property: "toString" }, { ...options, property: "my session" }, { ...options, property: "body" },
          { ...options, property: 1 }, { ...options, property: null }, { ...options, onRefused: "warn" }, { ...options, onRefused: null }, { verifier, property: "" },
        ]) {
          assert.throws(() => requireSession(wrong), { name: "SessionError", code: "invalid_options" });
        }
        for (const wrong of [undefined, null, "https://session.example.com"]) assert.throws(() => requireSession(wrong), TypeError);
      });
    }

    test("require returns the same middleware, with the same SessionError", async (context) => {
      const second = await application(require(module), options);
      context.after(() => second.close());
      passed(await ask(`${second.url}/profile`, { authorization: `Bearer ${made.tokens.good}` }));
      refused(await ask(`${second.url}/profile`, { authorization: `Bearer ${made.tokens.forged}` }), 401, "session_invalid");
      assert.equal(require("pioneer-session").SessionError, SessionError);
    });
  });
}

test("after a quiet time, keys and feed are there for the first request", async (context) => {
  const quiet = await issuer();
  context.after(() => quiet.close());
  const waiting = await applications.express(await import("pioneer-session/express"), { ...options, issuer: quiet.url, revocations: { pollSeconds: 1 } });
  context.after(() => waiting.close());
  // A timer asks for the feed before any request has needed the keys.
  while (!quiet.asked.includes("/revocations")) await new Promise((done) => setTimeout(done, 20));
  passed(await ask(`${waiting.url}/profile`, { authorization: `Bearer ${quiet.tokens.good}` }));
  refused(await ask(`${waiting.url}/profile`, { authorization: `Bearer ${quiet.tokens.revoked}` }), 401, "session_revoked");
});

const STALL_MS = 300; // on an idle machine, the loop is never this late

/** The durations of requests, one each 100 ms for nine seconds: as long as a fetch that times out,
 * the pause after it, and the next fetch. `spare` is 1 if the machine stalled meanwhile: then the
 * feed can become too old for the moment in which a fetch ends, and one more request waits. */
async function durations(request) {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const all = [];
  for (const end = Date.now() + 9_000; Date.now() < end; await sleep(100)) all.push(await duration(request));
  delay.disable();
  return { all, waits: all.filter((took) => took > 2_000), spare: delay.max / 1e6 > STALL_MS ? 1 : 0 };
}

/** The duration of an action, milliseconds. */
async function duration(action) {
  const started = performance.now();
  await action();
  return performance.now() - started;
}

test("R12: while the issuer hangs, requests do not wait where keys and feed may still be used", async (context) => {
  let hangs = false;
  const hanging = await issuer({ hangs: () => hangs });
  const app = await applications.express(await import("pioneer-session/express"), { ...options, issuer: hanging.url, revocations: { pollSeconds: 1 } });
  context.after(() => Promise.all([app.close(), hanging.close()]));
  const [good, ended] = [hanging.token({ exp: Math.floor(Date.now() / 1000) + 3500 }), hanging.tokens.revoked].map((token) => ({ authorization: `Bearer ${token}` }));
  passed(await ask(`${app.url}/profile`, good));
  hangs = true;
  const feeds = hanging.asked.length;
  const { all, waits, spare } = await durations(async () => passed(await ask(`${app.url}/profile`, good)));
  assert.ok(waits.length <= spare, `these waited: ${all.map(Math.round)}`);
  refused(await ask(`${app.url}/profile`, ended), 401, "session_revoked");
  assert.ok(hanging.asked.length >= feeds + 2, "it kept asking in the background");
});

test("R12: while the issuer hangs, requests do not wait for newer keys either", async (context) => {
  let hangs = false;
  const hanging = await issuer({ hangs: () => hangs });
  const app = await applications.express(await import("pioneer-session/express"), { issuer: hanging.url, audience: AUDIENCE });
  context.after(() => Promise.all([app.close(), hanging.close()]));
  const good = { authorization: `Bearer ${hanging.token({ exp: Math.floor(Date.now() / 1000) + 3500 })}` };
  passed(await ask(`${app.url}/profile`, good));
  hangs = true;
  const real = Date.now;
  context.mock.method(Date, "now", () => real() + 301_000);
  const took = await duration(async () => passed(await ask(`${app.url}/profile`, good)));
  assert.ok(took < 2_000, `a request waited for ${took} ms`);
  for (const end = Date.now() + 5_000; hanging.asked.length < 2; await sleep(20)) assert.ok(Date.now() < end, "it asks in the background");
});

test("R12: after the machine was asleep, the first request waits for keys and feed, for one fetch at most", async (context) => {
  let fails = false;
  let hangs = false;
  const waking = await issuer({ fails: () => fails, hangs: () => hangs });
  const app = await applications.express(await import("pioneer-session/express"), { ...options, issuer: waking.url, revocations: true });
  context.after(() => Promise.all([app.close(), waking.close()]));
  const good = { authorization: `Bearer ${waking.token({ exp: Math.floor(Date.now() / 1000) + 3500 })}` };
  passed(await ask(`${app.url}/profile`, good));
  // Timers stop while a machine is asleep, so the clock jumps for them.
  const real = Date.now;
  context.mock.method(Date, "now", () => real() + 1_500_000);
  waking.end("sid-alice");
  refused(await ask(`${app.url}/profile`, good), 401, "session_revoked");
  context.mock.restoreAll();
  context.mock.method(Date, "now", () => real() + 3_000_000);
  hangs = true;
  const took = await duration(async () => refused(await ask(`${app.url}/profile`, good), 401, "session_revoked"));
  assert.ok(took > 1_000 && took < 5_500, `keys and feed were waited for together, for ${took} ms`);
});

test("R12, K3: while the issuer hangs, tokens of unknown keys do not wait one by one", async (context) => {
  let hangs = false;
  const hanging = await issuer({ hangs: () => hangs });
  const app = await applications.express(await import("pioneer-session/express"), { issuer: hanging.url, audience: AUDIENCE });
  context.after(() => Promise.all([app.close(), hanging.close()]));
  const good = { authorization: `Bearer ${hanging.tokens.good}` };
  const unknown = () => ask(`${app.url}/profile`, { authorization: `Bearer ${hanging.token({}, { key: newKey() })}` });
  passed(await ask(`${app.url}/profile`, good));
  hangs = true;
  const real = Date.now;
  const flood = async () => {
    for (let i = 0; i < 5; i++) refused(await unknown(), 401, "session_invalid");
  };
  context.mock.method(Date, "now", () => real() + 31_000);
  const first = await duration(flood);
  assert.ok(first < 8_000, `five tokens waited for ${first} ms, and one fetch may take 3000`);
  context.mock.restoreAll();
  context.mock.method(Date, "now", () => real() + 70_000);
  const second = await duration(flood);
  assert.ok(second < 2_900, `the issuer is known to hang, and five tokens waited for ${second} ms`);
  assert.ok(hanging.asked.length <= 3, "one fetch for each cooldown at most");
  passed(await ask(`${app.url}/profile`, good));
});

test("sessionOf returns the session of a request that passed requireSession, and throws for any other", async (context) => {
  for (const from of [(name) => import(`pioneer-session/${name}`), (name) => require(`pioneer-session/${name}`)]) {
    const [forExpress, forFastify] = [await from("express"), await from("fastify")];
    const app = express();
    const errors = [];
    app.get("/guarded", forExpress.requireSession(options), (request, response) => response.json(forExpress.sessionOf(request) === request.session));
    app.get("/open", (request, response) => response.json(forExpress.sessionOf(Object.assign(request, { session: { uid: "mallory" } }))));
    app.use((error, _, response, __) => response.status(500).end(String(errors.push(error.message))));
    const server = createServer(app);
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    context.after(() => server.close());
    const fastify = Fastify();
    context.after(() => fastify.close());
    fastify.register(async (scope) => {
      scope.register(forFastify.requireSession(options));
      scope.get("/guarded", async (request) => forFastify.sessionOf(request) === request.session);
    });
    fastify.get("/open", async (request) => forFastify.sessionOf(request));
    fastify.setErrorHandler((error, _, reply) => reply.code(500).send(String(errors.push(error.message))));
    const authorization = `Bearer ${made.tokens.good}`;
    for (const url of [`http://127.0.0.1:${server.address().port}`, await fastify.listen({ host: "127.0.0.1", port: 0 })]) {
      assert.equal((await ask(`${url}/guarded`, { authorization })).text, "true");
      assert.equal((await ask(`${url}/open`, { authorization })).status, 500);
    }
    assert.equal(errors.length, 2);
    for (const message of errors) assert.match(message, /has not passed requireSession/);
  }
});

test("express: another middleware's session is not overwritten, and requireSession may be used twice", async (context) => {
  const { requireSession } = await import("pioneer-session/express");
  const app = express();
  const signedIn = requireSession(options);
  const errors = [];
  app.get("/twice", signedIn, signedIn, (request, response) => response.json(request.session.uid));
  app.get("/taken", (request, _, next) => next((request.session = { cookie: {} }).missing), signedIn);
  app.use((error, _, response, __) => response.status(500).end(String(errors.push(error.message))));
  const server = createServer(app);
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  context.after(() => server.close());
  const url = `http://127.0.0.1:${server.address().port}`;
  const authorization = `Bearer ${made.tokens.good}`;
  assert.equal((await ask(`${url}/twice`, { authorization })).text, '"uid-alice"');
  assert.equal((await ask(`${url}/taken`, { authorization })).status, 500);
  assert.match(errors[0], /express-session/);
});

test("fastify: a scope is protected, and routes outside of it are not", async (context) => {
  const { url, close } = await applications.fastify(await import("pioneer-session/fastify"), options);
  context.after(close);
  assert.deepEqual(JSON.parse((await ask(`${url}/public`)).text), { session: true });
  refused(await ask(`${url}/profile`), 401, "session_missing");
});

/** A Hono application with `/profile`, in workerd. */
async function guardedWorker(options) {
  const { outputFiles } = await build({
    stdin: {
      resolveDir: root,
      contents: `
        import { Hono } from "hono";
        import { requireSession } from "pioneer-session/hono";
        const signedIn = requireSession(${JSON.stringify(options)});
        export default new Hono().get("/profile", signedIn, (c) => c.json({ uid: c.var.session.uid, username: c.var.session.username }));`,
    },
    ...{ bundle: true, write: false, format: "esm", conditions: ["workerd"], external: ["*.wasm", "cloudflare:workers"], logLevel: "error" },
  });
  return new Miniflare(convertV4MiniflareOptions({
    modulesRoot: `${root}/pkg`,
    modules: [
      { type: "ESModule", path: `${root}/pkg/entry/bundled.mjs`, contents: outputFiles[0].text },
      { type: "CompiledWasm", path: `${paths.wasm}/pioneer_session_bg.wasm` },
    ],
    compatibilityDate: "2026-11-01",
  }));
}

test("hono: works in workerd, where nothing may be fetched before there is a request", async (context) => {
  const worker = await guardedWorker(options);
  context.after(() => worker.dispose());
  const url = new URL("/profile", await worker.ready).href;
  passed(await ask(url, { authorization: `Bearer ${made.tokens.good}` }));
  refused(await ask(url, { authorization: `Bearer ${made.tokens.expired}` }), 401, "session_expired");
  refused(await ask(url, { authorization: `Bearer ${made.tokens.revoked}` }), 401, "session_revoked");
  refused(await ask(url, { authorization: [`Bearer ${made.tokens.good}`, `Bearer ${made.tokens.good}`] }), 400, "ambiguous_credentials");
});

test("S1: in workerd, where no timer runs, a poll interval of a second is kept", async (context) => {
  const quick = await issuer();
  context.after(() => quick.close());
  const worker = await guardedWorker({ ...options, issuer: quick.url, revocations: { pollSeconds: 1 } });
  context.after(() => worker.dispose());
  const url = new URL("/profile", await worker.ready).href;
  for (const sid of ["sid-1", "sid-2"]) {
    const authorization = `Bearer ${quick.token({ sid })}`;
    passed(await ask(url, { authorization }));
    quick.end(sid);
    await sleep(1_200);
    refused(await ask(url, { authorization }), 401, "session_revoked");
  }
});

test("R12: in workerd, an issuer that hangs is waited for once, and not by every request", async (context) => {
  let hangs = false;
  const hanging = await issuer({ hangs: () => hangs });
  context.after(() => hanging.close());
  const worker = await guardedWorker({ ...options, issuer: hanging.url, revocations: { pollSeconds: 2 } });
  context.after(() => worker.dispose());
  const url = new URL("/profile", await worker.ready).href;
  const good = { authorization: `Bearer ${hanging.tokens.good}` };
  passed(await ask(url, good));
  hangs = true;
  await sleep(2_500);
  const { all, waits, spare } = await durations(async () => passed(await ask(url, good)));
  assert.ok(Math.max(...all) < 5_500, `a request waited for ${Math.max(...all)} ms`);
  assert.ok(waits.length >= 1 && waits.length <= 1 + spare, `these waited: ${all.map(Math.round)}`);
  const unknown = await duration(async () => refused(await ask(url, { authorization: `Bearer ${hanging.token({}, { key: newKey() })}` }), 401, "session_invalid"));
  assert.ok(unknown < 5_500);
});

test("fetch: a verifier that was not awaited is a mistake, not a refusal", async () => {
  const { refusal, sessionFrom } = await import("pioneer-session/fetch");
  const request = new Request("http://localhost/", { headers: { authorization: `Bearer ${made.tokens.good}` } });
  for (const verifier of [Promise.resolve({ verify() {} }), undefined, {}]) {
    const error = await sessionFrom(request, verifier).then(assert.fail, (reason) => reason);
    assert.equal(error.code, "invalid_options");
    assert.throws(() => refusal(error), error);
  }
  for (const error of [new TypeError("x"), undefined, null, { code: "expired" }]) assert.throws(() => refusal(error), (thrown) => thrown === error);
});

test("the types compile, in ES modules and in CommonJS", () => {
  const program = `
    import express from "express";
    import Fastify from "fastify";
    import { Hono } from "hono";
    import { NextRequest } from "next/server.js";
    import { createVerifier, SessionError, type RequireSessionOptions } from "pioneer-session";
    import { requireSession as forExpress, sessionOf as ofExpress } from "pioneer-session/express";
    import { requireSession as forFastify, sessionOf as ofFastify } from "pioneer-session/fastify";
    import { refusal, sessionFrom } from "pioneer-session/fetch";
    import { requireSession as forHono } from "pioneer-session/hono";
    import { requireSession as forKoa, sessionOf as ofKoa } from "pioneer-session/koa";
    import { CurrentSession, sessionGuard } from "pioneer-session/nest";
    import { requireSession as forNext } from "pioneer-session/next";
    import Koa from "koa";
    import { Controller, Get, UseGuards, type CanActivate } from "@nestjs/common";

    const options: RequireSessionOptions = { issuer: "https://a.example", audience: "b" };
    express().use(forExpress(options)).get("/", forExpress(options), (request, response) => {
      const uid: string = ofExpress(request).uid;
      // @ts-expect-error the session has no such member
      response.json(uid + ofExpress(request).user);
    });
    export const app = Fastify();
    app.register(async (scope) => {
      scope.register(forFastify(options));
      scope.get("/", async (request) => ofFastify(request).expiresAt.toISOString());
    });
    new Hono().get("/", forHono(options), (c) => {
      const name: string | undefined = c.var.session.username ?? c.get("session").username;
      // @ts-expect-error the session has no such member
      return c.text(name + c.var.session.user);
    });
    new Hono().get("/", forHono({ ...options, property: "pi", onRefused: (error, c) => console.log(error.hint, c.req.path) }), (c) => {
      // @ts-expect-error the session has another name
      return c.text(c.var.pi.uid + c.var.session.uid);
    });
    new Koa().use(forKoa(options)).use((ctx) => {
      // @ts-expect-error the session has no such member
      ctx.body = ctx.state.session.uid + ofKoa(ctx).user;
    });
    new Koa().use(forKoa({ ...options, property: "pi" })).use((ctx) => void (ctx.body = ctx.state.pi.uid satisfies string));
    export const guard: CanActivate = sessionGuard({ ...options, onRefused: ({ code }) => console.log(code) });
    // @ts-expect-error a guard has no such option
    sessionGuard({ ...options, property: "pi" });
    @Controller()
    export class Profile {
      @Get("profile")
      @UseGuards(guard)
      profile(@CurrentSession() { uid }: import("pioneer-session").Session) {
        return { uid };
      }
    }
    const named = forNext({ ...options, property: "pi" });
    export const POST = named((request, { pi }) => Response.json(request.url + pi.uid));
    // @ts-expect-error it is an identifier
    forExpress({ ...options, property: 1 });
    const signedIn = forNext(options);
    export const GET = signedIn((request, { session }) => Response.json(request.url + session.uid));
    export const PUT = signedIn(async (request: NextRequest, { params, session }: { params: Promise<{ id: string }>; session: import("pioneer-session").Session }) =>
      Response.json(request.nextUrl.href + (await params).id + session.sid));
    // The type that Next.js requires of a route.
    type Route = (request: NextRequest, context: { params: Promise<{ id: string }> }) => Response | Promise<Response>;
    export const routes: Route[] = [GET, PUT];
    // @ts-expect-error the session comes from the middleware, not from the router
    PUT(new NextRequest("https://a.example"), {});
    export async function fetch(request: Request): Promise<Response> {
      try {
        const verifier = await createVerifier({ issuer: "https://a.example", audience: "b" });
        forHono({ verifier });
        return Response.json((await sessionFrom(request, verifier)).uid);
      } catch (error) {
        if (error instanceof SessionError && error.code === "session_missing") return new Response(error.hint + error.help);
        return refusal(error);
      }
    }
    // Both the platform's fetch and a function that returns only the needed members fit.
    export const fetches: RequireSessionOptions[] = [
      { issuer: "https://a.example", audience: "b", fetch: globalThis.fetch },
      { issuer: "https://a.example", audience: "b", fetch: async (url, init) => globalThis.fetch(url.replace("a.", "b."), { ...init, keepalive: true }) },
      // @ts-expect-error it is a function
      { issuer: "https://a.example", audience: "b", fetch: "fetch" },
    ];
    // @ts-expect-error options or a verifier are needed
    forExpress({});`;
  const uses = (head) => `
    import express from "express";
    import Fastify from "fastify";
    import "pioneer-session/express";
    import "pioneer-session/fastify";
    ${head}
    express().get("/", (request, response) => void response.json(request.session?.uid satisfies string | undefined));
    Fastify().get("/", async (request) => request.session?.expiresAt.toISOString());
    // @ts-expect-error without requireSession, the request has no session
    express().get("/", (request, response) => void response.json(request.session.uid));
    // @ts-expect-error without requireSession, the request has no session
    Fastify().get("/", async (request) => request.session.uid);`;
  // The declarations in the types of express-session and @fastify/session.
  const claimed = `${program}
    declare global { namespace Express { interface Request { session: { cookie: string } } } }
    declare module "fastify" { interface FastifyRequest { session: { cookie: string } } }
    express().get("/", (request, response) => void response.json(request.session.cookie + ofExpress(request).uid));
    app.get("/", async (request) => request.session.cookie + ofFastify(request).uid);`;
  mkdirSync(`${root}/target`, { recursive: true });
  // Inside the package, where its name resolves, beside the frameworks.
  const folder = mkdtempSync(join(root, "target/types-"));
  try {
    writeFileSync(join(folder, "esm.mts"), `${program}
      import worker, { type Env } from "pioneer-session/worker";
      export default worker;
      declare const env: Env;
      const context = { waitUntil() {} };
      export const answer: Response | Promise<Response> = worker.fetch(new Request("https://a.example/health"), env, context);
      export const ran: Promise<void> = worker.scheduled({ cron: "*/5 * * * *", scheduledTime: 0 }, { ...env, SESSION_TTL: "60" });
      // @ts-expect-error settings are missing
      worker.fetch(new Request("https://a.example/health"), {}, context);
      // @ts-expect-error vars are text
      worker.scheduled({ cron: "", scheduledTime: 0 }, { ...env, SESSION_TTL: 60 });
      // @ts-expect-error it is an object, not a class
      new worker({}, {});
      // The parts of @cloudflare/workers-types that the Worker meets.
      interface D1PreparedStatement { bind(...values: unknown[]): D1PreparedStatement; run<T>(): Promise<{ results: T[] }> }
      interface D1Database { prepare(query: string): D1PreparedStatement; batch<T>(statements: D1PreparedStatement[]): Promise<{ results: T[] }[]>; dump(): Promise<ArrayBuffer> }
      interface ExecutionContext { waitUntil(promise: Promise<any>): void; passThroughOnException(): void }
      interface ScheduledController { readonly scheduledTime: number; readonly cron: string; noRetry(): void }
      interface Bindings { SESSION_ISSUER: "https://a.example"; SESSION_AUDIENCE: string; SESSION_KEYS: string; REFRESH_SECRET: string; DB: D1Database; OTHER: number }
      export const handler: {
        fetch?: (request: Request, env: Bindings, context: ExecutionContext) => Response | Promise<Response>;
        scheduled?: (controller: ScheduledController, env: Bindings, context: ExecutionContext) => void | Promise<void>;
      } = worker;`);
    writeFileSync(join(folder, "cjs.cts"), program);
    const augments = 'import "pioneer-session/express/augment";\nimport "pioneer-session/fastify/augment";';
    writeFileSync(join(folder, "augmented.mts"), uses(augments));
    writeFileSync(join(folder, "augmented.cts"), uses(augments));
    writeFileSync(join(folder, "claimed.mts"), claimed);
    const tsc = (...names) => spawnSync(`${paths.modules}/.bin/tsc`, ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--esModuleInterop", "--skipLibCheck", "--experimentalDecorators", "--emitDecoratorMetadata", "--types", "node", ...names], { cwd: folder, encoding: "utf8" });
    // These are separate programs, because a declaration applies to all files of a program.
    for (const names of [["esm.mts", "cjs.cts"], ["augmented.mts", "augmented.cts"], ["claimed.mts"]]) {
      const { status, stdout } = tsc(...names);
      assert.equal(status, 0, stdout);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
