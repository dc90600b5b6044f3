// Serves everything on this machine: the Worker with a local D1 and the demo page, and the
// simulated Pi Platform on the next port. PORT changes the ports, STATE the folder of the database.

import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, rmSync } from "node:fs";
import { isStale } from "./inputs.mjs";
import { environment, paths, root, stamps } from "./paths.mjs";

const port = Number(process.env.PORT || 8787);
const state = process.env.STATE || `${root}/.wrangler/state`;
const issuer = `http://localhost:${port}`;
const simulator = `http://127.0.0.1:${port + 1}`;
const wrangler = `${paths.modules}/.bin/wrangler`;

function fail(problem) {
  console.error(`[start] ${problem}`);
  process.exit(1);
}

// The simulated Pi has the next port, so the last one of all, 65535, is left to it.
if (!Number.isInteger(port) || port < 1 || port > 65534) fail("PORT must be a number from 1 to 65534.");

const stale = ["worker", "simulator", "browser"].filter((name) => isStale(stamps[name]));
if (stale.length > 0) {
  console.log(`[start] Building: ${stale.join(", ")}`);
  const { status } = spawnSync(process.execPath, ["scripts/build.mjs", ...stale], { cwd: root, stdio: "inherit" });
  if (status !== 0) fail("The build failed. Fix the error above, then run npm start again.");
}

// Secrets of this machine only, made once and git-ignored.
const secrets = `${state}/secrets.env`;
mkdirSync(state, { recursive: true });
const { status: made, stderr: problem } = spawnSync(process.execPath, ["pkg/cli/index.mjs", "secrets", "--file", secrets], { cwd: root, encoding: "utf8" });
if (made !== 0) fail(problem);

// The demo page, with the frontend module where its import map looks for it.
const assets = `${state}/assets`;
rmSync(assets, { recursive: true, force: true });
cpSync(`${root}/demo`, assets, { recursive: true });
mkdirSync(`${assets}/pioneer-session`);
copyFileSync(paths.browser, `${assets}/pioneer-session/browser.mjs`);

const migrated = spawnSync(wrangler, ["d1", "migrations", "apply", "DB", "--local", "--persist-to", state], {
  cwd: root,
  encoding: "utf8",
  env: { ...environment, CI: "true" },
});
if (migrated.status !== 0) fail(`The migrations of the local database failed. To begin with a new one, delete ${state}. wrangler says:\n${migrated.stdout}${migrated.stderr}`);

// Two products, if the tables are new. Later changes by `pkg/cli/index.mjs products` stay.
if (!migrated.stdout.includes("No migrations to apply")) {
  const sql = `INSERT INTO products (id, name, amount_stroops) VALUES
    ('coffee', 'A cup of coffee', 31400000), ('crumb', 'A crumb of cake', 1) ON CONFLICT (id) DO NOTHING`;
  const { status, stdout, stderr } = spawnSync(wrangler, ["d1", "execute", "DB", "--local", "--persist-to", state, "--command", sql], {
    cwd: root,
    encoding: "utf8",
    env: { ...environment, CI: "true" },
  });
  if (status !== 0) fail(`The demo products could not be added. wrangler says:\n${stdout}${stderr}`);
}

const children = [];
function serve(name, args) {
  const child = spawn(wrangler, ["dev", "--local", "--ip", "127.0.0.1", "--show-interactive-dev-session=false", ...args], {
    cwd: root,
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (text) => process.env.QUIET || process.stdout.write(text));
  }
  child.on("exit", (code) => {
    if (!stopping) {
      console.error(`[start] ${name} stopped (exit code ${code}). If another program uses port ${port} or ${port + 1}, choose other ports: PORT=9000 npm start`);
      stop(1);
    }
  });
  children.push(child);
}

let stopping = false;
function stop(code) {
  stopping = true;
  for (const child of children) child.kill("SIGTERM");
  setTimeout(() => process.exit(code), 1000).unref();
  Promise.all(children.map((child) => child.exitCode ?? new Promise((done) => child.on("exit", done)))).then(() => process.exit(code));
}
process.on("SIGINT", () => stop(0));
process.on("SIGTERM", () => stop(0));

serve("The simulated Pi", ["-c", "src/simulator/wrangler.toml", "--port", String(port + 1), "--inspector-port", "0"]);
serve("The Worker", [
  ...["--port", String(port), "--inspector-port", "0", "--persist-to", state, "--env-file", secrets, "--assets", assets],
  ...["--var", "ENVIRONMENT:development", `SESSION_ISSUER:${issuer}`, "SESSION_AUDIENCE:demo"],
  ...["--var", `PI_API_BASE:${simulator}`, "PI_APP_ID:simulated-app", "RATE_LIMITS:off", "SESSION_COOKIE:on"],
  ...["--var", "PI_API_KEY:simulated-server-api-key", "PI_NETWORK:Pi Testnet"],
]);

async function answers(url) {
  for (let tries = 0; tries < 600; tries++) {
    if (await fetch(url).then((response) => response.ok, () => false)) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  fail(`${url} did not answer within a minute. Look at the lines above, then run npm start again.`);
}
await Promise.all([answers(`${issuer}/health`), answers(`${simulator}/simulator/personas`)]);
// Cloudflare runs the cron trigger in wrangler.toml by itself; `wrangler dev` does not. A failed
// run is made up for by the next one.
setInterval(() => fetch(`${issuer}/cdn-cgi/handler/scheduled`).catch(() => {}), 60_000);
console.log(`Ready: ${issuer} (the demo page and the Worker), ${simulator} (the simulated Pi). Press Ctrl-C to stop both.`);
