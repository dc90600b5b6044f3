// The languages whose programs in docs/languages verify conformance.json: how each is found,
// installed and run.

import { existsSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { paths } from "../../scripts/paths.mjs";

const JACKSON = ["databind", "core", "annotations"].map((part) => `/usr/share/java/jackson-${part}.jar`);

/** Whether a program is installed and says its version. */
const runs = (command, ...args) => spawnSync(command, args, { encoding: "utf8" }).status === 0;

/**
 * `document` is the page in docs/languages, and `program` the file of tests/languages/programs that
 * runs the page's code. `commands` run in a folder with both; the last prints the verdicts, and
 * `CASES` in it stands for the path of conformance.json. `packages` are Debian's.
 *
 * `npm test` runs the languages that are small and fast to install. The `large` ones are for
 * `npm run languages`.
 */
export const languages = {
  python: {
    name: "Python with PyJWT",
    program: "run.py",
    find: () => existsSync(paths.python),
    remedy: "Run: node scripts/setup.mjs --python",
    commands: [[paths.python, "run.py", "CASES"]],
  },
  php: {
    name: "PHP",
    program: "run.php",
    packages: ["php-cli"],
    find: () => runs("php", "-r", "exit(extension_loaded('sodium') ? 0 : 1);"),
    commands: [["php", "-d", "error_reporting=-1", "-d", "display_errors=stderr", "run.php", "CASES"]],
  },
  ruby: {
    name: "Ruby",
    program: "run.rb",
    packages: ["ruby"],
    find: () => runs("ruby", "-ropenssl", "-e", "exit RUBY_VERSION >= '3.0'"),
    commands: [["ruby", "-w", "run.rb", "CASES"]],
  },
  go: {
    name: "Go",
    large: "464 MB",
    program: "run.go",
    packages: ["golang-go"],
    find: () => runs("go", "version"),
    files: { "go.mod": "module check\n\ngo 1.19\n" },
    place: { "session.go": "session/session.go" },
    commands: [["go", "vet", "./..."], ["go", "run", "run.go", "CASES"]],
  },
  java: {
    name: "Java",
    large: "270 MB",
    program: "Run.java",
    packages: ["default-jdk-headless", "libjackson2-databind-java"],
    find: () => runs("javac", "--version") && JACKSON.every((path) => existsSync(path)),
    commands: [
      ["javac", "-Xlint:all,-serial", "-Werror", "-cp", JACKSON.join(":"), "PiSession.java", "Run.java"],
      ["java", "-cp", [...JACKSON, "."].join(":"), "Run", "CASES"],
    ],
  },
};
