// `deploy`: puts the Worker of this folder on Cloudflare, with its secrets, its database and its
// issuer. Each step first looks at what is there, so that a run after an interruption goes on.

/** @import { Account, Target } from "./cloudflare.mjs" */
/** @import { Configuration } from "./wrangler.mjs" */

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { BehindAccess, REMEDY, SHUTS_USERS_OUT, requestWorker, serviceToken } from "./access.mjs";
import { Cloudflare } from "./cloudflare.mjs";
import { checkConfiguration } from "./configuration.mjs";
import { checkDeployment } from "./deployment.mjs";
import { isExposedToGit, readSecret, writeSecret } from "./files.mjs";
import { isPlaceholder, saveIssuer } from "./issuer.mjs";
import { newKeys, readKeys } from "./keys.mjs";
import { Misuse, Problem } from "./problem.mjs";
import { Report } from "./report.mjs";
import { readConfiguration } from "./wrangler.mjs";

const REFRESH_BYTES = 32;
// A new workers.dev name takes a few seconds until it answers everywhere.
const START_SECONDS = 60;
const RETRY_MS = 2_000;
const HEALTH_LIMITS = { timeoutMs: 5_000, maxBytes: 64 * 1024 };

/** Where nobody keeps files between two runs, such as on Workers Builds. */
const isCI = () => Boolean(process.env.CI);

/** @param {string} text */
const say = (text) => console.log(text);

/**
 * `deploy`
 *
 * @param {Target & { "dry-run"?: boolean }} options
 */
export async function deploy({ "dry-run": dryRun, ...target }) {
  serviceToken(); // a malformed one would otherwise stop the check, after the deployment
  const cloudflare = new Cloudflare(target);
  let configuration = readConfiguration(target.config, target.env);
  const step = steps(dryRun ? 2 : 7);

  step("Check the configuration");
  check(target);
  if (dryRun) {
    step("Build the Worker, without a change at Cloudflare");
    await cloudflare.rehearse();
    return say("This was a rehearsal. `npx pioneer-session deploy` would log in, create the missing secrets, create the database, apply the migrations, deploy, and check the result.");
  }

  step("Find the Cloudflare account");
  const account = accountOf(await cloudflare.accounts(), configuration);
  say(`  ${account.name} (${account.id})`);
  cloudflare.use(account);
  const { isNew, names } = await cloudflare.secrets();
  const databases = await cloudflare.databases();
  const known = databaseOf(configuration, databases);
  if (isNew) await mustNotLiveElsewhere(configuration);
  if (isNew && known) mustBeOurs(configuration);

  step("Create the missing secrets");
  await createSecrets(cloudflare, names, keyFile(configuration, target.env));

  step("Apply the migrations");
  // Migrations come before the code that needs them. A first deployment has no database yet.
  if (known) await cloudflare.migrate();
  else say("  The database does not exist yet. The deployment creates it.");

  step("Deploy the Worker");
  const settled = configuredIssuer(configuration);
  // A Worker keeps its issuer: with another one, every session and every backend would fail.
  const running = settled || isNew ? undefined : await cloudflare.deployedIssuer();
  const address = await cloudflare.deploy(running);
  const url = settled ?? running ?? address;
  if (!known) {
    say("  Apply the migrations to the new database");
    await cloudflare.migrate();
  }

  step("Set SESSION_ISSUER");
  if (!url) {
    throw new Problem('wrangler did not say at which address the Worker answers. Set SESSION_ISSUER to its origin in the configuration ("workers_dev": true, or a custom domain), then run `npx pioneer-session deploy` again.');
  }
  if (settled) say(`  It is ${settled}`);
  else await settleIssuer(cloudflare, configuration, target, { url, running });

  step(`Check ${url}`);
  await untilAnswered(url);
  const report = new Report();
  configuration = readConfiguration(target.config, target.env);
  const access = await checkUnlessClosed(report, url, configuration);
  if (!report.end()) return false;
  say(farewell(url, configuration, (await cloudflare.secrets()).names, access !== undefined));
}

/**
 * Numbers the steps, to show progress.
 *
 * @param {number} count
 */
function steps(count) {
  let number = 0;
  return (/** @type {string} */ title) => say(`[${++number}/${count}] ${title}`);
}

/**
 * The checks of `doctor`, except for SESSION_ISSUER: a later step sets it.
 *
 * @param {Target} target
 */
function check(target) {
  const report = new Report();
  checkConfiguration(report, { ...target, issuerComesLater: true });
  if (!report.end()) throw new Problem("Fix the errors above, then run `npx pioneer-session deploy` again.");
}

/**
 * The account to which wrangler would deploy.
 *
 * @param {Account[]} accounts
 * @param {Configuration} configuration
 */
