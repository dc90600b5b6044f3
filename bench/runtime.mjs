// Starts the Workers in real workerd with equal settings: `bare` in plain workerd, with a database
// in the Worker's isolate, and `withD1` in Miniflare, with a real D1 on a separate socket.

import { execFileSync, spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import workerd from "workerd";
import { paths, root } from "../scripts/paths.mjs";
import { freePort } from "../scripts/port.mjs";
import { processOf } from "../tests/support/workers.mjs";

const MIGRATIONS = `${root}/src/worker/migrations`;
const compatibilityDate = readFileSync(`${root}/wrangler.toml`, "utf8").match(/compatibility_date = "(.+)"/)[1];

let folder;

/** Writes the files of each Worker to a separate folder. Returns the folder of all. `before` is the
 * folder of an earlier build of ours. */
export function prepare({ before } = {}) {
  if (before) bundles.before = bundles.ours;
  folder = mkdtempSync(join(tmpdir(), "pioneer-session-bench-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  process.on("SIGTERM", () => process.exit(1)); // otherwise there would be no "exit" event
  for (const name of Object.keys(bundles)) mkdirSync(`${folder}/${name}`);
  for (const [name, built] of Object.entries({ ours: paths.worker, ...(before && { before }) })) {
    for (const file of bundles[name]) copyFileSync(`${built}/${file}`, `${folder}/${name}/${file}`);
  }
  for (const [name, entry] of Object.entries({ peer: "index.mjs", payments: "payments.mjs" })) {
    buildSync({ entryPoints: [`${root}/bench/peer/${entry}`], bundle: true, format: "esm", platform: "browser", conditions: ["workerd", "worker"], minify: true, outfile: `${folder}/${name}/index.js`, logLevel: "warning" });
  }
  for (const name of Object.keys(bundles)) {
    for (const file of ["storage.mjs", "measured.mjs"]) copyFileSync(`${root}/bench/${file}`, `${folder}/${name}/${file}`);
    writeFileSync(`${folder}/${name}/bare.mjs`, 'import worker from "./index.js";\nimport { around } from "./storage.mjs";\nexport default around(worker);\n');
  }
  return folder;
}

/** The files of each Worker: ours, the peer, and the peer with payments; `prepare` adds `before`. */
export const bundles = { ours: ["index.js", "index_bg.wasm"], peer: ["index.js"], payments: ["index.js"] };

/** Settings for development, because only there Pi can be on loopback and the limits off. */
export const settings = ({ pi, keys, secret, issuer = "http://127.0.0.1:8787" }) => ({
  ENVIRONMENT: "development",
  SESSION_ISSUER: issuer,
  SESSION_AUDIENCE: "example-app",
  SESSION_TTL: "3600",
  SESSION_KEYS: keys,
  REFRESH_SECRET: secret,
  RATE_LIMITS: "off",
  PI_API_BASE: pi,
  PI_APP_ID: "bench-app",
});

const listens = (port) => new Promise((done) => {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("connect", () => done(socket.destroy() !== undefined));
  socket.on("error", () => done(false));
});

/** Starts workerd with the Worker's files. `listenMs` is the time until it listens. */
export async function bare(name, bindings) {
  const port = await freePort();
  const quote = JSON.stringify;
  const modules = ["bare.mjs", "storage.mjs", ...bundles[name]].map((file) => `(name = ${quote(file)}, ${file.endsWith(".wasm") ? "wasm" : "esModule"} = embed ${quote(file)})`);
  const texts = Object.entries(bindings).map(([key, text]) => `(name = ${quote(key)}, text = ${quote(text)})`);
  const config = `${folder}/${name}/config.capnp`;
  writeFileSync(config, `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "network", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [${modules}],
  bindings = [${texts}],
  compatibilityDate = "${compatibilityDate}",
  globalOutbound = "network",
);
`);
  const log = openSync(`${folder}/${name}/log`, "w");
  const began = performance.now();
  const child = spawn(workerd.default, ["serve", config], { stdio: ["ignore", "ignore", log] });
  const closed = new Promise((done) => child.on("close", done));
  while (!(await listens(port))) {
    if (child.exitCode !== null) throw new Error(`workerd ended: ${readFileSync(`${folder}/${name}/log`, "utf8").slice(0, 2000)}`);
    await new Promise((done) => setTimeout(done, 1));
  }
  return {
    port,
    listenMs: performance.now() - began,
    rss: () => residentSet(child.pid),
    cpuMs: () => cpuMs(child.pid),
    async close() {
      child.kill();
      await closed;
    },
  };
}

/** Resident memory in bytes. */
const residentSet = (pid) => Number(execFileSync("ps", ["-o", "rss=", "-p", pid], { encoding: "utf8" })) * 1024;

/** The CPU time of a process in milliseconds, of all its threads. Without /proc, there is none. */
function cpuMs(pid) {
  if (pid === undefined || !existsSync("/proc")) return NaN;
  const threads = readdirSync(`/proc/${pid}/task`).map((id) => readFileSync(`/proc/${pid}/task/${id}/schedstat`, "utf8"));
  return threads.reduce((sum, text) => sum + Number(text.split(" ")[0]), 0) / 1e6;
}

/** Starts the Worker with an empty D1. */
export async function withD1(name, bindings, port = 0, files = bundles[name]) {
  const path = `${folder}/${name}`;
  const miniflare = new Miniflare(convertV4MiniflareOptions({
    modulesRoot: path,
    modules: files.map((file) => ({ type: file.endsWith(".wasm") ? "CompiledWasm" : "ESModule", path: `${path}/${file}` })),
    compatibilityDate,
    d1Databases: { DB: name },
    bindings,
    handleStructuredLogs: () => {},
    unsafeDirectSockets: [{ host: "127.0.0.1", port }],
  }));
  const pid = await processOf(miniflare);
  const database = await miniflare.getD1Database("DB");
  await migrate(database);
  const url = await miniflare.unsafeGetDirectURL();
  return { port: Number(url.port), database, cpuMs: () => cpuMs(pid), close: () => miniflare.dispose() };
}

/** Starts the Worker with an empty D1, in measured.mjs. */
export const measured = (name, bindings, port) => withD1(name, bindings, port, ["measured.mjs", ...bundles[name]]);

/** Migrates like `wrangler d1 migrations apply`, migrations table included. Otherwise ours would
 * migrate in the first request. */
async function migrate(database) {
  await database.prepare("CREATE TABLE d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)").run();
  for (const file of readdirSync(MIGRATIONS).sort()) {
    const sql = readFileSync(`${MIGRATIONS}/${file}`, "utf8").replace(/--.*/g, "");
    // A semicolon at the end of a line ends a statement; a trigger has others.
    const statements = sql.split(/;\s*$/m).map((text) => text.trim()).filter(Boolean);
    await database.batch([...statements.map((text) => database.prepare(text)), database.prepare("INSERT INTO d1_migrations (name) VALUES (?1)").bind(file)]);
  }
}

/** Starts the fake Pi. It stops with this process. */
export async function startUpstream() {
  const child = spawn(process.execPath, [`${root}/bench/fake-pi.mjs`], { stdio: ["ignore", "pipe", "inherit", "ipc"] });
  const port = await new Promise((done) => child.stdout.once("data", (text) => done(String(text).trim())));
  return { url: `http://127.0.0.1:${port}`, close: () => child.disconnect() };
}
