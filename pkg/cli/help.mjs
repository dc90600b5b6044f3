// The help: written from the table of commands.

/** @import { Command, Option } from "./commands.mjs" */

import { COMMANDS } from "./commands.mjs";

const WIDTH = 100; // a terminal's, nearly always

const TOOL = "npx pioneer-session";
const EXIT_CODES = "Exit code: 0 for success, 1 if something is wrong, 2 if the command was not understood.";

/**
 * Breaks a text into lines, of which all but the first are indented.
 *
 * @param {string} text
 * @param {number} indent
 */
function wrap(text, indent) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? "";
    if (line !== "" && indent + line.length + 1 + word.length > WIDTH) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines.join(`\n${" ".repeat(indent)}`);
}

/**
 * Two columns: terms, and their meanings.
 *
 * @param {[term: string, text: string][]} rows
 */
function table(rows) {
  const width = Math.max(...rows.map(([term]) => term.length)) + 4;
  return rows.map(([term, text]) => `  ${term.padEnd(width - 2)}${wrap(text, width)}\n`).join("");
}

/** @param {Command} command */
const called = ({ name, arguments: names }) => [name, ...names].join(" ");
/** @param {Option} option */
const written = ({ name, value }) => [`--${name}`, value].filter(Boolean).join(" ");

/**
 * One line: how a command is called.
 *
 * @param {Command} command
 */
export function usage(command) {
  const options = command.options.map((option) => `[${written(option)}]`);
  return `Usage: ${[TOOL, called(command), ...options].join(" ")}`;
}

/** The help of the whole tool, or of the commands of one group, such as `keys`. */
export function overview(commands = COMMANDS) {
  return `Usage: ${TOOL} <command>

${table(commands.map((command) => [called(command), command.summary]))}
\`${TOOL} <command> --help\` explains a command and its options.
${EXIT_CODES}
`;
}

/**
 * The help of one command.
 *
 * @param {Command} command
 */
export function explanation(command) {
  const { summary, help, options } = command;
  const list = options.length > 0 ? `\n${table(options.map((option) => [written(option), option.summary]))}` : "";
  const sentence = `${summary.slice(0, 1).toUpperCase()}${summary.slice(1)}.`;
  return `${wrap(usage(command), 2)}

${wrap(`${sentence} ${help}`, 0)}
${list}`;
}
