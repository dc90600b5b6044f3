// Starts the Worker of this folder and the simulated Pi for a test, in the runtime of Cloudflare.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createTestHarness } from "wrangler";

const AUDIENCE = "test";

/** A new secret, from the tool that also makes those of production. */
const secret = (...command) => execFileSync("npx", ["pioneer-session", ...command], { encoding: "utf8", shell: process.platform === "win32" }).trim();

/** A request with a JSON body. Returns the status and the JSON of the answer. */
async function ask(url, { method = "GET", token, body }) {
  const response = await fetch(url, {
    method,
    headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, ...(text && JSON.parse(text)) };
}

export async function start() {
  const pi = createTestHarness({
    workers: [{ config: { name: "simulated-pi", main: fileURLToPath(import.meta.resolve("pioneer-session/simulator")), compatibility_date: "2026-11-01" } }],
  });
  const { url: piUrl } = await pi.listen();

  const secrets = { SESSION_KEYS: secret("keys", "new"), REFRESH_SECRET: secret("secrets", "refresh"), PI_API_KEY: "simulated-server-api-key" };
  const configuration = (issuer) => ({
    root: fileURLToPath(new URL("..", import.meta.url)),
    workers: [{
      configPath: "wrangler.jsonc",
      vars: { ENVIRONMENT: "development", SESSION_ISSUER: issuer, SESSION_AUDIENCE: AUDIENCE, PI_API_BASE: piUrl.origin, PI_APP_ID: "simulated-app", PI_NETWORK: "Pi Testnet", RATE_LIMITS: "off" },
      secrets,
    }],
  });
  const app = createTestHarness(configuration("http://localhost"));
  const { url } = await app.listen();
  await app.update(configuration(url.origin)); // The port is known only now.
  const worker = app.getWorker();
  await worker.applyD1Migrations("DB");

  return {
    issuer: url.origin,
    audience: AUDIENCE,
    /** Asks the Worker. */
    ask: (method, path, { token, body } = {}) => ask(url.origin + path, { method, token, body }),
    /** Asks the simulated Pi, as its SDK does. */
    askPi: (method, path, { token, body } = {}) => ask(`${piUrl.origin}/simulator${path}`, { method, token, body }),
    database: (await worker.getEnv()).DB,
    close: () => Promise.all([app.close(), pi.close()]),
  };
}
