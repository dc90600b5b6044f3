// The store of a page, with the hook for React and the recipe for Vue, in Chromium: components
// agree at each commit, and the page follows the other tabs.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { buildSync } from "esbuild";
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { pageSession } from "pioneer-session/browser";
import { useSession } from "pioneer-session/react";
import { root } from "../../scripts/paths.mjs";
import { read } from "../docs/document.mjs";
import { fences } from "../docs/fences.mjs";
import { openBrowser } from "../support/browser.mjs";
import { startIssuer, startSimulator } from "../support/workers.mjs";

/** Two components that show the state, and one that is mounted later. It is the code of an app. */
const APP = `
  import { StrictMode, useState } from "react";
  import { createRoot, hydrateRoot } from "react-dom/client";
  import { pageSession } from "pioneer-session/browser";
  import { useSession } from "pioneer-session/react";

  const issuer = new URLSearchParams(location.search).get("issuer");
  window.asked = 0;
  window.persona = "sim-alice";
  window.Pi = { async authenticate() {
    window.asked += 1;
    await window.gate;
    if (!window.persona) throw new Error("User cancelled the authentication");
    return { accessToken: window.persona };
  }, createPayment(data, callbacks) {
    window.wallet = data;
    callbacks.onCancel("none");
  } };

  const outside = location.pathname === "/outside" && { clientId: "app", redirectUri: location.href.split("#")[0] };
  const options = () => ({ ...outside, issuer, scopes: ["username", "payments"], storage: () => localStorage, onSignedOut: (error) => ended.push(error?.code ?? null) });
  window.ended = [];
  window.pageSession = pageSession;
  window.options = options;
  window.session = pageSession(options());

  function Part({ id }) {
    const { status, user, error, signIn, signOut } = useSession(session);
    if (status === "signedIn") return <p id={id}>signedIn {user.username} <button onClick={signOut}>Sign out</button></p>;
    return <p id={id}>{status} {error?.message} {status !== "loading" && <button disabled={status === "signingIn"} onClick={signIn}>Sign in</button>}</p>;
  }

  export function App() {
    const [isLate, setLate] = useState(false);
    return <><Part id="a" /><Part id="b" />{isLate && <Part id="late" />}<button id="more" onClick={() => setLate(true)}>More</button></>;
  }

  // What a person sees after each commit.
  window.seen = [];
  const textOf = (id) => document.getElementById(id)?.textContent.replace(/ *Sign (in|out)$/, "").trim();
  const look = () => textOf("a") && seen.push([textOf("a"), textOf("b"), textOf("late")].filter((text) => text !== undefined));
  const place = document.getElementById("root");
  new MutationObserver(look).observe(place, { childList: true, subtree: true, characterData: true, attributes: true });
  look();
  window.recovered = [];
  const app = <StrictMode><App /></StrictMode>;
  if (place.hasChildNodes()) hydrateRoot(place, app, { onRecoverableError: (error) => recovered.push(String(error)) });
  else createRoot(place).render(app);
`;

/** The recipe of the document, with two components that use it. The second is removed and added. */
const VUE = () => {
  const recipe = fences(read("docs/browser.md"), "docs/browser.md").find(({ text }) => text.includes('from "vue"')).text;
  return `
    import { createApp, h, ref } from "vue";
    window.Pi = { authenticate: async () => ({ accessToken: "sim-alice" }) };
    ${recipe.replace('"https://session.example.com"', 'new URLSearchParams(location.search).get("issuer")')}
    window.session = page;
    window.isShown = ref(true);
    const Part = { setup() {
      const state = useSession();
      return () => h("p", { onClick: state.value.status === "signedIn" ? state.value.signOut : state.value.signIn }, [state.value.status, " ", state.value.user?.username]);
    } };
    createApp({ render: () => [h(Part), isShown.value && h(Part)] }).mount("#root");
  `;
};

/** An app as its own bundler makes it: from the exports of the package. */
const bundle = (contents, loader) => {
  const options = { bundle: true, format: "esm", target: "es2022", write: false, jsx: "automatic", define: { "process.env.NODE_ENV": '"development"' } };
  return buildSync({ ...options, stdin: { contents, resolveDir: root, loader } }).outputFiles[0].text;
};

