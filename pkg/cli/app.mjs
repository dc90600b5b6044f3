// The application in a folder, as `add` finds it. Nothing here writes.

/** @import { Dialect, Framework } from "./frameworks.mjs" */

import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { FRAMEWORKS } from "./frameworks.mjs";
import { Misuse, Problem } from "./problem.mjs";

/** The lock file by which a package manager is known. */
const LOCKS = { "pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lock": "bun", "bun.lockb": "bun", "package-lock.json": "npm" };
const MAX_NAMED = 10;

/** @typedef {Record<string, any>} Manifest */

/**
 * The package.json of a folder.
 *
 * @param {string} folder
 * @returns {Manifest}
 */
export function manifestOf(folder) {
  const path = join(folder, "package.json");
  if (!existsSync(path)) throw new Problem("There is no package.json here. Change to the folder of your app. To make a new app, run: npx pioneer-session init my-app");
  const manifest = parse(path);
  if (!isObject(manifest)) throw new Problem("package.json is not a JSON object. Fix it, then run add again.");
  return manifest;
}

/** @param {string} path */
function parse(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8").replace(/^\uFEFF/, ""));
  } catch {
    return undefined;
  }
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/**
 * Refuses the root of a monorepo, and names its packages: the app is one of them.
 *
 * @param {string} folder
 * @param {Manifest} manifest
 */
export function mustBeOneApp(folder, { workspaces }) {
  const hasPnpm = existsSync(join(folder, "pnpm-workspace.yaml")) && /^packages:/m.test(readFileSync(join(folder, "pnpm-workspace.yaml"), "utf8"));
  if (workspaces === undefined && !hasPnpm) return;
  const patterns = hasPnpm ? pnpmPatterns(folder) : Array.isArray(workspaces) ? workspaces : workspaces?.packages ?? [];
  const packages = [patterns].flat().filter((pattern) => typeof pattern === "string").flatMap((pattern) => matching(folder, pattern));
  const some = packages.slice(0, MAX_NAMED).join(", ");
  throw new Problem(`This is the root of several packages${some ? `: ${some}${packages.length > MAX_NAMED ? ", …" : ""}` : ""}. Change to the folder of the one that is the app, and run add there.`);
}

/** @param {string} folder */
function pnpmPatterns(folder) {
  const text = readFileSync(join(folder, "pnpm-workspace.yaml"), "utf8");
  return [...text.matchAll(/^\s*-\s*["']?([^"'#\r\n]+?)["']?\s*$/gm)].map(([, pattern]) => pattern);
}

/**
 * The folders of packages that a pattern such as packages/* names.
 *
 * @param {string} folder
 * @param {string} pattern
 */
function matching(folder, pattern) {
  const [, parent = "", star] = /^(?:\.\/)?(.*?)\/?(\*{1,2})?\/?$/.exec(pattern) ?? [];
  const candidates = star === undefined ? [parent] : isFolder(join(folder, parent)) ? readdirSync(join(folder, parent)).sort().map((name) => (parent ? `${parent}/${name}` : name)) : [];
  return candidates.filter((path) => existsSync(join(folder, path, "package.json")));
}

/** @param {string} path */
const isFolder = (path) => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

/**
 * The framework of the app: the one that the user named, or the only one in its dependencies.
 *
 * @param {string} folder
 * @param {Manifest} manifest
 * @param {string | undefined} named
 * @returns {Framework}
 */
export function frameworkOf(folder, manifest, named) {
  const names = FRAMEWORKS.map(({ name }) => name).join(", ");
  const dependencies = { ...(isObject(manifest.devDependencies) ? manifest.devDependencies : {}), ...(isObject(manifest.dependencies) ? manifest.dependencies : {}) };
  const found = FRAMEWORKS.filter(({ dependency }) => Object.hasOwn(dependencies, dependency));
  const chosen = named === undefined ? only(found, names) : FRAMEWORKS.find(({ name }) => name === named);
  if (!chosen) throw new Misuse(`--framework must be one of ${names}.`);
  if (!found.includes(chosen)) throw new Problem(`package.json does not depend on ${chosen.dependency}. Install ${chosen.title}, or name another --framework.`);
  const major = majorOf(folder, chosen.dependency, dependencies[chosen.dependency]);
  if (major < chosen.oldest) throw new Problem(`${chosen.title} ${major} is too old: ${chosen.title} ${chosen.oldest} or later is needed. Update it first, or verify sessions yourself: https://pioneer-session.github.io/pioneer-session/verify`);
  return chosen;
}

/**
 * @param {Framework[]} found
 * @param {string} names
 */
function only(found, names) {
  const [first, ...others] = found;
  if (!first) throw new Problem(`package.json depends on none of the frameworks that add knows (${names}). For any other, see https://pioneer-session.github.io/pioneer-session/verify`);
  // NestJS runs on Express or Fastify, so these beside it are no second framework.
  if (others.length === 0 || first.name === "nest") return first;
  throw new Misuse(`package.json depends on ${found.map(({ title }) => title).join(" and ")}. Name the one with your API: ${found.map(({ name }) => `--framework ${name}`).join(" or ")}`);
}

/**
 * The major version that is installed, or else the lowest that package.json allows. Infinity if
 * neither says one.
 *
 * @param {string} folder
 * @param {string} dependency
 * @param {unknown} range
 */
function majorOf(folder, dependency, range) {
  const installed = parse(join(folder, "node_modules", dependency, "package.json"))?.version;
  const [, major] = /^(?:npm:.*@)?[\^~>=v\s]*(\d+)/.exec(String(installed ?? range)) ?? [];
  return major === undefined ? Infinity : Number(major);
}

/**
 * The language and the kind of modules of the app.
 *
 * @param {string} folder
 * @param {Manifest} manifest
 * @param {Framework} framework
 * @returns {Dialect}
 */
export function dialectOf(folder, { type }, { name }) {
  // TypeScript without a tsconfig.json compiles nothing, so the app is JavaScript.
  if (existsSync(join(folder, "tsconfig.json"))) return { ending: "ts", isCommonJs: false };
  // Next.js compiles modules itself, whatever the type of the package.
  return { ending: "js", isCommonJs: type !== "module" && name !== "next" };
}

/**
 * The package manager of a folder. In a monorepo, its lock file is in a folder above, up to the
 * root of the repository.
 *
 * @param {string} folder
 * @returns {string | undefined}
 */
export function managerOf(folder) {
  const found = Object.entries(LOCKS).find(([lock]) => existsSync(join(folder, lock)))?.[1];
  const parent = dirname(folder);
  if (found || parent === folder || existsSync(join(folder, ".git"))) return found;
  return managerOf(parent);
}

/** @param {string} folder */
export const sourceFolder = (folder) => (isFolder(join(folder, "src")) ? "src/" : "");
