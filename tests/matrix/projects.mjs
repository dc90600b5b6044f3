// Projects that use the packed package: installs it, writes the small program that every row of the
// matrix builds and runs, and checks the result.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createPrivateKey, sign } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { newKey } from "../../pkg/cli/keys.mjs";
import { environment, paths, root } from "../../scripts/paths.mjs";
import { openBrowser } from "../support/browser.mjs";
import { pack, serve } from "../support/packed-example.mjs";

export const RESULT = "uid-1 bad_signature";
export const PAGE_RESULT = `${RESULT} function`;
export const SERVER_RESULT = `${RESULT} uid-1 401`;

const PAGE_MS = 30_000; // a dev server that bundles at the first request has taken up to ten seconds
const BUILD_MS = 300_000; // Next.js takes a minute on two busy cores

const key = newKey();
const { d, state, ...bare } = key;

function token(members = {}) {
  const now = Math.floor(Date.now() / 1000);
  const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encoded({ alg: "EdDSA", kid: key.kid, typ: "pi-session+jwt" })}.${encoded({
    iss: "https://session.example.com", aud: "example-app", sub: "uid-1", sid: "sid-1", iat: now, exp: now + 3600, auth_time: now,
    jti: "jti-1", scope: "username", app_bound: true, ...members,
  })}`;
  return `${signed}.${sign(null, Buffer.from(signed), createPrivateKey({ key, format: "jwk" })).toString("base64url")}`;
}

/** The program: the package and its module for Request and Response verify a token and refuse a
 * forged one. */
function program() {
  const good = token();
  // Another signature of the same length.
  const forged = good.replace(/[^.]+$/, token({ sub: "uid-2" }).split(".")[2]);
  const options = { issuer: "https://session.example.com", audience: "example-app", jwks: { keys: [{ ...bare, alg: "EdDSA", use: "sig" }] } };
  const check = `
const options = ${JSON.stringify(options)};
const [good, forged] = ${JSON.stringify([good, forged])};
async function check() {
  const { uid } = await verify(good, options);
  const verifier = await createVerifier(options);
  try {
    verifier.verify(forged);
  } catch (error) {
    return uid + " " + (error instanceof SessionError && error.code);
  }
}
`;
  const served = `
async function served() {
  const verifier = await createVerifier(options);
  const session = async (token) => {
    try {
      return (await sessionFrom(new Request("https://app.example.com/", { headers: { authorization: "Bearer " + token } }), verifier)).uid;
    } catch (error) {
      return refusal(error).status;
    }
  };
  return [await check(), await session(good), await session(forged)].join(" ");
}
`;
  return {
    "check.mjs": `import { SessionError, createVerifier, verify } from "pioneer-session";${check}export { check, forged, good, options };\n`,
    "check.cjs": `const { SessionError, createVerifier, verify } = require("pioneer-session");${check}module.exports = { check, forged, good, options };\n`,
    "served.mjs": `import { createVerifier } from "pioneer-session";
import { refusal, sessionFrom } from "pioneer-session/fetch";
import { check, forged, good, options } from "./check.mjs";${served}export { served };\n`,
    "served.cjs": `const { createVerifier } = require("pioneer-session");
const { refusal, sessionFrom } = require("pioneer-session/fetch");
const { check, forged, good, options } = require("./check.cjs");${served}module.exports = { served };\n`,
    "main.mjs": 'import { served } from "./served.mjs";\nserved().then(console.log);\n',
    "main.cjs": 'const { served } = require("./served.cjs");\nserved().then(console.log);\n',
    "page.mjs": `import { signIn } from "pioneer-session/browser";
