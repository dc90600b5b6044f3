// Marks every secret, runs the Worker, the package and the command line tool, and fails if their
// output contains a secret. `npm run canary` builds first.

import { collect, missed, search } from "./canary.mjs";

const began = performance.now();
const collected = await collect();
const { hits, outputs, bytes, lines, markers, forms } = search(collected);
const lost = missed(collected);

const kinds = { "answers of the Worker": /^answer \d+ to/, "files of the database": /^(running|stopped): /, "logs": /^std(out|err) of/, "errors of the package": /error \d+/, "outputs of commands": /^(keys|secrets|operators|doctor)/ };
console.table(Object.entries(kinds).map(([kind, pattern]) => {
  const found = collected.outputs.filter(([name]) => pattern.test(name));
  return { searched: kind, count: found.length, bytes: found.reduce((sum, [, content]) => sum + content.length, 0) };
}));
console.table(Object.entries(collected.statuses).map(([what, statuses]) => ({ what, statuses: [...new Set(statuses)].join(" ") })));
console.log(`${markers} secrets in ${forms} forms, searched in ${outputs} outputs (${bytes} bytes, ${lines} lines): ${hits.length} hits.`);
for (const hit of hits) console.log(`  ${hit}`);
console.log(`Self-check: ${forms} forms planted one by one into copies of the log and of a database file, ${forms - lost.length} found.`);
console.log(`${Math.round((performance.now() - began) / 1000)} s.`);
process.exitCode = hits.length > 0 || lost.length > 0 ? 1 : 0;
