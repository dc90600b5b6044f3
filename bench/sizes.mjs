// The size that each package adds to node_modules, dependencies included, and the sizes of our
// shipped files.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { gzipSync } from "node:zlib";
import { environment, paths, root } from "../scripts/paths.mjs";
import { PEERS } from "./contenders.mjs";

function bytesIn(folder) {
  let sum = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name === "node_modules") continue; // counted as a separate package
    if (entry.isDirectory()) sum += bytesIn(`${folder}/${entry.name}`);
    else sum += statSync(`${folder}/${entry.name}`).size;
  }
  return sum;
}

/** The folder in which Node finds the package, from this folder upwards. */
function find(name, from) {
  for (let folder = from; ; folder = dirname(folder)) {
    const path = `${folder}/node_modules/${name}`;
    if (existsSync(`${path}/package.json`)) return realpathSync(path);
    if (folder === root || folder === dirname(folder)) return undefined;
  }
}

function installed(name) {
  const found = new Set();
  const visit = (path) => {
    if (path === undefined || found.has(path)) return; // an optional package for another platform
    found.add(path);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync(`${path}/package.json`, "utf8"));
    for (const dependency of Object.keys({ ...dependencies, ...optionalDependencies })) visit(find(dependency, path));
  };
  visit(find(name, root));
  return { packages: found.size, bytes: [...found].reduce((sum, path) => sum + bytesIn(path), 0) };
}

const gzipped = (...files) => files.reduce((sum, file) => sum + gzipSync(readFileSync(file), { level: 9 }).length, 0);

export function sizes() {
  const packed = execFileSync("npm", ["pack", "--json", "--dry-run", "--ignore-scripts"], { cwd: root, encoding: "utf8", env: environment, stdio: ["ignore", "pipe", "ignore"] });
  const [{ size, unpackedSize }] = JSON.parse(packed);
  return {
    installed: { "pioneer-session": { packages: 1, bytes: unpackedSize }, ...Object.fromEntries(PEERS.map((name) => [name, installed(name)])) },
    tarballBytes: size,
    workerGzippedBytes: gzipped(`${paths.worker}/index.js`, `${paths.worker}/index_bg.wasm`),
    npmWasmGzippedBytes: gzipped(`${paths.wasm}/pioneer_session_bg.wasm`),
    // The entry for Node is one file that contains the wasm.
    nodeEntryBytes: statSync(`${paths.wasm}/node.cjs`).size,
  };
}

/** The exact versions of the compared packages. */
export const versions = (names) => Object.fromEntries(names.map((name) => [name, JSON.parse(readFileSync(`${paths.modules}/${name}/package.json`, "utf8")).version]));
