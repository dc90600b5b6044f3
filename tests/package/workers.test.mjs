// From Worker to Worker: the example of a Worker, beside the built Worker that signs users in, both
// on workers.dev in one account. Cloudflare answers their global fetch of each other with its error
// 1042.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { build } from "esbuild";
import { Miniflare, Response, convertV4MiniflareOptions } from "miniflare";
import { newKey } from "../../pkg/cli/keys.mjs";
import { paths, root } from "../../scripts/paths.mjs";
import { startFakePi, user } from "../support/fake-pi.mjs";

const ISSUER = "https://pioneer-session.example.workers.dev";
const AUDIENCE = "example-app";
const text = (path) => readFileSync(`${root}/${path}`, "utf8");
const compatibilityDate = text("wrangler.toml").match(/compatibility_date = "(.+)"/)[1];

/** Cloudflare's answer, and requests that got it. */
const blocking = () => {
  const asked = [];
  return { asked, answer: ({ url }) => new Response("error code: 1042\n", { status: 404, statusText: `${asked.push(url)}` }) };
};

/** A module of the Worker, bundled as wrangler does. */
async function bundle(stdin) {
  const { outputFiles } = await build({ stdin: { resolveDir: root, ...stdin }, bundle: true, write: false, format: "esm", conditions: ["workerd"], external: ["*.wasm", "cloudflare:workers"], logLevel: "error" });
  return [
    { type: "ESModule", path: `${root}/pkg/entry/bundled.mjs`, contents: outputFiles[0].text },
    { type: "CompiledWasm", path: `${paths.wasm}/pioneer_session_bg.wasm` },
  ];
}

/** Starts both Workers. `services` are the service bindings of the one that verifies. */
async function start(context, stdin, { services = {}, outbound, issuer = ISSUER }) {
  const pi = await startFakePi({ "token-alice": user() });
  const logs = [];
  const workers = new Miniflare(convertV4MiniflareOptions({
    handleStructuredLogs: ({ message }) => logs.push(message),
    workers: [
      {
        name: "app", modulesRoot: `${root}/pkg`, modules: await bundle(stdin), compatibilityDate,
        bindings: { SESSION_ISSUER: issuer, SESSION_AUDIENCE: AUDIENCE }, serviceBindings: services, outboundService: outbound,
      },
      {
        name: "pioneer-session", modulesRoot: `${root}/build`, compatibilityDate, d1Databases: { DB: "test" },
        modules: [{ type: "ESModule", path: `${root}/build/index.js` }, { type: "CompiledWasm", path: `${root}/build/index_bg.wasm` }],
        bindings: {
          ENVIRONMENT: "development", SESSION_ISSUER: ISSUER, SESSION_AUDIENCE: AUDIENCE, PI_API_BASE: pi.url, PI_APP_ID: "test-app",
          SESSION_KEYS: JSON.stringify({ keys: [newKey()] }), REFRESH_SECRET: randomBytes(32).toString("base64url"),
        },
      },
    ],
  }));
  context.after(async () => {
    await workers.dispose();
    await pi.close();
  });
  await workers.ready;
  const [app, session] = [await workers.getWorker("app"), await workers.getWorker("pioneer-session")];
  const signIn = await session.fetch(`${ISSUER}/session`, { method: "POST", headers: { "content-type": "application/json" }, body: '{"accessToken":"token-alice"}' });
  const { sessionToken } = await signIn.json();
  assert.equal(signIn.status, 200);
  const authorization = `Bearer ${sessionToken}`;
  return {
    logs,
    async profile(headers = { authorization }) {
      const response = await app.fetch("https://app.example.workers.dev/profile", { headers });
      return [response.status, await response.json()];
    },
    signOut: () => session.fetch(`${ISSUER}/session`, { method: "DELETE", headers: { authorization } }),
  };
}

const example = { contents: text("examples/fetch/index.js"), sourcefile: "index.js" };

test("with a service binding, keys and feed are fetched, and nothing else is asked", async (context) => {
  const { asked, answer } = blocking();
  const { profile, signOut } = await start(context, example, { services: { SESSION: "pioneer-session" }, outbound: answer });
  const { uid } = user();
  assert.deepEqual(await profile(), [200, { uid, username: "alice_pioneer" }]);
  assert.equal((await profile({}))[1].code, "session_missing");
  assert.deepEqual(await profile(), [200, { uid, username: "alice_pioneer" }]);
  assert.equal((await signOut()).status, 204);
  assert.deepEqual(asked, []);
});

test("without a service binding, the request is answered with 503, and the hint names error 1042 and the binding", async (context) => {
  const { asked, answer } = blocking();
  const { logs, profile } = await start(context, {
    contents: `
      import { requireSession } from "pioneer-session/hono";
      import { Hono } from "hono";
      const options = (env) => ({ issuer: env.SESSION_ISSUER, audience: env.SESSION_AUDIENCE });
      let guard;
      export default new Hono()
        .use((c, next) => (guard ??= requireSession(options(c.env)))(c, next))
        .get("/profile", (c) => c.json({}));`,
  }, { outbound: answer });
  for (let i = 0; i < 3; i++) assert.equal((await profile())[1].code, "keys_unavailable");
  assert.ok(asked.every((url) => url === `${ISSUER}/.well-known/jwks.json`) && asked.length > 0);
  const warnings = logs.filter((text) => text.startsWith("pioneer-session:"));
  assert.equal(warnings.length, 1, logs.join("\n"));
  assert.match(warnings[0], /workers\.dev\/\.well-known\/jwks\.json: Cloudflare answered 404 \(error code: 1042\)/);
  assert.match(warnings[0], /Use a service binding: pass fetch: \(url, init\) => env\.SESSION\.fetch\(url, init\)/);
});

test("the hint is the same for another 404 of workers.dev, and not for other addresses", async (context) => {
  const program = `
    import { createVerifier } from "pioneer-session";
    export default {
      fetch: (_, env) => createVerifier({ issuer: env.SESSION_ISSUER, audience: env.SESSION_AUDIENCE }).then(() => Response.json({}), ({ code, hint }) => Response.json({ code, hint })),
    };`;
  for (const [issuer, hint] of [[ISSUER, /service binding/], ["https://session.example.com", /The address answered/], ["https://workers.dev.example.com", /The address answered/]]) {
    const { profile } = await start(context, { contents: program }, { issuer, outbound: () => new Response("<h1>Not Found</h1>", { status: 404 }) });
    const [, error] = await profile();
    assert.equal(error.code, "keys_unavailable");
    assert.match(error.hint, hint);
  }
});

test("the lines of the example's service binding name the Worker of the project", () => {
  const { groups } = text("examples/fetch/wrangler.toml").match(/^# \[\[services\]\]\n# binding = "(?<binding>.+)"\n# service = "(?<service>.+?)"/m);
  assert.equal(groups.binding, "SESSION");
  for (const file of ["wrangler.toml", "examples/worker/wrangler.jsonc"]) assert.equal(text(file).match(/^ *"?name"?(?: =|:) "(.+)"/m)[1], groups.service);
});
