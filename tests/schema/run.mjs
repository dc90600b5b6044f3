// Runs schemathesis, every check in every phase, against the built Worker and its OpenAPI document.
// `npm run schema` sets up and builds first. It needs Python 3.11 or newer, and installs
// schemathesis into target/schema/venv.
//
//   npm run schema -- --seed 1 --examples 20

import { spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { root } from "../../scripts/paths.mjs";
import { startIssuer, startSimulator } from "../support/workers.mjs";

const folder = `${root}/target/schema`;
const venv = `${folder}/venv`;
const requirements = `${root}/tests/schema/requirements.txt`;

const SIGNED_IN = ["bearer", "cookie"];
const PASSES = [...SIGNED_IN, "none", "peers"]; // hooks.py describes them

// The callers of these operations are not users, so users have no objects of each other there.
const NOT_FOR_USERS = ["backends", "operators"];
const ERASE = "eraseMe"; // an erased user has no orders

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "314" },
    examples: { type: "string", default: "40" }, // at most, for each operation in each random phase
    pass: { type: "string", multiple: true, default: PASSES },
  },
});

const unknown = values.pass.filter((name) => !PASSES.includes(name));
if (unknown.length > 0) stop(`There is no pass "${unknown[0]}".`, `Name one of ${PASSES.join(", ")}.`);

function stop(problem, remedy) {
  console.error(`[schema] ${problem} ${remedy}`);
  process.exit(1);
}

/** Installs the pinned requirements.txt unless it is installed. */
function setUp() {
  const wanted = createHash("sha256").update(readFileSync(requirements)).digest("hex");
  const stamp = `${venv}/.set-up`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  console.log("[schema] installing schemathesis into target/schema/venv");
  rmSync(venv, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const run = (command, args) => spawnSync(command, args, { cwd: root, stdio: "inherit" }).status === 0;
  if (!run("python3", ["-m", "venv", venv])) {
    stop("Python cannot make a virtual environment.", "Install Python 3.11 or newer with its module venv.");
  }
  if (!run(`${venv}/bin/pip`, ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "-r", requirements])) {
    stop("schemathesis could not be installed.", "The lines above say why.");
  }
  writeFileSync(stamp, wanted);
}

const login = (name) => ({
  name,
  loginEndpointAuth: {
    endpoint: "/session",
    verb: "POST",
    contentType: "application/json",
    payloadRaw: JSON.stringify({ accessToken: `sim-${name}` }),
    token: { extractFrom: "body", extractSelector: "/sessionToken", sendIn: "header", sendName: "Authorization", sendTemplate: "Bearer {token}" },
  },
});

/** The configuration of a pass. In "peers", two users must not see each other's objects. */
function configure(name) {
  const file = `${folder}/${name}.toml`;
  const users = `${folder}/users.json`;
  writeFileSync(users, JSON.stringify({ auth: [login("alice"), login("bob")] }));
  const peers = `\n[auth.wfc]\npath = ${JSON.stringify(users)}\npeers = ["alice", "bob"]\n`;
  writeFileSync(file, readFileSync(`${root}/tests/schema/schemathesis.toml`, "utf8") + (name === "peers" ? peers : ""));
  return file;
}

/** What "peers" leaves out. schemathesis is silent about a tag or an id that no operation has, so a
 * renamed one would come back unnoticed. */
function exclusions(document) {
  const operations = Object.values(JSON.parse(document).paths).flatMap((item) => Object.values(item));
  const known = new Set(operations.flatMap(({ tags = [], operationId }) => [...tags, operationId]));
  const unknown = [...NOT_FOR_USERS, ERASE].filter((name) => !known.has(name));
  if (unknown.length > 0) throw new Error(`No operation of the document has the tag or the id ${unknown.join(", ")}. Correct tests/schema/run.mjs.`);
  return [...NOT_FOR_USERS.flatMap((tag) => ["--exclude-tag", tag]), "--exclude-operation-id", ERASE];
}

/** The operations of the document without a successful request in a pass. Almost nothing of them
 * was tested. */
function unreached(document, report) {
  const { paths } = JSON.parse(document);
  const methods = (item) => Object.keys(item).filter((key) => key !== "parameters");
  const left = new Set(Object.entries(paths).flatMap(([path, item]) => methods(item).map((method) => `${method.toUpperCase()} ${path}`)));
  for (const line of readFileSync(report, "utf8").trim().split("\n")) {
    const [{ recorder }] = Object.values(JSON.parse(line));
    for (const [id, { value }] of Object.entries(recorder?.cases ?? {})) {
      const status = recorder.interactions?.[id]?.response?.status_code;
      if (status >= 200 && status < 300) left.delete(`${value.method} ${value.path}`);
    }
  }
  return [...left];
}

/** Runs schemathesis once against a new Worker. Returns whether it found nothing. */
async function pass(name) {
  const report = `${folder}/${name}.ndjson`;
  const credential = randomBytes(32).toString("base64url");
  const operator = randomBytes(32).toString("base64url");
  const hash = (text) => createHash("sha256").update(text).digest("hex");
  const simulator = await startSimulator();
  const issuer = await startIssuer({
    pi: simulator.url,
    allowedOrigin: "",
    cookie: name === "cookie",
    variables: {
      BACKEND_CREDENTIALS: JSON.stringify({ schemathesis: hash(credential) }),
      OPERATOR_CREDENTIALS: JSON.stringify({ schemathesis: { sha256: hash(operator), role: "owner" } }),
    },
  });
  try {
    await issuer.sell("coffee", "One coffee", 31_400_000);
    await issuer.sell("tea", "One tea", 1);
    // From a file, because schemathesis skips the operation from which it has read the document.
    const document = await (await fetch(`${issuer.url}/openapi.json`)).text();
    writeFileSync(`${folder}/openapi.json`, document);
    console.log(`\n[schema] Pass "${name}", seed ${values.seed}`);
    const child = spawn(
      `${venv}/bin/schemathesis`,
      [
        ...["--config-file", configure(name)],
        ...["run", `${folder}/openapi.json`, "--url", issuer.url, "--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"],
        ...["--max-examples", values.examples, "--seed", values.seed, "--workers", "1", "--continue-on-failure"],
        ...(name === "peers" ? exclusions(document) : []),
        ...["--report", "ndjson", "--report-ndjson-path", report],
      ],
      {
        cwd: folder,
        stdio: "inherit",
        env: {
          ...process.env,
          SCHEMA_HOOKS: `${root}/tests/schema/hooks.py`,
          SCHEMA_WORKER: issuer.url,
          SCHEMA_SIMULATOR: simulator.url,
          SCHEMA_CREDENTIAL: credential,
          SCHEMA_OPERATOR: operator,
          SCHEMA_PASS: name,
          SCHEMA_SEED: values.seed,
        },
      },
    );
    const [code] = await once(child, "exit");
    const left = SIGNED_IN.includes(name) ? unreached(document, report) : [];
    if (left.length > 0) console.error(`[schema] No request succeeded at: ${left.join(", ")}.`);
    return code === 0 && left.length === 0;
  } finally {
    await issuer.close();
    await simulator.close();
  }
}

setUp();
const started = Date.now();
const failed = [];
for (const name of values.pass) if (!(await pass(name))) failed.push(name);
const seconds = Math.round((Date.now() - started) / 1000);
if (failed.length > 0) stop(`Failed after ${seconds} s: ${failed.join(", ")}.`, `Repeat it with --seed ${values.seed} --pass ${failed[0]}.`);
console.log(`\n[schema] No failure in ${values.pass.length} passes (${values.pass.join(", ")}), ${seconds} s.`);
