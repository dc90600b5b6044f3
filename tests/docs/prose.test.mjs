// The English of everything that people read: documents, comments and texts of the program. The
// words to avoid are in tests/docs/words.mjs.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { root } from "../../scripts/paths.mjs";
import { TABLE, WORDS, avoided } from "./words.mjs";

const PLACES = ["src", "pkg", "docs", "tests", "demo", "examples", "scripts", "bench", ":(glob)*.md"];
const TEXTS = /\.(rs|mjs|js|cjs|ts|tsx|cts|md|sql|html|css|toml|py)$/;
/**
 * The list and this test, which quote the words, and the migrations: a migration that was applied
 * somewhere never changes.
 */
const EXEMPT = /^(tests\/docs\/(words|prose\.test)\.mjs|src\/worker\/migrations\/.+\.sql)$/;

/** The project's own files: those that are committed, or new and not ignored. */
function files() {
  const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "--", ...PLACES], { cwd: root, encoding: "utf8" });
  return [...new Set(listed.trim().split("\n"))].filter((path) => TEXTS.test(path) && !EXEMPT.test(path) && existsSync(`${root}/${path}`));
}

/** Stable rustfmt cannot wrap comments, so this test does its part. A link or a table stays whole. */
const COMMENT_COLUMNS = 100;
const isTooWide = (line) => line.length > COMMENT_COLUMNS && /^\s*(\/\/|\*)/.test(line) && !/https?:|\|/.test(line);

const folderOf = (path) => (path.includes("/") ? path.split("/")[0] : "*.md");

describe("the words of the project", () => {
  for (const { avoid, use, bad, good } of WORDS) {
    test(`"${bad}" is found, and "${good}" is not`, () => {
      assert.ok(avoided(bad).some((each) => each.use === use), `${avoid} does not find it`);
      assert.deepEqual(avoided(good), []);
    });
  }

  test("words are found across the lines of a comment, with the line of the first", () => {
    assert.deepEqual(avoided("a\n/// It stops at\n/// once."), [{ line: 2, found: "at /// once", use: "immediately, at the same time" }]);
  });

  test("CONTRIBUTING.md shows the list", () => {
    assert.ok(readFileSync(`${root}/CONTRIBUTING.md`, "utf8").includes(TABLE), `Replace its table with:\n${TABLE}`);
  });

  const byFolder = Map.groupBy(files(), folderOf);
  for (const [folder, paths] of byFolder) {
    test(`${folder}: no word that has a better one`, () => {
      const found = paths.flatMap((path) => {
        const text = readFileSync(`${root}/${path}`, "utf8").replace(TABLE, "");
        return avoided(text).map(({ line, found, use }) => `${path}:${line}: "${found}"; write: ${use}`);
      });
      assert.ok(found.length === 0, `${found.length} places use such a word:\n${found.join("\n")}`);
    });
  }

  test("comments wrap at 100 columns", () => {
    const wide = files()
      .filter((path) => /\.(rs|mjs|ts)$/.test(path))
      .flatMap((path) => readFileSync(`${root}/${path}`, "utf8").split("\n").map((line, i) => (isTooWide(line) ? `${path}:${i + 1}` : undefined)))
      .filter(Boolean);
    assert.deepEqual(wide, []);
  });
});
