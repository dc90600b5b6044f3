// A page of an allowed origin calls the built Worker from a real browser, and reads its answers:
// CORS and cookies are the browser's decision, and a stand-in for the Worker would allow
// everything.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { root } from "../../scripts/paths.mjs";
import { calm } from "../support/clock.mjs";
import { openBrowser, openProfile } from "../support/browser.mjs";
import { startIssuer, startSimulator } from "../support/workers.mjs";

const TYPES = { ".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm" };

describe("a page of an allowed origin", { timeout: 600_000 }, () => {
  let app;
  let simulator;
  let browser;
  let context;
  let page;
  let answers;
  let failures;

  before(async () => {
    // The page, and the package as a page without a bundler loads it.
    const server = createServer(({ url }, response) => {
      const { pathname } = new URL(url, "http://app");
      if (!/^\/pkg\/[\w./-]+$/.test(pathname) || pathname.includes("..")) return response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>");
      response.writeHead(200, { "content-type": TYPES[extname(pathname)] }).end(readFileSync(root + pathname));
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    app = { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
    simulator = await startSimulator();
    browser = await openBrowser();
  });

  after(async () => {
    await browser?.close();
    await simulator?.close();
    app?.close();
  });

  beforeEach(async () => {
    context = await browser.newContext();
    page = await context.newPage();
    [answers, failures] = [[], []];
    page.on("response", (response) => answers.push(response));
    // Where the browser says what it has blocked.
    page.on("console", (message) => message.type() === "error" && failures.push(message.text()));
  });

  afterEach(() => context.close());

  const statusesOf = (url) => answers.filter((response) => response.url() === url && response.request().method() === "GET").map((response) => response.status());

  async function until(condition) {
    for (const deadline = Date.now() + 10_000; !condition(); ) {
      assert.ok(Date.now() < deadline, JSON.stringify({ failures, answers: answers.map((response) => `${response.status()} ${response.url()}`) }));
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  test("signs in while a tracing library adds headers to its requests, and reads what the Worker exposes", async () => {
    const issuer = await startIssuer({ pi: simulator.url, allowedOrigin: app.url });
    try {
      await page.goto(app.url);
      const found = await page.evaluate(async (issuer) => {
        const plain = window.fetch;
        window.fetch = (input, init = {}) => {
          const headers = new Headers(init.headers ?? input.headers);
          for (const name of ["sentry-trace", "baggage", "traceparent", "tracestate", "x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-origin", "x-requested-with", "idempotency-key", "cache-control"]) headers.set(name, "a");
          return plain(input, { ...init, headers });
        };
        const { signIn } = await import("/pkg/wasm/browser.mjs");
        const session = await signIn({ authenticate: async () => ({ accessToken: "sim-alice" }) }, { issuer });
        const put = await session.fetch(`${issuer}/me/data`, { method: "PUT", body: "{}", headers: { "content-type": "application/json" } });
        const etag = put.headers.get("etag");
        const keys = await fetch(`${issuer}/.well-known/jwks.json`);
        await keys.text();
        const known = await fetch(`${issuer}/.well-known/jwks.json`, { headers: { "if-none-match": keys.headers.get("etag"), dpop: "x.y.z" }, cache: "no-store" });
        const again = await session.fetch(`${issuer}/me/data`, { method: "PUT", body: '{"a":1}', headers: { "content-type": "application/json", "if-match": etag } });
        return { uid: session.user.uid, statuses: [put.status, keys.status, known.status, again.status], requestId: again.headers.get("x-request-id") };
      }, issuer.url);
      assert.equal(found.uid, "a11ce000-0000-4000-8000-000000000001");
      assert.deepEqual(found.statuses, [204, 200, 304, 204]);
      assert.ok(found.requestId);
      assert.deepEqual(failures, []);
    } finally {
      await issuer.close();
    }
  });

  test("polls the feed and the keys of the Worker with the verifier, again and again", async () => {
    await calm(60, 20); // the entity tag of the feed changes with the minute
    const issuer = await startIssuer({ pi: simulator.url, allowedOrigin: app.url });
    const [feed, keys] = [`${issuer.url}/revocations`, `${issuer.url}/.well-known/jwks.json`];
    try {
      await fetch(`${issuer.url}/products`); // sets the development database up
      await page.clock.install();
      await page.goto(app.url);
      await page.evaluate(async (issuer) => {
        const { createVerifier } = await import("/pkg/entry/web.mjs");
        window.verifier = await createVerifier({ issuer, audience: "test-app", revocations: { pollSeconds: 15 } });
      }, issuer.url);
      for (const polls of [2, 3, 4]) {
        await page.clock.fastForward(15_000);
        await until(() => statusesOf(feed).length >= polls);
      }
      assert.deepEqual(statusesOf(feed), [200, 304, 304, 304]);
      assert.deepEqual(statusesOf(keys), [200]);
      for (const fetches of [2, 3]) {
        await page.clock.fastForward(301_000);
        await until(() => statusesOf(keys).length >= fetches);
      }
      assert.deepEqual(statusesOf(keys), [200, 304, 304]);
      assert.deepEqual(failures, []);
    } finally {
      await issuer.close();
    }
  });

  // For a browser, 127.0.0.1 is the page's own site, and localhost another one.
  for (const host of ["127.0.0.1", "localhost"]) {
    test(`stays signed in with the unpartitioned cookies of ${host} when the browser learns to partition them`, async () => {
      const issuer = await startIssuer({ pi: simulator.url, allowedOrigin: app.url, host, cookie: true });
      // Another context than the others': the cookies of another site are blocked in those.
      const folder = mkdtempSync(join(tmpdir(), "pioneer-session-cookies-"));
      const context = await openProfile(folder, { thirdPartyCookies: true });
      const page = await context.newPage();
      const ask = (method, path, body) =>
        page.evaluate(async ([url, method, body]) => {
          const init = body && { headers: { "content-type": "application/json" }, body };
          return (await fetch(url, { method, credentials: "include", ...init })).status;
        }, [issuer.url + path, method, body]);
      const kept = async () => (await context.cookies()).map(({ name, partitionKey }) => `${name} ${partitionKey ? "partitioned" : "not partitioned"}`).sort();
      try {
        await page.goto(app.url);
        assert.equal(await ask("POST", "/session", '{"accessToken":"sim-alice"}'), 200);
        assert.deepEqual(await kept(), ["__Host-pi_refresh partitioned", "__Host-pi_session partitioned"]);
        // As the browser kept them before it knew `Partitioned`.
        const cookies = await context.cookies();
        await context.clearCookies();
        await context.addCookies(cookies.map(({ name, value, domain }) => ({ name, value, domain, path: "/", secure: true, httpOnly: true, sameSite: "None" })));
        assert.deepEqual(await kept(), ["__Host-pi_refresh not partitioned", "__Host-pi_session not partitioned"]);
        assert.equal(await ask("GET", "/session"), 200);
        for (let round = 0; round < 3; round += 1) {
          assert.equal(await ask("POST", "/session/refresh", "{}"), 200);
          assert.deepEqual(await kept(), ["__Host-pi_refresh partitioned", "__Host-pi_session partitioned"]);
          assert.equal(await ask("GET", "/session"), 200);
        }
        assert.equal(await ask("DELETE", "/session"), 204);
        assert.deepEqual(await kept(), []);
      } finally {
        await context.close();
        rmSync(folder, { recursive: true, force: true });
        await issuer.close();
      }
    });
  }
});
