// The demo page in real browsers, against everything that `npm start` serves: all of it in
// Chromium, and one user's visit in every engine.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { browsers, root } from "../../scripts/paths.mjs";
import { ENGINES, isMissing, openBrowser, openEngine, openProfile } from "../support/browser.mjs";

/** A free port whose successor is free as well. */
async function portPair() {
  const listen = async (port) => {
    const server = createServer().listen(port, "127.0.0.1");
    await once(server, "listening");
    return server;
  };
  for (let tries = 0; tries < 50; tries++) {
    const first = await listen(0);
    const { port } = first.address();
    const second = await listen(port + 1).catch(() => undefined);
    for (const server of [first, second]) if (server) await once(server.close(), "close");
    if (second) return port;
  }
  throw new Error("No two neighbouring ports are free.");
}

/** Starts everything; resolves with the process and the page's URL once it is ready. */
async function start(state) {
  const port = await portPair();
  const child = spawn(process.execPath, ["scripts/start.mjs"], {
    cwd: root,
    env: { ...process.env, PORT: String(port), STATE: state, QUIET: "" },
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
  return { child, url };
}

describe("the demo page", { timeout: 600_000 }, () => {
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
    await tab.fill("#progress", text);
    await tab.click("#save");
  };
  const says = (pattern, tab = page) =>
    tab.locator("#status", { hasText: pattern }).waitFor().catch(async () => {
      assert.match(await tab.textContent("#status"), new RegExp(pattern));
    });
  const progress = (tab = page) => tab.inputValue("#progress");
  const signedOut = async () => {
    assert.equal(await page.isVisible("#signed-out"), true);
    assert.equal(await page.isVisible("#signed-in"), false);
    const kept = () => [sessionStorage, localStorage].flatMap(Object.keys).filter((key) => key.startsWith("pioneer-session:http"));
    assert.deepEqual(await page.evaluate(kept), []);
  };
  const fits = async () => assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));

  test("signs in, stays signed in after a reload, and keeps each user's progress", async () => {
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
    assert.equal(await progress(), "level 7");
    await signOut();

    await signIn("sim-bob");
    await signedIn();
    assert.match(await page.textContent("#user"), /bob_pioneer/);
    assert.equal(await progress(), "");
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
    assert.equal(await progress(other), "mine");
    await save("merged", other);
    await says("Saved.", other);
    await save("stale", page);
    await says("changed elsewhere", page);
    assert.equal(await progress(page), "merged");
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
    await says("That did not work. Please try again.");
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
      await buy("A cup of coffee");
      await says("Waiting for the service to approve");
      await says("Pay in the wallet");
      await fits();
      await pay();
      await says("You have bought A cup of coffee for 3.14");
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
      await pay();
      await says("You have bought A crumb of cake for 0.0000001");
      assert.equal((await purchases()).length, 2);
    });

    test("sells nothing when the payment is cancelled, and the next payment works", async () => {
      await signIn("sim-bob");
      await signedIn();
      const order = ordered();
      await buy("A cup of coffee");
      await says("Pay in the wallet");
      await page.click("#pi-pay-cancel");
      await says("The payment was cancelled");
      assert.deepEqual(await purchases(), []);
      assert.equal((await atPi(await order))[0].transaction, null);
      await buy("A cup of coffee");
      await pay();
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
      await says("That did not work. Please try again.");
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
          await first.fill("#progress", `seen in ${name}`);
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
      host = createHttpServer((request, response) => {
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
      await frame.fill("#progress", "from the frame");
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
