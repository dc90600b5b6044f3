// The project's own wrangler: it reads the configuration that it would deploy, and reaches the
// database.

/** @typedef {Record<string, unknown>} Vars */

/** @typedef {{ binding: string, database_id?: string, database_name?: string, migrations_dir?: string }} Database */

/**
 * The parts of wrangler's configuration that `doctor` checks.
 *
 * @typedef {object} Configuration
 * @property {string} configPath
 * @property {string} [name]
 * @property {string} [account_id]
 * @property {string[]} definedEnvironments
 * @property {Vars} vars
 * @property {Database[]} [d1_databases]
 * @property {{ name: string }[]} [ratelimits]
 * @property {{ bindings?: { name: string }[] }} [unsafe]
 * @property {{ crons?: string[] }} [triggers]
 */

import { spawn, spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Problem } from "./problem.mjs";

/**
 * Loads something of wrangler's from the folder in which the command runs.
 *
 * @template T
 * @param {(require: NodeJS.Require) => T} read
 */
function load(read) {
  try {
    return read(createRequire(join(process.cwd(), "package.json")));
  } catch {
    throw new Problem("wrangler is not installed in this folder. Install it: npm install --save-dev wrangler");
  }
}

/**
 * The configuration that wrangler would deploy.
 *
 * @param {string | undefined} config
 * @param {string | undefined} env
 * @returns {Configuration}
 */
export function readConfiguration(config, env) {
  const wrangler = load((require) => require("wrangler"));
  /** @type {(environment?: string) => Configuration} */
  const read = (environment) => {
    try {
      return wrangler.unstable_readConfig({ config, env: environment }, { hideWarnings: true });
    } catch {
      // The reason may quote the file, so it is not repeated.
      throw new Problem("wrangler cannot read the configuration. To see why, run: npx wrangler deploy --dry-run");
    }
  };
  const configuration = read();
  if (!configuration.configPath) {
    throw new Problem("There is no wrangler.toml, wrangler.json or wrangler.jsonc here. Go to the Worker's folder, or name the file with --config.");
  }
  if (env === undefined) return configuration;
  // wrangler itself would use the top level instead.
  if (!configuration.definedEnvironments.includes(env)) {
    throw new Problem("The configuration has no environment with the name in --env. Check its spelling.");
  }
  return read(env);
}

/** The path of wrangler's program. */
function program() {
  return load((require) => {
    const manifest = require.resolve("wrangler/package.json");
    return join(dirname(manifest), require(manifest).bin.wrangler);
  });
}

/**
 * Runs wrangler with its output captured, so that the caller decides what a person sees.
 *
 * @param {string[]} args
 * @param {{ input?: string, env?: Record<string, string> }} [options]
 * @returns {Promise<{ status: number | null, stdout: string, stderr: string }>}
 */
export function startWrangler(args, { input = "", env = {} } = {}) {
  const child = spawn(process.execPath, [program(), ...args], { env: { ...process.env, CI: "true", ...env } });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text) => (output.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (output.stderr += text));
  child.stdin.on("error", () => {}); // a command that refuses its arguments does not read
  child.stdin.end(input);
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", (status) => done({ status, ...output }));
  });
}

/**
 * Runs wrangler, and returns its exit code and its standard output.
 *
 * @param {string[]} args
 */
export function runWrangler(args) {
  return spawnSync(process.execPath, [program(), ...args], { encoding: "utf8", stdio: ["inherit", "pipe", "inherit"], env: { ...process.env, CI: "true" } });
}
