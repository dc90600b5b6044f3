// The languages whose programs in docs/languages verify conformance.json: how each is found,
// installed and run.

import { existsSync, readFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { paths, root } from "../../scripts/paths.mjs";

const JACKSON = ["databind", "core", "annotations"].map((part) => `/usr/share/java/jackson-${part}.jar`);

/** Whether a program is installed and says its version. */
const runs = (command, ...args) => spawnSync(command, args, { encoding: "utf8" }).status === 0;

/**
 * Each has the id of its page in docs/languages, or a page in `page`. `program` is the file of
 * tests/languages/programs that runs the page's code. `commands` run in a folder with both. The
 * last prints the verdicts, and `CASES` in it stands for the path of conformance.json. `files` are
 * added to them, and `place` says where a file belongs that is not at the top. `replace` changes
 * the page's files first. `packages` are Debian's.
 *
 * `npm test` runs the languages that are small and fast to install. Those with `large`, which says
 * why, are for `npm run languages`.
 */
export const languages = {
  python: {
    name: "Python with PyJWT",
    program: "run.py",
    packages: ["python3-venv"],
    find: () => existsSync(paths.python),
    remedy: "Install Python 3.11 or newer with its venv module (on Debian: python3-venv).",
    commands: [[paths.python, "run.py", "CASES"]],
  },
  joserfc: {
    name: "Python with joserfc",
    page: "python",
    program: "run.py",
    packages: ["python3-venv"],
    find: () => existsSync(paths.python),
    remedy: "Install Python 3.11 or newer with its venv module (on Debian: python3-venv).",
    replace: (read, write) => {
      const code = read("pi_session.py");
      if (!code.includes("\nimport jwt\n")) throw new Error("pi_session.py does not import jwt");
      // The later of two functions with one name counts.
      write("pi_session.py", `${code.replace("\nimport jwt\n", "\n")}${read("with_joserfc.py")}`);
    },
    commands: [[paths.python, "run.py", "CASES"]],
  },
  php: {
    name: "PHP",
    program: "run.php",
    packages: ["php-cli"],
    remedy: "Install PHP 8.1 or newer with its extension sodium.",
    find: () => runs("php", "-r", "exit(extension_loaded('sodium') ? 0 : 1);"),
    commands: [["php", "-d", "error_reporting=-1", "-d", "display_errors=stderr", "run.php", "CASES"]],
  },
  ruby: {
    name: "Ruby",
    program: "run.rb",
    packages: ["ruby"],
    remedy: "Install Ruby 3.0 or newer.",
    find: () => runs("ruby", "-ropenssl", "-e", "exit RUBY_VERSION >= '3.0'"),
    commands: [["ruby", "-w", "run.rb", "CASES"]],
  },
  go: {
    name: "Go",
    large: "464 MB",
    program: "run.go",
    packages: ["golang-go"],
    remedy: "Install Go 1.19 or newer.",
    find: () => runs("go", "version"),
    files: () => ({ "go.mod": "module check\n\ngo 1.19\n" }),
    place: { "session.go": "session/session.go" },
    commands: [["go", "vet", "./..."], ["go", "run", "run.go", "CASES"]],
  },
  java: {
    name: "Java",
    large: "270 MB",
    program: "Run.java",
    packages: ["default-jdk-headless", "libjackson2-databind-java"],
    remedy: "These tests take Jackson from Debian's packages. Run them in a Debian container.",
    find: () => runs("javac", "--version") && JACKSON.every((path) => existsSync(path)),
    commands: [
      ["javac", "-Xlint:all,-serial", "-Werror", "-cp", JACKSON.join(":"), "PiSession.java", "Run.java"],
      ["java", "-cp", [...JACKSON, "."].join(":"), "Run", "CASES"],
    ],
  },
  rust: {
    name: "Rust with jsonwebtoken",
    large: "a minute to compile",
    program: "run.rs",
    find: () => runs("cargo", "--version"),
    remedy: "Install rustup from https://rustup.rs.",
    files: () => ({ "Cargo.lock": readFileSync(`${root}/tests/languages/rust/Cargo.lock`) }),
    place: { "run.rs": "src/main.rs" },
    env: () => ({
      CARGO_TARGET_DIR: paths.languagesRust,
      RUSTUP_TOOLCHAIN: readFileSync(paths.toolchain, "utf8").match(/channel = "(.+)"/)[1],
    }),
    commands: [["cargo", "clippy", "--locked", "--quiet", "--", "-D", "warnings"], ["cargo", "run", "--locked", "--quiet", "--", "CASES"]],
  },
};
