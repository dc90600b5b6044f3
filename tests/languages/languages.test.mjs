// The programs of docs/languages against conformance.json: each accepts exactly the valid tokens
// and feeds, and returns the reason of our verifier for each other one.
//
// `npm test` runs the languages that are small to install. One that is missing on a developer's
// machine is not tested, and the last lines of `npm test` name it; in continuous integration its
// set-up fails. `npm run languages` installs and runs all.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { describe, test } from "node:test";
import { root } from "../../scripts/paths.mjs";
import { writePage } from "./pages.mjs";
import { languages } from "./rows.mjs";

const CASES = `${root}/pkg/conformance.json`;
const { tokens, feeds } = JSON.parse(readFileSync(CASES, "utf8"));
/** The slowest step compiles the crates of the Rust program, once. */
const PATIENCE_MS = 180_000;
/** Programs with a weaker verdict on these cases still refuse everything that an attacker can make. */
const isBinding = ({ optional }) => !optional;

const OVERVIEW = readFileSync(`${root}/docs/other-languages.md`, "utf8");
const COUNT = OVERVIEW.match(/refused of \d+ \[optional\]\(#test-your-own\) cases/)?.[0].replace("[optional](#test-your-own)", "optional");
/** The numbers of refused optional cases in the table of docs/other-languages.md. */
const documented = new Map([...OVERVIEW.matchAll(/^\| \[[^\]]+\]\(languages\/(\w+)\.md\).*\| (\d+) \|$/gm)].map(([, id, count]) => [id, count]));

/** The languages to test: run.mjs asks for all. */
const chosen = Object.entries(languages).filter(([, { find, large }]) => (large ? process.env.LANGUAGES === "all" : find()));

/** Puts the code of the page and the program that runs it into a folder, and returns its output. */
function verdicts(id, { program, commands, page: name = id, files = () => ({}), place = {}, replace = () => {}, env = () => ({}) }) {
  const page = writePage(name, place);
  try {
    replace(page.read, page.write);
    for (const [path, text] of Object.entries(files())) page.write(path, text);
    page.write(place[program] ?? program, readFileSync(`${root}/tests/languages/programs/${program}`));
    const options = { cwd: page.folder, encoding: "utf8", timeout: PATIENCE_MS, env: { ...process.env, ...env() } };
    let output;
    for (const [command, ...args] of commands) {
      const { status, stdout, stderr, error } = spawnSync(command, args.map((arg) => (arg === "CASES" ? CASES : arg)), options);
      assert.equal(status, 0, `${command} ${args.join(" ")}: ${error ?? stderr}`);
      assert.equal(stderr, "", "it prints no warning");
      output = stdout;
    }
    return JSON.parse(output);
  } finally {
    page.remove();
  }
}

describe("the programs of docs/languages", () => {
  test("each page has a program, and each program a page", () => {
    const pages = readdirSync(`${root}/docs/languages`).map((name) => name.replace(/\.md$/, ""));
    const unique = (list) => [...new Set(list)].sort();
    assert.deepEqual(pages.sort(), unique(Object.entries(languages).map(([id, { page = id }]) => page)));
    assert.deepEqual(readdirSync(`${root}/tests/languages/programs`).sort(), unique(Object.values(languages).map(({ program }) => program)));
  });

  for (const [id, language] of chosen) {
    test(`${language.name} has our verdicts on all tokens and feeds`, () => {
      const found = verdicts(id, language);
      for (const [what, cases] of Object.entries({ tokens, feeds })) {
        assert.equal(found[what].length, cases.length);
        const differences = cases
          .map(({ name, verdict, ...rest }, index) => ({ name, verdict, found: found[what][index], ...rest }))
          .filter((entry) => isBinding(entry) && entry.found !== entry.verdict)
          .map(({ name, verdict, found }) => `${name} ${verdict} is right, ${found} was found`);
        assert.deepEqual(differences, []);
      }
      const optional = tokens.map((entry, index) => ({ ...entry, found: found.tokens[index] })).filter((entry) => entry.optional);
      const refused = optional.filter((entry) => entry.found !== "valid");
      assert.deepEqual([documented.get(language.page ?? id), COUNT], [String(refused.length), `refused of ${optional.length} optional cases`]);
    });
  }
});
