// `npm run fuzz`: tries a million inputs on the npm package, a million windows on its reader of the
// revocation feed, and a million requests on the Worker in workerd. With `--rust TARGET` it runs
// one of the targets in fuzz/ instead, until you stop it or `--seconds` have passed.

import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { environment, paths, root } from "../../scripts/paths.mjs";

const CARGO_FUZZ = "0.13.2";
const TARGETS = ["json", "token", "feed", "jwks", "pi", "proof", "service"];
const MAX_BYTES = 8192; // of an input
/** Fuzzing needs compiler flags that are unstable; this makes the pinned stable compiler accept
 * them. */
const NIGHTLY = { RUSTC_BOOTSTRAP: "1" };
const SAY_EVERY = 50_000;

function stop(problem) {
  console.error(`[fuzz] ${problem}`);
  process.exit(1);
}

function run(command, args, variables) {
  if (spawnSync(command, args, { cwd: root, stdio: "inherit", env: { ...environment, ...variables } }).status !== 0) stop(`"${command} ${args.join(" ")}" failed.`);
}

function fuzzRust(target, seconds) {
  if (!TARGETS.includes(target)) stop(`There is no target "${target}". Choose one of ${TARGETS.join(", ")}.`);
  const isThere = spawnSync("cargo", ["fuzz", "--version"], { cwd: root, env: environment, encoding: "utf8" }).stdout?.includes(CARGO_FUZZ);
  if (!isThere) run("cargo", ["install", "--locked", "--root", paths.tools, `cargo-fuzz@${CARGO_FUZZ}`]);
  const corpus = `fuzz/corpus/${target}`;
  mkdirSync(`${root}/${corpus}`, { recursive: true });
  const limits = [`-max_len=${MAX_BYTES}`, "-print_final_stats=1", ...(seconds ? [`-max_total_time=${seconds}`] : [])];
  run("cargo", ["fuzz", "run", "--sanitizer", "none", target, corpus, `fuzz/seeds/${target}`, "--", ...limits], NIGHTLY);
}

/** Prints the result. Returns whether there was no trap and no wrong verdict. */
function report(what, { inputs, verdicts, unsendable, traps, wrong, shown, seconds }) {
  const sorted = Object.entries(verdicts).sort(([, one], [, other]) => other - one);
  console.log(`[fuzz] ${what}: ${inputs} inputs in ${seconds.toFixed(1)} s, ${traps} traps, ${wrong} wrong verdicts${unsendable ? `, ${unsendable} that no client could send` : ""}`);
  for (const [name, count] of sorted) console.log(`[fuzz]   ${String(count).padStart(8)}  ${name}`);
  for (const text of shown) console.log(`[fuzz]   ${text}`);
  return traps + wrong === 0;
}

const { values } = parseArgs({ options: { count: { type: "string", default: "1000000" }, seed: { type: "string" }, only: { type: "string" }, rust: { type: "string" }, seconds: { type: "string" } } });
if (values.rust !== undefined) {
  fuzzRust(values.rust, values.seconds);
} else {
  const [count, seed] = [Number(values.count), Number(values.seed ?? Math.floor(Math.random() * 2 ** 32))];
  if (!Number.isSafeInteger(count) || count < 1 || !Number.isSafeInteger(seed)) stop("--count and --seed must be whole numbers.");
  if (![undefined, "npm", "worker"].includes(values.only)) stop("--only must be npm or worker.");
  run(process.execPath, ["scripts/build.mjs", "worker", "simulator", "npm"]);
  console.log(`[fuzz] seed ${seed}`);
  let isSound = true;
  if (values.only !== "worker") {
    const { fuzzPackage } = await import("./npm.mjs");
    isSound = report("npm package", await fuzzPackage({ count, seed })) && isSound;
    const { fuzzFeed } = await import("./feed.mjs");
    isSound = report("revocation feed", fuzzFeed({ count, seed })) && isSound;
  }
  if (values.only !== "npm") {
    const { fuzzWorker } = await import("./worker.mjs");
    let said = 0;
    const say = ({ inputs, traps, wrong, seconds }) => {
      if (inputs - said < SAY_EVERY) return;
      said = inputs;
      console.log(`[fuzz]   ${inputs} of ${count} requests in ${Math.round(seconds)} s, ${traps} traps, ${wrong} wrong verdicts`);
    };
    isSound = report("Worker", await fuzzWorker({ count, seed, say })) && isSound;
  }
  process.exit(isSound ? 0 : 1);
}
