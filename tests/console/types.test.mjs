// The types of the console's page: its JavaScript is checked by its JSDoc.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { paths, root } from "../../scripts/paths.mjs";

const PAGE = `${root}/src/worker/console`;

test("the JavaScript of the page has no type errors", () => {
  const { status, stdout } = spawnSync(`${paths.modules}/.bin/tsc`, ["-p", "tests/console/tsconfig.json"], { cwd: root, encoding: "utf8" });
  assert.equal(status, 0, stdout);
});

test("no error of the type checker is silenced", () => {
  const modules = readdirSync(PAGE).filter((name) => /\.jsx?$/.test(name));
  assert.ok(modules.length > 20);
  for (const name of modules) assert.doesNotMatch(readFileSync(`${PAGE}/${name}`, "utf8"), /@ts-(ignore|nocheck|expect-error)/, name);
});
