// What a developer learns of refused requests: a warning once for each code, or the function
// onRefused. And under which name a request gets its session.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import { SessionError, createVerifier } from "pioneer-session";
import { newKey } from "../../pkg/cli/keys.mjs";
import { applications, moduleOf } from "../support/applications.mjs";
import { AUDIENCE, ask, issuer } from "../support/issuer.mjs";

const { homepage } = createRequire(import.meta.url)("../../package.json");

/** The texts that are written to the console during a test. */
function listening(context) {
  const texts = [];
  for (const method of ["log", "info", "warn", "error", "debug"]) context.mock.method(console, method, (...values) => texts.push(values.map(String).join(" ")));
  return texts;
}

/** The long parts of tokens, none of which may be written anywhere. */
const secretsOf = (tokens) => tokens.flatMap((token) => token.split(".")).filter((part) => part.length > 20);

/** Starts an application of a framework, with an issuer of its own. */
async function begin(context, name, more = {}, made) {
  made ??= await issuer();
  context.after(() => made.close());
  const app = await applications[name](await import(moduleOf(name)), { issuer: made.url, audience: AUDIENCE, ...more });
  context.after(() => app.close());
  return { made, profile: (token) => ask(`${app.url}/profile`, token === undefined ? {} : { authorization: `Bearer ${token}` }) };
}

