// Builds the parts that it is called with: `worker` into build/, `simulator` into
// build/simulator/, `browser` (the module for web pages) and `npm` (with it, the whole package)
// into pkg/wasm/, and `verdict`, for tests, into target/verdict/. Without arguments, it builds what
// the npm package contains. It prints sizes, and fails above a ceiling.

import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import { buildSync } from "esbuild";
import { buildConsole } from "./console.mjs";
import { bundling, cargoInputs, esbuildInputs, writeStamp } from "./inputs.mjs";
import { environment, paths, root, stamps } from "./paths.mjs";

// Every engine that runs these has them: Node 20, workerd, and recent browsers. The result is a
// tenth faster, and smaller.
const TARGET_FEATURES = "-Ctarget-feature=+simd128,+bulk-memory";

/** The output of rustc. It runs in the root, where rustup finds rust-toolchain.toml. */
const rustc = (...args) => execFileSync("rustc", args, { cwd: root, encoding: "utf8", env: environment }).trim();

/** Maps paths of this machine to fixed names. A panic message names its source file, so without this map two machines
 * would build different bytes from one source. `npm run reproduce` compares two builds. If several
 * entries match, rustc
 * applies the last one. */
const REMAPPED = {
  [root]: "/pioneer-session",
  // After the root, because it may be a folder below it.
  [process.env.CARGO_HOME || `${homedir()}/.cargo`]: "/cargo",
  // If the component rust-src is installed, rustc names its files instead of the files from which
  // std was built.
  [`${rustc("--print", "sysroot")}/lib/rustlib/src/rust`]: `/rustc/${rustc("-vV").match(/^commit-hash: (.+)$/m)[1]}`,
};

const variables = {
  ...environment,
  // Unlike RUSTFLAGS, it allows spaces in paths, and it also overrides a value that the caller has
  // set.
  CARGO_ENCODED_RUSTFLAGS: [TARGET_FEATURES, ...Object.entries(REMAPPED).map(([from, to]) => `--remap-path-prefix=${from}=${to}`)].join("\x1f"),
  // The later steps read from this folder.
  CARGO_TARGET_DIR: `${root}/target`,
};

function run(command, args, more = {}) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: "inherit", env: { ...variables, ...more } });
  if (status !== 0) {
    console.error(`[build] "${command} ${args.join(" ")}" failed.`);
    process.exit(1);
  }
}

function size(label, file, ceiling) {
  const kilobytes = gzipSync(readFileSync(file), { level: 9 }).length / 1000;
  console.log(`[build] ${label}: ${kilobytes.toFixed(1)} KB gzipped (at most ${ceiling}), ${(statSync(file).size / 1000).toFixed(1)} KB plain`);
  if (kilobytes > ceiling) {
    console.error(`[build] ${label} is over its ceiling.`);
    process.exit(1);
  }
}

/**
 * The modules of the npm package that can also be required: those for which package.json names a
 * CommonJS file.
 */
function requirable() {
  const { exports } = JSON.parse(readFileSync(`${root}/package.json`, "utf8"));
  return Object.values(exports).flatMap(({ import: imported, require: required }) => {
    // The build of the browser module makes its own.
    if (!required || required.default === "./pkg/wasm/browser.cjs") return [];
    return { name: basename(required.default, ".cjs"), module: imported.default, types: imported.types };
  });
}

// The npm package is optimised for speed, which also makes it smaller.
const FAST = { CARGO_PROFILE_RELEASE_OPT_LEVEL: "3" };

const WORKER_CEILING = 412; // KB, twenty-seven of them for speed, thirteen of them the OpenAPI document, fifteen the log, the counts and the operators, thirty-three what operators read, eighteen their deeds: far under Cloudflare's 3 MB, because start-up time grows with it
const NPM_CEILING = 67; // KB: a page loads this file
const SIMULATOR_CEILING = 300; // KB, plain: every installation of the npm package carries it, and production does not use it

// Nobody waits for the simulated Pi.
const SMALLEST = { CARGO_PROFILE_RELEASE_OPT_LEVEL: "z" };

// Named, because "all features" would let wasm-opt use ones that Node 20 does not know. The glue of
// the `worker` crate catches exceptions; workerd knows them.
const NODE_FEATURES = ["simd", "bulk-memory", "multivalue", "mutable-globals", "nontrapping-float-to-int", "reference-types", "sign-ext"];
const WORKERD_FEATURES = [...NODE_FEATURES, "exception-handling"];

