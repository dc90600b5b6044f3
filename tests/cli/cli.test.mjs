// The command line tool as its users run it: as a process, in a folder, its exit code and what it
// prints.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash, createPrivateKey } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { SignJWT, importJWK, jwtVerify } from "jose";
import { unstable_getVarsForDev as varsForDev } from "wrangler";
import { COMMANDS } from "../../pkg/cli/commands.mjs";
import { newKey } from "../../pkg/cli/keys.mjs";
import { createVerifier } from "../../pkg/index.mjs";
import { environment, paths, root } from "../../scripts/paths.mjs";
import { feedOf } from "../support/issuer.mjs";
import { pack } from "../support/packed-example.mjs";

const BIN = `${root}/pkg/cli/index.mjs`;
const NODE_20 = process.env.NODE_20 || process.env.PATH.split(":").map((entry) => join(entry, "node")).find((path) => !path.startsWith(paths.modules) && existsSync(path));
const APP_ORIGIN = "https://app.pioneers.dev";

const folders = [];
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

function newFolder() {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-cli-"));
  folders.push(folder);
  return folder;
}

/** Runs the tool. Whatever `secret` holds must never be on stderr (A2). */
function run(args, { cwd = newFolder(), input = "", node = process.execPath, secret = [] } = {}) {
  return new Promise((done, fail) => {
    const child = spawn(node, [BIN, ...args], { cwd });
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"]) child[name].setEncoding("utf8").on("data", (text) => (output[name] += text));
    child.on("error", fail);
    child.on("close", (code) => {
      for (const text of secret) assert.ok(!output.stderr.includes(text), "a secret is on stderr");
      done({ code, ...output });
    });
    child.stdin.on("error", () => {}); // a command that refuses its arguments does not read
    child.stdin.end(input);
  });
}

const privateParts = (set) => set.keys.map(({ d }) => d);
const states = (set) => set.keys.map(({ state }) => state);
const ago = (seconds) => new Date(Date.now() - seconds * 1000).toISOString();
const mode = (path) => statSync(path).mode & 0o777;
const withKeys = (...keys) => JSON.stringify({ keys });

/** A set in a file, as its owner has it, and what may be asked of it. */
function keyFile(name = "keys.json") {
  const cwd = newFolder();
  const path = join(cwd, name);
  const isDotenv = name.startsWith(".");
  const read = () => {
    const text = readFileSync(path, "utf8");
    return JSON.parse(isDotenv ? /^SESSION_KEYS='(.*)'/m.exec(text)[1] : text);
  };
  const edit = (change) => {
    const set = read();
    set.keys.forEach(change);
    const text = isDotenv ? readFileSync(path, "utf8").replace(/^SESSION_KEYS='.*'/m, `SESSION_KEYS='${JSON.stringify(set)}'`) : JSON.stringify(set);
    writeFileSync(path, text);
  };
  const keys = async (command, ...options) => {
    const secret = existsSync(path) ? privateParts(read()) : [];
    const result = await run(["keys", command, "--file", name, ...options], { cwd, secret });
    for (const d of privateParts(read())) assert.ok(!result.stderr.includes(d), "a private key is on stderr");
    return result;
  };
  return { cwd, path, read, edit, keys };
}

