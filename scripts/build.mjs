// Builds its arguments: `worker` into build/, `simulator` into target/simulator/, `npm` into
// pkg/wasm/, and `verdict`, a Worker for tests, into target/verdict/. Without arguments, builds the
// Worker and the npm package. Prints sizes and fails above a ceiling.

import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import { buildSync } from "esbuild";
import { environment, paths, root } from "./paths.mjs";

// All target engines support these features: Node 20, workerd, and recent browsers. The code is a
// tenth faster, and smaller.
const TARGET_FEATURES = "-Ctarget-feature=+simd128,+bulk-memory";

/** The output of rustc. It runs in the root, where rustup finds rust-toolchain.toml. */
const rustc = (...args) => execFileSync("rustc", args, { cwd: root, encoding: "utf8", env: environment }).trim();

/** Maps paths of this machine to fixed names. A panic message names its source file, so without
 * this map two machines would build different bytes from one source. `npm run reproduce`
 * compares two builds. If several entries match, rustc applies the last one. */
const REMAPPED = {
  [root]: "/pioneer-session",
  // After the root, because it can be a folder in it.
  [process.env.CARGO_HOME || `${homedir()}/.cargo`]: "/cargo",
  // If the component rust-src is installed, rustc names its files instead of those that std was
  // built from.
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

/** The modules of pkg/ that also work with `require`. Tests of pages require `browser`. */
const REQUIRABLE = ["browser", "express", "express-augment", "fastify", "fastify-augment", "fetch", "hono", "next"];

// The npm package is optimised for speed, which even makes it smaller. The Worker would grow by 28
// KB.
const FAST = { CARGO_PROFILE_RELEASE_OPT_LEVEL: "3" };

const WORKER_CEILING = 290; // KB, nine of them the OpenAPI document; far below Cloudflare's 3 MB, because the start-up time grows with the size
const NPM_CEILING = 67; // KB; the size that a browser would load

// Listed one by one, because with "all features" wasm-opt would use some that Node 20 lacks. The
// glue of the `worker` crate catches exceptions, which workerd supports.
const NODE_FEATURES = ["simd", "bulk-memory", "multivalue", "mutable-globals", "nontrapping-float-to-int", "reference-types", "sign-ext"];
const WORKERD_FEATURES = [...NODE_FEATURES, "exception-handling"];

function optimise(wasm, features) {
  run("wasm-opt", ["-Os", ...features.map((feature) => `--enable-${feature}`), wasm, "-o", wasm]);
}

const TARGET = "wasm32-unknown-unknown";

/** Compiles, and writes the wasm and its JavaScript bindings, index_bg.wasm and index.js, to
 * `out`. */
function glue(file, out, ...args) {
  run("cargo", ["build", "--release", "--target", TARGET, ...args]);
  run("wasm-bindgen", ["--target", "web", "--no-typescript", "--experimental-reset-state-function", "--out-name", "index", "--out-dir", out, `target/${TARGET}/release/${file}`]);
}

/** Bundles the bindings in `made` with the entry, which imports them as "worker/glue", and
 * copies the wasm next to the bundle. */
function bundle(feature, made, entry, out) {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  copyFileSync(`${made}/index_bg.wasm`, `${out}/index_bg.wasm`);
  optimise(`${out}/index_bg.wasm`, WORKERD_FEATURES);
  buildSync({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: `${out}/index.js`,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    external: ["./index_bg.wasm"],
    alias: { "worker/glue": `${made}/index.js`, "worker/host": `${RUNTIME}/host.mjs`, "worker/wire": `${RUNTIME}/wire.mjs` },
    logLevel: "warning",
  });
}

function worker(feature, entry, out) {
  const made = `${root}/target/glue/${feature}`;
  glue("pioneer_session.wasm", made, "--lib", "--features", feature);
  bundle(made, entry, out);
}

const builders = {
  worker() {
    worker("worker", `${RUNTIME}/entry.mjs`, paths.worker);
    size("Worker", `${paths.worker}/index_bg.wasm`, WORKER_CEILING);
  },
  simulator() {
    worker("simulator", `${root}/src/simulator/entry.mjs`, paths.simulator);
  },
  verdict() {
    const made = `${root}/target/glue/verdict`;
    glue("examples/verdict.wasm", made, "--example", "verdict", "--features", "worker");
    bundle(made, `${root}/tests/vectors/entry.mjs`, paths.verdict);
  },
  npm() {
    rmSync(paths.wasm, { recursive: true, force: true });
    run("wasm-pack", ["build", "--release", "--target", "bundler", "--no-pack", "--no-typescript", "--out-dir", "pkg/wasm", "--mode", "no-install", "--features", "npm"], FAST);
    // With this file, npm would not pack the folder.
    rmSync(`${paths.wasm}/.gitignore`, { force: true });
    const wasm = `${paths.wasm}/pioneer_session_bg.wasm`;
    optimise(wasm, NODE_FEATURES);
    // This file instantiates the wasm at its import; pkg/instance.mjs does so at the first use.
    rmSync(`${paths.wasm}/pioneer_session.js`);
    // The same wasm for platforms that compile bytes.
    writeFileSync(`${paths.wasm}/bytes.mjs`, `export default "${readFileSync(wasm, "base64")}";\n`);
    // In comments, esbuild names each file by its path from the working folder.
    const commonjs = { absWorkingDir: root, bundle: true, platform: "node", format: "cjs", target: "node20", logLevel: "warning" };
    // Node loads one instance for both `import` and `require`: a CommonJS bundle of the same
    // sources.
    buildSync({
      ...commonjs,
      entryPoints: ["pkg/entry/node.mjs"],
      outfile: `${paths.wasm}/node.cjs`,
    });
    // The other modules only need copies for `require`: they find that instance by the name of the
    // package.
    buildSync({
      ...commonjs,
      entryPoints: modules.map(({ name, module }) => ({ in: module, out: name })),
      outdir: paths.wasm,
      outExtension: { ".js": ".cjs" },
      external: ["#entry"],
    });
    // TypeScript reads the kind of a module from its file name; the types are the same.
    for (const name of ["index", ...REQUIRABLE]) copyFileSync(`${root}/pkg/${name}.d.ts`, `${paths.wasm}/${name}.d.cts`);
    size("npm wasm", wasm, NPM_CEILING);
  },
};

const wanted = process.argv.slice(2);
for (const name of wanted.length > 0 ? wanted : ["worker", "npm"]) {
  builders[name]();
  // Marks a complete build; scripts/start.mjs compares its time.
  writeFileSync(`${{ worker: paths.worker, simulator: paths.simulator, verdict: paths.verdict, npm: paths.wasm }[name]}/.built`, "");
}
