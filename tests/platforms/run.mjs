// `npm run platforms` installs the runtimes of tests/platforms/package-lock.json below target/,
// runs the conformance checks on every platform, and writes docs/platforms.md. With words as
// arguments, it runs only the platforms that contain them, and writes nothing.

import { installRuntimes, platforms, preparePackage, startIssuers } from "./platforms.mjs";
import { writePage } from "./page.mjs";

installRuntimes();
preparePackage();
const issuers = await startIssuers();
const words = process.argv.slice(2).map((word) => word.toLowerCase());
const wanted = [];
let failures = 0;
for (const platform of platforms) {
  const { version } = platform;
  if (!words.every((word) => `${platform.name} ${version} ${platform.how}`.toLowerCase().includes(word))) continue;
  const started = Date.now();
  const results = await platform.run(issuers).catch((error) => ({ run: error.stack }));
  const failed = Object.entries(results).filter(([, result]) => result !== "passed");
  failures += failed.length;
  console.log(`[platforms] ${failed.length === 0 ? "passed" : "FAILED"}: ${platform.name} ${version}, ${platform.how} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  for (const [name, reason] of failed) console.log(`  ${name}: ${reason}`);
  wanted.push({ ...platform, results });
}
await issuers.close();
if (words.length === 0) writePage(wanted);
console.log(`[platforms] ${wanted.length} platforms, ${failures} checks failed.`);
process.exitCode = failures > 0 || wanted.length === 0 ? 1 : 0;
