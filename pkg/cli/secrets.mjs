// The Worker's secrets: made where they are missing, and handed on without being shown.

import { createHash, randomBytes } from "node:crypto";
import { chmodSync } from "node:fs";
import { isDotenv, putCommand, readSecret, warnIfExposedToGit, writeSecret } from "./files.mjs";
import { parseObject } from "./json.mjs";
import { newKeys } from "./keys.mjs";
import { Misuse, Problem } from "./problem.mjs";

const DEV_VARS = ".dev.vars";
const BACKEND_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

const PUT_LINES = `# Each line makes a value, and shows it to nobody. Cloudflare does not give it back: keep the keys in a file of yours,
# or they cannot be rotated later. To keep none: npx pioneer-session keys new | npx wrangler secret put SESSION_KEYS
npx pioneer-session keys new --file session-keys.json && npx wrangler secret put SESSION_KEYS < session-keys.json
npx pioneer-session secrets refresh | npx wrangler secret put REFRESH_SECRET
# wrangler asks for these. PI_API_KEY is for payments; \`npx pioneer-session secrets backend NAME\` makes the other.
npx wrangler secret put PI_API_KEY
npx wrangler secret put BACKEND_CREDENTIALS`;

const random = () => randomBytes(32).toString("base64url");

/** `secrets`: makes what is missing, and keeps what is there. */
export function write({ file = DEV_VARS, print }) {
  if (print) return console.log(PUT_LINES);
  mustBeDotenv(file);
  for (const [name, make] of [["SESSION_KEYS", newKeys], ["REFRESH_SECRET", random]]) {
    const missing = readSecret(file, name) === undefined;
    if (missing) writeSecret(file, name, make());
    console.error(missing ? `${name}: made, and written to ${file}.` : `${name}: is in ${file} already, and stays.`);
  }
  chmodSync(file, 0o600);
  warnIfExposedToGit(file);
}

/** `secrets refresh` */
export function refresh() {
  console.log(random());
}

/** `secrets show NAME`: for a pipe into wrangler. */
export function show({ file = DEV_VARS }, name) {
  mustBeDotenv(file);
  const value = readSecret(file, name);
  if (value === undefined) throw new Problem(`${file} has no such line. Names are written as in the file, such as SESSION_KEYS.`);
  console.log(value);
}

/** `secrets backend NAME`: a credential for a backend, and the entry by which the Worker knows it. */
export function backend({ file }, name) {
  if (!BACKEND_NAME.test(name)) throw new Misuse("The backend's name must be 1 to 64 letters, digits, dots, hyphens or underscores.");
  if (file !== undefined) mustBeDotenv(file);
  const credential = random();
  const known = file === undefined ? {} : parseObject(readSecret(file, "BACKEND_CREDENTIALS") ?? "{}");
  if (!known) throw new Problem(`BACKEND_CREDENTIALS in ${file} is not a JSON object. Mend or remove that line.`);
  if (Object.hasOwn(known, name)) {
    throw new Problem(`${file} has a backend of this name. To change its credential, add one under another name, and remove the old entry when it is out of use.`);
  }
  const entry = [name, createHash("sha256").update(credential).digest("hex")];
  if (file !== undefined) {
    writeSecret(file, "BACKEND_CREDENTIALS", JSON.stringify(Object.fromEntries([...Object.entries(known), entry])).replaceAll("'", "\\u0027"));
    warnIfExposedToGit(file);
  }
  console.log(credential);
  console.error("This credential is shown once: the backend sends it as Authorization: Bearer. The Worker keeps its hash alone.");
  console.error(
    file === undefined
      ? `Its entry in the JSON object that is BACKEND_CREDENTIALS, one for each backend:\n  ${JSON.stringify(Object.fromEntries([entry]))}`
      : `Its entry is in ${file}. To put it into the Worker:\n  ${putCommand(file, "BACKEND_CREDENTIALS")}`,
  );
}

function mustBeDotenv(file) {
  if (!isDotenv(file)) throw new Misuse("--file must be a dotenv file here: .dev.vars, .env, or a name that ends in .env.");
}
