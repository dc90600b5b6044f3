// Attacks on the platform: floods, logs, timing, wrong settings, prototypes, the supply chain and
// HTTP itself.

import { execFile, execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { promisify } from "node:util";
import { root } from "../../scripts/paths.mjs";
import { Random, Tokens } from "../fuzz/grammar.mjs";
import { logLine } from "../support/log.mjs";
import { ROUTES } from "./browser.mjs";
import { attempt, control } from "./runner.mjs";
import { ALICE, AUDIENCE, ISSUER, KEYS, LIMIT, TOKEN_SESSION, attacker, goodToken, mint, suites } from "./testbed.mjs";

const statusOf = async (response) => (await response).status;

/** Sends up to the limit, then twice more: the Worker must refuse the last two. */
async function* flooded(worker, name, send) {
  for (let i = 0; i < LIMIT; i++) {
    const response = await send(i);
    yield control(`${name}: attempt ${i + 1} is not limited`, response.status !== 429);
  }
  for (let i = LIMIT; i < LIMIT + 2; i++) {
    let retryAfter;
    const step = await worker.refuses(`${name}: attempt ${i + 1}`, async () => {
      const response = await send(i);
      retryAfter = response.headers.get("retry-after");
      return response;
    }, 429, "rate_limited");
    yield { ...step, wrong: step.wrong ?? (retryAfter === "60" ? undefined : `Retry-After is ${retryAfter}`) };
  }
}

/** Welch's t of two samples. */
function welch(a, b) {
  const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
  const variance = (list, center) => list.reduce((sum, value) => sum + (value - center) ** 2, 0) / (list.length - 1);
  const [ma, mb] = [mean(a), mean(b)];
  return (ma - mb) / Math.sqrt(variance(a, ma) / a.length + variance(b, mb) / b.length);
}

/** The samples without the slowest tenth, which other programs on the machine cause. */
const quiet = (list) => list.toSorted((a, b) => a - b).slice(0, Math.floor(list.length * 0.9));

/** Faulty settings with which every route must fail. `undefined` removes a setting. */
const FAULTS = [
  ["SESSION_KEYS", undefined], ["SESSION_KEYS", ""], ["SESSION_KEYS", "{}"], ["SESSION_KEYS", '{"keys":[]}'], ["SESSION_KEYS", JSON.stringify({ keys: [{ ...KEYS.keys[0], d: KEYS.keys[0].d.slice(2) }] })], ["SESSION_KEYS", JSON.stringify({ keys: [KEYS.keys[0], KEYS.keys[0]] })],
  ["SESSION_KEYS", 7], ["REFRESH_SECRET", undefined], ["REFRESH_SECRET", "c2hvcnQ"], ["REFRESH_SECRET", "not base64url!".repeat(5)], ["REFRESH_SECRET", "A".repeat(43)], ["BACKEND_CREDENTIALS", "plain text"], ["BACKEND_CREDENTIALS", '{"api":"plain text"}'], ["BACKEND_CREDENTIALS", "[]"],
  ["SESSION_ISSUER", undefined], ["SESSION_ISSUER", "session.example.com"], ["SESSION_ISSUER", "https://session.example.com/"], ["SESSION_ISSUER", "https://a@session.example.com"], ["SESSION_AUDIENCE", undefined], ["SESSION_AUDIENCE", "a".repeat(257)], ["SESSION_TTL", "36000"], ["SESSION_TTL", "-1"],
  ["SESSION_TTL", 600], ["REFRESH_IDLE_TTL", "1"], ["MAX_SESSIONS_PER_USER", "0"], ["SESSION_COOKIE", "yes"], ["RATE_LIMITS", "no"], ["ENVIRONMENT", "staging"], ["PI_APP_ID", 12345], ["ALLOWED_ORIGINS", ["https://app.example.com"]], ["ALLOWED_ORIGINS", "*"],
  ["PI_API_KEY", "a b"], ["DB", undefined],
];

/** Runs an action while Object.prototype has an extra member. */
async function polluted(name, value, action) {
  Object.defineProperty(Object.prototype, name, { value, configurable: true, writable: true, enumerable: true });
  try {
    return await action();
  } finally {
    delete Object.prototype[name];
  }
}

const published = () => JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }))[0].files.map(({ path }) => path);

