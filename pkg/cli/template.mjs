// The files of a new project, composed from examples/: the Worker with its page, and a backend.

/** @import { Choices } from "./choices.mjs" */

import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const EXAMPLES = fileURLToPath(new URL("../../examples", import.meta.url));
const BASE_NAME = "example-worker";

// Files that a trial run leaves in an example, besides those that begin with a dot.
const NOT_COPIED = new Set(["node_modules", "package-lock.json", "pioneer-session", "session-keys.json"]);

/** npm leaves every .gitignore out of a package, so its lines are here. A test compares them. */
export const IGNORED = ["node_modules", ".wrangler", ".dev.vars*", ".env*", "session-keys*.json", "public/pioneer-session", ".next"];

/** The command that starts a backend, on the port in PORT. */
const BACKEND_COMMANDS = {
  express: "node api/server.js",
  fastify: "node api/server.js",
  hono: "node api/server.js",
  next: "next dev api --hostname 127.0.0.1",
};

/** @param {string} path */
const read = (path) => readFileSync(`${EXAMPLES}/${path}`, "utf8");

/**
 * The files of an example, as paths in its folder.
 *
 * @param {string} example
 */
function filesOf(example, folder = "") {
  /** @type {string[]} */
  const found = [];
  for (const entry of readdirSync(`${EXAMPLES}/${example}/${folder}`, { withFileTypes: true })) {
    if (entry.name.startsWith(".") || NOT_COPIED.has(entry.name)) continue;
    const path = `${folder}${entry.name}`;
    found.push(...(entry.isDirectory() ? filesOf(example, `${path}/`) : [path]));
  }
  return found;
}

/**
 * Keeps or drops the regions of a text (`#region NAME` to `#endregion`, in a comment), and drops
 * their marks.
 *
 * @param {string} text
 * @param {Record<string, boolean>} kept
 */
export function regions(text, kept) {
  const [begin, end] = [/^\s*(?:\/\/|<!--) #region (\w+)/, /^\s*(?:\/\/|<!--) #endregion/];
  let isKept = true;
  const lines = [];
  for (const line of text.split("\n")) {
    const [, name] = begin.exec(line) ?? [];
    if (name !== undefined) isKept = kept[name] ?? false;
    else if (end.test(line)) isKept = true;
    else if (isKept) lines.push(line);
  }
  return lines.join("\n").replace(/\n{3,}/g, "\n\n");
}

/**
 * The files of a project: their texts, by their paths.
 *
 * @param {{ name: string, choices: Choices, dependency: string }} project
 * @returns {Map<string, string>}
 */
export function projectFiles({ name, choices, dependency }) {
  const { backend, page, payments, network } = choices;
  const kept = { payments: payments === "yes", page: page !== "none", backend: backend !== "none" };
  /** @type {Map<string, string>} */
  const files = new Map();
  for (const path of filesOf("worker")) {
    if (!kept.page && (path.startsWith("public/") || path === "build.js")) continue;
    if (!kept.payments && path === "public/shop.js") continue;
    files.set(path, regions(read(`worker/${path}`), kept).replaceAll(BASE_NAME, name));
  }
  files.set("wrangler.jsonc", configuration(files.get("wrangler.jsonc") ?? "", name, network));
  files.set(".gitignore", `${IGNORED.join("\n")}\n`);
  if (backend !== "none") {
    for (const path of filesOf(backend)) {
      if (path !== "package.json" && path !== "README.md") files.set(`api/${path}`, read(`${backend}/${path}`));
    }
    files.set("test/api.test.js", read("api.test.js"));
  }
  files.set("package.json", manifest(files.get("package.json") ?? "", { backend, page, dependency }));
  return files;
}

/**
 * @param {string} text
 * @param {string} name
 * @param {string} network
 */
function configuration(text, name, network) {
  return text
    .replaceAll('"pioneer-session"', JSON.stringify(name))
    .replace('"SESSION_AUDIENCE": "example-app"', `"SESSION_AUDIENCE": ${JSON.stringify(name)}`)
    .replace('"PI_NETWORK": "Pi Testnet"', `"PI_NETWORK": "${network === "mainnet" ? "Pi Network" : "Pi Testnet"}"`);
}

/**
 * @param {string} text
 * @param {{ backend: string, page: string, dependency: string }} choices
 */
function manifest(text, { backend, page, dependency }) {
  const manifest = JSON.parse(text);
  if (page === "none") delete manifest.scripts.build;
  if (backend !== "none") {
    manifest.scripts.backend = BACKEND_COMMANDS[/** @type {keyof typeof BACKEND_COMMANDS} */ (backend)];
    Object.assign(manifest.dependencies, JSON.parse(read(`${backend}/package.json`)).dependencies);
  }
  manifest.dependencies["pioneer-session"] = dependency;
  manifest.dependencies = Object.fromEntries(Object.entries(manifest.dependencies).sort(([a], [b]) => (a < b ? -1 : 1)));
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** The names of the packages that a project can depend on, so that it cannot have their names. */
export function dependencyNames() {
  return ["worker", ...Object.keys(BACKEND_COMMANDS)].flatMap((example) => {
    const { dependencies, devDependencies } = JSON.parse(read(`${example}/package.json`));
    return Object.keys({ ...dependencies, ...devDependencies });
  });
}
