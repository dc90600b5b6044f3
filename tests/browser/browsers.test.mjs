// The frontend module in each engine that Pi users have, against the built Worker: Chromium (Pi
// Browser on Android), WebKit (Pi Browser on iOS) and Firefox. tests/browser/browser.test.mjs has
// all its behaviour; here is the part that the engines do differently: storage, tabs, and requests
// of pages that are left.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { browsers, root } from "../../scripts/paths.mjs";
import { ENGINES, isMissing, openEngine } from "../support/browser.mjs";
import { startIssuer, startSimulator } from "../support/workers.mjs";

const ALICE = "a11ce000-0000-4000-8000-000000000001";

const PAGE = `<!doctype html><title>An app</title><script type="module">
  import * as api from "/browser.mjs";
  const Pi = { authenticate: async () => ({ accessToken: "sim-alice" }) };
  window.ended = [];
  const options = (issuer, storage) => ({ issuer, storage: window[storage], onSignedOut: (error) => ended.push(error?.code ?? null) });
  window.signIn = async (issuer, storage) => {
    // On a busy machine, the first use of IndexedDB in a new profile can take longer than the
    // module waits for it.
    await new Promise((done) => {
      const first = indexedDB.open("first");
      first.onsuccess = first.onerror = done;
    });
    window.session = await api.signIn(Pi, options(issuer, storage));
    return session.user.uid;
  };
  window.resume = async (issuer, storage) => {
    window.session = await api.resume(options(issuer, storage));
    return session?.user.uid ?? null;
  };
  window.states = [];
  window.follow = (issuer) => {
    window.store = api.pageSession({ issuer, storage: () => localStorage, getPi: () => Pi });
    store.subscribe(({ status, user }) => states.push(status + (user ? " " + user.uid : "")));
  };
  // The status of a request with the session, or the code of why there was none.
  window.visit = (url) => session.fetch(url).then(({ status }) => status, (error) => error.code ?? String(error));
  window.renew = () => session.renew().then(() => "renewed", (error) => error.code ?? String(error));
  window.isReady = true;
</script>`;

