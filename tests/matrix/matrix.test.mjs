// Runs the quick rows of the matrix: builds and runs the packed package with bundlers, as users do.
// `npm run matrix` runs all rows.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, test } from "node:test";
import { root } from "../../scripts/paths.mjs";
import { installPackage } from "./projects.mjs";
import { rows } from "./rows.mjs";

const json = (path) => JSON.parse(readFileSync(`${root}/${path}`, "utf8"));

describe("the packed package works with", () => {
  before(installPackage);

  for (const { tool, what, expected, run } of rows.filter(({ quick }) => quick)) {
    test(`${tool}: ${what}`, async () => assert.equal(await run(), expected));
  }
});

test("a tool in both manifests has the same version", () => {
  const ours = json("package.json").devDependencies;
  const theirs = json("tests/matrix/package.json").devDependencies;
  const shared = Object.keys(theirs).filter((name) => Object.hasOwn(ours, name) && name !== "wrangler"); // Cloudflare's Vite plugin needs an older one
  assert.ok(shared.includes("webpack"));
  for (const name of shared) assert.equal(theirs[name], ours[name], name);
});

test("A7: the tools of the matrix have exact versions and checksums", () => {
  for (const version of Object.values(json("tests/matrix/package.json").devDependencies)) assert.match(version, /^(npm:[a-z]+@)?\d+\.\d+\.\d+$/);
  const { packages } = json("tests/matrix/package-lock.json");
  for (const [name, { integrity }] of Object.entries(packages)) assert.ok(name === "" || integrity?.startsWith("sha512-"), name);
});

test("docs/matrix.md has the rows of the matrix", () => {
  const written = [...readFileSync(`${root}/docs/matrix.md`, "utf8").matchAll(/^\| (.+?) \| [\d.]+ \| (.+?) \| works \|$/gm)].map(([, tool, what]) => `${tool}: ${what}`);
  assert.deepEqual(written, rows.map(({ tool, what }) => `${tool}: ${what}`));
});
