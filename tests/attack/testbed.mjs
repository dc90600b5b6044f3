// The targets of the attacks: the built Worker in workerd with D1, against a fake Pi on a real
// socket and against the simulated Pi; the npm package in Node and in workerd; and the browser
// module in Chromium. Each target starts at its first use.

import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { build } from "esbuild";
import { calm } from "../support/clock.mjs";
import { freshFeed } from "../support/feed.mjs";
import { paths, root } from "../../scripts/paths.mjs";
import { openBrowser } from "../support/browser.mjs";
import { cookiesOf } from "../support/cookies.mjs";
import { AUDIENCE, ISSUER, TOLERANCE, cases, makeTokens } from "../differential/cases.mjs";
import { suites } from "../differential/keys.mjs";
import { issuer } from "../support/issuer.mjs";
import { startFakePi, user } from "../support/fake-pi.mjs";
import { start, startIssuer, startSimulator, startVerdict } from "../support/workers.mjs";
import { attempt, control } from "./runner.mjs";
import { INSTRUMENTED } from "./instrumented.mjs";

export { AUDIENCE, ISSUER, cases, suites };

export const ALICE = user().uid;
export const BOB = "b0b00000-0000-4000-8000-000000000002";
/** The session of every token in differential/cases.mjs. */
export const TOKEN_SESSION = "c2Vzc2lvbi1vbmU";
/** The only origin in ALLOWED_ORIGINS. */
export const APP = "https://app.example.com";

export const JSON_BODY = { "content-type": "application/json" };
export const now = () => Math.floor(Date.now() / 1000);
export const claimsOf = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
const parsed = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const { active, next, attacker } = suites.EdDSA;
const privateJwk = ({ jwk, seed }, state) => ({ ...jwk, d: Buffer.from(seed).toString("base64url"), state });
/** The keys with which differential/cases.mjs signs, so that its tokens are valid at this
 * Worker. */
export const KEYS = { keys: [privateJwk(active, "active"), privateJwk(next, "next")].map(({ alg, use, ...key }) => key) };

/** Bundles as wrangler does: a wasm file stays a module that the runtime loads. */
const BUNDLED = { bundle: true, write: false, format: "esm", conditions: ["workerd"], external: ["*.wasm", "cloudflare:workers"], logLevel: "error" };

const startBundle = (contents) => start("pkg", {
  modules: [
    { type: "ESModule", path: `${root}/pkg/entry/bundled.mjs`, contents },
    { type: "CompiledWasm", path: `${paths.wasm}/pioneer_session_bg.wasm` },
  ],
});

/** A running Worker, and the requests that attacks send to it. */
class Target {
  logs = [];

  static async start(options, { folder = "build", secrets = [] } = {}) {
    const made = new Target();
    Object.assign(made, await start(folder, { d1Databases: { DB: "test" }, handleStructuredLogs: ({ message }) => made.logs.push(message), ...options }));
    made.secrets = secrets;
    made.database = await made.worker.getD1Database("DB");
    await made.call("/session"); // sets the development database up
    return made;
  }

