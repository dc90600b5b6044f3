// The built Worker in a process of its own, with a database on disk, so that a test can kill both at any moment. Run by
// `startKillable`; what it is asked by message, it answers by message.

import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { root } from "../../scripts/paths.mjs";

const self = fileURLToPath(import.meta.url);

/** Starts it. `kill()` is SIGKILL to the process and the workerd that it began. */
export async function startKillable(options) {
  const child = fork(self, [JSON.stringify(options)], { detached: true, stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const [{ url }] = await Promise.race([
    once(child, "message"),
    once(child, "exit").then(([code]) => Promise.reject(new Error(`the Worker's process ended (${code})`))),
  ]);
  const ended = once(child, "exit");
  const ask = async (question) => {
    child.send(question);
    const [answer] = await once(child, "message");
    return answer;
  };
  return {
    url,
    async kill() {
      process.kill(-child.pid, "SIGKILL");
      await ended;
    },
    /** The rows of a statement; `null` when the database refuses it. */
    rows: (sql) => ask({ sql }),
    /** What D1 says of a statement: rows read and written. */
    meta: (sql) => ask({ meta: sql }),
    /** One run of the scheduled event. */
    scheduled: () => ask({ scheduled: true }),
    /** The lines that the Worker has logged since the last call, each with its level. */
    logs: () => ask({ logs: true }),
    async close() {
      if (child.exitCode === null && child.signalCode === null) {
        child.send({ close: true });
        await ended;
      }
    },
  };
}

if (process.argv[1] === self) {
  const { port, state, bindings, ratelimits, modules } = JSON.parse(process.argv[2]);
  let lines = [];
  const worker = new Miniflare(convertV4MiniflareOptions({
    host: "127.0.0.1",
    port,
    modulesRoot: `${root}/build`,
    modules: modules ?? [
      { type: "ESModule", path: `${root}/build/index.js` },
      { type: "CompiledWasm", path: `${root}/build/index_bg.wasm` },
    ],
    ratelimits,
    compatibilityDate: readFileSync(`${root}/wrangler.toml`, "utf8").match(/compatibility_date = "(.+)"/)[1],
    d1Databases: { DB: "test" },
    resourcePersistencePath: state,
    bindings,
    unsafeTriggerHandlers: true,
    handleStructuredLogs: ({ level, message }) => void lines.push({ level, message }),
  }));
  const url = (await worker.ready).origin;
  await fetch(`${url}/session`); // sets the development database up
  const database = await worker.getD1Database("DB");
  process.on("message", async ({ sql, meta, scheduled, logs, close }) => {
    if (close) {
      await worker.dispose();
      process.exit(0);
    }
    if (scheduled) {
      const response = await fetch(`${url}/cdn-cgi/local/scheduled`);
      return process.send({ status: response.status, text: await response.text() });
    }
    if (logs) {
      const logged = lines;
      lines = [];
      return process.send(logged);
    }
    if (meta) return process.send((await database.prepare(meta).all()).meta);
    // `null` stands for a refusal.
    process.send(await database.prepare(sql).all().then(({ results }) => results, () => null));
  });
  process.send({ url });
}
