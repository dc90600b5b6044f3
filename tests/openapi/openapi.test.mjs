// The OpenAPI document, as its readers use it: a linter, and a typed client that is generated from
// it. That the document has every route, tests/openapi.rs sees to.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { root } from "../../scripts/paths.mjs";
import { startIssuer, startSimulator } from "../support/workers.mjs";

const folder = `${root}/target/openapi`;
const run = (program, ...args) => {
  const env = { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true", NO_COLOR: "1" };
  const { status, stdout, stderr } = spawnSync(`${root}/node_modules/.bin/${program}`, args, { cwd: root, encoding: "utf8", env });
  return { status, text: stdout + stderr };
};

test("Redocly finds nothing in the document", () => {
  const { status, text } = run("redocly", "lint", "--config", "tests/openapi/redocly.yaml", "src/service/openapi.json");
  assert.equal(status, 0, text);
});

describe("a typed client that is generated from the document", () => {
  let simulator, issuer;
  before(async () => {
    simulator = await startSimulator();
    issuer = await startIssuer({ pi: simulator.url, allowedOrigin: "https://app.example" });
    await issuer.sell("coffee", "Coffee", 31_400_000);
  });
  after(() => Promise.all([issuer?.close(), simulator?.close()]));

  test("compiles strictly, knows every code of a status, and signs in, reads, refreshes and signs out", async () => {
    const response = await fetch(`${issuer.url}/openapi.json`);
    const text = await response.text();
    assert.equal(text, readFileSync(`${root}/src/service/openapi.json`, "utf8"));

    // openapi-typescript needs the programming interface of TypeScript 5, which TypeScript 7 no
    // longer has.
    const hooks = registerHooks({
      resolve: (specifier, context, next) =>
        next(specifier === "typescript" && context.parentURL?.includes("/openapi-typescript/") ? "typescript-5" : specifier, context),
    });
    const { astToString, default: generate } = await import("openapi-typescript");
    const types = astToString(await generate(text));
    hooks.deregister();

    mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/types.ts`, types);
    copyFileSync(`${root}/tests/openapi/client.ts`, `${folder}/client.ts`);
    const compilerOptions = { strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true, target: "es2024", lib: ["es2024", "dom", "dom.iterable"], module: "nodenext", types: [], allowImportingTsExtensions: true, noEmit: true };
    writeFileSync(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions, files: ["client.ts"] }));
    const compiled = run("tsc", "--project", folder);
    assert.equal(compiled.status, 0, compiled.text);

    const { visit } = await import(pathToFileURL(`${folder}/client.ts`));
    const { uid, ...results } = await visit(issuer.url, "sim-alice");
    assert.match(uid, /^[A-Za-z0-9_-]{1,128}$/);
    assert.deepEqual(results, { sameUser: true, signedOut: 204, code: "session_revoked", prices: ["3.14"] });
  });
});
