// Runs all columns of the differential matrix and writes matrix.json and matrix.md. With --check,
// it compares them with the committed files instead, and fails if they differ. `npm run
// differential` sets up first.

import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { paths, root } from "../../scripts/paths.mjs";
import { AUDIENCE, FIXED_NOW, ISSUER, MAX_AGE, REQUIRED, TOLERANCE, TYP, makeTokens } from "./cases.mjs";
import { judgeAll } from "./javascript.mjs";
import { checkAdapter, makeMatrix, render } from "./matrix.mjs";

const here = import.meta.dirname;
const files = { json: `${here}/matrix.json`, markdown: `${here}/matrix.md` };

function run(command, args, options = {}) {
  const { status, stdout, error } = spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 28, stdio: ["pipe", "pipe", "inherit"], ...options });
  if (status !== 0) {
    console.error(`[differential] "${command} ${args.join(" ")}" failed${error ? ` (${error.code})` : ""}.`);
    process.exit(1);
  }
  return stdout;
}

/** The input of an adapter in another language. */
const setting = (now) => JSON.stringify({
  now, issuer: ISSUER, audience: AUDIENCE, typ: TYP, tolerance: TOLERANCE, maxAge: MAX_AGE, required: REQUIRED,
  tokens: makeTokens("EdDSA", now).map((entry) => entry ?? null),
});

const python = () => JSON.parse(run(paths.python, [`${here}/python.py`], { input: setting(FIXED_NOW) }));

const RUST = {
  "jsonwebtoken (Rust)": {
    crate: "jsonwebtoken",
    clock: "system",
    options: "rust_crypto; key by id of decode_header; algorithms, issuer, audience, required claims, validate_nbf, leeway; the caller's type names all claims, so their types are checked, and an array of audiences is refused. It has no check of typ, no maximal age and reads the clock itself",
  },
  "jwt-simple": {
    crate: "jwt-simple",
    clock: "fixed",
    options: "pure-rust; key by id of decode_metadata; required_key_id, required_signature_type, allowed_issuers, allowed_audiences, max_validity, max_token_length, accept_future, time_tolerance, artificial_time; the caller's type names the other claims",
  },
};

function rust() {
  const folder = `${here}/rust`;
  const env = { ...process.env, CARGO_TARGET_DIR: paths.differentialRust };
  run("cargo", ["build", "--release", "--locked", "--quiet", "--manifest-path", `${folder}/Cargo.toml`], { env, stdio: "inherit" });
  const lock = readFileSync(`${folder}/Cargo.lock`, "utf8");
  return Object.fromEntries(Object.entries(RUST).map(([name, { crate, clock, options }]) => {
    const now = clock === "system" ? Math.floor(Date.now() / 1000) : FIXED_NOW;
    const verdicts = JSON.parse(run(`${paths.differentialRust}/release/differential`, [crate], { input: setting(now) }));
    const version = lock.match(new RegExp(`name = "${crate}"\nversion = "(.+)"`))[1];
    return [name, { version, options, clock, verdicts: verdicts.map((entry) => entry ?? undefined) }];
  }));
}

const pythonVersion = () => run(paths.python, ["-c", "import sys; print('.'.join(map(str, sys.version_info[:2])))"]).trim();
const rustVersion = () => readFileSync(paths.toolchain, "utf8").match(/channel = "(.+)"/)[1];

const judged = { ...(await judgeAll()), ...python(), ...rust() };
for (const [name, column] of Object.entries(judged)) checkAdapter(name, column);
const matrix = makeMatrix(judged, { Node: process.versions.node, OpenSSL: process.versions.openssl, Python: pythonVersion(), Rust: rustVersion() });

/** The differences between two matrices, one line each. */
function differences(before, after) {
  const found = [];
  const compare = (what, old, now) => {
    if (JSON.stringify(old) !== JSON.stringify(now)) found.push(`${what}: ${JSON.stringify(old)} is committed, ${JSON.stringify(now)} was found`);
  };
  // Python comes from the machine. Only a cell that depends on its version counts as a difference,
  // not the version itself.
  compare("runtimes", before.runtimes, { ...after.runtimes, Python: before.runtimes.Python });
  compare("columns", before.columns, after.columns);
  compare("rows", before.rows.map(({ id, name }) => `${id}: ${name}`), after.rows.map(({ id, name }) => `${id}: ${name}`));
  if (found.length > 0) return found;
  before.rows.forEach((row, index) => {
    for (const [name, text] of Object.entries(row.cells)) compare(`${row.id}: ${row.name} ${name}`, text, after.rows[index].cells[name]);
  });
  return found;
}

if (process.argv.includes("--check")) {
  const committed = JSON.parse(readFileSync(files.json, "utf8"));
  const found = differences(committed, matrix);
  if (readFileSync(files.markdown, "utf8") !== render(committed)) found.push("matrix.md does not match matrix.json");
  for (const text of found) console.error(`[differential] ${text}`);
  if (found.length > 0) {
    console.error("[differential] The committed matrix is out of date. Run: npm run differential");
    process.exit(1);
  }
  console.log(`[differential] All ${matrix.rows.length} rows of ${matrix.columns.length} columns are as committed.`);
} else {
  writeFileSync(files.json, `${JSON.stringify(matrix, null, 1)}\n`);
  writeFileSync(files.markdown, render(matrix));
  console.log(`[differential] Wrote ${matrix.rows.length} rows of ${matrix.columns.length} columns to tests/differential/matrix.json and matrix.md.`);
}
