// The lowest accepted ratios: `npm run floors` fails if something has become a quarter slower than
// its peer in one run. Run it on a quiet machine before you finish a change. A busy machine proves
// nothing, so `npm test` does not run it. `npm run bench` measures the speeds.

import { execFileSync } from "node:child_process";
import { root } from "../scripts/paths.mjs";
import { busier, faster } from "./targets.mjs";

/** Three quarters of the ratios measured on a quiet machine. */
export const FLOORS = {
  node: { "fast-jwt": 2, "jose": 2.7, "node:crypto by hand": 1.9 },
  cache: { "fast-jwt, cache": 5 },
  worker: {
    "session check, no storage": 1.2,
    "session check of other tokens, no storage": 0.9,
    "sign-in, no storage": 0.65,
    "forged token refused": 1.1,
  },
};
const ATTEMPTS = 2; // another program can be busy during the first attempt

const part = (file, ...args) => JSON.parse(execFileSync(process.execPath, [`${root}/bench/${file}`, ...args], { encoding: "utf8", maxBuffer: 1 << 24, stdio: ["ignore", "pipe", "ignore"] }));

/** The ratios below their floor. */
function below() {
  const node = part("verify.mjs", "quick");
  const { scenarios } = part("worker.mjs", "--quick");
  const ratios = [
    ...Object.entries(FLOORS.node).map(([name, floor]) => [`verifying, against ${name}`, faster(node["pioneer-session"], node[name]), floor]),
    ...Object.entries(FLOORS.cache).map(([name, floor]) => [`a cache hit, against ${name}`, faster(node["pioneer-session, cache"], node[name]), floor]),
    ...Object.entries(FLOORS.worker).map(([name, floor]) => [`Worker: ${name}`, busier(scenarios[name]), floor]),
  ];
  for (const [name, ratio, floor] of ratios) console.log(`[floors] ${name}: ${ratio.toFixed(2)} times (at least ${floor})`);
  return ratios.filter(([, ratio, floor]) => ratio < floor);
}

if (process.argv[1] === import.meta.filename) {
  for (let attempt = 1; below().length > 0; attempt++) {
    if (attempt === ATTEMPTS) {
      console.error("[floors] Slower than before, twice. If a change is worth it, say so in its commit, and lower the floor.");
      process.exit(1);
    }
    console.log("[floors] Below a floor; measuring once more.");
  }
}
