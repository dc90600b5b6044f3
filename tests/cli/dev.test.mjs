// `dev` as its users run it: from the packed package, in a folder that has nothing else than
// wrangler, and in a project.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { COMPATIBILITY_DATE, portsFrom } from "../../pkg/cli/dev.mjs";
import { environment, paths, root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";
import { pack } from "../support/packed-example.mjs";

const BIN = "node_modules/pioneer-session/pkg/cli/index.mjs";
const JSON_HEADERS = { "content-type": "application/json" };
const PORTS = 3; // of the Worker, the simulated Pi and the backend

describe("dev", () => {
  const cwd = mkdtempSync(join(tmpdir(), "pioneer-session-dev-"));
  const running = [];

  before(() => {
    writeFileSync(join(cwd, "package.json"), "{}");
    execFileSync("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error", "--no-save", pack(cwd)], { cwd, env: environment });
    for (const name of ["wrangler", "workerd", "miniflare"]) symlinkSync(`${paths.modules}/${name}`, join(cwd, "node_modules", name));
  });
  after(async () => {
    await Promise.all(running.map(({ stop }) => stop()));
    rmSync(cwd, { recursive: true, force: true });
  });

  /** Starts the command and waits for its last line. */
  async function start({ port, args = [], env = {}, folder = cwd }) {
    const child = spawn(process.execPath, [join(cwd, BIN), "dev", ...(port ? ["--port", String(port)] : []), ...args], { cwd: folder, env: { ...environment, PORT: "", ...env }, stdio: ["ignore", "pipe", "pipe"] });
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", (text) => (output[name] += text));
    const ended = new Promise((done) => child.on("close", (code) => done({ code, ...output })));
    const stop = () => {
      child.kill("SIGTERM");
      return ended;
    };
    running.push({ stop });
    const isReady = () => /^Ready: http/m.test(output.stdout);
    while (!isReady() && child.exitCode === null) await new Promise((done) => setTimeout(done, 100));
    return { output, ended, stop, isReady: isReady() };
  }

  const signIn = async (issuer, token = "sim-alice", headers = {}) => {
    const response = await fetch(`${issuer}/session`, { method: "POST", headers: { ...JSON_HEADERS, ...headers }, body: JSON.stringify({ accessToken: token }) });
    return { status: response.status, headers: response.headers, json: await response.json() };
  };

  test("serves the demo in an empty folder, tells the address last, and remembers a payment over a restart", async () => {
    const port = await freePort(PORTS);
    const issuer = `http://localhost:${port}`;
    const pi = `http://localhost:${port + 1}`;
    const env = { ALLOWED_ORIGINS: "http://localhost:5173", SESSION_TTL: "1800" };
    const first = await start({ port, env });
    assert.ok(first.isReady, first.output.stderr);
    const lines = first.output.stdout.trim().split("\n");
    assert.equal(lines.at(-1), `Ready: ${issuer}`);
    assert.ok(lines.length < 12, first.output.stdout);
    assert.match(await (await fetch(issuer)).text(), /simulated/i);
    assert.equal((await fetch(`${issuer}/backend.mjs`)).status, 404, "the page contains the backend's source");

    const page = { origin: "http://localhost:5173" };
    const { status, headers, json } = await signIn(issuer, "sim-alice", page);
    assert.deepEqual([status, headers.get("access-control-allow-origin"), json.expiresIn], [200, page.origin, 1800]);
    const bearer = { ...JSON_HEADERS, authorization: `Bearer ${json.sessionToken}` };

    const token = execFileSync(process.execPath, [join(cwd, BIN), "dev", "token", "bob", "--port", String(port)], { encoding: "utf8" }).trim();
    const profile = await fetch(`http://localhost:${port + 2}/profile`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal((await profile.json()).username, "bob_pioneer");

    const order = await (await fetch(`${issuer}/orders`, { method: "POST", headers: bearer, body: '{"productId":"coffee"}' })).json();
    const asAlice = { ...JSON_HEADERS, authorization: "Bearer sim-alice" };
    const { amount, memo, metadata } = order;
    const payment = await (await fetch(`${pi}/simulator/payments`, { method: "POST", headers: asAlice, body: JSON.stringify({ amount: Number(amount), memo, metadata }) })).json();
    const step = (name, body = "{}") => fetch(`${issuer}/payments/${payment.identifier}/${name}`, { method: "POST", headers: bearer, body });
    assert.equal((await step("approve")).status, 200);
    const { code } = await first.stop();
    assert.equal(code, 0);

    const second = await start({ port, env });
    assert.ok(second.isReady, second.output.stderr);
    const paid = await (await fetch(`${pi}/simulator/payments/${payment.identifier}/pay`, { method: "POST", headers: asAlice })).json();
    const completed = await step("complete", JSON.stringify({ txid: paid.transaction.txid }));
    assert.deepEqual([completed.status, (await completed.json()).state], [200, "paid"]);

    // The ports are in use now.
    const third = await start({ port });
    const { code: refused, stderr } = await third.ended;
    assert.equal(refused, 1);
    assert.match(stderr, /--port 9000/);
    await second.stop();
  });

  test("serves the Worker, the page and the backend of a project, and keeps its files as they are", async () => {
    const folder = join(cwd, "project");
    mkdirSync(join(folder, "public"), { recursive: true });
    writeFileSync(join(folder, "public/index.html"), "<!doctype html><title>Mine</title>");
    writeFileSync(join(folder, "index.js"), 'export { default } from "pioneer-session/worker";\n');
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module", scripts: { backend: "node backend.js" } }));
    writeFileSync(join(folder, "backend.js"), `import { createServer } from "node:http";
import { createVerifier } from "pioneer-session";
import { refusal, sessionFrom } from "pioneer-session/fetch";
const { SESSION_ISSUER: issuer, SESSION_AUDIENCE: audience, PORT } = process.env;
const verifier = await createVerifier({ issuer, audience });
createServer((request, response) => {
  if (request.url === "/") return response.end("open");
  const asked = new Request("http://localhost/", { headers: request.headers });
  sessionFrom(asked, verifier).then(({ uid }) => response.end(uid), (error) => response.writeHead(refusal(error).status).end());
}).listen(Number(PORT), "127.0.0.1");
`);
    const configuration = JSON.stringify({
      name: "mine", main: "index.js", compatibility_date: COMPATIBILITY_DATE, assets: { directory: "public" },
      vars: { SESSION_ISSUER: "https://mine.example.com", SESSION_AUDIENCE: "mine", PI_NETWORK: "Pi Network" },
      d1_databases: [{ binding: "DB", database_name: "mine", migrations_dir: "node_modules/pioneer-session/src/worker/migrations" }],
    });
    writeFileSync(join(folder, "wrangler.json"), configuration);
    // A real key of Pi must not reach the simulated one, nor the other way round.
    writeFileSync(join(folder, ".dev.vars"), "PI_API_KEY='a-real-key-of-the-app'\n");
    const port = await freePort(PORTS);
    const issuer = `http://localhost:${port}`;
    const dev = await start({ port, folder });
    assert.ok(dev.isReady, dev.output.stderr);
    assert.match(await (await fetch(issuer)).text(), /Mine/);
    const { json } = await signIn(issuer);
    const profile = await fetch(`http://localhost:${port + 2}/profile`, { headers: { authorization: `Bearer ${json.sessionToken}` } });
    assert.deepEqual([profile.status, await profile.text()], [200, json.user.uid]);
    assert.equal((await fetch(`http://localhost:${port + 2}/profile`)).status, 401);
    const bearer = { ...JSON_HEADERS, authorization: `Bearer ${json.sessionToken}` };
    const order = await (await fetch(`${issuer}/orders`, { method: "POST", headers: bearer, body: '{"productId":"crumb"}' })).json();
    const payment = await (await fetch(`http://localhost:${port + 1}/simulator/payments`, { method: "POST", headers: { ...JSON_HEADERS, authorization: "Bearer sim-alice" }, body: JSON.stringify({ amount: 1e-7, memo: order.memo, metadata: order.metadata }) })).json();
    const approved = await fetch(`${issuer}/payments/${payment.identifier}/approve`, { method: "POST", headers: bearer, body: "{}" });
    assert.equal(approved.status, 200, await approved.text());
    assert.equal((await dev.stop()).code, 0);
    assert.equal(readFileSync(join(folder, "wrangler.json"), "utf8"), configuration);
    assert.match(readFileSync(join(folder, ".dev.vars"), "utf8"), /^PI_API_KEY='a-real-key-of-the-app'\nSESSION_KEYS=/);
    assert.equal(readFileSync(join(folder, ".wrangler/state/.gitignore"), "utf8"), "*\n");
  });

  test("refuses what cannot work", async () => {
    for (const [args, env, code, reason] of [
      [["--port", "0"], {}, 2, /--port must be a number from 1 to 65533/],
      [["--port", "65534"], {}, 2, /--port must be/],
      [[], { PORT: "x" }, 2, /PORT must be/],
      [["--config", "nothing.toml"], {}, 1, /--config does not exist/],
    ]) {
      const result = await (await start({ args, env })).ended;
      assert.equal(result.code, code, result.stderr);
      assert.match(result.stderr, reason);
    }
    assert.deepEqual(portsFrom("1"), { worker: 1, pi: 2, backend: 3 });
    assert.throws(() => portsFrom("1e3"));
  });

  test("has the compatibility date of the Worker", () => {
    assert.match(readFileSync(`${root}/wrangler.toml`, "utf8"), new RegExp(`^compatibility_date = "${COMPATIBILITY_DATE}"$`, "m"));
  });
});
