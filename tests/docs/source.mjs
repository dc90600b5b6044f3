// Reads the facts that documents repeat from the source, where the program has them.

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { COMMANDS } from "../../pkg/cli/commands.mjs";
import { root } from "../../scripts/paths.mjs";

const text = (path) => readFileSync(`${root}/${path}`, "utf8");

/** A Rust file without its tests. */
const rust = (path) => text(path).split("#[cfg(test)]")[0];

const all = (source, pattern) => [...new Set([...source.matchAll(pattern)].map(([, name]) => name))];

/**
 * Fails if a reader of source finds hardly anything: the source was then rewritten, and comparing
 * means nothing.
 */
function atLeast(count, found, what) {
  const size = Array.isArray(found) ? found.length : Object.keys(found).length;
  if (size < count) throw new Error(`tests/docs/source.mjs found only ${size} ${what}. Adapt it to the source.`);
  return found;
}

/** The codes of the Worker's problem documents. */
export function workerCodes() {
  const files = ["error.rs", "problem.rs"].map((name) => `src/service/${name}`).filter((path) => existsSync(`${root}/${path}`));
  const source = files.map(rust).join("\n");
  return atLeast(40, [...new Set([...all(source, /\(\s*S::[A-Z_]+,\s*"([a-z_]+)",/g), ...all(source, /= [A-Z_]+ "([a-z_]+)",/g)])], "codes of the Worker");
}

/** The members of a type that is a union of texts. */
function union(path, name) {
  const [, body] = text(path).replace(/\/\*[^]*?\*\//g, "").match(new RegExp(`type ${name} =([^;]+);`)) ?? [, ""];
  return atLeast(10, all(body, /"([a-z_]+)"/g), `codes of ${name} in ${path}`);
}

const { types, exports } = JSON.parse(text("package.json"));

/** The codes of the package's errors, in verifiers and in browsers. */
export const packageCodes = () => union(types, "SessionErrorCode");
export const browserCodes = () => union(exports["./browser"].import.types, "SignInErrorCode");

/** Every setting and binding of the Worker, with its default as text where the source has one. */
export function settings() {
  const source = rust("src/service/settings.rs");
  const constants = Object.fromEntries([...source.matchAll(/const (\w+): (?:u32|&str) = ([^;]+);/g)].map(([, name, value]) => [name, value]));
  /** The value of a constant: a text in quotes, or a product of numbers. */
  const value = (name) => {
    const written = constants[name];
    return written.startsWith('"') ? written.slice(1, -1) : String(written.split("*").reduce((product, factor) => product * Number(factor.replaceAll("_", "")), 1));
  };
  const found = Object.fromEntries(all(source, /"([A-Z][A-Z_]+)"/g).map((name) => [name, undefined]));
  for (const [, name] of source.matchAll(/\b(?:var|secret)\("(\w+)"\)/g)) found[name] = "required";
  for (const [, name, constant] of source.matchAll(/number\(\s*"(\w+)",[^,]+,\s*(DEFAULT_\w+)/g)) found[name] = value(constant);
  for (const [, name, on] of source.matchAll(/switch\("(\w+)", (true|false)\)/g)) found[name] = on === "true" ? "on" : "off";
  for (const [, name, constant] of source.matchAll(/optional\("(\w+)"\)\?(?:\s*\.as_deref\(\))?\s*\.unwrap_or(?:_else\(\|\| |\()(\w+)/g)) if (constants[constant]) found[name] = value(constant);
  found.DB = "required";
  for (const name of all(rust("src/service/limit.rs"), /"([A-Z_]+_LIMIT)"/g)) found[name] = undefined;
  return atLeast(20, found, "settings");
}

/** The commands of the command line tool. */
export const commands = () => atLeast(10, COMMANDS.map(({ name }) => name), "commands");

/** The Worker's routes, each as "METHOD /path". */
export function routes() {
  const { paths } = JSON.parse(text("src/service/openapi.json"));
  const methods = ["get", "put", "post", "delete", "patch"];
  return Object.entries(paths).flatMap(([path, item]) => methods.filter((method) => item[method]).map((method) => `${method.toUpperCase()} ${path}`));
}

/** A database in memory with the tables that the migrations make. */
export function schema() {
  const folder = `${root}/src/worker/migrations`;
  const database = new DatabaseSync(":memory:");
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".sql")).sort()) database.exec(readFileSync(`${folder}/${name}`, "utf8"));
  return database;
}

/** The columns of these tables, each as "table.column". */
export function columns() {
  const rows = schema().prepare(
    `SELECT tables.name || '.' || columns.name AS name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
     WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%'`,
  ).all();
  return atLeast(40, rows.map(({ name }) => name), "columns");
}
