// The program of a wrangler that talks to tests/cli/cloudflare.mjs instead of Cloudflare: it passes
// the arguments and standard input on, and prints the answer.

import { appendFileSync, readFileSync } from "node:fs";

const body = JSON.stringify({ args: process.argv.slice(2), input: readFileSync(0, "utf8"), cwd: process.cwd(), account: process.env.CLOUDFLARE_ACCOUNT_ID });
const answer = await (await fetch(process.env.CLOUDFLARE_STAND_IN, { method: "POST", body })).json();
if (answer.kill) process.kill(process.ppid, "SIGKILL");
if (answer.record) appendFileSync(process.env.WRANGLER_OUTPUT_FILE_PATH, `${JSON.stringify(answer.record)}\n`);
process.stdout.write(answer.stdout ?? "");
process.stderr.write(answer.stderr ?? "");
process.exitCode = answer.status ?? 0;
