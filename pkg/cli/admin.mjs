// The client of the Worker's routes of operators. The credential comes from the environment or from
// standard input: other users of the machine can read arguments, and a shell keeps them.

import { readFileSync } from "node:fs";
import { isSecure } from "../verify/secure.mjs";
import { requestWorker } from "./access.mjs";
import { Misuse, Problem } from "./problem.mjs";
import { printJson, safe } from "./terminal.mjs";

/**
 * The options that all commands of operators have.
 *
 * @typedef {{ url?: string, json?: boolean, yes?: boolean }} AdminOptions
 */

/**
 * A request: the members of its query (those without a value are left out), and its body.
 *
 * @typedef {{ query?: Record<string, string | undefined>, body?: object }} Message
 */

const CREDENTIAL = "PIONEER_SESSION_CREDENTIAL";
const ADDRESS = "PIONEER_SESSION_URL";
const TIMEOUT_MS = 60_000; // to settle a payment, the Worker may ask Pi four times
const MAX_BYTES = 16 * 1024 * 1024; // the export of a user has up to 1,000 rows of each kind
/** RFC 6750 §2.1: what may follow `Bearer`. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;
/** The ids of users, sessions, payments and products. */
const ID = /^[A-Za-z0-9_-]{1,128}$/;

/**
 * An id that was given as an argument. It becomes a part of a path.
 *
 * @param {string} id
 * @param {string} name
 */
export function checkId(id, name) {
  if (!ID.test(id)) throw new Misuse(`${name} must be 1 to 128 letters, digits, hyphens or underscores.`);
  return id;
}

/** The credential in the environment, if there is one. */
export const credentialInEnvironment = () => process.env[CREDENTIAL]?.trim() || undefined;

/** The credential in the environment, or else on standard input. */
function readCredential() {
  const credential = credentialInEnvironment() ?? (process.stdin.isTTY ? "" : readFileSync(0, "utf8").trim());
  if (credential === "") throw new Problem(`The credential of an operator is missing. Set ${CREDENTIAL}, or pass it on standard input. \`npx pioneer-session operators add\` makes one.`);
  return credential;
}

/** Sends requests to one Worker as one operator. */
export class Admin {
  #origin;
  #credential;

  /**
   * @param {string} origin
   * @param {string} credential
   */
  constructor(origin, credential) {
    // The text is not in the error: it may be a credential in a wrong variable.
    if (!TOKEN.test(credential)) throw new Problem(`The credential of the operator has characters that no credential has. Check ${CREDENTIAL}.`);
    this.#origin = origin;
    this.#credential = credential;
  }

  /**
   * The client for these options.
   *
   * @param {AdminOptions} options
   */
  static of({ url = process.env[ADDRESS] }) {
    if (!url) throw new Misuse(`The address of the Worker is missing. Name it with --url, or set ${ADDRESS}.`);
    if (!URL.canParse(url)) throw new Misuse("--url must be a whole URL, such as https://session.example.com");
    const { href, origin, protocol, hostname } = new URL(url);
    if (!isSecure({ protocol, hostname })) throw new Misuse("--url must be https: over plain http, anyone on the network can read the credential. Plain http is only for this machine.");
    if (href !== `${origin}/`) throw new Misuse("--url must be the Worker's origin only. Remove the path, the query and the user.");
    return new Admin(origin, readCredential());
  }

  /**
   * Sends a request, and returns the text of the answer.
   *
   * @param {string} method
   * @param {string} path
   * @param {Message} [message]
   */
  async text(method, path, { query = {}, body } = {}) {
    const url = new URL(path, this.#origin);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
    const headers = { authorization: `Bearer ${this.#credential}`, accept: "application/json", ...(body && { "content-type": "application/json" }) };
    const explain = (/** @type {string} */ reason) => `The Worker cannot be reached: ${reason}. Check --url.`;
    const { response, text, isWhole } = await requestWorker(url, { method, headers, body: body && JSON.stringify(body) }, { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES, explain });
    if (response.status >= 300 && response.status < 400) throw new Problem("The Worker answered with a redirect, which was not followed: the credential is for this address only. Check --url.");
    if (!response.ok) throw new Problem(refusal(response.status, text));
    if (!isWhole) throw new Problem(`The answer has more than ${MAX_BYTES / 1024 / 1024} MiB. Check --url.`);
    return text;
  }

  /**
   * Sends a request, and returns the object in the answer; an empty one if there is no content.
   *
   * @param {string} method
   * @param {string} path
   * @param {Message} [message]
   * @returns {Promise<Record<string, any>>}
   */
  async call(method, path, message) {
    const value = parse((await this.text(method, path, message)) || "{}");
    if (value === undefined) throw new Problem("The answer is not a JSON object: this is not a pioneer-session Worker. Check --url.");
    return value;
  }

  /**
   * Reads.
   *
   * @param {string} path
   * @param {Record<string, string | undefined>} [query]
   */
  get = (path, query) => this.call("GET", path, { query });
}

/**
 * The object in a text.
 *
 * @param {string} text
 * @returns {Record<string, any> | undefined}
 */
function parse(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined; // the error would quote the text
  }
}

/**
 * The Worker's own words about a request that it refused.
 *
 * @param {number} status
 * @param {string} text
 */
function refusal(status, text) {
  const { code, detail, requestId } = parse(text) ?? {};
  if (typeof code !== "string" || typeof detail !== "string") return `The Worker answered ${status}. Check --url, and look at \`npx wrangler tail\`.`;
  const words = [`${safe(detail)} (${status} ${safe(code)}${typeof requestId === "string" ? `, request ${safe(requestId)}` : ""})`];
  if (code === "not_found") words.push("If the id is right, check OPERATOR_CREDENTIALS and SERVES of the Worker: without operators, it has no such routes.");
  return words.join(" ");
}

/**
 * Prints the JSON of an answer, or what `show` prints, and the command for the next page if there
 * is one.
 *
 * @param {AdminOptions} options
 * @param {Record<string, any>} answer
 * @param {() => void} show
 */
export function print({ json }, answer, show) {
  if (json) return printJson(answer);
  show();
  if (typeof answer.next === "string") console.error(`There are more. Add: --after ${safe(answer.next)}`);
}
