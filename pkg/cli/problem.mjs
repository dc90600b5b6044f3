// The errors of commands. Their texts never contain a key, a secret or the value of a setting.

/** The command found something wrong. Exit code 1. */
export class Problem extends Error {
  exitCode = 1;
}

/** The command was called with wrong arguments. Exit code 2. */
export class Misuse extends Error {
  exitCode = 2;
}
