// The commands: one table, from which the tool dispatches, writes its help, and reads its options.
// A test compares the documentation with it.

import { add } from "./add.mjs";
import { audit } from "./audit.mjs";
import { deploy } from "./deploy.mjs";
import { token } from "./dev-token.mjs";
import { dev } from "./dev.mjs";
import { doctor } from "./doctor.mjs";
import { init } from "./init.mjs";
import * as keys from "./keys.mjs";
import * as operators from "./operators.mjs";
import { overview } from "./overview.mjs";
import * as payments from "./payments.mjs";
import * as products from "./products.mjs";
import * as secrets from "./secrets.mjs";
import * as users from "./users.mjs";

/**
 * An option. Without `value`, it is a switch.
 *
 * @typedef {{ name: string, value: string | undefined, summary: string }} Option
 */

/**
 * A command. `run` gets the options and the arguments; if it returns false, the exit code is 1.
 *
 * @typedef {object} Command
 * @property {string} name
 * @property {string[]} arguments an optional one is in brackets
 * @property {string} summary
 * @property {string} help
 * @property {Option[]} options
 * @property {(options: object, ...args: any[]) => unknown} run
 */

/** @type {(name: string, value: string | undefined, summary: string) => Option} */
const option = (name, value, summary) => ({ name, value, summary });

const KEY_FILE = option("file", "FILE", "a JSON file, or a dotenv file such as .dev.vars; without it, the set is read from standard input and written to standard output");
const SESSION_TTL = option("session-ttl", "SECONDS", "the Worker's SESSION_TTL; 3600, its maximum, by default");
const NOW = option("now", undefined, "do not wait, because a key was stolen");
const DOTENV_FILE = option("file", "FILE", "the dotenv file; .dev.vars by default");
const CONFIG = option("config", "FILE", "the wrangler configuration; the one in this folder by default");
const ENVIRONMENT = option("env", "NAME", "an environment of the wrangler configuration");
const DATABASE = [
  option("remote", undefined, "the deployed database; without it, the local one"),
  CONFIG,
  ENVIRONMENT,
  option("persist-to", "FOLDER", "the folder of the local database"),
  option("url", "URL", "the Worker, which does it for an operator, so that its audit says who did; it needs the operator's credential"),
  option("json", undefined, "print one JSON object"),
];
const ADMIN = [
  option("url", "URL", "the Worker's origin; PIONEER_SESSION_URL by default"),
  option("json", undefined, "print one JSON object"),
];
const YES = option("yes", undefined, "do what it asks about, and ask nothing");
const PAGE = [
  option("limit", "NUMBER", "how many, 1 to 100; 25 by default"),
  option("after", "CURSOR", "the next page, as the page before says"),
];
const BEHIND_ACCESS = "If Cloudflare Access stands in front of the Worker, set CF_ACCESS_CLIENT_ID and CF_ACCESS_CLIENT_SECRET to those of a service token.";
const NEEDS_CREDENTIAL = `The credential of an operator comes from PIONEER_SESSION_CREDENTIAL or from standard input. ${BEHIND_ACCESS}`;
const NO_INSTALL = option("no-install", undefined, "do not install the packages");
const OFFLINE = option("offline", undefined, "install from the package manager's cache only");

const KEYS_IN_A_PIPE = "Without --file, never use one file for both input and output: the shell empties it first.";

const PORT = option("port", "PORT", "the port of the Worker, 8787 by default; the simulated Pi and a backend have the next two");

