// The `secrets` commands: they create the Worker's secrets, and pass them on without showing them.

import { chmodSync } from "node:fs";
import { addCredential, mustBeDotenv, random } from "./credentials.mjs";
import { readSecret, warnIfExposedToGit, writeSecret } from "./files.mjs";
import { newKeys } from "./keys.mjs";
import { Misuse, Problem } from "./problem.mjs";

const DEV_VARS = ".dev.vars";
const BACKEND_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

const PUT_LINES = `# Each of these lines creates a secret without showing it. Cloudflare never returns a secret, so keep the file of the keys:
# without it you cannot rotate them. To keep no file: npx pioneer-session keys new | npx wrangler secret put SESSION_KEYS
npx pioneer-session keys new --file session-keys.json && npx wrangler secret put SESSION_KEYS < session-keys.json
npx pioneer-session secrets refresh | npx wrangler secret put REFRESH_SECRET
# wrangler asks for the values of these. Payments need PI_API_KEY, from Pi's developer portal. Backends need
# BACKEND_CREDENTIALS: \`npx pioneer-session secrets backend NAME\` creates an entry. Operators need
# OPERATOR_CREDENTIALS: \`npx pioneer-session operators add NAME\` creates an entry.
npx wrangler secret put PI_API_KEY
npx wrangler secret put BACKEND_CREDENTIALS
npx wrangler secret put OPERATOR_CREDENTIALS`;

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
  addCredential({
    setting: "BACKEND_CREDENTIALS",
    name,
    file,
    entry: (sha256) => sha256,
    taken: "To change a backend's credential, add another name, then remove the old entry once the backend uses the new one.",
    use: "The backend sends it as Authorization: Bearer.",
  });
}
