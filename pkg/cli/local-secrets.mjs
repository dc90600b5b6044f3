// The secrets in a dotenv file of this machine, checked as the Worker checks its own.

/** @import { Key } from "./keys.mjs" */
/** @import { Report } from "./report.mjs" */

import { existsSync, statSync } from "node:fs";
import { isExposedToGit, readSecret } from "./files.mjs";
import { parseObject } from "./json.mjs";
import { decode, readComingKeys, readKeys } from "./keys.mjs";
import { isKnownToOthers } from "./known-keys.mjs";
import { Problem } from "./problem.mjs";
import { trim } from "./text.mjs";

const MIN_REFRESH_BYTES = 32;

/**
 * @param {Report} report
 * @param {string} file
 */
export function checkLocalSecrets(report, file) {
  if (!existsSync(file)) {
    return report.note(`There is no ${file}, so no secrets were checked. Cloudflare has those of production. To create some for this machine, run: npx pioneer-session secrets`);
  }
  if (process.platform !== "win32" && (statSync(file).mode & 0o077) !== 0) {
    report.warning(`Other users of this machine can read ${file}. Run: chmod 600 ${file}`);
  }
  if (isExposedToGit(file)) report.warning(`git does not ignore ${file}. Add it to .gitignore before the next commit.`);
  /** @type {(name: string, check: (value: string) => void) => void} */
  const secret = (name, check) => {
    try {
      const value = trim(readSecret(file, name) ?? "");
      if (value) return check(value);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return report.error(error.message);
    }
    if (name === "SESSION_KEYS" || name === "REFRESH_SECRET") {
      report.note(`${name} is not in ${file}. Cloudflare has that of production. To create one for this machine, run: npx pioneer-session secrets`);
    }
  };
  /** @type {Key[]} */
  let keys = [];
  /** @type {(name: string, keys: Key[]) => void} */
  const mustBeSecret = (name, keys) =>
    keys.forEach(({ x }, index) => {
      if (isKnownToOthers(x)) {
        report.error(`${name}, key ${index + 1} of ${keys.length}: others know this key (a published test key, or a seed that anyone would guess), so anyone can sign with it. Create a new set: npx pioneer-session keys new`);
      }
    });
  secret("SESSION_KEYS", (value) => {
    ({ keys } = readKeys(value));
    mustBeSecret("SESSION_KEYS", keys);
  });
  secret("SESSION_KEYS_NEXT", (value) => mustBeSecret("SESSION_KEYS_NEXT", readComingKeys(value).keys));
  secret("REFRESH_SECRET", (value) => {
    const bytes = decode(value);
    const create = "Create a new one: npx pioneer-session secrets refresh";
    if (!bytes) report.error(`REFRESH_SECRET is not base64url without padding. ${create}`);
    else if (bytes.length < MIN_REFRESH_BYTES) report.error(`REFRESH_SECRET is too short: it must have ${MIN_REFRESH_BYTES} random bytes or more. ${create}`);
    else if (bytes.every((byte) => byte === bytes[0])) report.error(`REFRESH_SECRET repeats one byte, which anyone would guess. ${create}`);
    else if (keys.some(({ d }) => d === value)) report.error(`REFRESH_SECRET is also a key in SESSION_KEYS. Use each secret for one purpose only. ${create}`);
  });
  secret("PI_API_KEY", (value) => {
    if (/^[\x21-\x7e]{8,256}$/.test(value) && !/[<>"']|^(your|my[_-]|change|placeholder|xxxx|pi_api_key)/i.test(value)) {
      return report.note("PI_API_KEY belongs to one Pi app on one network, and doctor cannot check which. With another app's key, Pi knows no payment: approve answers 404 payment_not_found. Use the key from the page of the app in PI_APP_ID in Pi's developer portal, on the network in PI_NETWORK.");
    }
    report.error("PI_API_KEY is a placeholder, or was cut off. Set it to the Server API Key from Pi's developer portal. If the app uses no payments, ads or notifications, remove the line.");
  });
  /** @type {(hash: unknown) => boolean} */
  const isHash = (hash) => typeof hash === "string" && /^[0-9a-f]{64}$/i.test(hash);
  secret("BACKEND_CREDENTIALS", (value) => {
    const credentials = parseObject(value);
    if (!credentials || !Object.values(credentials).every(isHash)) {
      report.error("BACKEND_CREDENTIALS must be a JSON object from a backend's name to the SHA-256 of its credential, in 64 hex digits. Create an entry: npx pioneer-session secrets backend NAME");
    }
  });
  secret("OPERATOR_CREDENTIALS", (value) => {
    const operators = parseObject(value);
    /** @type {(operator: [name: string, entry: any]) => boolean} */
    const isOperator = ([name, entry]) =>
      /^[A-Za-z0-9_-]{1,128}$/.test(name) && entry?.constructor === Object && Object.keys(entry).sort().join() === "role,sha256" && isHash(entry.sha256) && ["viewer", "owner"].includes(entry.role);
    if (!operators || !Object.entries(operators).every(isOperator)) {
      return report.error('OPERATOR_CREDENTIALS must be a JSON object from an operator\'s name to {"sha256","role"}: the SHA-256 of the credential in 64 hex digits, and viewer or owner. Create an entry: npx pioneer-session operators add NAME');
    }
    const hashes = Object.values(operators).map(({ sha256 }) => sha256.toLowerCase());
    if (new Set(hashes).size < hashes.length) {
      report.error("OPERATOR_CREDENTIALS has one credential under two names, so the Worker could not tell them apart. Create one for each: npx pioneer-session operators add NAME");
    }
  });
}
