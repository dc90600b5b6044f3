// `npm run matrix` installs the tools of tests/matrix/package-lock.json below target/, builds and
// runs the packed package with each, and writes docs/matrix.md. With words as arguments, it runs
// only the rows that contain them, and writes nothing.

import { writeFileSync } from "node:fs";
import { installLockedPackages } from "../../scripts/locked-packages.mjs";
import { root } from "../../scripts/paths.mjs";
import { installPackage, versionOf } from "./projects.mjs";
import { rows } from "./rows.mjs";

const PAGE = `${root}/docs/matrix.md`;
const INTRODUCTION = `# Bundlers and test runners

\`npm run matrix\` writes this page. For each row, it builds and runs a project with the packed package installed. No tool is configured
for this package; the third column names every setting. The project's program verifies a token and refuses a forged one with the
package's \`SessionError\`. Programs for servers also use \`pioneer-session/fetch\`, and pages also import \`pioneer-session/browser\`.
TypeScript only compiles, together with the types of \`express-session\` and \`@fastify/session\`. The programs for edge runtimes forbid
compiling bytes, as Vercel does. [Platforms](platforms.md) lists the runtimes.

The command fails if a row fails. \`tests/matrix/package.json\` pins the versions. Next.js 16.4.6 with webpack builds no route
handler for the edge, not even one without imports, so its row is an API route of the Pages Router.

`;

installLockedPackages("matrix", "1.2 GB");
installPackage();
const words = process.argv.slice(2).map((word) => word.toLowerCase());
const wanted = rows.filter(({ tool, what }) => words.every((word) => `${tool} ${what}`.toLowerCase().includes(word)));
const lines = [];
let failures = 0;
for (const { tool, of, what, expected, run } of wanted) {
  const version = versionOf(of);
  const started = Date.now();
  let result;
  try {
    result = await run();
  } catch (error) {
    result = error.stack;
  }
  const passed = result === expected;
  if (!passed) failures += 1;
  console.log(`[matrix] ${passed ? "passed" : "FAILED"}: ${tool} ${version}, ${what} (${Math.round((Date.now() - started) / 1000)} s)`);
  if (!passed) console.log(result);
  lines.push(`| ${tool} | ${version} | ${what} | ${passed ? "works" : "**fails**"} |\n`);
}
if (words.length === 0) writeFileSync(PAGE, `${INTRODUCTION}| tool | version | what was run | result |\n|---|---|---|---|\n${lines.join("")}`);
console.log(`[matrix] ${wanted.length - failures} of ${wanted.length} rows passed.`);
process.exitCode = failures > 0 || wanted.length === 0 ? 1 : 0;