describe("keys", () => {
  test("jose accepts a new set, and this package accepts the tokens that it signs", async () => {
    for (const node of [process.execPath, NODE_20]) {
      const made = await run(["keys", "new"], { node });
      assert.equal(made.code, 0);
      assert.equal(made.stderr, "");
      const { keys: [key, ...others] } = JSON.parse(made.stdout);
      assert.equal(others.length, 0);
      assert.equal(key.state, "active");
      assert.equal(key.kid, createHash("sha256").update(`{"crv":"Ed25519","kty":"OKP","x":"${key.x}"}`).digest("base64url"));

      const shown = await run(["keys", "jwks"], { node, input: made.stdout, secret: [key.d] });
      assert.equal(shown.code, 0);
      const jwks = JSON.parse(shown.stdout);
      assert.deepEqual(jwks, { keys: [{ kty: "OKP", crv: "Ed25519", x: key.x, kid: key.kid, alg: "EdDSA", use: "sig" }] });

      const now = Math.floor(Date.now() / 1000);
      const token = await new SignJWT({ sub: "uid-1", sid: "sid-1", jti: "jti-1", scope: "username", auth_time: now, app_bound: true })
        .setProtectedHeader({ alg: "EdDSA", kid: key.kid, typ: "pi-session+jwt" })
        .setIssuer("https://session.pioneers.dev").setAudience("app").setIssuedAt(now).setExpirationTime(now + 600)
        .sign(await importJWK(key, "EdDSA"));
      await jwtVerify(token, await importJWK(jwks.keys[0]), { issuer: "https://session.pioneers.dev", typ: "pi-session+jwt" });
      const verifier = await createVerifier({ issuer: "https://session.pioneers.dev", audience: "app", jwks });
      assert.equal(verifier.verify(token).uid, "uid-1");
    }
  });

  for (const name of ["keys.json", ".dev.vars"]) {
    test(`K4: a rotation in ${name} publishes, then signs, then removes, and waits before each step`, async () => {
      const { path, read, edit, keys } = keyFile(name);
      const made = await keys("new");
      assert.equal(made.code, 0, made.stderr);
      assert.equal(made.stdout, "");
      assert.match(made.stderr, /wrangler secret put SESSION_KEYS/);
      assert.equal(mode(path), 0o600);
      const [first] = read().keys;

      const published = await keys("rotate");
      assert.equal(published.code, 0, published.stderr);
      assert.match(published.stderr, /wait 10 minutes/);
      assert.deepEqual(states(read()), ["active", "next"]);
      assert.equal(read().keys[0].kid, first.kid);

      const before = readFileSync(path, "utf8");
      const hasty = await keys("rotate");
      assert.equal(hasty.code, 1);
      assert.match(hasty.stderr, /Too early: .* Wait 10 minutes more/);
      assert.equal(readFileSync(path, "utf8"), before);
      edit((key) => key.state === "next" && (key.since = ago(430)));
      assert.match((await keys("rotate")).stderr, /Wait 3 minutes more/);
      edit((key) => key.state === "next" && (key.since = ago(601)));

      const switched = await keys("rotate", "--session-ttl", "600");
      assert.equal(switched.code, 0, switched.stderr);
      assert.match(switched.stderr, /wait 11 minutes/);
      assert.deepEqual(states(read()), ["retired", "active"]);
      assert.equal(mode(path), 0o600);

      edit((key) => key.state === "retired" && (key.since = ago(700)));
      const early = await keys("retire");
      assert.equal(early.code, 1);
      assert.match(early.stderr, /Too early: .* Wait 50 minutes more/);
      const retired = await keys("retire", "--session-ttl", "600");
      assert.equal(retired.code, 0, retired.stderr);
      assert.deepEqual(states(read()), ["active"]);
      assert.notEqual(read().keys[0].kid, first.kid);
      assert.equal((await keys("retire")).code, 1);
      assert.equal((await keys("jwks")).code, 0);
    });
  }

  test("K4: --now removes a stolen key immediately", async () => {
    const { read, keys } = keyFile();
    await keys("new");
    const [stolen] = read().keys;
    for (const step of [["rotate", "--now"], ["retire", "--now"]]) assert.equal((await keys(...step)).code, 0);
    assert.deepEqual(states(read()), ["active"]);
    assert.notEqual(read().keys[0].kid, stolen.kid);
  });

  test("a key without a time in \"since\" waits as well", async () => {
    const input = withKeys(newKey(), newKey("next"));
    const refused = await run(["keys", "rotate"], { input, secret: privateParts(JSON.parse(input)) });
    assert.equal(refused.code, 1);
    assert.equal(refused.stdout, "");
    assert.match(refused.stderr, /no time in "since"/);
    assert.deepEqual(states(JSON.parse((await run(["keys", "rotate", "--now"], { input })).stdout)), ["retired", "active"]);
  });

  test("without a file, the set passes through the pipe, and standard error has no private key", async () => {
    const input = withKeys({ ...newKey(), since: ago(0), owner: "ops" });
    const { code, stdout, stderr } = await run(["keys", "rotate"], { input, secret: privateParts(JSON.parse(input)) });
    assert.equal(code, 0);
    const set = JSON.parse(stdout);
    assert.deepEqual(set.keys[0], JSON.parse(input).keys[0]);
    assert.ok(!stderr.includes(set.keys[1].d));
  });

  test("keys new overwrites no keys", async () => {
    for (const name of ["keys.json", ".dev.vars"]) {
      const { path, keys } = keyFile(name);
      await keys("new");
      const before = readFileSync(path, "utf8");
      const again = await keys("new");
      assert.equal(again.code, 1);
      assert.match(again.stderr, /not overwritten/);
      assert.equal(readFileSync(path, "utf8"), before);
    }
    const cwd = newFolder();
    writeFileSync(join(cwd, "wrangler.toml"), 'name = "sessions"\n');
    const { code, stderr } = await run(["keys", "new", "--file", "wrangler.toml"], { cwd });
    assert.equal(code, 1);
    assert.match(stderr, /wrangler\.toml is not a file of keys/);
    assert.equal(readFileSync(join(cwd, "wrangler.toml"), "utf8"), 'name = "sessions"\n');
  });

  test("other lines of a dotenv file stay the same, byte for byte, and one step replaces the file", async () => {
    const { cwd, path } = keyFile(".dev.vars");
    const before = "# it's mine\r\n  PI_API_KEY = \"a b\" # key\r\nLATIN=\xe9\r\nexport SESSION_KEYS=# none yet\r\nMANY='one\nSESSION_KEYS=no\n'";
    writeFileSync(path, before, { encoding: "latin1", mode: 0o644 });
    const old = statSync(path).ino;
    const made = await run(["keys", "new", "--file", ".dev.vars"], { cwd });
    assert.equal(made.code, 0, made.stderr);
    const text = readFileSync(path, "latin1");
    assert.equal(text.replace(/'\{.*\}'/, ""), before);
    const { SESSION_KEYS, PI_API_KEY } = varsForDev(join(cwd, "wrangler.toml"), undefined, {}, undefined, true);
    assert.deepEqual(states(JSON.parse(SESSION_KEYS.value)), ["active"]);
    assert.equal(PI_API_KEY.value, "a b");
    assert.notEqual(statSync(path).ino, old);
    assert.equal(mode(path), 0o600);
    assert.deepEqual(readdirSync(cwd), [".dev.vars"]);
  });

  test("a failed write leaves the file whole, and no copy behind", async () => {
    const { cwd, path, read, keys } = keyFile();
    await keys("new");
    const before = readFileSync(path, "utf8");
    // A shell that forbids its children to write into files.
    const limited = join(cwd, "limited");
    writeFileSync(limited, `#!/bin/sh\nulimit -f 0\ntrap "" XFSZ\nexec "${process.execPath}" "$@"\n`, { mode: 0o755 });
    const refused = await run(["keys", "rotate", "--file", "keys.json"], { cwd, node: limited, secret: privateParts(read()) });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /EFBIG/);
    assert.equal(readFileSync(path, "utf8"), before);
    assert.deepEqual(readdirSync(cwd).sort(), ["keys.json", "limited"]);
  });

  test("a link to a file stays a link", async () => {
    const { cwd, path, keys } = keyFile();
    await keys("new");
    symlinkSync("keys.json", join(cwd, "link.json"));
    assert.equal((await run(["keys", "rotate", "--file", "link.json"], { cwd })).code, 0);
    assert.deepEqual(states(JSON.parse(readFileSync(path, "utf8"))), ["active", "next"]);
    assert.deepEqual(readdirSync(cwd).sort(), ["keys.json", "link.json"]);
  });

  test("T8, E4: an unsound set is refused with the reason, and without the key", async () => {
    const key = newKey();
    const { d, ...bare } = key;
    const other = newKey("next");
    for (const [input, words] of [
      ["", /Standard input was empty\. .*--file/],
      ["{", /not a JSON object/],
      [`${withKeys(key)} x`, /not a JSON object/],
      [withKeys(key).replace('"crv"', '"kty":"OKP","crv"'), /without duplicate members/],
      [withKeys(key).replace('"crv"', '"\\u006bty":"OKP","crv"'), /without duplicate members/],
      [JSON.stringify([key]), /not a JSON object/],
      [JSON.stringify({ keys: key }), /not a JSON object/],
      [withKeys(), /has no key/],
      [withKeys(null), /key 1 of 1: it is not a JSON Web Key/],
      [withKeys({ ...key, crv: "X25519" }), /not an Ed25519/],
      [withKeys({ ...key, use: "enc" }), /not an Ed25519/],
      [withKeys(bare), /"d" is missing: this is a public key/],
      [withKeys({ ...key, d: `${d}=` }), /32 bytes in base64url/],
      [withKeys({ ...key, d: d.slice(1) }), /32 bytes in base64url/],
      [withKeys({ ...key, d: other.d }), /"d" does not belong to "x"/],
      [withKeys({ ...key, kid: "main" }), /not the key's RFC 7638 thumbprint/],
      [withKeys({ ...key, state: "current" }), /must be next, active or retired/],
      [withKeys(key, { ...key, state: "next" }), /duplicate keys/],
      [withKeys(key, { ...newKey() }), /has 2 active keys/],
      [withKeys(other), /has 0 active keys/],
      [withKeys(...Array.from({ length: 101 }, () => key)), /more than 100 keys/],
    ]) {
      const { code, stdout, stderr } = await run(["keys", "rotate"], { input, secret: [d, other.d] });
      assert.equal(code, 1, String(words));
      assert.equal(stdout, "");
      assert.match(stderr, words);
    }
  });
});

