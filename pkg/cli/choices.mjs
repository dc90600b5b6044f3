// The questions of `init`: each has a flag, its values and a default.

import { createInterface } from "node:readline";
import { Misuse } from "./problem.mjs";

/**
 * A question about a project.
 *
 * @typedef {object} Question
 * @property {"backend" | "page" | "payments" | "network"} name also the flag
 * @property {string} text
 * @property {string[]} values the first one is the default
 */

/** @typedef {{ backend: string, page: string, payments: string, network: string }} Choices */

/**
 * The flags of the questions, and those that answer all of them.
 *
 * @typedef {object} Flags
 * @property {string} [backend]
 * @property {string} [page]
 * @property {boolean} [payments]
 * @property {boolean} [no-payments]
 * @property {string} [network]
 * @property {boolean} [yes]
 * @property {boolean} [json]
 */

export const BACKENDS = ["none", "express", "fastify", "hono", "next"];
export const PAGES = ["plain", "none"];
export const NETWORKS = ["testnet", "mainnet"];

/** @type {Question[]} */
const QUESTIONS = [
  { name: "backend", text: "A backend as well?", values: BACKENDS },
  { name: "page", text: "A page?", values: PAGES },
  { name: "payments", text: "Does the app sell something?", values: ["yes", "no"] },
  { name: "network", text: "Which network of Pi?", values: NETWORKS },
];

/** @param {string[]} values */
const list = (values) => `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`;

/**
 * The choices that the flags make. A wrong value is refused before anything is asked.
 *
 * @param {Flags} options
 * @returns {Partial<Choices>}
 */
function given(options) {
  if (options.payments && options["no-payments"]) throw new Misuse("--payments and --no-payments exclude each other. Pass one of them.");
  const payments = options.payments ? "yes" : options["no-payments"] ? "no" : undefined;
  const chosen = { backend: options.backend, page: options.page, payments, network: options.network };
  for (const { name, values } of QUESTIONS) {
    const value = chosen[name];
    if (value !== undefined && !values.includes(value)) throw new Misuse(`--${name} must be ${list(values)}.`);
  }
  return chosen;
}

/**
 * Returns a value for every question: of its flag, of the user, or the default. Without a
 * terminal it asks nothing, and prints each choice.
 *
 * @param {Flags} options
 * @returns {Promise<Choices>}
 */
export async function choose(options) {
  const chosen = given(options);
  const asks = !options.yes && !options.json && process.stdin.isTTY && process.stdout.isTTY;
  const terminal = asks ? createInterface({ input: process.stdin, output: process.stdout }) : undefined;
  const lines = terminal?.[Symbol.asyncIterator]();
  for (const { name, text, values } of QUESTIONS) {
    const [fallback] = values;
    while (chosen[name] === undefined) {
      const answer = lines ? await answerTo(lines, `${text} (${values.join(", ")}) [${fallback}] `) : "";
      const value = answer || fallback;
      if (value !== undefined && values.includes(value)) chosen[name] = value;
      else console.log(`Type ${list(values)}.`);
    }
    if (!terminal) console.error(`${name}: ${chosen[name]}`);
  }
  terminal?.close();
  return /** @type {Choices} */ (chosen);
}

/**
 * @param {AsyncIterator<string>} lines
 * @param {string} question
 */
async function answerTo(lines, question) {
  process.stdout.write(question);
  const { done, value } = await lines.next();
  if (done) throw new Misuse("Cancelled. Nothing was written.");
  return value.trim();
}
