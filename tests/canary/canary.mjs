// Runs the Worker, the package and the command line tool with marked secrets, collects all their
// output, and searches it.

import { fork, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { cookiesOf } from "../support/cookies.mjs";
import { newKey } from "../../pkg/cli/keys.mjs";
import { root } from "../../scripts/paths.mjs";
import { ROUTES } from "../attack/browser.mjs";
import { JSON_TYPE, startFakePi, user } from "../support/fake-pi.mjs";
import { Markers } from "./markers.mjs";

const ISSUER = "https://session.example.com";
const APP = "https://app.example.com";
const ALICE = user().uid;
const secretOf = (bytes = 32) => randomBytes(bytes).toString("base64url");

/** All files below a folder. */
const filesIn = (folder) => readdirSync(folder, { recursive: true }).map((name) => join(folder, name)).filter((path) => statSync(path).isFile());

/** Runs everything. Returns the markers, and the outputs as pairs of a name and bytes. */
export async function collect() {
  const markers = new Markers();
  const outputs = [];
  const put = (name, content) => outputs.push([name, Buffer.from(content)]);
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-canary-"));
  const marked = (name, value) => {
    markers.add(name, value);
    return value;
  };

  const keys = ["active", "next", "retired"].map((state) => newKey(state));
  keys.forEach(({ d }, i) => markers.add(`the seed of key ${i + 1}`, d));
  const refreshSecret = marked("REFRESH_SECRET", secretOf());
  const credential = marked("the backend's credential", secretOf());
  const operator = marked("the operator's credential", secretOf());
  const piApiKey = marked("PI_API_KEY", secretOf(24));
  const access = Object.fromEntries(["alice", "bob", "unknown", "error", "html", "redirect", "reset", "echo", "slow"].map((name) => [name, marked(`the access token ${name}`, `pi-access-${name}-${secretOf(24)}`)]));

  // A Pi that echoes the credentials wherever it can.
  const payments = new Map();
  const echo = (request) => `${request.headers.authorization} ${request.url}`;
  const answers = {
    [access.alice]: user(), [access.bob]: user({ uid: "bob", username: "bob" }),
    [access.echo]: (request, response) => response.writeHead(200, { ...JSON_TYPE, "x-echo": echo(request), "set-cookie": `echo=${access.echo}` }).end(JSON.stringify(user({ uid: "echo", echo: echo(request) }))),
    [access.error]: (request, response) => response.writeHead(400, { ...JSON_TYPE, "retry-after": "3" }).end(JSON.stringify({ error: echo(request), error_message: echo(request) })),
    [access.html]: (request, response) => response.writeHead(500, { "content-type": "text/html" }).end(`<html>${echo(request)}`),
    [access.redirect]: (request, response) => response.writeHead(302, { location: `/?token=${access.redirect}` }).end(),
    [access.reset]: (request) => request.socket.destroy(),
    [access.slow]: () => {},
    [`Key ${piApiKey}`](request, response) {
      const [, , kind, id, step] = request.url.split("/");
      const payment = payments.get(id);
      if (kind === "payments" && id.startsWith("bad")) return response.writeHead(400, JSON_TYPE).end(JSON.stringify({ error: `bad ${piApiKey}`, error_message: echo(request) }));
      if (kind === "payments" && id.startsWith("cut")) return request.socket.destroy();
      if (kind === "payments" && !payment) return response.writeHead(404, JSON_TYPE).end(JSON.stringify({ error: "payment_not_found", error_message: echo(request) }));
      if (kind === "payments") {
        if (step === "approve") payment.status.developer_approved = true;
        if (step === "complete") payment.status.developer_completed = true;
        if (step === "cancel") payment.status.cancelled = true;
        return response.writeHead(200, { ...JSON_TYPE, "x-echo": echo(request) }).end(JSON.stringify({ ...payment, echo: echo(request) }));
      }
      if (kind === "ads_network") return response.writeHead(200, JSON_TYPE).end(JSON.stringify({ identifier: step, mediator_ack_status: "granted", mediator_granted_at: "2026-01-01T00:00:00Z", mediator_revoked_at: null, echo: echo(request) }));
      response.writeHead(200, JSON_TYPE).end(JSON.stringify({ requested_recipients_count: 1, delivered_count: 1, failed_count: 0, delivered_recipients: [ALICE], echo: echo(request) }));
    },
  };
  const pi = await startFakePi(answers);

  const bindings = {
    ENVIRONMENT: "development", SESSION_ISSUER: ISSUER, SESSION_AUDIENCE: "canary", SESSION_KEYS: JSON.stringify({ keys }), REFRESH_SECRET: refreshSecret, SESSION_COOKIE: "on", RATE_LIMITS: "off", ALLOWED_ORIGINS: APP,
    BACKEND_CREDENTIALS: JSON.stringify({ api: createHash("sha256").update(credential).digest("hex") }), OPERATOR_CREDENTIALS: JSON.stringify({ alice: { sha256: createHash("sha256").update(operator).digest("hex"), role: "owner" } }), PI_API_BASE: pi.url, PI_APP_ID: "test-app", PI_API_KEY: piApiKey, PI_NETWORK: "Pi Testnet",
  };
  const child = fork(fileURLToPath(new URL("worker.mjs", import.meta.url)), [], { stdio: ["ignore", "pipe", "pipe", "ipc"], env: { ...process.env, CANARY: JSON.stringify({ state: folder, bindings }) } });
  const printed = { stdout: [], stderr: [] };
  for (const name of ["stdout", "stderr"]) child[name].on("data", (chunk) => printed[name].push(chunk));
  const [{ url }] = await once(child, "message");
  const tell = async (message) => {
    child.send(message);
    await once(child, "message");
  };

  let answered = 0;
  /** Sends a request and keeps the whole answer. With `mayHave`, the answer may contain the tokens
   * that it issues. */
  async function ask(method, path, { body, token, cookies, headers, overrides, mayHave = false } = {}) {
    const response = await fetch(url + path, {
      method, redirect: "manual", body: typeof body === "string" || body instanceof URLSearchParams ? body : body && JSON.stringify(body),
      headers: { ...(body && !(body instanceof URLSearchParams) && { "content-type": "application/json" }), ...(token && { authorization: `Bearer ${token}` }), ...(cookies && { cookie: cookies.join("; "), origin: APP }), ...(overrides && { "x-overrides": encodeURIComponent(JSON.stringify(overrides)) }), ...headers },
    });
    let text = await response.text();
    const set = response.headers.getSetCookie();
    let answer;
    try {
      answer = JSON.parse(text);
    } catch {
      answer = undefined;
    }
    let shown = [...response.headers].map((pair) => pair.join(": ")).join("\n");
    if (mayHave && response.ok) {
      const { sessionToken, refreshToken, operatorToken } = answer;
      const issued = [sessionToken ?? operatorToken, refreshToken].filter((each) => each !== undefined);
      markers.addToken(`token ${answered}`, issued[0]);
      if (refreshToken !== undefined) markers.add(`refresh token ${answered}`, refreshToken);
      for (const secret of issued) {
        // A token belongs once into the body and once into its cookie; the search finds every other
        // copy.
        text = text.replace(secret, "");
        shown = shown.replace(secret, "");
      }
    }
    put(`answer ${++answered} to ${method} ${path.slice(0, 40)}`, `${response.status}\n${shown}\n\n${text}`);
    return { status: response.status, answer, cookies: cookiesOf(response) };
  }

  const statuses = {};
  const noted = (name, { status }) => ((statuses[name] ??= []).push(status));
  const signIn = async (name = "alice", more) => {
    const result = await ask("POST", "/session", { body: { accessToken: access[name] }, mayHave: true, ...more });
    noted(`sign-in ${name}`, result);
    return { ...result.answer, cookies: result.cookies };
  };
  const refresh = async (refreshToken, more) => {
    const result = await ask("POST", "/session/refresh", { body: { refreshToken }, mayHave: true, ...more });
    noted("refresh", result);
    return result.answer;
  };

  try {
    // Sign-ins, good and bad.
    const first = await signIn("alice", { headers: { "user-agent": "canary" } });
    const token = first.sessionToken;
    for (const name of Object.keys(access).filter((each) => each !== "slow")) await signIn(name);
    const slow = signIn("slow");
    for (const odd of [`${access.alice} x`, `${access.alice}\r\n`, [access.alice], { token: access.alice }]) await ask("POST", "/session", { body: { accessToken: odd } });
    for (const text of [`{"accessToken":"${access.alice}"`, `{"accessToken":"${access.alice}","accessToken":"x"}`, access.alice, `{"accessToken":"${access.alice}","x":"${"x".repeat(20_000)}"}`]) await ask("POST", "/session", { body: text });
    await ask("POST", "/session", { body: { accessToken: access.alice }, headers: { origin: "https://evil.example" } });
    // Refreshes, reuse, cookies, and misplaced tokens.
    const second = await refresh(first.refreshToken);
    await refresh(first.refreshToken);
    const third = await refresh(second.refreshToken);
    await refresh(first.refreshToken); // reuse: the Worker revokes the session
    await refresh(third.refreshToken);
    const mine = await signIn();
    const live = mine.sessionToken;
    const cookied = await signIn("bob", { headers: { origin: APP } });
    const again = await ask("POST", "/session/refresh", { cookies: cookied.cookies, mayHave: true });
    noted("refresh by cookie", again);
    await ask("GET", "/session", { cookies: again.cookies });
    await ask("GET", "/session", { cookies: [...again.cookies, ...cookied.cookies] });
    await ask("GET", "/session", { cookies: again.cookies, token: live });
    await ask("DELETE", "/session", { cookies: again.cookies });
    // An operator signs in, and tokens come to the wrong place.
    const operated = await ask("POST", "/admin/session", { token: operator, mayHave: true });
    noted("operator's sign-in", operated);
    const { operatorToken } = operated.answer;
    noted("operator", await ask("GET", "/admin/session", { token: operatorToken }));
    for (const path of ["overview", "users", `users/${mine.user.uid}`, `users/${mine.user.uid}/sessions`, `users/${mine.user.uid}/payments`, "payments", "products", "settings", "keys", "audit"]) {
      noted("operator's reads", await ask("GET", `/admin/${path}`, { token: operatorToken }));
    }
    await ask("POST", "/admin/session", { token: operator, headers: { origin: APP } });
    for (const secret of [live, mine.refreshToken, refreshSecret, credential, operator, operatorToken, piApiKey, keys[0].d, access.alice]) {
      for (const method of ["GET", "POST"]) await ask(method, "/admin/session", { token: `${secret}x` });
      await ask("GET", `/session`, { token: secret });
      await ask("GET", "/session", { token: `${secret}x` });
      await ask("POST", "/session/refresh", { body: { refreshToken: `${secret}x` } });
      await ask("POST", "/revoke-all", { token: `${secret}x` });
      await ask("GET", "/users/x", { headers: { authorization: `Basic ${secret}`, "user-agent": secret, "x-request-id": secret } });
      await ask("POST", "/introspect", { token: credential, body: new URLSearchParams({ token: secret }) });
    }
    // A user's own data can contain anything, so the test writes no secret there.
    await ask("PUT", "/me/data", { token: live, body: '{"level":7}', headers: { "if-match": "*" } });
    await ask("PUT", "/me/data", { token: live, body: '{"level":7}' });
    // Orders, payments at a Pi that echoes the key, ads and notifications.
    await tell({ sql: "INSERT INTO products (id, name, amount_stroops) VALUES ('coffee', 'Coffee', 31400000)" });
    const pay = async (id, more = {}) => {
      const { answer: order } = await ask("POST", "/orders", { token: live, body: { productId: "coffee" } });
      payments.set(id, {
        identifier: id, user_uid: ALICE, amount: 3.14, memo: `Coffee ${piApiKey}`, metadata: { orderId: order.orderId, echo: piApiKey }, from_address: piApiKey, to_address: "G", direction: "user_to_app", created_at: new Date().toISOString(), network: "Pi Testnet",
        status: { developer_approved: false, transaction_verified: false, developer_completed: false, cancelled: false, user_cancelled: false }, transaction: null, ...more,
      });
      noted("approve", await ask("POST", `/payments/${id}/approve`, { token: live }));
    };
    await pay("paid");
    payments.get("paid").transaction = { txid: "ab".repeat(32), verified: true, _link: piApiKey };
    payments.get("paid").status.transaction_verified = true;
    noted("complete", await ask("POST", "/payments/paid/complete", { token: live, body: { txid: "ab".repeat(32) } }));
    await pay("left");
    await pay("foreign", { user_uid: "somebody" });
    await pay("wrong", { amount: 9 });
    for (const id of ["bad1", "cut1", "none"]) for (const step of ["approve", "cancel", "recover"]) await ask("POST", `/payments/${id}/${step}`, { token: live });
    await ask("POST", "/payments/left/cancel", { token: live });
    noted("ad", await ask("POST", "/ads/ad1/claim", { token: live }));
    noted("notification", await ask("POST", "/notifications", { token: credential, body: { notifications: [{ title: "t", body: "b", userUid: ALICE, subroute: "/" }] } }));
    noted("refused key", await ask("POST", "/payments/none/cancel", { token: live, overrides: { bindings: { PI_API_KEY: marked("another PI_API_KEY", secretOf(24)) } } }));
    await pay("open");
    await tell({ sql: "UPDATE payments SET due_at = due_at - 1000" });
    await tell({ sql: "UPDATE turns SET due_at = due_at - 1000" });
    await ask("GET", "/cdn-cgi/local/scheduled");
    // Every route: with a session, as a backend, with neither, with HEAD and OPTIONS.
    for (const [method, path] of ROUTES.filter(([method, path]) => method === "GET" && !path.endsWith("/x"))) for (const each of [live, credential, undefined]) await ask(method, path, { token: each });
    for (const [, path] of ROUTES) for (const method of ["HEAD", "OPTIONS", "PATCH"]) await ask(method, path, { token: live, headers: { origin: APP } });
    for (const path of [`/users/${ALICE}`, `/users/${ALICE}/payments`]) await ask("GET", path, { token: credential });
    noted("introspection", await ask("POST", "/introspect", { token: credential, body: new URLSearchParams({ token: live }) }));
    // Each secret missing, truncated, and with extra characters.
    for (const [name, value] of Object.entries({ SESSION_KEYS: bindings.SESSION_KEYS, REFRESH_SECRET: refreshSecret, BACKEND_CREDENTIALS: bindings.BACKEND_CREDENTIALS, OPERATOR_CREDENTIALS: bindings.OPERATOR_CREDENTIALS, PI_API_KEY: piApiKey, SESSION_ISSUER: ISSUER, DB: undefined })) {
      const others = value === undefined ? [] : [value.slice(0, 20), `${value} x`, `x${value}`, value.replace(/[A-Za-z0-9_-]{30}/, "!"), { value }, 7];
      for (const overrides of [{ without: [name] }, ...others.map((other) => ({ bindings: { [name]: other } }))]) {
        for (const [method, path] of [["GET", "/session"], ["GET", "/.well-known/jwks.json"], ["POST", "/payments/none/cancel"]]) noted("a setting garbled", await ask(method, path, { token: live, overrides }));
      }
    }
    // Failures of the database, a signature and the wasm while a request with a token is open.
    const stopping = signIn("alice");
    for (const overrides of [{ database: { how: "fails" } }, { database: { how: "fails", from: 2 } }, { signing: "fails" }, { breaks: true }]) {
      for (const body of [{ accessToken: access.alice }]) await ask("POST", "/session", { body, overrides, mayHave: true });
      await ask("POST", "/session/refresh", { body: { refreshToken: mine.refreshToken }, overrides, mayHave: true });
      await ask("GET", "/session", { token: live, overrides });
      await ask("POST", "/payments/paid/approve", { token: live, overrides });
      noted("afterwards", await ask("GET", "/health"));
    }
    await stopping;
    await slow;
    noted("afterwards", await ask("GET", "/me", { token: live }));
    await ask("DELETE", "/session", { token: live });
    await ask("DELETE", "/me", { token: (await signIn("bob")).sessionToken });
    await ask("POST", "/revoke-all", { token: credential });
    put("the access token of a revoked session", String(token === live));
    await sleep(500);
    // A running database has a write-ahead log; a stopped one has only its main file.
    for (const path of filesIn(folder)) put(`running: ${path.slice(folder.length + 1)}`, readFileSync(path));
  } finally {
    child.send({ close: true });
    await once(child, "exit");
    await pi.close();
  }
  for (const path of filesIn(folder)) put(`stopped: ${path.slice(folder.length + 1)}`, readFileSync(path));
  for (const [name, chunks] of Object.entries(printed)) put(`${name} of the Worker and workerd`, Buffer.concat(chunks));
  rmSync(folder, { recursive: true, force: true });

  await collectErrors(put, markers, keys);
  await collectCommands(put, markers, { keys, refreshSecret, piApiKey, url });
  return { markers, outputs, statuses, answered };
}

/** Collects the errors of the package. */
async function collectErrors(put, markers, keys) {
  const { createVerifier, verify } = await import("../../pkg/index.mjs");
  const { refusal } = await import("../../pkg/middleware/fetch.mjs");
  const { mint } = await import("../support/issuer.mjs");
  const { d, state, ...bare } = keys[0];
  const jwks = { keys: [{ ...bare, alg: "EdDSA", use: "sig" }] };
  const options = { issuer: ISSUER, audience: "canary", jwks };
  const time = Math.floor(Date.now() / 1000);
  const claims = { iss: ISSUER, aud: "canary", sub: ALICE, sid: "sid-1", iat: time, exp: time + 600, auth_time: time, jti: "jti-1", scope: "" };
  const good = mint(claims, { key: keys[0] });
  const tokens = [good.slice(0, -4), `${good}x`, `${good.slice(0, -8)}AAAAAAAA`, mint({ ...claims, exp: time - 600 }, { key: keys[0] }), mint({ ...claims, aud: "x" }, { key: keys[0] }), mint({ ...claims, iss: "x" }, { key: keys[0] }), mint(claims, { key: keys[1] }), `x.${good}`, `${good}${"x".repeat(5_000)}`];
  const verifier = await createVerifier(options);
  const attempts = [
    ...tokens.flatMap((token) => [() => verifier.verify(token), () => verify(token, options)]),
    ...[{ jwks: { keys } }, { jwks: keys[0].d }, { issuer: keys[0].d }, { jwksUrl: `http://evil.example/${keys[0].d}` }, { clockTolerance: keys[0].d }].map((more) => () => createVerifier({ ...options, ...more })),
    () => verifier.verify(Buffer.from(good)), () => verifier.verify({ token: good }), () => verify([good], options),
  ];
  for (const token of tokens) markers.addToken("a token that the package refuses", `${token}..`.split(".").slice(0, 3).map((part) => (part.length < 16 ? part.padEnd(16, "~") : part)).join("."));
  for (const [i, action] of attempts.entries()) {
    try {
      await action();
      throw new Error(`attempt ${i} was accepted`);
    } catch (error) {
      put(`error ${i} of the package`, [inspect(error, { showHidden: true, depth: 9 }), JSON.stringify(error), String(error), error.stack].join("\n"));
      // A middleware answers errors about a token. It rethrows the others, which are mistakes in
      // the program.
      if (error.name === "SessionError" && error.code !== "invalid_options") put(`answer of a middleware to error ${i}`, await refusal(error).text());
    }
  }
}

/** Collects the output of the command line tool. A command may print the secret that it was
 * asked for to its standard output. */
async function collectCommands(put, markers, { keys, refreshSecret, piApiKey, url }) {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-canary-cli-"));
  const run = async (args, input = "", { belongs } = {}) => {
    const child = spawn(process.execPath, [`${root}/pkg/cli/index.mjs`, ...args], { cwd: folder });
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", (text) => (output[name] += text));
    child.stdin.on("error", () => {}); // a command that refuses its arguments does not read
    child.stdin.end(input);
    const [code] = await once(child, "close");
    const own = belongs?.(output.stdout) ?? [];
    for (const [i, secret] of own.entries()) markers.add(`secret ${i} of ${args.join(" ")}`, secret);
    let { stdout } = output;
    for (const secret of own) stdout = stdout.replaceAll(secret, "");
    put(`${args.join(" ")}: ${code}`, `${belongs ? "" : stdout}\n${output.stderr}`);
    if (belongs) put(`${args.join(" ")}: the rest of its output`, stdout);
    return output.stdout;
  };
  const seeds = (text) => [...text.matchAll(/"d":\s*"([^"]+)"/g)].map(([, d]) => d);
  const file = "keys.json";
  await run(["keys", "new", "--file", file]);
  for (const d of seeds(readFileSync(join(folder, file), "utf8"))) markers.add("a key of keys new", d);
  await run(["keys", "jwks", "--file", file]);
  await run(["keys", "new", "--file", file]);
  await run(["keys", "rotate", "--file", file, "--now"]);
  await run(["keys", "retire", "--file", file, "--now"]);
  for (const d of seeds(readFileSync(join(folder, file), "utf8"))) markers.add("a key of keys rotate", d);
  await run(["keys", "rotate"], JSON.stringify({ keys: [keys[0]] }), { belongs: seeds });
  const set = JSON.stringify({ keys });
  for (const text of [set.slice(0, -9), set.replace('"d":"', '"d":"x'), `${set}${set}`, JSON.stringify({ keys: [keys[0], keys[0]] }), keys[0].d, refreshSecret]) for (const command of ["jwks", "rotate", "retire"]) await run(["keys", command], text);
  writeFileSync(join(folder, ".dev.vars"), `REFRESH_SECRET='${refreshSecret}'\nPI_API_KEY='${piApiKey}'\nSESSION_KEYS='${set}'\n`, { mode: 0o600 });
  await run(["secrets"]);
  await run(["secrets", "--print"]);
  await run(["secrets", "show", "REFRESH_SECRET"], "", { belongs: () => [refreshSecret] });
  await run(["secrets", "show", "--", keys[0].d]);
  await run(["secrets", "refresh"], "", { belongs: (text) => text.match(/[A-Za-z0-9_-]{43,}/g) });
  await run(["operators", "add", "alice"], "", { belongs: (text) => text.match(/\b[A-Za-z0-9_-]{43}\b/g) ?? [] });
  await run(["secrets", "backend", "api"], "", { belongs: (text) => text.match(/\b[A-Za-z0-9_-]{43}\b/g) ?? [] });
  writeFileSync(join(folder, "wrangler.json"), JSON.stringify({ name: "x", vars: { SESSION_ISSUER: "http://x", REFRESH_SECRET: refreshSecret, PI_API_KEY: piApiKey, SESSION_KEYS: set } }));
  await run(["doctor"]);
  await run(["doctor", "--secrets-file", ".dev.vars"]);
  await run(["doctor", url]);
  await run(["doctor", `https://${keys[0].d}@x.invalid`]);
  await run(["--", refreshSecret]);
  rmSync(folder, { recursive: true, force: true });
}

/** Searches all outputs for the secrets. */
export function search({ markers, outputs }) {
  const hits = [];
  let [bytes, lines] = [0, 0];
  for (const [name, content] of outputs) {
    bytes += content.length;
    for (let at = content.indexOf(10); at !== -1; at = content.indexOf(10, at + 1)) lines += 1;
    for (const marker of markers.search(content)) hits.push(`${marker} in ${name}`);
  }
  return { hits, outputs: outputs.length, bytes, lines, markers: markers.count, forms: markers.forms };
}

/** Plants each form of each secret into copies of the log and of a database file. Returns the
 * forms that the search misses. */
export function missed({ markers, outputs }) {
  const around = [/^stdout of/, /^stopped: .*sqlite$/].map((pattern) => outputs.find(([name]) => pattern.test(name))[1].subarray(0, 200));
  const isFound = ([needle, name]) => around.every((bytes) => markers.search(Buffer.concat([bytes, Buffer.from(needle, "latin1"), bytes])).includes(name));
  return markers.needles.filter((each) => !isFound(each)).map(([, name]) => name);
}