export function accountOf(accounts, { account_id: configured }) {
  const wanted = process.env.CLOUDFLARE_ACCOUNT_ID || configured;
  const list = accounts.map(({ id, name }) => `  ${id}  ${name}`).join("\n");
  if (wanted) {
    const account = accounts.find(({ id }) => id === wanted);
    if (account) return account;
    throw new Problem(`The login of wrangler has no access to the account in ${process.env.CLOUDFLARE_ACCOUNT_ID ? "CLOUDFLARE_ACCOUNT_ID" : "account_id"}. Run \`npx wrangler login\` with another user, or choose one of these accounts:\n${list}`);
  }
  const [account, ...others] = accounts;
  if (!account) throw new Problem("The login of wrangler has no account. Create one at Cloudflare, then run: npx wrangler login");
  if (others.length > 0) throw new Problem(`The login of wrangler has several accounts. Set account_id in the configuration, or CLOUDFLARE_ACCOUNT_ID, to one of these:\n${list}`);
  return account;
}

/**
 * The database of the binding DB in the account, or undefined before the first deployment.
 *
 * @param {Configuration} configuration
 * @param {{ uuid: string, name: string }[]} databases
 */
function databaseOf({ name, d1_databases: bindings = [] }, databases) {
  const { database_id: id, database_name: called } = bindings.find(({ binding }) => binding === "DB") ?? {};
  if (id === undefined) return databases.find((database) => database.name === (called ?? `${name}-db`)); // wrangler's own default name
  const database = databases.find(({ uuid }) => uuid === id);
  if (database) return database;
  throw new Problem("This account has no database with the database_id of DB. If this is the wrong account, run `npx wrangler login` with another user. Otherwise, remove the line database_id: the deployment then creates the database.");
}

/**
 * Stops before tables of this Worker get into a database that belongs to something else: before
 * the first deployment, a database with the right name is not the one that wrangler would create.
 *
 * @param {Configuration} configuration
 */
function mustBeOurs({ d1_databases: bindings = [] }) {
  if (bindings.find(({ binding }) => binding === "DB")?.database_id !== undefined) return;
  throw new Problem("The account has a database with the name of DB already, but no Worker that uses it. To use that database, set database_id to its id (npx wrangler d1 list). Otherwise, choose another database_name.");
}

/**
 * Stops before a second copy of a running service comes to life in a wrong account.
 *
 * @param {Configuration} configuration
 */
async function mustNotLiveElsewhere(configuration) {
  const issuer = configuredIssuer(configuration);
  if (!issuer) return;
  const answer = await whoAnswers(issuer);
  if (answer instanceof BehindAccess) throw new Problem(`This account has no Worker with the name "${configuration.name}", and deploy cannot see whether one answers at SESSION_ISSUER already. ${answer.message}`);
  if (answer !== "worker") return;
  throw new Problem(`A Worker answers at SESSION_ISSUER already, but this account has no Worker with the name "${configuration.name}". Log in to the account that has it (npx wrangler login), or correct "name" or SESSION_ISSUER in the configuration.`);
}

/**
 * SESSION_ISSUER, if somebody has set it.
 *
 * @param {Configuration} configuration
 */
function configuredIssuer({ vars }) {
  const issuer = String(vars.SESSION_ISSUER ?? "").trim();
  return issuer === "" || isPlaceholder(issuer) ? undefined : issuer;
}

/**
 * Creates the secrets that the Worker does not have. A secret that is there stays: a new key would
 * make every session invalid.
 *
 * @param {Cloudflare} cloudflare
 * @param {string[]} names
 * @param {string} file
 */
async function createSecrets(cloudflare, names, file) {
  /** @type {Record<string, string>} */
  const values = {};
  if (!names.includes("SESSION_KEYS")) values.SESSION_KEYS = isCI() ? newKeys() : keptKeys(file);
  if (!names.includes("REFRESH_SECRET")) values.REFRESH_SECRET = randomBytes(REFRESH_BYTES).toString("base64url");
  const created = Object.keys(values);
  if (created.length > 0) await cloudflare.putSecrets(values);
  say(created.length > 0 ? `  Created: ${created.join(", ")}` : "  SESSION_KEYS and REFRESH_SECRET are there, unchanged.");
}

/**
 * The file of the keys, beside the configuration. Each environment has its own keys.
 *
 * @param {Configuration} configuration
 * @param {string | undefined} env
 */
function keyFile({ configPath }, env) {
  return relative(process.cwd(), join(dirname(configPath), env === undefined ? "session-keys.json" : `session-keys.${env}.json`));
}

/**
 * The keys in the file, or new ones that are written there first: an interrupted run must not lose
 * the only copy of a key that the Worker has.
 *
 * @param {string} file
 */
