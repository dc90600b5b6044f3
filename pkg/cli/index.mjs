#!/usr/bin/env node
// The command line tool: finds the command, runs it, and turns its result into an exit code.

/** @import { ParseArgsConfig } from "node:util" */
/** @import { Command } from "./commands.mjs" */

import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import { COMMANDS } from "./commands.mjs";
import { explanation, overview, usage } from "./help.mjs";
import { Misuse, Problem } from "./problem.mjs";
import { nearest } from "./text.mjs";

const NAMES = COMMANDS.map(({ name }) => name);

/** @type {NonNullable<ParseArgsConfig["options"]>} */
const OPTIONS = {
  ...Object.fromEntries(COMMANDS.flatMap(({ options }) => options).map(({ name, value }) => [name, { type: value ? "string" : "boolean" }])),
  help: { type: "boolean", short: "h" },
  version: { type: "boolean" },
};

/**
 * The command that the first one or two words name, and the words after its name.
 *
 * @param {string[]} words
 */
function find(words) {
  for (const count of [2, 1]) {
    const command = COMMANDS.find(({ name }) => name === words.slice(0, count).join(" "));
    if (command) return { command, given: words.slice(command.name.split(" ").length) };
  }
  return {};
}

/** @param {string[]} words */
function helpFor(words) {
  const { command, given = [] } = find(words);
  const group = COMMANDS.filter(({ name }) => name.split(" ")[0] === words[0]);
  // `products` is a command and a group.
  if (command && (group.length === 1 || command.name !== words[0])) return explanation(command);
  if (words.length === 0) return overview();
  if (group.length > 0 && words.length === 1) return command ? `${explanation(command)}\n${overview(group)}` : overview(group);
  throw new Misuse(`There is no command \`${words.slice(0, words.length - given.length).join(" ")}\`.`);
}

/**
 * @param {Command} command
 * @param {object} values
 * @param {string[]} given
 */
function check(command, values, given) {
  const { name, options } = command;
  const stray = Object.keys(values).find((option) => !options.some((known) => known.name === option));
  if (stray) throw new Misuse(`\`${name}\` has no option --${stray}. ${usage(command)}`);
  const missing = command.arguments.slice(given.length).filter((argument) => !argument.startsWith("["));
  if (missing.length > 0) throw new Misuse(`\`${name}\` needs ${missing.join(", ")}. ${usage(command)}`);
  const siblings = COMMANDS.filter((other) => other.name.startsWith(`${name} `));
  if (given.length > command.arguments.length && siblings.length > 0) throw new Misuse(`There is no command \`${name} ${given[0]}\`. The others are: ${siblings.map((other) => other.name).join(", ")}.`);
  if (given.length > command.arguments.length) throw new Misuse(`Too many arguments for \`${name}\`. ${usage(command)}`);
}

/**
 * Returns the function that does the work of a call.
 *
 * @param {string[]} args
 * @returns {() => unknown}
 */
function read(args) {
  let parsed;
  try {
    parsed = parseArgs({ args, allowPositionals: true, options: OPTIONS });
  } catch (error) {
    throw new Misuse(/** @type {Error} */ (error).message);
  }
  const { values, positionals: words } = parsed;
  if (values.help) return () => void process.stdout.write(helpFor(words));
  if (values.version) return () => console.log(createRequire(import.meta.url)("../../package.json").version);
  if (words.length === 0) throw new Misuse(`A command is missing.\n\n${overview()}`);
  const { command, given } = find(words);
  if (!command) {
    const meant = nearest(words.slice(0, 2).join(" "), NAMES) ?? nearest(words[0] ?? "", NAMES);
    throw new Misuse(`There is no such command.${meant ? ` Did you mean \`${meant}\`?` : ""}`);
  }
  check(command, values, given);
  return () => command.run(values, ...given);
}

try {
  process.exitCode = (await read(process.argv.slice(2))()) === false ? 1 : 0;
} catch (error) {
  const expected = error instanceof Problem || error instanceof Misuse;
  const { message, syscall, exitCode } = /** @type {NodeJS.ErrnoException & { exitCode?: number }} */ (error);
  if (!expected && !syscall) throw error;
  console.error(message);
  if (error instanceof Misuse && !message.includes("Usage: ")) console.error("`npx pioneer-session --help` lists the commands.");
  process.exitCode = exitCode ?? 1;
}
