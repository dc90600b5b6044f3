// docs/platforms.md: writes the table of the run, and reads it for the test.

import { readFileSync, writeFileSync } from "node:fs";
import { root } from "../../scripts/paths.mjs";
import { table } from "../docs/document.mjs";
import { COLUMNS, headOf } from "./platforms.mjs";
import { count } from "./vectors.mjs";

const PAGE = `${root}/docs/platforms.md`;
const HEADER = ["platform", "version", "loaded by"];
const PASSED = "works";
const NOT_THERE = "–";
const cell = (result) => (result === undefined ? NOT_THERE : result === "passed" ? PASSED : "**fails**");

const INTRODUCTION = `# Platforms

Where does the package run? \`npm run platforms\` runs one set of checks with the packed package on each platform, and writes this
page. \`tests/platforms/package.json\` pins the versions. \`npm test\` repeats the rows of Node ${process.versions.node.split(".")[0]} and workerd.

`;

const EXPLANATION = `
| check | does |
|---|---|
| keys that were passed | verifies with the option \`jwks\`, without any request |
| keys that are fetched | verifies with the issuer's keys; twenty calls at the same time make one request; the open verifier keeps no process alive |
| revocations | refuses a session within seconds after its revocation, also if its token is in the cache |
| cache | returns the same frozen claims, and still refuses forged and expired tokens |
| error codes | causes each code of \`SessionError\`; no error contains a token |
| \`pioneer-session/fetch\` | \`sessionFrom\` returns the session; \`refusal\` makes the answers 400 and 401 |
| tokens | accepts and refuses the tokens of the comparison with other verifiers (\`tests/differential\`), each with both names of the algorithm |
| vectors of signatures | ${count} public vectors of Ed25519 (Wycheproof, CCTV), in the Worker's wasm: the package has no function for bare signatures |
| command line | \`npx pioneer-session keys new\` prints a key |

In Deno, the package needs the issuer's host in \`--allow-net\`, and no other permission. In workerd there are no timers between
requests, so the check of revocations calls \`ready()\` there. [Bundlers and test runners](matrix.md) lists the tools that build
with the package, and [Which browsers](browser.md#which-browsers) the browsers.
`;

const line = (cells) => `| ${cells.join(" | ")} |\n`;
const heads = () => COLUMNS.map(headOf);

/** Writes the page with the results of the platforms. */
export function writePage(platforms) {
  const header = [...HEADER, ...heads()];
  const rows = platforms.map(({ name, version, how, results }) =>
    [name, version, `\`${how}\``, ...COLUMNS.map((column) => cell(results[column]))]);
  writeFileSync(PAGE, `${INTRODUCTION}${line(header)}${line(header.map(() => "---")).replaceAll(" ", "")}${rows.map(line).join("")}${EXPLANATION}`);
}

/** The rows of the page, each with its platform, its version, how it loads the package, and its
 * results. */
export const rowsOfPage = () =>
  table(readFileSync(PAGE, "utf8"), ...HEADER, ...heads()).map(([name, version, how, ...results]) => ({ name, version, how: how.replaceAll("`", ""), results }));
