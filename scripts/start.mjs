// `npm start`: builds what has changed since the last start, then serves everything as
// `pioneer-session dev` does.

import { spawnSync } from "node:child_process";
import { isStale } from "./inputs.mjs";
import { environment, root, stamps } from "./paths.mjs";

const stale = ["worker", "simulator", "npm", "browser"].filter((name) => isStale(stamps[name]));
if (stale.length > 0) {
  console.log(`[start] Building: ${stale.join(", ")}`);
  const { status } = spawnSync(process.execPath, ["scripts/build.mjs", ...stale], { cwd: root, stdio: "inherit", env: environment });
  if (status !== 0) {
    console.error("[start] The build failed. Fix the error above, then run npm start again.");
    process.exit(1);
  }
}

process.chdir(root);
process.argv.splice(2, 0, "dev");
await import("../pkg/cli/index.mjs");