export const abuse = [
  {
    id: "A1",
    title: "One client floods sign-ins, refreshes, orders, payments, ads, writes or reads.",
    defence: "Eight limits, by address, user or session. Only CF-Connecting-IP counts as the address; an IPv6 /64 is one client. 429 with Retry-After.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.limited;
        await testbed.calmMinute();
        const from = (address, more) => ({ headers: { "cf-connecting-ip": address, ...more } });
        yield* flooded(worker, "sign-ins with a new X-Forwarded-For each", (i) => worker.signIn("token-nobody", from("192.0.2.1", { "x-forwarded-for": `10.0.0.${i}`, "x-real-ip": `10.0.0.${i}`, "true-client-ip": `10.0.0.${i}`, forwarded: `for=10.0.0.${i}` })));
        yield* flooded(worker, "sign-ins from addresses of one /64", (i) => worker.signIn("token-nobody", from(`2001:db8:0:1::${i + 1}`)));
        yield control("another /64 is another client", (await statusOf(worker.signIn("token-nobody", from("2001:db8:0:2::1")))) === 401);
        yield* flooded(worker, "sign-ins without a valid address, which share one limit", (i) => worker.signIn("token-nobody", from(["localhost", "192.0.2.256", "unknown", "192.0.2.1, 192.0.2.2", "x"][i])));
        yield* flooded(worker, "guessed refresh tokens", () => worker.refresh(randomBytes(32).toString("base64url"), from("192.0.2.2")));
        yield* flooded(worker, "sign-ins of one user from many addresses", (i) => worker.signIn("token-bob", from(`192.0.2.${10 + i}`)));
        const alice = await worker.session("token-alice", from("192.0.2.30"));
        const token = alice.sessionToken;
        yield* flooded(worker, "refreshes of one session from many addresses", (i) => worker.refresh(alice.refreshToken, from(`192.0.2.${40 + i}`)));
        await worker.sql("INSERT OR IGNORE INTO products (id, name, amount_stroops) VALUES ('coffee', 'Coffee', 31400000)");
        yield* flooded(worker, "orders", (i) => worker.post("/orders", { productId: "coffee" }, { token, ...from(`192.0.2.${50 + i}`) }));
        yield* flooded(worker, "steps of payments", (i) => worker.call(`/payments/payment-${i}/${["approve", "cancel", "recover"][i % 3]}`, { method: "POST", token }));
        yield* flooded(worker, "claims of ads", (i) => worker.call(`/ads/ad-${i}/claim`, { method: "POST", token }));
        yield* flooded(worker, "writes of data", () => worker.call("/me/data", { method: "PUT", body: "{}", token, headers: { "content-type": "application/json", "if-match": "*" } }));
        yield* flooded(worker, "reads of the feed and the products", (i) => worker.call(i % 2 ? "/products" : "/revocations", from("192.0.2.60")));
        yield control("reading the session is not limited", (await statusOf(worker.call("/session", { token }))) === 200);
      },
    },
  },
  {
    id: "A2",
    title: "A log line, an answer or an error contains a secret, or a line break from the attacker.",
    defence: "A log line is one object with the Worker's own texts, and with ids and names in a checked form. `npm run canary` searches all output.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const before = worker.logs.length;
        const mine = await worker.session();
        const secrets = { "the access token": "token-alice", "the session token": mine.sessionToken, "the refresh token": mine.refreshToken };
        const evil = ["%0d%0a{\"level\":\"error\"}", "%1b[31mred", "a\u2028b", "\u0000"].map((text) => `/log4711${text}`);
        for (const path of evil) await worker.call(path).catch(() => undefined);
        for (const secret of Object.values(secrets)) {
          await worker.call(`/session?token=${secret}`, { token: secret, headers: { "user-agent": secret, "x-request-id": secret } });
          await worker.post("/session", `{"accessToken":"${secret}`, {});
          await worker.refresh(`${secret}x`);
        }
        await new Promise((done) => setTimeout(done, 300));
        const lines = worker.logs.slice(before);
        yield control("the requests are in the log", lines.length >= 10);
        for (const [name, secret] of Object.entries(secrets)) yield attempt(`the log holds ${name}`, lines.some((line) => line.includes(secret)));
        yield attempt("the log holds the attacker's text", lines.some((line) => line.includes("log4711") || line.includes("\u001b")));
        yield attempt("a line is not one JSON object", lines.some((line) => logLine(line) === undefined));
        for (const each of await testbed.started()) for (const [i, secret] of testbed.secrets.entries()) yield attempt(`a log of the whole run holds secret ${i + 1}`, each.logs.some((line) => line.includes(secret)));
      },
      async *node(testbed) {
        for (const token of [`${goodToken().slice(0, -3)}AAA`, mint({ exp: 1 }), mint({}, { key: attacker })]) {
          const { code, text } = await testbed.node(token);
          yield attempt(`the error ${code} holds the token`, text.includes(token) || text.includes(token.split(".")[2]));
        }
      },
    },
  },
  {
    id: "A3",
    title: "The time of an answer shows how much of a guessed secret is right.",
    defence: "Secrets are hashed on both sides and compared in constant time.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const secret = testbed.credential;
        const other = (at) => secret.slice(0, at) + (secret[at] === "A" ? "B" : "A") + secret.slice(at + 1);
        for (const guess of ["", secret.slice(0, -1), `${secret}A`, other(0), other(42), secret.toLowerCase(), ` ${secret} x`, "x"]) yield worker.refuses(`the guess of ${guess.length} characters`, () => worker.call("/revoke-all", { method: "POST", token: guess }), 401, "backend_rejected");
        const samples = { early: [], late: [] };
        for (let i = 0; i < 300; i++) {
          for (const [name, at] of i % 2 ? [["early", 0], ["late", 42]] : [["late", 42], ["early", 0]]) {
            const began = performance.now();
            await (await worker.call("/users/x", { token: other(at) })).arrayBuffer();
            samples[name].push(performance.now() - began);
          }
        }
        const t = welch(quiet(samples.early), quiet(samples.late));
        yield attempt(`a wrong first and a wrong last character differ in time (Welch's t ${t.toFixed(1)}, 300 each)`, Math.abs(t) > 8);
        yield control("the right credential is accepted", (await statusOf(worker.call(`/users/${ALICE}`, { token: secret }))) === 200);
      },
    },
  },
  {
    id: "A4",
    title: "Malformed tokens and bodies stop the wasm instance, and other requests fail with it.",
    defence: "The code does not panic. If a call fails nevertheless, the Worker starts a new instance, and the next request succeeds.",
    on: {
      async *node() {
        const { createVerifier } = await import("../../pkg/index.mjs");
        const made = await createVerifier({ issuer: ISSUER, audience: AUDIENCE, jwks: suites.EdDSA.jwks });
        for (const { token, isGood } of mutated(2_000)) {
          let result;
          try {
            result = made.verify(token).uid ? "accepted" : "no uid";
          } catch (error) {
            result = error.name;
          }
          // The number of valid tokens depends on the second of their creation, so each one counts
          // as a try.
          yield attempt(`a generated token: ${JSON.stringify(token).slice(0, 60)}`, (result === "accepted") !== isGood, ["accepted", "SessionError"].includes(result) ? "" : result);
        }
        await made.close();
      },
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        await worker.openTokenSession();
        for (const { token, isGood } of mutated(500)) {
          const response = await worker.call("/introspect", { method: "POST", token: testbed.credential, body: new URLSearchParams({ token }) });
          const { active, code } = await response.json();
          yield attempt(`a generated token: ${JSON.stringify(token).slice(0, 60)}`, (active === true) !== isGood, typeof active === "boolean" || code === "body_too_large" ? "" : `${response.status} ${code}`);
        }
        const { sessionToken: token } = await worker.session();
        for (let i = 0; i < 5; i++) {
          const response = await worker.call("/session", { token, overrides: { breaks: true } });
          const { code } = await response.json();
          yield attempt("a call that fails in the wasm still succeeds", response.ok, code === "internal" ? "" : `${response.status} ${code}`);
          yield control("the next request is answered", (await statusOf(worker.call("/session", { token }))) === 200);
        }
      },
    },
  },
  {
    id: "A5",
    title: "A Worker runs with a secret that is missing, short or malformed.",
    defence: "Every route but /health is 500 misconfigured; the answer names the setting, not its value.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        const { sessionToken: token } = await worker.session();
        for (const [name, value] of FAULTS) {
          const overrides = value === undefined ? { without: [name] } : { bindings: { [name]: value } };
          for (const [method, path] of ROUTES) {
            const headers = { ...(method !== "GET" && { "content-type": "application/json" }) };
            const response = await worker.call(path, { method, token, overrides, headers, ...(["POST", "PUT"].includes(method) && { body: '{"accessToken":"token-alice"}' }) });
            const text = await response.text();
            if (path === "/health") {
              yield control(`/health with ${name} wrong`, response.status === 200);
              continue;
            }
            const problem = JSON.parse(text);
            const isRight = response.status === 500 && problem.code === "misconfigured" && problem.detail.includes(name);
            yield attempt(`${method} ${path} with ${name} ${JSON.stringify(value ?? "left out").slice(0, 30)}`, response.ok || (typeof value === "string" && value.length > 6 && text.includes(value)), isRight ? "" : text.slice(0, 160));
          }
        }
      },
    },
  },
  {
    id: "A6",
    title: "A polluted Object.prototype, or a member named __proto__, adds options, claims or credentials.",
    defence: "The package and the browser module read only own members of options, answers and claims; the Worker's Rust code has no prototypes.",
    on: {
      async *node() {
        const { createVerifier, verify } = await import("../../pkg/index.mjs");
        const { sessionFrom } = await import("../../pkg/middleware/fetch.mjs");
        const { requireSession } = await import("../../pkg/middleware/express.mjs");
        const options = { issuer: ISSUER, audience: AUDIENCE, jwks: suites.EdDSA.jwks };
        const [good, forged] = [goodToken(), mint({}, { key: attacker })];
        const is = (action) => action().then((session) => session?.uid !== undefined, () => false);
        const pollution = { jwks: { keys: [attacker.jwk] }, jwksUrl: "http://127.0.0.1:9/keys", issuer: "https://evil.example", audience: "evil", clockTolerance: 60, verifier: { verify: () => ({ uid: "mallory" }) }, verify: () => ({ uid: "mallory" }), cache: { max: 10 }, revocations: false, authorization: `Bearer ${good}`, keys: [attacker.jwk], toJSON: () => ({ keys: [attacker.jwk] }) };
        for (const [name, value] of Object.entries(pollution)) {
          const found = await polluted(name, value, async () => ({
            forged: await is(async () => (await createVerifier(options)).verify(forged)), called: await is(() => verify(forged, options)),
            bare: await is(async () => sessionFrom(new Request("http://localhost/", { __proto__: null, method: "GET", headers: new Headers() }), await createVerifier(options))),
            express: await new Promise((done) => requireSession(options)({ headers: { __proto__: null }, rawHeaders: [] }, { setHeader() {}, end: () => done(false) }, () => done(true))),
            good: await is(async () => (await createVerifier(options)).verify(good)),
          })).catch((error) => ({ error: String(error) }));
          for (const way of ["forged", "called", "bare", "express"]) yield attempt(`with Object.prototype.${name}: ${way}`, found[way], found.error);
          yield control(`with Object.prototype.${name}, a good token is accepted`, found.good);
        }
        const made = await createVerifier(options);
        const claims = '"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"extra":{"__proto__":{"polluted":true}}';
        const merge = (target, source) => {
          for (const name of Object.keys(source)) {
            if (source[name] !== null && typeof source[name] === "object") merge((target[name] ??= {}), source[name]);
            else target[name] = source[name];
          }
          return target;
        };
        const session = made.verify(mintText(claims));
        yield attempt("claims named like prototypes pollute copies of the session", [{}, session, session.claims, merge({}, session.claims), Object.assign({}, session.claims)].some((object) => object.polluted !== undefined));
        for (const inherited of [Object.create(options), Object.assign(Object.create({ jwks: { keys: [attacker.jwk] } }), { issuer: ISSUER, audience: AUDIENCE })]) yield attempt("inherited options", await is(async () => (await createVerifier(inherited)).verify(forged)));
      },
      async *worker(testbed) {
        const worker = await testbed.worker;
        const { sessionToken: token } = await worker.session();
        for (const member of ['"__proto__":{"accessToken":"token-bob"}', '"constructor":{"prototype":{"accessToken":"token-bob"}}']) yield worker.refuses(`a sign-in with only ${member.slice(0, 14)}`, () => worker.post("/session", `{${member}}`), 400, "invalid_request");
        const data = '{"__proto__":{"polluted":true},"constructor":1}';
        const put = await worker.call("/me/data", { method: "PUT", body: data, token, headers: { "content-type": "application/json", "if-match": "*" } });
        yield control("data with such members is stored unchanged", [204, 412].includes(put.status));
        yield attempt("it changes another answer", JSON.stringify(await (await worker.call("/session", { token })).json()).includes("polluted"));
      },
      async *browser(testbed) {
        const { page, issuer, elsewhere, sent, close } = await testbed.page();
        for (const [name, value] of Object.entries({ issuer: "URL", origins: "[URL]", accessToken: "'sim-bob'", token: "'polluted'", refreshToken: "'polluted'", user: "({ uid: 'mallory' })", headers: "({ 'x-polluted': 'yes' })", credentials: "'include'", redirect: "'follow'", method: "'PUT'", storage: "({ setItem: (_, text) => leaked.push(text), getItem: () => null, removeItem() {} })", toJSON: "() => ({ accessToken: 'sim-bob' })" })) {
          sent.length = 0;
          const found = await page.evaluate(async ([issuer, name, source, url]) => {
            window.leaked = [];
            Object.defineProperty(Object.prototype, name, { value: (0, eval)(source.replaceAll("URL", JSON.stringify(url))), configurable: true, writable: true, enumerable: true });
            try {
              const session = await api.signIn(Pi, { issuer });
              const away = await session.fetch(url).then(() => "sent", (error) => error.code);
              return { uid: session.user.uid, away, leaked: leaked.length };
            } catch (error) {
              return { error: String(error) };
            } finally {
              delete Object.prototype[name];
            }
          }, [issuer.url, name, value, elsewhere.url]);
          const requests = await Promise.all(sent.map(async (request) => `${request.url()} ${request.postData()} ${JSON.stringify(await request.allHeaders())}`));
          yield attempt(`Object.prototype.${name}`, found.uid !== ALICE || found.away !== "origin_not_listed" || found.leaked > 0 || requests.some((text) => /polluted|sim-bob/.test(text)) || elsewhere.requests.length > 0, found.error);
        }
        await close();
      },
    },
  },
  {
    id: "A7",
    title: "The package, or something that it installs, does more than verify: it runs scripts, evaluates text, or uses files or the network.",
    defence: "No dependency, no install script, no eval; the wasm imports nothing but its own glue. `npm run supply` and `npm run reproduce` check the rest.",
    on: {
      async *source() {
        const manifest = JSON.parse(readFileSync(`${root}/package.json`, "utf8"));
        yield attempt("the package has dependencies", Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.bundledDependencies }).length > 0);
        for (const name of ["preinstall", "install", "postinstall", "prepare", "prepublish"]) yield attempt(`the package has the script ${name}`, name in manifest.scripts);
        const files = published();
        yield control("the package has its files", files.includes("pkg/wasm/node.cjs") && files.includes("build/index.js"));
        for (const path of files.filter((path) => /\.(mjs|cjs|js)$/.test(path))) {
          const text = readFileSync(`${root}/${path}`, "utf8");
          yield attempt(`${path} makes code from text`, /\beval\s*\(|new Function\s*\(|\bFunction\s*\(["'`]/.test(text));
        }
        for (const path of files) yield attempt(`${path} is a secret or a test`, /\.dev\.vars|session-keys|\.env|^tests\/|\.pem$/.test(path));
        for (const path of ["pkg/wasm/pioneer_session_bg.wasm", "build/index_bg.wasm"]) {
          const imports = WebAssembly.Module.imports(await WebAssembly.compile(readFileSync(`${root}/${path}`)));
          yield attempt(`${path} imports files, sockets or processes`, imports.some(({ module, name }) => /wasi|(^|_)(fs|socket|process|require|open|spawn|fetch)(_|$)/i.test(`${module} ${name}`)), "");
        }
      },
      async *node() {
        const program = `
          const { createVerifier } = await import(${JSON.stringify(`${root}/pkg/index.mjs`)});
          const { issuer, audience, jwks, good, forged } = JSON.parse(process.env.PROGRAM);
          const verifier = await createVerifier({ issuer, audience, jwks });
          const is = (token) => { try { return verifier.verify(token).uid; } catch (error) { return error.code; } };
          console.log(JSON.stringify([is(good), is(forged)]));`;
        const env = { ...process.env, PROGRAM: JSON.stringify({ issuer: ISSUER, audience: AUDIENCE, jwks: suites.EdDSA.jwks, good: goodToken(), forged: mint({}, { key: attacker }) }) };
        const confined = ["--permission", `--allow-fs-read=${root}/pkg`, `--allow-fs-read=${root}/package.json`, "--disallow-code-generation-from-strings", "--frozen-intrinsics", "--no-warnings", "--input-type=module", "-e", program];
        const { stdout } = await promisify(execFile)(process.execPath, confined, { env, cwd: root });
        const [good, forged] = JSON.parse(stdout);
        yield control("without writing, network, processes, workers and code from text, a good token is accepted", good === ALICE);
        yield attempt("a forged token there", forged === ALICE, forged === "unknown_key" ? "" : forged);
      },
      async *worker() {
        const text = readFileSync(`${root}/build/index.js`, "utf8");
        const exported = text.match(/export\s*\{[^}]*\}/g) ?? [];
        yield attempt("the Worker exports more than its default", exported.length !== 1 || !/^export\s*\{\s*\w+ as default\s*\}$/.test(exported[0]));
        yield attempt("the Worker imports more than its wasm", [...text.matchAll(/\bimport\b[^;("]*"([^"]+)"/g)].some(([, from]) => from !== "./index_bg.wasm"));
      },
    },
  },
  {
    id: "A8",
    title: "HTTP is irregular: unknown routes and methods, large, compressed, broken or contradictory bodies, a hundred simultaneous sign-ins.",
    defence: "404, 405 with Allow, 413 before reading, 415, 400; simultaneous sign-ins make one user row.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        for (const path of ["/nowhere", "/session/", "//session", "/SESSION", "/session%2f", "/session;x", "/./nowhere", "/users/", "/sessions/", "/sessions/a/b", "/payments/x/steal", "/ads/x", "/.env", "/cdn-cgi", "/é", "/%ff"]) yield worker.refuses(`GET ${path}`, () => worker.call(path), [401, 404, 405], ["not_found", "session_missing", "backend_rejected", "method_not_allowed"]);
        for (const [method, path] of [["PATCH", "/session"], ["PROPFIND", "/session"], ["PURGE", "/session"], ["POST", "/health"], ["PUT", "/orders"], ["DELETE", "/products"], ["GET", "/orders"], ["GET", "/revoke-all"], ["GET", "/session/refresh"], ["HEAD", "/introspect"]]) {
          const response = await worker.call(path, { method });
          yield attempt(`${method} ${path}`, response.ok, response.status === 405 && response.headers.get("allow") ? "" : String(response.status));
        }
        const body = '{"accessToken":"token-alice"}';
        yield worker.refuses("17 KB", () => worker.post("/session", JSON.stringify({ accessToken: "token-alice", x: "x".repeat(17_000) })), 413, "body_too_large");
        yield worker.refuses("17 KB without a length", () => worker.call("/session", { method: "POST", body: ReadableStream.from([new Uint8Array(17_000)]), duplex: "half", headers: { "content-type": "application/json" } }), 413, "body_too_large");
        yield worker.refuses("a compressed body", () => worker.call("/session", { method: "POST", body: gzipSync(body), headers: { "content-type": "application/json", "content-encoding": "gzip" } }), 415, "unsupported_media_type");
        for (const text of ["", "{", "[]", '"x"', "null", "1", `${body}x`, `${body}${body}`, `\ufeff${body}`, '{"accessToken":"token-alice","accessToken":"token-bob"}', '{"access\\u0054oken":"a","accessToken":"b"}', '{"accessToken":"a","x":1,"x":2}', "[".repeat(16_000), `{"a":${"[".repeat(8_000)}`]) yield worker.refuses(`the body ${text.slice(0, 40)}`, () => worker.post("/session", text), 400, "invalid_request");
        const head = "POST /session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n";
        const broken = {
          "a chunk without a size": `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n${body}\r\n`, "a length and chunks": `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n${body}\r\n0\r\n\r\n`, "two lengths": `${head}Content-Length: 5\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
          "a negative length": `${head}Content-Length: -1\r\n\r\n${body}`, "a short length": `${head}Content-Length: 5\r\n\r\n${body}`, "a length in hex": `${head}Content-Length: 0x1d\r\n\r\n${body}`, "HTTP/9.9": head.replace("1.1", "9.9") + `Content-Length: ${body.length}\r\n\r\n${body}`,
          "a space before the colon": `${head}Content-Length : ${body.length}\r\n\r\n${body}`, "no host": `POST /session HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 5\r\nConnection: close\r\n\r\n${body}`,
        };
        for (const [name, text] of Object.entries(broken)) {
          const answer = await worker.raw(text);
          yield attempt(name, /^HTTP\/1\.1 2/.test(answer), /^HTTP\/1\.1 5/.test(answer) && !/^HTTP\/1\.1 50[15]/.test(answer) ? answer.slice(0, 60) : "");
        }
        testbed.answers["token-crowd"] = { uid: "crowd", app_id: "test-app", username: "crowd" };
        const crowd = await Promise.all(Array.from({ length: 100 }, async () => (await worker.signIn("token-crowd")).json()));
        yield control("a hundred simultaneous sign-ins succeed", crowd.every((answer) => answer.user?.uid === "crowd"));
        yield attempt("they make more than one user", crowd.filter((answer) => answer.user.isNew).length !== 1);
        yield control("HEAD answers like GET without a body", (await worker.call("/health", { method: "HEAD" })).status === 200);
        const expect = await worker.raw(`${head.replace("Connection: close", "Expect: 100-continue\r\nConnection: close")}Content-Length: ${body.length}\r\n\r\n${body}`);
        yield control("Expect: 100-continue", /HTTP\/1\.1 200/.test(expect));
      },
    },
  },
];

/** Tokens of the grammar, about half of them invalid. */
function* mutated(count) {
  const [key, otherKey] = KEYS.keys;
  const tokens = new Tokens({ random: new Random(4711), key, otherKey, issuer: ISSUER, audience: AUDIENCE, sid: TOKEN_SESSION });
  for (let i = 0; i < count; i++) yield tokens.next();
}

/** A valid token with more members, given as JSON text. */
function mintText(members) {
  const claims = JSON.parse(Buffer.from(mint().split(".")[1], "base64url"));
  const encode = (text) => Buffer.from(text).toString("base64url");
  const signed = `${encode(JSON.stringify({ alg: "EdDSA", kid: suites.EdDSA.active.jwk.kid, typ: "pi-session+jwt" }))}.${encode(JSON.stringify(claims).replace(/}$/, `,${members}}`))}`;
  return `${signed}.${Buffer.from(suites.EdDSA.active.sign(Buffer.from(signed))).toString("base64url")}`;
}
