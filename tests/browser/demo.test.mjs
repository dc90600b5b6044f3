// The demo page and its backend in real browsers, against everything that `npm start` serves: all
// of it in Chromium, and one user's visit in every engine.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { promisify } from "node:util";
import { serve } from "../../demo/backend.mjs";
import { BACKEND_CODE, calls, codeOf, DOCS } from "../../demo/calls.js";
import { browsers, root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";
import { ENGINES, isMissing, openBrowser, openEngine, openProfile } from "../support/browser.mjs";

const execute = promisify(execFile);

/** The ports of the Worker, the simulated Pi and the backend are neighbours. */
const PORTS = 3;

/** Starts everything; resolves with the process and the page's URL once it is ready. */
async function start(state) {
  const port = await freePort(PORTS);
  const child = spawn(process.execPath, ["scripts/start.mjs"], {
    cwd: root,
    env: { ...process.env, PORT: String(port), STATE: state },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const url = await new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (text) => {
        output += text;
        const ready = output.match(/^Ready: (http:\/\/localhost:\d+)/m);
        if (ready) resolve(ready[1]);
      });
    }
    child.on("exit", (code) => reject(new Error(`scripts/start.mjs ended (${code}):\n${output}`)));
  });
  const backend = `http://localhost:${port + 2}`;
  // `npm start` may serve it already.
  const own = await serve({ port: port + 2, issuer: url, audience: "demo", origin: url }).catch((error) => {
    if (error.code !== "EADDRINUSE") throw error;
  });
  return { child, url, backend, own };
}

