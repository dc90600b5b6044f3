// Where things are, and the environment in which the build tools find each other.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

export const paths = {
  toolchain: `${root}/rust-toolchain.toml`,
  toolPackage: `${root}/scripts/tools`,
  toolManifest: `${root}/scripts/tools/Cargo.toml`,
  toolLock: `${root}/scripts/tools/Cargo.lock`,
  tools: `${root}/.tools`,
  toolStamp: `${root}/.tools/.locked`,
  lock: `${root}/package-lock.json`,
  nodeChecksums: `${root}/scripts/node.json`,
  modules: `${root}/node_modules`,
  worker: `${root}/build`,
  simulator: `${root}/target/simulator`,
  verdict: `${root}/target/verdict`,
  wasm: `${root}/pkg/wasm`,
  requirements: `${root}/tests/differential/requirements.txt`,
  venv: `${root}/target/differential/venv`,
  python: `${root}/target/differential/venv/bin/python`,
  differentialRust: `${root}/target/differential/rust`,
};

/** Every builder would rather download its own; these are the pinned ones. */
export const environment = {
  ...process.env,
  PATH: `${paths.modules}/.bin:${paths.tools}/bin:${process.env.PATH}`,
  WASM_BINDGEN_BIN: `${paths.tools}/bin/wasm-bindgen`,
  WASM_OPT_BIN: `${paths.modules}/.bin/wasm-opt`,
  ESBUILD_BIN: `${paths.modules}/.bin/esbuild`,
  WRANGLER_SEND_METRICS: "false",
};

/** A Chromium on this machine, or undefined. */
export function chromium() {
  const candidates = [
    process.env.CHROMIUM,
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
  ];
  return candidates.find((path) => path && existsSync(path));
}
