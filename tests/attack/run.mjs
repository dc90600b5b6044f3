// Tries every attack of the document on the built Worker, package and browser module, prints the
// counts, and fails if a try succeeds. `npm run attack` builds first.
//
//   (no options)  compares the document with the results
//   --write       writes the results into the document
//   --texts       tries nothing: writes only texts and links, and keeps the document's counts
//   S3 R8 …       tries only the attacks with these ids

import { readFileSync, writeFileSync } from "node:fs";
import { IDS, entries } from "./chapters.mjs";
import { root } from "../../scripts/paths.mjs";
import { DOCUMENT, compare, render, rowsIn } from "./document.mjs";
import { run } from "./runner.mjs";
import { Testbed } from "./testbed.mjs";

/** The longest time for all attacks on a machine with two cores. A slower run counts as a
 * failure. */
const LIMIT_MS = 240_000;

const options = process.argv.slice(2);
const wanted = options.filter((option) => !option.startsWith("--"));
const chosen = wanted.length === 0 ? entries : entries.filter(({ id }) => wanted.includes(id));

const documentPath = `${root}/${DOCUMENT}`;
const written = readFileSync(documentPath, "utf8");

if (options.includes("--texts")) {
  const rows = rowsIn(written).flatMap(({ id, tries }) => Object.entries(tries).map(([target, count]) => ({ id, target, tries: count, accepted: 0 })));
  writeFileSync(documentPath, render(written, entries, rows));
  process.exit();
}

const began = performance.now();
const timer = setTimeout(() => {
  console.error(`The attacks took more than ${LIMIT_MS / 1000} s.`);
  process.exit(1);
}, LIMIT_MS);
timer.unref();

const line = (cells) => console.log(cells.map((cell, i) => String(cell)[i < 2 ? "padEnd" : "padStart"]([4, 8, 6, 9, 8, 9, 8][i])).join(" "));
line(["id", "target", "tries", "accepted", "refused", "controls", "ms"]);

const testbed = new Testbed();
let rows;
try {
  rows = await run(chosen, testbed, {
    report(row) {
      line([row.id, row.target, row.tries, row.accepted, row.refused, row.controls, row.milliseconds]);
      for (const finding of row.findings) console.log(`     ${finding}`);
    },
  });
} finally {
  await testbed.close();
}

const findings = rows.reduce((sum, row) => sum + row.findings.length, 0);
const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
console.log(`\n${new Set(rows.map(({ id }) => id)).size} ids, ${sum("tries")} tries: ${sum("accepted")} accepted, ${sum("refused")} refused; ${sum("controls")} controls; ${findings} findings; ${Math.round((performance.now() - began) / 1000)} s.`);

let isBad = findings > 0;
if (wanted.length === 0) {
  const untried = IDS.filter((id) => !rows.some((row) => row.id === id && row.tries > 0));
  if (untried.length > 0) console.log(`Nothing was tried for ${untried.join(", ")}.`);
  isBad ||= untried.length > 0;
  const document = render(written, entries, rows);
  if (options.includes("--write")) {
    writeFileSync(documentPath, document);
  } else {
    const differences = compare(written, document);
    for (const difference of differences) console.log(difference);
    isBad ||= differences.length > 0;
  }
}
process.exitCode = isBad ? 1 : 0;
