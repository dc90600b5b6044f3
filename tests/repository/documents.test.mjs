// The documents name files. A file that is moved or removed must not stay in them.

import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { root } from "../../scripts/paths.mjs";

const DECISIONS = readdirSync(`${root}/docs/decisions`).map((name) => `docs/decisions/${name}`);
const DOCUMENTS = ["docs/architecture.md", "CONTRIBUTING.md", ...DECISIONS];

/** The paths of our own files and folders in a text. */
const paths = (text) => text.match(/(?<![\w./-])(?:bench|pkg|scripts|src|tests)\/[\w./-]*[\w/]/g) ?? [];

for (const document of DOCUMENTS) {
  test(`every file that ${document} names exists`, () => {
    const named = [...new Set(paths(readFileSync(`${root}/${document}`, "utf8")))];
    assert.ok(named.length > 0, "no path was found");
    const missing = named.filter((path) => !existsSync(`${root}/${path}`));
    assert.deepEqual(missing, [], `${document} names files that do not exist. Correct their paths.`);
  });
}

test("a path is found in code, in a sentence and at the end of one", () => {
  const text = "See `src/a/b.rs`, src/c.mjs and pkg/d.\n(pkg/wasm/ and target/src/e) `tests/pi` pkg/<name>.mjs";
  assert.deepEqual(paths(text), ["src/a/b.rs", "src/c.mjs", "pkg/d", "pkg/wasm/", "tests/pi"]);
});
