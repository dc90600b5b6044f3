// Tries every attack of docs/attacks.md on the built Worker, package and browser module, prints the counts, and fails if a try
// succeeds. `npm run attack` builds first. `--write` writes the document; without it, the document is compared. Ids after the options run only these.

import { readFileSync, writeFileSync } from "node:fs";
import { IDS, entries } from "./chapters.mjs";
import { DOCUMENT, compare, render } from "./document.mjs";
import { run } from "./runner.mjs";
import { World } from "./world.mjs";

/** Everything, on a machine with two cores. A run that takes longer has found something, too. */
const LIMIT_MS = 240_000;

const options = process.argv.slice(2);
const wanted = options.filter((option) => !option.startsWith("--"));
const chosen = wanted.length === 0 ? entries : entries.filter(({ id }) => wanted.includes(id));

const began = performance.now();
const timer = setTimeout(() => {
  console.error(`The attacks took more than ${LIMIT_MS / 1000} s.`);
  process.exit(1);
}, LIMIT_MS);
timer.unref();

const line = (cells) => console.log(cells.map((cell, i) => String(cell)[i < 2 ? "padEnd" : "padStart"]([4, 8, 6, 9, 8, 9, 8][i])).join(" "));
line(["id", "target", "tries", "accepted", "refused", "controls", "ms"]);

const world = new World();
let rows;
try {
  rows = await run(chosen, world, {
    report(row) {
      line([row.id, row.target, row.tries, row.accepted, row.refused, row.controls, row.milliseconds]);
      for (const finding of row.findings) console.log(`     ${finding}`);
    },
  });
} finally {
  await world.close();
}

const findings = rows.reduce((sum, row) => sum + row.findings.length, 0);
const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
console.log(`\n${new Set(rows.map(({ id }) => id)).size} ids, ${sum("tries")} tries: ${sum("accepted")} accepted, ${sum("refused")} refused; ${sum("controls")} controls; ${findings} findings; ${Math.round((performance.now() - began) / 1000)} s.`);

let isBad = findings > 0;
if (wanted.length === 0) {
  const untried = IDS.filter((id) => !rows.some((row) => row.id === id && row.tries > 0));
  if (untried.length > 0) console.log(`Nothing was tried for ${untried.join(", ")}.`);
  isBad ||= untried.length > 0;
  const document = render(entries, rows);
  if (options.includes("--write")) {
    writeFileSync(DOCUMENT, document);
  } else {
    const differences = compare(readFileSync(DOCUMENT, "utf8"), document);
    for (const difference of differences) console.log(difference);
    isBad ||= differences.length > 0;
  }
}
process.exitCode = isBad ? 1 : 0;
