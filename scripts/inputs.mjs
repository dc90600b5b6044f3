// Which files a build has read, and whether one of them has changed since. cargo and esbuild know
// that themselves, so nothing here lists folders or extensions.

import { readFileSync, statSync, writeFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { root } from "./paths.mjs";

/** Files that change every build although no compiler reports them. */
const RECIPE = ["Cargo.toml", "Cargo.lock", "package-lock.json", "rust-toolchain.toml", "scripts/build.mjs", "scripts/tools/Cargo.lock"];

/** The files in cargo's dependency file: `output: input input …`, with a backslash before a space in a name. */
export function cargoInputs(file) {
  const [, list] = readFileSync(file, "utf8").split(/:\s/, 2);
  return list.split("\n", 1)[0].split(/(?<!\\) /).filter(Boolean).map((name) => name.replaceAll("\\ ", " "));
}

/** With these options, esbuild reads nothing outside the repository: it would take options from a
 * `tsconfig.json` in any folder above. */
export const bundling = { absWorkingDir: root, tsconfigRaw: {} };

/** The files in esbuild's metafile, whose paths are relative to the root. */
export const esbuildInputs = ({ inputs }) => Object.keys(inputs);

/** Says that a build has succeeded, with these inputs. Files that the build has made are none. */
export function writeStamp(stamp, inputs) {
  const names = [...RECIPE, ...inputs].map((name) => relative(root, resolve(root, name)));
  const sources = names.filter((name) => !/^(target|node_modules)\//.test(name));
  writeFileSync(stamp, `${JSON.stringify([...new Set(sources)].sort(), null, 1)}\n`);
}

/** Whether there is no such build, or an input is newer than it. A missing input counts as changed. */
export function isStale(stamp) {
  try {
    const built = statSync(stamp).mtimeMs;
    return JSON.parse(readFileSync(stamp, "utf8")).some((name) => statSync(resolve(root, name)).mtimeMs > built);
  } catch {
    return true;
  }
}