function keptKeys(file) {
  const kept = existsSync(file) ? readSecret(file, "SESSION_KEYS") : undefined;
  if (kept !== undefined) {
    readKeys(kept);
    say(`  The keys are those in ${file}.`);
    return kept;
  }
  if (isExposedToGit(file)) throw new Problem(`git does not ignore ${file}, where the keys would be kept. Add it to .gitignore, then run \`npx pioneer-session deploy\` again.`);
  const keys = newKeys();
  writeSecret(file, "SESSION_KEYS", keys);
  say(`  The keys are also in ${file}. Keep that file secret, and outside of the repository: with it, you can change the key.`);
  return keys;
}

/**
 * Sets the issuer to the origin of the deployed Worker, in the configuration where that lasts, and
 * deploys again if the running version has none.
 *
 * @param {Cloudflare} cloudflare
 * @param {Configuration} configuration
 * @param {Target} target
 * @param {{ url: string, running: string | undefined }} issuer
 */
async function settleIssuer(cloudflare, configuration, { env }, { url, running }) {
  // In CI, a change of the file would be lost.
  if (!isCI()) {
    saveIssuer(configuration, url, env);
    say(`  ${url} is now in ${relative(process.cwd(), configuration.configPath)}`);
  }
  if (running) return say(`  The Worker has ${running}`);
  say(`  Deploy the Worker again, with ${url}`);
  await cloudflare.deploy(url);
}

/**
 * The Worker, Cloudflare Access instead of it, or neither.
 *
 * @param {string} origin
 */
async function whoAnswers(origin) {
  try {
    const { text } = await requestWorker(`${origin}/health`, {}, { ...HEALTH_LIMITS, explain: (reason) => reason });
    return JSON.parse(text).status === "ok" ? "worker" : undefined;
  } catch (error) {
    return error instanceof BehindAccess ? error : undefined;
  }
}

/** @param {string} origin */
async function untilAnswered(origin) {
  const end = Date.now() + START_SECONDS * 1000;
  for (let isFirst = true; !(await whoAnswers(origin)); isFirst = false) {
    if (Date.now() > end) return; // the checks that follow say what is wrong
    if (isFirst) say(`  A new address answers after a few seconds. Waiting up to ${START_SECONDS} seconds …`);
    await new Promise((done) => setTimeout(done, RETRY_MS));
  }
}

/**
 * Checks the deployed Worker. Returns the problem if Cloudflare Access answered for it: that is how
 * an address of operators should be, so only a refused service token is an error.
 *
 * @param {Report} report
 * @param {string} url
 * @param {Configuration} configuration
 */
async function checkUnlessClosed(report, url, configuration) {
  const forOperators = isForOperators(configuration);
  try {
    await checkDeployment(report, new URL(url), { isForOperators: forOperators });
    return undefined;
  } catch (error) {
    if (!(error instanceof BehindAccess)) throw error;
    const unchecked = forOperators ? "that it runs, and that it serves operators only" : "that it runs, its keys, its feed, its clock and its origins";
    if (error.hadToken) report.error(`The Worker is deployed, but deploy could not check ${unchecked}. ${error.message}`);
    else report.warning(`The Worker is deployed, and Cloudflare Access stands in front of ${url}. So deploy could not check ${unchecked}. ${REMEDY} Then run: npx pioneer-session doctor ${url}`);
    if (!forOperators) report.error(SHUTS_USERS_OUT);
    return error;
  }
}

/**
 * Whether this deployment is for operators only.
 *
 * @param {Configuration} configuration
 */
const isForOperators = ({ vars }) => String(vars.SERVES ?? "").trim() === "admin";

/**
 * The steps that remain.
 *
 * @param {string} url
 * @param {Configuration} configuration
 * @param {string[]} secrets
 * @param {boolean} isClosed whether Cloudflare Access stands in front of the Worker
 */
function farewell(url, configuration, secrets, isClosed) {
  if (isForOperators(configuration)) return `The Worker is deployed for operators at ${url}${isClosed ? "" : "\nClose this address to everybody else, for example with Cloudflare Access."}`;
  const { vars } = configuration;
  const left = [];
  if (!String(vars.PI_APP_ID ?? "").trim()) left.push("PI_APP_ID: sign in to your app once as yourself. The Worker logs the app_id that Pi names (npx wrangler tail). Put it into the configuration, and deploy again.");
  if (!secrets.includes("PI_API_KEY")) left.push("PI_API_KEY, for payments: copy the Server API Key from Pi's developer portal, then run: npx wrangler secret put PI_API_KEY");
  left.push(`In Pi's developer portal, set the URL of the app to the page that signs in at ${url}`);
  return `The Worker is deployed at ${url}\nLeft to do:\n${left.map((line) => `  - ${line}`).join("\n")}`;
}
