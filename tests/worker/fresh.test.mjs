// A Worker as it is right after a deployment: without its secrets, without its tables, and without
// the app id that nobody knows yet.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, describe, test } from "node:test";
import { newKeys } from "../../pkg/cli/keys.mjs";
import { eventually } from "../support/clock.mjs";
import { startFakePi, user } from "../support/fake-pi.mjs";
import { start, startIssuer } from "../support/workers.mjs";

describe("a fresh Worker", () => {
  const started = [];
  after(() => Promise.all(started.map(({ close }) => close())));
  const begin = async (bindings) => {
    const server = await start("build", { d1Databases: { DB: "fresh" }, bindings });
    started.push(server);
    return async (path) => {
      const response = await fetch(`${server.url}${path}`);
      return [response.status, await response.json()];
    };
  };
  const vars = { SESSION_ISSUER: "https://session.pioneers.dev", SESSION_AUDIENCE: "app" };
  const secrets = () => ({ SESSION_KEYS: newKeys(), REFRESH_SECRET: randomBytes(32).toString("base64url") });

  test("says at / which setting is missing, and otherwise what it is", async () => {
    const bare = await begin(vars);
    const [status, { code, detail }] = await bare("/");
    assert.deepEqual([status, code], [500, "misconfigured"]);
    assert.match(detail, /SESSION_KEYS is missing\. Run: npx wrangler secret put SESSION_KEYS/);

    const whole = await begin({ ...vars, ...secrets() });
    const [found, service] = await whole("/");
    assert.equal(found, 200);
    assert.deepEqual([service.service, service.issuer, service.openapi], ["pioneer-session", vars.SESSION_ISSUER, `${vars.SESSION_ISSUER}/openapi.json`]);
  });

  test("names the command when its tables are missing", async () => {
    const ask = await begin({ ...vars, ...secrets() });
    const [status, { code, detail }] = await ask("/products");
    assert.deepEqual([status, code], [503, "storage_unavailable"]);
    assert.match(detail, /is not set up for this version\. Its operator must run: npx wrangler d1 migrations apply DB --remote/);
  });

  test("logs the app that Pi names, with the user, until PI_APP_ID is set", async () => {
    const pi = await startFakePi({ "token-alice": user({ app_id: "app-of-alice" }) });
    started.push(pi);
    const lines = [];
    const log = ({ message }) => lines.push(message);
    const signIn = async (variables) => {
      const issuer = await startIssuer({ pi: pi.url, allowedOrigin: "", log, variables });
      started.push(issuer);
      const response = await fetch(`${issuer.url}/session`, { method: "POST", headers: { "content-type": "application/json" }, body: '{"accessToken":"token-alice"}' });
      assert.equal(response.status, 200, await response.text());
      await eventually(() => lines.some((line) => line.includes(response.headers.get("x-request-id"))));
      return lines.splice(0).join("\n");
    };
    const said = await signIn({ PI_APP_ID: "" });
    assert.match(said, /Pi names the app_id app-of-alice for the access token of alice_pioneer: if that is you, set PI_APP_ID to it/);
    assert.ok(!said.includes("token-alice"));
    assert.ok(!(await signIn({ PI_APP_ID: "app-of-alice" })).includes("Pi names the app_id"));
  });
});
