// Credentials of callers: made here and shown once. The Worker knows each by its SHA-256.

import { createHash, randomBytes } from "node:crypto";
import { isDotenv, putCommand, readSecret, warnIfExposedToGit, writeSecret } from "./files.mjs";
import { parseObject } from "./json.mjs";
import { Misuse, Problem } from "./problem.mjs";

export const random = () => randomBytes(32).toString("base64url");

/**
 * Prints a new credential, and adds its entry to the secret `setting`: in the file if there is one,
 * otherwise as a text to copy.
 *
 * @param {object} caller
 * @param {string} caller.setting
 * @param {string} caller.name
 * @param {string | undefined} caller.file
 * @param {(sha256: string) => unknown} caller.entry its entry, from the hash of the credential
 * @param {string} caller.taken what to do if the name has an entry
 * @param {string} caller.use how the credential is used
 */
export function addCredential({ setting, name, file, entry, taken, use }) {
  if (file !== undefined) mustBeDotenv(file);
  const credential = random();
  const known = file === undefined ? {} : parseObject(readSecret(file, setting) ?? "{}");
  if (!known) throw new Problem(`${setting} in ${file} is not a JSON object. Fix or remove that line.`);
  if (Object.hasOwn(known, name)) throw new Problem(`${file} already has this name in ${setting}. ${taken}`);
  const added = [name, entry(createHash("sha256").update(credential).digest("hex"))];
  if (file !== undefined) {
    writeSecret(file, setting, JSON.stringify(Object.fromEntries([...Object.entries(known), added])).replaceAll("'", "\\u0027"));
    warnIfExposedToGit(file);
  }
  console.log(credential);
  console.error(`This credential is shown only once. ${use} The Worker keeps only its hash.`);
  console.error(
    file === undefined
      ? `Add its entry to ${setting}, a JSON object with one entry for each name:\n  ${JSON.stringify(Object.fromEntries([added]))}`
      : `Its entry is in ${file}. To put it into the Worker, run:\n  ${putCommand(file, setting)}`,
  );
}

/** @param {string} file */
export function mustBeDotenv(file) {
  if (!isDotenv(file)) throw new Misuse("--file must be a dotenv file: .dev.vars, .env, or a name that ends in .env.");
}
