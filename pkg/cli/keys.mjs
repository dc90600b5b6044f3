// The `keys` commands: they create, rotate, retire and publish the keys that sign sessions, which
// are the value of the secret SESSION_KEYS.

/** @typedef {"next" | "active" | "retired"} State */

/**
 * A JWK, private unless it is only published. `since` is the time from which it has had its state.
 *
 * @typedef {{ kty: string, crv: string, x: string, kid: string }} PublicJwk
 * @typedef {PublicJwk & { d?: string, state: State, since?: string }} Key
 */

/** @typedef {{ keys: Key[] }} KeySet the value of SESSION_KEYS */

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { isSecure } from "../verify/secure.mjs";
import { isDotenv, putCommand, readSecret, warnIfExposedToGit, writeSecret } from "./files.mjs";
import { parseObject } from "./json.mjs";
import { Misuse, Problem } from "./problem.mjs";
import { request } from "./request.mjs";

const PUBLISH_SECONDS = 600; // verifiers keep keys for five minutes, and so do HTTP caches before them
const MAX_TOLERANCE_SECONDS = 60; // the most that a verifier may tolerate after a token has expired
const MIN_SESSION_TTL = 60;
const MAX_SESSION_TTL = 3600;
const MAX_KEYS = 100;
const MAX_INPUT = 256 * 1024; // a hundred keys have a tenth of that
const JWKS_LIMITS = { timeoutMs: 5_000, maxBytes: 64 * 1024 };

const STATES = ["next", "active", "retired"];
/** The members of a JWK that the Worker reads as text. */
const TEXTS = ["kty", "crv", "kid", "x", "alg", "use", "state", "d", "k", "p", "q"];
const PKCS8_ED25519 = Buffer.from("302e020100300506032b657004220420", "hex"); // RFC 8410 §7, before the seed

/**
 * A new Ed25519 key as a private JWK. Its "kid" is its RFC 7638 thumbprint.
 *
 * @param {State} state
 * @returns {Key}
 */
export function newKey(state = "active") {
  const jwk = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const { kty, crv, x, d } = /** @type {Pick<Key, "kty" | "crv" | "x"> & { d: string }} */ (jwk);
  return { kty, crv, x, d, kid: thumbprint(x), state };
}

/** A new value for SESSION_KEYS. */
export function newKeys() {
  return JSON.stringify({ keys: [{ ...newKey(), since: timestamp() }] });
}

/** @param {string} x */
export const thumbprint = (x) => createHash("sha256").update(JSON.stringify({ crv: "Ed25519", kty: "OKP", x })).digest("base64url");

/**
 * The public key `x` of a seed of 32 bytes.
 *
 * @param {Buffer} seed
 */
export function publicKey(seed) {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: "der", type: "pkcs8" });
  return /** @type {string} */ (createPublicKey(key).export({ format: "jwk" }).x);
}

/**
 * The bytes of strict base64url without padding, or undefined.
 *
 * @param {unknown} text
 */
export function decode(text) {
  if (typeof text !== "string") return undefined;
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : undefined;
}

/**
 * Reads keys as strictly as the Worker does, and names a fault without showing any key.
 *
 * @param {string} text
 * @param {{ mayLackActive?: boolean }} [options] for a file whose new key does not sign yet
 * @returns {KeySet}
 */
export function readKeys(text, { mayLackActive = false } = {}) {
  const set = readSet("SESSION_KEYS", text);
  const active = set.keys.filter(({ state }) => state === "active").length;
  const isAnnounced = set.keys.some(({ state, d }) => state === "next" && d) && set.keys.some(({ state, d }) => state === "retired" && !d);
  if (mayLackActive && active === 0 && isAnnounced) return set;
  if (active !== 1) throw new Problem(`SESSION_KEYS has ${active} active keys. It must have exactly one, which signs.`);
  return set;
}

/**
 * Reads the value of SESSION_KEYS_NEXT: keys that the Worker only publishes.
 *
 * @param {string} text
 * @returns {KeySet}
 */
export function readComingKeys(text) {
  const set = readSet("SESSION_KEYS_NEXT", text);
  if (set.keys.some(({ state }) => state !== "next")) throw new Problem('SESSION_KEYS_NEXT has a key with another state than next. Create it: npx pioneer-session keys rotate --issuer URL');
  return set;
}

