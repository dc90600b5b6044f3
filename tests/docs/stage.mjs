// Prepares the machine that the documents assume: the package that npm installs, and the servers of
// `npm start`.

import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { newKey } from "../../pkg/cli/keys.mjs";
import { environment, paths } from "../../scripts/paths.mjs";
import { freePort, isFree } from "../../scripts/port.mjs";
import { pack } from "../support/packed-example.mjs";
import { start } from "../support/workers.mjs";

/**
 * The packages that documents may install besides pioneer-session, and the types that their code is
 * checked with.
 */
const INSTALLED = ["express", "fastify", "hono", "@hono/node-server", "koa", "@nestjs/common", "next", "oauth4webapi", "react", "vue", "wrangler", "@types/express", "@types/koa", "@types/node", "@types/react"];

// Tests have no network. So `npm install` only checks that the packages are here, where Node finds
// them from every document's folder, and `npx` runs their commands.
const NPM = `#!/bin/sh
[ "$1" = install ] || { echo "The documents' npm only knows npm install." >&2; exit 1; }
shift
for name; do
  [ -d "$MODULES/$name" ] || { echo "$name is not in INSTALLED of tests/docs/stage.mjs." >&2; exit 1; }
done
`;
const NPX = `#!/bin/sh
command="$1"
shift
exec "$MODULES/.bin/$command" "$@"
`;

/** Starts the Worker and the simulated Pi as `npm start` does, and with the credential of a backend. */
async function startServers(worker, simulator, credential) {
  const servers = [await start("build/simulator", { host: "127.0.0.1", port: simulator })];
  const issuer = await start("build", {
    host: "127.0.0.1",
    port: worker,
    d1Databases: { DB: "documents" },
    bindings: {
      ENVIRONMENT: "development", SESSION_ISSUER: `http://localhost:${worker}`, SESSION_AUDIENCE: "demo", SESSION_COOKIE: "on",
      PI_API_BASE: `http://127.0.0.1:${simulator}`, PI_APP_ID: "simulated-app", PI_API_KEY: "simulated-server-api-key", PI_NETWORK: "Pi Testnet",
      RATE_LIMITS: "off", SESSION_KEYS: JSON.stringify({ keys: [newKey()] }), REFRESH_SECRET: randomBytes(32).toString("base64url"),
      BACKEND_CREDENTIALS: JSON.stringify({ shop: createHash("sha256").update(credential).digest("hex") }),
    },
  });
  servers.push(issuer);
  await fetch(`http://127.0.0.1:${worker}/products`); // creates the tables of the development database
  const database = await issuer.worker.getD1Database("DB");
  const sell = database.prepare("INSERT INTO products (id, name, amount_stroops) VALUES (?, ?, ?)");
  await database.batch([sell.bind("coffee", "A cup of coffee", 31_400_000), sell.bind("crumb", "A crumb of cake", 1)]);
  return servers;
}

/** Prepares everything once for all documents. */
export async function openStage() {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "pioneer-session-docs-")));
  const modules = join(folder, "node_modules");
  mkdirSync(join(modules, ".bin"), { recursive: true });
  execFileSync("tar", ["-xzf", pack(folder), "-C", folder]);
  execFileSync("mv", [join(folder, "package"), join(modules, "pioneer-session")]);
  for (const name of INSTALLED) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(`${paths.modules}/${name}`, join(modules, name));
  }
  const { bin } = JSON.parse(readFileSync(join(modules, "pioneer-session/package.json"), "utf8"));
  for (const [name, path] of Object.entries(bin)) symlinkSync(join(modules, "pioneer-session", path), join(modules, ".bin", name));
  symlinkSync(`${paths.modules}/.bin/wrangler`, join(modules, ".bin/wrangler"));
  mkdirSync(join(folder, "bin"));
  for (const [name, script] of Object.entries({ npm: NPM, npx: NPX })) writeFileSync(join(folder, "bin", name), script, { mode: 0o755 });
  execFileSync("chmod", ["+x", ...Object.values(bin).map((path) => join(modules, "pioneer-session", path))]);

  // For each port of the documents the one that is used: the same, or another if some program has
  // it already.
  const ports = new Map();
  const findPort = async (port) => ports.has(port) || ports.set(port, (await isFree(port)) ? port : String(await freePort()));
  await findPort("8787");
  await findPort("8788");
  const credential = randomBytes(32).toString("base64url");
  const servers = await startServers(Number(ports.get("8787")), Number(ports.get("8788")), credential);
  return {
    folder,
    modules,
    env: { ...environment, PATH: `${join(folder, "bin")}:${environment.PATH}`, MODULES: modules, BACKEND_CREDENTIAL: credential },
    /** Chooses a port for each port in the addresses of these blocks. */
    async findPorts(blocks) {
      for (const { text } of blocks) for (const [, port] of text.matchAll(/\b(?:localhost|127\.0\.0\.1):(\d+)/g)) await findPort(port);
    },
    /** The text with the ports that are used. */
    atPorts: (text) => text.replace(/\b\d{4,5}\b/g, (number) => ports.get(number) ?? number),
    async close() {
      for (const server of servers) await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