describe("the session of a page, in React and Vue", { timeout: 600_000 }, () => {
  let app;
  let simulator;
  let issuer;
  let browser;
  let context;
  let page;
  let rendered = "";
  let errors;

  before(async () => {
    const scripts = { "/react.mjs": bundle(APP, "jsx"), "/vue.mjs": bundle(VUE(), "ts") };
    app = createServer((request, response) => {
      const script = scripts[request.url];
      if (script) return response.writeHead(200, { "content-type": "text/javascript" }).end(script);
      const name = request.url.startsWith("/vue") ? "vue" : "react";
      return response.writeHead(200, { "content-type": "text/html" }).end(`<!doctype html><div id="root">${rendered}</div><script type="module" src="/${name}.mjs"></script>`);
    });
    await new Promise((done) => app.listen(0, "127.0.0.1", done));
    app.url = `http://127.0.0.1:${app.address().port}`;
    simulator = await startSimulator();
    issuer = await startIssuer({ pi: simulator.url, allowedOrigin: app.url });
    await issuer.sell("coffee", "A cup of coffee", 31_400_000);
    browser = await openBrowser();
  });

  after(async () => {
    await browser?.close();
    await issuer?.close();
    await simulator?.close();
    app.closeAllConnections();
    await new Promise((done) => app.close(done));
  });

  beforeEach(async () => {
    rendered = "";
    errors = [];
    context = await browser.newContext();
    context.setDefaultTimeout(15_000);
    context.on("weberror", (error) => errors.push(error.error().message));
    page = await open();
    await shows(page, "signedOut");
  });

  afterEach(() => context.close());

  const open = async (path = "/") => {
    const opened = await context.newPage();
    await opened.goto(`${app.url}${path}?issuer=${encodeURIComponent(issuer.url)}`);
    await opened.waitForFunction(() => window.session);
    return opened;
  };
  const shows = (which, text) => which.waitForFunction((text) => window.seen.at(-1)?.every((shown) => shown === text), text);
  const seen = (which = page) => which.evaluate(() => window.seen);
  /** The states in their order, once all components have agreed at each commit. */
  const states = async (which = page) => {
    const all = await seen(which);
    for (const texts of all) assert.deepEqual(new Set(texts).size, 1, JSON.stringify(all));
    return all.map(([text]) => text).filter((text, index, list) => text !== list[index - 1]);
  };
  const signIn = async (which = page) => {
    await which.click("#a button");
    await shows(which, "signedIn alice_pioneer");
  };

  test("two components agree at each commit, a later one begins with the state, and a double click asks Pi once", async () => {
    await page.evaluate(() => { window.gate = new Promise((done) => (window.openGate = done)); });
    await page.evaluate(() => {
      document.querySelector("#a button").click();
      document.querySelector("#b button").click();
    });
    await shows(page, "signingIn");
    assert.deepEqual(await page.evaluate(() => [...document.querySelectorAll("p button")].map(({ disabled }) => disabled)), [true, true]);
    await page.evaluate(() => window.openGate());
    await shows(page, "signedIn alice_pioneer");
    assert.equal(await page.evaluate(() => asked), 1);
    await page.click("#more");
    await page.waitForFunction(() => window.seen.at(-1).length === 3);
    assert.deepEqual((await states()).filter((text) => text !== "loading"), ["signedOut", "signingIn", "signedIn alice_pioneer"]);
    assert.deepEqual(errors, []);
  });

  test("signing out in another tab, and signing in again, show in all components", async () => {
    await signIn();
    const other = await open();
    await shows(other, "signedIn alice_pioneer");
    assert.ok(!(await states(other)).includes("signedOut"), "a session in storage never shows as signed out first");
    await other.click("#b button");
    await shows(other, "signedOut");
    await shows(page, "signedOut");
    assert.deepEqual(await page.evaluate(() => ended), [null]);
    await signIn();
    await states();
    assert.deepEqual(errors, []);
  });

  test("a failure is a state with a text for the user, and no unhandled rejection", async () => {
    await page.evaluate(() => (persona = undefined));
    await page.click("#a button");
    await shows(page, "signedOut Sign-in was cancelled. Please try again.");
    await page.evaluate(() => (persona = "sim-alice"));
    await signIn();
    assert.equal(await page.evaluate(() => session.getState().error), undefined);
    await context.route(`${issuer.url}/session`, (route) => route.abort());
    await page.click("#a button");
    await shows(page, "signedOut You are signed out here, but the service could not be reached.");
    await states();
    assert.deepEqual(errors, []);
  });

  test("a session that its issuer has revoked shows as signed out, with the reason", async () => {
    await signIn();
    await issuer.endSession(await page.evaluate(() => session.getState().session.token));
    await page.evaluate(() => (persona = undefined));
    const code = await page.evaluate((url) => session.fetch(url).catch((error) => error.code), `${issuer.url}/session`);
    assert.equal(code, "session_revoked");
    await shows(page, "signedOut You are signed out. Please sign in again.");
    assert.deepEqual(errors, []);
  });

  test("a renewal without news renders nothing, and fetch and pay use the session", async () => {
    await signIn();
    const before = (await seen()).length;
    const [isSame, isNewToken, status] = await page.evaluate(async (url) => {
      const state = session.getState();
      const { token } = state.session;
      await state.session.renew();
      return [session.getState() === state, state.session.token !== token, (await state.fetch(url)).status];
    }, `${issuer.url}/session`);
    assert.deepEqual([isSame, isNewToken, status], [true, true, 200]);
    assert.equal((await seen()).length, before);
    const code = await page.evaluate(() => session.pay("coffee").catch((error) => error.code));
    assert.equal(code, "payment_cancelled");
    assert.equal(await page.evaluate(() => window.wallet.amount), 3.14);
    await page.evaluate(() => session.signOut());
    const codes = await page.evaluate(async (url) => [
      await session.fetch(url).catch((error) => error.code),
      await session.pay("coffee").catch((error) => error.code),
    ], issuer.url);
    assert.deepEqual(codes, ["signed_out", "signed_out"]);
  });

  test("a listener gets the state immediately and after each change until it ends that, and one that throws stops no other", async () => {
    const statuses = await page.evaluate(async () => {
      const statuses = [];
      let isReady = false;
      session.subscribe(() => { if (isReady) throw new Error("broken listener"); });
      isReady = true;
      const end = session.subscribe(({ status }) => statuses.push(status));
      await session.signIn();
      await new Promise((done) => setTimeout(done));
      end();
      await session.signOut();
      return statuses;
    });
    assert.deepEqual(statuses, ["signedOut", "signingIn", "signedIn"]);
    await shows(page, "signedOut");
    assert.ok(errors.length > 0 && errors.every((message) => message.includes("broken listener")), errors.join());
  });

  test("a second store with the same options is the first one, and with others it is refused", async () => {
    const found = await page.evaluate(() => {
      const same = pageSession(options()) === session;
      try {
        pageSession({ ...options(), scopes: ["username"] });
      } catch (error) {
        return [same, error.name, /Call it once/.test(error.message)];
      }
    });
    assert.deepEqual(found, [true, "TypeError", true]);
  });

  test("without Pi's SDK, the sign-in fails with a text for the user, and with it works", async () => {
    await page.evaluate(() => { window.sdk = window.Pi; delete window.Pi; });
    await page.click("#a button");
    await shows(page, "signedOut Pi does not answer. Please open this page in the Pi Browser.");
    await page.evaluate(() => { window.Pi = window.sdk; });
    await signIn();
    assert.deepEqual(errors, []);
  });

  test("with Pi Sign-in, the same button leaves the page, and the page that Pi opens is signed in", async () => {
    await context.route("https://accounts.pinet.com/**", (route) => {
      const { searchParams } = new URL(route.request().url());
      const answer = `${searchParams.get("redirect_uri")}#access_token=sim-alice&token_type=Bearer&state=${searchParams.get("state")}`;
      return route.fulfill({ contentType: "text/html", body: `<script>location.replace(${JSON.stringify(answer)})</script>` });
    });
    const outside = await open("/outside");
    await shows(outside, "signedOut");
    await outside.evaluate(() => { delete window.Pi; });
    await Promise.all([outside.waitForURL("https://accounts.pinet.com/**"), outside.click("#b button")]);
    await outside.waitForFunction(() => window.session && window.seen.at(-1)?.[0] === "signedIn alice_pioneer");
    assert.ok(!(await states(outside)).includes("signedOut"));
    assert.doesNotMatch(outside.url(), /access_token|#/);
    // Another component of the page finds the same session.
    assert.equal(await outside.evaluate(() => pageSession(options()) === session), true);
    assert.equal(await outside.evaluate(() => asked), 0);
    assert.deepEqual(errors, []);
  });

  test("an answer of Pi Sign-in that this browser did not ask for is an error for the user, and signs no one in", async () => {
    const opened = await context.newPage();
    await opened.goto(`${app.url}/outside?issuer=${encodeURIComponent(issuer.url)}#access_token=sim-bob&state=forged.${Date.now()}`);
    await shows(opened, "signedOut That did not work. Please try again.");
    assert.equal(await opened.evaluate(() => session.getState().error.code), "state_mismatch");
    assert.doesNotMatch(opened.url(), /access_token/);
  });

  test("a reload begins with the session, and a mistake in a callback of the page breaks nothing", async () => {
    await signIn();
    await page.reload();
    await page.waitForFunction(() => window.session);
    await shows(page, "signedIn alice_pioneer");
    assert.equal(await page.evaluate(() => asked), 0);
    await page.evaluate(() => { window.ended.push = () => { throw new Error("broken callback"); }; });
    await page.click("#a button");
    await shows(page, "signedOut");
    assert.deepEqual(errors, ["broken callback"]);
  });

  test("an own call of Pi.authenticate: getPi may be async, and getAccessToken is called instead of it", async () => {
    const seen = await page.evaluate(async () => {
      const seen = [];
      // Another name of this machine is another issuer for the page, so this is another store.
      const { issuer, ...others } = options();
      const getAccessToken = async (scopes) => { seen.push(scopes); return "sim-alice"; };
      const own = pageSession({ ...others, issuer: issuer.replace("127.0.0.1", "localhost"), storage: undefined, getAccessToken, getPi: async () => window.Pi });
      await own.signIn();
      const code = await own.pay("coffee").catch((error) => error.code);
      return [seen, own.getState().status, code, window.wallet.amount, asked];
    });
    assert.deepEqual(seen, [[["username", "payments"]], "signedIn", "payment_cancelled", 3.14, 0]);
  });

  test("the recipe for Vue follows the session, and a component that is removed stops listening", async () => {
    const vue = await open("/vue");
    const texts = (expected) => vue.waitForFunction((expected) => [...document.querySelectorAll("p")].every(({ textContent }) => textContent.trim() === expected), expected);
    await texts("signedOut");
    await vue.click("p");
    await texts("signedIn alice_pioneer");
    await vue.evaluate(() => { isShown.value = false; });
    await vue.waitForFunction(() => document.querySelectorAll("p").length === 1);
    await vue.evaluate(() => session.signOut());
    await texts("signedOut");
    await vue.evaluate(() => { isShown.value = true; });
    await vue.waitForFunction(() => document.querySelectorAll("p").length === 2);
    await texts("signedOut");
    assert.deepEqual(errors, []);
  });

  test("a server renders loading, and the browser hydrates that without an error and finds the session", async () => {
    const onServer = pageSession({ issuer: issuer.url, storage: () => localStorage });
    await new Promise((done) => setTimeout(done, 50));
    const Part = ({ id }) => createElement("p", { id }, useSession(onServer).status, " ", undefined, " ", false);
    assert.equal(renderToString(createElement(Part, { id: "a" })), '<p id="a">loading<!-- --> <!-- --> </p>');
    // With require, it is the same React too: another copy would have no hooks.
    const required = createRequire(import.meta.url)("pioneer-session/react");
    assert.equal(renderToString(createElement(() => required.useSession(onServer).status)), "loading");
    assert.equal(await onServer.fetch(issuer.url).catch(({ code }) => code), "signed_out");

    await signIn();
    const App = () => [createElement(Part, { id: "a", key: 1 }), createElement(Part, { id: "b", key: 2 }), createElement("button", { id: "more", key: 3 }, "More")];
    rendered = renderToString(createElement(App));
    const hydrated = await open();
    await shows(hydrated, "signedIn alice_pioneer");
    assert.deepEqual(await states(hydrated), ["loading", "signedIn alice_pioneer"]);
    assert.deepEqual(await hydrated.evaluate(() => recovered), []);
    assert.deepEqual(errors, []);
  });
});