/**
 * @param {string} name
 * @param {string} text
 * @returns {KeySet}
 */
function readSet(name, text) {
  const set = /** @type {KeySet | undefined} */ (parseObject(text));
  if (!Array.isArray(set?.keys)) {
    throw new Problem(`${name} is not a JSON object {"keys":[…]} without duplicate members. Check whether it was cut off, or quoted twice.`);
  }
  const { keys } = set;
  if (keys.length === 0) throw new Problem(`${name} has no key. Create a set: npx pioneer-session keys new`);
  if (keys.length > MAX_KEYS) throw new Problem(`${name} has more than ${MAX_KEYS} keys. Remove retired ones.`);
  keys.forEach((key, index) => {
    const fault = keyFault(key);
    if (fault) throw new Problem(`${name}, key ${index + 1} of ${keys.length}: ${fault}`);
  });
  if (new Set(keys.map(({ kid }) => kid)).size < keys.length) {
    throw new Problem(`${name} has duplicate keys. Remove one of them.`);
  }
  return set;
}

/**
 * @param {any} key
 * @returns {string | undefined}
 */
function keyFault(key) {
  if (key === null || typeof key !== "object") return "it is not a JSON Web Key (an object).";
  const { kty, crv, x, d, kid, alg, use, key_ops: operations, state } = key;
  /** @type {(value: unknown) => boolean} */
  const isAbsent = (value) => value === undefined || value === null;
  /** @type {(value: unknown) => boolean} */
  const isText = (value) => typeof value === "string";
  const wrong = TEXTS.find((name) => !isAbsent(key[name]) && !isText(key[name]));
  if (wrong !== undefined) return `"${wrong}" must be text. Use the set that \`keys new\` created.`;
  if (!isAbsent(operations) && !(Array.isArray(operations) && operations.every(isText))) return '"key_ops" must be a list of texts. Use the set that `keys new` created.';
  /** @type {(member: string, values: string[]) => boolean} */
  const fits = (member, values) => isAbsent(member) || values.includes(member);
  const signs = isAbsent(operations) || ["verify", "sign"].some((name) => operations.includes(name));
  if (kty !== "OKP" || crv !== "Ed25519" || !fits(alg, ["EdDSA", "Ed25519"]) || !fits(use, ["sig"]) || !signs) {
    return 'it is not an Ed25519 signature key ("kty" OKP, "crv" Ed25519). Create one: npx pioneer-session keys new';
  }
  // The Worker publishes such a key, and never signs with it.
  const isPublic = isAbsent(d) && ["next", "retired"].includes(state);
  if (isAbsent(d) && !isPublic) return 'the private member "d" is missing: this is a public key. Use the set that `keys new` created.';
  const seed = decode(d);
  if (decode(x)?.length !== 32 || (!isPublic && seed?.length !== 32)) return '"x" and "d" must each be 32 bytes in base64url without padding. Check whether the set was cut off.';
  if (seed && publicKey(seed) !== x) return '"d" does not belong to "x". Check whether two keys were mixed up.';
  if (kid !== thumbprint(x)) return '"kid" is not the key\'s RFC 7638 thumbprint. Restore the original "kid".';
  if (!STATES.includes(state)) return '"state" must be next, active or retired.';
  return undefined;
}

/**
 * `keys new`
 *
 * @param {{ file?: string }} options
 */
export function create({ file }) {
  const text = file === undefined ? undefined : readSecret(file, "SESSION_KEYS");
  if (text !== undefined && !parseObject(text)?.keys) throw new Problem(`${file} is not a file of keys, and it is not overwritten. Name another file.`);
  if (text !== undefined) {
    throw new Problem(`${file} already has keys, and they are not overwritten. To change the key, run: npx pioneer-session keys rotate --file ${file}`);
  }
  store(file, newKeys());
}

/**
 * `keys rotate`: adds a key as "next". Once it has been published for long enough, the next call
 * makes it the active one. With --now, one call does both.
 *
 * @param {{ file?: string, now?: boolean, issuer?: string, "session-ttl"?: string }} options
 */
