// The types of the package: its JavaScript is checked by its JSDoc and compared with the public
// types, and the public types are compared with the rest of the repository.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { SessionError, verify } from "pioneer-session";
import { HOMEPAGE } from "../../pkg/verify/homepage.mjs";
import { paths, root } from "../../scripts/paths.mjs";

const text = (path) => readFileSync(`${root}/${path}`, "utf8");
const { exports, homepage } = JSON.parse(text("package.json"));

test("the JavaScript of the package has no type errors, and fits the public types", () => {
  const { status, stdout } = spawnSync(`${paths.modules}/.bin/tsc`, ["-p", "tests/package/tsconfig.json"], { cwd: root, encoding: "utf8" });
  assert.equal(status, 0, stdout);
});

test("every module that the package exports is compared with its public types", () => {
  const compared = text("tests/package/public-types.ts");
  const sources = { "./pkg/wasm/browser.mjs": "./pkg/browser/index.mjs" }; // of the modules that the build bundles
  const modules = Object.values(exports).flatMap((entry) => entry.import?.default ?? []).map((module) => sources[module] ?? module);
  assert.deepEqual(modules.filter((module) => !compared.includes(`"../../${module.slice(2)}"`)).sort(), [
    "./pkg/middleware/express-augment.mjs", // empty
    "./pkg/middleware/fastify-augment.mjs", // empty
    "./pkg/pi/index.mjs", // empty
  ]);
});

test("no error of the type checker is silenced", () => {
  const modules = readdirSync(`${root}/pkg`, { recursive: true }).filter((name) => name.endsWith(".mjs"));
  assert.ok(modules.length > 20);
  for (const name of modules) assert.doesNotMatch(text(`pkg/${name}`), /@ts-(ignore|nocheck)/, name);
});

test("the types of the Worker name every setting and every rate limit", () => {
  const [, declared] = text("pkg/worker.d.ts").match(/interface Env \{(.*?)^\}/ms);
  const names = (source, pattern) => new Set([...source.matchAll(pattern)].map(([, name]) => name));
  const settings = names(text("src/service/settings.rs"), /"([A-Z][A-Z_]+)"/g);
  const limits = names(text("wrangler.toml"), /^name = "([A-Z_]+_LIMIT)"$/gm);
  assert.ok(settings.size > 10 && limits.size > 5);
  assert.deepEqual([...names(declared, /^ {2}([A-Z_]+)\??:/gm)].sort(), [...settings, ...limits, "DB"].sort());
});

test("the pages of errors are below the homepage of package.json", async () => {
  assert.equal(HOMEPAGE, homepage);
  const error = await verify("x", { issuer: "https://session.example.com", audience: "example-app", jwks: { keys: [] } }).catch((reason) => reason);
  assert.ok(error instanceof SessionError);
  assert.equal(error.help, `${homepage}errors#invalid_options`);
});
