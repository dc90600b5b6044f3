// Runs every check, the fastest first. `npm test` runs the set-up before.

import { spawnSync } from "node:child_process";
import { languages } from "../tests/languages/rows.mjs";
import { browsers, environment, paths, root } from "./paths.mjs";

const wasm = (feature) => ["--target", "wasm32-unknown-unknown", "--features", feature];
const clippy = (...args) => ["cargo", "clippy", ...args, "--", "-D", "warnings"];

const steps = [
  ["Spelling", `${paths.tools}/bin/typos`, "--config", ".github/typos.toml"],
  ["Format", "cargo", "fmt", "--check"],
  ["The core without edges", "cargo", "check", "--no-default-features"],
  ["Lints, host", ...clippy("--all-targets", "--features", "simulator")],
  ["Lints, Worker", ...clippy("--lib", "--examples", ...wasm("worker"))],
  ["Lints, npm", ...clippy("--all-targets", ...wasm("npm"))],
  ["Lints, simulator", ...clippy(...wasm("simulator"))],
  ["Tests on the host", "cargo", "test", "--features", "simulator"],
  ["Tests of the wasm boundary", "wasm-pack", "test", "--node", "--mode", "no-install", "--", "--features", "npm", "--test", "wasm"],
  ["Builds", process.execPath, "scripts/build.mjs", "worker", "simulator", "verdict", "npm"],
  ["Tests of the builds", process.execPath, "--test", "--test-reporter=spec", "--test-concurrency=1", "tests/**/*.test.mjs"],
];

const started = Date.now();
for (const [name, command, ...args] of steps) {
  console.log(`\n[test] ${name}: ${command.split("/").pop()} ${args.join(" ")}`);
  const { status } = spawnSync(command, args, { cwd: root, stdio: "inherit", env: environment });
  if (status !== 0) {
    console.error(`[test] ${name} failed.`);
    process.exit(1);
  }
}
console.log(`\n[test] All ${steps.length} steps passed in ${Math.round((Date.now() - started) / 1000)} s.`);
for (const { name, find } of Object.values(browsers)) {
  if (!find()) console.log(`[test] No test ran in ${name}, because it is not installed. To install it, follow \`node scripts/setup.mjs --browsers\`.`);
}
for (const { name, find, large } of Object.values(languages)) {
  if (!large && !find()) console.log(`[test] No test ran in ${name}, because it is not installed. To install it, follow \`node scripts/setup.mjs --languages\`.`);
}