export async function rotate({ file, now, issuer, "session-ttl": ttl }) {
  const retirement = retireSeconds(ttl);
  if (issuer !== undefined) return announce(issuer, file, now);
  const set = await load(file, { mayLackActive: true });
  const lacksActive = !set.keys.some(({ state }) => state === "active");
  const published = set.keys.find(({ state }) => state === "next");
  if (!published && !now) {
    set.keys.push({ ...newKey("next"), since: timestamp() });
    store(file, JSON.stringify(set));
    console.error(
      `The set has a new key as "next", which verifiers learn before it signs. Put the set into the Worker now, wait ${minutes(PUBLISH_SECONDS)}, and run \`keys rotate\` again.`,
    );
    return;
  }
  const next = published ?? newKey("next");
  if (!published) set.keys.push(next);
  mustHaveBeen(next, PUBLISH_SECONDS, now, "some verifiers may not know the key yet, and would refuse its tokens");
  for (const key of set.keys) {
    const state = key === next ? "active" : key.state === "active" ? "retired" : key.state;
    // Of the issuer's published keys, only this moment is known.
    if (state !== key.state || (lacksActive && !key.since)) Object.assign(key, { state, since: timestamp() });
  }
  store(file, JSON.stringify(set));
  const then = now
    ? "If the old key was stolen, also run `keys retire --now`, then put the set into the Worker. Verifiers learn both within ten minutes."
    : `Put the set into the Worker now, wait ${minutes(retirement)}, and run \`keys retire\`.`;
  console.error(`The new key is "active". The old one is "retired", and its tokens are still valid. ${then}`);
  if (lacksActive) console.error("After that, delete the secret that announced the key: npx wrangler secret delete SESSION_KEYS_NEXT");
}

/**
 * `keys rotate --issuer URL`: begins a change of keys without the private key that signs now, which
 * nobody has when the deployment created it. The new key goes into the file. Its public half is
 * printed: as SESSION_KEYS_NEXT, the Worker publishes it beside the others.
 *
 * @param {string} issuer
 * @param {string | undefined} file
 * @param {boolean | undefined} now
 */
async function announce(issuer, file, now) {
  if (file === undefined) throw new Misuse("--issuer needs --file, the file for the new key.");
  if (now) throw new Misuse("--issuer and --now cannot be combined: verifiers must learn the new key first.");
  if (!URL.canParse(issuer) || new URL(issuer).origin !== issuer || !isSecure(new URL(issuer))) throw new Misuse("--issuer must be the Worker's origin, as in SESSION_ISSUER, such as https://session.example.com");
  const text = readSecret(file, "SESSION_KEYS");
  let next;
  if (text === undefined) {
    next = { ...newKey("next"), since: timestamp() };
    const published = await publishedKeys(issuer);
    save(file, JSON.stringify({ keys: [next, ...published] }));
    warnIfExposedToGit(file);
  } else {
    const { keys } = readKeys(text, { mayLackActive: true });
    next = keys.some(({ state }) => state === "active") ? undefined : keys.find(({ state }) => state === "next");
    if (!next) throw new Problem(`${file} has the key that signs, so --issuer is not needed. Run: npx pioneer-session keys rotate --file ${file}`);
  }
  const { kty, crv, x, kid } = next;
  console.log(JSON.stringify({ keys: [{ kty, crv, x, kid, state: "next" }] }));
  console.error(`The new key is in ${file}. Put the line on standard output into the Worker as the secret SESSION_KEYS_NEXT, wait ${minutes(PUBLISH_SECONDS)}, and run: npx pioneer-session keys rotate --file ${file}`);
}

/**
 * The keys that the issuer publishes, as keys that no longer sign.
 *
 * @param {string} issuer
 * @returns {Promise<Key[]>}
 */
async function publishedKeys(issuer) {
  const explain = (/** @type {string} */ reason) => `${issuer}/.well-known/jwks.json cannot be reached: ${reason}. Check --issuer, and whether the Worker is deployed.`;
  const { response, text } = await request(`${issuer}/.well-known/jwks.json`, {}, { ...JWKS_LIMITS, explain });
  const published = response.status === 200 ? parseObject(text)?.keys : undefined;
  const isObject = (/** @type {unknown} */ key) => key !== null && typeof key === "object";
  const isSet = Array.isArray(published) && published.every(isObject);
  const keys = isSet ? /** @type {any[]} */ (published).map(({ kty, crv, x, kid }) => ({ kty, crv, x, kid, state: /** @type {const} */ ("retired") })) : [];
  if (keys.length === 0 || keys.some((key) => keyFault(key) !== undefined)) {
    throw new Problem(`${issuer}/.well-known/jwks.json is not the key set of a pioneer-session Worker. Check --issuer.`);
  }
  return keys;
}

