// The folder of a new project: it must be new or nearly empty, and a failure removes everything
// that was put into it.

import { existsSync, lstatSync, mkdirSync, readdirSync, realpathSync, rmSync, statSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { Misuse, Problem } from "./problem.mjs";

const MAX_SEGMENT_BYTES = 255; // of Linux, macOS and Windows alike
const SEGMENT = /^[\p{L}\p{N}_.@+][\p{L}\p{N}_.@+ -]*$/u;
/** What a new repository has before its first commit. */
const MAY_BE_THERE = /^(\.git|readme(\.\w+)?|licen[cs]e(-\w+)?(\.\w+)?|\.ds_store)$/i;

/**
 * The path of the folder, if a project can be put there. Writes nothing.
 *
 * @param {string} folder as the user wrote it
 */
export function usableFolder(folder) {
  const target = resolve(folder);
  const inside = relative(process.cwd(), target);
  const segments = inside.split(sep).filter(Boolean);
  if (segments[0] === "..") throw new Misuse("The folder must be in the current one. Change to its parent, and run init there.");
  const odd = segments.some((segment) => !SEGMENT.test(segment) || Buffer.byteLength(segment) > MAX_SEGMENT_BYTES);
  if (odd) throw new Misuse(`The folder's name must have at most ${MAX_SEGMENT_BYTES} letters, digits, dots, hyphens and underscores, and must not begin with a hyphen.`);

  const parent = existing(dirname(target));
  if (!statSync(parent).isDirectory()) throw new Problem(`${parent} is a file, so there cannot be a folder in it. Choose another folder.`);
  const isOutside = relative(realpathSync(process.cwd()), realpathSync(parent)).split(sep)[0] === "..";
  if (isOutside && segments.length > 0) throw new Misuse("The folder leads out of the current one, through a link. Change to the real folder, and run init there.");
  if (segments.length > 0 && lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink()) {
    throw new Problem(`${folder} is a link. Run init in the folder to which it leads, or choose another name.`);
  }
  if (!existsSync(target)) return target;
  if (!statSync(target).isDirectory()) throw new Problem(`${folder} is a file. Choose another name.`);
  const names = readdirSync(target).sort();
  if (names.includes("package.json")) {
    throw new Problem("This folder has a package.json, so it has an app already. To check sessions in that app, run: npx pioneer-session add");
  }
  const other = names.find((name) => !MAY_BE_THERE.test(name));
  if (other !== undefined) throw new Problem(`The folder is not empty: it has ${JSON.stringify(other)}. Choose a new folder: npx pioneer-session init my-app`);
  return target;
}

/**
 * The path, or its first parent that exists.
 *
 * @param {string} path
 * @returns {string}
 */
const existing = (path) => (existsSync(path) ? path : existing(dirname(path)));

/**
 * Makes the folder if it is missing. Returns a function that removes everything that was not there
 * before.
 *
 * @param {string} target
 */
export function open(target) {
  const firstMade = mkdirSync(target, { recursive: true });
  const before = new Set(readdirSync(target));
  return () => {
    if (firstMade !== undefined) return rmSync(firstMade, { recursive: true, force: true });
    for (const name of readdirSync(target)) {
      if (!before.has(name)) rmSync(join(target, name), { recursive: true, force: true });
    }
  };
}