  /** Sends a request. `overrides` works only for a Worker in instrumented.mjs. */
  call(path, { token, cookies, overrides, headers, ...init } = {}) {
    return fetch(this.url + path, {
      redirect: "manual",
      ...init,
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }), ...(cookies && { cookie: cookies.join("; ") }), ...(overrides && { "x-overrides": encodeURIComponent(JSON.stringify(overrides)) }), ...headers,
      },
    });
  }

  post(path, body, { headers, ...more } = {}) {
    return this.call(path, { method: "POST", body: typeof body === "string" || body === undefined ? body : JSON.stringify(body), headers: { ...(body !== undefined && JSON_BODY), ...headers }, ...more });
  }

  signIn(accessToken = "token-alice", { dpopJkt, ...more } = {}) {
    return this.post("/session", { accessToken, dpopJkt }, more);
  }

  async session(accessToken, more) {
    const response = await this.signIn(accessToken, more);
    if (!response.ok) throw new Error(`the sign-in failed: ${response.status} ${await response.text()}`);
    const cookies = cookiesOf(response);
    return { ...(await response.json()), cookies };
  }

  refresh(refreshToken, more) {
    return this.post("/session/refresh", { refreshToken }, more);
  }

  /** A summary of the tables: every new row changes it, and so do most changes of a row. */
  async rows() {
    const tables = ["users", "sessions", "erased_sessions", "products", "orders", "payments", "ads", "epochs"];
    const counts = tables.map((name) => `(SELECT count(*) FROM ${name})`).join(" || ' ' || ");
    const more = "(SELECT total(refreshes) || ' ' || count(revoked_at) FROM sessions) || ' ' || (SELECT total(sign_ins) || ' ' || count(valid_after) || ' ' || count(data) FROM users)";
    return this.database.prepare(`SELECT ${counts} || ' ' || ${more} AS text`).first("text");
  }

  sql(text, ...values) {
    return this.database.prepare(text).bind(...values).run();
  }

  /** Sends a request. The Worker must refuse it with this status and code, and must write
   * nothing. */
  async refuses(name, send, status, code, { mayWrite = false } = {}) {
    const before = await this.rows();
    const response = await send();
    const text = await response.text();
    const found = parsed(text);
    const isWritten = !mayWrite && (await this.rows()) !== before;
    if (response.status < 400 || isWritten) return attempt(`${name} (${response.status}${isWritten ? ", and something was written" : ""})`, true);
    const statuses = [status].flat();
    const codes = [code].flat();
    const isRight = statuses.includes(response.status) && codes.includes(found?.code) && response.headers.get("cache-control") === "no-store" && response.headers.get("x-request-id") === found?.requestId;
    const leak = this.secrets.find((secret) => text.includes(secret));
    return attempt(name, Boolean(leak), isRight ? "" : `${response.status} ${text.slice(0, 200)} instead of ${statuses} ${codes}`);
  }

  /** Sends exactly these bytes and returns the answer. */
  raw(text) {
    return new Promise((done, fail) => {
      const { port, hostname } = new URL(this.url);
      const socket = connect({ port, host: hostname });
      let answer = "";
      socket.on("data", (chunk) => (answer += chunk));
      socket.on("close", () => done(answer));
      socket.on("error", (error) => (answer ? done(answer) : fail(error)));
      socket.setTimeout(5_000, () => socket.destroy());
      socket.write(Buffer.from(text, "latin1"));
    });
  }

  /** The claims of the feed. */
  async feed() {
    return freshFeed(() => this.call("/revocations"));
  }

  /** Inserts the session of differential/cases.mjs as its user's newest one, so that sign-ins do
   * not revoke it. */
  async openTokenSession() {
    await this.session();
    const later = now() + 100_000;
    await this.sql("DELETE FROM sessions WHERE sid = ?", TOKEN_SESSION);
    await this.sql(
      `INSERT INTO sessions (sid, uid, created_at, last_seen_at, token_expires_at, tokens_expire_at, expires_at, app_id, epoch)
       SELECT ?1, ?2, ?3, ?3, ?4, ?4, ?4, 'test-app', max(epoch) FROM epochs`, TOKEN_SESSION, ALICE, later, later + 1,
    );
  }
}

/** All targets, by name. */
export class Testbed {
  #started = new Map();
  #closes = [];

  credential = randomBytes(32).toString("base64url");
  operator = randomBytes(32).toString("base64url");
  refreshSecret = randomBytes(32).toString("base64url");
  piApiKey = `server-api-key-${randomBytes(16).toString("hex")}`;
  /** Pi's answer to each access token. Attacks add their own. */
  answers = {
    "token-alice": user(),
    "token-bob": user({ uid: BOB, username: "bob_pioneer" }),
    "token-flood": user({ uid: "flood" }),
  };

  /** The secrets that no answer, log line or error may contain. */
  get secrets() {
    return [this.credential, this.operator, this.refreshSecret, this.piApiKey, ...KEYS.keys.map(({ d }) => d)];
  }

