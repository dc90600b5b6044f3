// Runs the built Worker in a separate process, with a database on disk, so that a test can kill
// both at any moment. `startWorkerProcess` starts this file again as that process; the two exchange
// messages.

import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { root } from "../../scripts/paths.mjs";

const self = fileURLToPath(import.meta.url);

/** Starts the process. `kill()` sends SIGKILL to it and to its workerd. */
export async function startWorkerProcess(options) {
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
    /** The rows of a statement, or `null` if the database refuses it. */
    rows: (sql) => ask({ sql }),
    /** D1's figures about a statement, such as the rows that it read and wrote. */
    meta: (sql) => ask({ meta: sql }),
    /** Runs the scheduled event once. */
    scheduled: () => ask({ scheduled: true }),
    /** The log lines since the last call, each with its level. */
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
    // `null` means that the database refused the statement.
    process.send(await database.prepare(sql).all().then(({ results }) => results, () => null));
  });
  process.send({ url });
}
