// What a command says instead of going on. The texts never hold a key, a secret or the value of a setting.

/** Something is wrong with what the command found. Exit code 1. */
export class Problem extends Error {
  exitCode = 1;
}

/** The command was not called as it must be. Exit code 2. */
export class Misuse extends Error {
  exitCode = 2;
}