  /** Starts something at its first use, and closes it at the end. */
  #once(name, begin) {
    if (!this.#started.has(name)) {
      this.#started.set(name, begin().then((made) => {
        this.#closes.push(() => made.close());
        return made;
      }));
    }
    return this.#started.get(name);
  }

  async close() {
    for (const close of this.#closes.reverse()) await close();
  }

  /** The Workers that have started, with their logs. */
  async started() {
    const made = await Promise.all(this.#started.values());
    return made.filter((one) => one instanceof Target);
  }

  get pi() {
    return this.#once("pi", () => startFakePi(this.answers));
  }

  /** A server that must receive no request. */
  get elsewhere() {
    return this.#once("elsewhere", () => startFakePi({}));
  }

  get simulator() {
    return this.#once("simulator", startSimulator);
  }

  get verdict() {
    return this.#once("verdict", startVerdict);
  }

  async settings(more = {}) {
    return {
      ENVIRONMENT: "development",
      SESSION_ISSUER: ISSUER,
      SESSION_AUDIENCE: AUDIENCE,
      SESSION_KEYS: JSON.stringify(KEYS),
      REFRESH_SECRET: this.refreshSecret,
      BACKEND_CREDENTIALS: JSON.stringify({ api: createHash("sha256").update(this.credential).digest("hex") }),
      OPERATOR_CREDENTIALS: JSON.stringify({ alice: { sha256: createHash("sha256").update(this.operator).digest("hex"), role: "owner" } }),
      SESSION_COOKIE: "on",
      RATE_LIMITS: "off",
      ALLOWED_ORIGINS: APP,
      PI_API_BASE: (await this.pi).url,
      PI_APP_ID: "test-app",
      PI_API_KEY: this.piApiKey,
      PI_NETWORK: "Pi Testnet",
      ...more,
    };
  }

  #worker(name, options) {
    return this.#once(name, async () => Target.start(await options(), { secrets: this.secrets }));
  }

  /** The built Worker, unchanged. */
  get worker() {
    return this.#worker("worker", async () => ({ bindings: await this.settings(), unsafeTriggerHandlers: true }));
  }

  /** The built Worker in instrumented.mjs. */
  get instrumented() {
    return this.#worker("instrumented", async () => ({
      bindings: await this.settings(),
      ratelimits: { SIGN_IN_LIMIT: { namespace_id: "1", simple: { limit: 1000, period: 60 } } },
      modules: [
        { type: "ESModule", path: `${root}/build/instrumented.mjs`, contents: INSTRUMENTED },
        { type: "ESModule", path: `${root}/build/index.js` },
        { type: "CompiledWasm", path: `${root}/build/index_bg.wasm` },
      ],
    }));
  }

  /** The built Worker with rate limits so low that an attack reaches them. */
  get limited() {
    const names = ["SIGN_IN_LIMIT", "USER_SIGN_IN_LIMIT", "REFRESH_LIMIT", "ORDER_LIMIT", "PAYMENT_LIMIT", "AD_LIMIT", "WRITE_LIMIT", "READ_LIMIT"];
    const limits = names.map((name, i) => [name, { namespace_id: String(i + 1), simple: { limit: LIMIT, period: 60 } }]);
    return this.#worker("limited", async () => ({
      bindings: await this.settings({ RATE_LIMITS: "on" }),
      ratelimits: Object.fromEntries(limits),
    }));
  }

  /** The built Worker with payments at the simulated Pi. */
  get shop() {
    return this.#worker("shop", async () => ({
      unsafeTriggerHandlers: true,
      bindings: await this.settings({ PI_API_BASE: (await this.simulator).url, PI_APP_ID: "simulated-app", PI_API_KEY: "simulated-server-api-key" }),
    }));
  }

  /** An issuer on loopback that revokes sessions on demand (tests/support/issuer.mjs). */
  issuer(options) {
    return issuer(options);
  }

  /** Waits for the next minute if the current one is about to end, because the limiters count by
   * the minute. */
  async calmMinute() {
    await calm(60, 12);
  }

  /** Verifies a token with the npm package in Node. Returns the uid, or the error. */
  async node(token, { jwks = suites.EdDSA.jwks, at } = {}) {
    const { createVerifier } = await import("../../pkg/index.mjs");
    const real = Date.now;
    let verifier;
    try {
      verifier = await createVerifier({ issuer: ISSUER, audience: AUDIENCE, clockTolerance: TOLERANCE, jwks });
      if (at !== undefined) Date.now = () => at * 1000;
      return { uid: verifier.verify(token).uid };
    } catch (error) {
      return { code: error?.code, name: error?.name, text: inspect(error) + JSON.stringify(error) };
    } finally {
      Date.now = real;
      await verifier?.close();
    }
  }

  /** Verifies many tokens with the npm package in workerd. Returns the same for each. */
  async workerd(tokens) {
    const { url } = await this.#once("workerd", async () => {
      const { outputFiles } = await build({
        stdin: {
          resolveDir: root,
          contents: `
            import { createVerifier } from "pioneer-session";
            export default { async fetch(request) {
              const results = [];
              const { tokens, options, at } = await request.json();
              const real = Date.now;
              for (const { token, jwks } of tokens) {
                try {
                  const verifier = await createVerifier({ ...options, jwks });
                  if (at !== undefined) Date.now = () => at * 1000;
                  results.push({ uid: verifier.verify(token).uid });
                } catch (error) {
                  results.push({ code: error?.code, name: error?.name, text: String(error?.stack) + JSON.stringify(error) });
                } finally {
                  Date.now = real;
                }
              }
              return Response.json(results);
            } };`,
        },
        ...BUNDLED,
      });
      return startBundle(outputFiles[0].text);
    });
    const options = { issuer: ISSUER, audience: AUDIENCE, clockTolerance: TOLERANCE };
    const { at } = tokens;
    return (await fetch(url, { method: "POST", body: JSON.stringify({ tokens, options, at }) })).json();
  }

  /** A Worker in workerd that verifies with keys from a URL. */
  remoteWorkerd(jwksUrl) {
    return this.#once(`workerd with ${jwksUrl}`, async () => {
      const { outputFiles } = await build({
        stdin: {
          resolveDir: root,
          contents: `
            import { verify } from "pioneer-session";
            const options = ${JSON.stringify({ issuer: ISSUER, audience: AUDIENCE, jwksUrl })};
            export default { fetch: async (request) => new Response(await verify(await request.text(), options).then(() => "good", (error) => error.code)) };`,
        },
        ...BUNDLED,
      });
      return startBundle(outputFiles[0].text);
    });
  }

  /** A page with the browser module as `api`, the simulated Pi's Alice, and an issuer. */
  async page(options = {}) {
    const { browser, app, issuer, elsewhere } = await this.#once("browser", async () => {
      const PAGE = `<!doctype html><script type="module">
        import * as api from "/browser.mjs";
        window.asked = 0;
        window.Pi = { async authenticate() {
          window.asked += 1;
          return { accessToken: "sim-alice", user: { uid: "somebody-else", username: "mallory" } };
        } };
        window.ended = [];
        window.api = api;
      </script>`;
      const server = async (answer) => {
        const requests = [];
        const made = createServer((request, response) => {
          requests.push({ method: request.method, url: request.url, headers: request.headers });
          answer(request, response);
        });
        await new Promise((done) => made.listen(0, "127.0.0.1", done));
        return { url: `http://127.0.0.1:${made.address().port}`, requests, close: () => (made.closeAllConnections(), new Promise((done) => made.close(done))) };
      };
      const app = await server((request, response) => {
        if (request.url === "/browser.mjs") return response.writeHead(200, { "content-type": "text/javascript" }).end(readFileSync(`${root}/pkg/wasm/browser.mjs`));
        response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
      });
      const CORS = { "access-control-allow-origin": "*", "access-control-allow-headers": "authorization", "content-type": "application/problem+json" };
      const elsewhere = await server((request, response) => response.writeHead(request.method === "OPTIONS" ? 204 : 401, CORS).end(request.method === "OPTIONS" ? "" : '{"code":"session_revoked"}'));
      const issuer = await startIssuer({ pi: (await this.simulator).url, allowedOrigin: app.url, host: "localhost", cookie: true });
      const browser = await openBrowser();
      const close = async () => {
        await browser.close();
        for (const each of [issuer, app, elsewhere]) await each.close();
      };
      return { browser, app, issuer, elsewhere, close };
    });
    const context = await browser.newContext(options);
    context.setDefaultTimeout(15_000);
    const page = await context.newPage();
    const sent = [];
    page.on("request", (request) => sent.push(request));
    await page.goto(app.url);
    await page.waitForFunction(() => window.api);
    elsewhere.requests.length = 0;
    return { page, context, sent, app, issuer, elsewhere, close: () => context.close() };
  }

  /** Controls: the target still works after an attack. */
  async *stillWorks(target) {
    if (target === "worker") {
      for (const name of ["worker", "instrumented"].filter((each) => this.#started.has(each))) {
        const response = await (await this.#started.get(name)).signIn();
        yield control("the next good sign-in is answered with 200", response.status === 200);
      }
    }
    if (target === "node") yield control("a good token is accepted in Node", (await this.node(goodToken())).uid === ALICE);
    if (target === "workerd") yield control("a good token is accepted in workerd", (await this.workerd([{ token: goodToken(), jwks: suites.EdDSA.jwks }]))[0].uid === ALICE);
    if (target === "browser") {
      const { page, issuer, close } = await this.page();
      const uid = await page.evaluate(async (issuer) => (await api.signIn(Pi, { issuer })).user.uid, issuer.url);
      yield control("a page signs in", uid === ALICE);
      await close();
    }
    if (target === "source") yield control("the repository has its files", readFileSync(`${root}/package.json`, "utf8").length > 0);
  }
}

/** The limit of every rate limit binding of `Testbed.limited`. */
export const LIMIT = 3;

const byKey = (key) => cases.findIndex((row) => row.key === key);

/** A token of the session that `openTokenSession` inserts, signed now. */
export const goodToken = () => makeTokens("EdDSA", now())[byKey("good")].token;

/** Signs claims as the issuer does. `key` replaces the issuer's key. */
export function mint(members = {}, { header = {}, key = active } = {}) {
  const time = now();
  const claims = {
    iss: ISSUER, aud: AUDIENCE, sub: ALICE, sid: TOKEN_SESSION, iat: time - 10, exp: time + 590, auth_time: time - 10, jti: "minted", scope: "username", app_bound: true, ...members,
  };
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode({ alg: "EdDSA", kid: key.jwk.kid, typ: "pi-session+jwt", ...header })}.${encode(claims)}`;
  return `${signed}.${Buffer.from(key.sign(Buffer.from(signed))).toString("base64url")}`;
}

export { attacker };
