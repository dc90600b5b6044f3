// The `secrets` commands: they create the Worker's secrets, and pass them on without showing them.

import { createHash, randomBytes } from "node:crypto";
import { chmodSync } from "node:fs";
import { isDotenv, putCommand, readSecret, warnIfExposedToGit, writeSecret } from "./files.mjs";
import { parseObject } from "./json.mjs";
import { newKeys } from "./keys.mjs";
import { Misuse, Problem } from "./problem.mjs";

const DEV_VARS = ".dev.vars";
const BACKEND_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

const PUT_LINES = `# Each of these lines creates a secret without showing it. Cloudflare never returns a secret, so keep the file of the keys:
# without it you cannot rotate them. To keep no file: npx pioneer-session keys new | npx wrangler secret put SESSION_KEYS
npx pioneer-session keys new --file session-keys.json && npx wrangler secret put SESSION_KEYS < session-keys.json
npx pioneer-session secrets refresh | npx wrangler secret put REFRESH_SECRET
# wrangler asks for the values of these. Payments need PI_API_KEY, from Pi's developer portal. Backends need
# BACKEND_CREDENTIALS: \`npx pioneer-session secrets backend NAME\` creates an entry.
npx wrangler secret put PI_API_KEY
npx wrangler secret put BACKEND_CREDENTIALS`;

const random = () => randomBytes(32).toString("base64url");

/**
 * `secrets`: creates the missing secrets, and keeps the others.
 *
 * @param {{ file?: string, print?: boolean, quiet?: boolean }} options
 */
export function write({ file = DEV_VARS, print, quiet = false }) {
  if (print) return console.log(PUT_LINES);
  mustBeDotenv(file);
  for (const [name, make] of Object.entries({ SESSION_KEYS: newKeys, REFRESH_SECRET: random })) {
    const missing = readSecret(file, name) === undefined;
    if (missing) writeSecret(file, name, make());
    if (!quiet) console.error(missing ? `${name}: created in ${file}.` : `${name}: already in ${file}, unchanged.`);
  }
  chmodSync(file, 0o600);
  warnIfExposedToGit(file);
}

/** `secrets refresh` */
export function refresh() {
  console.log(random());
}

/**
 * `secrets show NAME`: for a pipe into wrangler.
 *
 * @param {{ file?: string }} options
 * @param {string} name
 */
export function show({ file = DEV_VARS }, name) {
  mustBeDotenv(file);
  const value = readSecret(file, name);
  if (value === undefined) throw new Problem(`${file} has no secret with this name. Write the name as in the file, such as SESSION_KEYS.`);
  console.log(value);
}

/**
 * `secrets backend NAME`: a credential for a backend, and the entry by which the Worker knows it.
 *
 * @param {{ file?: string }} options
 * @param {string} name
 */
export function backend({ file }, name) {
  if (!BACKEND_NAME.test(name)) throw new Misuse("NAME must be 1 to 64 letters, digits, dots, hyphens or underscores, and begin with a letter or a digit.");
  if (file !== undefined) mustBeDotenv(file);
  const credential = random();
  const known = file === undefined ? {} : parseObject(readSecret(file, "BACKEND_CREDENTIALS") ?? "{}");
  if (!known) throw new Problem(`BACKEND_CREDENTIALS in ${file} is not a JSON object. Fix or remove that line.`);
  if (Object.hasOwn(known, name)) {
    throw new Problem(`${file} already has a backend with this name. To change its credential, add another name, then remove the old entry once the backend uses the new one.`);
  }
  const entry = [name, createHash("sha256").update(credential).digest("hex")];
  if (file !== undefined) {
    writeSecret(file, "BACKEND_CREDENTIALS", JSON.stringify(Object.fromEntries([...Object.entries(known), entry])).replaceAll("'", "\\u0027"));
    warnIfExposedToGit(file);
  }
  console.log(credential);
  console.error("This credential is shown only once. The backend sends it as Authorization: Bearer. The Worker keeps only its hash.");
  console.error(
    file === undefined
      ? `Add its entry to BACKEND_CREDENTIALS, a JSON object with one entry for each backend:\n  ${JSON.stringify(Object.fromEntries([entry]))}`
      : `Its entry is in ${file}. To put it into the Worker, run:\n  ${putCommand(file, "BACKEND_CREDENTIALS")}`,
  );
}

/** @param {string} file */
function mustBeDotenv(file) {
  if (!isDotenv(file)) throw new Misuse("--file must be a dotenv file: .dev.vars, .env, or a name that ends in .env.");
}
