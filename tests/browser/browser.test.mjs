// The frontend module in a real browser: sign-in, renewal, sign-out, payments, and Pi Sign-in
// against the simulated Pi.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { brotliCompressSync } from "node:zlib";
import { buildSync, transformSync } from "esbuild";
import { SignInError } from "../../pkg/wasm/browser.mjs";
import { root } from "../../scripts/paths.mjs";
import { openBrowser } from "../support/browser.mjs";
import { startIssuer, startSimulator } from "../support/workers.mjs";

const ALICE = "a11ce000-0000-4000-8000-000000000001";
const BOB = "b0b00000-0000-4000-8000-000000000002";

/** A server on loopback that remembers what it was asked. */
async function serve(answer) {
  const requests = [];
  const server = createServer((request, response) => {
    requests.push({ method: request.method, url: request.url, headers: request.headers });
    answer(request, response);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

const APP = {
  "/": `<!doctype html><script type="module">
    import * as api from "/browser.mjs";
    window.asked = 0;
    window.persona = "sim-alice";
    // Pi's SDK, as far as it is used. Like the real one, it says more than is known. Its wallet,
    // the tests play.
    window.Pi = { async authenticate(scopes, onIncompletePaymentFound) {
      window.asked += 1;
      window.scopes = scopes;
      window.found = onIncompletePaymentFound;
      await window.gate;
      for (const payment of window.unfinished ?? []) await onIncompletePaymentFound(payment);
      if (!window.persona) throw new Error("The user said no.");
      return { accessToken: window.persona, user: { uid: "somebody-else", username: "mallory" } };
    }, createPayment(data, callbacks) {
      window.wallet = { data, callbacks };
    } };
    window.codeOf = (promise) => promise.then(() => "done", (error) => error instanceof api.SignInError ? error.code : String(error));
    window.ended = [];
    window.api = api;
  </script>`,
  "/bye": "<!doctype html>",
  "/strict": `<!doctype html><script type="module" src="/strict.mjs"></script>`,
  "/strict.mjs": `import * as api from "/browser.mjs";
    const issuer = new URLSearchParams(location.search).get("issuer");
    const Pi = { authenticate: async () => ({ accessToken: "sim-alice" }) };
    const options = { issuer, storage: () => sessionStorage };
    window.api = api;
    try {
      const session = await api.signIn(Pi, options);
      const ask = async () => (await session.fetch(issuer + "/session")).status;
      const statuses = [await ask()];
      await session.renew();
      statuses.push(await ask());
      const resumed = (await api.resume(options)).user.uid;
      const controller = new AbortController();
      controller.abort();
      const aborted = await session.fetch(issuer + "/session", { signal: controller.signal }).catch((error) => error.name);
      await session.signOut();
      const over = await ask().catch((error) => error.code);
      window.result = { uid: resumed, statuses, resumed, aborted, over };
    } catch (error) {
      window.result = { error: String(error.stack) };
    }`,
  "/callback": `<!doctype html><script type="module">
    import { finishPiSignIn } from "/browser.mjs";
    const issuer = new URLSearchParams(location.search).get("issuer");
    try {
      window.session = await finishPiSignIn({ issuer });
      window.result = window.session ? { uid: window.session.user.uid } : { none: true };
    } catch (error) {
      window.result = { code: error.code, name: error.name, message: error.message };
    }
    window.result.href = location.href;
  </script>`,
};

describe("the frontend module", { timeout: 1_800_000 }, () => {
  let app;
  let listed;
  let elsewhere;
  let simulator;
  let pi;
  let issuer;
  let browser;
  let context;
  let page;
  let sent;
  let nonced;

  before(async () => {
    app = await serve((request, response) => {
      const { pathname } = new URL(request.url, "http://app");
      if (pathname === "/browser.mjs") return response.writeHead(200, { "content-type": "text/javascript" }).end(readFileSync(`${root}/pkg/wasm/browser.mjs`));
      const type = pathname.endsWith(".mjs") ? "text/javascript" : "text/html";
      const strict = pathname === "/strict" && { "content-security-policy": `default-src 'self'; connect-src ${issuer.url}` };
      response.writeHead(APP[pathname] ? 200 : 404, { "content-type": type, ...strict }).end(APP[pathname]);
    });
    elsewhere = await serve((_, response) => response.writeHead(200, { "access-control-allow-origin": "*" }).end());
    listed = await serve((request, response) => {
      const cors = { "access-control-allow-origin": "*", "access-control-allow-headers": "authorization, content-type", "access-control-allow-methods": "GET, PUT" };
      if (request.url === "/redirect" && request.method === "GET") return response.writeHead(302, { ...cors, location: elsewhere.url }).end();
      response.writeHead(200, cors).end();
    });
    simulator = await startSimulator();
    pi = simulator.url;
    issuer = await startIssuer({ pi, allowedOrigin: app.url });
    await issuer.sell("coffee", "A cup of coffee", 31_400_000);
    browser = await openBrowser();
  });

  after(async () => {
    await browser?.close();
    await issuer?.close();
    for (const server of [simulator, app, listed, elsewhere]) await server?.close();
  });

  beforeEach(async () => {
    context = await browser.newContext();
    context.setDefaultTimeout(15_000);
    page = await context.newPage();
    sent = [];
    for (const server of [listed, elsewhere]) server.requests.length = 0;
    nonced = new Set();
    page.on("request", (request) => sent.push(request));
    page.on("response", (response) => response.headers()["dpop-nonce"] && nonced.add(response.request()));
    await page.goto(app.url);
    await page.waitForFunction(() => window.api);
  });

  afterEach(() => context.close());

  /** The renewals that the issuer has decided. A clock that the test has set costs each one more request, for the nonce. */
  const renewals = () => asked("/session/refresh").filter((request) => !nonced.has(request));
  /** What was sent to the issuer at `path`, preflights apart. */
  const asked = (path, method = "POST") => sent.filter((request) => request.url() === issuer.url + path && request.method() === method);
  const options = () => ({ issuer: issuer.url, origins: [listed.url] });

  const signIn = (more = {}) =>
    page.evaluate(async ([options, more]) => {
      const { stored, ...rest } = more;
      window.options = { ...options, ...rest, ...(stored && { storage: sessionStorage }), onSignedOut: (error) => window.ended.push(error?.code ?? null) };
      window.session = await api.signIn(Pi, window.options);
      return session.user;
    }, [options(), more]);
  /** The status of a request to the issuer with the session, or the code of why there was none. */
  const visit = (path = "/session") =>
    page.evaluate((url) => session.fetch(url).then(({ status }) => status, (error) => error.code ?? String(error)), issuer.url + path);
  /** Lets so much time pass on the clock of the page. */
  const pass = async (seconds) => page.clock.setFixedTime(await page.evaluate(() => Date.now()) + seconds * 1000);
  const token = () => page.evaluate(() => session.token);
  /** How the issuer itself sees a session token. */
  const standing = async (value) => {
    const response = await fetch(`${issuer.url}/session`, { headers: { authorization: `Bearer ${value}` } });
    return response.ok ? "live" : (await response.json()).code;
  };
  /** Handles the next request of this kind in place of the network. Preflights are others. */
  async function once(method, path, handle) {
    let left = 1;
    await context.route(issuer.url + path, (route) => (route.request().method() === method && left-- > 0 ? handle(route) : route.continue()));
  }
  /** What the browser says of its connection: without one, nothing is tried again by itself. */
  const offline = (isOffline) => page.evaluate((isOffline) => Object.defineProperty(navigator, "onLine", { value: !isOffline, configurable: true }), isOffline);
  const problem = (code) => ({
    status: 401,
    contentType: "application/problem+json",
    headers: { "access-control-allow-origin": app.url },
    body: JSON.stringify({ code, detail: "Sign in again." }),
  });

  test("I1: sends the access token to the issuer and nothing else, and stores nothing", async () => {
    const user = await signIn();
    assert.equal(user.uid, ALICE);
    assert.equal(user.username, "alice_pioneer");
    const [request, ...others] = asked("/session");
    assert.deepEqual(others, []);
    const { accessToken, dpopJkt, ...rest } = JSON.parse(request.postData());
    assert.deepEqual([accessToken, rest], ["sim-alice", {}]);
    assert.match(dpopJkt, /^[A-Za-z0-9_-]{43}$/);
    const headers = await request.allHeaders();
    assert.equal(headers.authorization, undefined);
    assert.equal(headers.cookie, undefined);

    assert.equal(await visit(), 200);
    const [read] = asked("/session", "GET");
    assert.equal((await read.allHeaders()).authorization, `Bearer ${await token()}`);
    assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, ""]);
    assert.deepEqual(await page.evaluate(() => indexedDB.databases()), [], "no session, so no key, survives the page");
    assert.equal(await page.evaluate(() => session.renewsAt < session.expiresAt), true);
    assert.deepEqual(await page.evaluate(() => ended), []);
  });

  test("S3: requests that come together share one renewal", async () => {
    await signIn();
    const first = await token();
    await pass(595);
    const statuses = await page.evaluate(
      (url) => Promise.all(Array.from({ length: 8 }, async () => (await session.fetch(url)).status)),
      `${issuer.url}/session`,
    );
    assert.deepEqual(statuses, Array(8).fill(200));
    assert.equal(renewals().length, 1);
    assert.notEqual(await token(), first);
    for (const request of asked("/session", "GET")) assert.equal((await request.allHeaders()).authorization, `Bearer ${await token()}`);
    assert.equal((await asked("/session/refresh")[0].allHeaders()).authorization, undefined);
    assert.equal(await page.evaluate(() => asked), 1);
  });

  for (const code of ["session_expired", "session_invalid", "session_missing", "session_revoked"]) {
    test(`R4: renews once and repeats once when the answer is 401 ${code}`, async () => {
      await signIn();
      await once("PUT", "/me/data", (route) => route.fulfill(problem(code)));
      const status = await page.evaluate(async (url) => {
        const headers = { "content-type": "application/json" };
        return (await session.fetch(url, { method: "PUT", headers, body: '{"level":7}' })).status;
      }, `${issuer.url}/me/data`);
      assert.ok([204, 412, 428].includes(status), String(status));
      assert.equal(renewals().length, 1);
      const bodies = asked("/me/data", "PUT").map((request) => request.postData());
      assert.deepEqual(bodies, ['{"level":7}', '{"level":7}']);
    });
  }

  test("S3: a refusal that arrives after the renewal causes no other", async () => {
    await signIn();
    const renewed = page.waitForResponse(`${issuer.url}/session/refresh`);
    await once("GET", "/me", (route) => route.fulfill(problem("session_expired")));
    await once("GET", "/sessions", async (route) => {
      await renewed;
      await visit("/session"); // with the new token, so the page has it
      await route.fulfill(problem("session_expired"));
    });
    assert.deepEqual(await Promise.all([visit("/me"), visit("/sessions")]), [200, 200]);
    assert.equal(renewals().length, 1);
  });

  test("does not renew for ever, nor for any other refusal", async () => {
    await signIn();
    await context.route(`${issuer.url}/me`, (route) => route.fulfill(problem("session_invalid")));
    assert.equal(await visit("/me"), 401);
    assert.equal(asked("/me", "GET").length, 2);
    assert.equal(renewals().length, 1);
    await context.unroute(`${issuer.url}/me`);
    await context.route(`${issuer.url}/me`, (route) => route.fulfill(problem("backend_rejected")));
    assert.equal(await visit("/me"), 401);
    assert.equal(renewals().length, 1);
    assert.deepEqual(await page.evaluate(() => ended), []);
  });

  test("repeats a Request with its body, and no stream", async () => {
    await signIn();
    await context.route(`${listed.url}/*`, (route) => route.fulfill({ ...problem("session_expired"), headers: { "access-control-allow-origin": "*" } }));
    const put = (what) => page.evaluate(async ([url, what]) => {
      const init = { method: "PUT", body: what === "stream" ? new Blob(["text"]).stream() : "text", duplex: "half" };
      return (await (what === "request" ? session.fetch(new Request(url, init)) : session.fetch(url, init))).status;
    }, [`${listed.url}/${what}`, what]);
    const count = (what) => sent.filter((request) => request.url() === `${listed.url}/${what}` && request.method() === "PUT").length;
    assert.equal(await put("request"), 401);
    assert.equal(count("request"), 2);
    assert.equal(await put("stream"), 401);
    assert.equal(count("stream"), 1);
    assert.equal(renewals().length, 2, "the stream's refusal renews, too, for the next request");
  });

  /** Answers what is asked of the listed backend, preflights apart; `answer` gets how many requests there were before. */
  const backend = async (answer) => {
    let count = 0;
    await context.route(`${listed.url}/**`, (route) => {
      if (route.request().method() === "OPTIONS") return route.fulfill({ status: 204, headers: { "access-control-allow-origin": "*", "access-control-allow-headers": "authorization" } });
      const code = answer(count++, route.request());
      return route.fulfill(code ? { ...problem(code), headers: { "access-control-allow-origin": "*" } } : { status: 200, headers: { "access-control-allow-origin": "*" }, body: "{}" });
    });
    return { count: () => count };
  };
  /** The status and the code of a backend's answer, or the code of why there was none. */
  const call = (url = `${listed.url}/data`) => page.evaluate((url) => session.fetch(url).then(
    async (response) => [response.status, (await response.json().catch(() => undefined))?.code ?? null],
    (error) => error.code ?? String(error),
  ), url);
  const untouched = async () => {
    assert.deepEqual(await page.evaluate(() => [ended, session.user?.uid, asked]), [[], ALICE, 1]);
    assert.equal(await visit(), 200);
    assert.equal(await standing(await token()), "live");
  };

  for (const code of ["session_expired", "session_invalid", "session_missing", "session_revoked"]) {
    test(`R4: a backend that answers ${code} to a token, and not to the next one, gets the next one`, async () => {
      await signIn();
      const first = await token();
      const { count } = await backend((_, request) => request.headers().authorization === `Bearer ${first}` && code);
      assert.deepEqual(await call(), [200, null]);
      assert.equal(count(), 2);
      assert.equal(renewals().length, 1);
      await untouched();
    });
  }

  for (const stored of [false, true]) {
    test(`R4: a backend that calls every session revoked signs no one out${stored ? ", nor over a reload" : ""}`, async () => {
      await signIn({ stored });
      const { count } = await backend(() => "session_revoked");
      assert.deepEqual(await call(), [401, "session_revoked"]);
      assert.equal(count(), 2);
      assert.equal(renewals().length, 1);
      await untouched();
      if (!stored) return;
      await page.reload();
      await page.waitForFunction(() => window.api);
      assert.equal(await page.evaluate(async (options) => (await api.resume({ ...options, storage: sessionStorage }))?.user.uid, options()), ALICE);
    });
  }

  for (const [how, answer] of [["every request", () => true], ["every second request", (count) => count % 2 === 0]]) {
    test(`R4: a backend that refuses ${how} causes three renewals a minute, and does not use up another backend's`, async () => {
      await signIn();
      await backend((count) => answer(count) && "session_revoked");
      const flood = async () => {
        const answers = [];
        for (let i = 0; i < 12; i++) answers.push(await call());
        return answers;
      };
      const answers = await flood();
      for (const answer of answers) assert.ok(answer[0] === 200 || answer[1] === "session_revoked", String(answer));
      assert.equal(renewals().length, 3);
      assert.deepEqual(answers.at(-1)[0] + answers.at(-2)[0] >= 401, true, "its own answers come through");
      // The issuer's own routes still get a renewal.
      await once("GET", "/me", (route) => route.fulfill(problem("session_revoked")));
      assert.equal(await visit("/me"), 200);
      assert.equal(renewals().length, 4);
      await pass(61);
      await flood();
      assert.equal(renewals().length, 7);
      await untouched();
    });
  }

  test("R4: requests that a backend refuses together share one renewal, and are all repeated", async () => {
    await signIn();
    const first = await token();
    await backend((_, request) => request.headers().authorization === `Bearer ${first}` && "session_revoked");
    const statuses = await page.evaluate((url) => Promise.all(Array.from({ length: 10 }, async () => (await session.fetch(url)).status)), `${listed.url}/data`);
    assert.deepEqual(statuses, Array(10).fill(200));
    assert.equal(renewals().length, 1);
    await untouched();
  });

  test("R4: while the issuer cannot be reached, a backend's refusal ends no session", async () => {
    await signIn();
    await backend(() => "session_revoked");
    await context.route(`${issuer.url}/session/refresh`, (route) => route.abort());
    await offline(true);
    assert.equal(await call(), "network");
    await context.unroute(`${issuer.url}/session/refresh`);
    await offline(false);
    await untouched();
  });

  test("R4: a backend's other answers, and a body that never ends, cause no renewal and no delay", { timeout: 30_000 }, async () => {
    await signIn();
    for (const code of ["refresh_rejected", "refresh_reused", "signed_out", "user_changed", "backend_rejected"]) {
      await backend(() => code);
      assert.deepEqual(await call(), [401, code]);
      await context.unroute(`${listed.url}/**`);
    }
    const endless = await serve((request, response) => {
      response.writeHead(request.method === "OPTIONS" ? 204 : 401, { "access-control-allow-origin": "*", "access-control-allow-headers": "authorization", "content-type": "application/problem+json" });
      if (request.method === "OPTIONS") return response.end();
      response.write('{"code":"session_revoked",');
    });
    try {
      const status = await page.evaluate(async ([options, url]) => {
        const own = await api.signIn(Pi, { ...options, origins: [url] });
        return (await own.fetch(url)).status;
      }, [options(), endless.url]);
      assert.equal(status, 401);
    } finally {
      await endless.close();
    }
    assert.equal(renewals().length, 0);
    assert.deepEqual(await page.evaluate(() => ended), []);
  });

  test("asks Pi again, silently, when the session can no longer be renewed", async () => {
    await signIn();
    const first = await token();
    await issuer.endSession(first);
    await pass(595);
    assert.equal(await visit(), 200);
    assert.equal(await page.evaluate(() => asked), 2);
    assert.equal(await page.evaluate(() => session.user.uid), ALICE);
    assert.deepEqual(await page.evaluate(() => ended), []);
    assert.equal(await standing(await token()), "live");
  });

  test("ends when Pi refuses as well, or returns another user", async () => {
    await signIn();
    await issuer.endSession(await token());
    await pass(595);
    await page.evaluate(() => (persona = undefined));
    assert.equal(await visit(), "pi_failed");
    assert.deepEqual(await page.evaluate(() => ended), ["pi_failed"]);
    assert.equal(await visit(), "signed_out");
    assert.deepEqual(await page.evaluate(() => [session.user ?? null, session.token ?? null]), [null, null]);

    await page.evaluate(() => { persona = "sim-alice"; ended.length = 0; });
    await signIn();
    await issuer.endSession(await token());
    await pass(595);
    await page.evaluate(() => (persona = "sim-bob"));
    const discarded = page.waitForResponse((response) => response.url() === `${issuer.url}/session` && response.request().method() === "DELETE");
    assert.equal(await visit(), "user_changed");
    assert.deepEqual(await page.evaluate(() => ended), ["user_changed"]);
    const request = (await discarded).request();
    const bearer = (await request.allHeaders()).authorization.replace("Bearer ", "");
    assert.equal(JSON.parse(Buffer.from(bearer.split(".")[1], "base64url")).sub, BOB);
    assert.equal(await standing(bearer), "session_revoked");
  });

  test("S3: survives a refresh whose answer is lost", async () => {
    await signIn();
    await pass(595);
    await once("POST", "/session/refresh", async (route) => {
      await route.fetch();
      await route.abort();
    });
    assert.equal(await visit(), 200);
    assert.equal(renewals().length, 2);
    assert.equal(await page.evaluate(() => asked), 1);
    await pass(595);
    assert.equal(await visit(), 200);
    assert.deepEqual(await page.evaluate(() => ended), []);
  });

  test("a network failure ends no session", async () => {
    await signIn({ stored: true });
    await page.evaluate(async () => (session = await api.resume(options)));
    await context.route(`${issuer.url}/session/refresh`, (route) => route.abort());
    await offline(true);
    await pass(595);
    assert.equal(await visit(), 200, "the token is valid for a few seconds more");
    await pass(60);
    assert.equal(await visit(), "network");
    await context.unroute(`${issuer.url}/session/refresh`);
    await offline(false);
    assert.equal(await visit(), 200);
    assert.deepEqual(await page.evaluate(() => ended), []);
    assert.equal(await page.evaluate(() => asked), 1);
  });

  test("the session goes to the issuer and to listed origins only", async () => {
    await signIn();
    const fetchCode = (url) => page.evaluate((url) => codeOf(session.fetch(url)), url);
    assert.equal(await fetchCode(`${listed.url}/data`), "done");
    assert.equal(listed.requests.at(-1).headers.authorization, `Bearer ${await token()}`);
    for (const url of [`${elsewhere.url}/data`, "/relative", listed.url.replace("127.0.0.1", "localhost"), listed.url.replace("127.0.0.1", "127.0.0.1.example.com")]) {
      assert.equal(await fetchCode(url), "origin_not_listed", url);
    }
    assert.equal(await fetchCode(`${listed.url}/redirect`), "redirected");
    assert.equal(elsewhere.requests.length, 0);
    assert.deepEqual(app.requests.filter(({ url }) => url === "/relative"), []);
  });

  /** The members that some dependency puts into Object.prototype, each as JavaScript. */
  const pollution = () => ({
    issuer: JSON.stringify(elsewhere.url), origins: JSON.stringify([elsewhere.url]), scopes: '["payments"]', cookie: "true", Pi: "({ authenticate: async () => ({ accessToken: 'sim-bob' }) })",
    storage: "({ setItem(_, value) { leaked.push(value); }, getItem: () => leaked.at(-1), removeItem() {} })", onSignedOut: "() => leaked.push('signed out')",
    onRecovered: "() => leaked.push('recovered')", onIncompletePaymentFound: "() => leaked.push('found')", onState: "() => leaked.push('state')",
    accessToken: '"sim-bob"', token: '"polluted"', refreshToken: '"polluted"', sessionToken: '"polluted"', user: '({ uid: "mallory" })', username: '"mallory"', uid: '"mallory"',
    expiresIn: "1e9", expiresAt: "1e15", renewsAt: "1e15", code: '"session_revoked"', detail: '"polluted"', state: '"paid"', timeout: "1",
    method: '"PUT"', body: '"polluted"', headers: '({ "x-polluted": "yes" })', credentials: '"include"', redirect: '"follow"', mode: '"no-cors"', cache: '"only-if-cached"', signal: "AbortSignal.abort()",
    referrerPolicy: '"unsafe-url"', integrity: '"sha256-AAAA"', keepalive: "true", duplex: '"half"', priority: '"low"', clientId: '"polluted"', redirectUri: '"https://evil.example/"',
    authorizeUrl: JSON.stringify(`${elsewhere.url}/authorize`), toJSON: "() => ({ accessToken: 'sim-bob' })",
  });

  test("R15, A6: a polluted Object.prototype changes no option, no request and no answer", async () => {
    const names = Object.keys(pollution());
    assert.ok(names.length > 40);
    for (const name of ["nothing", ...names]) {
      sent.length = 0;
      await context.unroute(`${listed.url}/**`);
      await backend((count) => count === 0 && "session_expired");
      const found = await page.evaluate(async ([options, name, source, data]) => {
        const results = {};
        window.leaked = [];
        window.persona = "sim-alice";
        if (source) Object.defineProperty(Object.prototype, name, { value: (0, eval)(source), configurable: true, writable: true, enumerable: true });
        try {
          const session = await api.signIn(Pi, options);
          results.uid = Object.hasOwn(session.user, "uid") && session.user.uid;
          results.username = session.user.username;
          results.read = (await session.fetch(`${options.issuer}/session`)).status;
          results.renewedForABackend = (await session.fetch(data)).status;
          results.withInit = (await session.fetch(data, { cache: "no-store" })).status;
          await session.renew();
          results.lasts = Math.round((session.expiresAt - Date.now()) / 100_000);
          await session.signOut();
          results.over = (await session.fetch(data).catch((error) => error)).code;
          const unnamed = { authenticate: async () => ({}) };
          results.noToken = (await api.signIn(unnamed, options).catch((error) => error)).code;
          results.nothingKept = await api.resume(options);
          results.noIssuer = await api.signIn(Pi, {}).then(() => "signed in", (error) => error.constructor === TypeError);
        } catch (error) {
          results.error = `${error.code} ${error.stack}`;
        }
        delete Object.prototype[name];
        return { ...results, leaked: leaked.length };
      }, [options(), name, pollution()[name], `${listed.url}/data`]);
      assert.deepEqual(found, {
        uid: ALICE, username: "alice_pioneer", read: 200, renewedForABackend: 200, withInit: 200, lasts: 6, over: "signed_out", noToken: "invalid_answer",
        nothingKept: null, noIssuer: true, leaked: 0,
      }, name);
      const requests = sent.filter((request) => request.method() !== "OPTIONS");
      const expected = [
        ["POST", "/session"], ["GET", "/session"], ["GET", "/data"], ["POST", "/session/refresh"], ["GET", "/data"], ["GET", "/data"], ["POST", "/session/refresh"], ["DELETE", "/session"],
      ];
      assert.deepEqual(requests.map((request) => [request.method(), new URL(request.url()).pathname]), expected, name);
      for (const request of requests) {
        const headers = await request.allHeaders();
        assert.equal(headers["x-polluted"], undefined, name);
        assert.equal(headers.cookie, undefined, name);
        assert.doesNotMatch(`${headers.authorization} ${request.postData()}`, /polluted|sim-bob/, name);
        assert.ok(request.url().startsWith(issuer.url) || request.url().startsWith(listed.url), name);
      }
    }
    assert.equal(elsewhere.requests.length, 0);
  });

  test("R15: Pi Sign-in begins at Pi, whatever Object.prototype says", async () => {
    for (const [name, value] of [["authorizeUrl", `${elsewhere.url}/authorize`], ["clientId", "polluted"], ["redirectUri", elsewhere.url], ["scopes", ["payments"]]]) {
      await page.goto(app.url);
      await page.waitForFunction(() => window.api);
      await context.route("https://accounts.pinet.com/**", (route) => route.fulfill({ status: 200, contentType: "text/html", body: "" }));
      const options = { clientId: "app", redirectUri: `${app.url}/callback` };
      if (name in options) delete options[name];
      await page.evaluate(([options, name, value]) => {
        Object.prototype[name] = value;
        api.startPiSignIn(options);
      }, [options, name, value]);
      await page.waitForURL("https://accounts.pinet.com/oauth/authorize**");
      const query = new URL(page.url()).searchParams;
      assert.doesNotMatch(query.toString(), /polluted|payments/);
      assert.ok(!query.toString().includes(encodeURIComponent(elsewhere.url)));
      await context.unroute("https://accounts.pinet.com/**");
    }
  });

  // 0.4 KB of both are the texts for people. Without them, a user whose payment is being checked
  // would read "please try again". The store of a page is another 0.6 KB, in pages that use it.
  test("stays small: a page that signs in loads at most 6.9 KB, minified and compressed, and the whole is 8.1", () => {
    for (const [names, most] of [["signIn, resume, SignInError", 6_900], ["*", 8_100]]) {
      const contents = `export ${names === "*" ? names : `{ ${names} }`} from "./pkg/wasm/browser.mjs";`;
      const options = { bundle: true, minify: true, format: "esm", target: "es2022", write: false };
      const { outputFiles } = buildSync({ ...options, stdin: { contents, resolveDir: root } });
      const size = brotliCompressSync(outputFiles[0].text).length;
      assert.ok(size <= most, `${names}: ${size} bytes`);
    }
  });

  test("every message is for the person who uses the app, as docs/errors.md promises", () => {
    // Answers of routes that only the page itself asks, so the module makes no error of them.
    const others = ["ad_already_claimed", "ad_not_granted", "precondition_failed"];
    const sections = readFileSync(`${root}/docs/errors.md`, "utf8").split(/^## `/m).slice(1);
    let compared = 0;
    for (const section of sections) {
      const [, code] = section.match(/^([a-z_]+)`/);
      const [, reporters] = section.match(/Reported by ([^]+?)\n\n/);
      const [, text] = section.match(/What your user should see\*\*: (?:"([^"]+)"|none\.)/);
      if (others.includes(code) || !/the Worker|browser module/.test(reporters)) continue;
      const { message } = new SignInError(code, "", undefined, "Send the header DPoP.");
      assert.equal(message, text?.replace(/\s+/g, " ") ?? "That did not work. Please try again.", code);
      compared += 1;
    }
    assert.ok(compared > 50, String(compared));
  });

  test("every error links to its section of the documentation", () => {
    const { homepage } = JSON.parse(readFileSync(`${root}/package.json`, "utf8"));
    assert.equal(new SignInError("payment_failed").help, `${homepage}errors#payment_failed`);
  });

  test("refuses options that would send credentials in the clear", async () => {
    for (const bad of [{ issuer: "http://session.example.com" }, { origins: ["http://api.example.com"] }, { origins: ["javascript:alert(1)"] }, { issuer: "session.example.com" }]) {
      const result = await page.evaluate(async (options) => codeOf(api.signIn(Pi, options)), { ...options(), ...bad });
      assert.match(result, /^TypeError/, JSON.stringify(bad));
    }
    assert.equal(await page.evaluate(() => asked), 0);
  });

  test("S1: signing out revokes the session at the issuer, even when its token has run out", async () => {
    for (const seconds of [0, 700]) {
      await signIn({ stored: true });
      const before = await token();
      await pass(seconds);
      await page.evaluate(() => session.signOut());
      assert.equal(await standing(before), "session_revoked");
      assert.equal(await visit(), "signed_out");
      assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length]), [0, 0]);
    }
    assert.equal(renewals().length, 1);
    assert.deepEqual(await page.evaluate(() => ended), [null, null]);
    await page.evaluate(() => session.signOut());
    assert.equal(asked("/session", "DELETE").length, 2, "the second time there is nothing to do");
  });

  test("signing out fails visibly if the issuer cannot be reached, and signs out here anyway", async () => {
    await signIn({ stored: true });
    await context.route(`${issuer.url}/session`, (route) => route.abort());
    const message = await page.evaluate(() => session.signOut().catch((error) => `${error.code}: ${error.message}`));
    assert.match(message, /^network: You are signed out here/);
    assert.deepEqual(await page.evaluate(() => [session.user ?? null, session.token ?? null, sessionStorage.length]), [null, null, 0]);
    assert.equal(await visit(), "signed_out");
    assert.deepEqual(await page.evaluate(() => ended), [null]);
  });

  test("S1: a session that was revoked elsewhere ends here, and Pi is not asked", async () => {
    await signIn();
    await issuer.endSession(await token());
    assert.equal(await visit(), "session_revoked");
    assert.equal(renewals().length, 1, "the issuer was asked whether it can be renewed");
    assert.deepEqual(await page.evaluate(() => ended), ["session_revoked"]);
    assert.equal(await page.evaluate(() => asked), 1);
    await page.evaluate(() => session.signOut());
  });

  test("signing out during a renewal leaves no session behind", async () => {
    await signIn();
    const before = await token();
    await pass(700);
    const result = await page.evaluate(async (url) => {
      const visit = codeOf(session.fetch(url));
      await session.signOut();
      return visit;
    }, `${issuer.url}/session`);
    assert.equal(result, "signed_out");
    assert.equal(await standing(before), "session_revoked");
    assert.equal(await page.evaluate(() => session.token ?? null), null);
  });

  test("signing out during a call of Pi leaves no session behind", async () => {
    await signIn();
    await issuer.endSession(await token());
    await pass(595);
    const begun = page.waitForResponse((response) => response.url() === `${issuer.url}/session` && response.request().method() === "POST");
    const discarded = page.waitForResponse((response) => response.url() === `${issuer.url}/session` && response.status() === 204);
    const result = await page.evaluate(async (url) => {
      let open;
      window.gate = new Promise((done) => (open = done));
      const visit = codeOf(session.fetch(url));
      while (window.asked < 2) await new Promise((done) => setTimeout(done));
      await session.signOut();
      open();
      return visit;
    }, `${issuer.url}/session`);
    assert.equal(result, "signed_out");
    assert.deepEqual(await page.evaluate(() => [session.user ?? null, ended]), [null, [null]]);
    await discarded;
    assert.equal(await standing((await (await begun).json()).sessionToken), "session_revoked");
  });

  test("signing out of an ended session does not fail", async () => {
    for (const seconds of [0, 700]) {
      await signIn();
      await issuer.endSession(await token());
      await pass(seconds);
      assert.equal(await page.evaluate(() => codeOf(session.signOut())), "done");
    }
  });

  test("survives a reload in storage, if storage is given", async () => {
    await signIn({ stored: true });
    const before = await token();
    await page.reload();
    await page.waitForFunction(() => window.api);
    const resumed = (more = {}) => page.evaluate(async ([options, more]) => {
      window.session = await api.resume({ ...options, storage: sessionStorage, ...more, onSignedOut: (error) => ended.push(error?.code ?? null) });
      return session && [session.user.uid, session.token];
    }, [options(), more]);
    assert.deepEqual(await resumed(), [ALICE, before]);
    await pass(595);
    assert.equal(await visit(), 200);
    assert.equal(renewals().length, 1);
    assert.deepEqual(await resumed(), [ALICE, await token()]);

    await issuer.endSession(await token());
    await pass(595);
    assert.ok(["refresh_rejected", "session_revoked"].includes(await visit()));
    assert.equal(await page.evaluate(() => ended.length), 1);
    assert.equal(await resumed(), null);
    for (const junk of ["", "{", "null", "[]", '{"token":1}']) {
      await page.evaluate(([key, junk]) => sessionStorage.setItem(key, junk), [`pioneer-session:${issuer.url}`, junk]);
      assert.equal(await resumed(), null);
    }
  });

  test("an unfinished payment waits until there is a session to settle it with", async () => {
    const found = await page.evaluate(async (options) => {
      unfinished = [{ identifier: "payment-1" }];
      const found = await new Promise((resolve, reject) => {
        const onIncompletePaymentFound = async (payment, session) => resolve([payment.identifier, (await session.fetch(`${options.issuer}/session`)).status]);
        api.signIn(Pi, { ...options, scopes: ["username", "payments"], onIncompletePaymentFound }).catch(reject);
      });
      return found;
    }, options());
    assert.deepEqual(found, ["payment-1", 200]);
  });

  /** What the simulated Pi does for alice, or for the app's tests. */
  const atPi = async (method, path, body) => {
    const response = await fetch(`${pi}/simulator/${path}`, { method, headers: { authorization: "Bearer sim-alice" }, body: body && JSON.stringify(body) });
    return response.status === 204 ? undefined : response.json();
  };
  /** Begins to buy, and waits for the wallet, unless it ends before. */
  const buy = async (productId = "coffee") => {
    await page.evaluate((productId) => {
      window.states = [];
      window.outcome = window.wallet = undefined;
      const onState = (state, error) => states.push(error ? `${state}: ${error.code}` : state);
      session.pay(Pi, productId, { onState }).then(
        (payment) => (outcome = { payment }),
        (error) => (outcome = { code: error.code, name: error.name, message: error.message, hint: error.hint, cause: error.cause?.message }),
      );
    }, productId);
    await page.waitForFunction(() => window.wallet || window.outcome);
  };
  const handedOver = () => page.evaluate(() => wallet.data);
  /** The payment that Pi makes of what it was handed. */
  const create = async (members = {}) => (await atPi("POST", "payments", { ...(await handedOver()), ...members })).identifier;
  /** Calls the page back as Pi's SDK does, and waits for what it does then. */
  const callBack = (name, ...values) => page.evaluate(([name, values]) => wallet.callbacks[name](...values), [name, values]);
  const approve = (id) => callBack("onReadyForServerApproval", id);
  const sign = async (id) => (await atPi("POST", `payments/${id}/pay`)).transaction.txid;
  const complete = (id, txid) => callBack("onReadyForServerCompletion", id, txid);
  const states = () => page.evaluate(() => states);
  const outcome = async () => {
    await page.waitForFunction(() => window.outcome);
    return page.evaluate(() => outcome);
  };
  const pending = async () => assert.equal(await page.evaluate(() => outcome), undefined);
  const steps = (id) => sent.filter((request) => request.url().includes(`/payments/${id}/`) && request.method() === "POST").map((request) => request.url().split("/").at(-1));
  const purchases = () => page.evaluate(async (url) => (await (await session.fetch(url)).json()).purchases, `${issuer.url}/me`);
  const payments = { scopes: ["username", "payments"] };

  test("pays: each step runs once, however often Pi's SDK asks, and the issuer confirms the payment", async () => {
    await signIn(payments);
    const before = (await purchases()).length;
    await buy();
    const data = await handedOver();
    const { orderId } = data.metadata;
    assert.deepEqual(data, { amount: 3.14, memo: "A cup of coffee", metadata: { orderId } });
    const id = await create();
    await Promise.all([approve(id), approve(id), approve(id)]);
    await approve(id);
    const txid = await sign(id);
    await Promise.all([complete(id, txid), complete(id, txid)]);
    assert.deepEqual(await outcome(), { payment: { paymentId: id, orderId, state: "paid", amount: "3.14", txid } });
    await complete(id, txid);
    assert.deepEqual(steps(id), ["approve", "complete"]);
    assert.deepEqual(await states(), ["ordered", "approved", "completing", "paid"]);
    const [request] = asked(`/payments/${id}/approve`);
    assert.equal(request.postData(), null);
    assert.equal((await request.allHeaders()).authorization, `Bearer ${await token()}`);
    assert.equal((await purchases()).length, before + 1);
    assert.equal(await page.evaluate(() => asked), 1, "Pi was asked for payments at the sign-in");
  });

  test("passes every amount to Pi exactly, down to the last decimal", async () => {
    await signIn(payments);
    for (const [stroops, amount] of [[1, "0.0000001"], [3, "0.0000003"], [1_000_000, "0.1"], [1_234_567, "0.1234567"], [100_000_000, "10"], [1_234_567_890_123, "123456.7890123"]]) {
      await issuer.sell(`costs-${stroops}`, "Something", stroops);
      await buy(`costs-${stroops}`);
      assert.equal((await handedOver()).amount, stroops / 1e7);
      const id = await create();
      await approve(id);
      await complete(id, await sign(id));
      assert.equal((await outcome()).payment?.amount, amount);
    }
  });

  test("a step that fails only for now waits for the SDK's next call", async () => {
    await signIn(payments);
    await buy();
    const id = await create();
    await context.route(`${issuer.url}/payments/${id}/approve`, (route) => route.abort());
    await approve(id);
    await pending();
    await context.unroute(`${issuer.url}/payments/${id}/approve`);
    await atPi("POST", "faults", { step: "approve", fault: "html500", times: 1 });
    await approve(id);
    await pending();
    await approve(id);
    const txid = await sign(id);
    // The answer is lost after everything was done.
    await context.route(`${issuer.url}/payments/${id}/complete`, async (route) => {
      await route.fetch();
      await route.abort();
    });
    await complete(id, txid);
    await pending();
    await context.unroute(`${issuer.url}/payments/${id}/complete`);
    await once("POST", `/payments/${id}/complete`, (route) => route.fulfill({ status: 502, contentType: "text/html", headers: { "access-control-allow-origin": app.url }, body: "<html>" }));
    await complete(id, txid);
    await pending();
    await complete(id, txid);
    assert.equal((await outcome()).payment.txid, txid);
    const failures = ["delayed: network", "delayed: upstream_unavailable", "delayed: network", "delayed: invalid_answer"];
    assert.deepEqual(await states(), ["ordered", ...failures.slice(0, 2), "approved", "completing", ...failures.slice(2), "paid"]);
  });

  test("a payment that the issuer refuses is cancelled, and no further step runs", async () => {
    await signIn(payments);
    const before = await purchases();
    await buy();
    const id = await create({ amount: 0.01 });
    await approve(id);
    const { code, name, message, hint } = await outcome();
    assert.deepEqual([code, name, message], ["payment_mismatch", "SignInError", "The payment did not match your order. You were not charged."]);
    assert.match(hint, /amount/);
    const { status } = await atPi("GET", `payments/${id}`);
    assert.deepEqual([status.developer_approved, status.cancelled], [false, true]);
    await approve(id);
    await complete(id, "0".repeat(64));
    await callBack("onCancel", id);
    await callBack("onError", {});
    assert.deepEqual(steps(id), ["approve", "cancel"]);
    assert.deepEqual(await states(), ["ordered"]);
    assert.deepEqual(await purchases(), before);
  });

  test("a user can never approve another user's payment", async () => {
    await signIn(payments);
    await buy();
    const data = await handedOver();
    const bob = await fetch(`${pi}/simulator/payments`, { method: "POST", headers: { authorization: "Bearer sim-bob" }, body: JSON.stringify(data) });
    const { identifier: id } = await bob.json();
    await approve(id);
    assert.equal((await outcome()).code, "payment_not_yours");
    assert.equal((await atPi("GET", `payments/${id}`)).status.developer_approved, false);
  });

  test("a payment that the user cancels is cancelled at the issuer, and the next one works", async () => {
    await signIn(payments);
    await buy();
    const { orderId } = (await handedOver()).metadata;
    const id = await create();
    await approve(id);
    await atPi("POST", `payments/${id}/cancel`);
    await callBack("onCancel", id);
    assert.equal((await outcome()).code, "payment_cancelled");
    assert.deepEqual(steps(id), ["approve", "cancel"]);
    assert.equal((await page.evaluate(async (url) => (await session.fetch(url)).json(), `${issuer.url}/orders/${orderId}`)).state, "open");
    await approve(id);
    assert.deepEqual(steps(id), ["approve", "cancel"]);

    await buy();
    const next = await create();
    await approve(next);
    await complete(next, await sign(next));
    assert.equal((await outcome()).payment.paymentId, next);
  });

  test("passes on the error of Pi's SDK, unless the payment was made anyway", async () => {
    await signIn(payments);
    await buy();
    await page.evaluate(() => void wallet.callbacks.onError(new Error("The wallet has no connection.")));
    const { code, cause } = await outcome();
    assert.deepEqual([code, cause], ["payment_failed", "The wallet has no connection."]);

    await page.evaluate(() => { Pi.createPayment = () => { throw new Error("No scope."); }; });
    await buy();
    assert.deepEqual([(await outcome()).code, (await outcome()).cause], ["payment_failed", "No scope."]);
    await page.evaluate(() => { Pi.createPayment = (data, callbacks) => (wallet = { data, callbacks }); });

    await buy();
    const id = await create();
    await approve(id);
    const txid = await sign(id);
    await context.route(`${issuer.url}/payments/${id}/complete`, (route) => route.abort());
    await complete(id, txid);
    await context.unroute(`${issuer.url}/payments/${id}/complete`);
    await page.evaluate(() => void wallet.callbacks.onError(new Error("The wallet was closed.")));
    assert.equal((await outcome()).payment?.txid, txid);
    assert.equal((await states()).at(-1), "paid");
  });

  test("opens no wallet without an order or a session", async () => {
    await signIn(payments);
    await buy("nothing-of-ours");
    assert.equal((await outcome()).code, "product_not_found");
    await page.evaluate(() => session.signOut());
    await buy();
    assert.equal((await outcome()).code, "signed_out");
    assert.equal(await page.evaluate(() => window.wallet), undefined);
  });

  test("asks Pi for the scope payments once, if this page has not", async () => {
    await signIn();
    assert.deepEqual(await page.evaluate(() => scopes), ["username"]);
    for (let time = 0; time < 2; time++) {
      await buy();
      assert.deepEqual(await page.evaluate(() => [asked, scopes]), [2, ["username", "payments"]]);
      await callBack("onCancel", "none");
    }
    await signIn();
    await page.evaluate(() => (persona = undefined));
    await buy();
    assert.equal((await outcome()).code, "pi_failed");
    assert.equal(asked("/orders").length, 3);
  });

  test("signInWithToken: signs in with the page's own token, shares a second call, and never calls Pi.authenticate", async () => {
    const seen = await page.evaluate(async (options) => {
      window.ended = [];
      window.tokens = [];
      const given = { ...options, scopes: ["username", "payments"], onSignedOut: (error) => ended.push(error?.code ?? null) };
      const both = await Promise.all([api.signInWithToken("sim-alice", given), api.signInWithToken("sim-alice", given)]);
      window.session = both[0];
      return [both[0] === both[1], session.user.uid];
    }, options());
    assert.deepEqual(seen, [true, ALICE]);
    assert.equal(asked("/session").length, 1);
    // The page has asked for payments, so pay does not ask again.
    await buy();
    const id = await create();
    await approve(id);
    await complete(id, await sign(id));
    assert.equal((await outcome()).payment?.state, "paid");
    assert.equal(await page.evaluate(() => window.asked), 0);
    // Without getAccessToken, a session that cannot be renewed has ended.
    await issuer.endSession(await token());
    await pass(595);
    assert.equal(await page.evaluate(() => codeOf(session.renew())), "refresh_rejected");
    assert.deepEqual(await page.evaluate(() => [ended, session.user, window.asked]), [["refresh_rejected"], undefined, 0]);
  });

  test("signInWithToken: getAccessToken replaces a session that cannot be renewed, and asks for payments", async () => {
    await page.evaluate(async (options) => {
      window.replaced = [];
      window.tokens = [];
      const getAccessToken = async (scopes, found) => {
        tokens.push([scopes, typeof found]);
        if (!persona) throw new Error("User cancelled the authentication");
        return persona;
      };
      window.session = await api.signInWithToken("sim-alice", { ...options, getAccessToken, onReplaced: ({ code }) => replaced.push(code), onSignedOut: (error) => ended.push(error?.code ?? null) });
    }, options());
    await issuer.endSession(await token());
    await pass(595);
    assert.equal(await page.evaluate(() => codeOf(session.renew())), "done");
    assert.equal(await standing(await token()), "live");
    await buy();
    await callBack("onCancel", "none");
    assert.equal((await outcome()).code, "payment_cancelled");
    assert.deepEqual(await page.evaluate(() => [replaced, tokens]), [["refresh_rejected"], [[["username"], "function"], [["username", "payments"], "function"]]]);
    await issuer.endSession(await token());
    await pass(595);
    await page.evaluate(() => (persona = undefined));
    assert.equal(await page.evaluate(() => codeOf(session.renew())), "cancelled");
    assert.deepEqual(await page.evaluate(() => [ended, asked]), [["cancelled"], 0]);
  });

  test("signInWithToken: refuses a token of another app, and one that is no text", async () => {
    for (const [accessToken, code] of [["sim-other-app", "wrong_app"], ["sim-revoked", "access_token_rejected"], [undefined, "invalid_answer"], [{}, "invalid_answer"]]) {
      assert.equal(await page.evaluate(([accessToken, options]) => codeOf(api.signInWithToken(accessToken, options)), [accessToken, options()]), code);
    }
    assert.equal(await page.evaluate(() => asked), 0);
  });

  test("subscribe: reports renewals and the end, here and from other tabs, and one listener's error stops no other", async () => {
    const thrown = [];
    page.on("pageerror", ({ message }) => thrown.push(message));
    await page.evaluate(async (options) => {
      window.session = await api.signIn(Pi, { ...options, storage: () => localStorage });
      window.news = [];
      session.subscribe(() => { throw new Error("broken listener"); });
      session.subscribe(({ user, token }) => news.push([user?.uid, token]));
      session.subscribe(() => news.push("never"))();
    }, options());
    const first = await token();
    await page.evaluate(() => session.renew());
    const second = await token();
    const other = await context.newPage();
    await other.goto(app.url);
    await other.waitForFunction(() => window.api);
    await other.evaluate(async (options) => {
      window.session = await api.resume({ ...options, storage: () => localStorage });
      await session.renew();
    }, options());
    const third = await other.evaluate(() => session.token);
    await page.waitForFunction(() => window.news.length === 2);
    await other.evaluate(() => session.signOut());
    await page.waitForFunction(() => window.news.length === 3);
    assert.notEqual(first, second);
    // JSON has no undefined in an array.
    assert.deepEqual(await page.evaluate(() => news.map((each) => each.map(String))), [[ALICE, second], [ALICE, third], ["undefined", "undefined"]]);
    assert.deepEqual([...new Set(thrown)], ["broken listener"]);
  });

  test("asks for no consent when the product is not for sale", async () => {
    await signIn();
    await buy("tea");
    const { code, message } = await outcome();
    assert.deepEqual([code, message], ["product_not_found", "This product is not available."]);
    assert.deepEqual(await page.evaluate(() => [asked, scopes, window.wallet]), [1, ["username"], undefined]);
  });

  /** A payment that was begun, and left: paid or not. */
  const leave = async ({ isPaid }) => {
    await buy();
    const id = await create();
    await approve(id);
    if (isPaid) await sign(id);
    await page.reload();
    await page.waitForFunction(() => window.api);
    await page.evaluate((payment) => (unfinished = [payment]), await atPi("GET", `payments/${id}`));
    return id;
  };
  /** Signs in, and waits for what is recovered. */
  const recovered = (more = {}) => page.evaluate(async (options) => {
    return new Promise((resolve, reject) => {
      api.signIn(Pi, { ...options, onRecovered: resolve }).then((begun) => (window.session = begun), reject);
    });
  }, { ...options(), ...payments, ...more });

  test("completes a left payment at the next sign-in, and cancels an unpaid one", async () => {
    await signIn(payments);
    const before = (await purchases()).length;
    const paid = await leave({ isPaid: true });
    const first = await recovered();
    assert.deepEqual([first.paymentId, first.state, first.amount], [paid, "paid", "3.14"]);
    assert.deepEqual(steps(paid), ["approve", "recover"]);
    assert.equal((await purchases()).length, before + 1);
    const unpaid = await leave({ isPaid: false });
    const second = await recovered();
    assert.deepEqual([second.paymentId, second.state], [unpaid, "cancelled"]);
    assert.equal((await purchases()).length, before + 1);
  });

  test("leaves unfinished payments to a page that handles them", async () => {
    await signIn(payments);
    const id = await leave({ isPaid: false });
    const found = await page.evaluate((options) => new Promise((resolve, reject) => {
      const onIncompletePaymentFound = ({ identifier }, session) => resolve([identifier, Boolean(session.user)]);
      api.signIn(Pi, { ...options, onIncompletePaymentFound }).then((begun) => (window.session = begun), reject);
    }), { ...options(), ...payments });
    assert.deepEqual(found, [id, true]);
    assert.deepEqual(steps(id), ["approve"]);
  });

  test("never charges twice: an earlier payment is completed first, and reported", async () => {
    await signIn(payments);
    const before = (await purchases()).length;
    const id = await leave({ isPaid: true });
    await page.evaluate(() => { window.left = unfinished; unfinished = []; });
    await signIn(); // without payments, so Pi tells of none
    await page.evaluate(() => (unfinished = left));
    await buy();
    assert.equal((await outcome()).code, "payment_recovered");
    assert.equal(await page.evaluate(() => window.wallet), undefined, "no wallet opened");
    assert.equal((await purchases()).length, before + 1);

    // Pi may notice only when it is to make another payment.
    const next = await leave({ isPaid: true });
    await page.evaluate(() => { window.left = unfinished; unfinished = []; });
    await signIn(payments);
    await page.evaluate(() => {
      Pi.createPayment = (data, callbacks) => {
        found(left[0]);
        callbacks.onError(new Error("There is an unfinished payment."), left[0]);
      };
    });
    await buy();
    const { code, cause } = await outcome();
    assert.deepEqual([code, cause], ["payment_recovered", "Pi could not finish the payment. If you have paid, your purchase will appear soon."]);
    assert.deepEqual([id, next].map((payment) => steps(payment).at(-1)), ["recover", "recover"]);
    assert.equal((await purchases()).length, before + 2);
  });

  test("a payment with an open wallet does not count as left", async () => {
    await signIn(payments);
    await buy();
    const id = await create();
    await approve(id);
    await issuer.endSession(await token());
    await pass(595);
    await page.evaluate((payment) => (unfinished = [payment]), await atPi("GET", `payments/${id}`));
    const txid = await sign(id);
    await complete(id, txid); // the session is over, so Pi is asked, and tells of the payment
    assert.equal((await outcome()).payment?.paymentId, id);
    assert.equal(await page.evaluate(() => asked), 2);
    assert.deepEqual(steps(id), ["approve", "complete"]);
  });

  test("an error in the page's own callbacks stops no payment", async () => {
    await signIn(payments);
    const thrown = [];
    page.on("pageerror", ({ message }) => thrown.push(message));
    await page.evaluate(() => {
      session.pay(Pi, "coffee", { onState: (state) => { throw new Error(state); } }).then((payment) => (window.outcome = { payment }), ({ code }) => (window.outcome = { code }));
    });
    await page.waitForFunction(() => window.wallet);
    const id = await create();
    await approve(id);
    await complete(id, await sign(id));
    assert.equal((await outcome()).payment?.paymentId, id);
    assert.deepEqual(thrown, ["ordered", "approved", "completing", "paid"]);
  });

  test("errors have a reason, and contain no token", async () => {
    const attempt = (persona, more = {}) => page.evaluate(async ([options, persona]) => {
      window.persona = persona;
      const error = await api.signIn(Pi, options).catch((error) => error);
      return { name: error.name, code: error.code, text: `${error.message} ${error.stack} ${JSON.stringify(error)}`, cause: error.cause?.message, hint: error.hint };
    }, [{ ...options(), ...more }, persona]);
    const refused = await attempt("sim-revoked");
    assert.equal(refused.code, "access_token_rejected");
    assert.equal(refused.name, "SignInError");
    assert.doesNotMatch(refused.text, /sim-revoked/);
    assert.equal((await attempt("sim-other-app")).code, "wrong_app");
    const failed = await attempt(null);
    assert.deepEqual([failed.code, failed.cause], ["pi_failed", "The user said no."]);
    assert.match(failed.text, /^Pi could not sign you in\. Please try again\./);
    assert.equal(failed.hint, "The user said no.");
    const unreachable = await attempt("sim-alice", { issuer: "http://127.0.0.1:9" });
    assert.equal(unreachable.code, "network");
    assert.doesNotMatch(unreachable.text, /sim-alice/);
    assert.match(unreachable.text, /^No connection\. Please try again\./);
    assert.equal((await attempt("sim-alice", { issuer: elsewhere.url })).code, "network", "a server without CORS for JSON");
    assert.equal((await attempt(42)).code, "invalid_answer");
  });

  // --- Real browsers and networks

  /** Opens one more page of this browser, ready. */
  const tab = async (url = app.url, prepare) => {
    const opened = await context.newPage();
    opened.on("request", (request) => sent.push(request));
    opened.on("response", (response) => response.headers()["dpop-nonce"] && nonced.add(response.request()));
    if (prepare) await opened.addInitScript(prepare);
    await opened.goto(url);
    await opened.waitForFunction(() => window.api);
    return opened;
  };
  /** Makes pages begin anew with this, before any of their scripts. */
  const anew = async (prepare) => {
    await context.addInitScript(prepare);
    await reload();
  };
  const reload = async (which = page) => {
    await which.reload();
    await which.waitForFunction(() => window.api);
  };
  /** Signs in, or resumes, on a page: `kind` names the storage. */
  const start = (which, how, kind, more = {}) =>
    which.evaluate(async ([options, how, kind, more]) => {
      const { Pi: hasPi, persona, ...rest } = more;
      if (persona) window.persona = persona;
      window.replaced = [];
      const storage = { local: () => localStorage, session: () => sessionStorage }[kind];
      window.options = { ...options, ...rest, storage, ...(hasPi && { Pi }), ...(kind === "cookie" && { cookie: true, origins: [] }), onSignedOut: (error) => ended.push(error?.code ?? null), onReplaced: ({ code }) => replaced.push(code) };
      window.session = await (how === "signIn" ? api.signIn(Pi, window.options) : api.resume(window.options));
      return session && session.user.uid;
    }, [options(), how, kind, more]);
  const tokenOf = (which) => which.evaluate(() => session.token);
  const sidOf = (text) => JSON.parse(Buffer.from(text.split(".")[1], "base64url")).sid;
  const renew = (which = page) => which.evaluate(() => codeOf(session.renew()));
  const headerOf = async (request, name) => (await request.allHeaders())[name];
  const endedOn = (which) => which.evaluate(() => ended);
  const stateKey = () => `pioneer-session:${issuer.url}`;
  /** Waits until this holds on a page. */
  const until = (which, condition, argument) => which.waitForFunction(condition, argument, { timeout: 20_000 });

  test("binds the refresh token to a key that no script can export, and proves it at each renewal", async () => {
    await start(page, "signIn", "session");
    const { dpopJkt } = JSON.parse(asked("/session")[0].postData());
    const stored = () => page.evaluate(() => new Promise((done) => {
      const request = indexedDB.open("pioneer-session");
      request.onsuccess = () => {
        const all = request.result.transaction("keys").objectStore("keys").getAll();
        all.onsuccess = async () => {
          request.result.close();
          const [{ privateKey, publicKey }, ...others] = all.result;
          const exported = await crypto.subtle.exportKey("jwk", privateKey).then(() => "exported", (error) => error.name);
          const { crv, kty, x, y } = await crypto.subtle.exportKey("jwk", publicKey);
          const text = new TextEncoder().encode(JSON.stringify({ crv, kty, x, y }));
          done({ exported, extractable: privateKey.extractable, others: others.length, thumbprint: [...new Uint8Array(await crypto.subtle.digest("SHA-256", text))] });
        };
      };
    }));
    const { exported, extractable, others, thumbprint } = await stored();
    assert.deepEqual([exported, extractable, others], ["InvalidAccessError", false, 0]);
    assert.equal(Buffer.from(thumbprint).toString("base64url"), dpopJkt);
    await reload();
    assert.equal(await start(page, "resume", "session"), ALICE);
    assert.equal(await renew(), "done");
    assert.equal(await renew(), "done");
    const proofs = await Promise.all(asked("/session/refresh").map((request) => headerOf(request, "dpop")));
    assert.equal(proofs.length, 2);
    const claims = proofs.map((proof) => proof.split(".").slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url"))));
    for (const [header, { htm, htu, iat, jti, nonce }] of claims) {
      assert.deepEqual([header.typ, header.alg, Object.keys(header.jwk).sort()], ["dpop+jwt", "ES256", ["crv", "kty", "x", "y"]]);
      assert.deepEqual([htm, htu, nonce], ["POST", `${issuer.url}/session/refresh`, undefined]);
      assert.ok(Math.abs(iat - Date.now() / 1000) < 30);
      assert.match(jti, /^[A-Za-z0-9_-]{16,64}$/);
    }
    assert.notEqual(claims[0][1].jti, claims[1][1].jti);
    assert.equal(await token(), await page.evaluate((key) => JSON.parse(sessionStorage.getItem(key)).token, stateKey()));
  });

  test("a copy of the storage renews nothing in another browser, and the owner goes on", async () => {
    await start(page, "signIn", "local");
    const copy = await page.evaluate((key) => localStorage.getItem(key), stateKey());
    const thief = await browser.newContext();
    const stolen = await thief.newPage();
    await stolen.goto(app.url);
    await stolen.waitForFunction(() => window.api);
    await stolen.evaluate(([key, copy]) => localStorage.setItem(key, copy), [stateKey(), copy]);
    assert.equal(await start(stolen, "resume", "local"), ALICE);
    assert.equal(await renew(stolen), "key_lost");
    assert.deepEqual(await endedOn(stolen), ["key_lost"]);
    await thief.close();
    assert.equal(await renew(), "done");
    assert.equal(await visit(), 200);
  });

  test("tabs that create a key at the same moment share one", async () => {
    const pages = [page, ...(await Promise.all(Array.from({ length: 4 }, () => tab())))];
    await Promise.all(pages.map((each) => start(each, "signIn", "session")));
    const bodies = asked("/session").map((request) => JSON.parse(request.postData()));
    assert.equal(bodies.length, 5);
    assert.equal(new Set(bodies.map(({ dpopJkt }) => dpopJkt)).size, 1);
    for (const each of pages) await reload(each);
    for (const each of pages) assert.equal(await start(each, "resume", "session"), ALICE);
    assert.deepEqual(await Promise.all(pages.map((each) => renew(each))), Array(5).fill("done"));
    const other = await startIssuer({ pi, allowedOrigin: app.url });
    await page.evaluate((issuer) => api.signIn(Pi, { issuer, storage: () => localStorage }), other.url);
    const theirs = sent.find((request) => request.url() === `${other.url}/session` && request.method() === "POST");
    await other.close();
    assert.notEqual(JSON.parse(theirs.postData()).dpopJkt, bodies[0].dpopJkt, "another issuer, another key");
    assert.equal(await renew(), "done", "and the first issuer's session goes on");
  });

  for (const hours of [2, -2]) {
    test(`a clock that is ${hours} hours off, or changes by that much, costs at most one more request`, async () => {
      const set = (by) => page.evaluate((by) => {
        const now = Date.now.bind(Date);
        Date.now = () => now() + by;
      }, by * 3_600_000);
      await set(hours);
      await start(page, "signIn", "session");
      assert.equal(await page.evaluate(() => Math.round((session.expiresAt - Date.now()) / 60_000)), 10);
      assert.equal(await visit(), 200);
      assert.equal(await renew(), "done");
      assert.deepEqual([asked("/session/refresh").length, nonced.size], [1, 0], "the issuer's time is known from its answers");
      for (const by of [-hours, -hours, 2 * hours]) {
        await set(by);
        assert.equal(await visit(), 200);
        assert.equal(await renew(), "done");
        assert.equal(await page.evaluate(() => Math.round((session.expiresAt - Date.now()) / 60_000)), 10);
      }
      await set(hours);
      await page.evaluate(() => (window.before = session.token));
      assert.equal(await start(page, "resume", "session"), ALICE);
      assert.equal(await renew(), "done");
      assert.ok(nonced.size <= 8);
      assert.deepEqual(await endedOn(page), []);
    });
  }

  const WITHOUT_KEY = {
    "IndexedDB is missing": () => Object.defineProperty(window, "indexedDB", { value: undefined }),
    "IndexedDB throws at its name": () => Object.defineProperty(window, "indexedDB", { get() { throw new DOMException("blocked", "SecurityError"); } }),
    "IndexedDB throws": () => { IDBFactory.prototype.open = () => { throw new DOMException("blocked", "SecurityError"); }; },
    "IndexedDB refuses": () => { IDBFactory.prototype.open = () => { const request = new EventTarget(); setTimeout(() => { request.error = new Error("no"); request.onerror(new Event("error", { cancelable: true })); }); return request; }; },
    "IndexedDB hangs": () => { IDBFactory.prototype.open = () => new EventTarget(); },
    "IndexedDB keeps no key": () => { IDBObjectStore.prototype.put = () => { throw new DOMException("no", "DataCloneError"); }; },
    "WebCrypto is missing": () => Object.defineProperty(crypto, "subtle", { value: undefined }),
    "WebCrypto hangs": () => { SubtleCrypto.prototype.generateKey = () => new Promise(() => {}); },
  };
  for (const [what, prepare] of Object.entries(WITHOUT_KEY)) {
    test(`where ${what}, the session works without a key, and names its renewals`, async () => {
      await anew(prepare);
      assert.equal(await start(page, "signIn", "session"), ALICE);
      assert.equal(JSON.parse(asked("/session")[0].postData()).dpopJkt, undefined);
      // The answer is lost, and the page with it.
      let name;
      await context.route(`${issuer.url}/session/refresh`, async (route) => {
        name = await headerOf(route.request(), "idempotency-key");
        await route.fetch();
        await offline(true);
        await route.abort();
      });
      assert.equal(await renew(), "network");
      await context.unroute(`${issuer.url}/session/refresh`);
      await reload();
      assert.equal(await start(page, "resume", "session"), ALICE);
      assert.equal(await renew(), "done");
      assert.match(name, /^[A-Za-z0-9_-]{16,64}$/);
      assert.equal(await headerOf(asked("/session/refresh").at(-1), "idempotency-key"), name, "the same renewal");
      assert.equal(await renew(), "done");
      assert.notEqual(await headerOf(asked("/session/refresh").at(-1), "idempotency-key"), name, "another one");
      assert.equal(await headerOf(asked("/session/refresh").at(-1), "dpop"), undefined);
      assert.deepEqual(await endedOn(page), []);
    });
  }

  const wipe = () => page.evaluate(() => new Promise((done) => {
    const request = indexedDB.deleteDatabase("pioneer-session");
    request.onsuccess = done;
  }));

  test("a lost key: Pi signs the user in again, and the page gets the reason; without Pi, it is signed out", async () => {
    await start(page, "signIn", "local");
    const before = await token();
    await wipe();
    assert.equal(await renew(), "done", "the page still has it");
    await reload();
    await start(page, "resume", "local", { Pi: true });
    assert.equal(await renew(), "done");
    assert.deepEqual(await page.evaluate(() => [asked, replaced, ended]), [1, ["key_lost"], []]);
    assert.notEqual(sidOf(await token()), sidOf(before));
    await wipe();
    await reload();
    await start(page, "resume", "local");
    assert.equal(await renew(), "key_lost");
    assert.deepEqual(await page.evaluate(() => [ended, localStorage.length, session.user ?? null]), [["key_lost"], 0, null]);

    // Another key than the session's: the issuer, or the browser, says so.
    await start(page, "signIn", "local");
    await page.evaluate((key) => localStorage.setItem(key, JSON.stringify({ ...JSON.parse(localStorage.getItem(key)), jkt: "other" })), stateKey());
    await reload();
    await start(page, "resume", "local");
    assert.equal(await renew(), "key_lost");
    await start(page, "signIn", "session");
    await context.route(`${issuer.url}/session/refresh`, (route) => route.fulfill(problem("invalid_dpop_proof")));
    assert.equal(await renew(), "done", "through Pi");
    assert.deepEqual(await page.evaluate(() => [replaced, ended]), [["key_lost"], ["key_lost"]]);
  });

  test("a proof that a network sends twice, or a wrong nonce, ends no session", async () => {
    await start(page, "signIn", "session");
    for (const answer of [problem("invalid_dpop_proof"), { ...problem("use_dpop_nonce"), headers: { "access-control-allow-origin": app.url, "access-control-expose-headers": "dpop-nonce", "dpop-nonce": "made-up" } }]) {
      await once("POST", "/session/refresh", (route) => route.fulfill(answer));
      assert.equal(await renew(), "done");
      assert.equal(asked("/session/refresh").length, answer.headers["dpop-nonce"] ? 5 : 2);
      assert.deepEqual(await page.evaluate(() => [asked, replaced]), [1, []], "the same session");
      await context.unroute(`${issuer.url}/session/refresh`);
    }
    const proofs = await Promise.all(asked("/session/refresh").map((request) => headerOf(request, "dpop")));
    assert.equal(new Set(proofs.map((proof) => JSON.parse(Buffer.from(proof.split(".")[1], "base64url")).jti)).size, proofs.length);
  });

  test("storage that is full, blocked, edited or of another version breaks no session", async () => {
    const result = await page.evaluate(async ([options, key]) => {
      const seen = {};
      const broken = (methods) => ({ getItem: () => null, setItem() {}, removeItem() {}, ...methods });
      const fail = () => { throw new DOMException("no", "QuotaExceededError"); };
      const kinds = {
        full: broken({ setItem: fail }), reads: broken({ getItem: fail }), removes: broken({ removeItem: fail }), all: { getItem: fail, setItem: fail, removeItem: fail },
        name: () => { throw new DOMException("blocked", "SecurityError"); }, nothing: () => null,
      };
      for (const [name, storage] of Object.entries(kinds)) {
        const session = await api.signIn(Pi, { ...options, storage });
        dispatchEvent(new Event("focus"));
        await session.renew();
        const { status } = await session.fetch(`${options.issuer}/session`);
        await session.signOut();
        seen[name] = [status, await api.resume({ ...options, storage })];
      }
      // Full in the middle: an old state would do harm after a reload, so that none is left.
      const items = new Map();
      let isFull = false;
      const filling = { getItem: (name) => items.get(name) ?? null, setItem: (name, value) => (isFull ? fail() : void items.set(name, value)), removeItem: (name) => void items.delete(name) };
      const session = await api.signIn(Pi, { ...options, storage: filling });
      isFull = true;
      await session.renew();
      dispatchEvent(new Event("focus"));
      seen.left = [items.size, session.user?.uid];
      const good = await api.signIn(Pi, { ...options, storage: () => sessionStorage });
      const text = sessionStorage.getItem(key);
      seen.junk = [];
      for (const junk of [{ v: 2 }, { user: null }, { user: { uid: 1 } }, { until: "soon" }, { token: 1 }, { refreshToken: {} }, { skew: "x" }]) {
        sessionStorage.setItem(key, JSON.stringify({ ...JSON.parse(text), ...junk }));
        dispatchEvent(new Event("focus"));
        const resumed = await api.resume({ ...options, storage: () => sessionStorage });
        seen.junk.push(resumed && (await resumed.fetch(`${options.issuer}/session`)).status, good.user?.uid);
      }
      for (const change of [{ until: 1e300 }, { due: "x" }, { chain: 5 }, { count: null }]) {
        sessionStorage.setItem(key, JSON.stringify({ ...JSON.parse(text), ...change }));
        const resumed = await api.resume({ ...options, storage: () => sessionStorage });
        await resumed.renew();
        seen.junk.push((await resumed.fetch(`${options.issuer}/session`)).status);
      }
      return seen;
    }, [options(), stateKey()]);
    for (const kind of ["full", "reads", "removes", "all", "name", "nothing"]) assert.deepEqual(result[kind], [200, null], kind);
    assert.deepEqual(result.left, [0, ALICE]);
    assert.deepEqual(result.junk, [...Array(7).fill([null, ALICE]).flat(), 200, 200, 200, 200]);
  });

  for (const [kind, without] of [["local", ""], ["session", ""], ["local", "locks"], ["session", "locks"], ["local", "locks, channels and a key"]]) {
    test(`five tabs with ${kind}Storage${without && `, without ${without}`}, have one session, and renew it once at a time`, async () => {
      if (without) await anew(() => Object.defineProperty(Navigator.prototype, "locks", { value: undefined }));
      if (without.includes("key")) await anew(() => { Object.defineProperty(window, "indexedDB", { value: undefined }); Object.defineProperty(window, "BroadcastChannel", { value: undefined }); });
      await start(page, "signIn", kind);
      const pages = [page];
      for (let i = 0; i < 4; i++) {
        const [opened] = await Promise.all([context.waitForEvent("page"), page.evaluate(() => void window.open("/"))]);
        opened.on("request", (request) => sent.push(request));
        await opened.waitForFunction(() => window.api);
        assert.equal(await start(opened, "resume", kind), ALICE);
        pages.push(opened);
      }
      const first = await token();
      assert.deepEqual(await Promise.all(pages.map((each) => renew(each))), Array(5).fill("done"));
      // Where the storage is shared, the next tab to have the lock sees it there; a message may
      // take longer than the lock.
      if (!without && kind === "local") assert.equal(asked("/session/refresh").length, 1);
      for (const each of pages) await until(each, (first) => session.token !== first, first);
      // One tab renews, and is gone; the others still have what they had, or know what it got.
      assert.equal(await renew(pages[4]), "done");
      await pages[4].close();
      for (const each of [3, 0, 1, 2]) {
        assert.equal(await pages[each].evaluate((url) => session.fetch(url).then(({ status }) => status), `${issuer.url}/session`), 200);
        assert.equal(await renew(pages[each]), "done");
      }
      assert.equal(new Set(await Promise.all(pages.slice(0, 4).map(async (each) => sidOf(await tokenOf(each))))).size, 1);
      assert.deepEqual(await Promise.all(pages.slice(0, 4).map(endedOn)), [[], [], [], []]);
      // A tab that was away adopts what there is when it is looked at.
      for (const each of pages.slice(0, 4)) await each.evaluate(() => dispatchEvent(new Event("focus")));
      if (kind === "local" || !without) for (const each of pages.slice(1, 4)) await until(each, (token) => session.token === token, await token());
      await page.evaluate(() => session.signOut());
      for (const each of pages.slice(1, 4)) await until(each, () => ended.length === 1);
      assert.deepEqual(await Promise.all(pages.slice(0, 4).map(endedOn)), [[null], [null], [null], [null]]);
      assert.equal(asked("/session", "DELETE").length, 1);
    });
  }

  test("a tab without a key and with an older copy of the state asks the others before it renews", async () => {
    await anew(() => Object.defineProperty(window, "indexedDB", { value: undefined }));
    await start(page, "signIn", "session");
    const old = await page.evaluate((key) => sessionStorage.getItem(key), stateKey());
    for (let i = 0; i < 3; i++) assert.equal(await renew(), "done");
    const other = await tab();
    await other.evaluate(([key, old]) => sessionStorage.setItem(key, old), [stateKey(), old]);
    // On a busy machine, the other tab's answer can take longer than a tab waits for it (ASK_MS).
    await other.evaluate(() => {
      const real = setTimeout;
      window.setTimeout = (run, ms, ...rest) => real(run, ms === 100 ? 10_000 : ms, ...rest);
    });
    await start(other, "resume", "session");
    assert.equal(await renew(other), "done");
    assert.equal(await tokenOf(other), await token());
    assert.deepEqual(await endedOn(other), []);
    assert.equal(await visit(), 200);
  });

  test("signing out ends the user's sessions in all tabs, also those that began there", async () => {
    const others = [await tab(), await tab(), await tab()];
    await start(page, "signIn", "session");
    await start(others[0], "signIn", "session");
    await start(others[1], "signIn");
    await start(others[2], "signIn", "session", { persona: "sim-bob" });
    const tokens = await Promise.all([page, ...others].map(tokenOf));
    await page.evaluate(() => session.signOut());
    for (const each of others.slice(0, 2)) await until(each, () => ended.length === 1);
    assert.deepEqual(await endedOn(others[2]), []);
    await until(others[1], () => true);
    for (let tries = 0; tries < 50 && (await standing(tokens[2])) === "live"; tries++) await new Promise((done) => setTimeout(done, 100));
    assert.deepEqual(await Promise.all(tokens.map(standing)), ["session_revoked", "session_revoked", "session_revoked", "live"]);
  });

  test("another user in another tab: shared storage becomes theirs, and this page reports it; otherwise both go on", async () => {
    const other = await tab();
    await start(page, "signIn", "session");
    await start(other, "signIn", "session", { persona: "sim-bob" });
    assert.deepEqual([await renew(), await renew(other)], ["done", "done"]);
    assert.deepEqual(await Promise.all([page, other].map((each) => each.evaluate(() => session.user.uid))), [ALICE, BOB]);

    await start(page, "signIn", "local", { persona: "sim-alice" });
    const before = await token();
    await start(other, "signIn", "local", { persona: "sim-bob" });
    await until(page, () => ended.length > 0);
    assert.deepEqual(await endedOn(page), ["user_changed"]);
    assert.deepEqual(await endedOn(other), []);
    assert.equal(await visit(), "signed_out");
    assert.equal(await other.evaluate((key) => JSON.parse(localStorage.getItem(key)).user.uid, stateKey()), BOB);
    for (let tries = 0; tries < 50 && (await standing(before)) === "live"; tries++) await new Promise((done) => setTimeout(done, 100));
    assert.equal(await standing(before), "session_revoked");
  });

  test("a page that becomes active again, for any reason, sees that the session has ended", async () => {
    await anew(() => Object.defineProperty(window, "BroadcastChannel", { value: undefined }));
    for (const [target, type] of [["window", "pageshow"], ["document", "visibilitychange"], ["document", "resume"], ["window", "focus"], ["window", "online"]]) {
      await start(page, "signIn", "session");
      await page.evaluate(([key, target, type]) => {
        ended.length = 0;
        sessionStorage.removeItem(key);
        window[target].dispatchEvent(new Event(type));
      }, [stateKey(), target === "window" ? "self" : "document", type]);
      await until(page, () => ended.length === 1);
      assert.equal(await visit(), "signed_out", type);
    }
  });

  for (const cut of [false, true]) {
    test(`signing out and leaving the page revokes the session${cut ? ", also where the browser refuses keepalive" : ""}`, async () => {
      await start(page, "signIn", "session");
      const before = await token();
      if (cut) {
        const seen = await page.evaluate(async () => {
          const [real, seen] = [fetch, []];
          window.fetch = (input, init) => {
            const isLasting = Boolean(init?.keepalive ?? input.keepalive);
            seen.push(isLasting);
            return isLasting ? Promise.reject(new TypeError("Preflight request for request with keepalive specified is currently not supported")) : real(input, init);
          };
          await session.signOut();
          return seen;
        });
        assert.deepEqual(seen, [true, false]);
      } else {
        await page.evaluate(() => {
          session.signOut();
          location.assign("/bye");
        });
        await page.waitForURL("**/bye");
      }
      for (let tries = 0; tries < 50 && (await standing(before)) === "live"; tries++) await new Promise((done) => setTimeout(done, 100));
      assert.equal(await standing(before), "session_revoked");
    });
  }

  test("duplicate calls share one request", async () => {
    const seen = await page.evaluate(async (options) => {
      const given = { ...options, storage: () => sessionStorage };
      const [one, two] = await Promise.all([api.signIn(Pi, given), api.signIn(Pi, given)]);
      const [three, four] = await Promise.all([api.resume(given), api.resume(given)]);
      await Promise.all([one, three, four].map((session) => session.renew()));
      await three.renew();
      const statuses = await Promise.all([one, three, four].map(async (session) => (await session.fetch(`${options.issuer}/session`)).status));
      return [one === two, asked, statuses];
    }, options());
    assert.deepEqual(seen, [true, 1, [200, 200, 200]]);
    assert.equal(asked("/session").length, 1);
  });

  test("a sign-in whose answer is lost is repeated under its name, and is still the user's first", async () => {
    await context.route(`${pi}/**`, (route) => route.continue());
    await once("POST", "/session", async (route) => {
      await route.fetch();
      await route.abort();
    });
    const user = await signIn();
    assert.equal(user.uid, ALICE);
    const [one, two, ...others] = await Promise.all(asked("/session").map((request) => headerOf(request, "idempotency-key")));
    assert.deepEqual([one, others], [two, []]);
    const sessions = await page.evaluate(async (url) => (await (await session.fetch(url)).json()).sessions, `${issuer.url}/sessions`);
    assert.equal(sessions.filter(({ current }) => current).length, 1);
    assert.notEqual(await (async () => { await signIn(); return headerOf(asked("/session").at(-1), "idempotency-key"); })(), one);
  });

  test("a refusal of the sign-in is not repeated", async () => {
    await once("POST", "/session", (route) => route.fulfill(problem("access_token_rejected")));
    assert.equal(await page.evaluate((options) => codeOf(api.signIn(Pi, options)), options()), "access_token_rejected");
    assert.equal(asked("/session").length, 1);
  });

  test("a slow issuer delays no request with a valid token, and a renewal tries again by itself", async () => {
    await start(page, "signIn", "session");
    const first = await token();
    let count = 0;
    const answers = [{ ...problem("storage_unavailable"), status: 503 }, { ...problem("rate_limited"), status: 429, headers: { "access-control-allow-origin": app.url, "access-control-expose-headers": "retry-after", "retry-after": "3" } }];
    const times = [];
    await context.route(`${issuer.url}/session/refresh`, async (route) => {
      times.push(Date.now());
      const answer = answers[count++];
      return answer ? route.fulfill(answer) : route.continue();
    });
    await pass(560);
    assert.equal(await visit(), 200);
    assert.equal(await token(), first, "the request went with the token that it had");
    await until(page, (first) => session.token !== first, first);
    assert.ok(times[2] - times[1] >= 2_900, "Retry-After is obeyed");
    assert.deepEqual(await endedOn(page), []);

    // Longer than anybody waits: it fails now, and is obeyed all the same.
    count = 0;
    answers.splice(0, 2, { ...answers[1], headers: { ...answers[1].headers, "retry-after": "600" } });
    assert.equal(await renew(), "rate_limited");
    assert.equal(await renew(), "rate_limited");
    assert.equal(count, 1);
    assert.equal(await visit(), 200);
  });

  test("a caller can abort its wait for a renewal, and the others keep waiting", async () => {
    await start(page, "signIn", "session");
    let go;
    const gate = new Promise((done) => (go = done));
    await context.route(`${issuer.url}/session/refresh`, async (route) => {
      await gate;
      await route.continue();
    });
    await pass(700);
    const seen = await page.evaluate(async (url) => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 200);
      window.waiting = session.fetch(url).then(({ status }) => status);
      const init = await session.fetch(url, { signal: controller.signal }).catch((error) => error.name);
      const request = await session.fetch(new Request(url, { signal: controller.signal })).catch((error) => error.name);
      return [init, request];
    }, `${issuer.url}/session`);
    assert.deepEqual(seen, ["AbortError", "AbortError"]);
    go();
    assert.equal(await page.evaluate(() => waiting), 200);
  });

  test("Pi's SDK hangs: the sign-in fails in time, asks once, and takes a late answer", async () => {
    const seen = await page.evaluate(async (options) => {
      let open;
      window.gate = new Promise((done) => (open = done));
      const given = { ...options, piTimeout: 300 };
      const seen = [await codeOf(api.signIn(Pi, given)), await codeOf(api.signIn(Pi, given)), asked];
      open();
      await new Promise((done) => setTimeout(done, 50));
      window.session = await api.signIn(Pi, given);
      seen.push(asked, session.user.uid);
      await api.signIn(Pi, given);
      return [...seen, asked];
    }, options());
    assert.deepEqual(seen, ["pi_unavailable", "pi_unavailable", 1, 1, ALICE, 2]);
  });

  test("reports a problem of Pi's SDK: missing, cancelled, failed", async () => {
    const codes = await page.evaluate(async (options) => {
      const seen = [await codeOf(api.signIn(undefined, options)), await codeOf(api.signIn({}, options))];
      for (const text of ["User cancelled the authentication", "Permission denied by the user", "Authentication failed.", "Network error: Failed to check previous consent scopes"]) {
        const error = await api.signIn({ authenticate: async () => { throw new Error(text); } }, options).catch((error) => error);
        seen.push(error.code, error.message, error.hint);
      }
      const thrown = await api.signIn({ authenticate() { throw "eyJhbGciOiJFZERTQSIsImtpZCI6IjEyMyJ9.secret"; } }, options).catch((error) => error);
      return [...seen, thrown.code, thrown.message, thrown.hint];
    }, options());
    const cancelled = ["cancelled", "Sign-in was cancelled. Please try again.", ""];
    const failed = ["pi_failed", "Pi could not sign you in. Please try again."];
    assert.deepEqual(codes, [
      "pi_unavailable", "pi_unavailable", ...cancelled, ...cancelled, ...failed, "Authentication failed.",
      ...failed, "Network error: Failed to check previous consent scopes", ...failed, "…",
    ]);
  });

  test("while Pi hangs, a session goes on with its token, and pay shares the call", async () => {
    await start(page, "signIn", "session", { Pi: true, piTimeout: 10_000, scopes: ["username", "payments"] });
    await issuer.endSession(await token());
    await pass(560);
    await backend(() => undefined);
    const seen = await page.evaluate(async (url) => {
      window.gate = new Promise((done) => (window.open = done));
      const begun = performance.now();
      const { status } = await session.fetch(url);
      return [status, performance.now() - begun < 9_000, asked];
    }, `${listed.url}/data`);
    assert.deepEqual(seen, [200, true, 2]);
    await until(page, () => ended.length === 1);
    assert.deepEqual(await endedOn(page), ["pi_unavailable"]);
    await page.evaluate(() => window.open());
    await start(page, "signIn", "session", { scopes: ["username", "payments"] });
    assert.equal(await page.evaluate(() => asked), 2, "the late answer was used");
    await buy();
    assert.equal(await page.evaluate(() => asked), 2);
  });

  test("a wallet that does not open fails the payment in time; a late one is closed, and a payment in it is kept", async () => {
    await signIn({ ...payments, piTimeout: 400 });
    await page.evaluate(() => (options.onRecovered = (payment) => (window.recovered = payment)));
    await page.evaluate(async () => (window.session = await api.signIn(Pi, options)));
    await buy();
    assert.equal((await outcome()).code, "pi_unavailable");
    const late = await create();
    await approve(late);
    assert.deepEqual(steps(late), ["cancel"]);

    // The next wallets open. On a busy machine, that takes longer.
    await page.evaluate(async () => (window.session = await api.signIn(Pi, { ...options, piTimeout: 30_000 })));
    await buy();
    const id = await create();
    await approve(id);
    const txid = await sign(id);
    await callBack("onCancel", id);
    assert.equal((await outcome()).code, "payment_cancelled");
    await Promise.all([complete(id, txid), complete(id, txid)]);
    await page.waitForFunction(() => window.recovered);
    assert.deepEqual(await page.evaluate(() => [recovered.state, recovered.paymentId]), ["paid", id]);

    // In any order: completion first, then an error, twice.
    await buy();
    const next = await create();
    await approve(next);
    const hash = await sign(next);
    await Promise.all([complete(next, hash), callBack("onError", { message: "late" }), callBack("onError", { message: "late" }), approve(next), callBack("onCancel", next)]);
    assert.equal((await outcome()).payment?.paymentId, next);
  });

  test("the steps of a payment outlive the page", async () => {
    await signIn(payments);
    const lasting = await page.evaluate(() => {
      const real = fetch;
      window.lasting = [];
      window.fetch = (input, init) => {
        window.lasting.push([new URL(input.url ?? input).pathname.split("/").at(-1), Boolean(init?.keepalive ?? input.keepalive)]);
        return real(input, init);
      };
      return true;
    });
    assert.ok(lasting);
    await buy();
    const id = await create();
    await approve(id);
    await complete(id, await sign(id));
    await outcome();
    await buy();
    await callBack("onCancel", await create());
    assert.deepEqual((await page.evaluate(() => window.lasting)).filter(([step]) => step !== "orders"), [["approve", true], ["complete", true], ["cancel", true]]);
  });

  test("a payment whose wallet is open in another tab does not count as left", async () => {
    await signIn(payments);
    await buy();
    const id = await create();
    await approve(id);
    const other = await tab();
    await other.evaluate(async ([options, payment]) => {
      unfinished = [payment];
      window.session = await api.signIn(Pi, { ...options, scopes: ["username", "payments"] });
      await session.pay({ ...Pi, createPayment() { throw new Error("enough"); } }, "coffee").catch(() => {});
    }, [options(), await atPi("GET", `payments/${id}`)]);
    assert.deepEqual(steps(id), ["approve"]);
    await complete(id, await sign(id));
    assert.equal((await outcome()).payment?.paymentId, id);
  });

  test("works in browsers of 2020, and under a strict Content-Security-Policy", async () => {
    await context.addInitScript(() => {
      for (const [holder, names] of [
        [AbortSignal, ["timeout", "any", "abort"]], [AbortSignal.prototype, ["reason", "throwIfAborted"]], [window, ["structuredClone", "BroadcastChannel", "reportError", "CloseWatcher"]], [Crypto.prototype, ["randomUUID"]], [Navigator.prototype, ["locks", "userActivation"]],
        [Array.prototype, ["at", "findLast", "toSorted"]], [String.prototype, ["at", "replaceAll", "isWellFormed"]], [Object, ["hasOwn", "groupBy"]], [Promise, ["any", "withResolvers", "try"]], [Array, ["fromAsync"]], [Set.prototype, ["union"]], [URL, ["canParse", "parse"]], [window, ["WeakRef", "FinalizationRegistry"]],
      ]) for (const name of names) delete holder[name];
      window.refused = [];
      document.addEventListener("securitypolicyviolation", ({ violatedDirective }) => window.refused.push(violatedDirective));
    });
    await page.goto(`${app.url}/strict?issuer=${encodeURIComponent(issuer.url)}`);
    await page.waitForFunction(() => window.result);
    assert.deepEqual(await page.evaluate(() => [typeof BroadcastChannel, typeof AbortSignal.timeout, result, refused]), ["undefined", "undefined", { uid: ALICE, statuses: [200, 200], resumed: ALICE, aborted: "AbortError", over: "signed_out" }, []]);
  });

  test("has only syntax that Chrome 80, Safari 14.1 and Firefox 78 support", () => {
    const source = readFileSync(`${root}/pkg/wasm/browser.mjs`, "utf8");
    const [now, then] = ["esnext", ["chrome80", "edge80", "safari14.1", "ios14.5", "firefox78"]].map((target) => transformSync(source, { target }).code);
    assert.equal(then, now);
    assert.doesNotMatch(source, /\beval\b|new Function|innerHTML|document\.write|import\(/);
  });

  test("signInWithPi: through the SDK where it answers, or else with Pi Sign-in, but not in a frame", async () => {
    const given = { ...options(), clientId: "simulated-app", redirectUri: `${app.url}/callback?issuer=${encodeURIComponent(issuer.url)}`, authorizeUrl: `${pi}/oauth/authorize`, piTimeout: 200 };
    assert.equal(await page.evaluate(async (given) => (await api.signInWithPi({ ...given, Pi })).user.uid, given), ALICE);
    assert.equal(await page.evaluate((given) => codeOf(api.signInWithPi({ ...given, Pi: { authenticate: async () => { throw new Error("cancelled"); } } })), given), "cancelled");
    const framed = await page.evaluate(async (given) => {
      const frame = document.body.appendChild(Object.assign(document.createElement("iframe"), { src: "/" }));
      while (!frame.contentWindow.api) await new Promise((done) => setTimeout(done, 20));
      return frame.contentWindow.codeOf(frame.contentWindow.api.signInWithPi(given));
    }, given);
    assert.equal(framed, "pi_unavailable");
    await page.evaluate((given) => void api.signInWithPi({ ...given, Pi: { authenticate: () => new Promise(() => {}) } }), given);
    await page.waitForURL(`${pi}/oauth/authorize**`);
    await page.locator("#persona option").first().waitFor({ state: "attached" });
    await page.click("#allow");
    await page.waitForFunction(() => window.result?.href);
    assert.equal((await page.evaluate(() => result)).uid, ALICE);
  });

  // For a browser, 127.0.0.1 is the page's own site, and localhost another one, whose cookie is
  // partitioned.
  for (const host of ["127.0.0.1", "localhost"]) {
    describe(`with the cookie of an issuer at ${host}`, () => {
      let bearerIssuer;

      before(async () => {
        bearerIssuer = issuer;
        issuer = await startIssuer({ pi, allowedOrigin: app.url, host, cookie: true });
        await issuer.sell("coffee", "A cup of coffee", 31_400_000);
      });

      after(async () => {
        await issuer?.close();
        issuer = bearerIssuer;
      });

      const cookie = { cookie: true, origins: [] };
      const resumed = () => page.evaluate(async (options) => {
        window.session = await api.resume(options);
        return session && session.user.uid;
      }, { ...options(), ...cookie });
      const cookies = async () => (await context.cookies()).map(({ name }) => name).sort();

      test("B1: signs in, renews, survives a reload and signs out, and no script holds a token", async () => {
        assert.equal((await signIn(cookie)).uid, ALICE);
        assert.equal(await token(), undefined);
        assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]), [0, 0, ""]);
        assert.deepEqual(await cookies(), ["__Host-pi_refresh", "__Host-pi_session"]);
        for (const { httpOnly, secure, sameSite } of await context.cookies()) assert.deepEqual([httpOnly, secure, sameSite], [true, true, "None"]);

        sent.length = 0;
        assert.equal(await visit(), 200);
        assert.equal((await asked("/session", "GET")[0].allHeaders()).authorization, undefined);
        await pass(595);
        const statuses = await page.evaluate((url) => Promise.all(Array.from({ length: 4 }, async () => (await session.fetch(url)).status)), `${issuer.url}/session`);
        assert.deepEqual(statuses, [200, 200, 200, 200]);
        assert.deepEqual(renewals().map((request) => request.postData()), ["{}"]);

        await page.reload();
        await page.waitForFunction(() => window.api);
        assert.equal(await resumed(), ALICE);
        await page.evaluate(() => session.signOut());
        assert.deepEqual(await cookies(), []);
        assert.equal(await resumed(), null);
      });

      test("with the cookie: bound to the key, or named without one; a lost key is reported; signed out in all tabs", async () => {
        await start(page, "signIn", "cookie");
        const other = await tab();
        assert.equal(await start(other, "resume", "cookie"), ALICE);
        assert.ok(await headerOf(asked("/session/refresh")[0], "dpop"));
        await Promise.all([renew(), renew(other)]);
        await page.evaluate(() => session.signOut());
        await until(other, () => ended.length === 1);
        assert.deepEqual(await Promise.all([page, other].map(endedOn)), [[null], [null]]);
        assert.deepEqual(await cookies(), []);

        // Another user: the cookie is theirs, for both pages.
        await start(page, "signIn", "cookie");
        await start(other, "signIn", "cookie", { persona: "sim-bob" });
        await until(page, () => ended.length === 2);
        assert.deepEqual(await endedOn(page), [null, "user_changed"]);
        assert.equal(await other.evaluate((url) => session.fetch(url).then(({ status }) => status), `${issuer.url}/session`), 200);
        await other.close();

        // The key is lost.
        await start(page, "signIn", "cookie");
        await wipe();
        await reload();
        assert.equal(await start(page, "resume", "cookie"), null);
        assert.deepEqual(await endedOn(page), ["key_lost"]);
        assert.equal(await start(page, "resume", "cookie", { Pi: true }), ALICE);

        // Without a key, when one is there later.
        await context.clearCookies();
        await wipe();
        await page.evaluate(() => {
          window.open = IDBFactory.prototype.open;
          IDBFactory.prototype.open = () => { throw new Error("blocked"); };
        });
        await start(page, "signIn", "cookie");
        await page.evaluate(() => (IDBFactory.prototype.open = window.open));
        await page.evaluate((issuer) => api.signIn(Pi, { issuer, storage: () => sessionStorage }), issuer.url);
        assert.equal(await renew(), "done");
        await reload();
        assert.equal(await start(page, "resume", "cookie"), ALICE);
        assert.equal(await renew(), "done");
        assert.deepEqual(await page.evaluate(() => localStorage.length), 0);
      });

      test("buys with the cookie", async () => {
        await signIn({ ...cookie, ...payments });
        await buy();
        const id = await create();
        await approve(id);
        await complete(id, await sign(id));
        assert.equal((await outcome()).payment?.paymentId, id);
      });

      test("renews when the browser has dropped the cookie of the session", async () => {
        await signIn(cookie);
        await context.clearCookies({ name: "__Host-pi_session" });
        assert.equal(await visit(), 200);
        assert.equal(renewals().length, 1);
        assert.equal(await page.evaluate(() => asked), 1);
      });

      test("R15: with the cookie, a polluted Object.prototype adds no second credential", async () => {
        await signIn(cookie);
        sent.length = 0;
        const uid = await page.evaluate(async (options) => {
          Object.assign(Object.prototype, { refreshToken: "polluted", token: "polluted", origins: ["https://evil.example"], storage: {}, cookie: false });
          try {
            const resumed = await api.resume(options);
            await resumed.fetch(`${options.issuer}/session`);
            const { uid } = resumed.user;
            await resumed.signOut();
            return uid;
          } finally {
            for (const name of ["refreshToken", "token", "origins", "storage", "cookie"]) delete Object.prototype[name];
          }
        }, { ...options(), cookie: true, origins: [] });
        assert.equal(uid, ALICE);
        assert.deepEqual(renewals().map((request) => request.postData()), ["{}"]);
        for (const request of sent) assert.equal((await request.allHeaders()).authorization, undefined);
        assert.deepEqual(await cookies(), []);
      });

      test("B7: a session without the cookie never sends one beside its token", async () => {
        await signIn(cookie);
        await signIn();
        assert.equal(await visit(), 200);
        await pass(595);
        assert.equal(await visit(), 200);
        await page.evaluate(() => session.signOut());
        for (const request of [...asked("/session/refresh"), ...asked("/session", "DELETE")]) {
          assert.equal((await request.allHeaders()).cookie, undefined);
        }
      });

      test("rejects with cookie_blocked if the browser keeps no cookie, and revokes the session", async () => {
        const ended = page.waitForResponse((response) => response.url() === `${issuer.url}/session` && response.status() === 204);
        const begun = page.waitForResponse((response) => response.url() === `${issuer.url}/session` && response.request().method() === "POST");
        await once("POST", "/session", async (route) => {
          const response = await route.fetch();
          await context.clearCookies();
          const { "set-cookie": _, ...headers } = response.headers();
          await route.fulfill({ response, headers });
        });
        assert.equal(await page.evaluate((options) => codeOf(api.signIn(Pi, options)), { ...options(), ...cookie }), "cookie_blocked");
        await ended;
        assert.equal(await standing((await (await begun).json()).sessionToken), "session_revoked");
      });
    });
  }

  test("with the cookie, storage and other origins are refused", async () => {
    for (const more of [{ stored: true, origins: [] }, { origins: ["https://api.example.com"] }]) {
      await assert.rejects(signIn({ cookie: true, ...more }), /TypeError/);
    }
  });

  describe("Pi Sign-in", () => {
    const callback = () => `${app.url}/callback?issuer=${encodeURIComponent(issuer.url)}`;
    const begin = async () => {
      await page.evaluate(([redirectUri, authorizeUrl]) => api.startPiSignIn({ clientId: "simulated-app", redirectUri, authorizeUrl, scopes: ["username", "wallet_address"] }), [callback(), `${pi}/oauth/authorize`]);
      await page.waitForURL(`${pi}/oauth/authorize**`);
      await page.locator("#persona option").first().waitFor({ state: "attached" });
    };
    /** What the page of the callback made of it, after checking that no trace of the answer is left. */
    const result = async () => {
      await page.waitForFunction(() => window.result?.href);
      const { href, ...rest } = await page.evaluate(() => result);
      assert.equal(href, callback(), "the fragment is gone");
      const devtools = await context.newCDPSession(page);
      const { entries } = await devtools.send("Page.getNavigationHistory");
      await devtools.detach();
      assert.equal(entries.at(-1).url, callback());
      for (const { url } of entries) assert.doesNotMatch(url, /access_token|error=/);
      return rest;
    };
    /** Opens the callback with a fragment of the test's choice, as Pi, or an attacker, would. */
    const comeBack = async (fragment) => {
      await page.goto("about:blank"); // or only the fragment would change
      await page.goto(`${callback()}#${fragment}`);
      return result();
    };
    const state = () => new URL(page.url()).searchParams.get("state");

    test("signs in, with a state that no one can guess", async () => {
      await begin();
      const request = new URL(page.url());
      assert.equal(request.searchParams.get("response_type"), "token");
      assert.equal(request.searchParams.get("redirect_uri"), callback());
      assert.match(request.search, /scope=username%20wallet_address/);
      const first = state();
      assert.ok(first.length >= 22);
      await page.selectOption("#persona", "sim-bob");
      sent.length = 0;
      await page.click("#allow");
      assert.deepEqual(await result(), { uid: BOB });
      assert.equal(JSON.parse(asked("/session")[0].postData()).accessToken, "sim-bob");
      assert.equal(await page.evaluate(() => sessionStorage.length), 0);
      assert.equal(await visit(), 200);

      // Once more, with what has been used.
      assert.equal((await comeBack(`access_token=sim-bob&token_type=Bearer&state=${first}`)).code, "state_mismatch");
      await page.goto(app.url);
      await page.waitForFunction(() => window.api);
      await begin();
      assert.notEqual(state(), first);
    });

    for (const code of ["access_denied", "cancelled", "expired", "server_error"]) {
      test(`reports ${code}`, async () => {
        await begin();
        await page.click(`[data-error=${code}]`);
        const { message, ...rest } = await result();
        assert.deepEqual(rest, { code, name: "SignInError" });
        assert.ok(message.length > 20);
        assert.equal(asked("/session").length, 0);
      });
    }

    test("reports an unknown error as pi_error, without its text", async () => {
      await begin();
      const { code, message } = await comeBack(`error=visit-evil.example&state=${state()}`);
      assert.equal(code, "pi_error");
      assert.doesNotMatch(message, /evil/);
    });

    test("I5: refuses an answer that this browser did not ask for", async () => {
      assert.equal((await comeBack("access_token=sim-bob&token_type=Bearer&expires_in=3600&state=attackers")).code, "state_mismatch");
      assert.equal((await comeBack("access_token=sim-bob")).code, "no_pending_sign_in");
      assert.equal((await comeBack("error=access_denied")).code, "no_pending_sign_in");
      // The sign-in of another browser is not this one's.
      const other = await browser.newContext();
      const theirs = await other.newPage();
      await theirs.goto(app.url);
      await theirs.waitForFunction(() => window.api);
      await theirs.evaluate(([redirectUri, authorizeUrl]) => api.startPiSignIn({ clientId: "a", redirectUri, authorizeUrl }), [callback(), `${pi}/oauth/authorize`]);
      await theirs.waitForURL(`${pi}/oauth/authorize**`);
      const stolen = new URL(theirs.url()).searchParams.get("state");
      await other.close();
      assert.equal((await comeBack(`access_token=sim-bob&state=${stolen}`)).code, "state_mismatch");
      assert.equal(asked("/session").length, 0);
    });

    test("I5: an answer with another state, or none, signs no one in, and stops no other sign-in", async () => {
      await begin();
      const right = state();
      for (const [wrong, code] of [["&state=wrong", "state_mismatch"], ["&state=", "no_pending_sign_in"], ["", "no_pending_sign_in"], [`&state=${right}x`, "state_mismatch"]]) {
        assert.equal((await comeBack(`access_token=sim-bob${wrong}`)).code, code);
      }
      assert.equal(asked("/session").length, 0);
      assert.deepEqual(await comeBack(`access_token=sim-alice&state=${right}`), { uid: ALICE });
      assert.equal((await comeBack(`access_token=sim-bob&state=${right}`)).code, "state_mismatch", "it counts once");
    });

    test("the answer may arrive in another tab, and several sign-ins do not disturb each other", async () => {
      const others = [];
      for (let i = 0; i < 2; i++) {
        const other = await context.newPage();
        await other.goto(app.url);
        await other.waitForFunction(() => window.api);
        await other.evaluate(([redirectUri, authorizeUrl]) => api.startPiSignIn({ clientId: "a", redirectUri, authorizeUrl }), [callback(), `${pi}/oauth/authorize`]);
        await other.waitForURL(`${pi}/oauth/authorize**`);
        others.push(new URL(other.url()).searchParams.get("state"));
      }
      await begin();
      const mine = state();
      for (const right of [others[1], mine, others[0]]) assert.deepEqual(await comeBack(`access_token=sim-alice&state=${right}`), { uid: ALICE });
      assert.equal(await page.evaluate(() => localStorage.length), 0);
    });

    test("begins where one of the two storages is blocked, and removes unfinished sign-ins", async () => {
      await page.evaluate(() => localStorage.setItem("pioneer-session:pi-sign-in:left.1", ""));
      await context.addInitScript(() => Object.defineProperty(window, "localStorage", { get() { throw new DOMException("blocked", "SecurityError"); } }));
      await page.reload();
      await page.waitForFunction(() => window.api);
      await begin();
      assert.deepEqual(await comeBack(`access_token=sim-alice&state=${state()}`), { uid: ALICE });
    });

    test("a component that is mounted twice gets the session twice, and an error twice", async () => {
      await begin();
      const right = state();
      await page.goto(app.url);
      await page.waitForFunction(() => window.api);
      const mount = (fragment) => page.evaluate(async ([options, fragment]) => {
        history.replaceState(null, "", `#${fragment}`);
        const results = [api.finishPiSignIn(options), api.finishPiSignIn(options)].map((each) => each.catch(({ code }) => code));
        const [one, two] = await Promise.all(results);
        const [later] = [await api.finishPiSignIn(options)];
        return [one?.user?.uid ?? one, one === two, later === one, location.hash];
      }, [options(), fragment]);
      assert.deepEqual(await mount(`access_token=sim-alice&state=${right}`), [ALICE, true, true, ""]);
      assert.equal(asked("/session").length, 1);
      assert.deepEqual(await mount(`access_token=sim-alice&state=${right}`), ["state_mismatch", true, false, ""]);
    });

    test("refuses an answer with duplicate members", async () => {
      for (const twice of ["&access_token=sim-alice", "&state=other", "&error=cancelled&error=expired"]) {
        await page.goto(app.url);
        await page.waitForFunction(() => window.api);
        await begin();
        assert.equal((await comeBack(`access_token=sim-bob&state=${state()}${twice}`)).code, "invalid_answer");
      }
      assert.equal(asked("/session").length, 0);
    });

    test("refuses an answer that comes too late", async () => {
      await begin();
      const right = state();
      await context.addInitScript(() => {
        const now = Date.now;
        Date.now = () => now() + 11 * 60_000;
      });
      assert.equal((await comeBack(`access_token=sim-bob&state=${right}`)).code, "expired");
      assert.equal(asked("/session").length, 0);
    });

    test("works without expires_in, and does not touch other fragments", async () => {
      await begin();
      assert.deepEqual(await comeBack(`access_token=sim-alice&state=${state()}`), { uid: ALICE });
      for (const other of ["", "#", "#chapter-2", "#/route?x=1"]) {
        await page.goto("about:blank");
        await page.goto(callback() + other);
        await page.waitForFunction(() => window.result?.href);
        assert.deepEqual(await page.evaluate(() => result), { none: true, href: callback() + other });
      }
    });

    test("a token that Pi refuses signs no one in, and is not asked for again", async () => {
      await begin();
      assert.equal((await comeBack(`access_token=sim-revoked&state=${state()}`)).code, "access_token_rejected");
    });

    test("does not begin where the browser blocks storage, or with an unsafe address", async () => {
      const code = (authorizeUrl) => page.evaluate(async (authorizeUrl) => codeOf((async () => api.startPiSignIn({ clientId: "a", redirectUri: location.href, authorizeUrl }))()), authorizeUrl);
      assert.match(await code("javascript:alert(1)"), /^TypeError/);
      assert.match(await code("http://accounts.example.com/"), /^TypeError/);
      await page.evaluate(() => {
        for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, { get() { throw new DOMException("blocked", "SecurityError"); } });
      });
      assert.equal(await code(`${pi}/oauth/authorize`), "storage_blocked");
      assert.equal(page.url(), `${app.url}/`);
    });
  });

  describe("the simulated page of Pi Sign-in", () => {
    const good = { response_type: "token", client_id: "simulated-app", redirect_uri: "http://localhost:3000/callback", scope: "username", state: "s" };
    const ask = (members, extra = "") => fetch(`${pi}/oauth/authorize?${new URLSearchParams(members)}${extra}`);

    test("explains what is wrong with a request, without repeating it", async () => {
      assert.equal((await ask(good)).status, 200);
      for (const name of ["response_type", "client_id", "redirect_uri"]) {
        const { [name]: _, ...rest } = good;
        for (const response of [await ask(rest), await ask({ ...rest, [name]: "" }), await ask(good, `&${name}=again`)]) {
          assert.equal(response.status, 400);
          assert.match(await response.text(), new RegExp(name));
        }
      }
      for (const target of ["javascript:alert(1)", "data:text/html,x", "http://evil.example/", "http://localhost.evil.example/", "//evil.example", "https://me@evil.example/", "https://app.example/#x", "/callback"]) {
        const response = await ask({ ...good, redirect_uri: target });
        assert.equal(response.status, 400, target);
        assert.doesNotMatch(await response.text(), /evil|alert/);
      }
      for (const target of ["https://app.example/callback", "http://127.0.0.1:1/", "http://[::1]:1/"]) assert.equal((await ask({ ...good, redirect_uri: target })).status, 200, target);
    });

    test("runs no markup from the request, and never looks like Pi", async () => {
      const response = await ask({ ...good, client_id: "<img src=x onerror=alert(1)>" });
      assert.match(response.headers.get("content-security-policy"), /script-src 'self'/);
      await page.goto(response.url);
      await page.locator("#persona option").first().waitFor({ state: "attached" });
      assert.equal(await page.textContent("#client"), "<img src=x onerror=alert(1)>");
      assert.equal(await page.locator("img").count(), 0);
      assert.match(await page.textContent("h1"), /Simulated.*development only/);
    });

    test("is also the page that the simulated SDK opens", async () => {
      await page.addScriptTag({ url: `${pi}/sdk.js` });
      await page.evaluate((redirectUri) => Pi.signIn({ clientId: "simulated-app", redirectUri, scopes: ["username"], state: "s" }), `${app.url}/`);
      await page.waitForURL(`${pi}/oauth/authorize**`);
      await page.click("#allow");
      await page.waitForURL(`${app.url}/#**`);
      const answer = new URLSearchParams(new URL(page.url()).hash.slice(1));
      assert.deepEqual(Object.fromEntries(answer), { access_token: "sim-alice", token_type: "Bearer", expires_in: "3600", state: "s" });
    });
  });
});