for (const name of Object.keys(applications)) {
  describe(name, () => {
    test("a mistake of the developer is written to the console once for each code, and the client learns nothing of it", async (context) => {
      const { made, profile } = await begin(context, name, { revocations: true });
      const texts = listening(context);
      const { good, otherAudience, otherIssuer, expired, revoked, forged } = made.tokens;
      const unknown = made.token({}, { key: newKey() });
      for (let i = 0; i < 5; i++) {
        for (const token of [otherAudience, otherIssuer, unknown, forged, "x.y", `${good}=`]) assert.equal(JSON.parse((await profile(token)).text).code, "session_invalid");
        for (const token of [expired, revoked, undefined]) assert.equal((await profile(token)).status, 401);
        assert.equal((await profile(good)).status, 200);
      }
      const codes = ["token_malformed", "unknown_key", "wrong_audience", "wrong_issuer"];
      assert.deepEqual(texts.map((text) => text.match(/refused\. (\w+)/)?.[1]).sort(), codes);
      for (const text of texts) {
        assert.ok(text.includes(`issuer "${made.url}" and audience "${AUDIENCE}"`), text);
        assert.match(text, /(Compare|Check|Pass) the /);
        assert.ok(text.includes(`${homepage}errors#`));
        for (const secret of secretsOf([good, otherAudience, otherIssuer, unknown, forged])) assert.ok(!text.includes(secret));
      }
    });

    test("onRefused is called instead, with the error and the request, for every refusal", async (context) => {
      const calls = [];
      const { made, profile } = await begin(context, name, { onRefused: (...values) => calls.push(values) });
      const texts = listening(context);
      const { good, otherAudience, expired } = made.tokens;
      for (const token of [otherAudience, otherAudience, expired, undefined, good]) await profile(token);
      assert.deepEqual(calls.map(([{ code }]) => code), ["wrong_audience", "wrong_audience", "expired", "session_missing"]);
      for (const [error, request, ...more] of calls) {
        assert.ok(error instanceof SessionError && error.hint && error.help);
        assert.match(`${request.url ?? request.req.url}`, /\/profile$/);
        assert.deepEqual(more, []);
      }
      assert.deepEqual(texts, []);
    });

    test("an onRefused that throws, rejects or hangs changes no answer, and is reported once, without the request", async (context) => {
      const failures = [
        () => { throw new TypeError("of the listener"); }, () => Promise.reject(new TypeError("of the listener")), () => { throw undefined; }, (_, request) => Promise.reject(request),
        () => { throw Object.create(null); }, () => new Promise(() => {}), () => ({ then() { throw new TypeError("of the listener"); } }),
        // With fetch, the application itself answers with this error.
        ...(name === "fetch" ? [] : [(error) => { error.code = "expired"; error.hint = ""; }]),
      ];
      for (const onRefused of failures) {
        const { made, profile } = await begin(context, name, { onRefused });
        const texts = listening(context);
        for (let i = 0; i < 3; i++) {
          const { status, text } = await profile(made.tokens.otherAudience);
          assert.equal(status, 401);
          assert.equal(JSON.parse(text).code, "session_invalid");
        }
        assert.equal((await profile(made.tokens.good)).status, 200);
        const fails = !/Promise\(|error\.code/.test(String(onRefused));
        assert.equal(texts.length, fails ? 1 : 0, String(onRefused));
        if (!fails) continue;
        assert.match(texts[0], /onRefused has failed/);
        assert.equal(texts[0].includes("of the listener"), String(onRefused).includes("of the listener"));
        for (const secret of secretsOf([made.tokens.otherAudience])) assert.ok(!texts[0].includes(secret));
        context.mock.restoreAll();
      }
    });

    test("a console that throws, or no console, changes no answer", async (context) => {
      const { made, profile } = await begin(context, name);
      context.mock.method(console, "warn", () => { throw new Error("of the console"); });
      assert.equal((await profile(made.tokens.otherAudience)).status, 401);
      context.mock.restoreAll();
      const second = await begin(context, name);
      const { console: real } = globalThis;
      delete globalThis.console;
      const answer = await second.profile(second.made.tokens.otherAudience).finally(() => (globalThis.console = real));
      assert.equal(answer.status, 401);
    });

    test("the warning about keys names the address, what it answered, and the next step", async (context) => {
      if (name === "fetch") return assert.ok(true, "createVerifier throws the error before there is a request");
      const server = createServer((_, response) => response.writeHead(404).end("<h1>Not Found</h1>"));
      await new Promise((done) => server.listen(0, "127.0.0.1", done));
      const made = { ...(await issuer()), url: `http://127.0.0.1:${server.address().port}` };
      context.after(() => server.close());
      const { profile } = await begin(context, name, {}, made);
      const texts = listening(context);
      for (let i = 0; i < 3; i++) assert.equal(JSON.parse((await profile(made.tokens.good)).text).code, "keys_unavailable");
      assert.equal(texts.length, 1);
      assert.ok(texts[0].includes(`keys_unavailable: ${made.url}/.well-known/jwks.json: the issuer answered 404`));
      assert.match(texts[0], /Check that the option issuer is the Worker's SESSION_ISSUER/);
      assert.doesNotMatch(texts[0], /can reach/);
    });

    if (!/^(fetch|nest)/.test(name)) {
      test("property is the name under which the request gets its session", async (context) => {
        const { made, profile } = await begin(context, name, { property: "pi" });
        const { status, text } = await profile(made.tokens.good);
        assert.equal(status, 200, text);
        assert.deepEqual(JSON.parse(text), { uid: "uid-alice", username: "alice_pioneer" });
        assert.equal((await profile(made.tokens.forged)).status, 401);
      });
    }
  });
}

test("many guards with the same options warn once, and an application's own verifier warns once as well", async (context) => {
  const made = await issuer();
  context.after(() => made.close());
  const { sessionFrom } = await import("pioneer-session/fetch");
  const texts = listening(context);
  const request = new Request("http://localhost/", { headers: { authorization: `Bearer ${made.tokens.otherAudience}` } });
  for (let i = 0; i < 3; i++) {
    const verifier = await createVerifier({ issuer: made.url, audience: AUDIENCE });
    await assert.rejects(sessionFrom(request, verifier), { code: "wrong_audience" });
    await verifier.close();
  }
  assert.equal(texts.length, 3, "a verifier that was closed and made again warns again");
  const [first, second] = [await createVerifier({ issuer: made.url, audience: AUDIENCE }), await createVerifier({ issuer: made.url, audience: AUDIENCE })];
  context.after(() => Promise.all([first.close(), second.close()]));
  for (const verifier of [first, second, first]) await assert.rejects(sessionFrom(request, verifier), { code: "wrong_audience" });
  assert.equal(texts.length, 4);
  const own = { verify: (token) => first.verify(token) };
  for (let i = 0; i < 3; i++) await assert.rejects(sessionFrom(request, own), { code: "wrong_audience" });
  assert.equal(texts.length, 5);
  for (const onRefused of ["warn", null, {}]) await assert.rejects(sessionFrom(request, first, { onRefused }), { code: "invalid_options" });
});

test("express: beside express-session, property leaves request.session as it is", async (context) => {
  const { default: express } = await import("express");
  const { requireSession } = await import("pioneer-session/express");
  const made = await issuer();
  const options = { issuer: made.url, audience: AUDIENCE };
  const app = express();
  const [pi, own] = [requireSession({ ...options, property: "pi" }), requireSession(options)];
  app.get("/both", (request, _, next) => next((request.session = { cookie: {} }).missing), pi, pi, (request, response) => response.json([request.pi.uid, request.session]));
  app.get("/two", own, pi, own, (request, response) => response.json([request.pi.uid, request.session.uid]));
  app.get("/taken", (request, _, next) => next((request.pi = "mine").missing), pi);
  app.use((error, _, response, __) => response.status(500).end(error.message));
  const server = createServer(app);
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  context.after(() => Promise.all([made.close(), new Promise((done) => server.close(done))]));
  const get = (path) => ask(`http://127.0.0.1:${server.address().port}${path}`, { authorization: `Bearer ${made.tokens.good}` });
  assert.deepEqual(JSON.parse((await get("/both")).text), ["uid-alice", { cookie: {} }]);
  assert.deepEqual(JSON.parse((await get("/two")).text), ["uid-alice", "uid-alice"]);
  const taken = await get("/taken");
  assert.equal(taken.status, 500);
  assert.match(taken.text, /request\.pi is in use/);
});

test("nest: the guard has no option property, protects only HTTP, and a route without it has no session", async () => {
  const { CurrentSession, sessionGuard, sessionOf } = await import("pioneer-session/nest");
  const options = { issuer: "https://session.example.com", audience: AUDIENCE, jwks: { keys: [(await issuerKey()).jwk] } };
  assert.throws(() => sessionGuard({ ...options, property: "pi" }), { code: "invalid_options" });
  const guard = sessionGuard(options);
  await assert.rejects(guard.canActivate({ getType: () => "ws", switchToHttp: () => assert.fail() }), /protects routes of HTTP/);
  assert.equal(typeof CurrentSession, "function");
  assert.throws(() => sessionOf({ session: { uid: "mallory" } }), /has not passed/);
});

async function issuerKey() {
  const made = await issuer();
  await made.close();
  return made;
}
