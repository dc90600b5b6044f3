// Runs the tests of this folder with all languages. `npm run languages` sets up first.

import { spawnSync } from "node:child_process";
import { root } from "../../scripts/paths.mjs";

const { status } = spawnSync(process.execPath, ["--test", "--test-reporter=spec", "tests/languages/*.test.mjs"], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, LANGUAGES: "all" },
});
process.exit(status ?? 1);
