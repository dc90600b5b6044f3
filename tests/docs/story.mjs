// Runs the fenced blocks of one document in their order, as one story in a folder of its own.

import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { paths, root } from "../../scripts/paths.mjs";
import { schema } from "./source.mjs";

/** A block that runs longer hangs: the slowest one, a dry run of wrangler, takes a few seconds. */
const PATIENCE_MS = 60_000;
const POLL_MS = 100;

/** Elements that have no end tag (HTML, 13.1.2). */
const VOID = new Set(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]);

const TSCONFIG = {
  compilerOptions: {
    strict: true, noEmit: true, target: "es2022", module: "nodenext", lib: ["es2023", "dom", "dom.iterable"],
    experimentalDecorators: true, types: ["node"], jsx: "react-jsx", allowJs: true, checkJs: true, moduleDetection: "force",
  },
  include: ["check"],
};

/**
 * Whether the output is the answer, in which … stands for anything. White space means nothing in
 * JSON.
 */
export function isAnswer(expected, output, language) {
  const plain = (text) => (language === "json" ? text.replace(/\s+/g, "") : text.trim());
  const pattern = plain(expected).split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("[^]*");
  return new RegExp(`^${pattern}$`).test(plain(output));
}

function checkHtml(text, folder) {
  const open = [];
  const withoutScripts = text.replace(/(<script\b[^>]*>)[^]*?<\/script>/g, "$1</script>").replace(/<!--[^]*?-->/g, "");
  for (const [, slash, name] of withoutScripts.matchAll(/<(\/?)([a-z][\w-]*)\b[^>]*>/g)) {
    if (slash) {
      const last = open.pop();
      if (last !== name) throw new Error(`</${name}> ends ${last ? `<${last}>` : "nothing"}`);
    } else if (!VOID.has(name)) {
      open.push(name);
    }
  }
  if (open.length > 0) throw new Error(`<${open.at(-1)}> has no end tag`);
  for (const [, script] of text.matchAll(/<script type="module">([^]*?)<\/script>/g)) {
    const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "--check", "-"], { input: script, cwd: folder, encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
  }
}

/**
 * Puts the settings of a piece of wrangler.toml into the table of the same name in the whole file.
 */
