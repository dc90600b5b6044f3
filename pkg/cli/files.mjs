// Files with secrets: dotenv files such as .dev.vars have a line for each, and a JSON file is the
// value of one. They are written whole or not at all, and only their owner can read them.

import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { Problem } from "./problem.mjs";

const DOTENV_NAME = /^\.(dev\.vars|env)|\.env$/;
// An assignment, as wrangler reads it: a value in quotes may have several lines; without quotes, it
// ends at "#".
const ASSIGNMENT = /^([ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*=[ \t]*)('[^']*'|"(?:[^"\\]|\\.)*"|`[^`]*`|[^#\r\n]*)/gm;

/** @param {string} path */
export const isDotenv = (path) => DOTENV_NAME.test(basename(path));

/**
 * The value of a secret in a file; undefined when the file, the line or the value is missing.
 *
 * @param {string} path
 * @param {string} name
 */
export function readSecret(path, name) {
  const text = read(path);
  if (!isDotenv(path)) return text.trim() || undefined;
  const raw = find(text, path, name)?.[3]?.trim() ?? "";
  const quote = /^(['"`])[^]*\1$/.exec(raw)?.[1];
  const value = quote ? raw.slice(1, -1) : raw;
  return (quote === '"' ? value.replaceAll("\\n", "\n").replaceAll("\\r", "\r") : value) || undefined;
}

/**
 * Puts the value of a secret into a file, and leaves every other byte of a dotenv file as it is.
 *
 * @param {string} path
 * @param {string} name
 * @param {string} value
 */
export function writeSecret(path, name, value) {
  if (!isDotenv(path)) return save(path, `${value}\n`);
  const text = read(path);
  const line = find(text, path, name);
  if (line) {
    const [, before = "", , old = ""] = line;
    const start = line.index + before.length;
    return save(path, `${text.slice(0, start)}'${value}'${text.slice(start + old.length)}`);
  }
  const newline = text.includes("\r\n") ? "\r\n" : "\n";
  const ended = text === "" || text.endsWith("\n") ? text : text + newline;
  save(path, `${ended}${name}='${value}'${newline}`);
}

/**
 * Whether git would add the file to a commit; false without git or a repository.
 *
 * @param {string} path
 */
export function isExposedToGit(path) {
  const { status } = spawnSync("git", ["check-ignore", "--quiet", "--", basename(path)], { cwd: dirname(path), stdio: "ignore" });
  return status === 1;
}

/**
 * The files of a folder that match the patterns and that git has, relative to the folder.
 *
 * @param {string} folder
 * @param {string[]} patterns
 */
export function committed(folder, patterns) {
  const { status, stdout } = spawnSync("git", ["ls-files", "-z", "--", ...patterns], { cwd: folder, encoding: "utf8" });
  return status === 0 ? stdout.split("\0").filter(Boolean) : [];
}

/** @param {string} path */
export function warnIfExposedToGit(path) {
  if (isExposedToGit(path)) console.error(`Warning: git does not ignore ${path}. Add it to .gitignore before the next commit.`);
}

/**
 * The command that puts a secret of a file into the Worker, without showing it.
 *
 * @param {string} path
 * @param {string} name
 */
export function putCommand(path, name) {
  const file = /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
  return isDotenv(path)
    ? `npx pioneer-session secrets show ${name} --file ${file} | npx wrangler secret put ${name}`
    : `npx wrangler secret put ${name} < ${file}`;
}

/**
 * The text of a file. Latin-1 keeps every byte, in any encoding of the other lines.
 *
 * @param {string} path
 */
function read(path) {
  return existsSync(path) ? readFileSync(path, "latin1") : "";
}

/**
 * @param {string} text
 * @param {string} path
 * @param {string} name
 */
function find(text, path, name) {
  const lines = [...text.matchAll(ASSIGNMENT)].filter((line) => line[2] === name);
  if (lines.length > 1) throw new Problem(`${path} has two lines with ${name}. Remove one of them.`);
  return lines[0];
}

/**
 * @param {string} path
 * @param {string} text
 */
function save(path, text) {
  const target = existsSync(path) ? realpathSync(path) : path; // the file, not a link to it
  const temporary = `${target}.${randomBytes(6).toString("hex")}`;
  try {
    writeFileSync(temporary, text, { encoding: "latin1", mode: 0o600, flag: "wx", flush: true });
    renameSync(temporary, target);
  } finally {
    rmSync(temporary, { force: true });
  }
}
