// The configuration that wrangler would deploy, and the secrets of this machine, held to what the Worker requires.

import { existsSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { isDotenv, isExposedToGit, readSecret } from "./files.mjs";
import { parseObject } from "./json.mjs";
import { decode, readKeys } from "./keys.mjs";
import { isKnownToOthers } from "./known-keys.mjs";
import { Misuse, Problem } from "./problem.mjs";

const PI_API = "https://api.minepi.com";
const SECRETS = ["SESSION_KEYS", "REFRESH_SECRET", "PI_API_KEY", "BACKEND_CREDENTIALS"];
const VARS = [
  "ENVIRONMENT", "SESSION_ISSUER", "SESSION_AUDIENCE", "SESSION_TTL", "REFRESH_IDLE_TTL", "REFRESH_MAX_TTL", "MAX_SESSIONS_PER_USER",
  "ALLOWED_ORIGINS", "SESSION_COOKIE", "RATE_LIMITS", "PI_API_BASE", "PI_APP_ID", "PI_NETWORK", "PAYMENTS_PER_RUN",
];
// In the order of src/service/limit.rs.
const LIMITS = [
  ...["SIGN_IN_LIMIT", "USER_SIGN_IN_LIMIT", "REFRESH_LIMIT", "ORDER_LIMIT", "PAYMENT_LIMIT", "AD_LIMIT"],
  ...["WRITE_LIMIT", "READ_LIMIT"],
];
const MAX_NAME_BYTES = 256;
const EMPTY_DATABASE_ID = "00000000-0000-0000-0000-000000000000";

export function checkConfiguration(report, { config, env, "secrets-file": secretsFile }) {
  if (secretsFile !== undefined && !isDotenv(secretsFile)) {
    throw new Misuse("--secrets-file must be a dotenv file: .dev.vars, .env, or a name that ends in .env.");
  }
  const configuration = readConfiguration(config, env);
  checkVars(report, configuration);
  checkBindings(report, configuration);
  checkSecrets(report, secretsFile ?? developmentSecrets(configuration, env));
}

/** The configured SESSION_ISSUER, if there is one. Without options, a folder without a configuration is one of a frontend. */
export function issuerOf({ config, env }) {
  try {
    const issuer = String(readConfiguration(config, env).vars.SESSION_ISSUER ?? "").trim();
    return URL.canParse(issuer) ? issuer : undefined;
  } catch (error) {
    if (!(error instanceof Problem) || config !== undefined || env !== undefined) throw error;
    return undefined;
  }
}

/** Through the project's own wrangler, so that what is checked is what it deploys. */
function readConfiguration(config, env) {
  let wrangler;
  try {
    wrangler = createRequire(join(process.cwd(), "package.json"))("wrangler");
  } catch {
    throw new Problem("wrangler, which reads the configuration, is not to be had in this folder. Install it: npm install --save-dev wrangler");
  }
  const read = (env) => {
    try {
      return wrangler.unstable_readConfig({ config, env }, { hideWarnings: true });
    } catch {
      // Why, is not repeated: the reason may quote the file.
      throw new Problem("wrangler cannot read the configuration. To see why: npx wrangler deploy --dry-run");
    }
  };
  const configuration = read();
  if (!configuration.configPath) {
    throw new Problem("There is no wrangler.toml, wrangler.json or wrangler.jsonc here. Go to the Worker's folder, or name the file with --config.");
  }
  if (env === undefined) return configuration;
  // wrangler itself would take the top level for it.
  if (!configuration.definedEnvironments.includes(env)) {
    throw new Problem("The configuration has no environment of the name in --env. Check its spelling.");
  }
  return read(env);
}

/** Where `wrangler dev` looks for them. */
function developmentSecrets({ configPath }, env) {
  const names = env ? [`.dev.vars.${env}`, ".dev.vars"] : [".dev.vars"];
  const files = names.map((name) => relative(process.cwd(), resolve(dirname(configPath), name)));
  return files.find((file) => existsSync(file)) ?? files.at(-1);
}

const isDevelopment = ({ vars }) => String(vars.ENVIRONMENT).trim() === "development";

function checkVars(report, configuration) {
  const { vars } = configuration;
  const production = !isDevelopment(configuration);
  for (const name of SECRETS) {
    if (name in vars) {
      report.error(`${name} is in vars. Secrets do not belong into the wrangler configuration, where whoever has the source can read them. Take it out, make a new one, and use: npx wrangler secret put ${name}`);
    }
  }
  const notText = VARS.filter((name) => name in vars && typeof vars[name] !== "string");
  for (const name of notText) report.error(`${name} must be text: write its value in quotes.`);
  // Empty counts as absent, as in the Worker, and here also what has been reported as no text.
  const setting = (name) => (typeof vars[name] === "string" ? vars[name].trim() : "");
  const required = (name, advice) => {
    const text = setting(name);
    if (text === "" && !notText.includes(name)) report.error(`${name} is missing. ${advice}`);
    if (Buffer.byteLength(text) <= MAX_NAME_BYTES) return text;
    report.error(`${name} must have at most ${MAX_NAME_BYTES} characters.`);
    return "";
  };
  const oneOf = (name, values) => {
    if (!["", ...values].includes(setting(name))) report.error(`${name} must be ${values.join(" or ")}.`);
  };

  oneOf("ENVIRONMENT", ["production", "development"]);
  if (!production) {
    report.warning("ENVIRONMENT is development: it permits other upstreams and plain http. Do not deploy this configuration.");
  }

  const issuer = required("SESSION_ISSUER", "Set it to the Worker's own origin, such as https://session.example.com");
  if (issuer) {
    const fault = originFault(issuer, production);
    if (fault) report.error(`SESSION_ISSUER ${fault}`);
    else if (/^(.+\.)?example\.(com|net|org)$/.test(new URL(issuer).hostname)) {
      report.error("SESSION_ISSUER is still the example. Set it to the origin at which this Worker is reached.");
    }
  }
  required("SESSION_AUDIENCE", "Set it to a name for your app; backends verify with the same.");

  const whole = (name, fallback, min, max, kind) => {
    const text = setting(name);
    if (text === "") return fallback;
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    report.error(`${name} must be ${kind} from ${min} to ${max}.`);
    return undefined;
  };
  const ttl = whole("SESSION_TTL", 600, 60, 3600, "whole seconds");
  // No session is shorter than its tokens, and none idles for longer than it lasts.
  const max = whole("REFRESH_MAX_TTL", 2_592_000, ttl ?? 600, 31_536_000, "whole seconds");
  whole("REFRESH_IDLE_TTL", 604_800, ttl ?? 600, max ?? 31_536_000, "whole seconds");
  whole("MAX_SESSIONS_PER_USER", 10, 1, 100, "a whole number");
  whole("PAYMENTS_PER_RUN", 7, 1, 100, "a whole number");

  oneOf("SESSION_COOKIE", ["on", "off"]);
  checkOrigins(report, setting, production);

  const network = setting("PI_NETWORK");
  if (!["", "Pi Network", "Pi Testnet"].includes(network)) {
    report.warning("PI_NETWORK is neither Pi Network nor Pi Testnet, as Pi names them: no payment would match it.");
  }

  oneOf("RATE_LIMITS", ["on", "off"]);
  if (production && setting("RATE_LIMITS") === "off") {
    report.error("RATE_LIMITS is off, which is for ENVIRONMENT=development alone. Take it out.");
  }
  const upstream = setting("PI_API_BASE").replace(/\/$/, "") || PI_API;
  if (production && upstream !== PI_API) {
    report.error(`PI_API_BASE must be ${PI_API}, which it is when it is not set: whoever answers there says who your users are.`);
  } else {
    const fault = originFault(upstream, production);
    if (fault) report.error(`PI_API_BASE ${fault}`);
  }
  if (setting("PI_APP_ID") === "") {
    report.warning("PI_APP_ID is not set: access tokens that were made for any other Pi app can sign in. Set it to the app_id that Pi's /v2/me answers for your app.");
  }
}

function checkOrigins(report, setting, production) {
  const origins = setting("ALLOWED_ORIGINS").split(",").map((origin) => origin.trim()).filter(Boolean);
  let isSound = true;
  origins.forEach((origin, index) => {
    const which = `ALLOWED_ORIGINS, entry ${index + 1},`;
    const opens = origin.includes("*") || origin === "null";
    const fault = opens ? undefined : originFault(origin, production);
    isSound &&= !opens && !fault;
    if (opens) {
      report.error(`${which} would open the Worker to pages of anybody. Origins are listed one by one, such as https://app.example.com`);
    } else if (fault) {
      report.error(`${which} ${fault}`);
    }
  });
  if (origins.length > 0) {
    if (isSound && production) checkSiblings(report, origins);
    return;
  }
  if (setting("SESSION_COOKIE") === "on") {
    report.error("SESSION_COOKIE is on, but ALLOWED_ORIGINS is empty: no page but the Worker's own could use the cookie. List the origins of your frontend.");
  } else {
    report.warning("ALLOWED_ORIGINS is empty: no page but the Worker's own can sign in. List the origins of your frontend.");
  }
}

/** Pi opens an app at the host that it has verified, which may be the www host, and at its pinet.com host. Each is an origin
 * of its own. */
function checkSiblings(report, origins) {
  const hosts = origins.map((origin) => new URL(origin).hostname);
  hosts.forEach((host, index) => {
    const isWww = host.startsWith("www.");
    // A third label may be a subdomain, which hardly has a www host, or belong to a suffix such as co.uk.
    if (!isWww && host.split(".").length !== 2) return;
    if (hosts.includes(isWww ? host.slice(4) : `www.${host}`)) return;
    report.warning(`ALLOWED_ORIGINS, entry ${index + 1}, is listed ${isWww ? "with www only" : "without its www host"}. Pages of the other are refused: list both if both can be opened.`);
  });
  if (!hosts.some((host) => host.endsWith(".pinet.com"))) {
    report.warning("ALLOWED_ORIGINS has no pinet.com origin, so the app's pages are refused where Pi opens them in PiNet. Add the app's own, such as https://app1234.pinet.com; Pi gives it to the app when it is registered.");
  }
}

/** Why a text is not an origin as browsers write it (RFC 6454 §6.2), in words that continue the setting's name. */
function originFault(text, production) {
  if (/^https?:\/\/[^/]+\/$/.test(text)) return "ends with a slash. An origin has none, such as https://app.example.com";
  if (/^https:.*:443$|^http:.*:80$/.test(text)) return "must leave out the default port, as browsers do.";
  const sound = /^https?:\/\/[a-z0-9.\-:[\]]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text && !text.endsWith(".");
  if (!sound) return "must be an https origin in lower case, without a path, such as https://app.example.com";
  if (production && text.startsWith("http:")) return "must be https. Plain http is for ENVIRONMENT=development.";
}

function checkBindings(report, configuration) {
  const production = !isDevelopment(configuration);
  const database = configuration.d1_databases?.find(({ binding }) => binding === "DB");
  if (!database) {
    report.error("There is no D1 database with the binding DB. Make one with `npx wrangler d1 create pioneer-session`, and name it under d1_databases.");
  } else if (production && database.database_id === EMPTY_DATABASE_ID) {
    report.error("The database_id of DB is still all zeros. Put in the one that `npx wrangler d1 create pioneer-session` prints.");
  }
  const limiters = [...(configuration.ratelimits ?? []), ...(configuration.unsafe?.bindings ?? [])];
  const missing = LIMITS.filter((limit) => !limiters.some(({ name }) => name === limit));
  if (production && missing.length > 0) {
    report.warning(`Rate limits without a binding limit nothing. Add under ratelimits: ${missing.join(", ")}. The README's "Rate limits" has their defaults.`);
  }
  if (production && !(configuration.triggers?.crons?.length > 0)) {
    report.warning('There is no cron trigger: payments that were interrupted are not finished, and old rows are not deleted. Add under triggers: crons = ["*/5 * * * *"]');
  }
}

function checkSecrets(report, file) {
  if (!existsSync(file)) {
    return report.note(`There is no ${file}, so no secrets were looked at. Those of production are at Cloudflare; for this machine: npx pioneer-session secrets`);
  }
  if (process.platform !== "win32" && (statSync(file).mode & 0o077) !== 0) {
    report.warning(`${file} can be read by other users of this machine. Close it: chmod 600 ${file}`);
  }
  if (isExposedToGit(file)) report.warning(`git does not ignore ${file}. Add it to .gitignore before the next commit.`);
  const secret = (name, check) => {
    try {
      const value = readSecret(file, name)?.trim();
      if (value) return check(value);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return report.error(error.message);
    }
    if (name === "SESSION_KEYS" || name === "REFRESH_SECRET") {
      report.note(`${name} is not in ${file}. Production's is at Cloudflare; for this machine: npx pioneer-session secrets`);
    }
  };
  let keys = [];
  secret("SESSION_KEYS", (value) => {
    ({ keys } = readKeys(value));
    keys.forEach(({ x }, index) => {
      if (isKnownToOthers(x)) {
        report.error(`SESSION_KEYS, key ${index + 1} of ${keys.length}: it is known to others (a published test key, or a seed that anybody would guess), so anybody can sign with it. Make a new set: npx pioneer-session keys new`);
      }
    });
  });
  secret("REFRESH_SECRET", (value) => {
    const bytes = decode(value);
    const make = "Make one: npx pioneer-session secrets refresh";
    if (!bytes) report.error(`REFRESH_SECRET is not base64url without padding. ${make}`);
    else if (bytes.length < 32) report.error(`REFRESH_SECRET is too short: it must be 32 random bytes or more. ${make}`);
    else if (bytes.every((byte) => byte === bytes[0])) report.error(`REFRESH_SECRET is one byte repeated, which anybody would guess. ${make}`);
    else if (keys.some(({ d }) => d === value)) report.error(`REFRESH_SECRET is the same as a key in SESSION_KEYS. Each secret must be its own. ${make}`);
  });
  secret("PI_API_KEY", (value) => {
    if (/^[\x21-\x7e]{8,256}$/.test(value) && !/[<>"']|^(your|my[_-]|change|placeholder|xxxx|pi_api_key)/i.test(value)) {
      return report.note("PI_API_KEY belongs to one Pi app on one network, and doctor does not ask Pi which. With the key of another one, Pi knows no payment: approve answers 404 payment_not_found. Take it from the portal's page of the app in PI_APP_ID, on the network in PI_NETWORK.");
    }
    report.error("PI_API_KEY is not a Server API Key but a placeholder, or was cut off. Put in the one from Pi's developer portal; without payments, ads and notifications, leave the line out.");
  });
  secret("BACKEND_CREDENTIALS", (value) => {
    const credentials = parseObject(value);
    if (!credentials || !Object.values(credentials).every((hash) => /^[0-9a-f]{64}$/.test(hash) && typeof hash === "string")) {
      report.error("BACKEND_CREDENTIALS must be a JSON object from a backend's name to the SHA-256 of its credential, 64 lower-case hex digits. Make entries: npx pioneer-session secrets backend NAME");
    }
  });
}