/** @type {Command[]} */
export const COMMANDS = [
  {
    name: "init",
    arguments: ["[FOLDER]"],
    summary: "makes a new project: the Worker, a page, tests, and a backend if you want one",
    help: "Without FOLDER, it uses the current folder, which must be empty except for .git, a licence and a README. It asks about each choice without an option. Without a terminal it asks nothing, and prints each choice on standard error. A failure leaves nothing behind.",
    options: [
      option("backend", "KIND", "none, express, fastify, hono or next; none by default"),
      option("page", "KIND", "plain or none; plain by default"),
      option("payments", undefined, "the page sells products; this is the default"),
      option("no-payments", undefined, "the page sells nothing"),
      option("network", "NAME", "testnet or mainnet; testnet by default"),
      option("name", "NAME", "the name of the project and of the Worker; that of the folder by default"),
      NO_INSTALL,
      option("no-git", undefined, "do not make a git repository"),
      OFFLINE,
      option("yes", undefined, "take the defaults, and ask nothing"),
      option("dry-run", undefined, "print the files, and write nothing"),
      option("json", undefined, "print one JSON object on standard output, and ask nothing"),
    ],
    run: init,
  },
  {
    name: "add",
    arguments: [],
    summary: "lets the app in this folder check sessions",
    help: "It finds Express, Fastify, Hono, Koa, NestJS or Next.js in package.json, installs the package, writes one new file with the guard, appends SESSION_ISSUER and SESSION_AUDIENCE to .env if they are not there, and prints the lines for your app. It changes no file of your code.",
    options: [
      option("framework", "NAME", "express, fastify, hono, koa, nest or next, if the app has several"),
      option("pm", "NAME", "the package manager: npm, pnpm, yarn or bun; that of the folder's lock file by default"),
      NO_INSTALL,
      OFFLINE,
    ],
    run: add,
  },
  {
    name: "dev",
    arguments: [],
    summary: "serves the Worker, a simulated Pi and a page on this machine",
    help: "In a folder with a wrangler configuration, it serves that Worker and its page, otherwise the demo. Each setting of the Worker can be given in the environment, such as ALLOWED_ORIGINS, SESSION_AUDIENCE or SESSION_TTL; PORT is the port. Nothing talks to Pi Network.",
    options: [PORT, CONFIG, option("persist-to", "FOLDER", "the folder of the local database"), option("verbose", undefined, "show all output of wrangler")],
    run: dev,
  },
  {
    name: "dev token",
    arguments: ["[USER]"],
    summary: "prints a session token of a simulated user, for curl",
    help: "USER is a simulated access token, such as sim-alice, the default, or sim-bob. `npx pioneer-session dev` must be running.",
    options: [PORT],
    run: token,
  },
  {
    name: "keys new",
    arguments: [],
    summary: "creates the keys for SESSION_KEYS",
    help: "It never overwrites keys. With --file, it also prints the command that puts the keys into the Worker.",
    options: [KEY_FILE],
    run: keys.create,
  },
  {
    name: "keys rotate",
    arguments: [],
    summary: "adds a new key; run it again after 10 minutes to start signing with it",
    help: `The first run adds a key that verifiers learn before it signs. The second run makes it the key that signs, and retires the old one. Put the set into the Worker after each run. If a key was stolen, run \`keys rotate --now\`, then \`keys retire --now\`, then put the set into the Worker. ${KEYS_IN_A_PIPE}`,
    options: [KEY_FILE, SESSION_TTL, NOW, option("issuer", "URL", "begin without the private key that signs now, which the deployment created and nobody kept; prints the value of SESSION_KEYS_NEXT")],
    run: keys.rotate,
  },
  {
    name: "keys retire",
    arguments: [],
    summary: "removes retired keys once their last token has expired",
    help: `With the Worker's SESSION_TTL in --session-ttl, the wait is shorter. ${KEYS_IN_A_PIPE}`,
    options: [KEY_FILE, SESSION_TTL, NOW],
    run: keys.retire,
  },
  {
    name: "keys jwks",
    arguments: [],
    summary: "prints the public keys",
    help: "It is the document that the Worker serves at /.well-known/jwks.json.",
    options: [KEY_FILE],
    run: keys.jwks,
  },
  {
    name: "secrets",
    arguments: [],
    summary: "adds the missing secrets to .dev.vars",
    help: "It creates SESSION_KEYS and REFRESH_SECRET, and never overwrites a secret. With --print, it creates nothing, and prints the shell commands for production.",
    options: [DOTENV_FILE, option("print", undefined, "print the commands that put secrets into production")],
    run: secrets.write,
  },
  {
    name: "secrets refresh",
    arguments: [],
    summary: "prints a new REFRESH_SECRET",
    help: "Pipe it into wrangler: npx pioneer-session secrets refresh | npx wrangler secret put REFRESH_SECRET",
    options: [],
    run: secrets.refresh,
  },
  {
    name: "secrets backend",
    arguments: ["NAME"],
    summary: "prints a new credential for a backend",
    help: "The backend sends the credential to the Worker. The Worker keeps only its SHA-256, as an entry of BACKEND_CREDENTIALS.",
    options: [option("file", "FILE", "also add the entry to BACKEND_CREDENTIALS in this dotenv file")],
    run: secrets.backend,
  },
  {
    name: "secrets show",
    arguments: ["NAME"],
    summary: "prints one secret of .dev.vars",
    help: "Use it in a pipe: npx pioneer-session secrets show SESSION_KEYS | npx wrangler secret put SESSION_KEYS",
    options: [DOTENV_FILE],
    run: secrets.show,
  },
  {
    name: "operators add",
    arguments: ["NAME"],
    summary: "prints a new credential for a person who operates the service",
    help: "With the credential, the person signs in at POST /admin/session. The Worker keeps only its SHA-256 and the role, as an entry of OPERATOR_CREDENTIALS. To take a person out, remove the entry and put the secret into the Worker again.",
    options: [
      option("role", "ROLE", "viewer, who only reads, or owner, who also acts; owner by default"),
      option("file", "FILE", "also add the entry to OPERATOR_CREDENTIALS in this dotenv file"),
    ],
    run: operators.add,
  },
  {
    name: "products",
    arguments: [],
    summary: "lists the products",
    help: "Each line is the id, the price, the name, and \"(not sold)\" if the product is stopped, separated by tabs.",
    options: DATABASE,
    run: products.list,
  },
  {
    name: "products add",
    arguments: ["ID", "NAME", "AMOUNT"],
    summary: "adds a product",
    help: "The user reads NAME in Pi's payment dialog. AMOUNT is the price in Pi, such as 3.14, with at most 7 decimals.",
    options: DATABASE,
    run: products.add,
  },
  {
    name: "products price",
    arguments: ["ID", "AMOUNT"],
    summary: "changes the price of a product",
    help: "Earlier orders keep their price.",
    options: DATABASE,
    run: products.price,
  },
  {
    name: "products stop",
    arguments: ["ID"],
    summary: "stops selling a product",
    help: "Earlier orders can still be paid. Earlier purchases stay.",
    options: DATABASE,
    run: products.stop,
  },
  {
    name: "products start",
    arguments: ["ID"],
    summary: "sells a stopped product again",
    help: "The product has the price that it had before.",
    options: DATABASE,
    run: products.start,
  },
  {
    name: "overview",
    arguments: [],
    summary: "shows what needs you, and the figures of today",
    help: NEEDS_CREDENTIAL,
    options: [option("range", "RANGE", "the time of the series in --json: 24h, 7d, 30d or 90d; 24h by default"), ...ADMIN],
    run: overview,
  },
  {
    name: "users",
    arguments: ["[TEXT]"],
    summary: "finds users: by id, by the beginning of the name, or the newest ones",
    help: NEEDS_CREDENTIAL,
    options: [...PAGE, ...ADMIN],
    run: users.list,
  },
  {
    name: "user",
    arguments: ["UID"],
    summary: "shows a user with sessions and payments, or does something about the user",
    help: `Only an owner may do something. It asks before it revokes sessions, blocks or erases. ${NEEDS_CREDENTIAL}`,
    options: [
      option("end-sessions", undefined, "revoke all sessions of the user"),
      option("block", "REASON", "revoke all sessions, and refuse new sign-ins"),
      option("unblock", undefined, "let the user sign in again"),
      option("export", "FILE", "write everything that is stored about the user to a new file"),
      option("erase", undefined, "erase the user"),
      YES,
      ...ADMIN,
    ],
    run: users.user,
  },
  {
    name: "sessions",
    arguments: ["UID"],
    summary: "lists the live sessions of a user, or revokes one",
    help: NEEDS_CREDENTIAL,
    options: [option("end", "SID", "revoke this session"), ...ADMIN],
    run: users.sessions,
  },
  {
    name: "payments",
    arguments: ["[TEXT]"],
    summary: "lists payments, the newest first, or finds one by the id of the payment, the order or the transaction",
    help: NEEDS_CREDENTIAL,
    options: [
      option("stuck", undefined, "those that are unfinished for more than an hour, the oldest first"),
      option("state", "STATE", "unfinished, paid or cancelled"),
      option("user", "UID", "those of a user"),
      ...PAGE,
      ...ADMIN,
    ],
    run: payments.list,
  },
  {
    name: "payment",
    arguments: ["ID"],
    summary: "shows a payment and what happened to it, or finishes it",
    help: `Only an owner may finish one. Pi has no refund. ${NEEDS_CREDENTIAL}`,
    options: [
      option("settle", undefined, "ask Pi about it now, and complete or cancel it as the scheduled event does"),
      option("cancel", undefined, "cancel it; it asks before. A payment with a transaction cannot be cancelled"),
      YES,
      ...ADMIN,
    ],
    run: payments.payment,
  },
  {
    name: "audit",
    arguments: [],
    summary: "lists what operators and backends did, the newest first",
    help: NEEDS_CREDENTIAL,
    options: [
      option("actor", "NAME", "only of this operator or backend"),
      option("target", "ID", "only about this user, session, payment or product"),
      option("action", "ACTION", "only of this kind, such as user.blocked"),
      ...PAGE,
      ...ADMIN,
    ],
    run: audit,
  },
  {
    name: "deploy",
    arguments: [],
    summary: "puts the Worker of this folder on Cloudflare",
    help: `It checks the configuration, creates the missing secrets, creates the database, applies the migrations, deploys, sets SESSION_ISSUER, and checks the result. It never replaces a secret. After an interruption, run it again: it goes on. ${BEHIND_ACCESS}`,
    options: [CONFIG, ENVIRONMENT, option("dry-run", undefined, "check and build, but change nothing at Cloudflare")],
    run: deploy,
  },
  {
    name: "doctor",
    arguments: ["[URL]"],
    summary: "checks the configuration and the secrets here, or a deployed Worker",
    help: `Without URL, it checks the wrangler configuration and the local secrets in this folder. With URL, the Worker's origin, it checks the deployed Worker from outside. With the credential of an operator in PIONEER_SESSION_CREDENTIAL, it also asks the Worker about its settings, its keys, its database and its scheduled event; otherwise it sends no secret. ${BEHIND_ACCESS} An error must be fixed; a warning is a choice that you should make knowingly.`,
    options: [CONFIG, ENVIRONMENT, option("secrets-file", "FILE", "the dotenv file to check; .dev.vars by default"), option("page", "URL", "check a page of the app: whether Pi can show it, and whether it may call the Worker. Without the argument URL, that is the Worker in SESSION_ISSUER")],
    run: doctor,
  },
];
