// Mistakes in a configuration that the Worker cannot see, or would accept.

/** @import { Report } from "./report.mjs" */
/** @import { Configuration } from "./wrangler.mjs" */

import { existsSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { committed } from "./files.mjs";
import { VARS, isDevelopment } from "./settings.mjs";
import { nearest, trim } from "./text.mjs";

const NETWORKS = ["Pi Network", "Pi Testnet"];
const PLACEHOLDER_AUDIENCE = "example-app"; // in wrangler.toml
const EMPTY_DATABASE_ID = "00000000-0000-0000-0000-000000000000";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Files in which this tool keeps secrets. */
const SECRET_FILES = [".dev.vars", ".dev.vars.*", "session-keys*.json"];

/**
 * @param {Report} report
 * @param {Configuration} configuration
 */
export function checkMistakes(report, configuration) {
  const { vars } = configuration;
  const setting = (/** @type {string} */ name) => (typeof vars[name] === "string" ? trim(vars[name]) : "");
  for (const name of Object.keys(vars).filter((name) => !VARS.includes(name))) {
    const meant = nearest(name, VARS);
    if (meant) report.error(`There is no setting ${name}. Did you mean ${meant}?`);
  }
  if (setting("PI_NETWORK") !== "" && !NETWORKS.includes(setting("PI_NETWORK"))) {
    report.error("PI_NETWORK is neither Pi Network nor Pi Testnet, so no payment would match it. Correct it, or remove it for Pi Network.");
  }
  if (isDevelopment(vars)) {
    report.error("ENVIRONMENT is development, which allows other upstreams and plain http. Remove it before you deploy; for this machine, `npx pioneer-session dev` sets it.");
  } else if (setting("SESSION_AUDIENCE") === PLACEHOLDER_AUDIENCE) {
    report.error("SESSION_AUDIENCE is still the example. Set it to a name for your app. Backends verify sessions with the same name.");
  }
  if (/^https:\/\/[^/]+\.workers\.dev$/.test(setting("SESSION_ISSUER"))) {
    report.note("SESSION_ISSUER is on workers.dev. Another Worker of the same account cannot fetch it there (Cloudflare's error 1042). If a backend is such a Worker, give it a service binding and the option fetch (docs/verify.md).");
  }
  checkDatabase(report, configuration);
  checkCommitted(report, dirname(configuration.configPath));
}

/**
 * @param {Report} report
 * @param {Configuration} configuration
 */
function checkDatabase(report, { vars, configPath, d1_databases: databases, triggers }) {
  const production = !isDevelopment(vars);
  const database = databases?.find(({ binding }) => binding === "DB");
  if (!database) {
    report.error('There is no D1 database with the binding DB. Add one under d1_databases: "binding": "DB", "database_name": "pioneer-session". wrangler creates it at the first deployment.');
  } else {
    // Without an id, wrangler creates the database, and finds it by its name.
    const { database_id: id, migrations_dir: folder = "migrations" } = database;
    if (production && id === EMPTY_DATABASE_ID) {
      report.error("The database_id of DB is still all zeros. Replace it with the id that `npx wrangler d1 create pioneer-session` prints, or remove the line: then the first deployment creates the database.");
    } else if (id !== undefined && !UUID.test(id)) {
      report.error("The database_id of DB is not an id (a UUID). `npx wrangler d1 list` shows the ids. Or remove the line: then the first deployment creates the database.");
    }
    const path = resolve(dirname(configPath), folder);
    if (!existsSync(path) || !readdirSync(path).some((name) => name.endsWith(".sql"))) {
      report.error('The migrations_dir of DB has no migrations. Set it to "node_modules/pioneer-session/src/worker/migrations", and install the package.');
    }
  }
  // A second deployment for operators leaves the scheduled event to the first one.
  if (production && trim(String(vars.SERVES ?? "")) !== "admin" && !triggers?.crons?.length) {
    report.error('There is no cron trigger, so interrupted payments are not finished and old rows are not deleted. Add under triggers: "crons": ["*/5 * * * *"]');
  }
}

/**
 * A committed secret stays in the history, and in every clone.
 *
 * @param {Report} report
 * @param {string} folder
 */
function checkCommitted(report, folder) {
  for (const name of committed(folder, SECRET_FILES)) {
    const path = relative(process.cwd(), join(folder, name));
    report.error(`${path} is committed to git, so everyone with the repository has its secrets. Treat them as stolen: run \`git rm --cached ${path}\`, add it to .gitignore, and replace each secret (docs/settings.md, "Change the signing key").`);
  }
}
