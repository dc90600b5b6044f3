// The commands of operators, as processes, against a server that answers as the Worker does. It
// notes each request, and its texts are as hostile as users can make them.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";

const CREDENTIAL = "a-credential-of-an-operator";
// A service token of Cloudflare Access, in the form of its documentation.
const TOKEN_ID = "88bf3b6d86161464f6509f7219099e57.access";
const TOKEN_SECRET = "cfast_bdd31cbc4dec990953e39163fbbb194c93313ca9f0a6e420";
const ACCESS = { CF_ACCESS_CLIENT_ID: TOKEN_ID, CF_ACCESS_CLIENT_SECRET: TOKEN_SECRET };
const LOGIN = "https://team.cloudflareaccess.com/cdn-cgi/access/login/session.example.com?kid=1";
const REQUEST_ID = "kHt4Nq0mZr2bVx8L";
const EVIL = "\u001b[31mred\u202eevil\u0007\u009b2J\u2028<script>";
const ESCAPED = "\\u001b[31mred\\u202eevil\\u0007\\u009b2J\\u2028<script>";
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

const user = { uid: "uid-1", username: EVIL, scopes: ["username"], firstSeenAt: "2026-01-01T00:00:00Z", lastSeenAt: "2026-02-01T00:00:00Z", signIns: 3 };
const session = { sid: "sid-1", createdAt: "2026-01-01T00:00:00Z", lastSeenAt: "2026-02-01T00:00:00Z", expiresAt: "2026-03-01T00:00:00Z", userAgent: EVIL, country: "VN" };
const payment = { paymentId: "pay-1", orderId: "order-1", uid: "uid-1", username: EVIL, productId: "coffee", state: "approved", amount: "3.14", memo: EVIL, createdAt: "2026-02-01T00:00:00Z", checks: 4, problem: "pi_refused", isStuck: true };
const entry = { id: 12, at: "2026-02-01T00:00:00Z", actor: "alice", via: "console", action: "user.blocked", target: "uid-1", detail: { reason: EVIL }, requestId: REQUEST_ID };
const overview = {
  at: "2026-02-01T14:00:00Z",
  service: { issuer: "https://session.example.com", audience: "example-app", version: "0.1.0", network: "Pi Network", environment: "production", counts: true },
  operator: { name: "alice", role: "owner" },
  needs: [
    { kind: "migration_missing", level: "urgent", text: `The database lacks a migration: ${EVIL}`, command: "npx wrangler d1 migrations apply DB --remote" },
    { kind: "key_old", level: "soon", text: "The signing key is 97 days old.", command: "npx pioneer-session keys rotate" },
  ],
  today: {
    since: "2026-02-01T00:00:00Z", signIns: 12, newUsers: 3, refreshes: 40, paid: { count: 19, amount: "61.2" },
    refused: [{ code: "session_expired", count: 71 }, { code: "rate_limited", count: 5 }],
    pi: { calls: 431, failed: 2, halfUnderMs: 200, most95UnderMs: 800 }, d1: { rowsRead: 1000, rowsWritten: 200, shareRead: 0.0002, shareWritten: 0.18 },
  },
  weekAgo: { signIns: 10, paid: { count: 14, amount: "44" } },
  stock: { users: { count: 5, at: "2026-02-01T14:00:00Z" }, liveSessions: { count: 7, at: "2026-02-01T14:00:00Z" }, activeYesterday: { count: 4 } },
  run: { at: "2026-02-01T13:55:00Z", outcome: { paid: 0, cancelled: 0, waiting: 0, failed: 1, givenUp: 0 } },
  series: { unit: "hour", points: [] },
};

