// The backend as a browser sees it: an open route, and a route for signed-in users. `init` puts
// this file next to app.test.js in a project with a backend.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { start } from "./harness.js";

const WAIT_MS = 60_000; // some frameworks compile before they answer
const isWindows = process.platform === "win32";

let app;
let backend;
let url;
before(async () => {
  app = await start();
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  backend = spawn("npm", ["run", "backend"], {
    env: { ...process.env, PORT: String(port), SESSION_ISSUER: app.issuer, SESSION_AUDIENCE: app.audience },
    stdio: ["ignore", "ignore", "inherit"],
    detached: !isWindows, // a group of its own, because npm does not pass on signals
    shell: isWindows,
  });
  const end = Date.now() + WAIT_MS;
  while (!(await fetch(url).then(({ ok }) => ok, () => false))) {
    assert.ok(backend.exitCode === null && Date.now() < end, "The backend does not answer. Run `npm run backend` to see why.");
    await new Promise((done) => setTimeout(done, 100));
  }
});
after(async () => {
  if (backend) isWindows ? spawn("taskkill", ["/t", "/f", "/pid", String(backend.pid)]) : process.kill(-backend.pid);
  await app?.close();
});

/** A free port below those that the system gives to other programs. */
async function freePort() {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const isFree = await new Promise((done) => server.once("error", () => done(false)).listen(port, "127.0.0.1", () => done(true)));
    if (!isFree) continue;
    await new Promise((done) => server.close(done));
    return port;
  }
}

async function profile(token) {
  const response = await fetch(`${url}/profile`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
  return { status: response.status, ...(await response.json()) };
}

test("the backend knows who calls", async () => {
  const { sessionToken, user } = await app.ask("POST", "/session", { body: { accessToken: "sim-alice" } });
  assert.deepEqual(await profile(sessionToken), { status: 200, uid: user.uid, username: user.username });
});

test("the backend refuses everybody else", async () => {
  assert.equal((await profile()).code, "session_missing");
  assert.equal((await profile("not-a-token")).code, "session_invalid");
});
