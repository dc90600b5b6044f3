// The `products` commands: they change rows of the Worker's table, through the project's own
// wrangler. With `--url`, the Worker changes them for an operator, and its audit says who did.

/** @import { AdminOptions } from "./admin.mjs" */

/**
 * The options that name a database.
 *
 * @typedef {{ remote?: boolean, config?: string, env?: string, "persist-to"?: string }} Local
 */

/**
 * These, or those that name the Worker.
 *
 * @typedef {AdminOptions & Local} Database
 */

import { Admin, checkId as checkPart, print } from "./admin.mjs";
import { Misuse, Problem } from "./problem.mjs";
import { safe } from "./terminal.mjs";
import { runWrangler } from "./wrangler.mjs";

const ID = /^[A-Za-z0-9_-]{1,128}$/;
const MAX_NAME = 100; // a line of Pi's payment dialog
const STROOPS_DIGITS = 7;

/**
 * `products`
 *
 * @param {Database} options
 */
export async function list(options) {
  const admin = adminOf(options);
  if (admin) {
    const answer = await admin.get("/admin/products");
    return print(options, answer, () => show(answer.products));
  }
  const rows = run(options, "SELECT id, name, amount_stroops, active FROM products ORDER BY id");
  const products = rows.map(({ id, name, amount_stroops: stroops, active }) => ({ id, name, amount: fromStroops(stroops), active: Boolean(active) }));
  print(options, { products }, () => show(products));
}

/** @param {{ id: string, name: string, amount: string, active: boolean }[]} products */
function show(products) {
  if (products.length === 0) console.error("There are no products yet. Add one: npx pioneer-session products add ID NAME AMOUNT");
  for (const { id, name, amount, active } of products) console.log([id, amount, name, ...(active ? [] : ["(not sold)"])].map(safe).join("\t"));
}

/**
 * The client of the Worker that `--url` names. A variable in the environment does not choose it:
 * without the option, these commands use the local database, as ever.
 *
 * @param {Database} options
 */
function adminOf({ url, remote, config, env, "persist-to": state }) {
  if (url === undefined) return undefined;
  if ([remote, config, env, state].some((option) => option !== undefined)) throw new Misuse("With --url, the Worker chooses its database. Remove --remote, --config, --env and --persist-to.");
  return Admin.of({ url });
}

/**
 * `products add ID NAME AMOUNT`
 *
 * @param {Database} options
 * @param {string} id
 * @param {string} name
 * @param {string} amount
 */
export async function add(options, id, name, amount) {
  const admin = adminOf(options);
  if (admin) {
    toStroops(amount);
    const answer = await admin.call("POST", "/admin/products", { body: { id: checkId(id), name: checkName(name), amount } });
    return print(options, answer, () => console.error("Added: users can buy it, and see it within five seconds."));
  }
  const values = [text(checkId(id)), text(checkName(name)), toStroops(amount)];
  const added = run(options, `INSERT INTO products (id, name, amount_stroops) VALUES (${values}) ON CONFLICT (id) DO NOTHING RETURNING id`);
  if (added.length === 0) throw new Problem("There is already a product with this id. To change its price, run: npx pioneer-session products price ID AMOUNT");
  print(options, { id }, () => console.error(`Added: users can buy it, and see it within five seconds. This is ${where(options)}.`));
}

/**
 * `products price ID AMOUNT`: for later orders. Earlier ones keep their price.
 *
 * @param {Database} options
 * @param {string} id
 * @param {string} amount
 */
export function price(options, id, amount) {
  return change(options, id, `amount_stroops = ${toStroops(amount)}`, { amount });
}

/**
 * `products stop ID`
 *
 * @param {Database} options
 * @param {string} id
 */
export function stop(options, id) {
  return change(options, id, "active = 0", { active: false });
}

/**
 * `products start ID`
 *
 * @param {Database} options
 * @param {string} id
 */
export function start(options, id) {
  return change(options, id, "active = 1", { active: true });
}

/**
 * @param {Database} options
 * @param {string} id
 * @param {string} what in SQL
 * @param {{ amount?: string, active?: boolean }} members the same for the Worker
 */
async function change(options, id, what, members) {
  const admin = adminOf(options);
  if (admin) {
    const answer = await admin.call("PATCH", `/admin/products/${checkPart(id, "ID")}`, { body: members });
    return print(options, answer, () => console.error("Changed."));
  }
  const changed = run(options, `UPDATE products SET ${what} WHERE id = ${text(checkId(id))} RETURNING id`);
  if (changed.length === 0) throw new Problem("There is no product with this id. To list the products, run: npx pioneer-session products");
  print(options, { id, ...members }, () => console.error(`Changed. This is ${where(options)}.`));
}

/** @param {string} id */
function checkId(id) {
  if (!ID.test(id)) throw new Misuse("ID must be 1 to 128 letters, digits, hyphens or underscores, such as coffee.");
  return id;
}

/** @param {string} name */
function checkName(name) {
  if (name.trim() === "" || name.length > MAX_NAME || /\p{Cc}/u.test(name)) {
    throw new Misuse(`NAME must be one line of 1 to ${MAX_NAME} characters. The user reads it when paying.`);
  }
  return name;
}

/**
 * An amount of Pi as whole stroops, digit by digit: no float is involved.
 *
 * @param {string} amount
 */
function toStroops(amount) {
  const [, whole, fraction = ""] = /^(\d{1,11})(?:\.(\d{1,7}))?$/.exec(amount) ?? [];
  const stroops = whole === undefined ? 0n : BigInt(whole + fraction.padEnd(STROOPS_DIGITS, "0"));
  // D1 hands numbers to JavaScript, which is exact up to here.
  if (stroops <= 0n || stroops > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new Misuse("AMOUNT must be a number above 0 with at most 7 decimals, such as 3.14, and at most 900719925.");
  }
  return stroops;
}

/** @param {number} stroops */
function fromStroops(stroops) {
  const digits = String(stroops).padStart(STROOPS_DIGITS + 1, "0");
  return `${digits.slice(0, -STROOPS_DIGITS)}.${digits.slice(-STROOPS_DIGITS)}`.replace(/\.?0+$/, "");
}

/** @param {Database} options */
const where = ({ remote }) => (remote ? "the deployed database" : "the local database. For the deployed one, add --remote");

/** @param {string} value */
const text = (value) => `'${value.replaceAll("'", "''")}'`;

/**
 * Runs one statement, and returns its rows.
 *
 * @param {Database} options
 * @param {string} sql
 * @returns {any[]}
 */
function run({ remote, config, env, "persist-to": state }, sql) {
  const given = { config, env, "persist-to": state };
  const options = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]));
  const args = ["d1", "execute", "DB", remote ? "--remote" : "--local", "--json", "--command", sql, ...options];
  const { status, stdout } = runWrangler(args);
  let said = stdout.trim(); // with --json, wrangler's errors are there, too
  try {
    const answer = JSON.parse(stdout);
    if (status === 0) return answer[0].results;
    said = answer.error?.text ?? said;
  } catch {
    // not JSON: it is shown as it is
  }
  const where = remote ? "--remote" : "--local";
  throw new Problem(
    `wrangler could not run the statement.${said ? ` It says: ${said}` : ""}\nIf the migrations were not applied yet, run: npx wrangler d1 migrations apply DB ${where}. To check the database, run: npx wrangler d1 execute DB ${where} --command "SELECT 1"`,
  );
}