/**
 * `keys retire`: removes retired keys once their last token has expired.
 *
 * @param {{ file?: string, now?: boolean, "session-ttl"?: string }} options
 */
export async function retire({ file, now, "session-ttl": ttl }) {
  const wait = retireSeconds(ttl);
  const set = await load(file);
  const retired = set.keys.filter(({ state }) => state === "retired");
  if (retired.length === 0) throw new Problem("There is no retired key to remove. Run `keys rotate` first.");
  for (const key of retired) mustHaveBeen(key, wait, now, "some tokens that the key signed may not have expired");
  set.keys = set.keys.filter(({ state }) => state !== "retired");
  store(file, JSON.stringify(set));
  console.error(`${retired.length === 1 ? "The retired key is" : `${retired.length} retired keys are`} removed. Put the set into the Worker now.`);
}

/**
 * `keys jwks`: the document that the Worker publishes.
 *
 * @param {{ file?: string }} options
 */
export async function jwks({ file }) {
  const { keys } = await load(file);
  console.log(JSON.stringify({ keys: keys.map(({ kty, crv, x, kid }) => ({ kty, crv, x, kid, alg: "EdDSA", use: "sig" })) }));
}

/**
 * @param {string | undefined} file
 * @param {{ mayLackActive?: boolean }} [options]
 */
async function load(file, options) {
  if (file === undefined) return readKeys(await standardInput(), options);
  const text = readSecret(file, "SESSION_KEYS");
  if (text === undefined) throw new Problem(`${file} has no SESSION_KEYS. Create a set: npx pioneer-session keys new --file ${file}`);
  return readKeys(text, options);
}

/**
 * @param {string | undefined} file
 * @param {string} value
 */
function store(file, value) {
  if (file === undefined) return console.log(value);
  save(file, value);
  warnIfExposedToGit(file);
  console.error(`Written to ${file}. To put it into the Worker, run:\n  ${putCommand(file, "SESSION_KEYS")}`);
}

/**
 * @param {string} file
 * @param {string} value
 */
function save(file, value) {
  // In a dotenv file the value stands in single quotes.
  writeSecret(file, "SESSION_KEYS", isDotenv(file) ? value.replaceAll("'", "\\u0027") : value);
}

async function standardInput() {
  if (process.stdin.isTTY) throw new Misuse("Name the file of the keys with --file, or pipe the set into the command.");
  let text = "";
  for await (const chunk of process.stdin.setEncoding("utf8")) {
    text += chunk;
    if (text.length > MAX_INPUT) throw new Problem("Standard input is too long for a set of keys. Check which file you piped in.");
  }
  if (text.trim() === "") throw new Problem("Standard input was empty. Pipe a set of keys into the command, or name its file with --file.");
  return text;
}

/**
 * @param {Key} key
 * @param {number} seconds
 * @param {boolean | undefined} now
 * @param {string} reason
 */
function mustHaveBeen({ state, since }, seconds, now, reason) {
  if (now) return;
  const began = typeof since === "string" ? Date.parse(since) : NaN;
  if (Number.isNaN(began)) {
    throw new Problem(`The "${state}" key has no time in "since". If it has been ${state} for ${minutes(seconds)}, pass --now.`);
  }
  const left = began / 1000 + seconds - Date.now() / 1000;
  if (left > 0) {
    throw new Problem(`Too early: ${reason}. Wait ${minutes(left)} more. If a key was stolen, do not wait: pass --now.`);
  }
}

/** @param {string} ttl */
function retireSeconds(ttl = String(MAX_SESSION_TTL)) {
  const seconds = /^\d+$/.test(ttl) ? Number(ttl) : NaN;
  if (!(seconds >= MIN_SESSION_TTL && seconds <= MAX_SESSION_TTL)) {
    throw new Misuse(`--session-ttl must be the Worker's SESSION_TTL: whole seconds from ${MIN_SESSION_TTL} to ${MAX_SESSION_TTL}.`);
  }
  return seconds + MAX_TOLERANCE_SECONDS;
}

/** @param {number} seconds */
function minutes(seconds) {
  const count = Math.ceil(seconds / 60);
  return count === 1 ? "1 minute" : `${count} minutes`;
}

const timestamp = () => new Date().toISOString().replace(/\.\d+/, "");
