// The demo page in a real browser, against everything that `npm start` serves.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { root } from "../scripts/paths.mjs";
import { openBrowser } from "./browser.mjs";

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
    [server, browser] = await Promise.all([start(state), openBrowser()]);
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

  /** A tab with the page in it. Chromium itself reports refused requests; anything else is a mistake. */
  async function open() {
    const tab = await context.newPage();
    tab.on("pageerror", (error) => errors.push(error.message));
    tab.on("console", (message) => {
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) errors.push(message.text());
    });
    await tab.goto(server.url);
    return tab;
  }

  // A tab behind another is slow to take clicks, so the one to be used comes to the front.
  const askToSignIn = async (tab = page) => {
    await tab.bringToFront();
    await tab.click("#sign-in");
    await tab.waitForSelector("#pi-simulator[open]");
  };
  const signIn = async (persona, tab = page) => {
    await askToSignIn(tab);
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
  const says = (pattern, tab = page) => tab.locator("#status", { hasText: pattern }).waitFor();
  const progress = (tab = page) => tab.inputValue("#progress");
  const signedOut = async () => {
    assert.equal(await page.isVisible("#signed-out"), true);
    assert.equal(await page.isVisible("#signed-in"), false);
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  };
  const fits = async () => assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));

  test("signs in, stays so over a reload, and keeps each user's progress", async () => {
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

  test("does not overwrite what another tab has saved", async () => {
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

  test("is signed out when the session has ended", async () => {
    await signIn("sim-bob");
    await signedIn();
    const status = await page.evaluate(async () => {
      const authorization = `Bearer ${sessionStorage.getItem("session")}`;
      return (await fetch("/session", { method: "DELETE", headers: { authorization } })).status;
    });
    assert.equal(status, 204);
    await save("too late");
    await says("The session was ended.");
    await signedOut();
  });

  test("signs nobody in with a token that Pi refuses", async () => {
    await signIn("sim-revoked");
    await says("Pi does not accept this access token.");
    await signedOut();
  });

  test("signs nobody in when the dialog is cancelled", async () => {
    for (const cancel of [() => page.click("#pi-cancel"), () => page.keyboard.press("Escape")]) {
      await askToSignIn();
      await cancel();
      await says("cancelled");
      await signedOut();
    }
  });
});
