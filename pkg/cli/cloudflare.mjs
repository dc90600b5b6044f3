// Reads and changes the Worker's account for `deploy`, through the project's own wrangler.

/** @import { Configuration } from "./wrangler.mjs" */

/** @typedef {{ config?: string, env?: string }} Target the options of wrangler that choose a Worker */
/** @typedef {{ id: string, name: string }} Account */
/** @typedef {{ uuid: string, name: string }} Database */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isPlaceholder } from "./issuer.mjs";
import { Problem } from "./problem.mjs";
import { startWrangler } from "./wrangler.mjs";

const MAX_QUOTED = 2_000; // characters: enough for an error of wrangler's, short enough to read

/** One Worker in one account. */
export class Cloudflare {
  /** @type {string[]} */
  #flags;
  /** @type {Record<string, string>} */
  #environment = {};

  /** @param {Target} target */
  constructor({ config, env }) {
    this.#flags = [...(config === undefined ? [] : ["--config", config]), ...(env === undefined ? [] : ["--env", env])];
  }

  /**
   * Lets every later call use this account, which the configuration need not name.
   *
   * @param {Account} account
   */
  use({ id }) {
    this.#environment = { CLOUDFLARE_ACCOUNT_ID: id };
  }

  /**
   * @param {string[]} args
   * @param {{ input?: string, env?: Record<string, string> }} [options]
   */
  #run(args, { input, env } = {}) {
    return startWrangler([...args, ...this.#flags], { input, env: { ...this.#environment, ...env } });
  }

  /** The accounts of the login. */
  async accounts() {
    const { status, stdout } = await this.#run(["whoami", "--json"]);
    const who = status === 0 ? json(stdout) : undefined;
    if (!Array.isArray(who?.accounts)) {
      throw new Problem("wrangler is not logged in to Cloudflare. Run: npx wrangler login (without a browser, set CLOUDFLARE_API_TOKEN)");
    }
    return /** @type {Account[]} */ (who.accounts);
  }

  /**
   * The names of the Worker's secrets. `isNew` says that the account has no such Worker yet.
   *
   * @returns {Promise<{ isNew: boolean, names: string[] }>}
   */
  async secrets() {
    const answer = await this.#run(["secret", "list", "--format", "json"]);
    if (answer.status !== 0 && /\bWorker "[^"]*".*\bnot found\b/.test(answer.stdout + answer.stderr)) return { isNew: true, names: [] };
    const secrets = json(sound(answer, "secret list").stdout);
    if (!Array.isArray(secrets)) throw new Problem("wrangler's list of secrets cannot be read. Update wrangler: npm install --save-dev wrangler@latest");
    return { isNew: false, names: secrets.map(({ name }) => String(name)) };
  }

  /**
   * Puts secrets into the Worker. They travel over standard input: the arguments of a process are
   * visible to other users of the machine.
   *
   * @param {Record<string, string | null>} values null removes a secret
   */
  async putSecrets(values) {
    sound(await this.#run(["secret", "bulk"], { input: JSON.stringify(values) }), "secret bulk");
  }

  /** All D1 databases of the account. */
  async databases() {
    const databases = json(sound(await this.#run(["d1", "list", "--json"]), "d1 list").stdout);
    if (!Array.isArray(databases)) throw new Problem("wrangler's list of databases cannot be read. Update wrangler: npm install --save-dev wrangler@latest");
    return /** @type {Database[]} */ (databases);
  }

  /** Applies the migrations by the binding's name, because the database may have been renamed. */
  async migrate() {
    sound(await this.#run(["d1", "migrations", "apply", "DB", "--remote"]), "d1 migrations apply DB --remote");
  }

  /**
   * Deploys, and returns the origin at which the Worker answers, if wrangler says so.
   *
   * @param {string} [issuer] replaces SESSION_ISSUER of the configuration
   */
  async deploy(issuer) {
    const folder = mkdtempSync(join(tmpdir(), "pioneer-session-deploy-"));
    const file = join(folder, "output.ndjson");
    try {
      const variable = issuer === undefined ? [] : ["--var", `SESSION_ISSUER:${issuer}`];
      sound(await this.#run(["deploy", ...variable], { env: { WRANGLER_OUTPUT_FILE_PATH: file } }), "deploy");
      return origin(readFileSync(file, "utf8"));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** Whether wrangler can build what it would deploy. It needs no login. */
  async rehearse() {
    sound(await this.#run(["deploy", "--dry-run"]), "deploy --dry-run");
  }

  /** SESSION_ISSUER of the version that runs now, or undefined if it has none. */
  async deployedIssuer() {
    const answer = await this.#run(["deployments", "status", "--json"]);
    if (answer.status !== 0 && /has no deployments/.test(answer.stdout + answer.stderr)) return undefined;
    const id = json(sound(answer, "deployments status").stdout)?.versions?.[0]?.version_id;
    const version = json(sound(await this.#run(["versions", "view", String(id), "--json"]), "versions view").stdout);
    // Another issuer would make every session invalid, so an unknown answer is an error.
    const bindings = version?.resources?.bindings;
    if (!Array.isArray(bindings)) throw new Problem("wrangler's description of the running version cannot be read. Update wrangler: npm install --save-dev wrangler@latest");
    const text = bindings.find(({ name }) => name === "SESSION_ISSUER")?.text;
    return typeof text === "string" && text !== "" && !isPlaceholder(text) ? text : undefined;
  }
}

/**
 * The origin of the Worker in wrangler's record of a deployment: a custom domain before
 * workers.dev, because the owner chose it.
 *
 * @param {string} record lines of JSON
 */
export function origin(record) {
  const deployment = record.split("\n").map((line) => json(line)).findLast((entry) => entry?.type === "deploy");
  const targets = Array.isArray(deployment?.targets) ? deployment.targets.map(String) : [];
  const custom = targets.find((/** @type {string} */ target) => /^[a-z0-9.-]+ \(custom domain/.test(target));
  if (custom) return `https://${custom.split(" ")[0]}`;
  const url = targets.find((/** @type {string} */ target) => target.startsWith("https://") && URL.canParse(target));
  return url && new URL(url).origin;
}

/**
 * The JSON value in a text; wrangler may print a notice before it.
 *
 * @param {string} text
 * @returns {any}
 */
function json(text) {
  const start = text.search(/^[[{]/m);
  try {
    return JSON.parse(text.slice(start === -1 ? 0 : start));
  } catch {
    return undefined;
  }
}

/**
 * Returns the answer of a command that succeeded. Otherwise, reports wrangler's own error.
 *
 * @template {{ status: number | null, stdout: string, stderr: string }} Answer
 * @param {Answer} answer
 * @param {string} command
 * @returns {Answer}
 */
function sound(answer, command) {
  if (answer.status === 0) return answer;
  const said = `${answer.stdout}\n${answer.stderr}`.replace(/\x1b\[[0-9;]*m/g, "").trim().slice(-MAX_QUOTED);
  throw new Problem(`\`wrangler ${command}\` failed. wrangler says:\n${said || "(nothing)"}`);
}
