// `dev`: serves everything on this machine: the Worker with a local database, the simulated Pi on
// the next port, and a page: that of the project in this folder, or else the demo.

import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { demoAssets, demoBackend, projectBackend } from "./dev-backend.mjs";
import { Processes, runToEnd } from "./dev-processes.mjs";
import { Misuse, Problem } from "./problem.mjs";
import { write as writeSecrets } from "./secrets.mjs";
import { VARS } from "./settings.mjs";
import { NODE_OF_WRANGLER, findConfiguration, findWrangler, isNewEnough } from "./wrangler-program.mjs";

const PACKAGE = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");
export const COMPATIBILITY_DATE = "2026-11-01"; // as in wrangler.toml; a test compares them
const DEFAULT_PORT = 8787; // wrangler's default
const START_SECONDS = 60;
// Cloudflare calls the scheduled handler by itself; `wrangler dev` does not. The next call makes up
// for a failed one.
const SCHEDULE_MS = 60_000;
const SIMULATED = { PI_APP_ID: "simulated-app", PI_API_KEY: "simulated-server-api-key", PI_NETWORK: "Pi Testnet" };
/** Settings that follow from the ports and from the simulated Pi. */
const FIXED = ["ENVIRONMENT", "SESSION_ISSUER", "PI_API_BASE", "PI_APP_ID", "PI_NETWORK"];

/**
 * The ports: of the Worker, and the two after it, of the simulated Pi and of a backend.
 *
 * @param {string | undefined} given
 */
export function portsFrom(given) {
  const text = given ?? (process.env.PORT || String(DEFAULT_PORT));
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  // The last two ports, 65534 and 65535, are left to the other two servers.
  if (!(port >= 1 && port <= 65_533)) throw new Misuse(`${given === undefined ? "PORT" : "--port"} must be a number from 1 to 65533.`);
  return { worker: port, pi: port + 1, backend: port + 2 };
}

/**
 * `dev`
 *
 * @param {{ port?: string, config?: string, "persist-to"?: string, verbose?: boolean }} options
 */
export async function dev({ port, config, "persist-to": persistTo, verbose = false }) {
  if (!isNewEnough()) throw new Problem(`\`dev\` needs Node ${NODE_OF_WRANGLER.join(".")} or later, because wrangler does. This is Node ${process.versions.node}.`);
  const ports = portsFrom(port);
  const issuer = `http://localhost:${ports.worker}`;
  await mustBeFree(Object.values(ports));
  const wrangler = findWrangler();
  const project = findConfiguration(config);
  const state = resolve(persistTo ?? (process.env.STATE || join(project ? dirname(project.path) : ".", ".wrangler/state")));
  mkdirSync(state, { recursive: true });
  // The secrets of this machine are in it, and the app's own .gitignore need not know the folder.
  writeFileSync(join(state, ".gitignore"), "*\n");

  // In a clone of the repository, the configuration is the Worker's own.
  const isDemo = !project || dirname(project.path) === PACKAGE;
  const audience = process.env.SESSION_AUDIENCE || (isDemo ? undefined : project.audience) || "demo";
  const assets = isDemo ? demoAssets(PACKAGE, state) : undefined;
  const secrets = secretsFile(project && dirname(project.path), state);

  const settings = {
    ...(isDemo ? { SESSION_COOKIE: "on" } : {}),
    ...Object.fromEntries(VARS.filter((name) => process.env[name] && !FIXED.includes(name)).map((name) => [name, process.env[name]])),
    RATE_LIMITS: "off",
    SESSION_AUDIENCE: audience,
    ENVIRONMENT: "development",
    SESSION_ISSUER: issuer,
    PI_API_BASE: `http://127.0.0.1:${ports.pi}`,
    ...SIMULATED,
  };
  // A folder each: two processes cannot share a database.
  const common = (/** @type {string} */ folder) => ["dev", "--local", "--ip", "127.0.0.1", "--show-interactive-dev-session=false", "--inspector-port", "0", "--persist-to", folder];
  const processes = new Processes({ verbose });
  let schedule;
  let backend = /** @type {{ close(): Promise<void> } | undefined} */ (undefined);
  try {
    console.log(`Starting the Worker and the simulated Pi …`);
    processes.start("The simulated Pi", wrangler, [...common(join(state, "pi")), "--config", simulatorConfiguration(state), "--port", String(ports.pi)]);
    processes.start("The Worker", wrangler, [
      ...common(state),
      ...["--config", project?.path ?? workerConfiguration(state), "--port", String(ports.worker)],
      ...(assets ? ["--assets", assets] : []),
      ...(secrets ? ["--env-file", secrets] : []),
      ...Object.entries(settings).flatMap(([name, value]) => ["--var", `${name}:${value}`]),
    ]);
    await processes.until(START_SECONDS, [`${issuer}/health`, `http://localhost:${ports.pi}/simulator/personas`]);
    await addProducts(processes, wrangler, project?.path ?? workerConfiguration(state), state, issuer);
    schedule = setInterval(() => fetch(`${issuer}/cdn-cgi/handler/scheduled`).catch(() => {}), SCHEDULE_MS);

    const place = { port: ports.backend, issuer, audience };
    backend = isDemo ? await demoBackend(PACKAGE, { ...place, origin: issuer }) : projectBackend(processes, dirname(project.path), place);
    if (backend) await processes.until(START_SECONDS, [`http://localhost:${ports.backend}/`]);

    const lines = [
      `The Worker            ${issuer}`,
      `The simulated Pi      http://localhost:${ports.pi}`,
      backend && `The backend           http://localhost:${ports.backend}`,
      `The sessions' audience is "${audience}". A session token for curl: npx pioneer-session dev token${ports.worker === DEFAULT_PORT ? "" : ` --port ${ports.worker}`}`,
      "Press Ctrl-C to stop everything.",
      `Ready: ${issuer}`,
    ];
    console.log(lines.filter(Boolean).join("\n"));
    await processes.ended;
  } finally {
    clearInterval(schedule);
    await backend?.close();
    await processes.stop();
  }
}

