// `doctor` on a folder: the wrangler configuration that would be deployed, and the local secrets.

/** @import { Report } from "./report.mjs" */
/** @import { Configuration } from "./wrangler.mjs" */

/** @typedef {{ config?: string, env?: string, "secrets-file"?: string }} Options */

import { existsSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { isDotenv } from "./files.mjs";
import { checkLocalSecrets } from "./local-secrets.mjs";
import { checkMistakes } from "./mistakes.mjs";
import { Misuse, Problem } from "./problem.mjs";
import { checkSettings, isDevelopment } from "./settings.mjs";
import { readConfiguration } from "./wrangler.mjs";

// In the order of src/service/limit.rs.
const LIMITS = [
  ...["SIGN_IN_LIMIT", "USER_SIGN_IN_LIMIT", "REFRESH_LIMIT", "ORDER_LIMIT", "PAYMENT_LIMIT", "AD_LIMIT"],
  ...["WRITE_LIMIT", "READ_LIMIT"],
];

/**
 * @param {Report} report
 * @param {Options & { issuerComesLater?: boolean }} options `deploy` sets a missing issuer
 */
export function checkConfiguration(report, { config, env, "secrets-file": secretsFile, issuerComesLater }) {
  if (secretsFile !== undefined && !isDotenv(secretsFile)) {
    throw new Misuse("--secrets-file must be a dotenv file: .dev.vars, .env, or a name that ends in .env.");
  }
  if (secretsFile !== undefined && !existsSync(secretsFile)) throw new Problem("The file in --secrets-file does not exist. Check its path.");
  const configuration = readConfiguration(config, env);
  checkSettings(report, configuration.vars, { issuerComesLater });
  checkLimits(report, configuration);
  checkMistakes(report, configuration);
  checkLocalSecrets(report, secretsFile ?? developmentSecrets(configuration, env));
}

/**
 * The configured SESSION_ISSUER, if there is one. Without options, a folder without a configuration
 * has none.
 *
 * @param {{ config?: string, env?: string }} options
 */
export function issuerOf({ config, env }) {
  try {
    const issuer = String(readConfiguration(config, env).vars.SESSION_ISSUER ?? "").trim();
    return URL.canParse(issuer) ? issuer : undefined;
  } catch (error) {
    if (!(error instanceof Problem) || config !== undefined || env !== undefined) throw error;
    return undefined;
  }
}

/**
 * The file in which `wrangler dev` looks for secrets.
 *
 * @param {Configuration} configuration
 * @param {string | undefined} env
 */
function developmentSecrets({ configPath }, env) {
  const pathOf = (/** @type {string} */ name) => relative(process.cwd(), resolve(dirname(configPath), name));
  const environmentFile = env && pathOf(`.dev.vars.${env}`);
  return environmentFile && existsSync(environmentFile) ? environmentFile : pathOf(".dev.vars");
}

/**
 * @param {Report} report
 * @param {Configuration} configuration
 */
function checkLimits(report, configuration) {
  const production = !isDevelopment(configuration.vars);
  const limiters = [...(configuration.ratelimits ?? []), ...(configuration.unsafe?.bindings ?? [])];
  const missing = LIMITS.filter((limit) => !limiters.some(({ name }) => name === limit));
  if (production && missing.length > 0) {
    report.warning(`Some rate limits have no binding, so they limit nothing. Add them under ratelimits, with the defaults in docs/settings.md, "Rate limits": ${missing.join(", ")}.`);
  }
}