// Repeats the passes until the file no longer shrinks, and drops the sections that only tools read.
const SMALL = ["--converge", "--strip-producers", "--strip-target-features"];

function optimise(wasm, features, passes = []) {
  run("wasm-opt", ["-Os", ...passes, ...features.map((feature) => `--enable-${feature}`), wasm, "-o", wasm]);
}

const TARGET = "wasm32-unknown-unknown";

/**
 * Compiles, and writes index.js and index_bg.wasm, the wasm and the JavaScript that calls it, to
 * `out`.
 */
function glue(file, out, args, more) {
  run("cargo", ["build", "--release", "--target", TARGET, ...args], more);
  run("wasm-bindgen", ["--target", "web", "--no-typescript", "--experimental-reset-state-function", "--out-name", "index", "--out-dir", out, `target/${TARGET}/release/${file}`]);
}

/** The scripts of the Worker that call the wasm, and that the wasm calls. */
const RUNTIME = `${root}/src/worker/runtime`;

/**
 * Bundles an entry with the glue that it imports as "worker/glue", and copies the wasm beside it.
 * The glue imports the calls of the wasm into JavaScript as "worker/host", and tests import the
 * wire format as "worker/wire".
 */
function bundle(made, entry, out) {
  mkdirSync(out, { recursive: true });
  const page = consolePage();
  copyFileSync(`${made}/index_bg.wasm`, `${out}/index_bg.wasm`);
  optimise(`${out}/index_bg.wasm`, WORKERD_FEATURES, SMALL);
  const { metafile } = buildSync({
    ...bundling,
    entryPoints: [entry],
    outfile: `${out}/index.js`,
    bundle: true,
    metafile: true,
    minify: true,
    format: "esm",
    target: "es2022",
    external: ["./index_bg.wasm"],
    alias: { "worker/glue": `${made}/index.js`, "worker/host": `${RUNTIME}/host.mjs`, "worker/wire": `${RUNTIME}/wire.mjs`, "worker/console": page.module },
    logLevel: "warning",
  });
  return [...esbuildInputs(metafile), ...page.inputs];
}

/**
 * Writes the module "worker/console": the texts of the page for operators, by their names. They are
 * part of the script, because a deployer's folder of assets may be in use, and a module of text
 * would need a rule in everybody's configuration.
 */
function consolePage() {
  const { files, inputs, kilobytes, ceiling } = buildConsole();
  const module = `${root}/target/glue/console.mjs`;
  const entries = JSON.stringify(Object.entries(files));
  writeFileSync(module, `export const files = new Map(${entries});\nexport const hasFile = (name) => files.has(name);\n`);
  console.log(`[build] Console: ${kilobytes.toFixed(1)} KB gzipped (at most ${ceiling})`);
  if (kilobytes > ceiling) {
    console.error("[build] The console is over its ceiling.");
    process.exit(1);
  }
  return { module, inputs };
}

function worker(feature, entry, out, more) {
  const made = `${root}/target/glue/${feature}`;
  glue("pioneer_session.wasm", made, ["--lib", "--features", feature], more);
  return [...compiled("pioneer_session.d"), ...bundle(made, entry, out)];
}

/** The files that cargo has just compiled: builds of other features overwrite the list. */
const compiled = (file) => cargoInputs(`${root}/target/${TARGET}/release/${file}`);

