// Runs the conformance checks on the platforms that are installed for other tests, and compares
// docs/platforms.md with the platforms. `npm run platforms` runs all of them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { root } from "../../scripts/paths.mjs";
import { rowsOfPage } from "./page.mjs";
import { COLUMNS, platforms, preparePackage, startIssuers } from "./platforms.mjs";

const json = (path) => JSON.parse(readFileSync(`${root}/${path}`, "utf8"));

describe("the packed package passes the checks of platforms on", () => {
  let issuers;
  before(async () => {
    preparePackage();
    issuers = await startIssuers();
  });
  after(() => issuers?.close());

  for (const { name, how, run } of platforms.filter(({ quick }) => quick)) {
    test(`${name}, by ${how}`, async () => {
      const results = await run(issuers);
      assert.deepEqual(Object.entries(results).filter(([, result]) => result !== "passed"), []);
      assert.ok(Object.keys(results).length >= COLUMNS.length - 1, "a check did not run");
    });
  }
});

test("docs/platforms.md has a row for each platform, with the pinned version, and each check has passed", () => {
  assert.deepEqual(rowsOfPage().map(({ name, version, how }) => `${name} ${version} ${how}`), platforms.map(({ name, version, how }) => `${name} ${version} ${how}`));
  for (const { name, results } of rowsOfPage()) assert.deepEqual(results.map((result) => (result === "–" && name === "workerd" ? "works" : result)), COLUMNS.map(() => "works"));
});

test("the oldest Node of the table is the first one that package.json allows", () => {
  const [, major] = json("package.json").engines.node.match(/^>=(\d+)$/);
  assert.ok(rowsOfPage().some(({ name, version }) => name === "Node" && version === `${major}.0.0`), `no row for Node ${major}.0.0`);
});

test("a runtime in two manifests has the same version", () => {
  for (const other of ["matrix", "recipes"]) {
    const theirs = json(`tests/${other}/package.json`).devDependencies;
    for (const [name, version] of Object.entries(json("tests/platforms/package.json").devDependencies)) assert.ok([undefined, version].includes(theirs[name]), `${name} in tests/${other}`);
  }
});

test("A7: the runtimes have exact versions and checksums", () => {
  const { devDependencies, optionalDependencies } = json("tests/platforms/package.json");
  for (const version of Object.values({ ...devDependencies, ...optionalDependencies })) assert.match(version, /^(npm:[a-z0-9-]+@)?\d+\.\d+\.\d+$/);
  const { packages } = json("tests/platforms/package-lock.json");
  for (const [name, { integrity }] of Object.entries(packages)) assert.ok(name === "" || integrity?.startsWith("sha512-"), name);
});
