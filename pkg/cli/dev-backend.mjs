// The page and the backend that `dev` serves beside the Worker: those of the demo, or the backend
// of the project.

/** @import { Processes } from "./dev-processes.mjs" */

/** @typedef {{ port: number, issuer: string, audience: string }} Place */

import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/**
 * Puts the demo page and the browser module, where its import map looks for it, into one folder.
 *
 * @param {string} from the package
 * @param {string} state
 */
export function demoAssets(from, state) {
  const assets = join(state, "assets");
  rmSync(assets, { recursive: true, force: true });
  cpSync(`${from}/demo`, assets, { recursive: true, filter: (path) => !path.endsWith("backend.mjs") });
  mkdirSync(join(assets, "pioneer-session"));
  copyFileSync(`${from}/pkg/wasm/browser.mjs`, join(assets, "pioneer-session/browser.mjs"));
  return assets;
}

/**
 * Starts the demo's backend in this process.
 *
 * @param {string} from the package
 * @param {Place & { origin: string }} place
 * @returns {Promise<{ close(): Promise<void> }>}
 */
export async function demoBackend(from, place) {
  const { serve } = await import(pathToFileURL(`${from}/demo/backend.mjs`).href);
  return serve(place);
}

/**
 * Starts the project's backend, if its package.json has a script of that name.
 *
 * @param {Processes} processes
 * @param {string} folder
 * @param {Place} place
 */
export function projectBackend(processes, folder, { port, issuer, audience }) {
  const manifest = join(folder, "package.json");
  if (!existsSync(manifest) || !JSON.parse(readFileSync(manifest, "utf8")).scripts?.backend) return undefined;
  const env = { ...process.env, PORT: String(port), SESSION_ISSUER: issuer, SESSION_AUDIENCE: audience };
  processes.start("The backend", ["npm"], ["run", "--silent", "backend"], { cwd: folder, env, shell: process.platform === "win32" });
  return { close: async () => {} }; // it stops with the other processes
}
