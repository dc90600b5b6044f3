// Installs the packages of a test's own lock file below target/, once, without running any script
// of them.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { environment, root } from "./paths.mjs";

/** Installs the packages of `tests/NAME` into `target/NAME`, and returns that folder. Does nothing
 * if they are those of the current lock file. */
export function installLockedPackages(name, size) {
  const home = `${root}/target/${name}`;
  const source = `${root}/tests/${name}`;
  const wanted = createHash("sha256").update(readFileSync(`${source}/package-lock.json`)).digest("hex");
  const stamp = `${home}/node_modules/.set-up`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return home;
  console.log(`[set-up] installing the packages of tests/${name} into target/${name} (once; ${size})`);
  mkdirSync(home, { recursive: true });
  for (const file of ["package.json", "package-lock.json"]) copyFileSync(`${source}/${file}`, `${home}/${file}`);
  const { status } = spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: home, env: environment, stdio: "inherit" });
  if (status !== 0) throw new Error(`The packages of tests/${name} were not installed. Fix the error above, then try again.`);
  writeFileSync(stamp, wanted);
  return home;
}

/** Bun's and Deno's programs in their packages. npm installs the one for this machine; the script
 * that would put it into place was not run. */
const inPackages = (home, scope, file) => readdirSync(`${home}/node_modules/${scope}`).map((name) => `${home}/node_modules/${scope}/${name}/${file}`).find(existsSync);
export const bunIn = (home) => inPackages(home, "@oven", "bin/bun");
export const denoIn = (home) => inPackages(home, "@deno", "deno");
