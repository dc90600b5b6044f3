// Runs the built Worker, in attack/instrumented.mjs, in a separate process with its database on
// disk. This process passes on the output of the Worker and of workerd unchanged.

import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { readFileSync } from "node:fs";
import { root } from "../../scripts/paths.mjs";
import { INSTRUMENTED } from "../attack/instrumented.mjs";

const { state, bindings } = JSON.parse(process.env.CANARY);
const worker = new Miniflare(convertV4MiniflareOptions({
  host: "127.0.0.1",
  modulesRoot: `${root}/build`,
  modules: [
    { type: "ESModule", path: `${root}/build/instrumented.mjs`, contents: INSTRUMENTED },
    { type: "ESModule", path: `${root}/build/index.js` },
    { type: "CompiledWasm", path: `${root}/build/index_bg.wasm` },
  ],
  compatibilityDate: readFileSync(`${root}/wrangler.toml`, "utf8").match(/compatibility_date = "(.+)"/)[1],
  d1Databases: { DB: "test" },
  ratelimits: { SIGN_IN_LIMIT: { namespace_id: "1", simple: { limit: 1000, period: 60 } } },
  resourcePersistencePath: state,
  bindings,
  unsafeTriggerHandlers: true,
  handleStructuredLogs: ({ level, message }) => console.log(`${level} ${message}`),
}));
const url = (await worker.ready).origin;
await fetch(`${url}/session`); // sets the development database up
const database = await worker.getD1Database("DB");
process.on("message", async ({ sql, close }) => {
  if (close) {
    await worker.dispose();
    process.exit(0);
  }
  await database.prepare(sql).run();
  process.send({});
});
process.send({ url });