/** The answers of the server, by method and path. */
const ANSWERS = {
  "GET /admin/overview": overview,
  "GET /admin/users": { users: [user], next: `c\u202e1` },
  "GET /admin/users/uid-1": { user, data: { bytes: 123, version: "v1" } },
  "GET /admin/users/uid-1/sessions": { sessions: [session] },
  "GET /admin/users/uid-1/payments": { payments: [payment] },
  "GET /admin/users/uid-1/export": { user, data: { __proto__: null, evil: EVIL } },
  "POST /admin/users/uid-1/revoke": 204,
  "POST /admin/users/uid-1/block": 204,
  "POST /admin/users/uid-1/unblock": 204,
  "DELETE /admin/users/uid-1": 204,
  "DELETE /admin/sessions/sid-1": 204,
  "GET /admin/payments": { payments: [payment] },
  "GET /admin/payments/pay-1": { payment, order: { orderId: "order-1", productId: "coffee", amount: "3.14", memo: EVIL }, timeline: [{ at: "2026-02-01T00:00:00Z", event: "approved" }] },
  "POST /admin/payments/pay-1/settle": { paymentId: "pay-1", orderId: "order-1", state: "paid", amount: "3.14", txid: "tx" },
  "POST /admin/payments/pay-1/cancel": { status: 409, code: "payment_has_transaction", detail: `The payment has a transaction. ${EVIL}` },
  "GET /admin/products": { products: [{ id: "coffee", name: EVIL, amount: "3.14", active: false }] },
  "POST /admin/products": { id: "tea", name: "Tea", amount: "1", active: true },
  "PATCH /admin/products/coffee": { id: "coffee", name: "Coffee", amount: "2", active: true },
  "GET /admin/audit": { entries: [entry] },
  "GET /admin/settings": { settings: [], secrets: [{ name: "SESSION_KEYS", isSet: true }, { name: "PI_API_KEY", isSet: false }], bindings: [], schema: { newest: "0009_operators.sql", missing: ["0009_operators.sql"] }, version: "0.1.0" },
  "GET /admin/keys": { keys: [{ kid: "k1", state: "active" }, { kid: "k2", state: "next", since: "2026-02-01T00:00:00Z" }] },
};

