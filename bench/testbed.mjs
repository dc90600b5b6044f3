// A Worker in measured.mjs, with a real D1 and the simulated Pi, and the users and routes of
// tests/faults: for waits.mjs, rows.mjs and feed.mjs.

import { createHash, randomBytes } from "node:crypto";
import { newKeys } from "../pkg/cli/keys.mjs";
import { freePort } from "../scripts/port.mjs";
import { CREDENTIAL, OPERATOR, User } from "../tests/faults/testbed.mjs";
import { startSimulator } from "../tests/support/workers.mjs";
import { measured, settings } from "./runtime.mjs";

const sha256 = (text) => createHash("sha256").update(text).digest("hex");

/** Starts the Worker with this name in runtime.mjs. */
export async function startTestbed(name) {
  const [simulator, port] = [await startSimulator(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const bindings = {
    ...settings({ pi: simulator.url, keys: newKeys(), secret: randomBytes(32).toString("base64url"), issuer: url }),
    PI_APP_ID: "simulated-app",
    PI_API_KEY: "simulated-server-api-key",
    PI_NETWORK: "Pi Testnet",
    BACKEND_CREDENTIALS: JSON.stringify({ api: sha256(CREDENTIAL) }),
    OPERATOR_CREDENTIALS: JSON.stringify({ alice: { sha256: sha256(OPERATOR), role: "owner" } }),
  };
  const worker = await measured(name, bindings, port);
  const testbed = { url, port, database: worker.database, cpuMs: worker.cpuMs };

  /** Sends a request. `delays` says how many milliseconds away D1 and Pi are. */
  testbed.ask = async (method, path, { body, token, faults: delays, headers } = {}) => {
    const began = performance.now();
    const response = await fetch(url + path, {
      method,
      body: body && (typeof body === "string" ? body : JSON.stringify(body)),
      headers: {
        ...(body && { "content-type": "application/json" }),
        ...(token && { authorization: `Bearer ${token}` }),
        ...(delays && { "x-delays": JSON.stringify(delays) }),
        ...headers,
      },
    });
    const text = await response.text();
    const took = performance.now() - began;
    const { status } = response;
    return { status, headers: response.headers, text, json: text.startsWith("{") ? JSON.parse(text) : {}, took, counts: JSON.parse(response.headers.get("x-counts")) };
  };
  /** Sends a user's request to Pi, without the Worker. */
  testbed.pi = async (user, method, path, body) => {
    const response = await fetch(`${simulator.url}/simulator/${path}`, { method, headers: { authorization: `Bearer ${user.accessToken}` }, body: body && JSON.stringify(body) });
    return response.json();
  };
  let users = 0;
  testbed.newUser = () => new User(testbed, users++);
  testbed.close = async () => {
    await worker.close();
    await simulator.close();
  };
  await testbed.database.prepare("INSERT INTO products (id, name, amount_stroops) VALUES ('coffee', 'A cup of coffee', 31400000)").run();
  await testbed.ask("GET", "/products"); // the first request looks for migrations
  return testbed;
}
