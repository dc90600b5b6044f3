// Checks the origin and the licence of every dependency, and writes a list of the crates in each
// wasm file (SBOM) to target/sbom/. With `advisories`, it compares the lock files with the
// databases of known vulnerabilities instead.
//
// It is not part of `npm test`, because building its two tools takes several minutes.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { environment, paths, root } from "./paths.mjs";

// Each tool is built with the lock file that its authors have published with it.
const TOOLS = { "cargo-deny": "0.20.2", "cargo-cyclonedx": "0.5.9" };
const TARGET = "wasm32-unknown-unknown";

const tools = `${paths.tools}/supply`;
const say = (text) => console.log(`[supply] ${text}`);

function stop(problem) {
  console.error(`[supply] ${problem}`);
  process.exit(1);
}

function run(command, args, { env = {}, ...options } = {}) {
  return spawnSync(command, args, { cwd: root, stdio: "inherit", encoding: "utf8", env: { ...environment, ...env }, ...options });
}

function mustRun(command, args, options) {
  if (run(command, args, options).status !== 0) stop(`"${command.split("/").pop()} ${args.join(" ")}" failed.`);
}

function install() {
  const installed = existsSync(`${tools}/.crates.toml`) ? readFileSync(`${tools}/.crates.toml`, "utf8") : "";
  for (const [name, version] of Object.entries(TOOLS)) {
    if (installed.includes(`"${name} ${version} `)) continue;
    say(`building ${name} ${version} into .tools/supply/ (once; a few minutes)`);
    mustRun("cargo", ["install", "--locked", "--root", tools, `${name}@${version}`], {
      env: { CARGO_PROFILE_RELEASE_OPT_LEVEL: "0", CARGO_TARGET_DIR: `${paths.tools}/target` },
    });
  }
}

const deny = (manifest, ...args) => [`${tools}/bin/cargo-deny`, ["--config", "deny.toml", "--manifest-path", manifest, "--locked", ...args]];

function checkCrates() {
  say("crates: licences, duplicates, origins");
  mustRun(...deny("Cargo.toml", "check", "licenses", "bans", "sources"));
  // The build tools are not distributed, so only their origin is checked, not their licences.
  say("crates of the build tools: origins");
  mustRun(...deny("scripts/tools/Cargo.toml", "check", "sources"));
}

function checkPackages() {
  const { dependencies = {}, devDependencies } = JSON.parse(readFileSync(`${root}/package.json`, "utf8"));
  const { packages } = JSON.parse(readFileSync(paths.lock, "utf8"));
  const withScripts = Object.keys(packages).filter((name) => packages[name].hasInstallScript);
  say(`npm: the published package has ${Object.keys(dependencies).length} dependencies.`);
  say(`npm: building and testing uses ${Object.keys(devDependencies).length} packages directly, ${Object.keys(packages).length - 1} in all.`);
  say(`npm: these packages run a script at their installation: ${withScripts.map((name) => name.replace(/^.*node_modules\//, "")).join(", ")}.`);
  if (Object.keys(dependencies).length > 0) stop("The published package must have no dependency.");
}

/** The crates that cargo compiles for a feature, each as name@version. */
function compiled(feature) {
  const args = ["tree", "--locked", "--target", TARGET, "--features", feature, "--edges", "normal", "--prefix", "none", "--format", "{p}"];
  const { status, stdout } = run("cargo", args, { stdio: ["ignore", "pipe", "inherit"] });
  if (status !== 0) stop("cargo could not list the crates.");
  const names = stdout.trim().split("\n").map((line) => line.replace(/^(\S+) v(\S+).*/, "$1@$2"));
  return new Set(names.filter((name) => !name.startsWith("pioneer-session@")));
}

/** Writes a list of the crates in one wasm file, in CycloneDX. It is the same on every machine
 * and contains none of its paths. */
function list(feature, wasm) {
  mustRun(`${tools}/bin/cargo-cyclonedx`, [
    "cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5", "--all", "--no-build-deps",
    "--target", TARGET, "--no-default-features", "--features", feature, "--override-filename", "sbom",
  ], {
    // With this variable, the list has a fixed time and no random serial number.
    env: { SOURCE_DATE_EPOCH: "0" },
  });
  const made = `${root}/sbom.json`;
  const sbom = JSON.parse(readFileSync(made, "utf8").replaceAll(root, "/pioneer-session"));
  rmSync(made);
  // The tool also lists crates that only a test or another target enables.
  const wanted = compiled(feature);
  sbom.components = sbom.components.filter(({ name, version }) => wanted.has(`${name}@${version}`));
  if (sbom.components.length !== wanted.size) stop(`The list for ${feature} lacks crates that cargo compiles.`);
  const refs = new Set([sbom.metadata.component, ...sbom.components].map((component) => component["bom-ref"]));
  sbom.dependencies = sbom.dependencies
    .filter(({ ref }) => refs.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, ...(dependsOn && { dependsOn: dependsOn.filter((ref) => refs.has(ref)) }) }));
  const out = `target/sbom/${feature}.cdx.json`;
  mkdirSync(`${root}/target/sbom`, { recursive: true });
  writeFileSync(`${root}/${out}`, `${JSON.stringify(sbom, undefined, 2)}\n`);
  say(`${out}: ${sbom.components.length} crates for ${wasm}`);
}

/** Reports the result for each lock file. Fails if one was not compared, or has a known
 * vulnerability. */
function advisories() {
  const outcomes = [];
  if (run(...deny("Cargo.toml", "fetch", "db")).status !== 0) {
    outcomes.push(["Cargo.lock and scripts/tools/Cargo.lock", "NOT CHECKED: the RustSec database could not be fetched"]);
  } else {
    for (const manifest of ["Cargo.toml", "scripts/tools/Cargo.toml"]) {
      const { status } = run(...deny(manifest, "--offline", "check", "advisories"));
      outcomes.push([manifest.replace(".toml", ".lock"), status === 0 ? undefined : "something was found, see above"]);
    }
  }
  const { stdout } = run("npm", ["audit", "--json"], { stdio: ["ignore", "pipe", "ignore"] });
  const report = JSON.parse(stdout || "{}");
  const found = report.metadata?.vulnerabilities?.total;
  if (found === undefined) outcomes.push(["package-lock.json", "NOT CHECKED: the npm registry did not answer the audit"]);
  else outcomes.push(["package-lock.json", found === 0 ? undefined : `${found} vulnerable packages; \`npm audit\` lists them`]);

  for (const [file, problem] of outcomes) say(`${file}: ${problem ?? "no known vulnerability"}`);
  if (outcomes.some(([, problem]) => problem)) process.exit(1);
}

install();
if (process.argv[2] === "advisories") {
  advisories();
} else {
  checkCrates();
  checkPackages();
  list("worker", "build/index_bg.wasm");
  list("simulator", "build/simulator/index_bg.wasm");
  list("npm", "pkg/wasm/pioneer_session_bg.wasm, which has no dependency on npm");
  say("Licences, duplicates and origins are fine. This did not check for known vulnerabilities; run `npm run advisories` for that.");
}
