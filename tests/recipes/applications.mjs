// The applications of docs/recipes.md: takes the code of the page, adds the files around it, builds
// the application in a folder of its own with the packed package, and starts it.

import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { bunIn, denoIn, installLockedPackages } from "../../scripts/locked-packages.mjs";
import { environment, root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";
import { fences } from "../docs/fences.mjs";
import { pack, serve } from "../support/packed-example.mjs";

const BUILD_MS = 120_000; // a build takes a few seconds; two busy cores have taken thirty
const PAGE = "docs/recipes.md";

export const page = readFileSync(`${root}/${PAGE}`, "utf8");
const files = Object.fromEntries(fences(page, PAGE).filter(({ kind }) => kind === "file").map(({ path, text }) => [path, `${text}\n`]));

let home;

/** Installs the frameworks, packs the package, and installs it for all applications. */
export function prepare() {
  home = installLockedPackages("recipes", "450 MB");
  const projects = `${home}/projects`;
  rmSync(projects, { recursive: true, force: true });
  mkdirSync(projects, { recursive: true });
  const tarball = pack(projects);
  writeFileSync(`${projects}/package.json`, '{"private":true}');
  execFileSync("npm", ["install", "--no-audit", "--no-fund", "--offline", "--ignore-scripts", "--legacy-peer-deps", tarball], { cwd: projects, env: environment, stdio: ["ignore", "ignore", "inherit"] });
}

const RUNTIMES = { bun: bunIn, deno: denoIn };

/** A program of an installed package. */
export const program = (name) => RUNTIMES[name]?.(home) ?? `${home}/node_modules/.bin/${name}`;

/**
 * One application. `recipe` is the folder of its files on the page, `sources` the folder in which
 * session.js is. `edit` changes the text of the page, where the page says so.
 */
export class Application {
  #server;

  constructor(name, { recipe = name, sources = ".", edit = (text) => text, links = {}, dependencies = {} } = {}) {
    this.folder = `${home}/projects/${name}`;
    mkdirSync(this.folder);
    if (existsSync(`${root}/tests/recipes/projects/${name}`)) cpSync(`${root}/tests/recipes/projects/${name}`, this.folder, { recursive: true });
    writeFileSync(`${this.folder}/package.json`, JSON.stringify({ private: true, type: "module", dependencies: { "pioneer-session": "*", ...dependencies } }));
    this.#write(join(sources, "session.js"), files["session.js"]);
    const own = Object.entries(files).filter(([path]) => path.startsWith(`${recipe}/`));
    if (own.length === 0) throw new Error(`${PAGE} has no files in ${recipe}/.`);
    for (const [path, text] of own) this.#write(path.slice(recipe.length + 1), edit(text));
    for (const [link, target] of Object.entries(links)) {
      mkdirSync(`${this.folder}/node_modules`, { recursive: true });
      symlinkSync(`${home}/node_modules/${target}`, `${this.folder}/node_modules/${link}`);
    }
  }

  build(command, ...args) {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: this.folder, env: { ...environment, ASTRO_TELEMETRY_DISABLED: "1" }, encoding: "utf8", timeout: BUILD_MS });
    if (status !== 0) throw new Error(`"${command} ${args.join(" ")}" failed:\n${stdout}${stderr}`);
  }

  /** Starts the server. `fixed` is the port that the page's code names; the argument `$PORT` is the
   * port that is used. */
  async start({ url, audience }, command, args, { fixed } = {}) {
    const port = await freePort();
    if (fixed) this.#write("server.js", readFileSync(`${this.folder}/server.js`, "utf8").replaceAll(String(fixed), String(port)));
    this.url = `http://127.0.0.1:${port}`;
    const env = { SESSION_ISSUER: url, SESSION_AUDIENCE: audience, HOST: "127.0.0.1", PORT: String(port), NODE_ENV: "production" };
    this.#server = await serve(command, args.map((arg) => (arg === "$PORT" ? String(port) : arg)), { url: `${this.url}/`, cwd: this.folder, env, isReady: () => true });
  }

  module(path) {
    return import(`${this.folder}/${path}`);
  }

  close() {
    return this.#server?.close();
  }

  #write(path, text) {
    const file = join(this.folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}