function mergeToml(whole, piece) {
  let table = "";
  for (const line of piece.split("\n")) {
    if (/^\s*(#|$)/.test(line)) continue;
    const [, name] = line.match(/^\[([\w.]+)\]$/) ?? [];
    const [, key] = line.match(/^(\w+) *=/) ?? [];
    if (name) table = `[${name}]\n`;
    else if (!key) throw new Error(`the runner cannot merge this line into wrangler.toml: ${line}`);
    else {
      const start = table ? whole.indexOf(table) : 0;
      if (start === -1) throw new Error(`wrangler.toml has no ${table.trim()}`);
      const rest = whole.slice(start).replace(new RegExp(`^${key} *=.*$\n?`, "m"), "");
      whole = whole.slice(0, start) + (table ? rest.replace(table, `${table}${line}\n`) : `${line}\n${rest}`);
    }
  }
  return whole;
}

export class Story {
  #stage;
  #folder;
  #output;
  #servers = [];
  #hasTypes = false;
  /** How many blocks of each kind it has had, and the reasons of those that it did not run. */
  counts = {};
  reasons = [];

  constructor(name, stage) {
    this.#stage = stage;
    this.#folder = join(stage.folder, "pages", name.replaceAll("/", "-"));
    mkdirSync(join(this.#folder, "check"), { recursive: true });
    // Its JavaScript is modules, as in every project that imports the package.
    writeFileSync(join(this.#folder, "package.json"), '{"private":true,"type":"module"}\n');
  }

  /** Runs one block. An error names its file and line. */
  async run(block) {
    this.counts[block.kind] = (this.counts[block.kind] ?? 0) + 1;
    try {
      await this[`_${block.kind}`]({ ...block, text: this.#stage.atPorts(block.text) });
    } catch (error) {
      throw new Error(`${block.at}: ${error.message}`);
    }
  }

  /**
   * Checks the types of all its blocks with one run of the compiler. An error names the file and
   * the line of the block.
   */
  checkTypes() {
    if (!this.#hasTypes) return;
    writeFileSync(join(this.#folder, "tsconfig.json"), JSON.stringify(TSCONFIG));
    const { status, stdout } = this.#spawn(`${paths.modules}/.bin/tsc`, ["--pretty", "false", "-p", "."]);
    if (status !== 0) throw new Error(stdout.replace(/^check\/(.+?)-(\d+)\.[tj]sx?\((\d+)/gm, (_, file, line, inside) => `${file}, block of line ${line}, its line ${inside} (`));
  }

  /** Stops its servers. */
  close() {
    for (const child of this.#servers) if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, "SIGTERM");
  }

  #spawn(command, args, cwd = this.#folder) {
    return spawnSync(command, args, { cwd, env: this.#stage.env, encoding: "utf8", timeout: PATIENCE_MS });
  }

  _real({ reason, at }) {
    this.reasons.push(`${at}: ${reason}`);
  }

  _figure() {}

  _file({ path, text, language }) {
    const file = join(this.#folder, path);
    if (!file.startsWith(this.#folder)) throw new Error(`${path} is outside the document's folder`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${text}\n`);
    // Nothing runs a query of a document, but the Worker's tables must have what it names.
    if (language === "sql") for (const statement of text.split(";").filter((part) => part.trim())) schema().prepare(statement);
  }

  _run({ text }) {
    const { status, stdout, signal } = this.#spawn("bash", ["-eo", "pipefail", "-c", `exec 2>&1\n${text}`]);
    this.#output = stdout;
    if (status !== 0) throw new Error(`ended with ${signal ?? status}:\n${stdout}`);
  }

  async _background({ text }) {
    // A group, because a shell does not pass signals on.
    const child = spawn("bash", ["-ec", `exec 2>&1\n${text}`], { cwd: this.#folder, env: this.#stage.env, stdio: ["ignore", "pipe", "ignore"], detached: true });
    this.#servers.push(child);
    this.#output = "";
    child.stdout.on("data", (data) => (this.#output += data));
    for (let waited = 0; waited < PATIENCE_MS; waited += POLL_MS) {
      const [url] = this.#output.match(/http:\/\/(localhost|127\.0\.0\.1):\d+/) ?? [];
      if (url && (await fetch(url).then(() => true, () => false))) return;
      if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}:\n${this.#output}`);
      await new Promise((done) => setTimeout(done, POLL_MS));
    }
    throw new Error(`the server printed no http:// address that answers:\n${this.#output}`);
  }

  _answer({ text, language }) {
    if (this.#output === undefined) throw new Error("no block before this answer was run");
    if (!isAnswer(text, this.#output, language)) throw new Error(`the answer should be\n${text}\nbut it is\n${this.#output}`);
  }

  _check({ text, language, line, at }) {
    if (language === "html") return checkHtml(text, this.#folder);
    if (language === "toml") return this.#checkToml(text);
    this.#hasTypes = true;
    const name = at.replace(/:\d+$/, "").replaceAll("/", "-");
    writeFileSync(join(this.#folder, `check/${name}-${line}.${language}`), `${text}\n`);
  }

  #checkToml(text) {
    const folder = join(this.#folder, "wrangler");
    cpSync(paths.worker, join(folder, "build"), { recursive: true });
    writeFileSync(join(folder, "wrangler.toml"), mergeToml(readFileSync(`${root}/wrangler.toml`, "utf8"), text));
    const { status, stdout, stderr } = this.#spawn(`${paths.modules}/.bin/wrangler`, ["deploy", "--dry-run", "--outdir", "out"], folder);
    if (status !== 0) throw new Error(`wrangler refuses it:\n${stdout}${stderr}`);
  }
}
