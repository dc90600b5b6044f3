// Finds wrangler for `dev`, and reads the few parts of a configuration that it needs.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { Problem } from "./problem.mjs";

/** The versions that this package is tested with, for a folder without wrangler. */
export const WRANGLER = "wrangler@^4.164.0";
const NAMES = ["wrangler.jsonc", "wrangler.json", "wrangler.toml"];

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
  console.log("wrangler, Cloudflare's tool, is not installed in this folder. Downloading it into npm's cache (about 200 MB, once) …");
  try {
    const command = process.platform === "win32" ? "where wrangler" : "command -v wrangler";
    const found = execFileSync("npm", ["exec", "--yes", `--package=${WRANGLER}`, "-c", command], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], shell: process.platform === "win32" });
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
    throw new Problem("wrangler is not installed in this folder. Install what package.json names: npm install");
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
