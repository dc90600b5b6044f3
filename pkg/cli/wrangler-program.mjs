// Finds wrangler for `dev`, and reads the few parts of a configuration that it needs.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { Problem } from "./problem.mjs";

/** The versions that this package is tested with, for a folder without wrangler. */
export const WRANGLER = "wrangler@^4.164.0";
/** The oldest Node that wrangler runs on. */
export const NODE_OF_WRANGLER = [22, 12];
const NAMES = ["wrangler.jsonc", "wrangler.json", "wrangler.toml"];

/** Whether this Node runs wrangler. */
export function isNewEnough() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const [needed = 0, least = 0] = NODE_OF_WRANGLER;
  return major > needed || (major === needed && minor >= least);
}

/** The program and its first arguments. Downloads wrangler if this folder has none. */
export function findWrangler() {
  for (const from of [join(process.cwd(), "package.json"), import.meta.url]) {
    try {
      const require = createRequire(from);
      const manifest = require.resolve("wrangler/package.json");
      return [process.execPath, join(dirname(manifest), require(manifest).bin.wrangler)];
    } catch {
      // Not there; the next place may have it.
    }
  }
  const missing = new Problem("wrangler, Cloudflare's tool, is not installed in this folder. Install it: npm install --save-dev wrangler");
  // The search below is one of a POSIX shell.
  if (process.platform === "win32") throw missing;
  console.log("wrangler, Cloudflare's tool, is not installed in this folder. Downloading it into npm's cache (about 200 MB, once) …");
  try {
    const found = execFileSync("npm", ["exec", "--yes", `--package=${WRANGLER}`, "-c", "command -v wrangler"], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
    const program = found.trim().split("\n")[0] ?? "";
    const manifest = join(dirname(program), "../wrangler/package.json");
    return [process.execPath, join(dirname(manifest), createRequire(manifest)(manifest).bin.wrangler)];
  } catch {
    throw new Problem("wrangler could not be downloaded. Check the network, or install it here: npm install --save-dev wrangler");
  }
}

/**
 * The configuration in this folder, or the one that is named; undefined without one.
 *
 * @param {string | undefined} config
 */
export function findConfiguration(config) {
  const path = config ?? NAMES.find((name) => existsSync(name));
  if (path === undefined) return undefined;
  if (!existsSync(path)) throw new Problem("The file in --config does not exist. Check its path.");
  let read;
  try {
    read = createRequire(join(process.cwd(), "package.json"))("wrangler").unstable_readConfig;
  } catch {
    throw new Problem("wrangler is not installed in this folder. Install the packages of package.json: npm install");
  }
  let configuration;
  try {
    configuration = read({ config: path }, { hideWarnings: true });
  } catch {
    throw new Problem("wrangler cannot read the configuration. To see why, run: npx wrangler deploy --dry-run");
  }
  const audience = configuration.vars?.SESSION_AUDIENCE;
  return {
    path: resolve(path),
    audience: typeof audience === "string" && audience !== "" ? audience : undefined,
  };
}
