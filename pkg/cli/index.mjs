#!/usr/bin/env node
// The command line tool: reads the arguments, runs one command, and makes its end an exit code.

import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { doctor } from "./cli/doctor.mjs";
import * as keys from "./cli/keys.mjs";
import { Misuse, Problem } from "./cli/problem.mjs";
import * as products from "./cli/products.mjs";
import * as secrets from "./cli/secrets.mjs";

const HELP = `Usage: npx pioneer-session <command>

  keys new                 makes the set of keys for SESSION_KEYS
  keys rotate              publishes a new key; the next time, lets it sign and retires the old one
  keys retire              removes retired keys
  keys jwks                prints the public keys
    --file FILE            the set, as a JSON file or in a dotenv file such as .dev.vars; without it, the set
                           comes in by standard input and goes out by standard output (never one file for both)
    --session-ttl SECONDS  the Worker's SESSION_TTL (3600, the most, unless told)
    --now                  does not wait, for when a key was stolen: rotate --now, then retire --now

  secrets                  adds the secrets that are missing to .dev.vars (--file FILE: to another dotenv file)
  secrets --print          prints the shell lines that put secrets into production
  secrets refresh          prints a new REFRESH_SECRET
  secrets backend NAME     prints a new credential for a backend (--file FILE: also adds its entry there)
  secrets show NAME        prints one secret of .dev.vars (or of --file FILE), for a pipe

  products                 lists what is sold
  products add ID NAME AMOUNT
  products price ID AMOUNT, products stop ID, products start ID
    --remote               in the deployed database; without it, in this machine's
    --config FILE, --env NAME, --persist-to FOLDER

  doctor                   says what is wrong with the wrangler configuration and the secrets here
    --config FILE, --env NAME, --secrets-file FILE
  doctor URL               says what is wrong with a deployed Worker
    --page URL             checks a page of the app: whether Pi can show it, and whether it may call the Worker

Exit code: 0, or 1 when something is wrong, or 2 when the command was not understood.
`;

const TYPES = { file: "string", "session-ttl": "string", now: "boolean", print: "boolean", config: "string", env: "string", "secrets-file": "string", remote: "boolean", "persist-to": "string", page: "string" };

const DATABASE = ["remote", "config", "env", "persist-to"];

const COMMANDS = {
  "keys new": { run: keys.create, options: ["file"] },
  "keys rotate": { run: keys.rotate, options: ["file", "session-ttl", "now"] },
  "keys retire": { run: keys.retire, options: ["file", "session-ttl", "now"] },
  "keys jwks": { run: keys.jwks, options: ["file"] },
  secrets: { run: secrets.write, options: ["file", "print"] },
  "secrets refresh": { run: secrets.refresh, options: [] },
  "secrets backend": { run: secrets.backend, options: ["file"], operands: ["NAME"] },
  "secrets show": { run: secrets.show, options: ["file"], operands: ["NAME"] },
  products: { run: products.list, options: DATABASE },
  "products add": { run: products.add, options: DATABASE, operands: ["ID", "NAME", "AMOUNT"] },
  "products price": { run: products.price, options: DATABASE, operands: ["ID", "AMOUNT"] },
  "products stop": { run: products.stop, options: DATABASE, operands: ["ID"] },
  "products start": { run: products.start, options: DATABASE, operands: ["ID"] },
  doctor: { run: doctor, options: ["config", "env", "secrets-file", "page"], operands: ["URL"], optional: true },
};

function read(args) {
  let parsed;
  try {
    const options = Object.fromEntries(Object.entries(TYPES).map(([name, type]) => [name, { type }]));
    parsed = parseArgs({ args, allowPositionals: true, options: { ...options, help: { type: "boolean", short: "h" }, version: { type: "boolean" } } });
  } catch (error) {
    throw new Misuse(error.message);
  }
  const { values, positionals } = parsed;
  if (values.help) return { run: () => void process.stdout.write(HELP) };
  if (values.version) return { run: () => console.log(createRequire(import.meta.url)("../package.json").version) };
  if (positionals.length === 0) throw new Misuse(HELP);
  const words = Object.hasOwn(COMMANDS, positionals.slice(0, 2).join(" ")) ? 2 : 1;
  const name = positionals.slice(0, words).join(" ");
  if (!Object.hasOwn(COMMANDS, name)) throw new Misuse("There is no such command.");
  const { run, options, operands = [], optional } = COMMANDS[name];
  const stray = Object.keys(values).find((option) => !options.includes(option));
  if (stray) throw new Misuse(`\`${name}\` has no option --${stray}.`);
  const rest = positionals.slice(words);
  if (rest.length < operands.length && !optional) throw new Misuse(`\`${name}\` needs ${operands.slice(rest.length).join(", ")}.`);
  if (rest.length > operands.length) throw new Misuse(`\`${name}\` was given too much.`);
  return { run: () => run(values, ...rest) };
}

try {
  process.exitCode = (await read(process.argv.slice(2)).run()) === false ? 1 : 0;
} catch (error) {
  const expected = error instanceof Problem || error instanceof Misuse;
  if (!expected && !error.syscall) throw error;
  console.error(error.message);
  if (error instanceof Misuse && error.message !== HELP) console.error("`npx pioneer-session --help` lists the commands.");
  process.exitCode = error.exitCode ?? 1;
}
