// The examples as a new user runs them: copied, installed with the packed package, and started by
// their one command, against the real Worker.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { newKey } from "../../pkg/cli/keys.mjs";
import { environment, root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";
import { ask, claims, mint } from "../support/issuer.mjs";
import { copyExample, pack, serve } from "../support/packed-example.mjs";
import { startFakePi, user } from "../support/fake-pi.mjs";

const AUDIENCE = "demo";
const JSON_HEADERS = { "content-type": "application/json" };

describe("the examples", () => {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-examples-"));
  const key = newKey();
  const tokens = {};
  let tarball;
  let pi;
  let worker;
  let issuer;

  before(async () => {
    tarball = pack(folder);
    pi = await startFakePi({ "token-alice": user() });
    const port = await freePort();
    issuer = `http://127.0.0.1:${port}`;
    worker = new Miniflare(convertV4MiniflareOptions({
      host: "127.0.0.1",
      port,
      modulesRoot: `${root}/build`,
      modules: [
        { type: "ESModule", path: `${root}/build/index.js` },
        { type: "CompiledWasm", path: `${root}/build/index_bg.wasm` },
      ],
      compatibilityDate: readFileSync(`${root}/wrangler.toml`, "utf8").match(/compatibility_date = "(.+)"/)[1],
      bindings: {
        ENVIRONMENT: "development", SESSION_ISSUER: issuer, SESSION_AUDIENCE: AUDIENCE, PI_API_BASE: pi.url, PI_APP_ID: "test-app",
        SESSION_KEYS: JSON.stringify({ keys: [key] }), REFRESH_SECRET: randomBytes(32).toString("base64url"), SESSION_TTL: "3600",
      },
      d1Databases: { DB: "test" },
      handleStructuredLogs: () => {},
    }));
    await worker.ready;
    const signIn = async () => {
      const response = await fetch(`${issuer}/session`, { method: "POST", headers: JSON_HEADERS, body: '{"accessToken":"token-alice"}' });
      const text = await response.text();
      assert.equal(response.status, 200, text);
      return JSON.parse(text).sessionToken;
    };
    tokens.good = await signIn();
    tokens.revoked = await signIn();
    const ended = await fetch(`${issuer}/session`, { method: "DELETE", headers: { authorization: `Bearer ${tokens.revoked}` } });
    assert.equal(ended.status, 204);
    const now = Math.floor(Date.now() / 1000);
    tokens.expired = mint(claims(issuer, { aud: AUDIENCE, iat: now - 700, exp: now - 100 }), { key });
    tokens.forged = mint(claims(issuer, { aud: AUDIENCE }), { key, signer: newKey() });
  });

  after(async () => {
    await worker?.dispose();
    await pi?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const name of ["express", "fastify", "hono", "next", "fetch"]) {
    test(`${name}: installs, starts, and knows who is signed in`, async (context) => {
      const cwd = join(folder, name);
      copyExample(name, cwd);
      execFileSync("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error", tarball], { cwd, env: environment });
      const port = await freePort();
      const url = `http://127.0.0.1:${port}`;
      const settings = { SESSION_ISSUER: issuer, SESSION_AUDIENCE: AUDIENCE };
      // A Worker has no environment variables, only settings. wrangler reads those of a developer
      // from this file.
      if (name === "fetch") writeFileSync(join(cwd, ".dev.vars"), Object.entries(settings).map((pair) => pair.join("=")).join("\n"));
      const args = name === "fetch" ? ["--", "--port", String(port), "--inspector-port", "0"] : [];
      const app = await serve("npm", ["start", ...args], { url, cwd, env: { ...settings, PORT: String(port), NEXT_TELEMETRY_DISABLED: "1" } });
      context.after(() => app.close());

      const profile = async (token) => {
        const response = await fetch(`${url}/profile`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
        return [response.status, await response.json()];
      };
      const alice = [200, { uid: user().uid, username: "alice_pioneer" }];
      assert.deepEqual(await profile(tokens.good), alice);
      for (const [token, code] of [[undefined, "session_missing"], [tokens.expired, "session_expired"], [tokens.revoked, "session_revoked"], [tokens.forged, "session_invalid"]]) {
        const [status, problem] = await profile(token);
        assert.deepEqual([status, problem.code], [401, code]);
      }
      assert.deepEqual(await profile(tokens.good), alice);

      const both = async (...sent) => (await ask(`${url}/profile`, { authorization: sent.map((token) => `Bearer ${token}`) })).status;
      const answers = [await both(tokens.good, tokens.forged), await both(tokens.forged, tokens.good), await both(tokens.good, tokens.good)];
      // Node passes only the first of several headers to Next.js, so the first counts there. The
      // The table in docs/frameworks.md says so.
      assert.deepEqual(answers, name === "next" ? [200, 401, 200] : [400, 400, 400]);
    });
  }
});
