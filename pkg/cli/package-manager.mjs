// Runs the package manager of the user.

import { spawn } from "node:child_process";
import { Misuse } from "./problem.mjs";

export const MANAGERS = ["npm", "pnpm", "yarn", "bun"];

const QUIET = { npm: ["--no-audit", "--no-fund", "--loglevel=error"], pnpm: [], yarn: [], bun: [] };

/**
 * The package manager that the user named, or that runs this tool, or npm.
 *
 * @param {string | undefined} named
 */
export function manager(named) {
  if (named !== undefined && !MANAGERS.includes(named)) throw new Misuse(`--pm must be ${MANAGERS.slice(0, -1).join(", ")} or ${MANAGERS.at(-1)}.`);
  const running = process.env.npm_config_user_agent?.split("/")[0];
  return /** @type {keyof typeof QUIET} */ (named ?? MANAGERS.find((name) => name === running) ?? "npm");
}

/**
 * Installs the dependencies of a folder, or adds one. Its output goes to standard error. Resolves
 * with whether it succeeded; `signal` stops it.
 *
 * @param {keyof typeof QUIET} name
 * @param {{ cwd: string, signal?: AbortSignal, offline?: boolean, add?: string }} options
 * @returns {Promise<boolean>}
 */
export function install(name, { cwd, signal, offline, add }) {
  const verb = add === undefined || name === "npm" ? "install" : "add";
  const args = [verb, ...(add === undefined ? [] : [add]), ...QUIET[name], ...(offline ? ["--offline"] : [])];
  return new Promise((done) => {
    const isWindows = process.platform === "win32"; // there, a package manager is a script
    const child = spawn(name, args, { cwd, stdio: ["ignore", 2, 2], signal, shell: isWindows, env: environment() });
    // After an abort it still runs for a moment, and writes. Only its end is the end.
    child.on("error", () => child.pid === undefined && done(false));
    child.on("close", (code) => done(code === 0));
  });
}

/** Without the settings that npx adds, which belong to its own temporary package. */
function environment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_(package|lifecycle|config_local_prefix|command|execpath)/.test(name)));
}