import { check } from "./check.mjs";
check().then((result) => (document.title = result + " " + typeof signIn), (error) => (document.title = "failed: " + error));\n`,
    "index.html": '<!doctype html><title></title><script type="module" src="./page.mjs"></script>\n',
  };
}

/** Projects are in a folder below the tools, so that every tool finds itself and the package. */
export const home = `${root}/target/matrix`;
const projects = `${home}/projects`;

/** Packs the package and installs it for all projects. */
export function installPackage() {
  rmSync(projects, { recursive: true, force: true });
  mkdirSync(projects, { recursive: true });
  const tarball = pack(projects);
  writeFileSync(`${projects}/package.json`, JSON.stringify({ name: "projects", private: true }));
  execFileSync("npm", ["install", "--no-audit", "--no-fund", "--offline", "--ignore-scripts", "--legacy-peer-deps", tarball], { cwd: projects, env: environment, stdio: ["ignore", "ignore", "inherit"] });
}

/** The folder of a package: among the tools of the matrix if they are installed, otherwise among
 * ours. */
export function packageFolder(name) {
  const folder = [`${home}/node_modules/${name}`, `${paths.modules}/${name}`].find((path) => existsSync(path));
  assert.ok(folder, `${name} is not installed`);
  return folder;
}

export const versionOf = (name) => JSON.parse(readFileSync(`${packageFolder(name)}/package.json`, "utf8")).version;

/** A project with the program and the files of its row. */
export class Project {
  constructor(name, files = {}, manifest = {}) {
    this.folder = join(projects, name.toLowerCase().replace(/[^a-z0-9]+/g, "-"));
    rmSync(this.folder, { recursive: true, force: true });
    const all = { "package.json": JSON.stringify({ name: "project", private: true, type: "module", ...manifest }), ...program(), ...files };
    for (const [path, text] of Object.entries(all)) {
      if (text === undefined) continue;
      mkdirSync(join(this.folder, path, ".."), { recursive: true });
      writeFileSync(join(this.folder, path), text);
    }
  }

  /** Runs a program in the folder and returns its output. */
  run(command, ...args) {
    const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: this.folder, env: this.#environment(), encoding: "utf8", timeout: BUILD_MS });
    if (status !== 0) throw new Error(`"${command} ${args.join(" ")}" failed${error ? ` (${error.code})` : ""}:\n${stdout}${stderr}`);
    return stdout.trim();
  }

  node(...args) {
    return this.run(process.execPath, ...args);
  }

  /** Runs a tool by the name of its command. */
  tool(name, ...args) {
    const folder = [`${home}/node_modules/.bin`, `${paths.modules}/.bin`].find((path) => existsSync(`${path}/${name}`));
    return this.run(`${folder}/${name}`, ...args);
  }

  /** Starts a server of the project and requests `paths`. */
  async ask(command, args, port, paths) {
    const server = await serve(command, args, { url: `http://127.0.0.1:${port}${paths[0]}`, cwd: this.folder, env: this.#environment() });
    try {
      const texts = [];
      for (const path of paths) texts.push(await (await fetch(`http://127.0.0.1:${port}${path}`)).text());
      return texts;
    } finally {
      await server.close();
    }
  }

  /** Starts a server of the project and opens its page. */
  async openAt(command, args, port, path = "/") {
    const server = await serve(command, args, { url: `http://127.0.0.1:${port}${path}`, cwd: this.folder, env: this.#environment() });
    try {
      return await title(`http://127.0.0.1:${port}${path}`);
    } finally {
      await server.close();
    }
  }

  /** Opens the page in one of the project's folders through a static server. */
  async open(folder = ".", page = "/index.html") {
    const types = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".cjs": "text/javascript", ".wasm": "application/wasm" };
    const server = createServer((request, response) => {
      const path = join(this.folder, folder, new URL(request.url, "http://localhost").pathname);
      if (!existsSync(path)) return response.writeHead(404).end();
      response.writeHead(200, { "content-type": types[extname(path)] ?? "application/octet-stream" }).end(readFileSync(path));
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    try {
      return await title(`http://127.0.0.1:${server.address().port}${page}`);
    } finally {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  #environment() {
    return { ...environment, PATH: `${home}/node_modules/.bin:${environment.PATH}`, NEXT_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1", CI: "true", NODE_ENV: undefined };
  }
}

/** The title that the page's program sets, or the errors of the page. */
async function title(url) {
  const browser = await openBrowser();
  try {
    const page = await browser.newPage();
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    await page.goto(url);
    try {
      await page.waitForFunction("document.title !== ''", undefined, { timeout: PAGE_MS });
    } catch {
      throw new Error(`the page has no result: ${complaints.join("; ")}`);
    }
    return await page.title();
  } finally {
    await browser.close();
  }
}
