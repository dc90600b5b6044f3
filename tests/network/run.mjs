// Runs a thousand sessions of the browser module over a network that loses every third answer, with
// and without thieves. `npm run network` writes docs/network.md, and fails if a session is lost
// that should not be.

import { writeFileSync } from "node:fs";
import { root } from "../../scripts/paths.mjs";
import { run, wrong } from "./network.mjs";

const [SESSIONS, SECONDS] = [Number(process.env.NETWORK_SESSIONS ?? 1000), Number(process.env.NETWORK_SECONDS ?? 240)];

const INTRODUCTION = `# Sessions on a bad network

\`npm run network\` writes this document. Each row runs sessions of the browser module, with three tabs each, for a few minutes
against the built Worker in workerd with D1. A session token expires after a minute, so every session is refreshed many times.
The network loses every third answer after the Worker has sent it, and delays the others by up to ten seconds. Half of the lost
answers leave the connection open. The device clocks are right, two hours ahead, two hours behind, or 90 seconds ahead. The
browsers are simulated in Node: each has a separate IndexedDB, Web Locks, BroadcastChannel and storage.

In the rows with thieves, a thief copies the storage of each browser right after the sign-in. The thief refreshes with the copy
on a good network, half a minute later and then every 12 to 20 seconds.

| mode | thieves | sessions | refreshes | sessions lost | refreshes by thieves | thieves detected | most refreshes of an owner before detection |
|---|---|---|---|---|---|---|---|
`;

const rows = [];
let failed = false;
for (const [mode, thief] of [["bound", false], ["keyless", false], ["bound", true], ["keyless", true]]) {
  const result = await run({ sessions: SESSIONS, seconds: SECONDS, mode, thief });
  console.log(JSON.stringify(result));
  const name = mode === "bound" ? "with a key" : "without a key";
  rows.push(`| ${name} | ${thief ? "yes" : "no"} | ${result.sessions} | ${result.refreshes} | ${result.ended} | ${result.stolenRefreshes} | ${thief ? result.detected : ""} | ${thief && mode === "keyless" ? result.ownerRefreshes : ""} |`);
  for (const fault of wrong(result)) {
    failed = true;
    console.error(`[network] ${name}${thief ? ", with thieves" : ""}: ${fault}`);
  }
}
writeFileSync(`${root}/docs/network.md`, `${INTRODUCTION}${rows.join("\n")}\n`);
process.exitCode = failed ? 1 : 0;
