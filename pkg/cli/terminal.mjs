// What a person reads in a terminal. Names, products and browsers are texts of strangers: a control
// character in one could move the cursor, and a mark that turns the direction could show another
// order of the words.

import { createInterface } from "node:readline/promises";
import { Problem } from "./problem.mjs";

/** Control and format characters (among them all marks of direction), line and paragraph separators,
 * and lone surrogates. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** @param {string} character */
const escape = (character) => Array.from({ length: character.length }, (_, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`).join("");

/**
 * A text without characters that change the terminal. Each becomes a JavaScript escape.
 *
 * @param {unknown} text
 */
export const safe = (text) => String(text).replace(UNSAFE, escape);

/**
 * Prints one JSON object. Its escapes are those of JSON, so a program reads the texts unchanged.
 *
 * @param {unknown} value
 */
export const printJson = (value) => console.log(safe(JSON.stringify(value)));

/**
 * Prints rows as columns that begin below each other. A missing value is a dash.
 *
 * @param {unknown[][]} rows
 * @param {string} [indent]
 */
export function printRows(rows, indent = "") {
  const cells = rows.map((row) => row.map((cell) => (cell === undefined || cell === "" ? "-" : safe(cell))));
  const width = (/** @type {number} */ index) => Math.max(...cells.map((row) => row[index]?.length ?? 0));
  const widths = Array.from({ length: Math.max(0, ...cells.map((row) => row.length)) }, (_, index) => width(index));
  for (const row of cells) console.log(indent + row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join("  ").trimEnd());
}

/**
 * Asks whether to go on. With `--yes`, it does not ask. Without a terminal, nobody could answer.
 *
 * @param {string} question
 * @param {{ yes?: boolean, answer?: string }} options `answer` is the text to type, by default yes
 */
export async function confirm(question, { yes = false, answer = "yes" }) {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) throw new Problem(`${question} Nobody can answer without a terminal, so nothing was done. To go on, add --yes.`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const given = await terminal.question(`${question} Type ${answer} to go on: `);
  terminal.close();
  if (given.trim() !== answer) throw new Problem("Nothing was done.");
}