describe("the demo page", { timeout: 1_800_000 }, () => {
  let state;
  let server;
  let browser;
  let context;
  let page;
  let errors;

  before(async () => {
    state = mkdtempSync(join(tmpdir(), "demo-"));
    // One after the other: a browser that opens beside a server that does not start would stay open
    // for ever.
    server = await start(state);
    browser = await openBrowser();
  });

  after(async () => {
    await browser?.close();
    await server?.own?.close();
    if (server && server.child.exitCode === null) {
      server.child.kill("SIGTERM");
      await once(server.child, "exit");
    }
    if (state) rmSync(state, { recursive: true, force: true });
  });

  beforeEach(async () => {
    errors = [];
    context = await browser.newContext({ viewport: { width: 390, height: 844 } });
    context.setDefaultTimeout(15_000);
    page = await open();
  });

  afterEach(async () => {
    await context.close();
    assert.deepEqual(errors, []);
  });

  /** A tab with the page in it. */
  async function open() {
    const tab = watch(await context.newPage());
    await tab.goto(server.url);
    return tab;
  }

  /** Chromium itself reports refused requests; anything else is a mistake. */
  function watch(tab) {
    tab.on("pageerror", (error) => errors.push(error.message));
    tab.on("console", (message) => {
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) errors.push(message.text());
    });
    return tab;
  }

  // A tab behind another is slow to take clicks, so the one to be used comes to the front.
  const askToSignIn = async (tab = page, front = tab) => {
    await front.bringToFront();
    await tab.click("#sign-in");
    await tab.waitForSelector("#pi-simulator[open]");
  };
  const signIn = async (persona, tab = page, front = tab) => {
    await askToSignIn(tab, front);
    await tab.selectOption("#pi-persona", persona);
    await tab.click("#pi-allow");
  };
  const signedIn = (tab = page) => tab.waitForSelector("#signed-in");
  const signOut = async () => {
    await page.click("#sign-out");
    await page.waitForSelector("#signed-out");
  };
  const save = async (text, tab = page) => {
    await tab.bringToFront();
    await tab.fill("#note", text);
    await tab.click("#save");
  };
  const says = (pattern, tab = page) =>
    tab.locator("#status", { hasText: pattern }).waitFor().catch(async () => {
      assert.match(await tab.textContent("#status"), new RegExp(pattern));
    });
  const note = (tab = page) => tab.inputValue("#note");
  const signedOut = async () => {
    assert.equal(await page.isVisible("#signed-out"), true);
    assert.equal(await page.isVisible("#signed-in"), false);
    const kept = () => [sessionStorage, localStorage].flatMap(Object.keys).filter((key) => key.startsWith("pioneer-session:http"));
    assert.deepEqual(await page.evaluate(kept), []);
  };
  const fits = async () => assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));

  test("signs in, stays signed in after a reload, and keeps each user's note", async () => {
    await fits();
    await askToSignIn();
    await fits();
    assert.equal(await page.inputValue("#pi-persona"), "sim-alice");
    await page.click("#pi-allow");
    await signedIn();
    await fits();
    assert.match(await page.textContent("#user"), /alice_pioneer/);
    const claims = JSON.parse(await page.textContent("#claims"));
    assert.equal(claims.iss, server.url);
    assert.equal(claims.sub, "a11ce000-0000-4000-8000-000000000001");
    assert.equal(claims.preferred_username, "alice_pioneer");
    assert.equal(claims.app_bound, true);

    await page.reload();
    await signedIn();
    assert.deepEqual(JSON.parse(await page.textContent("#claims")), claims);

    await save("level 6");
    await says("Saved.");
    await save("level 7");
    await says("Saved.");
    await signOut();
    await signedOut();

    await signIn("sim-alice");
    await signedIn();
    assert.equal(await note(), "level 7");
    await signOut();

    await signIn("sim-bob");
    await signedIn();
    assert.match(await page.textContent("#user"), /bob_pioneer/);
    assert.equal(await note(), "");
  });

  test("does not overwrite the text that another tab has saved", async () => {
    const other = await open();
    for (const tab of [page, other]) {
      await signIn("sim-no-username", tab);
      await signedIn(tab);
    }
    await save("mine", page);
    await says("Saved.", page);
    await save("also mine", other);
    await says("changed elsewhere", other);
    assert.equal(await note(other), "mine");
    await save("merged", other);
    await says("Saved.", other);
    await save("stale", page);
    await says("changed elsewhere", page);
    assert.equal(await note(page), "merged");
  });

  test("shows that the session was revoked elsewhere", async () => {
    await signIn("sim-bob");
    await signedIn();
    const status = await page.evaluate(async () => {
      const key = `pioneer-session:${location.origin}`;
      const { token } = JSON.parse(sessionStorage.getItem(key) ?? localStorage.getItem(key));
      const authorization = `Bearer ${token}`;
      return (await fetch("/session", { method: "DELETE", headers: { authorization } })).status;
    });
    assert.equal(status, 204);
    await save("too late");
    await says("You are signed out. Please sign in again.");
    await signedOut();
  });

  test("signs no one in with a token that Pi refuses", async () => {
    await signIn("sim-revoked");
    await says("Pi could not confirm your sign-in. Please sign in again.");
    await signedOut();
  });

  test("signs no one in when the dialog is cancelled", async () => {
    for (const cancel of [() => page.click("#pi-cancel"), () => page.keyboard.press("Escape")]) {
      await askToSignIn();
      await cancel();
      await says("cancelled");
      await signedOut();
    }
  });

  test("renews the session, and keeps the new token", async () => {
    await signIn("sim-alice");
    await signedIn();
    const claims = async () => JSON.parse(await page.textContent("#claims"));
    const first = await claims();
    await page.click("#renew");
    await says("The session was renewed.");
    const second = await claims();
    assert.equal(second.sid, first.sid);
    assert.notEqual(second.jti, first.jti);
    await page.reload();
    await signedIn();
    assert.deepEqual(await claims(), second);
    await signOut();
  });

  test("lists the user's sessions, and revokes them one by one and all together", async () => {
    await signIn("sim-no-username");
    await signedIn();
    await page.click("#sign-out-everywhere");
    await says("You are signed out.");

    const elsewhere = await browser.newContext();
    const other = watch(await elsewhere.newPage());
    other.setDefaultTimeout(15_000);
    await other.goto(server.url);
    for (const tab of [other, page]) {
      await signIn("sim-no-username", tab);
      await signedIn(tab);
    }
    await page.bringToFront();
    assert.equal(await page.locator("#sessions li").count(), 2);
    await page.click("#sessions button");
    await says("The other session was signed out.");
    assert.equal(await page.locator("#sessions li").count(), 1);
    await save("too late", other);
    await says("You are signed out. Please sign in again.", other);

    await signIn("sim-no-username", other);
    await signedIn(other);
    await page.bringToFront();
    await page.click("#sign-out-everywhere");
    await says("You are signed out.");
    await signedOut();
    await save("too late", other);
    await says("You are signed out. Please sign in again.", other);
    await elsewhere.close();
  });

  test("signs in outside the Pi Browser, and leaves no token in the address", async () => {
    await page.click("#pi-sign-in");
    await page.selectOption("#persona", "sim-bob");
    await page.click("#allow");
    await signedIn();
    assert.match(await page.textContent("#user"), /bob_pioneer/);
    assert.equal(page.url(), `${server.url}/`);
    await page.reload();
    await signedIn();
    await signOut();

    await page.click("#pi-sign-in");
    await page.click("[data-error=access_denied]");
    await says("did not allow");
    assert.equal(page.url(), `${server.url}/`);
    await signedOut();
  });

  test("signs in as a new Pioneer, by the keyboard only", async () => {
    await page.focus("#sign-in");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#pi-simulator[open]");
    const focused = () => page.evaluate(() => ({ inside: Boolean(document.activeElement.closest("#pi-simulator")), id: document.activeElement.id }));
    // The whole way round: the browser's own window may be a stop, but the page behind is none.
    for (let stop = 0; stop < 10; stop++) {
      const { inside, id } = await focused();
      assert.ok(inside || id === "", id);
      await page.keyboard.press("Tab");
    }
    await page.focus("#pi-simulator input");
    for (const key of ["ArrowDown", "ArrowDown", "Tab", "Tab"]) await page.keyboard.press(key);
    assert.equal((await focused()).id, "pi-allow");
    await page.keyboard.press("Enter");
    await signedIn();
    assert.equal(await page.textContent("#user"), "crowd_pioneer");
    assert.equal(await page.isVisible("#purchases-empty"), true);
  });

  test("switches the user", async () => {
    await signIn("sim-alice");
    await signedIn();
    await page.click("#switch");
    await page.selectOption("#pi-persona", "sim-bob");
    await page.click("#pi-allow");
    await says("You are signed in.");
    assert.equal(await page.textContent("#user"), "bob_pioneer");
  });

  test("shows its messages in view on a phone, and the user can close them", async () => {
    await signIn("sim-alice");
    await signedIn();
    await page.locator("#renew").scrollIntoViewIfNeeded();
    await page.click("#renew");
    await says("The session was renewed.");
    const { y, height } = await page.locator("#status").boundingBox();
    assert.ok(y >= 0 && y + height <= 844, `${y}`);
    await page.click("#dismiss");
    assert.equal(await page.isVisible("#status"), false);
  });

  test("sends no request to another host, and says which scripts may run", async () => {
    const hosts = new Set();
    context.on("request", (request) => request.url().startsWith("data:") || hosts.add(new URL(request.url()).hostname));
    await page.reload();
    await signIn("sim-alice");
    await signedIn();
    assert.deepEqual([...hosts], ["localhost"]);
    const [, policy] = readFileSync(`${root}/demo/index.html`, "utf8").match(/http-equiv="content-security-policy" content="([^"]+)"/);
    const [, map] = readFileSync(`${root}/demo/index.html`, "utf8").match(/<script type="importmap">([^<]+)</);
    assert.ok(policy.includes(`'sha256-${createHash("sha256").update(map).digest("base64")}'`), "the hash of the import map");
    assert.doesNotMatch(policy, /unsafe|https:|\*(?!;| http|$)/);
  });

  describe("the time line", () => {
    const step = (title) => page.locator("#steps > li", { has: page.getByRole("heading", { name: title }) }).first();

    test("is empty with a sentence, and then shows each request with its answer and the code", async () => {
      assert.match(await page.textContent("#journal-empty"), /^\s*Nothing yet/);
      await signIn("sim-alice");
      await signedIn();
      await says("You are signed in.");
      assert.equal(await page.isVisible("#journal-empty"), false);
      const { token, refreshToken } = await page.evaluate(() => JSON.parse(localStorage.getItem(`pioneer-session:${location.origin}`)));
      const text = await step("Sign in").textContent();
      assert.ok(text.includes(codeOf(calls.signIn.run)));
      assert.match(text, /POST\/session200/);
      assert.match(text, /"accessToken": "sim-alice"/);
      for (const path of ["/me", "/me/data", "/products", "/sessions"]) assert.ok(text.includes(`GET${path}200`), path);
      const whole = await page.content();
      for (const secret of [token, refreshToken]) {
        assert.equal(typeof secret, "string");
        assert.ok(!whole.includes(secret.slice(0, 40)), "no whole token is on the page");
      }

      await page.click("#renew");
      await says("The session was renewed.");
      assert.match(await page.locator("#steps > li").first().textContent(), /Renew the session/);
      assert.equal(await page.locator("#steps details.step[open]").count(), 1);
      await fits();
    });

    test("shows refused requests as refused", async () => {
      await signIn("sim-other-app");
      await says(/\S/);
      const text = await step("Sign in").textContent();
      assert.match(text, /POST\/session403/);
      assert.match(text, /wrong_app/);
    });

    test("copies a request that works with curl", async () => {
      await context.grantPermissions(["clipboard-read", "clipboard-write"]);
      const copied = () => page.evaluate(() => navigator.clipboard.readText());
      const run = async () => (await execute("sh", ["-c", `${await copied()} -s --max-time 10`])).stdout;
      await signIn("sim-bob");
      await signedIn();
      await save("it's 'quoted'; $(exit 1)");
      await says("Saved.");
      await page.getByRole("button", { name: "Copy PUT /me/data as curl" }).click();
      assert.match(await copied(), /^curl -i -X PUT /);
      assert.match(await run(), /^HTTP\/1\.1 (200|204|412)/);
      await page.getByRole("button", { name: "Copy a call of your backend as curl" }).click();
      assert.match(await run(), /"username":"bob_pioneer"/);
      await page.getByRole("button", { name: "Copy the session token" }).click();
      assert.equal((await copied()).split(".").length, 3);
    });

    test("links to sections that the documentation has", () => {
      assert.equal(DOCS, JSON.parse(readFileSync(`${root}/package.json`, "utf8")).homepage);
      const anchorOf = (heading) => heading.toLowerCase().replace(/[^\w\s-]/g, "").replaceAll(" ", "-");
      for (const { title, docs } of Object.values(calls)) {
        const [name, anchor] = docs.split("#");
        const anchors = [...readFileSync(`${root}/docs/${name}.md`, "utf8").matchAll(/^## (.+)$/gm)].map(([, heading]) => anchorOf(heading));
        assert.ok(anchors.includes(anchor), `${title}: ${docs}`);
      }
    });
  });

  describe("the backend", () => {
    const profile = (headers = {}, method = "GET") => fetch(`${server.backend}/profile`, { method, headers });
    const tokenOf = async (accessToken) => {
      const body = JSON.stringify({ accessToken });
      return (await (await fetch(`${server.url}/session`, { method: "POST", headers: { "content-type": "application/json" }, body })).json()).sessionToken;
    };

    test("verifies the page's session without a request to the Worker", async () => {
      await signIn("sim-alice");
      await signedIn();
      // The backend asks for the feed every five seconds, and the call itself can start that.
      const offline = page.locator("#backend", { hasText: /Verified offline in \d+\.\d+ ms: no request to the Worker/ });
      const again = page.locator("#backend", { hasText: "Call it again" });
      await page.click("#call-backend");
      await offline.or(again).waitFor();
      if (await again.isVisible()) await page.click("#call-backend");
      await offline.waitFor();
      assert.match(await page.textContent("#backend pre"), /"uid": "a11ce000-0000-4000-8000-000000000001"/);
      assert.match(await page.textContent("#steps > li:first-child"), /requests-to-worker: 0/);
      await fits();
    });

    test("runs the code that the page shows", () => {
      const source = readFileSync(`${root}/demo/backend.mjs`, "utf8").replaceAll("\n  ", "\n");
      assert.ok(source.includes(`\n${BACKEND_CODE}\n`));
    });

    test("is missed with words, if it does not run", async () => {
      await context.route(`${server.backend}/**`, (route) => route.abort());
      await signIn("sim-alice");
      await signedIn();
      await page.click("#call-backend");
      await says("Your backend does not run.");
      assert.match(await page.textContent("#backend"), /No backend answers at http:\/\/localhost:\d+\. Start the demo/);
    });

    test("refuses requests without one valid session, and revoked sessions within seconds", async () => {
      assert.equal((await profile()).status, 401);
      assert.equal((await profile({ authorization: "Bearer x.y.z" })).status, 401);
      const token = await tokenOf("sim-crowd-1");
      const authorization = `Bearer ${token}`;
      let good = await profile({ authorization });
      // The backend asks for the feed every five seconds, and the call itself can start that.
      if (good.headers.get("requests-to-worker") !== "0") good = await profile({ authorization });
      assert.deepEqual([good.status, good.headers.get("requests-to-worker")], [200, "0"]);
      assert.equal((await good.json()).username, "crowd_pioneer");
      assert.equal((await fetch(`${server.url}/session`, { method: "DELETE", headers: { authorization } })).status, 204);
      const end = Date.now() + 15_000;
      while ((await profile({ authorization })).status === 200) {
        assert.ok(Date.now() < end, "still accepted");
        await new Promise((done) => setTimeout(done, 200));
      }
      const refused = await profile({ authorization });
      assert.deepEqual([refused.status, (await refused.json()).code], [401, "session_revoked"]);
    });

    test("permits only the page's origin to read its answers", async () => {
      const permitted = async (origin, method) => (await profile({ origin }, method)).headers.get("access-control-allow-origin");
      for (const method of ["GET", "OPTIONS"]) {
        assert.equal(await permitted(server.url, method), server.url);
        for (const origin of ["null", "https://evil.example", server.url.replace("localhost", "127.0.0.1"), `${server.url}0`]) {
          assert.equal(await permitted(origin, method), null, `${method} ${origin}`);
        }
      }
    });

    test("survives odd requests", async () => {
      const { port } = new URL(server.backend);
      const status = (path, headers = {}, method = "GET") =>
        new Promise((resolve, reject) => {
          httpRequest({ host: "127.0.0.1", port, path, method, headers }, (response) => resolve(response.resume().statusCode)).on("error", reject).end();
        });
      const token = await tokenOf("sim-crowd-2");
      assert.equal(await status("/profile", { authorization: [`Bearer ${token}`, "Bearer x"] }), 400);
      assert.equal(await status("/profile", { authorization: "Bearer \u00ff" }), 401);
      assert.equal(await status("/profile?a=//", { authorization: `Bearer ${token}` }), 200);
      assert.equal(await status("/profile", {}, "POST"), 405);
      for (const path of ["//", "//evil.example/profile", "/profile/", "/%", "http://evil.example/profile"]) assert.equal(await status(path), 404, path);
      assert.equal(await status("/profile", { authorization: `Bearer ${token}` }), 200);
    });

    test("refuses with 503 until the Worker answers, and then works", async () => {
      const port = await freePort();
      let isDown = true;
      const own = await serve({
        port,
        issuer: server.url,
        audience: "demo",
        origin: server.url,
        fetch: (url, init) => (isDown ? Promise.reject(new Error("down")) : fetch(url, init)),
      });
      try {
        const authorization = `Bearer ${await tokenOf("sim-crowd-3")}`;
        const ask = () => fetch(`http://127.0.0.1:${port}/profile`, { headers: { authorization } });
        assert.equal((await ask()).status, 503);
        isDown = false;
        const end = Date.now() + 15_000;
        let response = await ask();
        while (response.status === 503 && Date.now() < end) response = await ask();
        assert.equal(response.status, 200);
      } finally {
        await own.close();
      }
      await assert.rejects(fetch(`http://127.0.0.1:${port}/profile`));
    });
  });

  describe("the shop", () => {
    const buy = async (name, tab = page) => {
      await tab.bringToFront();
      await tab.getByRole("button", { name: new RegExp(`^Buy ${name}`) }).click();
    };
    /** Signs in the wallet, as soon as the Worker has approved the payment. */
    const pay = (tab = page) => tab.click("#pi-pay:enabled");
    const walletCloses = (tab = page) => tab.waitForSelector("#pi-wallet", { state: "detached" });
    const purchases = (tab = page) => tab.locator("#purchases li").allTextContents();
    /** What Pi has of the payments of this order. */
    const atPi = async (orderId) => {
      const { port, protocol, hostname } = new URL(server.url);
      const { payments } = await (await fetch(`${protocol}//${hostname}:${Number(port) + 1}/simulator/ledger`)).json();
      return payments.filter(({ metadata }) => metadata.orderId === orderId);
    };
    /** Resolves with the next order's id. */
    const ordered = async (tab = page) => (await (await tab.waitForResponse((response) => response.url() === `${server.url}/orders`)).json()).orderId;

    test("sells a product, and lists the purchase once, also after a reload", async () => {
      await signIn("sim-alice");
      await signedIn();
      await fits();
      assert.deepEqual(await purchases(), []);
      const order = ordered();
      let approve;
      const isShown = new Promise((done) => (approve = done));
      await context.route("**/payments/*/approve", async (route) => {
        await isShown;
        await route.continue();
      });
      await buy("A cup of coffee");
      await says("Waiting for the service to approve");
      approve();
      await says("Pay in the wallet");
      await context.unroute("**/payments/*/approve");
      await fits();
      assert.equal(await page.textContent("#pi-pay-amount"), "3.14 π (test)");
      await pay();
      await says("You have bought A cup of coffee for 3.14");
      assert.equal(await page.locator("#pi-pay:visible").count(), 0, "the wallet offers nothing that is bought");
      await walletCloses();
      const list = await purchases();
      assert.equal(list.length, 1);
      assert.match(list[0], /^A cup of coffee, 3\.14 test-π/);
      const [payment, ...others] = await atPi(await order);
      assert.deepEqual(others, []);
      assert.equal(payment.status.developer_completed, true);

      await page.reload();
      await signedIn();
      assert.deepEqual(await purchases(), list);
      // The SDK has forgotten who there is, so it asks.
      await buy("A crumb of cake");
      await page.click("#pi-allow");
      await page.waitForSelector("#pi-wallet");
      assert.equal(await page.textContent("#pi-pay-amount"), "0.0000001 π (test)");
      // The text stays for a second, and `waitFor` looks twice a second.
      const confirmed = page.waitForFunction(() => document.querySelector("#pi-wallet")?.textContent.includes("The app has confirmed the payment."));
      await pay();
      await confirmed;
      await says("You have bought A crumb of cake for 0.0000001");
      assert.equal((await purchases()).length, 2);
    });

    test("sells nothing when the payment is cancelled, by the button or by Escape, and the next payment works", async () => {
      await signIn("sim-bob");
      await signedIn();
      for (const cancel of [() => page.click("#pi-pay-cancel"), () => page.keyboard.press("Escape")]) {
        const order = ordered();
        await buy("A cup of coffee");
        await says("Pay in the wallet");
        await cancel();
        await says("The payment was cancelled");
        assert.deepEqual(await purchases(), []);
        assert.equal((await atPi(await order))[0].transaction, null);
      }
      await buy("A cup of coffee");
      // The focus waits at the heading, and goes to Pay once that works.
      await page.locator("#pi-pay:focus").waitFor();
      await page.keyboard.press("Enter");
      await says("You have bought A cup of coffee");
      assert.equal((await purchases()).length, 1);
    });

    test("a tab that is closed after paying loses nothing: the next sign-in finishes it", async () => {
      await signIn("sim-no-username");
      await signedIn();
      const before = (await purchases()).length;
      await context.route("**/payments/*/complete", (route) => route.abort());
      const order = ordered();
      await buy("A cup of coffee");
      await pay();
      await says("Trying again in a few seconds");
      const [payment] = await atPi(await order);
      assert.equal(payment.status.developer_completed, false);
      await page.close();
      await context.unroute("**/payments/*/complete");

      page = await open();
      await signedIn(); // by what the closed tab has stored
      await signOut();
      await signIn("sim-no-username");
      await says("An earlier payment of 3.14 test-π has just been completed");
      assert.equal((await purchases()).length, before + 1);
      const [paid, ...others] = await atPi(await order);
      assert.deepEqual(others, []);
      assert.equal(paid.status.developer_completed, true);
      assert.equal(paid.transaction.txid, payment.transaction.txid);
    });

    test("a page that asks for another amount sells nothing: refused, the wallet closes", async () => {
      await signIn("sim-bob");
      await signedIn();
      const before = await purchases();
      await context.route("**/orders", async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, json: { ...(await response.json()), amount: "0.01" } });
      });
      const order = ordered();
      await buy("A cup of coffee");
      await says("The payment did not match your order. You were not charged.");
      await walletCloses();
      assert.deepEqual(await purchases(), before);
      const { cancelled, developer_approved: approved } = (await atPi(await order))[0].status;
      assert.deepEqual([cancelled, approved], [true, false]);
    });
  });

  describe("in every engine", () => {
    for (const name of ENGINES) {
      test(`${browsers[name].name}: a user signs in, reloads, buys, opens a second tab, leaves, comes back and signs out`, { skip: isMissing(name) }, async () => {
        const engine = await openEngine(name);
        try {
          const user = await engine.newContext();
          const first = await user.newPage();
          const isSignedIn = (tab) => tab.waitForElement("#signed-in");
          const isSaying = (tab, text) => tab.waitForElement("#status", text);
          const claimsOf = async (tab) => JSON.parse(await tab.text("#claims"));

          await first.goto(server.url);
          await first.click("#sign-in");
          await first.fill("#pi-persona", "sim-alice");
          await first.click("#pi-allow");
          await isSaying(first, "You are signed in.");
          const claims = await claimsOf(first);
          assert.equal(claims.preferred_username, "alice_pioneer");

          await first.reload();
          await isSignedIn(first);
          assert.equal((await claimsOf(first)).jti, claims.jti);

          const bought = await first.evaluate(() => document.querySelectorAll("#purchases li").length);
          await first.click("#products button", "Buy A cup of coffee");
          await first.click("#pi-allow"); // since the reload, the SDK does not know who there is
          await first.click("#pi-pay");
          await isSaying(first, "You have bought A cup of coffee");
          assert.equal(await first.evaluate(() => document.querySelectorAll("#purchases li").length), bought + 1);

          const second = await first.popup(server.url);
          await isSignedIn(second);
          assert.equal((await claimsOf(second)).sid, claims.sid);
          await second.click("#renew");
          await isSaying(second, "The session was renewed.");
          await first.click("#renew");
          await isSaying(first, "The session was renewed.");

          await first.goto("about:blank");
          await first.back();
          await isSignedIn(first);
          await first.fill("#note", `seen in ${name}`);
          await first.click("#save");
          await isSaying(first, "Saved.");

          await first.click("#sign-out");
          await isSaying(first, "You are signed out.");
          await second.waitForElement("#signed-out"); // told by the first tab
          assert.deepEqual(await user.errors(), []);
        } finally {
          await engine.close();
        }
      });
    }
  });

  describe("in a frame of another site", () => {
    let host;

    before(async () => {
      // For a browser, localhost and 127.0.0.1 are two sites.
      host = createServer((request, response) => {
        const page = request.url === "/cookie" ? `${server.url}/?cookie` : server.url;
        response.writeHead(200, { "content-type": "text/html" }).end(`<!doctype html><iframe src="${page}" width="380" height="800"></iframe>`);
      });
      await new Promise((done) => host.listen(0, "127.0.0.1", done));
    });

    after(async () => {
      host.closeAllConnections();
      await new Promise((done) => host.close(done));
    });

    /** Opens the page in a frame; also says what the browser does there with a cookie and with storage. */
    async function frameIn(profile, path = "/") {
      const tab = watch(await profile.newPage());
      tab.setDefaultTimeout(15_000);
      await tab.goto(`http://127.0.0.1:${host.address().port}${path}`);
      const frame = tab.frames().find((candidate) => candidate.url().startsWith(server.url));
      await frame.waitForSelector("#sign-in");
      const allows = await frame.evaluate(() => {
        document.cookie = "probe=1; SameSite=None; Secure";
        const cookies = document.cookie.includes("probe=1");
        document.cookie = "probe=; SameSite=None; Secure; Max-Age=0";
        try {
          return { cookies, storage: Boolean(sessionStorage) };
        } catch {
          return { cookies, storage: false };
        }
      });
      return { tab, frame, allows };
    }

    async function use(frame) {
      assert.match(await frame.textContent("#user"), /alice_pioneer/);
      assert.equal(await frame.isVisible("#pi-sign-in"), false);
      await frame.fill("#note", "from the frame");
      await frame.click("#save");
      await says("Saved.", frame);
      await frame.click("#sign-out");
      await says("You are signed out.", frame);
    }

    for (const thirdPartyCookies of [true, false]) {
      test(`B6: works with third-party cookies ${thirdPartyCookies ? "allowed" : "blocked"}`, async () => {
        const profile = await openProfile(join(state, `profile-${thirdPartyCookies}`), { thirdPartyCookies });
        try {
          const { tab, frame, allows } = await frameIn(profile);
          assert.deepEqual(allows, { cookies: thirdPartyCookies, storage: thirdPartyCookies }, "the browser does as this test assumes");
          await signIn("sim-alice", frame, tab);
          await signedIn(frame);
          await use(frame);
        } finally {
          await profile.close();
        }
      });

      test(`B6: works with the Worker's cookie, and third-party cookies ${thirdPartyCookies ? "allowed" : "blocked"}`, async () => {
        const profile = await openProfile(join(state, `cookie-${thirdPartyCookies}`), { thirdPartyCookies });
        try {
          const { tab, frame } = await frameIn(profile, "/cookie");
          await signIn("sim-alice", frame, tab);
          await signedIn(frame);
          // Partitioned: a reload in the frame finds it, the page itself, elsewhere, does not.
          await frame.goto(`${server.url}/?cookie`);
          await signedIn(frame);
          const alone = watch(await profile.newPage());
          await alone.goto(`${server.url}/?cookie`);
          await alone.waitForSelector("#signed-out");
          await tab.bringToFront();
          await frame.click("#renew");
          await says("The session was renewed.", frame);
          await use(frame);
          assert.deepEqual(await profile.cookies(), []);
        } finally {
          await profile.close();
        }
      });
    }
  });
});
