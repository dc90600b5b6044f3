// The Worker from the packed package: a folder with a wrangler.jsonc and one line of JavaScript,
// without Rust.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { verify } from "pioneer-session";
import { environment, paths } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";
import { copyExample, pack, serve } from "../support/packed-example.mjs";
import { startFakePi, user } from "../support/fake-pi.mjs";

const AUDIENCE = "example-app";

describe("the Worker from npm", () => {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-worker-"));
  const wrangler = (...args) => spawnSync("wrangler", args, { cwd: folder, encoding: "utf8", env: { ...environment, CI: "true" } });
  let pi;

  before(async () => {
    copyExample("worker", folder);
    // The repository has the same wrangler, so the test does not download another.
    execFileSync("npm", ["install", "--omit=dev", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error", pack(folder)], { cwd: folder, env: environment });
    pi = await startFakePi({ "any-token": user({ app_id: undefined }) });
  });
  after(async () => {
    await pi?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("is one line", () => {
    const lines = readFileSync(join(folder, "src/index.js"), "utf8").split("\n").filter((line) => line && !line.startsWith("//"));
    assert.deepEqual(lines, ['export { default } from "pioneer-session/worker";']);
  });

  test("wrangler starts it with new secrets, creates the tables, and signs in", async (context) => {
    const port = await freePort();
    const issuer = `http://127.0.0.1:${port}`;
    const variables = { PI_API_BASE: pi.url, SESSION_ISSUER: issuer };
    execFileSync("npx", ["pioneer-session", "secrets"], { cwd: folder, env: environment, stdio: "ignore" });
    const dev = await serve("wrangler", [
      ...["dev", "--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0", "--var", "ENVIRONMENT:development"],
      ...Object.entries(variables).flatMap(([name, value]) => ["--var", `${name}:${value}`]),
    ], { url: `${issuer}/health`, cwd: folder });
    context.after(() => dev.close());
    const response = await fetch(`${issuer}/session`, { method: "POST", headers: { "content-type": "application/json" }, body: '{"accessToken":"any-token"}' });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    const session = await verify(JSON.parse(text).sessionToken, { issuer, audience: AUDIENCE });
    assert.equal(session.uid, user().uid);
  });

  test("wrangler finds the migrations, and bundles the Worker for a deployment", () => {
    const applied = wrangler("d1", "migrations", "apply", "DB", "--local", "--persist-to", "fresh");
    assert.equal(applied.status, 0, applied.stderr);
    assert.match(applied.stdout, /0001_users_and_sessions\.sql/);
    const deployed = wrangler("deploy", "--dry-run", "--outdir", "out");
    assert.equal(deployed.status, 0, deployed.stderr);
    assert.ok(readdirSync(join(folder, "out")).some((file) => file.endsWith("index_bg.wasm")));
  });

  test("its types compile", () => {
    writeFileSync(join(folder, "index.ts"), 'export { default } from "pioneer-session/worker";\n');
    for (const [module, resolution] of [["nodenext", "nodenext"], ["esnext", "bundler"]]) {
      const { status, stdout } = spawnSync(`${paths.modules}/.bin/tsc`, ["--noEmit", "--strict", "--module", module, "--moduleResolution", resolution, "--target", "es2022", "--types", "", "index.ts"], { cwd: folder, encoding: "utf8" });
      assert.equal(status, 0, stdout);
    }
  });
});
