// The platforms, and how each runs the conformance checks and the signature vectors. Every run gets
// new tokens, because the checks revoke a session.

import { execFileSync, spawn } from "node:child_process";
import { createServer } from "node:http";
import { arch } from "node:os";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { newKey } from "../../pkg/cli/keys.mjs";
import { bunIn, denoIn, installLockedPackages } from "../../scripts/locked-packages.mjs";
import { environment, paths, root } from "../../scripts/paths.mjs";
import { AUDIENCE as ROW_AUDIENCE, FIXED_NOW, ISSUER as ROW_ISSUER, TOLERANCE, cases, rowsAt } from "../differential/cases.mjs";
import { packageCodes } from "../docs/source.mjs";
import { AUDIENCE, issuer as startIssuer } from "../support/issuer.mjs";
import { pack } from "../support/packed-example.mjs";
import { start, startVerdict } from "../support/workers.mjs";
import { CHECKS } from "./conformance.mjs";
import { VECTORS, vectorsIn } from "./vectors.mjs";

const RUN_MS = 60_000; // the checks take a few seconds; a process that stays alive fails here
const home = `${root}/target/platforms`;
const project = `${home}/project`;

const COMMAND_LINE = "command line";

/** The columns of the table. */
export const COLUMNS = [...CHECKS, VECTORS, COMMAND_LINE];

/** The text of a column's head. */
export const headOf = (name) => (name === "attacking tokens" ? `${cases.length} tokens` : name);

/** Packs the package and installs it for all platforms, with the programs that they run. */
export function preparePackage() {
  rmSync(project, { recursive: true, force: true });
  mkdirSync(project, { recursive: true });
  const tarball = pack(project);
  writeFileSync(`${project}/package.json`, '{"private":true,"type":"module"}');
  execFileSync("npm", ["install", "--no-audit", "--no-fund", "--offline", "--ignore-scripts", "--legacy-peer-deps", tarball], { cwd: project, env: environment, stdio: ["ignore", "ignore", "inherit"] });
  copyFileSync(`${root}/tests/platforms/conformance.mjs`, `${project}/conformance.mjs`);
  const checks = `
const given = JSON.parse(readFileSync(process.argv[2], "utf8"));
import("./conformance.mjs").then(async ({ conformance }) => console.log(JSON.stringify(await conformance({ main, adapter }, given))));
`;
  writeFileSync(`${project}/import.mjs`, `import { readFileSync } from "node:fs";\nimport process from "node:process";\nimport * as main from "pioneer-session";\nimport * as adapter from "pioneer-session/fetch";\n${checks}`);
  writeFileSync(`${project}/require.cjs`, `const { readFileSync } = require("node:fs");\nconst process = require("node:process");\nconst main = require("pioneer-session");\nconst adapter = require("pioneer-session/fetch");\n${checks}`);
  writeFileSync(`${project}/worker.mjs`, `import * as main from "pioneer-session";
import * as adapter from "pioneer-session/fetch";
import { conformance } from "./conformance.mjs";
export default { fetch: async (request) => Response.json(await conformance({ main, adapter }, await request.json(), { hasTimers: false })) };
`);
}

/** Starts the issuers of the checks. */
export async function startIssuers() {
  const [issuer, withoutKeys, withoutFeed] = await Promise.all([
    startIssuer(),
    startIssuer({ fails: (path) => path.startsWith("/.well-known/") }),
    startIssuer({ fails: (path) => path === "/revocations" }),
  ]);
  const control = createServer((request, response) => {
    issuer.end(request.url.slice(1));
    response.end();
  });
  await new Promise((done) => control.listen(0, "127.0.0.1", done));
  const now = () => Math.floor(Date.now() / 1000);
  let runs = 0;

  return {
    /** What one run of the checks needs, as JSON. */
    given() {
      const later = `later-${(runs += 1)}`;
      const { tokens: { good, expired, revoked, forged, otherAudience, otherIssuer } } = issuer;
      return JSON.stringify({
        issuer: issuer.url,
        audience: AUDIENCE,
        jwks: { keys: [issuer.jwk] },
        tokens: {
          good, expired, revoked, forged, otherAudience, otherIssuer,
          later: issuer.token({ sid: later }),
          unknownKey: issuer.token({}, { key: newKey() }),
          early: issuer.token({ iat: now() + 300, auth_time: now() + 300 }),
          noSubject: issuer.token({ sub: undefined }),
        },
        codes: packageCodes(),
        withoutKeys: withoutKeys.url,
        withoutFeed: withoutFeed.url,
        revokeLater: `http://127.0.0.1:${control.address().port}/${later}`,
        rowTime: FIXED_NOW * 1000,
        rowOptions: { issuer: ROW_ISSUER, audience: ROW_AUDIENCE, clockTolerance: TOLERANCE },
        rows: rowsAt(FIXED_NOW).map(({ name, token, jwks, kind, lost = false }) => ({ name, token, jwks, isAccepted: kind === "must-accept" && !lost })),
      });
    },
    async close() {
      control.closeAllConnections();
      await Promise.all([new Promise((done) => control.close(done)), ...[issuer, withoutKeys, withoutFeed].map((each) => each.close())]);
    },
  };
}

