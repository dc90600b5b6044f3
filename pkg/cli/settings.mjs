// The settings of the Worker, read as src/service/settings.rs reads them. Both run the cases in
// tests/settings.json.

/** @import { Report } from "./report.mjs" */
/** @import { Vars } from "./wrangler.mjs" */

import { isPlaceholder } from "./issuer.mjs";
import { checkOrigins, originFault } from "./origins.mjs";
import { trim } from "./text.mjs";

const PI_API = "https://api.minepi.com";
const SECRETS = ["SESSION_KEYS", "SESSION_KEYS_NEXT", "REFRESH_SECRET", "PI_API_KEY", "BACKEND_CREDENTIALS", "OPERATOR_CREDENTIALS"];
export const VARS = [
  "ENVIRONMENT", "SESSION_ISSUER", "SESSION_AUDIENCE", "SESSION_TTL", "REFRESH_IDLE_TTL", "REFRESH_MAX_TTL", "MAX_SESSIONS_PER_USER",
  "ALLOWED_ORIGINS", "SESSION_COOKIE", "RATE_LIMITS", "COUNTS", "LOG_IDS", "LOG_POLLS", "PI_API_BASE", "PI_APP_ID", "PI_NETWORK", "RECONCILE_LIMIT",
  "SERVES",
];
const MAX_NAME_BYTES = 256; // as the Worker: issuer and audience are in every token

/** @param {Vars} vars */
export const isDevelopment = (vars) => trim(String(vars.ENVIRONMENT)) === "development";

/**
 * @param {Report} report
 * @param {Vars} vars
 * @param {{ issuerComesLater?: boolean }} [options] `deploy` sets an issuer that is missing
 */
export function checkSettings(report, vars, { issuerComesLater = false } = {}) {
  const production = !isDevelopment(vars);
  for (const name of SECRETS) {
    if (name in vars) {
      report.error(`${name} is in vars. Secrets must not be in the wrangler configuration: anyone with the source can read them. Remove it, generate a new one, then run: npx wrangler secret put ${name}`);
    }
  }
  const notText = VARS.filter((name) => name in vars && typeof vars[name] !== "string");
  for (const name of notText) report.error(`${name} must be text. Write its value in quotes.`);
  // Empty counts as absent, as in the Worker. So does a value that has been reported as no text.
  /** @type {(name: string) => string} */
  const setting = (name) => (typeof vars[name] === "string" ? trim(vars[name]) : "");
  /** @type {(name: string, advice: string) => string} */
  const required = (name, advice) => {
    const text = setting(name);
    if (text === "" && !notText.includes(name)) report.error(`${name} is missing. ${advice}`);
    if (Buffer.byteLength(text) <= MAX_NAME_BYTES) return text;
    report.error(`${name} must have at most ${MAX_NAME_BYTES} characters. Choose a shorter one.`);
    return "";
  };
  /** @type {(name: string, values: string[]) => void} */
  const oneOf = (name, values) => {
    if (!["", ...values].includes(setting(name))) report.error(`${name} must be ${values.join(" or ")}.`);
  };

  oneOf("ENVIRONMENT", ["production", "development"]);
  oneOf("SERVES", ["all", "app", "admin"]);

  const isUnset = setting("SESSION_ISSUER") === "" || isPlaceholder(setting("SESSION_ISSUER"));
  const issuer = issuerComesLater && isUnset ? "" : required("SESSION_ISSUER", "Set it to the Worker's own origin, such as https://session.example.com");
  if (issuer) {
    const fault = originFault(issuer, production);
    if (fault) report.error(`SESSION_ISSUER ${fault}`);
    else if (isPlaceholder(issuer)) {
      report.error("SESSION_ISSUER is still the example. Set it to the Worker's own origin, or run `npx pioneer-session deploy`, which sets it.");
    }
  }
  required("SESSION_AUDIENCE", "Set it to a name for your app. Backends verify sessions with the same name.");

  /** @type {(name: string, fallback: number, min: number, max: number, kind: string) => number | undefined} */
  const whole = (name, fallback, min, max, kind) => {
    const text = setting(name);
    if (text === "") return fallback;
    // Rust's integers: ASCII digits, with a plus sign or leading zeros if need be.
    const value = /^\+?[0-9]+$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    report.error(`${name} must be ${kind} from ${min} to ${max}.`);
    return undefined;
  };
  const ttl = whole("SESSION_TTL", 600, 60, 3600, "whole seconds");
  // No session is shorter than its tokens, and none idles for longer than it lasts.
  const max = whole("REFRESH_MAX_TTL", 2_592_000, ttl ?? 600, 31_536_000, "whole seconds");
  whole("REFRESH_IDLE_TTL", 604_800, ttl ?? 600, max ?? 31_536_000, "whole seconds");
  whole("MAX_SESSIONS_PER_USER", 10, 1, 100, "a whole number");
  whole("RECONCILE_LIMIT", 7, 1, 100, "a whole number");

  oneOf("SESSION_COOKIE", ["on", "off"]);
  checkOrigins(report, setting("ALLOWED_ORIGINS"), setting("SESSION_COOKIE") === "on", production);

  oneOf("COUNTS", ["on", "off"]);
  oneOf("LOG_IDS", ["on", "off"]);
  oneOf("LOG_POLLS", ["on", "off"]);
  oneOf("RATE_LIMITS", ["on", "off"]);
  if (production && setting("RATE_LIMITS") === "off") {
    report.error("RATE_LIMITS is off, which is only for ENVIRONMENT=development. Remove it.");
  }
  const upstream = setting("PI_API_BASE") === "" ? PI_API : setting("PI_API_BASE").replace(/\/$/, "");
  if (production && upstream !== PI_API) {
    report.error(`PI_API_BASE must be ${PI_API}: the server at that address decides who your users are. Remove it, because this is the default.`);
  } else {
    // The Worker only calls it, so that a default port does no harm.
    const fault = originFault(upstream, production, { mayHaveDefaultPort: true });
    if (fault) report.error(`PI_API_BASE ${fault}`);
  }
  if (setting("PI_APP_ID") === "") {
    report.warning("PI_APP_ID is not set, so access tokens of any other Pi app can sign in. Set it to the app_id that Pi's /v2/me returns for your app.");
  }
}
