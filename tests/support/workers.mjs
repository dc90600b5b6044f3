// Starts the built Workers for tests: an issuer, and the simulated Pi that it asks.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { newKey } from "../../pkg/cli/keys.mjs";
import { root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";

/** The Worker in the folder of a build, for Miniflare. */
export const builtWorker = (folder) => ({
  modulesRoot: `${root}/${folder}`,
  modules: [
    { type: "ESModule", path: `${root}/${folder}/index.js` },
    { type: "CompiledWasm", path: `${root}/${folder}/index_bg.wasm` },
  ],
  compatibilityDate: readFileSync(`${root}/wrangler.toml`, "utf8").match(/compatibility_date = "(.+)"/)[1],
});

/** The options of Miniflare for the Worker in the folder of a build. */
export const workerOptions = (folder, options) =>
  convertV4MiniflareOptions({
    ...builtWorker(folder),
    handleStructuredLogs: () => {}, // tests/worker/worker.test.mjs checks the log
    ...options,
  });

/** Starts the Worker in the folder of a build. */
export async function start(folder, options) {
  const worker = new Miniflare(workerOptions(folder, options));
  return { url: (await worker.ready).origin, close: () => worker.dispose(), worker };
}

/** The child processes of this process, if /proc exists. */
function children() {
  try {
    return readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").trim().split(" ");
  } catch {
    return [];
  }
}

/** Waits for a Miniflare that starts. Returns the id of its workerd, if /proc exists. */
export async function processOf(worker) {
  const others = children();
  await worker.ready;
  return children().find((pid) => !others.includes(pid));
}

/** Starts the Worker that verifies the signatures of tests/vectors (entry.mjs there). */
export const startVerdict = () => start("target/verdict", {});

export const startSimulator = () => start("build/simulator", {});

/** Starts an issuer that asks the Pi Platform at `pi`. `host` is its name on this machine;
 * `variables` are more settings. */
export async function startIssuer({ pi, allowedOrigin, host = "127.0.0.1", cookie = false, variables = {}, log = () => {} }) {
  // The settings contain the address, so the port is chosen first.
  const port = await freePort();
  const url = `http://${host}:${port}`;
  const { close, worker } = await start("build", {
    host: "127.0.0.1",
    port,
    handleStructuredLogs: log,
    d1Databases: { DB: "test" },
    unsafeTriggerHandlers: true,
    bindings: {
      ENVIRONMENT: "development",
      SESSION_ISSUER: url,
      SESSION_AUDIENCE: "test-app",
      SESSION_COOKIE: cookie ? "on" : "off",
      SESSION_KEYS: JSON.stringify({ keys: [newKey()] }),
      REFRESH_SECRET: randomBytes(32).toString("base64url"),
      ALLOWED_ORIGINS: allowedOrigin,
      RATE_LIMITS: "off",
      PI_API_BASE: pi,
      PI_APP_ID: "simulated-app",
      PI_API_KEY: "simulated-server-api-key",
      PI_NETWORK: "Pi Testnet",
      ...variables,
    },
  });
  return {
    url,
    close,
    worker,
    /** Adds a product with its price in stroops. */
    async sell(id, name, stroops) {
      await fetch(`${url}/session`); // sets the development database up
      const database = await worker.getD1Database("DB");
      await database.prepare("INSERT INTO products (id, name, amount_stroops) VALUES (?, ?, ?)").bind(id, name, stroops).run();
    },
    /** Revokes the session of this token, as another device of its user would. */
    endSession: (token) => fetch(`${url}/session`, { method: "DELETE", headers: { authorization: `Bearer ${token}` } }),
  };
}