/** Runs a program, and returns its output once it has ended by itself. */
function output(command, args) {
  return new Promise((done, fail) => {
    // No proxy or option of the caller's Node reaches the program.
    const child = spawn(command, args, { cwd: project, env: { PATH: environment.PATH, HOME: project, NO_COLOR: "1" }, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (data) => (stdout += data));
    child.stderr.on("data", (data) => (stderr += data));
    const timer = setTimeout(() => child.kill("SIGKILL"), RUN_MS);
    child.on("error", fail);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (code === 0) done(stdout);
      else fail(new Error(`"${command} ${args.join(" ")}" ended with ${signal ?? code}:\n${stdout}${stderr}`));
    });
  });
}

/** Runs a command of the package that needs neither a network nor a file. */
async function commandLine(run) {
  const { keys } = JSON.parse(await run(["node_modules/pioneer-session/pkg/cli/index.mjs", "keys", "new"]));
  return keys.length === 1 && keys[0].state === "active" ? "passed" : "`keys new` printed something else than a key";
}

/**
 * A platform that runs programs, with the version that its lock file pins. `before` are the
 * arguments before a program and its files.
 */
function runtime(name, version, command, { before = () => [] } = {}) {
  const run = async ([program, ...args], files = []) => output(command(), [...before(files), program, ...args]);
  return ["import", "require"].map((how) => ({
    name,
    version,
    how,
    async run(issuers) {
      const printed = await output(command(), ["--version"]);
      if (!printed.split(/[\sv]+/).includes(version)) throw new Error(`this should be ${name} ${version}, but it is ${printed}`);
      writeFileSync(`${project}/given.json`, issuers.given());
      const results = JSON.parse(await run([how === "import" ? "import.mjs" : "require.cjs", "given.json"], ["given.json"]));
      return {
        ...results,
        [VECTORS]: await vectorsIn(project, (program, files) => run([program], files)),
        [COMMAND_LINE]: await commandLine(run).catch((error) => error.stack),
      };
    },
  }));
}

const json = (path) => JSON.parse(readFileSync(`${root}/${path}`, "utf8"));
const ours = json("package.json").devDependencies;
const pinned = json("tests/platforms/package.json");

/** A Node of the lock file. */
const node = (alias) => runtime("Node", pinned.optionalDependencies[`${alias}-linux-x64`].split("@").at(-1), () => `${home}/node_modules/${alias}-linux-${arch()}/bin/node`);

const workerd = {
  name: "workerd",
  how: "import",
  version: json("package-lock.json").packages["node_modules/workerd"].version,
  async run(issuers) {
    const { build } = await import("esbuild");
    const folder = `${project}/workerd`;
    mkdirSync(`${folder}/wasm`, { recursive: true });
    // Bundled as wrangler does: the wasm stays a module for the runtime.
    await build({ entryPoints: [`${project}/worker.mjs`], outfile: `${folder}/entry/index.js`, bundle: true, format: "esm", conditions: ["workerd"], external: ["*.wasm", "cloudflare:workers"], logLevel: "error" });
    copyFileSync(`${project}/node_modules/pioneer-session/pkg/wasm/pioneer_session_bg.wasm`, `${folder}/wasm/pioneer_session_bg.wasm`);
    const worker = await start("build", {
      modulesRoot: folder,
      modules: [
        { type: "ESModule", path: `${folder}/entry/index.js` },
        { type: "CompiledWasm", path: `${folder}/wasm/pioneer_session_bg.wasm` },
      ],
    });
    const verdict = await startVerdict();
    try {
      const results = await (await fetch(worker.url, { method: "POST", body: issuers.given() })).json();
      return { ...results, [VECTORS]: await vectorsIn(verdict.url) };
    } finally {
      await Promise.all([worker.close(), verdict.close()]);
    }
  },
};

/** The platforms in the order of the table. Those that are `quick` are installed for other tests. */
export const platforms = [
  ...node("node-first"),
  ...node("node20"),
  ...node("node22"),
  ...runtime("Node", ours.node, () => process.execPath).map((each) => ({ ...each, quick: true })),
  ...node("node26"),
  // The package itself reads no file and no variable, so Deno forbids it both.
  ...runtime("Deno", pinned.devDependencies.deno, () => denoIn(home), {
    before: (files) => ["run", "--no-prompt", "--node-modules-dir=manual", "--allow-net=127.0.0.1", ...(files.length > 0 ? [`--allow-read=${files.join(",")}`] : [])],
  }),
  ...runtime("Bun", pinned.devDependencies.bun, () => bunIn(home)),
  { ...workerd, quick: true },
];

/** Installs the runtimes that are not installed for other tests. */
export function installRuntimes() {
  if (process.platform !== "linux") throw new Error("npm run platforms runs on Linux only, because only there does npm have every version of Node. Run it in a container.");
  installLockedPackages("platforms", "900 MB");
}
