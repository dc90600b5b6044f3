// The built Workers, started for tests that need somebody to sign in with: an issuer, and the simulated Pi.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { newKey } from "../../pkg/cli/keys.mjs";
import { root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";

/** Starts the Worker that was built into `folder`. */
export async function start(folder, options) {
  const worker = new Miniflare(convertV4MiniflareOptions({
    modulesRoot: `${root}/${folder}`,
    modules: [
      { type: "ESModule", path: `${root}/${folder}/index.js` },
      { type: "CompiledWasm", path: `${root}/${folder}/index_bg.wasm` },
    ],
    compatibilityDate: readFileSync(`${root}/wrangler.toml`, "utf8").match(/compatibility_date = "(.+)"/)[1],
    handleStructuredLogs: () => {}, // what is logged, tests/worker/worker.test.mjs looks at
    ...options,
  }));
  return { url: (await worker.ready).origin, close: () => worker.dispose(), worker };
}

/** Says whether signatures hold (vectors/entry.mjs). */
export const startVerdict = () => start("target/verdict", {});

export const startSimulator = () => start("target/simulator", {});

/** Starts an issuer that asks the Pi Platform at `pi`, reached under `host`, a name of this machine. `variables` are
 * further settings. */
export async function startIssuer({ pi, allowedOrigin, host = "127.0.0.1", cookie = false, variables = {}, log = () => {} }) {
  // Its settings name its address, so that is chosen first.
  const port = await freePort();
  const url = `http://${host}:${port}`;
  const { close, worker } = await start("build", {
    host: "127.0.0.1",
    port,
    handleStructuredLogs: log,
    d1Databases: { DB: "test" },
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
    /** Puts something up for sale, for so many stroops. */
    async sell(id, name, stroops) {
      await fetch(`${url}/products`); // sets the development database up
      const database = await worker.getD1Database("DB");
      await database.prepare("INSERT INTO products (id, name, amount_stroops) VALUES (?, ?, ?)").bind(id, name, stroops).run();
    },
    /** Ends the session of this token, as another device of its user would. */
    endSession: (token) => fetch(`${url}/session`, { method: "DELETE", headers: { authorization: `Bearer ${token}` } }),
  };
}