describe("products", () => {
  const state = newFolder();
  const database = ["--config", `${root}/wrangler.toml`, "--persist-to", state];
  const products = (...args) => run(["products", ...args, ...database], { cwd: root });

  before(() => {
    execFileSync("wrangler", ["d1", "migrations", "apply", "DB", "--local", "--persist-to", state], { cwd: root, env: { ...environment, CI: "true" }, stdio: "ignore" });
  });

  test("are added, listed, changed, stopped and started", async () => {
    const empty = await products();
    assert.equal(empty.code, 0, empty.stderr);
    assert.equal(empty.stdout, "");
    for (const product of [["coffee", "A cup of coffee", "3.14"], ["salt", "A grain of salt; it's little", "0.0000001"]]) {
      const added = await products("add", ...product);
      assert.equal(added.code, 0, added.stderr);
    }
    const twice = await products("add", "coffee", "Tea", "1");
    assert.equal(twice.code, 1);
    assert.match(twice.stderr, /There is already a product with this id/);
    assert.equal((await products("price", "coffee", "100")).code, 0);
    assert.equal((await products("stop", "salt")).code, 0);
    assert.equal((await products()).stdout, "coffee\t100\tA cup of coffee\nsalt\t0.0000001\tA grain of salt; it's little\t(not sold)\n");
    assert.equal((await products("start", "salt")).code, 0);
    assert.doesNotMatch((await products()).stdout, /not sold/);
    assert.equal((await products("price", "tea", "1")).code, 1);
  });

  test("no text is read as SQL, and no amount as another one", async () => {
    for (const [id, name, amount] of [
      ["a'b", "A", "1"], ["", "A", "1"], ["a b", "A", "1"], ["x".repeat(129), "A", "1"], ["a", "", "1"], ["a", "two\nlines", "1"],
      ["a", "A", "0"], ["a", "A", "-1"], ["a", "A", "1e3"], ["a", "A", "1,5"], ["a", "A", "0.00000001"], ["a", "A", "1 000"], ["a", "A", "900719925.4740993"],
    ]) {
      assert.equal((await products("add", "--", id, name, amount)).code, 2, `${id} ${name} ${amount}`);
    }
    const name = "'); DROP TABLE products; --";
    assert.equal((await products("add", "bobby", name, "900719925.4740991")).code, 0);
    assert.match((await products()).stdout, /^bobby\t900719925\.4740991\t'\); DROP TABLE products; --$/m);
  });

  test("without tables, the error says how to create them", async () => {
    const { code, stderr } = await run(["products", "--config", `${root}/wrangler.toml`, "--persist-to", newFolder()], { cwd: root });
    assert.equal(code, 1);
    assert.match(stderr, /It says: .*no such table: products[^]*npx wrangler d1 migrations apply DB --local/);
  });
});

describe("secrets", () => {
  test("creates the missing secrets, keeps the others, and wrangler reads them", async () => {
    const cwd = newFolder();
    const path = join(cwd, ".dev.vars");
    writeFileSync(path, "PI_API_KEY=mine\n# REFRESH_SECRET=old", { mode: 0o644 });
    const made = await run(["secrets"], { cwd });
    assert.equal(made.code, 0, made.stderr);
    assert.equal(mode(path), 0o600);
    const text = readFileSync(path, "utf8");
    assert.ok(text.startsWith("PI_API_KEY=mine\n# REFRESH_SECRET=old\n"));

    const vars = varsForDev(join(cwd, "wrangler.toml"), undefined, {}, undefined, true);
    assert.deepEqual(Object.keys(vars), ["PI_API_KEY", "SESSION_KEYS", "REFRESH_SECRET"]);
    for (const [name, { value }] of Object.entries(vars)) {
      assert.equal((await run(["secrets", "show", name], { cwd })).stdout, `${value}\n`);
      if (name !== "PI_API_KEY") assert.ok(!made.stderr.includes(value));
    }
    assert.equal(Buffer.from(vars.REFRESH_SECRET.value, "base64url").length, 32);
    assert.equal((await run(["keys", "jwks"], { input: vars.SESSION_KEYS.value })).code, 0);

    chmodSync(path, 0o644);
    const again = await run(["secrets"], { cwd, secret: [vars.REFRESH_SECRET.value] });
    assert.equal(again.code, 0);
    assert.equal(readFileSync(path, "utf8"), text);
    assert.equal(mode(path), 0o600);
  });

  test("warns when git would add the file to a commit", async () => {
    const cwd = newFolder();
    execFileSync("git", ["init", "--quiet"], { cwd });
    assert.match((await run(["secrets"], { cwd })).stderr, /git does not ignore \.dev\.vars/);
    writeFileSync(join(cwd, ".gitignore"), ".dev.vars*\n");
    const { code, stderr } = await run(["secrets"], { cwd });
    assert.equal(code, 0);
    assert.doesNotMatch(stderr, /git/);
    assert.doesNotMatch((await run(["secrets"])).stderr, /git/);
  });

  test("A2: the lines for production pipe values, and contain none", async () => {
    const { code, stdout } = await run(["secrets", "--print"]);
    assert.equal(code, 0);
    for (const name of ["SESSION_KEYS", "REFRESH_SECRET", "PI_API_KEY", "BACKEND_CREDENTIALS", "OPERATOR_CREDENTIALS"]) {
      assert.match(stdout, new RegExp(`^(?!#).*npx wrangler secret put ${name}`, "m"));
    }
    assert.doesNotMatch(stdout, /[A-Za-z0-9_-]{43}/);
    const refresh = await run(["secrets", "refresh"]);
    assert.equal(Buffer.from(refresh.stdout.trim(), "base64url").length, 32);
    assert.notEqual((await run(["secrets", "refresh"])).stdout, refresh.stdout);
  });

  test("the entry of a backend is the hash of its credential, which is shown only once", async () => {
    const alone = await run(["secrets", "backend", "orders"]);
    const hash = (text) => createHash("sha256").update(text.trim()).digest("hex");
    assert.equal(Buffer.from(alone.stdout.trim(), "base64url").length, 32);
    assert.ok(alone.stderr.includes(JSON.stringify({ orders: hash(alone.stdout) })));
    assert.ok(!alone.stderr.includes(alone.stdout.trim()));

    const cwd = newFolder();
    const entries = {};
    for (const name of ["orders", "mail"]) {
      const { stdout, stderr } = await run(["secrets", "backend", name, "--file", ".dev.vars"], { cwd });
      entries[name] = hash(stdout);
      assert.ok(!stderr.includes(stdout.trim()));
      assert.ok(!readFileSync(join(cwd, ".dev.vars"), "utf8").includes(stdout.trim()));
    }
    const shown = await run(["secrets", "show", "BACKEND_CREDENTIALS"], { cwd });
    assert.deepEqual(JSON.parse(shown.stdout), entries);
    const twice = await run(["secrets", "backend", "orders", "--file", ".dev.vars"], { cwd });
    assert.equal(twice.code, 1);
    assert.equal(twice.stdout, "");
    assert.equal((await run(["secrets", "backend", "no spaces"])).code, 2);
  });
});

describe("operators", () => {
  const hash = (text) => createHash("sha256").update(text.trim()).digest("hex");

  test("the entry of an operator is the hash of the credential, which is shown only once, and the role", async () => {
    const alone = await run(["operators", "add", "alice"]);
    assert.equal(Buffer.from(alone.stdout.trim(), "base64url").length, 32);
    assert.ok(alone.stderr.includes(JSON.stringify({ alice: { sha256: hash(alone.stdout), role: "owner" } })));
    assert.ok(!alone.stderr.includes(alone.stdout.trim()));

    const cwd = newFolder();
    const entries = {};
    for (const [name, role] of [["alice", "owner"], ["bob", "viewer"]]) {
      const { stdout, stderr } = await run(["operators", "add", name, "--role", role, "--file", ".dev.vars"], { cwd });
      entries[name] = { sha256: hash(stdout), role };
      assert.match(stderr, /secrets show OPERATOR_CREDENTIALS --file \.dev\.vars \| npx wrangler secret put OPERATOR_CREDENTIALS/);
      assert.ok(!stderr.includes(stdout.trim()));
      assert.ok(!readFileSync(join(cwd, ".dev.vars"), "utf8").includes(stdout.trim()));
    }
    const shown = await run(["secrets", "show", "OPERATOR_CREDENTIALS"], { cwd });
    assert.deepEqual(JSON.parse(shown.stdout), entries);
    const { stdout } = await run(["doctor"], { cwd });
    assert.doesNotMatch(stdout, /OPERATOR_CREDENTIALS/);
  });

  test("a name that has an entry, a wrong name and a wrong role print no credential", async () => {
    const cwd = newFolder();
    await run(["operators", "add", "alice", "--file", ".dev.vars"], { cwd });
    const before = readFileSync(join(cwd, ".dev.vars"), "utf8");
    for (const [code, ...args] of [[1, "alice"], [2, "no spaces"], [2, "a.b"], [2, ""], [2, "carol", "--role", "admin"], [2, "carol", "--role", "Owner"], [2]]) {
      const wrong = await run(["operators", "add", ...args, "--file", ".dev.vars"], { cwd });
      assert.deepEqual([wrong.code, wrong.stdout], [code, ""], args.join(" "));
    }
    assert.equal(readFileSync(join(cwd, ".dev.vars"), "utf8"), before);
  });
});

describe("doctor, on a configuration", { concurrency: 2 }, () => {
  const LIMITS = ["SIGN_IN_LIMIT", "USER_SIGN_IN_LIMIT", "REFRESH_LIMIT", "ORDER_LIMIT", "PAYMENT_LIMIT", "AD_LIMIT", "WRITE_LIMIT", "READ_LIMIT"];
  const refreshSecret = "8Jm5rVb0r2f1bqkq1m2n3o4p5q6r7s8t9u0v1w2x3y4"; // of this test only
  const sound = () => ({
    name: "sessions",
    compatibility_date: "2026-11-01",
    vars: { SESSION_ISSUER: "https://session.pioneers.dev", SESSION_AUDIENCE: "app", PI_APP_ID: "my-app", ALLOWED_ORIGINS: `${APP_ORIGIN}, https://pioneers1234.pinet.com` },
    d1_databases: [{ binding: "DB", database_name: "sessions", database_id: "6d0f1f5c-3c5e-4a0e-9b57-1f0a4e0a7a11", migrations_dir: `${root}/src/worker/migrations` }],
    ratelimits: LIMITS.map((name, index) => ({ name, namespace_id: String(index), simple: { limit: 20, period: 60 } })),
    triggers: { crons: ["*/5 * * * *"] },
  });
  const soundSecrets = () => ({ SESSION_KEYS: withKeys(newKey()), REFRESH_SECRET: refreshSecret });
  const dotenv = (secrets) => Object.entries(secrets).map(([name, value]) => `${name}='${value}'\n`).join("");

  function project(configuration, secrets) {
    const cwd = newFolder();
    symlinkSync(paths.modules, join(cwd, "node_modules"), "dir");
    if (configuration) writeFileSync(join(cwd, "wrangler.json"), JSON.stringify(configuration));
    if (secrets) writeFileSync(join(cwd, ".dev.vars"), dotenv(secrets), { mode: 0o600 });
    return cwd;
  }

  /** Runs the doctor, and holds that it shows neither a secret nor a var (A2). */
  async function examine(cwd, secrets = {}, args = []) {
    const { code, stdout, stderr } = await run(["doctor", ...args], { cwd });
    assert.equal(stderr, "");
    for (const value of [...Object.values(secrets), "evil"]) assert.ok(!stdout.includes(value), "a value is shown");
    for (const [, d] of String(secrets.SESSION_KEYS).matchAll(/"d":"([^"]+)"/g)) assert.ok(!stdout.includes(d), "a key is shown");
    const lines = (kind) => stdout.split("\n").filter((line) => line.startsWith(`${kind}: `));
    return { code, stdout, errors: lines("error"), warnings: lines("warning"), notes: lines("note") };
  }

  test("finds no error in a sound one, in any of wrangler's formats, nor in the files that the commands create", async () => {
    const secrets = soundSecrets();
    assert.deepEqual(await examine(project(sound(), secrets), secrets), { code: 0, stdout: "No errors\n", errors: [], warnings: [], notes: [] });

    const cwd = project(undefined, undefined);
    writeFileSync(join(cwd, "wrangler.jsonc"), `// ours\n${JSON.stringify(sound())}`);
    await run(["secrets"], { cwd });
    await run(["secrets", "backend", "orders", "--file", ".dev.vars"], { cwd });
    await run(["keys", "rotate", "--file", ".dev.vars"], { cwd });
    assert.equal((await examine(cwd)).stdout, "No errors\n");

    rmSync(join(cwd, "wrangler.jsonc"));
    writeFileSync(join(cwd, "other.toml"), `
      name = "sessions"
      compatibility_date = "2026-11-01"
      [vars]
      SESSION_ISSUER = "https://wrong.pioneers.dev/"
      [env.live]
      vars = { SESSION_ISSUER = "https://session.pioneers.dev", SESSION_AUDIENCE = "app", PI_APP_ID = "x", ALLOWED_ORIGINS = "${APP_ORIGIN},https://pioneers1234.pinet.com" }
      d1_databases = [{ binding = "DB", database_id = "6d0f1f5c-3c5e-4a0e-9b57-1f0a4e0a7a11", migrations_dir = "${root}/src/worker/migrations" }]
      ratelimits = [${LIMITS.map((name, index) => `{ name = "${name}", namespace_id = "${index}", simple = { limit = 20, period = 60 } }`)}]
      triggers = { crons = ["*/5 * * * *"] }
    `);
    assert.equal((await examine(cwd, {}, ["--config", "other.toml", "--env", "live"])).stdout, "No errors\n");
    assert.match((await examine(cwd, {}, ["--config", "other.toml"])).errors[0], /SESSION_ISSUER ends with a slash/);
    assert.match((await examine(cwd, {}, ["--config", "other.toml", "--env", "life"])).errors[0], /no environment with the name/);
  });

  const development = { ENVIRONMENT: "development", SESSION_ISSUER: "http://localhost:8787", PI_API_BASE: "http://127.0.0.1:8788", ALLOWED_ORIGINS: "http://localhost:3000", RATE_LIMITS: "off" };

  test("development may use http and a simulated Pi, and is no configuration to deploy", async () => {
    const configuration = sound();
    Object.assign(configuration.vars, development);
    configuration.d1_databases[0].database_id = "00000000-0000-0000-0000-000000000000";
    delete configuration.ratelimits;
    delete configuration.triggers;
    const { code, errors, warnings } = await examine(project(configuration, soundSecrets()));
    assert.equal(code, 1);
    assert.deepEqual(warnings, []);
    assert.equal(errors.length, 1);
    assert.match(errors[0], /ENVIRONMENT is development, .* Remove it before you deploy/);
  });

  const key = newKey();
  const rfc8037 = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", kid: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", state: "active" };
  const fromSeed = (seed) => {
    const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
    const { kty, crv, x, d } = createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({ format: "jwk" });
    return { kty, crv, x, d, kid: createHash("sha256").update(JSON.stringify({ crv, kty, x })).digest("base64url"), state: "active" };
  };
  const vars = (members) => (configuration) => Object.assign(configuration.vars, members);
  const without = (name) => (configuration) => delete configuration.vars[name];
  const secrets = (members) => (_, all) => Object.assign(all, members);

  for (const [name, change, words, kind = "errors"] of [
    ["no SESSION_ISSUER", without("SESSION_ISSUER"), /SESSION_ISSUER is missing/],
    ["K1: an issuer over http", vars({ SESSION_ISSUER: "http://evil.pioneers.dev" }), /SESSION_ISSUER must be https/],
    ["an issuer with a slash", vars({ SESSION_ISSUER: "https://evil.pioneers.dev/" }), /SESSION_ISSUER ends with a slash/],
    ["an issuer with a path", vars({ SESSION_ISSUER: "https://evil.pioneers.dev/auth" }), /SESSION_ISSUER must be an https origin/],
    ["an issuer with its default port", vars({ SESSION_ISSUER: "https://evil.pioneers.dev:443" }), /SESSION_ISSUER has the default port/],
    ["an issuer that is still the example", vars({ SESSION_ISSUER: "https://session.example.com" }), /still the example/],
    ["an empty SESSION_AUDIENCE", vars({ SESSION_AUDIENCE: " " }), /SESSION_AUDIENCE is missing/],
    ["a SESSION_AUDIENCE that is too long", vars({ SESSION_AUDIENCE: "a".repeat(257) }), /at most 256/],
    ["a var that is not text", vars({ SESSION_TTL: 600 }), /SESSION_TTL must be text/],
    ["a SESSION_TTL of a day", vars({ SESSION_TTL: "86400" }), /SESSION_TTL must be whole seconds from 60 to 3600/],
    ["a REFRESH_IDLE_TTL below SESSION_TTL", vars({ REFRESH_IDLE_TTL: "599" }), /REFRESH_IDLE_TTL must be whole seconds from 600/],
    ["a REFRESH_IDLE_TTL above REFRESH_MAX_TTL", vars({ REFRESH_IDLE_TTL: "7200", REFRESH_MAX_TTL: "3600" }), /REFRESH_IDLE_TTL must be whole seconds from 600 to 3600/],
    ["a REFRESH_MAX_TTL of more than a year", vars({ REFRESH_MAX_TTL: "31536001" }), /REFRESH_MAX_TTL must be/],
    ["a value that is not a whole number", vars({ MAX_SESSIONS_PER_USER: "ten" }), /MAX_SESSIONS_PER_USER must be a whole number from 1 to 100/],
    ["an unknown ENVIRONMENT", vars({ ENVIRONMENT: "staging" }), /ENVIRONMENT must be production or development/],
    ["B3: any origin", vars({ ALLOWED_ORIGINS: "*" }), /ALLOWED_ORIGINS, entry 1, would open/],
    ["B3: the origin null", vars({ ALLOWED_ORIGINS: `${APP_ORIGIN},null` }), /ALLOWED_ORIGINS, entry 2, would open/],
    ["B3: an origin over http", vars({ ALLOWED_ORIGINS: "http://evil.pioneers.dev" }), /entry 1, must be https/],
    ["B3: a wildcard", vars({ ALLOWED_ORIGINS: "https://*.pioneers.dev" }), /would open/],
    ["a cookie for no origin", vars({ SESSION_COOKIE: "on", ALLOWED_ORIGINS: "" }), /SESSION_COOKIE is on, but ALLOWED_ORIGINS is empty/],
    ["a SESSION_COOKIE that is neither on nor off", vars({ SESSION_COOKIE: "true" }), /SESSION_COOKIE must be on or off/],
    ["A1: no rate limits in production", vars({ RATE_LIMITS: "off" }), /RATE_LIMITS is off/],
    ["U3: another upstream in production", vars({ PI_API_BASE: "https://api.minepi.com.evil.dev" }), /PI_API_BASE must be https:\/\/api\.minepi\.com/],
    ["no database", (configuration) => delete configuration.d1_databases, /no D1 database with the binding DB/],
    ["a database of zeros", (configuration) => (configuration.d1_databases[0].database_id = "00000000-0000-0000-0000-000000000000"), /still all zeros/],
    ["A2: a secret among the vars", vars({ REFRESH_SECRET: refreshSecret }), /REFRESH_SECRET is in vars\. Secrets must not be in the wrangler configuration/],
    ["A5: the key of RFC 8037", secrets({ SESSION_KEYS: withKeys(rfc8037) }), /key 1 of 1: others know this key/],
    ["A5: a seed of zeros", secrets({ SESSION_KEYS: withKeys(fromSeed(Buffer.alloc(32))) }), /others know this key/],
    ["A5: a seed of one byte", secrets({ SESSION_KEYS: withKeys({ ...key, state: "next" }, fromSeed(Buffer.alloc(32, 7))) }), /key 2 of 2: others know this key/],
    ["A5: a duplicate key", secrets({ SESSION_KEYS: withKeys(key, { ...key, state: "retired" }) }), /duplicate keys/],
    ["A5: a kid that is not the thumbprint", secrets({ SESSION_KEYS: withKeys({ ...key, kid: "evil" }) }), /not the key's RFC 7638 thumbprint/],
    ["A5: two active keys", secrets({ SESSION_KEYS: withKeys(key, newKey()) }), /2 active keys/],
    ["A5: a set that was cut off", secrets({ SESSION_KEYS: withKeys(key).slice(0, -9) }), /SESSION_KEYS is not a JSON object/],
    ["A5: a short REFRESH_SECRET", secrets({ REFRESH_SECRET: refreshSecret.slice(0, 40) }), /REFRESH_SECRET is too short/],
    ["A5: a REFRESH_SECRET of one byte", secrets({ REFRESH_SECRET: "A".repeat(64) }), /REFRESH_SECRET repeats one byte/],
    ["A5: a REFRESH_SECRET in other letters", secrets({ REFRESH_SECRET: `${refreshSecret}=` }), /not base64url/],
    ["A5: one secret for both", secrets({ SESSION_KEYS: withKeys(key), REFRESH_SECRET: key.d }), /is also a key in SESSION_KEYS/],
    ["a placeholder for Pi's key", secrets({ PI_API_KEY: "YOUR_PI_API_KEY" }), /PI_API_KEY is a placeholder, or was cut off/],
    ["a credential instead of its hash", secrets({ BACKEND_CREDENTIALS: JSON.stringify({ orders: refreshSecret }) }), /BACKEND_CREDENTIALS must be a JSON object/],
    ["I2: no PI_APP_ID", without("PI_APP_ID"), /PI_APP_ID is not set/, "warnings"],
    ["no origin in PiNet", vars({ ALLOWED_ORIGINS: `${APP_ORIGIN}, https://pinet.com.pioneers.dev` }), /no pinet\.com origin/, "warnings"],
    ["a domain without its www host", vars({ ALLOWED_ORIGINS: "https://evil.com, https://a1.pinet.com" }), /entry 1, is listed without its www host/, "warnings"],
    ["a www host without its domain", vars({ ALLOWED_ORIGINS: "https://a1.pinet.com, https://www.evil.co.uk" }), /entry 2, is listed with www only/, "warnings"],
    ["a key whose app cannot be checked", secrets({ PI_API_KEY: "k0123456789abcdefghijk0123456789abcdefghij" }), /PI_API_KEY belongs to one Pi app on one network/, "notes"],
    ["no origins", without("ALLOWED_ORIGINS"), /ALLOWED_ORIGINS is empty/, "warnings"],
    ["A1: no rate limits", (configuration) => delete configuration.ratelimits, new RegExp(LIMITS.join(", ")), "warnings"],
    ["A1: one rate limit missing", (configuration) => configuration.ratelimits.pop(), /: READ_LIMIT\./, "warnings"],
    ["no cron trigger", (configuration) => delete configuration.triggers, /no cron trigger/],
    ["a database without an id", (configuration) => delete configuration.d1_databases[0].database_id, undefined],
    ["a database_id that is a name", (configuration) => (configuration.d1_databases[0].database_id = "sessions"), /not an id \(a UUID\)/],
    ["no migrations", (configuration) => (configuration.d1_databases[0].migrations_dir = "nowhere"), /has no migrations/],
    ["a mistyped setting", (configuration) => (configuration.vars.ALLOWED_ORIGIN = "https://evil.pioneers.dev"), /no setting ALLOWED_ORIGIN\. Did you mean ALLOWED_ORIGINS\?/],
    ["a setting of the app's own", vars({ MY_OWN_THING: "evil" }), undefined],
    ["a mistyped network", vars({ PI_NETWORK: "Testnet" }), /PI_NETWORK is neither/],
    ["an audience that is still the example", vars({ SESSION_AUDIENCE: "example-app" }), /SESSION_AUDIENCE is still the example/],
    ["an issuer on workers.dev", vars({ SESSION_ISSUER: "https://sessions.evil.workers.dev" }), /Another Worker of the same account cannot fetch it there \(Cloudflare's error 1042\)/, "notes"],
    ["a missing secret", (_, all) => delete all.REFRESH_SECRET, /REFRESH_SECRET is not in \.dev\.vars/, "notes"],
  ]) {
    test(`finds ${name}, and nothing else`, async () => {
      const configuration = sound();
      const all = soundSecrets();
      change(configuration, all);
      const found = await examine(project(configuration, all), all);
      if (words === undefined) return assert.equal(found.stdout, "No errors\n");
      assert.equal(found.code, kind === "errors" ? 1 : 0, found.stdout);
      assert.equal(found.errors.length + found.warnings.length + found.notes.length, 1, found.stdout);
      assert.match(found[kind][0] ?? "", words);
    });
  }

  test("A2: finds secrets that are committed", async () => {
    const cwd = project(sound(), soundSecrets());
    writeFileSync(join(cwd, "session-keys.json"), withKeys(newKey()));
    const git = (...args) => execFileSync("git", ["-c", "user.name=x", "-c", "user.email=x@x.example", ...args], { cwd, stdio: "ignore" });
    writeFileSync(join(cwd, ".gitignore"), "node_modules\n.dev.vars\nsession-keys.json\n");
    git("init");
    git("add", ".");
    git("commit", "-m", "x");
    assert.equal((await examine(cwd)).stdout, "No errors\n");
    git("add", "--force", ".dev.vars", "session-keys.json");
    git("commit", "-m", "x");
    const { code, errors } = await examine(cwd);
    assert.equal(code, 1);
    assert.deepEqual(errors.map((line) => /^error: (\S+) is committed to git.*git rm --cached/.exec(line)?.[1]), [".dev.vars", "session-keys.json"]);
    assert.match((await examine(project(sound()), {}, ["--secrets-file", "missing.env"])).errors[0], /--secrets-file does not exist/);
  });

  test("says when a file is missing, and when other users can read the secrets", async () => {
    assert.match((await examine(project(undefined))).errors[0], /no wrangler\.toml/);
    const bare = newFolder();
    writeFileSync(join(bare, "wrangler.json"), JSON.stringify(sound()));
    assert.match((await examine(bare)).errors[0], /Install it: npm install --save-dev wrangler/);
    const cwd = project(sound());
    const found = await examine(cwd);
    assert.equal(found.code, 0);
    assert.match(found.notes[0], /no \.dev\.vars, so no secrets were checked/);
    writeFileSync(join(cwd, "mine.env"), dotenv(soundSecrets()), { mode: 0o644 });
    execFileSync("git", ["init", "--quiet"], { cwd });
    const exposed = await examine(cwd, {}, ["--secrets-file", "mine.env"]);
    assert.equal(exposed.code, 0);
    assert.match(exposed.warnings[0], /Other users of this machine can read mine\.env/);
    assert.match(exposed.warnings[1], /git does not ignore mine\.env/);
    writeFileSync(join(cwd, "wrangler.json"), `{ "vars": { "REFRESH_SECRET": "evil" `);
    assert.match((await examine(cwd)).errors[0], /wrangler cannot read the configuration/);
  });
});

describe("doctor, on a deployed Worker", () => {
  const key = newKey();
  const publicJwk = ({ kty, crv, x, kid }) => ({ kty, crv, x, kid, alg: "EdDSA", use: "sig" });
  const json = (status, body, headers = {}) => (_, response) => response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
  const problem = (status, code, detail = "…", headers = {}) => json(status, { type: `https://pioneer-session.github.io/pioneer-session/errors#${code}`, status, code, detail }, headers);
  const cached = { "cache-control": "public, max-age=300" };
  const jwks = (...keys) => json(200, { keys }, cached);

  function feed({ signer = key, ...members } = {}) {
    return (request, response) => {
      const { typ, ...claims } = members;
      response.writeHead(200, { "content-type": "application/octet-stream" }).end(feedOf({ iss: `http://${request.headers.host}`, aud: "app", sids: ["sid-of-a-session"], ...claims }, { key: signer, ...(typ && { typ }) }));
    };
  }

  const soundRoutes = () => ({
    "GET /health": json(200, { status: "ok", version: "0.1.0" }),
    "GET /.well-known/jwks.json": jwks(publicJwk(key)),
    "GET /revocations": feed(),
    "GET /session": problem(401, "session_missing"),
    "POST /session": problem(403, "origin_not_allowed"),
  });

  /** A Worker's face: what each route answers. It keeps what it was asked. */
  async function worker(routes) {
    const asked = [];
    const http = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => (body += chunk)).on("end", () => {
        asked.push({ method: request.method, url: request.url, headers: request.headers, body });
        (routes[`${request.method} ${request.url}`] ?? problem(404, "not_found"))(request, response);
      });
    });
    await new Promise((done) => http.listen(0, "127.0.0.1", done));
    return {
      asked,
      url: `http://127.0.0.1:${http.address().port}`,
      close() {
        http.closeAllConnections();
        return new Promise((done) => http.close(done));
      },
    };
  }

  async function examine(routes) {
    const server = await worker({ ...soundRoutes(), ...routes });
    try {
      const { code, stdout, stderr } = await run(["doctor", server.url]);
      assert.equal(stderr, "");
      return { code, stdout, asked: server.asked };
    } finally {
      await server.close();
    }
  }

  test("finds no error in a sound one, and sends no secret", async () => {
    const { code, stdout, asked } = await examine({});
    assert.deepEqual({ code, stdout }, { code: 0, stdout: "No errors\n" });
    assert.deepEqual(asked.map(({ method, url }) => `${method} ${url}`), ["GET /health", "GET /session", "GET /.well-known/jwks.json", "GET /revocations", "POST /session"]);
    for (const { headers, body } of asked) {
      assert.ok(!headers.authorization && !headers.cookie);
      assert.ok(["", "{}"].includes(body));
    }
    assert.equal(asked.at(-1).headers.origin, "https://pioneer-session-doctor.invalid");
  });

  test("several keys during a rotation are sound, the one that signs the feed among them", async () => {
    const next = newKey("next");
    assert.equal((await examine({ "GET /.well-known/jwks.json": jwks(publicJwk(next), publicJwk(key)) })).stdout, "No errors\n");
  });

  const rfc8037 = publicJwk({ kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", kid: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" });
  const misconfigured = problem(500, "misconfigured", "The Worker is not configured: SESSION_AUDIENCE is missing\u001b[2J");
  const hanging = () => {};
  const redirect = (_, response) => response.writeHead(302, { location: "/elsewhere" }).end();
  for (const [name, routes, words, code = 1] of [
    ["no health", { "GET /health": json(200, { status: "ill" }) }, /\/health answered 200 without/],
    ["a health that redirects", { "GET /health": redirect }, /\/health answered 302 without/],
    ["a health that never comes", { "GET /health": hanging }, /\/health cannot be reached: no complete answer within 5 seconds/],
    ["a connection that breaks", { "GET /health": (_, response) => response.destroy() }, /\/health cannot be reached/],
    ["A5: a Worker that is misconfigured", { "GET /.well-known/jwks.json": misconfigured, "GET /revocations": misconfigured, "POST /session": misconfigured }, /The Worker is not configured: SESSION_AUDIENCE is missing\?\[2J/],
    ["K2: keys elsewhere", { "GET /.well-known/jwks.json": redirect }, /jwks\.json answered 302/],
    ["K2: keys without end", { "GET /.well-known/jwks.json": (_, response) => response.end("x".repeat(70_000)) }, /more than 64 KiB/],
    ["K2: keys that are a page", { "GET /.well-known/jwks.json": (_, response) => response.end("<html>") }, /not a JSON object with an array/],
    ["E4: a private key in public", { "GET /.well-known/jwks.json": jwks({ ...publicJwk(key), d: key.d }) }, /publishes a private key/],
    ["T4: a kid that is not the thumbprint", { "GET /.well-known/jwks.json": jwks({ ...publicJwk(key), kid: "main" }) }, /unsound.*thumbprint/],
    ["T4: a duplicate key", { "GET /.well-known/jwks.json": jwks(publicJwk(key), publicJwk(key)) }, /unsound.*same "kid"/],
    ["E3: a key of small order", { "GET /.well-known/jwks.json": jwks({ ...publicJwk(key), x: "A".repeat(43) }) }, /unsound/],
    ["A5: the key of RFC 8037", { "GET /.well-known/jwks.json": jwks(rfc8037, publicJwk(key)) }, /key that others know/],
    ["keys that may be kept for a day", { "GET /.well-known/jwks.json": json(200, { keys: [publicJwk(key)] }, { "cache-control": "public, max-age=86400" }) }, /cached for over 300 seconds/, 0],
    ["keys that may not be kept", { "GET /.well-known/jwks.json": json(200, { keys: [publicJwk(key)] }, { "cache-control": "no-store" }) }, /does not say how long it may be cached/, 0],
    ["no feed", { "GET /revocations": problem(404, "not_found", "There is no such route.") }, /\/revocations answered 404\. Deploy a current version/],
    ["a feed that is a page", { "GET /revocations": (_, response) => response.end("<html>") }, /not a signed list/],
    ["T7: a session token for a feed", { "GET /revocations": feed({ typ: "pi-session+jwt" }) }, /\/revocations is not signed by a key/],
    ["a feed signed by another", { "GET /revocations": feed({ signer: newKey() }) }, /\/revocations is not signed by a key/],
    ["a feed signed by another in this one's name", { "GET /revocations": feed({ signer: { ...newKey(), kid: key.kid } }) }, /\/revocations is not signed by a key/],
    ["C5, K1: another issuer", { "GET /revocations": feed({ iss: "https://other.pioneers.dev" }) }, /SESSION_ISSUER does not match/],
    ["C5: an issuer with a slash", { "GET /revocations": (request, response) => feed({ iss: `http://${request.headers.host}/` })(request, response) }, /SESSION_ISSUER does not match/],
    ["C4: no audience", { "GET /revocations": feed({ aud: "" }) }, /names no audience/],
    ["C7: a clock that is ahead", { "GET /revocations": (request, response) => feed({ iat: Math.floor(Date.now() / 1000) + 3600 })(request, response) }, /clocks .* differ by 3[56]\d\d seconds/, 0],
    ["C7: a clock that is behind, by its Date", { "GET /revocations": (request, response) => feed()(request, response.setHeader("date", new Date(Date.now() - 7_200_000).toUTCString())) }, /clocks .* differ by 7[12]\d\d seconds/, 0],
    ["I5, B3: origins that are open", { "POST /session": problem(400, "invalid_request") }, /Open origins/],
    ["B3: an origin that is echoed", { "POST /session": problem(403, "origin_not_allowed", "…", { "access-control-allow-origin": "https://pioneer-session-doctor.invalid" }) }, /Open origins/],
    ["a wall in front", { "POST /session": problem(403, "forbidden") }, /Open origins/],
    ["a rate limit", { "POST /session": problem(429, "rate_limited") }, /origins were not checked/, 0],
  ]) {
    test(`finds ${name}, and nothing else`, async () => {
      const found = await examine(routes);
      assert.match(found.stdout, words);
      assert.equal(found.code, code, found.stdout);
      assert.equal(found.stdout.split("\n").filter((line) => /^(error|warning|note): /.test(line)).length, 1, found.stdout);
      assert.ok(!found.stdout.includes(key.d) && !found.stdout.includes("\u001b"));
      assert.ok(!found.asked.some(({ url }) => url === "/elsewhere"), "a redirect was followed");
    });
  }

  test("plain http is only for this machine, and the URL is an origin", async () => {
    for (const [url, words] of [
      ["http://session.pioneers.dev", /must be https/], ["ftp://127.0.0.1", /must be https/],
      ["https://session.pioneers.dev/health", /origin only/], ["https://me:evil@session.pioneers.dev", /origin only/],
    ]) {
      const { code, stdout } = await run(["doctor", url]);
      assert.equal(code, 1);
      assert.match(stdout, words);
    }
    const server = await worker({});
    await server.close();
    const { code, stdout } = await run(["doctor", server.url]);
    assert.equal(code, 1);
    assert.match(stdout, /\/health cannot be reached: ECONNREFUSED/);
  });
});

describe("doctor, on a page", { concurrency: 4 }, () => {
  const FRAMES = "frame-ancestors 'self' https://*.minepi.com https://app-cdn.minepi.com https://sandbox.minepi.com https://*.pinet.com";
  const servers = [];
  after(() => servers.forEach((server) => server.close()));

  async function serve(answer) {
    const server = createServer(answer);
    servers.push(server);
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    return `http://127.0.0.1:${server.address().port}`;
  }
  const page = (headers = {}, body = "<!doctype html>", status = 200) => serve((_, response) => response.writeHead(status, { "content-type": "text/html", ...headers }).end(body));
  /** A Worker, as far as a preflight sees it. It keeps what it was asked. */
  async function issuer(isAllowed = () => true, asked = []) {
    return serve((request, response) => {
      asked.push(request.headers);
      const { origin } = request.headers;
      if (request.method !== "OPTIONS" || request.url !== "/session" || !isAllowed(origin)) return response.writeHead(403, { "content-type": "application/problem+json" }).end('{"code":"origin_not_allowed","detail":"x"}');
      response.writeHead(204, { "access-control-allow-origin": origin }).end();
    });
  }

  /** `doctor --page`, with the Worker in the configuration of the folder. */
  async function examine(url, worker, args = []) {
    const cwd = newFolder();
    if (worker) {
      symlinkSync(paths.modules, join(cwd, "node_modules"), "dir");
      writeFileSync(join(cwd, "wrangler.json"), JSON.stringify({ name: "a", compatibility_date: "2026-11-01", vars: { SESSION_ISSUER: worker } }));
    }
    const { code, stdout, stderr } = await run(["doctor", "--page", url, ...args], { cwd });
    assert.equal(stderr, "");
    assert.ok(!stdout.includes("\u001b"));
    return { code, lines: stdout.split("\n").filter((line) => /^(error|warning|note): /.test(line)), stdout };
  }

  test("finds no error in a sound one, and sends the Worker only the page's origin", async () => {
    const asked = [];
    const worker = await issuer(() => true, asked);
    for (const headers of [
      {}, { "content-security-policy": FRAMES }, { "content-security-policy": "frame-ancestors *" }, { "content-security-policy": "FRAME-ANCESTORS https: ;default-src *" },
      { "content-security-policy": `${FRAMES}; connect-src 'self' ${worker}; script-src 'self' https://sdk.minepi.com` },
      { "content-security-policy": `${FRAMES}; default-src 'none'; connect-src ${worker}/; script-src-elem sdk.minepi.com:443/pi-sdk.js` },
      { "content-security-policy": `${FRAMES}; connect-src *; script-src 'nonce-abc' 'strict-dynamic'` },
      { "content-security-policy-report-only": "frame-ancestors 'none'; connect-src 'none'" },
    ]) {
      const url = await page(headers, `<meta http-equiv="Content-Security-Policy" content="connect-src ${worker} 'self'"><meta name="x" content="connect-src 'none'">`);
      assert.deepEqual(await examine(`${url}/app?a=b`, worker), { code: 0, lines: [], stdout: "No errors\n" }, JSON.stringify(headers));
      assert.equal(asked.at(-1).origin, url);
      assert.ok(!asked.at(-1).authorization && !asked.at(-1).cookie && !asked.at(-1).referer);
    }
    // The Worker's own page needs no entry.
    const own = await serve((request, response) => response.writeHead(request.method === "OPTIONS" ? 403 : 200).end());
    assert.equal((await examine(own, own)).stdout, "No errors\n");
  });

  for (const [name, headers, words, code = 1, body = "<!doctype html>"] of [
    ["X-Frame-Options", () => ({ "x-frame-options": "SAMEORIGIN" }), /^error: The page has the header X-Frame-Options, so Pi Browser cannot show it.*frame-ancestors 'self' https:\/\/\*\.minepi\.com/],
    ["X-Frame-Options beside a good policy", () => ({ "x-frame-options": "DENY", "content-security-policy": FRAMES }), /^warning: .*X-Frame-Options and Content-Security-Policy with frame-ancestors/, 0],
    ["frames for nobody", () => ({ "content-security-policy": "frame-ancestors 'none'" }), /Add: https:\/\/\*\.minepi\.com https:\/\/app-cdn\.minepi\.com https:\/\/sandbox\.minepi\.com https:\/\/\*\.pinet\.com$/],
    ["frames for the sandbox only", () => ({ "content-security-policy": "frame-ancestors https://sandbox.minepi.com" }), /Add: https:\/\/\*\.minepi\.com https:\/\/app-cdn\.minepi\.com https:\/\/\*\.pinet\.com$/],
    ["frames without PiNet", () => ({ "content-security-policy": "frame-ancestors https://*.minepi.com" }), /Add: https:\/\/\*\.pinet\.com$/],
    ["frames of hosts that only look like Pi's", () => ({ "content-security-policy": "frame-ancestors https://*.minepi.com.evil.dev https://evilminepi.com https://*.pinet.com http://*.minepi.com:80" }), /Add: .*minepi/],
    ["two policies of which one is narrow", () => ({ "content-security-policy": `${FRAMES}, frame-ancestors 'self'` }), /frame-ancestors do not allow Pi to show it/],
    ["a connect-src without the Worker", () => ({ "content-security-policy": "connect-src 'self' https://api.pioneers.dev" }), /does not let it call the Worker.*SESSION_ISSUER, to connect-src/],
    ["a default-src without the Worker", () => ({ "content-security-policy": "default-src 'self'; script-src *" }), /does not let it call the Worker/],
    ["a connect-src of the Worker at another port", (worker) => ({ "content-security-policy": `connect-src ${worker.replace(/:\d+$/, ":1")}` }), /does not let it call the Worker/],
    ["a script-src without Pi's SDK", () => ({ "content-security-policy": "script-src 'self' 'unsafe-inline' https://cdn.pioneers.dev" }), /does not let it load Pi's SDK\. Add https:\/\/sdk\.minepi\.com to script-src/],
    ["a policy in the page", () => ({}), /does not let it call the Worker/, 1, "<head><meta content='connect-src x.dev; script-src *' http-equiv=content-security-policy >"],
  ]) {
    test(`finds ${name}, and nothing else`, async () => {
      const worker = await issuer();
      const found = await examine(await page(headers(worker), body), worker);
      assert.match(found.lines.join("\n"), words);
      assert.equal(found.lines.length, 1, found.stdout);
      assert.equal(found.code, code);
    });
  }

  test("finds a redirect to another host, and checks the last page", async () => {
    const target = await page();
    const moved = await serve((_, response) => response.writeHead(301, { location: `${target}/app` }).end());
    const found = await examine(moved, await issuer((origin) => origin === target));
    assert.match(found.lines.join("\n"), new RegExp(`^warning: The page redirects to ${target}\\. Register that address`));
    assert.deepEqual([found.code, found.lines.length], [0, 1], found.stdout);
    const here = await serve((request, response) => (request.url === "/" ? response.writeHead(302, { location: "/app" }) : response.writeHead(200)).end());
    assert.equal((await examine(here, await issuer())).stdout, "No errors\n");
    for (const [location, words] of [["/", /redirects more than 5 times/], ["http://app.pioneers.dev/", /redirects to plain http/], ["http://[", /an invalid URL/]]) {
      const loop = await serve((_, response) => response.writeHead(302, { location }).end());
      const { code, lines } = await examine(loop, await issuer());
      assert.deepEqual([code, lines.length], [1, 1]);
      assert.match(lines[0], words);
    }
  });

  test("finds a page that the Worker refuses, a server that is no Worker, and a missing page", async () => {
    const url = await page();
    const refused = await examine(url, await issuer(() => false));
    assert.match(refused.lines.join("\n"), new RegExp(`^error: The Worker refuses this page\\. Add its origin to ALLOWED_ORIGINS.*: ${url}$`));
    assert.equal(refused.code, 1);
    assert.match((await examine(url, await page({}, "", 500))).lines[0], /OPTIONS \/session answered 500/);
    assert.match((await examine(await page({}, "", 404), await issuer())).lines[0], /The page answered 404/);
    const login = await page({ location: "https://team.cloudflareaccess.com/cdn-cgi/access/login/session.example.com" }, "", 302);
    assert.match((await examine(url, login)).lines[0], /Cloudflare Access stands in front of the Worker, so no page of another origin can call it/);
    assert.match((await examine("http://127.0.0.1:1", await issuer())).lines[0], /The page cannot be reached/);
    assert.match((await examine("http://app.pioneers.dev", await issuer())).lines[0], /must be https/);
  });

  test("reads the Worker from the command line, or says that it needs one", async () => {
    const url = await page();
    const alone = await examine(url);
    assert.deepEqual([alone.code, alone.lines.length], [0, 1], alone.stdout);
    assert.match(alone.lines[0], /^note: doctor did not check whether the page may call the Worker\. Name the Worker/);
    const asked = [];
    const { stdout } = await run(["doctor", await issuer(() => true, asked), "--page", url]);
    assert.match(stdout, /\/health answered 403/, "the Worker is checked as well");
    assert.equal(asked.at(-1).origin, url);
  });
});

describe("the tool", () => {
  test("misuse exits with 2, a hint, and nothing on standard output", async () => {
    for (const args of [
      [], ["keys"], ["keys", "old"], ["keys", "new", "--now"], ["keys", "new", "more"], ["keys", "rotate", "--session-ttl", "30"], ["keys", "rotate", "--session-ttl", "1e3"],
      ["secrets", "backend"], ["secrets", "--file", "secrets.json"], ["secrets", "show", "A", "B"], ["doctor", "session"], ["doctor", "https://a.example", "--env", "live"], ["doctor", "--page", "app"], ["doctor", "--page", "https://a.example", "--secrets-file", ".env"], ["keys", "new", "--page", "https://a.example"],
      ["doctor", "--secrets-file", "a.json"], ["--nonsense"], ["constructor"],
    ]) {
      const { code, stdout, stderr } = await run(args);
      assert.equal(code, 2, args.join(" "));
      assert.equal(stdout, "");
      assert.match(stderr, /npx pioneer-session/);
    }
  });

  test("the help lists every command, and explains each one with its arguments and options", async () => {
    const overview = await run(["--help"]);
    assert.equal(overview.code, 0);
    assert.equal(new Set(COMMANDS.map(({ name }) => name)).size, COMMANDS.length);
    for (const { name, arguments: names, summary, help, options } of COMMANDS) {
      const called = [name, ...names].join(" ");
      assert.ok(overview.stdout.includes(`  ${called} `), called);
      const { code, stdout, stderr } = await run([...name.split(" "), "--help"]);
      assert.deepEqual([code, stderr], [0, ""]);
      const words = stdout.replace(/\s+/g, " ");
      for (const text of [`Usage: npx pioneer-session ${called}`, summary.slice(1), help, ...options.flatMap((option) => [`--${option.name}`, option.summary])]) {
        assert.ok(words.includes(text), `${called}: ${text}`);
      }
      assert.ok(stdout.split("\n").every((line) => line.length <= 100), called);
    }
    for (const { stdout } of [overview, await run(["keys", "--help"])]) assert.match(stdout, /keys rotate +adds a new key/);
    assert.equal((await run(["nonsense", "--help"])).code, 2);
  });

  test("too many arguments, or too few, are answered with the command's usage", async () => {
    assert.match((await run(["products", "x"])).stderr, /^There is no command `products x`\. The others are: products add, products price, products stop, products start\./);
    assert.match((await run(["doctro"])).stderr, /no such command\. Did you mean `doctor`\?/);
    assert.match((await run(["keys", "new", "more"])).stderr, /^Too many arguments for `keys new`\. Usage: /);
    assert.match((await run(["products", "add", "x"])).stderr, /^`products add` needs NAME, AMOUNT\. Usage: npx pioneer-session products add ID NAME AMOUNT/);
  });

  test("is in the package, under its name, with nothing to install beside it", async () => {
    const folder = newFolder();
    const tarball = pack(folder);
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "consumer", private: true }));
    execFileSync("npm", ["install", "--no-audit", "--no-fund", "--offline", tarball], { cwd: folder });
    const npx = (...args) => execFileSync("npx", ["--offline", "pioneer-session", ...args], { cwd: folder, encoding: "utf8" });
    assert.match(npx("doctor", "--help"), /--secrets-file FILE/);
    assert.match(npx("keys", "new"), /"state":"active"/);
  });
});
