// Tries every fault at every call, kills the Worker at every wait, and runs it under load for
// minutes with a tenth of all calls broken. FAULTS_SECONDS, FAULTS_USERS and FAULTS_SEED configure
// the run under load.

import { spawnSync } from "node:child_process";
import { environment, root } from "../../scripts/paths.mjs";

const tests = ["tests/faults/faults.test.mjs", "tests/faults/kills.mjs", "tests/faults/under-load.mjs"];
const { status } = spawnSync(process.execPath, ["--test", "--test-reporter=spec", "--test-concurrency=1", ...tests], {
  cwd: root,
  stdio: "inherit",
  env: { ...environment, FAULTS: "all" },
});
process.exit(status ?? 1);