describe("the commands of operators", () => {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-admin-"));
  let [server, url] = [];
  let requests = [];
  let answers = ANSWERS;
  /** What Cloudflare Access answers without its service token. Without this, it is not there. */
  let access;

  before(async () => {
    server = createServer((request, response) => {
      let body = "";
      request.on("data", (data) => (body += data));
      request.on("end", () => {
        const { pathname, searchParams } = new URL(request.url, "http://x");
        const { authorization, "cf-access-client-id": id, "cf-access-client-secret": secret } = request.headers;
        requests.push({ called: `${request.method} ${pathname}`, query: Object.fromEntries(searchParams), body: body && JSON.parse(body), authorization, token: [id, secret] });
        if (access && !(id === TOKEN_ID && secret === TOKEN_SECRET)) {
          const { status, headers } = id ? (access.refusal ?? access) : access;
          return response.writeHead(status, headers).end("<html>");
        }
        const problem = (status, code, detail) => response.writeHead(status, { "content-type": "application/problem+json" }).end(JSON.stringify({ status, code, detail, requestId: REQUEST_ID }));
        if (pathname === "/health") return response.end('{"status":"ok"}');
        if (authorization !== `Bearer ${CREDENTIAL}` && pathname.startsWith("/admin/")) return problem(401, "operator_rejected", "The credential is not an operator's.");
        const answer = answers[`${request.method} ${pathname}`];
        if (answer === undefined) return problem(404, "not_found", "No such route or resource.");
        if (answer === 204) return response.writeHead(204).end();
        if (answer.location) return response.writeHead(307, { location: answer.location }).end();
        if (answer.code) return problem(answer.status, answer.code, answer.detail);
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify(answer));
      });
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    url = `http://127.0.0.1:${server.address().port}`;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    requests = [];
    answers = ANSWERS;
    access = undefined;
  });

  /** Runs the tool. No output may have the credential or the service token, or a character that changes a terminal. */
  function run(args, { env = { PIONEER_SESSION_CREDENTIAL: CREDENTIAL, PIONEER_SESSION_URL: url }, input = "" } = {}) {
    return new Promise((done, fail) => {
      const { PATH, HOME } = process.env;
      const child = spawn(process.execPath, [`${root}/pkg/cli/index.mjs`, ...args], { cwd: folder, env: { PATH, HOME, ...env } });
      const output = { stdout: "", stderr: "" };
      for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", (text) => (output[name] += text));
      child.on("error", fail);
      child.on("close", (code) => {
        for (const text of Object.values(output)) {
          for (const secret of [CREDENTIAL, TOKEN_ID, TOKEN_SECRET]) assert.ok(!text.includes(secret), "a credential is in the output");
          assert.doesNotMatch(text.replaceAll("\n", "").replaceAll("\t", ""), UNSAFE);
        }
        done({ code, ...output });
      });
      child.stdin.on("error", () => {}); // a command that refuses its arguments does not read
      child.stdin.end(input);
    });
  }
  const called = () => requests.map((request) => request.called);

  test("A2: take the credential from the environment or from standard input, and never as an argument", async () => {
    const address = { PIONEER_SESSION_URL: url };
    assert.equal((await run(["audit"], { env: address, input: `${CREDENTIAL}\n` })).code, 0);
    assert.equal((await run(["audit", "--url", url], { env: {}, input: CREDENTIAL })).code, 0);
    assert.equal(requests.length, 2);
    const none = await run(["audit"], { env: address });
    assert.deepEqual([none.code, requests.length], [1, 2]);
    assert.match(none.stderr, /credential of an operator is missing.*PIONEER_SESSION_CREDENTIAL/);
    for (const args of [["audit", "--credential", "x"], ["audit", "x"], ["audit", "--token", "x"]]) assert.equal((await run(args)).code, 2);
    assert.equal((await run(["audit"], { env: { ...address, PIONEER_SESSION_CREDENTIAL: "a\nb" } })).code, 1);
    const wrong = await run(["audit"], { env: { ...address, PIONEER_SESSION_CREDENTIAL: "wrong" } });
    assert.equal(wrong.code, 1);
    assert.equal(wrong.stderr, `The credential is not an operator's. (401 operator_rejected, request ${REQUEST_ID})\n`);
  });

  test("send it to one https address, or to this machine, and follow no redirect", async () => {
    for (const address of ["http://session.example.com", "http://127.0.0.1.example.com", "ftp://127.0.0.1", "x", `${url}/admin`, `${url}/?a=b`, url.replace("//", "//user@")]) {
      assert.equal((await run(["overview", "--url", address])).code, 2, address);
    }
    assert.equal((await run(["overview"], { env: { PIONEER_SESSION_CREDENTIAL: CREDENTIAL } })).code, 2, "no address");
    assert.deepEqual(requests, []);
    answers = { "GET /admin/overview": { location: `${url}/admin/users` } };
    const { code, stderr } = await run(["overview"]);
    assert.equal(code, 1);
    assert.match(stderr, /redirect, which was not followed/);
    assert.deepEqual(called(), ["GET /admin/overview"]);
    const nobody = await run(["overview", "--url", `http://127.0.0.1:${await freePort()}`]);
    assert.deepEqual([nobody.code, nobody.stderr], [1, "The Worker cannot be reached: ECONNREFUSED. Check --url.\n"]);
  });

  test("overview: what needs the operator, and the figures of the Worker", async () => {
    const { code, stdout } = await run(["overview"]);
    assert.equal(code, 0);
    for (const line of ["example-app · https://session.example.com · 0.1.0 · Pi Network · alice (owner)", `  urgent: The database lacks a migration: ${ESCAPED}`, "    npx wrangler d1 migrations apply DB --remote", "  soon: The signing key is 97 days old."]) {
      assert.ok(stdout.includes(`${line}\n`), `${line}\n${stdout}`);
    }
    for (const line of [/sign-ins +12 \(10\)/, /new users +3\n/, /paid orders +19 \(14\)/, /paid Pi +61\.2 \(44\)/, /refused +76 session_expired 71, rate_limited 5/, /calls to Pi +431 2 failed, half within 200 ms, 95 in 100 within 800 ms/, /rows written +200 18\.0 % of the free plan's/, /users: 5, as of/, /\nLast scheduled run: .*failed 1/]) {
      assert.match(stdout, line);
    }
    assert.equal((await run(["overview", "--range", "7d"])).code, 0);
    assert.deepEqual(requests.at(-1).query, { range: "7d" });
    assert.equal((await run(["overview", "--range", "1d"])).code, 2);
    answers = { "GET /admin/overview": { at: overview.at, service: overview.service, operator: overview.operator, needs: [], stock: {} } };
    const first = await run(["overview"]);
    assert.match(first.stdout, /Needs you\n {2}nothing\n/);
    assert.match(first.stdout, /\nLast scheduled run: never\n$/);
    assert.doesNotMatch(first.stdout, /COUNTS|In all/);
    const { at, operator, needs, run: ran } = overview;
    answers = { "GET /admin/overview": { at, service: { ...overview.service, counts: false }, operator, needs, run: ran } };
    const uncounted = await run(["overview"]);
    assert.match(uncounted.stdout, /Needs you\n {2}urgent: .*\n\nNo figures: COUNTS is off\. Set it to on to have them\.\n\nLast scheduled run: .*failed 1, givenUp 0\n$/s);
    assert.doesNotMatch(uncounted.stdout, /Today|In all|sign-ins +\d/);
  });

  test("--json prints one object, with the same texts", async () => {
    for (const [args, path] of [[["overview"], "overview"], [["users", "x"], "users"], [["sessions", "uid-1"], "users/uid-1/sessions"], [["payments"], "payments"], [["payment", "pay-1"], "payments/pay-1"], [["audit"], "audit"], [["products", "--url", url], "products"]]) {
      const { code, stdout, stderr } = await run([...args, "--json"]);
      assert.deepEqual([code, stderr], [0, ""]);
      assert.equal(stdout.trimEnd().split("\n").length, 1);
      assert.deepEqual(JSON.parse(stdout), JSON.parse(JSON.stringify(ANSWERS[`GET /admin/${path}`])), args[0]);
    }
    const { stdout } = await run(["user", "uid-1", "--json"]);
    assert.deepEqual(JSON.parse(stdout), { user, data: { bytes: 123, version: "v1" }, sessions: [session], payments: [payment] });
  });

  test("users, user and sessions: find a person", async () => {
    const { code, stdout, stderr } = await run(["users", "100% '_", "--limit", "5", "--after", "c0"]);
    assert.deepEqual([code, requests[0].query], [0, { q: "100% '_", limit: "5", after: "c0" }]);
    assert.ok(stdout.includes(ESCAPED), stdout);
    assert.equal(stderr, "There are more. Add: --after c\\u202e1\n");
    const person = await run(["user", "uid-1"]);
    for (const text of ["uid-1", ESCAPED, "123 bytes, version v1", "sid-1", "pay-1", "stuck: pi_refused"]) assert.ok(person.stdout.includes(text), `${text}\n${person.stdout}`);
    assert.ok((await run(["sessions", "uid-1"])).stdout.includes(`VN  ${ESCAPED}`));
    for (const id of ["..", "a/b", "", "%2e%2e", "a".repeat(129)]) assert.equal((await run(["user", "--", id])).code, 2, id);
    const unknown = await run(["user", "uid-2"]);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /404 not_found.*If the id is right/);
  });

  test("user: asks before what cannot be taken back, and does nothing if nobody can answer", async () => {
    const asks = [["--end-sessions"], ["--block", "spam"], ["--erase"]];
    for (const action of asks) {
      const { code, stderr } = await run(["user", "uid-1", ...action]);
      assert.deepEqual([code, requests.length], [1, 0]);
      assert.match(stderr, /Nobody can answer without a terminal, so nothing was done. To go on, add --yes\./);
    }
    const expected = ["POST /admin/users/uid-1/revoke", "POST /admin/users/uid-1/block", "DELETE /admin/users/uid-1", "POST /admin/users/uid-1/unblock"];
    for (const action of asks) assert.equal((await run(["user", "uid-1", ...action, "--yes"])).code, 0);
    assert.equal((await run(["user", "uid-1", "--unblock"])).code, 0, "this does not ask");
    assert.deepEqual(called(), expected);
    assert.deepEqual([requests[1].body, requests[2].query], [{ reason: "spam" }, { confirm: "uid-1" }]);
    const json = await run(["user", "uid-1", "--erase", "--yes", "--json"]);
    assert.deepEqual([JSON.parse(json.stdout), json.stderr], [{ uid: "uid-1", action: "erase" }, ""]);
    for (const wrong of [["--erase", "--unblock", "--yes"], ["--block", " ", "--yes"], ["--block", "a\nb", "--yes"], ["--block", "x".repeat(201), "--yes"]]) {
      assert.equal((await run(["user", "uid-1", ...wrong])).code, 2, wrong.join(" "));
    }
    assert.equal(requests.length, 5);
  });

  test("user --export writes a new file for its owner only", async () => {
    const file = join(folder, "alice.json");
    assert.equal((await run(["user", "uid-1", "--export", file])).code, 0);
    assert.deepEqual(JSON.parse(readFileSync(file, "utf8")), JSON.parse(JSON.stringify(ANSWERS["GET /admin/users/uid-1/export"])));
    assert.equal(statSync(file).mode & 0o777, 0o600);
    writeFileSync(file, "mine");
    requests = [];
    const again = await run(["user", "uid-1", "--export", file]);
    assert.deepEqual([again.code, again.stderr, readFileSync(file, "utf8")], [1, `${file} exists already. Choose another name.\n`, "mine"]);
    for (const nowhere of [join(folder, "no", "x.json"), folder, ""]) assert.equal((await run(["user", "uid-1", "--export", nowhere])).code, 1);
    assert.ok(!existsSync(join(folder, "no")));
    assert.deepEqual(requests, [], "the record was read, but could not be stored");
  });

  test("user --export leaves no file if the record cannot be read", async () => {
    const file = join(folder, "carol.json");
    answers = { "GET /admin/users/uid-1/export": { status: 403, code: "operator_forbidden", detail: "Only an owner may do this." } };
    const { code, stderr } = await run(["user", "uid-1", "--export", file]);
    assert.deepEqual([code, stderr.includes("operator_forbidden"), existsSync(file)], [1, true, false]);
    assert.deepEqual(called(), ["GET /admin/users/uid-1/export"]);
  });

  test("sessions --end revokes a session of this user, and of no other", async () => {
    assert.equal((await run(["sessions", "uid-1", "--end", "sid-1"])).code, 0);
    assert.equal((await run(["sessions", "uid-1", "--end", "sid-2"])).code, 1);
    assert.deepEqual(called().filter((name) => name.startsWith("DELETE")), ["DELETE /admin/sessions/sid-1"]);
  });

  test("payments and payment: find a payment, settle it, and cancel it", async () => {
    for (const [args, query] of [[[], {}], [["--stuck"], { stuck: "true" }], [["--state", "paid"], { state: "paid" }], [["tx"], { q: "tx" }]]) {
      const { code, stdout } = await run(["payments", ...args]);
      assert.deepEqual([code, requests.at(-1).query], [0, query]);
      assert.ok(stdout.includes("3.14 Pi  approved  stuck: pi_refused"), stdout);
    }
    assert.equal((await run(["payments", "--user", "uid-1"])).code, 0);
    assert.equal(called().at(-1), "GET /admin/users/uid-1/payments");
    for (const wrong of [["--stuck", "--state", "paid"], ["--state", "x"], ["x", "--stuck"]]) assert.equal((await run(["payments", ...wrong])).code, 2);
    const shown = await run(["payment", "pay-1"]);
    for (const text of ["approved, stuck", `memo     ${ESCAPED}`, "pi_refused, after 4 checks", "2026-02-01T00:00:00Z  approved"]) assert.ok(shown.stdout.includes(text), `${text}\n${shown.stdout}`);
    assert.equal((await run(["payment", "pay-1", "--settle"])).stdout, "The payment pay-1 is paid.\n");
    assert.equal((await run(["payment", "pay-1", "--cancel"])).code, 1);
    assert.equal(called().at(-1), "POST /admin/payments/pay-1/settle", "nothing was cancelled");
    const refused = await run(["payment", "pay-1", "--cancel", "--yes"]);
    assert.deepEqual([refused.code, refused.stderr], [1, `The payment has a transaction. ${ESCAPED} (409 payment_has_transaction, request ${REQUEST_ID})\n`]);
    assert.equal((await run(["payment", "pay-1", "--cancel", "--settle"])).code, 2);
  });

  test("audit: by one filter", async () => {
    const { stdout } = await run(["audit", "--target", "uid-1"]);
    assert.deepEqual(requests[0].query, { target: "uid-1" });
    for (const text of ["alice (console)", "user.blocked", REQUEST_ID]) assert.ok(stdout.includes(text), stdout);
    assert.equal((await run(["audit", "--target", "uid-1", "--actor", "alice"])).code, 2);
  });

  test("products --url: the Worker changes them", async () => {
    const products = (...args) => run(["products", ...args, "--url", url]);
    assert.equal((await products()).stdout, `coffee\t3.14\t${ESCAPED}\t(not sold)\n`);
    for (const args of [["add", "tea", "Tea", "1"], ["price", "coffee", "2"], ["stop", "coffee"], ["start", "coffee"]]) assert.equal((await products(...args)).code, 0, args[0]);
    assert.deepEqual(requests.slice(1).map(({ called, body }) => [called, body]), [
      ["POST /admin/products", { id: "tea", name: "Tea", amount: "1" }],
      ["PATCH /admin/products/coffee", { amount: "2" }],
      ["PATCH /admin/products/coffee", { active: false }],
      ["PATCH /admin/products/coffee", { active: true }],
    ]);
    const count = requests.length;
    for (const args of [["add", "tea", "Tea", "0"], ["add", "tea", "a\nb", "1"], ["price", "coffee", "1.12345678"], ["price", "../x", "1"], ["stop", "coffee", "--remote"]]) assert.equal((await products(...args)).code, 2, args.join(" "));
    assert.equal(requests.length, count);
    // The address in the environment does not choose the Worker.
    assert.notEqual((await run(["products", "--config", "none.toml"])).code, 0);
    assert.equal(requests.length, count);
  });

  test("doctor URL with a credential tells what only the Worker knows; without, it sends none", async () => {
    const { code, stdout } = await run(["doctor", url]);
    assert.equal(code, 1);
    const lines = stdout.trimEnd().split("\n");
    assert.deepEqual(lines, [
      "note: This deployment serves operators only (SERVES=admin). Check the one that serves users as well.",
      `error: The database lacks a migration: ${ESCAPED} Run: npx wrangler d1 migrations apply DB --remote`,
      "warning: The signing key is 97 days old. Run: npx pioneer-session keys rotate",
      "warning: The secret PI_API_KEY is missing, so users cannot pay. Run: npx wrangler secret put PI_API_KEY",
      "note: The next signing key k2 waits since 2026-02-01T00:00:00Z. Ten minutes after it was published, run: npx pioneer-session keys rotate",
      "note: The scheduled event last ran at 2026-02-01T13:55:00Z: paid 0, cancelled 0, waiting 0, failed 1, givenUp 0.",
      "1 error, 2 warnings",
    ]);
    answers = { ...ANSWERS, "GET /admin/overview": { needs: [] }, "GET /admin/settings": { ...ANSWERS["GET /admin/settings"], secrets: [{ name: "REFRESH_SECRET", isSet: false }] } };
    const other = await run(["doctor", url]);
    for (const text of ["The database lacks 0009_operators.sql", "The secret REFRESH_SECRET is missing", "The scheduled event has never run"]) assert.ok(other.stdout.includes(text), other.stdout);
    requests = [];
    const outside = await run(["doctor", url], { env: {} });
    assert.deepEqual([outside.code, requests.filter(({ authorization }) => authorization)], [0, []]);
    const wrong = await run(["doctor", url], { env: { PIONEER_SESSION_CREDENTIAL: "wrong" } });
    assert.deepEqual([wrong.code, /operator_rejected/.test(wrong.stdout)], [1, true]);
  });

  describe("behind Cloudflare Access", () => {
    const operator = () => ({ PIONEER_SESSION_CREDENTIAL: CREDENTIAL, PIONEER_SESSION_URL: url });
    const login = { status: 302, headers: { location: LOGIN } };

    test("a login page in front of the Worker is named, with what lets the commands through", async () => {
      const challenge = { status: 401, headers: { "www-authenticate": 'Cloudflare-Access resource_metadata="https://session.example.com"' } };
      const sentence = `Cloudflare Access stands in front of ${url}, and answered instead of the Worker. Set CF_ACCESS_CLIENT_ID and CF_ACCESS_CLIENT_SECRET to those of a service token that a policy with the action Service Auth admits.`;
      for (const answer of [login, challenge]) {
        access = answer;
        const { code, stderr } = await run(["overview"]);
        assert.deepEqual([code, stderr], [1, `${sentence}\n`]);
        const doctor = await run(["doctor", url]);
        assert.deepEqual([doctor.code, doctor.stdout], [1, `error: ${sentence}\n1 error\n`]);
      }
    });

    test("another redirect is not taken for one of Access", async () => {
      for (const location of ["https://cloudflareaccess.com.example/", "https://evilcloudflareaccess.com/", "/cloudflareaccess.com", "https://x@y.example/.cloudflareaccess.com"]) {
        access = { status: 302, headers: { location } };
        assert.match((await run(["overview"])).stderr, /redirect, which was not followed/);
      }
    });

    test("the service token goes to this address only, and only once Access has answered", async () => {
      access = login;
      const env = { ...operator(), ...ACCESS };
      for (const args of [["overview"], ["user", "uid-1", "--unblock"], ["doctor", url]]) {
        requests = [];
        const { stdout, stderr } = await run(args, { env });
        assert.ok(!/stands in front/.test(stdout + stderr), stdout + stderr);
        assert.ok(requests.length > 0);
        const asked = requests.map(({ called, token }) => [called, token[0] !== undefined]);
        for (let i = 0; i < asked.length; i += 2) assert.deepEqual(asked.slice(i, i + 2), [[asked[i][0], false], [asked[i][0], true]]);
        for (const { token } of requests) assert.ok(token[0] === undefined || (token[0] === TOKEN_ID && token[1] === TOKEN_SECRET));
      }
      requests = [];
      answers = { "GET /admin/overview": { location: `${url}/admin/users` } };
      assert.equal((await run(["overview"], { env })).code, 1);
      assert.deepEqual(called(), ["GET /admin/overview", "GET /admin/overview"]);
    });

    test("where Access does not answer, the token is not sent, and a refusal is the Worker's", async () => {
      const env = { ...operator(), ...ACCESS };
      assert.equal((await run(["overview"], { env })).code, 0);
      access = { status: 403, headers: { "content-type": "text/html" } };
      assert.match((await run(["overview"], { env })).stderr, /^The Worker answered 403/);
      assert.ok(requests.every(({ token }) => token[0] === undefined));
    });

    test("without a token, no header is sent, and empty variables are none", async () => {
      for (const env of [{}, { CF_ACCESS_CLIENT_ID: "", CF_ACCESS_CLIENT_SECRET: " " }]) assert.equal((await run(["overview"], { env: { ...operator(), ...env } })).code, 0);
      assert.deepEqual(requests.map(({ token }) => token), [[undefined, undefined], [undefined, undefined]]);
    });

    test("a refused service token is said, with or without a login page", async () => {
      const env = { ...operator(), ...ACCESS, CF_ACCESS_CLIENT_SECRET: "0".repeat(64) };
      for (const answer of [login, { status: 401, headers: { "content-type": "text/html" } }, { status: 403, headers: {} }]) {
        access = { ...login, refusal: answer };
        const { code, stderr } = await run(["overview"], { env });
        assert.equal(code, 1);
        assert.match(stderr, /and refused the service token\. Check CF_ACCESS_CLIENT_ID and CF_ACCESS_CLIENT_SECRET/);
      }
    });

    test("half a token, or one that cannot be one, is refused before any request", async () => {
      const wrong = [
        [{ CF_ACCESS_CLIENT_ID: TOKEN_ID }, /^CF_ACCESS_CLIENT_SECRET is missing\. Set both/],
        [{ CF_ACCESS_CLIENT_SECRET: TOKEN_SECRET }, /^CF_ACCESS_CLIENT_ID is missing\. Set both/],
        [{ ...ACCESS, CF_ACCESS_CLIENT_ID: `CF-Access-Client-Id: ${TOKEN_ID}` }, /^CF_ACCESS_CLIENT_ID has characters.*without the name of the header/],
        [{ ...ACCESS, CF_ACCESS_CLIENT_SECRET: `${TOKEN_SECRET}\r\nx: y` }, /^CF_ACCESS_CLIENT_SECRET has characters/],
        [{ ...ACCESS, CF_ACCESS_CLIENT_SECRET: "é".repeat(64) }, /^CF_ACCESS_CLIENT_SECRET has characters/],
      ];
      for (const [env, reason] of wrong) {
        const { code, stderr } = await run(["overview"], { env: { ...operator(), ...env } });
        assert.equal(code, 1);
        assert.match(stderr, reason);
        const doctor = await run(["doctor", url], { env });
        assert.deepEqual([doctor.code, /CF_ACCESS_CLIENT/.test(doctor.stdout)], [1, true]);
      }
      assert.deepEqual(requests, []);
    });
  });
});