/**
 * Stops before anything is started: another server would answer instead of this one.
 *
 * @param {number[]} ports
 */
async function mustBeFree(ports) {
  for (const port of ports) {
    const isFree = await new Promise((done) => {
      const server = createServer().once("error", () => done(false));
      server.listen(port, "127.0.0.1", () => server.close(() => done(true)));
    });
    if (!isFree) throw new Problem(`Another program uses port ${port}. Stop it, or choose other ports: --port 9000, or PORT=9000 npm start`);
  }
}

/**
 * The file with the secrets of this machine, made if need be; undefined for `.dev.vars`, which
 * wrangler reads by itself.
 *
 * @param {string | undefined} folder
 * @param {string} state
 */
function secretsFile(folder, state) {
  const own = folder && join(folder, ".dev.vars");
  const file = own && existsSync(own) ? own : join(state, "secrets.env");
  writeSecrets({ file: relative(process.cwd(), file) || file, quiet: true });
  return file === own ? undefined : file;
}

/**
 * A configuration of the package's own Worker, for a folder without one.
 *
 * @param {string} state
 */
function workerConfiguration(state) {
  return save(state, "worker.json", {
    name: "pioneer-session",
    main: `${PACKAGE}/build/index.js`,
    compatibility_date: COMPATIBILITY_DATE,
    d1_databases: [{ binding: "DB", database_name: "pioneer-session", database_id: "local", migrations_dir: relative(state, `${PACKAGE}/src/worker/migrations`) }],
  });
}

/** @param {string} state */
function simulatorConfiguration(state) {
  return save(state, "simulated-pi.json", {
    name: "simulated-pi",
    main: `${PACKAGE}/build/simulator/index.js`,
    compatibility_date: COMPATIBILITY_DATE,
    durable_objects: { bindings: [{ name: "PI", class_name: "SimulatedPi" }] },
    migrations: [{ tag: "v1", new_sqlite_classes: ["SimulatedPi"] }],
  });
}

/**
 * @param {string} state
 * @param {string} name
 * @param {object} configuration
 */
function save(state, name, configuration) {
  const path = join(state, name);
  writeFileSync(path, `${JSON.stringify(configuration, undefined, 2)}\n`);
  return path;
}

/**
 * Puts two products into a new database, so that there is something to buy. Later changes stay.
 *
 * @param {Processes} processes
 * @param {string[]} wrangler
 * @param {string} configuration
 * @param {string} state
 * @param {string} issuer
 */
async function addProducts(processes, [program = "", ...args], configuration, state, issuer) {
  const marker = join(state, "products");
  if (existsSync(marker)) return;
  await processes.until(START_SECONDS, [`${issuer}/products`]); // also creates the tables
  const { products } = await (await fetch(`${issuer}/products`)).json();
  if (products.length === 0) {
    const sql = "INSERT INTO products (id, name, amount_stroops) VALUES ('coffee', 'A cup of coffee', 31400000), ('crumb', 'A crumb of cake', 1) ON CONFLICT (id) DO NOTHING";
    await runToEnd(program, [...args, "d1", "execute", "DB", "--local", "--persist-to", state, "--config", configuration, "--command", sql]);
  }
  writeFileSync(marker, "");
}
