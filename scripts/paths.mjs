// The paths of the project, and the environment in which the build tools find each other.

import { existsSync, readdirSync } from "node:fs";
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
  simulator: `${root}/build/simulator`,
  verdict: `${root}/target/verdict`,
  wasm: `${root}/pkg/wasm`,
  browser: `${root}/pkg/wasm/browser.mjs`,
  requirements: `${root}/tests/differential/requirements.txt`,
  venv: `${root}/target/differential/venv`,
  python: `${root}/target/differential/venv/bin/python`,
  differentialRust: `${root}/target/differential/rust`,
  languagesRust: `${root}/target/languages/rust`,
};

/** Where scripts/build.mjs notes, for each part, that it was built and what from. */
export const stamps = {
  worker: `${paths.worker}/.built`,
  simulator: `${paths.simulator}/.built`,
  verdict: `${paths.verdict}/.built`,
  npm: `${paths.wasm}/.built`,
  browser: `${paths.wasm}/.built-browser`,
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

const exists = (path) => path && existsSync(path);

/** The paths of files with this name in the subfolders of `folder` that match `pattern`. */
function inSubfolders(folder, pattern, name) {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.filter((candidate) => pattern.test(candidate)).map((candidate) => `${folder}/${candidate}/${name}`);
}

/** WebKitGTK's browser for tests. Debian has a folder for each processor, Fedora one for all. */
function miniBrowser() {
  const version = /^webkit2?gtk-[\d.]+$/;
  const folders = inSubfolders("/usr/lib", /-linux-gnu$/, "").map((folder) => folder.replace(/\/$/, ""));
  return ["/usr/libexec", ...folders].flatMap((folder) => inSubfolders(folder, version, "MiniBrowser")).find(exists);
}

/**
 * The browsers for the tests. `find` returns the paths of the programs on this machine, or
 * undefined if one is missing. `packages` are the names of Debian's packages.
 */
export const browsers = {
  chromium: {
    name: "Chromium",
    packages: ["chromium"],
    remedy: "Install Chromium or Chrome, or set CHROMIUM to its path.",
    find: () =>
      [
        process.env.CHROMIUM,
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
      ].find(exists),
  },
  firefox: {
    name: "Firefox",
    packages: ["firefox-esr"],
    remedy: "Install Firefox, or set FIREFOX to its path.",
    find: () =>
      [
        process.env.FIREFOX,
        "/usr/bin/firefox-esr",
        "/usr/bin/firefox",
        "/Applications/Firefox.app/Contents/MacOS/firefox",
      ].find(exists),
  },
  webkit: {
    name: "WebKit",
    packages: ["webkit2gtk-driver", "xvfb"],
    remedy: "It exists only for Linux. Run the tests in a Debian container, or leave this engine to continuous integration.",
    find() {
      const programs = { driver: "/usr/bin/WebKitWebDriver", browser: miniBrowser(), screen: "/usr/bin/Xvfb" };
      return Object.values(programs).every(exists) ? programs : undefined;
    },
  },
};
