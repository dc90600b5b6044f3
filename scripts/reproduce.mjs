// Builds the published package twice from the last commit and compares the SHA-256 of every file.
// The two builds differ in path, cargo home, number of jobs, time zone, locale and the settings in
// the folder above. With the path of a tarball, its files are compared as well.
//
// It needs no network after the set-up: it uses the installed npm packages and tools, and the
// crates in cargo's cache.

import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { paths, root } from "./paths.mjs";

function stop(problem) {
  console.error(`[reproduce] ${problem}`);
  process.exit(1);
}

const git = (...args) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

const tarball = process.argv[2] && resolve(process.argv[2]);
if (tarball && !existsSync(tarball)) stop(`There is no file ${tarball}.`);

if (!existsSync(paths.toolStamp)) {
  stop("The tools in .tools/ were not installed from scripts/tools/Cargo.lock. Remove that folder and run this again.");
}
if (git("status", "--porcelain") !== "") console.log("[reproduce] Uncommitted changes are not included.");

const commit = git("rev-parse", "HEAD");
const folder = realpathSync(mkdtempSync(join(tmpdir(), "pioneer-session-")));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
process.on("SIGINT", () => process.exit(130));
process.on("SIGTERM", () => process.exit(143));

const cargoHome = process.env.CARGO_HOME || join(homedir(), ".cargo");

/** Creates a cargo home at another path with the same downloads, without unpacked sources. */
function otherCargoHome(path) {
  mkdirSync(join(path, "registry"), { recursive: true });
  for (const part of ["index", "cache"]) symlinkSync(join(cargoHome, "registry", part), join(path, "registry", part));
  if (existsSync(join(cargoHome, "config.toml"))) symlinkSync(join(cargoHome, "config.toml"), join(path, "config.toml"));
  return path;
}

/** A folder whose settings are not those of the project. */
const foreign = join(folder, "foreign");
mkdirSync(foreign);
writeFileSync(join(foreign, "tsconfig.json"), '{ "compilerOptions": { "jsx": "react-jsx", "target": "es5" } }');

const builds = [
  { name: "one", variables: { TZ: "UTC" } },
  { name: "foreign/the other, with a space", variables: { CARGO_HOME: otherCargoHome(join(folder, "another home")), CARGO_BUILD_JOBS: "1", TZ: "Asia/Tokyo", LC_ALL: "C" } },
];

/** The path and SHA-256 of each published file. */
function build({ name, variables }) {
  const clone = join(folder, name);
  execFileSync("git", ["clone", "--quiet", root, clone]);
  execFileSync("git", ["checkout", "--quiet", commit], { cwd: clone });
  symlinkSync(paths.modules, join(clone, "node_modules"));
  symlinkSync(paths.tools, join(clone, ".tools"));
  console.log(`[reproduce] building ${commit.slice(0, 12)} in ${clone}`);
  const env = { ...process.env, CARGO_NET_OFFLINE: "true", ...variables };
  const { status } = spawnSync(process.execPath, ["scripts/build.mjs", "worker", "simulator", "npm"], { cwd: clone, env, stdio: "inherit" });
  if (status !== 0) stop("The build failed.");
  const packed = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: clone, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  return new Map(packed[0].files.map(({ path }) => [path, sha256(readFileSync(join(clone, path)))]));
}

/** The path and SHA-256 of each file in a tarball of npm. */
function unpack(file) {
  const target = join(folder, "tarball");
  mkdirSync(target);
  execFileSync("tar", ["-xzf", file, "-C", target]);
  const names = execFileSync("tar", ["-tzf", file], { encoding: "utf8" }).trim().split("\n").filter((name) => !name.endsWith("/"));
  return new Map(names.map((name) => [name.replace(/^package\//, ""), sha256(readFileSync(join(target, name)))]));
}

const [first, second] = builds.map(build);
const compared = [["the second build", second], ...(tarball ? [["the tarball", unpack(tarball)]] : [])];

for (const [path, hash] of [...first].sort()) console.log(`${hash}  ${path}`);

let differences = 0;
for (const [name, files] of compared) {
  for (const path of new Set([...first.keys(), ...files.keys()])) {
    if (first.get(path) === files.get(path)) continue;
    differences += 1;
    console.error(`[reproduce] ${path} differs in ${name}: ${files.get(path) ?? "it is missing"} instead of ${first.get(path) ?? "no such file"}`);
  }
}
if (differences > 0) stop(`${differences} files differ.`);
console.log(`[reproduce] All ${first.size} published files are equal in two builds of ${commit}${tarball ? " and in the tarball" : ""}.`);
