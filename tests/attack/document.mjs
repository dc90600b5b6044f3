// The generated part of the document: each attack, its defence, the tests that name it, and the
// number of tries. `npm run attack -- --write` writes it.

import { citations } from "./citations.mjs";

/** The document, from the root of the repository. Its folder is one level below the root. */
export const DOCUMENT = "docs/threats.md";

/** People write the text above this line; the program writes everything below it. */
const MARKER = "<!-- generated: npm run attack -- --write -->\n";

const CHAPTERS = {
  I: "Identity of the user",
  U: "Transport: between the Worker and Pi",
  T: "Form of a token",
  C: "Claims of a token",
  E: "Ed25519: signatures and keys",
  K: "Key sets, feeds and caches",
  S: "Life of a session",
  B: "Browsers: cookies, origins and headers",
  A: "Abuse, logs and platform",
  R: "Attacks found by a review of the source",
};

const COLUMNS = ["id", "attack", "defence", "tests", "tries", "accepted"];

const rowOf = (cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;

/** The cell with the tests of an attack. Without any, the attack program is its only test. */
export const testsCell = (paths = []) => paths.map((path) => `[${path}](../${path})`).join(", ") || "`npm run attack`";

/** A document with its generated part replaced by one for these entries and counted rows. */
export function render(document, entries, rows) {
  const above = document.split(MARKER)[0];
  if (above === document) throw new Error(`${DOCUMENT} has no line ${MARKER.trim()}. Add it where the tables begin.`);
  const tests = citations();
  const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
  const lines = [`${entries.length} attacks, ${sum("tries")} tries, ${sum("accepted")} accepted.`, ""];
  for (const [letter, title] of Object.entries(CHAPTERS)) {
    lines.push(`### ${title}`, "", rowOf(COLUMNS), `|${"---|".repeat(COLUMNS.length)}`);
    for (const { id, title, defence } of entries.filter(({ id }) => id[0] === letter)) {
      const counted = rows.filter((row) => row.id === id);
      const tries = counted.map(({ target, tries }) => `${target} ${tries}`).join(", ");
      const accepted = counted.reduce((total, row) => total + row.accepted, 0);
      lines.push(rowOf([id, title, defence, testsCell(tests.get(id)), tries, String(accepted)]));
    }
    lines.push("");
  }
  return `${above}${MARKER}\n${lines.join("\n")}`;
}

/** The lines in which two documents differ. */
export function compare(written, made) {
  const [before, after] = [written, made].map((text) => text.split("\n"));
  const found = [];
  for (let i = 0; i < Math.max(before.length, after.length); i++) {
    if (before[i] !== after[i]) found.push(`${DOCUMENT}, line ${i + 1}, is\n  ${before[i]}\nand must be\n  ${after[i]}`);
  }
  return found;
}

/** The rows of the document. */
export function rowsIn(text) {
  const lines = text.split("\n").filter((line) => /^\| [A-Z]\d+ \|/.test(line));
  return lines.map((line) => {
    const [id, title, defence, tests, tries, accepted] = line.slice(2, -2).split(" | ").map((cell) => cell.replaceAll("\\|", "|"));
    const counted = tries.split(", ").map((part) => part.split(" "));
    return { id, title, defence, tests, tries: Object.fromEntries(counted.map(([target, count]) => [target, Number(count)])), accepted: Number(accepted) };
  });
}
