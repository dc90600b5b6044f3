// `npm run bench` runs every part, compares the results with the targets, and writes
// bench/results/. A part that fails is reported and fails the command. A missed target does not,
// because a benchmark is not a test. `npm run bench -- --before <folder>` also measures an earlier
// build of the Worker, which the folder contains.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem, type } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { environment, paths, root } from "../scripts/paths.mjs";
import { PEERS } from "./contenders.mjs";
import { charts, markdown, summary } from "./report.mjs";
import { sizes, versions } from "./sizes.mjs";
import { targets } from "./targets.mjs";

const { before } = parseArgs({ options: { before: { type: "string" } } }).values;
const LIMIT_MS = (before ? 13 : 10) * 60_000; // an earlier build takes half as long again as the other two
const deadline = Date.now() + LIMIT_MS;
const failed = [];

let stop = () => process.exit(1);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => stop());

/** The machine's Node, which comes after npm's on the path. */
function systemNode() {
  if (process.env.NODE_20) return process.env.NODE_20;
  const candidates = process.env.PATH.split(":").map((entry) => join(entry, "node"));
  return candidates.find((path) => !path.startsWith(paths.modules) && path !== process.execPath && existsSync(path));
}

/** Runs a part in a separate process, which prints its results as JSON. */
async function part(name, file, { node = process.execPath, args = [] } = {}) {
  console.error(`[bench] ${name}`);
  try {
    // A separate process group, so that everything it has started can be stopped with it.
    const child = spawn(node, [`${root}/bench/${file}`, ...args], { cwd: root, env: environment, stdio: ["ignore", "pipe", "inherit"], detached: true });
    const end = () => process.kill(-child.pid, "SIGTERM");
    stop = () => {
      end();
      process.exit(1);
    };
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk) => (text += chunk));
    const timer = setTimeout(end, deadline - Date.now());
    const status = await new Promise((done) => child.on("close", (code, signal) => done(signal ?? code)));
    clearTimeout(timer);
    stop = () => process.exit(1);
    if (status === "SIGTERM") throw new Error("the time was over");
    if (status !== 0) throw new Error(`it ended with ${status}; the lines above say why`);
    return JSON.parse(text);
  } catch (error) {
    failed.push({ part: name, reason: error.message });
    return undefined;
  }
}

const loadBefore = loadavg()[0];
const worker = await part("the Worker and its peer", "worker.mjs", { args: before ? ["--before", resolve(before)] : [] });
const nodes = [await part(`verifying, Node ${process.versions.node}`, "verify.mjs")];
const other = systemNode();
if (other) nodes.push(await part(`verifying, ${other}`, "verify.mjs", { node: other }));
const waits = await part("waits for D1 and Pi", "waits.mjs");
const feed = await part("the feed of revoked sessions", "feed.mjs");
const rows = await part("growing tables", "rows.mjs", { args: [String(deadline)] });

const measured = { worker, nodes: nodes.filter(Boolean), waits, feed, rows, sizes: sizes() };
const results = {
  machine: {
    date: new Date().toISOString(),
    cpu: cpus()[0].model,
    cores: availableParallelism(),
    memoryGB: Math.round(totalmem() / 1e9),
    system: `${type()} ${release()}`,
    loadBefore,
    loadAfter: loadavg()[0],
    isBusy: loadBefore > availableParallelism() / 2,
  },
  versions: { ...versions(["workerd", "miniflare", "hono", ...PEERS]), node: measured.nodes.map(({ node }) => node.slice(1)).join(" and ") },
  failed,
  targets: targets(measured),
  ...measured,
};

const out = `${root}/bench/results`;
mkdirSync(out, { recursive: true });
writeFileSync(`${out}/latest.json`, `${JSON.stringify(results, null, 1)}\n`);
writeFileSync(`${out}/latest.md`, markdown(results));
for (const [name, svg] of Object.entries(charts(results))) writeFileSync(`${out}/${name}`, svg);
console.log(summary(results));
console.log("\nWritten to bench/results/: latest.json, latest.md, and charts.");
if (failed.length > 0) process.exitCode = 1;