/** Each returns the files that it has read. */
const builders = {
  worker() {
    const inputs = worker("worker", `${RUNTIME}/entry.mjs`, paths.worker);
    size("Worker", `${paths.worker}/index_bg.wasm`, WORKER_CEILING);
    return inputs;
  },
  simulator() {
    const inputs = worker("simulator", `${root}/src/simulator/entry.mjs`, paths.simulator, SMALLEST);
    const bytes = ["index.js", "index_bg.wasm"].reduce((sum, name) => sum + statSync(`${paths.simulator}/${name}`).size, 0);
    console.log(`[build] Simulated Pi: ${(bytes / 1000).toFixed(1)} KB plain (at most ${SIMULATOR_CEILING})`);
    if (bytes > SIMULATOR_CEILING * 1000) {
      console.error("[build] The simulated Pi is over its ceiling.");
      process.exit(1);
    }
    return inputs;
  },
  verdict() {
    const made = `${root}/target/glue/verdict`;
    glue("examples/verdict.wasm", made, ["--example", "verdict", "--features", "worker"]);
    return [...compiled("examples/verdict.d"), ...bundle(made, `${root}/tests/vectors/entry.mjs`, paths.verdict)];
  },
  // One file without imports, so that a page can load it by <script type="module"> from any server.
  // Not minified: the app's own bundler does that, and drops the functions that the app does not
  // use.
  browser() {
    mkdirSync(paths.wasm, { recursive: true });
    const common = { ...bundling, entryPoints: [`${root}/pkg/browser/index.mjs`], bundle: true, metafile: true, logLevel: "warning" };
    const { metafile } = buildSync({ ...common, format: "esm", target: "esnext", banner: { js: "// pioneer-session/browser, bundled from pkg/browser/index.mjs." }, outfile: paths.browser });
    // Tests of pages, which run in Node, require it.
    buildSync({ ...common, format: "cjs", platform: "node", target: "node20", outfile: `${paths.wasm}/browser.cjs` });
    copyFileSync(`${root}/pkg/browser/index.d.ts`, `${paths.wasm}/browser.d.cts`);
    return [...esbuildInputs(metafile), "pkg/browser/index.d.ts"];
  },
  npm() {
    rmSync(paths.wasm, { recursive: true, force: true });
    run("wasm-pack", ["build", "--release", "--target", "bundler", "--no-pack", "--out-dir", "pkg/wasm", "--mode", "no-install", "--features", "npm"], FAST);
    // With this file, npm would not pack the folder.
    rmSync(`${paths.wasm}/.gitignore`, { force: true });
    const wasm = `${paths.wasm}/pioneer_session_bg.wasm`;
    optimise(wasm, NODE_FEATURES);
    // It instantiates the wasm at the import; pkg/entry/instance.mjs does that at the first use.
    rmSync(`${paths.wasm}/pioneer_session.js`);
    // The types of the glue, for the type check of pkg/. wasm-bindgen writes them for the file that
    // was just removed, and without this function.
    rmSync(`${paths.wasm}/pioneer_session_bg.wasm.d.ts`);
    renameSync(`${paths.wasm}/pioneer_session.d.ts`, `${paths.wasm}/pioneer_session_bg.d.ts`);
    appendFileSync(`${paths.wasm}/pioneer_session_bg.d.ts`, "export function __wbg_set_wasm(exports: WebAssembly.Exports): void;\n");
    // The same wasm, for platforms that compile bytes.
    writeFileSync(`${paths.wasm}/bytes.mjs`, `export default "${readFileSync(wasm, "base64")}";\n`);
    // esbuild writes the path of each file into a comment, relative to the working folder.
    const commonjs = { ...bundling, bundle: true, platform: "node", format: "cjs", target: "node20", logLevel: "warning" };
    // A CommonJS bundle of the same sources, so that `import` and `require` share one instance in
    // Node.
    buildSync({
      ...commonjs,
      entryPoints: ["pkg/entry/node.mjs"],
      outfile: `${paths.wasm}/node.cjs`,
    });
    // The other modules are copied for `require`. All of them find that one instance as "#entry",
    // and the app's own React: a second one has no hooks.
    const modules = requirable();
    const { peerDependencies: peers } = JSON.parse(readFileSync(`${root}/package.json`, "utf8"));
    buildSync({
      ...commonjs,
      entryPoints: modules.map(({ name, module }) => ({ in: module, out: name })),
      outdir: paths.wasm,
      outExtension: { ".js": ".cjs" },
      external: ["#entry", ...Object.keys(peers)],
    });
    // TypeScript infers the kind of a module from its name; the types are the same.
    for (const { name, types } of modules) copyFileSync(`${root}/${types}`, `${paths.wasm}/${name}.d.cts`);
    size("npm wasm", wasm, NPM_CEILING);
    build("browser");
    return compiled("pioneer_session.d");
  },
};

function build(name) {
  writeStamp(stamps[name], builders[name]());
}

const wanted = process.argv.slice(2);
for (const name of wanted.length > 0 ? wanted : ["worker", "simulator", "npm"]) build(name);
