// Finds the tests that name an attack: "S3: …" or "R8, A1: …" begins the name of a test in
// JavaScript; in Rust, `fn s3_…` or `fn r8_a1_…` is its name, or "// S3:" a comment in it.

import { readFileSync, readdirSync } from "node:fs";
import { root } from "../../scripts/paths.mjs";

/** The attacks themselves are not listed: the document counts their tries. */
const OWN_FOLDER = "tests/attack/";

const PATTERNS = {
  mjs: [/\b(?:test|it|describe)(?:\.\w+)?\(\s*["'`]([A-Z]\d+(?:, [A-Z]\d+)*): /g],
  rs: [/\bfn ((?:[a-z]\d+_)+)/g, /\/\/ ([A-Z]\d+(?:, [A-Z]\d+)*): /g],
};

/** Folders that builds and installs write. */
const GENERATED = /(^|\/)(node_modules|target)\//;

const filesIn = (folder) => readdirSync(`${root}/${folder}`, { recursive: true })
  .map((path) => `${folder}/${path.replaceAll("\\", "/")}`)
  .filter((path) => !path.startsWith(OWN_FOLDER) && !GENERATED.test(path));

/** The ids that the tests in a text name. */
const idsIn = (text, patterns) => patterns
  .flatMap((pattern) => [...text.matchAll(pattern)])
  .flatMap(([, ids]) => ids.toUpperCase().match(/[A-Z]\d+/g));

/** For each id that a test names, the sorted paths of the files with such tests. */
export function citations() {
  const found = new Map();
  for (const path of [...filesIn("tests"), ...filesIn("src")].sort()) {
    const patterns = PATTERNS[path.split(".").at(-1)];
    if (!patterns) continue;
    for (const id of new Set(idsIn(readFileSync(`${root}/${path}`, "utf8"), patterns))) {
      found.set(id, [...(found.get(id) ?? []), path]);
    }
  }
  return found;
}