/** A server on loopback. */
async function serve(answer) {
  const server = createServer(answer);
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

/** Serves the page at every path, and the module. */
const serveApp = () =>
  serve((request, response) => {
    const isModule = request.url === "/browser.mjs";
    const type = isModule ? "text/javascript" : "text/html";
    response.writeHead(200, { "content-type": type, "cache-control": "no-cache" }).end(isModule ? readFileSync(`${root}/pkg/wasm/browser.mjs`) : PAGE);
  });

// Longer than it takes a page to be left.
const SLOW_MS = 500;

/**
 * The network between the pages and the issuer at `target()`. While `isSlow`, it holds each
 * preflight back. It loses as many answers to refreshes as `losing` says: the issuer has done its
 * work then, and the page does not know.
 */
async function openNetwork(target) {
  const pass = async (request, response) => {
    const { method, url, headers } = request;
    const body = Buffer.concat(await request.toArray());
    if (network.isSlow && method === "OPTIONS") await new Promise((done) => setTimeout(done, SLOW_MS));
    const { host, connection, ...others } = headers;
    const answer = await fetch(target() + url, { method, headers: others, body: body.length > 0 ? body : undefined, redirect: "manual" });
    if (method === "POST" && url === "/session/refresh" && network.losing > 0) {
      network.losing -= 1;
      return request.socket.destroy();
    }
    const { "content-encoding": _, "content-length": __, "transfer-encoding": ___, ...rest } = Object.fromEntries(answer.headers);
    response.writeHead(answer.status, rest).end(Buffer.from(await answer.arrayBuffer()));
  };
  // A page can be left while it sends a request, and the issuer can be gone.
  const network = await serve((request, response) => pass(request, response).catch(() => response.destroy()));
  return network;
}

describe("the frontend module in every engine", { timeout: 1_200_000 }, () => {
  let app;
  let simulator;
  let network;
  let issuer;

  before(async () => {
    app = await serveApp();
    simulator = await startSimulator();
    network = await openNetwork(() => issuer.url);
    issuer = await startIssuer({ pi: simulator.url, allowedOrigin: app.url, variables: { SESSION_ISSUER: network.url } });
  });

  after(async () => {
    for (const server of [network, issuer, simulator, app]) await server?.close();
  });

  /** How the issuer itself sees a session token. */
  const standing = async (token) => {
    const response = await fetch(`${issuer.url}/session`, { headers: { authorization: `Bearer ${token}` } });
    return response.ok ? "live" : (await response.json()).code;
  };
  const sidOf = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url")).sid;
  /** Waits until the issuer sees the token so, because the request of a page that was left may still be under way. */
  async function becomes(token, expected) {
    let seen;
    for (let tries = 0; tries < 50 && seen !== expected; tries++) {
      seen = await standing(token);
      if (seen !== expected) await new Promise((done) => setTimeout(done, 100));
    }
    assert.equal(seen, expected);
  }

  for (const name of ENGINES) {
    describe(browsers[name].name, { skip: isMissing(name) }, () => {
      let engine;
      let context;
      let page;

      before(async () => {
        engine = await openEngine(name);
      });

      after(() => engine?.close());

      beforeEach(async () => {
        network.isSlow = false;
        network.losing = 0;
        context = await engine.newContext();
        page = await ready(await context.newPage());
      });

      afterEach(async () => {
        const errors = await context.errors();
        await context.close();
        assert.deepEqual(errors, []);
      });

      async function ready(tab) {
        await tab.goto(app.url);
        await loaded(tab, "/");
        return tab;
      }
      const loaded = (tab, path) => tab.waitFor((path) => location.pathname === path && window.isReady, path);
      const openCopy = async (tab, path = "/copy") => {
        const copy = await tab.popup(app.url + path);
        await loaded(copy, path);
        return copy;
      };
      const signIn = (tab = page, storage = "sessionStorage") => tab.evaluate((...given) => signIn(...given), network.url, storage);
      const resume = (tab = page, storage = "sessionStorage") => tab.evaluate((...given) => resume(...given), network.url, storage);
      const visit = (tab = page) => tab.evaluate((url) => visit(url), `${network.url}/session`);
      const renew = (tab = page) => tab.evaluate(() => renew());
      const token = (tab = page) => tab.evaluate(() => session.token);

      test("signs in, renews, and keeps the session after a reload", async (t) => {
        t.diagnostic(`${name}: ${JSON.stringify(await page.evaluate(() => ({
          webLocks: Boolean(navigator.locks),
          broadcastChannel: typeof BroadcastChannel === "function",
          agent: navigator.userAgent,
        })))}`);
        assert.equal(await signIn(), ALICE);
        assert.equal(await visit(), 200);
        const first = await token();
        assert.equal(await renew(), "renewed");
        const second = await token();
        assert.notEqual(second, first);

        await page.reload();
        await loaded(page, "/");
        assert.equal(await resume(), ALICE);
        assert.equal(await token(), second);
        assert.equal(await visit(), 200);
        assert.equal(await renew(), "renewed");
      });

      test("two tabs that renew at the same moment both go on, again and again", async () => {
        await signIn(page, "localStorage");
        const other = await ready(await context.newPage());
        assert.equal(await resume(other, "localStorage"), ALICE);
        for (let round = 0; round < 3; round++) {
          assert.deepEqual(await Promise.all([renew(), renew(other)]), ["renewed", "renewed"]);
          assert.deepEqual([await visit(), await visit(other)], [200, 200]);
        }
        assert.deepEqual([await page.evaluate(() => ended), await other.evaluate(() => ended)], [[], []]);
      });

      test("a tab that window.open opens goes on with the copied session, and so does its opener", async () => {
        await signIn();
        const copy = await openCopy(page);
        assert.equal(await resume(copy), ALICE);
        assert.equal(await visit(copy), 200);
        assert.equal(await renew(copy), "renewed");
        assert.equal(await renew(), "renewed");
        assert.deepEqual([await visit(), await visit(copy)], [200, 200]);
        await copy.close();
        assert.equal(await visit(), 200);
      });

      test("a page that the user leaves and comes back to has its session, kept by the engine or loaded again", async (t) => {
        await signIn();
        await page.goto(`${app.url}/elsewhere`);
        await loaded(page, "/elsewhere");
        assert.equal(await resume(), ALICE);
        assert.equal(await renew(), "renewed");
        await page.back();
        await loaded(page, "/");
        const wasKept = await page.evaluate(() => Boolean(window.session));
        t.diagnostic(`${name} ${wasKept ? "kept the page" : "loaded the page anew"}`);
        if (!wasKept) assert.equal(await resume(), ALICE);
        assert.equal(await visit(), 200);
        assert.equal(await renew(), "renewed");
      });

      for (const [which, storage, open] of [
        ["the other tab", "localStorage", async () => ready(await context.newPage())],
        ["a copy of the page", "sessionStorage", () => openCopy(page)],
      ]) {
        test(`signing out revokes the session at the issuer and in ${which}`, async () => {
          await signIn(page, storage);
          const other = await open();
          await resume(other, storage);
          const last = await token();
          await page.evaluate(() => session.signOut());
          assert.equal(await standing(last), "session_revoked");
          // The other page learns of it, and asks nobody.
          await other.waitFor(() => ended.length === 1);
          assert.equal(await visit(other), "signed_out");
          assert.equal(await resume(page, storage), null);
          assert.equal(await resume(other, storage), null);
        });
      }

      test("the store of a page: signs in, finds the session in another tab, and both see the sign-out", async () => {
        const follow = (tab) => tab.evaluate((issuer) => follow(issuer), network.url);
        const shows = (tab, state) => tab.waitFor((state) => states.at(-1) === state, state);
        await follow(page);
        await shows(page, "signedOut");
        await page.evaluate(() => store.signIn());
        await shows(page, `signedIn ${ALICE}`);
        const other = await ready(await context.newPage());
        await follow(other);
        await shows(other, `signedIn ${ALICE}`);
        await other.evaluate(() => store.signOut());
        await shows(page, "signedOut");
        assert.deepEqual(await other.evaluate(() => states), ["loading", `signedIn ${ALICE}`, "signedOut"]);
        assert.deepEqual(await page.evaluate(() => states), ["loading", "signedOut", "signingIn", `signedIn ${ALICE}`, "signedOut"]);
      });

      test("keeps a key that no script can read over a reload, and signs with it", async () => {
        // What the engine must do for a refresh token that is bound to a key.
        const open = (upgrade) => new Promise((resolve, reject) => {
          const request = indexedDB.open("keys", 1);
          request.onupgradeneeded = () => upgrade(request.result);
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(request.error);
        });
        const { kty, crv, x, y } = await page.evaluate(`async () => {
          const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
          const transaction = (await (${open})((database) => database.createObjectStore("keys"))).transaction("keys", "readwrite");
          transaction.objectStore("keys").add(pair, "key");
          await new Promise((resolve, reject) => Object.assign(transaction, { oncomplete: resolve, onabort: () => reject(transaction.error) }));
          return crypto.subtle.exportKey("jwk", pair.publicKey);
        }`);
        await page.reload();
        const signed = await page.evaluate(`async () => {
          const request = (await (${open})()).transaction("keys").objectStore("keys").get("key");
          const { privateKey } = await new Promise((resolve, reject) => Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) }));
          const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, privateKey, new TextEncoder().encode("proof"));
          const exported = await crypto.subtle.exportKey("jwk", privateKey).then(() => "exported", (error) => error.name);
          return { extractable: privateKey.extractable, exported, signature: [...new Uint8Array(signature)] };
        }`);
        assert.equal(signed.extractable, false);
        assert.equal(signed.exported, "InvalidAccessError");
        const key = await crypto.subtle.importKey("jwk", { kty, crv, x, y }, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
        const holds = await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, Uint8Array.from(signed.signature), new TextEncoder().encode("proof"));
        assert.equal(holds, true);
      });

      test("a renewal whose answer is lost is repeated, and the session goes on", async () => {
        await signIn();
        const sid = sidOf(await token());
        network.losing = 1;
        assert.equal(await renew(), "renewed");
        assert.equal(network.losing, 0);
        assert.equal(await visit(), 200);
        assert.equal(await renew(), "renewed");
        assert.equal(sidOf(await token()), sid);
        assert.deepEqual(await page.evaluate(() => ended), []);
      });

      for (const [how, leave] of [
        ["is left", (tab) => tab.evaluate(() => location.assign("/bye"))],
        ["is closed", (tab) => tab.close()],
      ]) {
        test(`a request with keepalive and a preflight arrives although its page ${how} immediately`, async () => {
          const tab = await ready(await context.newPage());
          await signIn(tab);
          const last = await token(tab);
          network.isSlow = true;
          // A path that nothing has asked for yet, so the engine has no answer to its preflight.
          await tab.evaluate((url) => {
            fetch(url, { method: "DELETE", keepalive: true, headers: { authorization: `Bearer ${session.token}` } });
          }, `${network.url}/sessions`);
          await leave(tab);
          await becomes(last, "session_revoked");
        });
      }

      for (const [how, leave] of [
        ["is left", (tab) => tab.evaluate(() => location.assign("/bye"))],
        ["is closed", (tab) => tab.close()],
      ]) {
        test(`signing out revokes the session at the issuer although the page ${how} immediately`, async () => {
          const tab = await ready(await context.newPage());
          await signIn(tab);
          const last = await token(tab);
          network.isSlow = true;
          await tab.evaluate(() => void session.signOut());
          await leave(tab);
          await becomes(last, "session_revoked");
        });
      }

      test("a page that was left is signed out when the user comes back to it, if that happened meanwhile", async () => {
        await signIn(page, "localStorage");
        await page.goto(`${app.url}/elsewhere`);
        await loaded(page, "/elsewhere");
        assert.equal(await resume(page, "localStorage"), ALICE);
        await page.evaluate(() => session.signOut());
        await page.back();
        await loaded(page, "/");
        if (await page.evaluate(() => Boolean(window.session))) await page.waitFor(() => ended.length === 1);
        else assert.equal(await resume(page, "localStorage"), null);
      });

      for (const [how, storage, open] of [
        ["a copy of the page", "sessionStorage", () => openCopy(page)],
        ["another tab", "localStorage", async () => ready(await context.newPage())],
      ]) {
        test(`${how} that comes after two renewals goes on with the same session`, async () => {
          await signIn(page, storage);
          const sid = sidOf(await token());
          const other = await open();
          assert.equal(await resume(other, storage), ALICE);
          assert.deepEqual([await renew(), await renew()], ["renewed", "renewed"]);
          assert.equal(await renew(other), "renewed");
          assert.equal(await renew(), "renewed");
          assert.deepEqual([await visit(), await visit(other)], [200, 200]);
          assert.deepEqual([sidOf(await token()), sidOf(await token(other))], [sid, sid]);
          assert.deepEqual([await page.evaluate(() => ended), await other.evaluate(() => ended)], [[], []]);
        });
      }

      test("a session survives five lost answers, and is still the same one", async () => {
        await signIn();
        const sid = sidOf(await token());
        network.losing = 5;
        // A renewal may give up on such a network. It must then leave a session that renews the
        // next time.
        for (let tries = 0; tries < 5 && (await renew()) !== "renewed"; tries++) assert.equal(await visit(), 200);
        assert.equal(await renew(), "renewed");
        assert.equal(network.losing, 0);
        assert.equal(await visit(), 200);
        assert.equal(sidOf(await token()), sid);
      });

      test("a stolen copy of the storage renews nothing in another browser, and its owner's session goes on", async () => {
        await signIn(page, "localStorage");
        const sid = sidOf(await token());
        const stolen = await page.evaluate(() => ({ ...localStorage }));
        const thief = await engine.newContext();
        try {
          const theirs = await ready(await thief.newPage());
          await theirs.evaluate((stolen) => Object.assign(localStorage, stolen), stolen);
          await resume(theirs, "localStorage");
          assert.notEqual(await renew(theirs), "renewed");
        } finally {
          await thief.close();
        }
        assert.equal(await renew(), "renewed");
        assert.equal(await visit(), 200);
        assert.equal(sidOf(await token()), sid);
      });

      test("the session goes on over a reload with the key that the page made, which no script can read", async () => {
        await signIn();
        const sid = sidOf(await token());
        await page.reload();
        await loaded(page, "/");
        await resume();
        assert.equal(await renew(), "renewed");
        assert.equal(sidOf(await token()), sid);
        const extractable = await page.evaluate(async () => {
          const wait = (request) => new Promise((resolve, reject) => Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) }));
          const database = await wait(indexedDB.open("pioneer-session"));
          const found = [];
          const look = (value) => {
            if (value instanceof CryptoKey) found.push([value.type, value.extractable]);
            else if (value && typeof value === "object") Object.values(value).forEach(look);
          };
          for (const name of database.objectStoreNames) look(await wait(database.transaction(name).objectStore(name).getAll()));
          database.close();
          return found.filter(([type]) => type === "private").map(([, extractable]) => extractable);
        });
        assert.deepEqual(extractable, [false]);
      });
    });
  }
});
