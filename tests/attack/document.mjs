// docs/attacks.md: each attack, its defence, and the number of tries. `npm run attack -- --write` makes it.

import { root } from "../../scripts/paths.mjs";

export const DOCUMENT = `${root}/docs/attacks.md`;

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

const INTRODUCTION = `# Attacks and defences

\`npm run attack\` tries each of these attacks against the built Worker in workerd with D1 and a Pi on a real socket (\`worker\`),
the npm package in Node (\`node\`) and in workerd (\`workerd\`), the browser module in Chromium (\`browser\`), and the text of this
repository (\`source\`). A try counts as accepted when the attacker gains something, or when the owner loses something. The
command fails if a try is accepted, if a refusal has the wrong status or code, or if a good request beside the attack fails.
It also compares this document with its own results; \`npm run attack -- --write\` writes the document.
`;

const cell = (text) => text.replaceAll("|", "\\|").replaceAll("\n", " ");

/** The document of these entries and of the rows that were counted. */
export function render(entries, rows) {
  const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
  const lines = [INTRODUCTION, `${entries.length} attacks, ${sum("tries")} tries, ${sum("accepted")} accepted.`, ""];
  for (const [letter, title] of Object.entries(CHAPTERS)) {
    lines.push(`## ${title}`, "", "| id | attack | defence | tries | accepted |", "|---|---|---|---|---|");
    for (const entry of entries.filter(({ id }) => id[0] === letter)) {
      const counted = rows.filter(({ id }) => id === entry.id);
      const tries = counted.map(({ target, tries }) => `${target} ${tries}`).join(", ");
      const accepted = counted.reduce((total, row) => total + row.accepted, 0);
      lines.push(`| ${entry.id} | ${[entry.title, entry.defence, tries, String(accepted)].map(cell).join(" | ")} |`);
    }
    lines.push("");
  }
  return lines.join("\n");
}

/** The lines in which two documents differ. */
export function compare(written, made) {
  const [before, after] = [written, made].map((text) => text.split("\n"));
  const found = [];
  for (let i = 0; i < Math.max(before.length, after.length); i++) {
    if (before[i] !== after[i]) found.push(`docs/attacks.md, line ${i + 1}, is\n  ${before[i]}\nand must be\n  ${after[i]}`);
  }
  return found;
}

/** The rows of the document. */
export function rowsIn(text) {
  const lines = text.split("\n").filter((line) => /^\| [A-Z]\d+ \|/.test(line));
  return lines.map((line) => {
    const [id, title, defence, tries, accepted] = line.slice(2, -2).split(" | ").map((cell) => cell.replaceAll("\\|", "|"));
    const counted = tries.split(", ").map((part) => part.split(" "));
    return { id, title, defence, tries: Object.fromEntries(counted.map(([target, count]) => [target, Number(count)])), accepted: Number(accepted) };
  });
}
