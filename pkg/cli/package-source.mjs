// The place from which this package was installed, so that a project gets the same one.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));

/** @param {string} path */
const readJson = (path) => JSON.parse(readFileSync(path, "utf8"));

// Loaded as a module, because Deno reads files only with a permission.
export const { name: NAME, version: VERSION } = createRequire(import.meta.url)("../../package.json");

/**
 * The tarball from which npm installed this package, or undefined if it came from a registry.
 *
 * @returns {string | undefined}
 */
export function tarball() {
  const project = resolve(PACKAGE, "../..");
  const lock = resolve(project, "node_modules/.package-lock.json");
  if (!existsSync(lock)) return undefined;
  const { resolved } = readJson(lock).packages?.[`node_modules/${NAME}`] ?? {};
  if (typeof resolved !== "string" || !/^file:.*\.tgz$/.test(resolved)) return undefined;
  // npm percent-encodes some characters of the path.
  const path = [resolved.slice(5), decoded(resolved.slice(5))].map((path) => resolve(project, path)).find(existsSync);
  return path;
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The dependency on this version, for a package.json. */
export const dependency = () => {
  const file = tarball();
  return file === undefined ? `^${VERSION}` : `file:${basename(file)}`;
};
