// Runs `npx wrangler dev` as docs/deploy.md and docs/try.md show it, against a fake Pi: signs in
// once, then verifies the session with jose through the Worker's keys, and with this package by URL
// and offline.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { createVerifier, verify } from "pioneer-session";
import { newKey } from "../../pkg/cli/keys.mjs";
import { environment, root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";
import { startFakePi, user } from "../support/fake-pi.mjs";

const AUDIENCE = "some-app";

describe("wrangler dev without a setup", () => {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-dev-"));
  let pi;
  let wrangler;
  let issuer;

  before(async () => {
    pi = await startFakePi({ "any-token": user({ app_id: undefined }) });
    const port = await freePort();
    issuer = `http://127.0.0.1:${port}`;
    writeFileSync(join(folder, "secrets.env"), [`SESSION_KEYS='${JSON.stringify({ keys: [newKey()] })}'`, `REFRESH_SECRET=${randomBytes(32).toString("base64url")}`, ""].join("\n"));
    const variables = { PI_API_BASE: pi.url, ENVIRONMENT: "development", SESSION_ISSUER: issuer, SESSION_AUDIENCE: AUDIENCE };
    wrangler = spawn(
      "wrangler",
      [
        ...["dev", "--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0"],
        ...["--persist-to", folder, "--env-file", join(folder, "secrets.env")],
        ...Object.entries(variables).flatMap(([name, value]) => ["--var", `${name}:${value}`]),
      ],
      { cwd: root, env: environment, stdio: ["ignore", "pipe", "pipe"] },
    );
    let output = "";
    for (const stream of [wrangler.stdout, wrangler.stderr]) stream.on("data", (text) => (output += text));
    for (let tries = 0; ; tries++) {
      if (await fetch(`${issuer}/health`).then(({ ok }) => ok, () => false)) break;
      assert.ok(tries < 600 && wrangler.exitCode === null, `wrangler dev does not answer:\n${output}`);
      await new Promise((done) => setTimeout(done, 100));
    }
  });

  after(async () => {
    if (wrangler?.exitCode === null) {
      const ended = new Promise((done) => wrangler.on("exit", done));
      wrangler.kill("SIGTERM");
      await ended;
    }
    await pi?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("signs in, and jose and this package verify the session", async () => {
    const response = await fetch(`${issuer}/session`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ accessToken: "any-token" }),
    });
    const { sessionToken } = await response.json();
    assert.equal(response.status, 200);

    const jwksUrl = `${issuer}/.well-known/jwks.json`;
    const { payload } = await jwtVerify(sessionToken, createRemoteJWKSet(new URL(jwksUrl)), { issuer, audience: AUDIENCE });
    const session = await verify(sessionToken, { issuer, audience: AUDIENCE });
    assert.equal(session.uid, user().uid);
    assert.equal(session.sid, payload.sid);
    assert.equal(session.appBound, false, "without PI_APP_ID, the Worker does not check the app");
    assert.equal(session.username, "alice_pioneer");

    const jwks = await (await fetch(jwksUrl)).json();
    const offline = await createVerifier({ issuer, audience: AUDIENCE, jwks });
    assert.deepEqual(offline.verify(sessionToken), session);
  });

  test("doctor finds nothing wrong with it", () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ["pkg/cli/index.mjs", "doctor", issuer], { cwd: root, encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout + stderr, /No errors/);
  });
});
