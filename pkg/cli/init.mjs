// `init`: makes a project with the Worker, a page, tests, and a backend if one is wanted.

/** @import { Flags } from "./choices.mjs" */

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { choose } from "./choices.mjs";
import { writeSecret } from "./files.mjs";
import { newKeys } from "./keys.mjs";
import { open, usableFolder } from "./new-folder.mjs";
import { install } from "./package-manager.mjs";
import { dependency, tarball } from "./package-source.mjs";
import { Misuse, Problem } from "./problem.mjs";
import { dependencyNames, projectFiles } from "./template.mjs";
import { NODE_OF_WRANGLER, isNewEnough } from "./wrangler-program.mjs";

/** A name that npm, Cloudflare's workers.dev and D1 all accept: a label of a domain. */
const NAME = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const SIGNALS = /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"]);

/**
 * @typedef {object} OwnOptions
 * @property {string} [name]
 * @property {boolean} [no-install]
 * @property {boolean} [no-git]
 * @property {boolean} [offline]
 * @property {boolean} [dry-run]
 */

/** @typedef {Flags & OwnOptions} Options */

/**
 * `init [FOLDER]`
 *
 * @param {Options} options
 * @param {string} [folder]
 */
export async function init(options, folder = ".") {
  const target = usableFolder(folder);
  const name = projectName(options.name ?? basename(target), options.name !== undefined);
  mustRunWrangler(options);
  const choices = await choose(options);
  const files = projectFiles({ name, choices, dependency: dependency() });
  keepReadme(target, files);
  const copied = tarball();
  const written = [...files.keys(), ".dev.vars", ...(copied === undefined ? [] : [basename(copied)])].sort();
  /** @type {(made: object) => void} */
  const report = (made) => options.json && console.log(JSON.stringify({ name, folder: target, choices, files: written, ...made }));
  if (options["dry-run"]) {
    if (!options.json) console.log(written.join("\n"));
    return report({ dryRun: true, installed: false });
  }
  await make(target, files, options);
  const next = nextSteps(target, !options["no-install"]);
  report({ dryRun: false, installed: !options["no-install"], next });
  if (!options.json) console.log(`\n${name} is ready. Next:\n\n${next.map((line) => `  ${line}`).join("\n")}\n\nThen open http://localhost:8787. README.md has the other commands.`);
}

/**
 * @param {string} name
 * @param {boolean} isNamed
 */
function projectName(name, isNamed) {
  const remedy = isNamed ? "Choose another --name." : "Pass a name for the project: --name my-app";
  if (!NAME.test(name)) {
    throw new Misuse(`The project's name must have 1 to 63 lower-case letters, digits and hyphens, begin with a letter, and not end with a hyphen, for npm and Cloudflare. ${remedy}`);
  }
  if (dependencyNames().includes(name)) throw new Misuse(`The project cannot have the name of a package that it uses, ${name}. ${remedy}`);
  return name;
}

/** @param {Options} options */
function mustRunWrangler(options) {
  if (options["no-install"] || options["dry-run"] || isNewEnough()) return;
  throw new Problem(`The project needs Node ${NODE_OF_WRANGLER.join(".")} or later, for wrangler, and this is Node ${process.versions.node}. Install a newer Node, or pass --no-install.`);
}

/**
 * A README that is there stays.
 *
 * @param {string} target
 * @param {Map<string, string>} files
 */
function keepReadme(target, files) {
  if (existsSync(target) && readdirSync(target).some((name) => /^readme(\.|$)/i.test(name))) files.delete("README.md");
}

/**
 * Makes the project, or nothing: a failure or a signal removes what was made.
 *
 * @param {string} target
 * @param {Map<string, string>} files
 * @param {Options} options
 */
async function make(target, files, options) {
  const stopped = new AbortController();
  const stop = (/** @type {string} */ signal) => stopped.abort(new Problem(`Stopped by ${signal}. Nothing was left behind.`));
  SIGNALS.forEach((signal) => process.on(signal, stop));
  /** @type {(() => void) | undefined} */
  let undo;
  try {
    undo = open(target);
    write(target, files);
    if (!options["no-install"]) {
      console.error("Installing the packages …");
      const isInstalled = await install("npm", { cwd: target, signal: stopped.signal, offline: options.offline });
      stopped.signal.throwIfAborted();
      if (!isInstalled) throw new Problem(`\`npm install\` failed, so nothing was left behind. Fix the error above, or pass --no-install.`);
    }
    if (!options["no-git"]) initialiseGit(target);
    await new Promise((done) => setImmediate(done)); // lets a signal in
    stopped.signal.throwIfAborted();
  } catch (error) {
    undo?.();
    const { code, path } = /** @type {NodeJS.ErrnoException} */ (error);
    if (error instanceof Problem || !code) throw error;
    throw new Problem(`The project could not be written (${code}${path ? `, ${relative(process.cwd(), path) || "."}` : ""}), so nothing was left behind. ${REMEDIES[code] ?? "Fix that, then run init again."}`);
  } finally {
    SIGNALS.forEach((signal) => process.off(signal, stop));
  }
}

/** @type {Record<string, string>} */
const REMEDIES = {
  EACCES: "Choose a folder in which you may write.",
  EPERM: "Choose a folder in which you may write.",
  EROFS: "Choose a folder in which you may write.",
  ENOSPC: "Free some space, then run init again.",
};

/**
 * @param {string} target
 * @param {Map<string, string>} files
 */
function write(target, files) {
  for (const [path, text] of files) {
    mkdirSync(dirname(join(target, path)), { recursive: true });
    writeFileSync(join(target, path), text, { flag: "wx" }); // never over a file that is there
  }
  const file = tarball();
  if (file !== undefined) copyFileSync(file, join(target, basename(file)));
  const secrets = join(target, ".dev.vars");
  writeSecret(secrets, "SESSION_KEYS", newKeys());
  writeSecret(secrets, "REFRESH_SECRET", randomBytes(32).toString("base64url"));
}

/**
 * A repository of its own, unless the folder is in one. Without git, none.
 *
 * @param {string} cwd
 */
function initialiseGit(cwd) {
  if (spawnSync("git", ["rev-parse", "--is-inside-work-tree"], { cwd, stdio: "ignore" }).status === 0) return;
  spawnSync("git", ["init", "--quiet"], { cwd, stdio: "ignore" });
}

/**
 * @param {string} target
 * @param {boolean} isInstalled
 */
function nextSteps(target, isInstalled) {
  const folder = relative(process.cwd(), target);
  return [
    ...(folder === "" ? [] : [`cd ${/^[\w./-]+$/.test(folder) ? folder : `"${folder}"`}`]),
    ...(isInstalled ? [] : ["npm install"]),
    "npm start",
  ];
}
