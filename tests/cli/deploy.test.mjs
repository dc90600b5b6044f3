// `deploy` as its users run it, against a stand-in for Cloudflare that runs the deployed Worker in
// workerd: nothing here can reach Cloudflare itself.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { origin } from "../../pkg/cli/cloudflare.mjs";
import { newKeys } from "../../pkg/cli/keys.mjs";
import { paths, root } from "../../scripts/paths.mjs";
import { ACCOUNT, startCloudflare } from "./cloudflare.mjs";

const CONFIGURATION = `{
  // Changes by hand stay.
  "name": "coffee-shop",
  "main": "index.js",
  "compatibility_date": "2026-11-01",
  "vars": {
    "SESSION_ISSUER": "https://session.example.com", // \`npm run deploy\` sets it
    "SESSION_AUDIENCE": "coffee-shop"
  },
  "secrets": { "required": ["SESSION_KEYS", "REFRESH_SECRET"] },
  "triggers": { "crons": ["*/5 * * * *"] },
  "d1_databases": [{ "binding": "DB", "database_name": "coffee-shop", "migrations_dir": "node_modules/pioneer-session/src/worker/migrations" }]
}
`;

/** A folder with a Worker, and an account at Cloudflare. */
async function project(context, configuration = CONFIGURATION) {
  const cwd = mkdtempSync(join(tmpdir(), "pioneer-session-deploy-"));
  const cloudflare = await startCloudflare();
  context.after(async () => {
    await cloudflare.close();
    rmSync(cwd, { recursive: true, force: true });
  });
  mkdirSync(join(cwd, "node_modules"));
  symlinkSync(root, join(cwd, "node_modules/pioneer-session"));
  cpSync(`${root}/tests/cli/wrangler-stand-in`, join(cwd, "node_modules/wrangler"), { recursive: true });
  writeFileSync(join(cwd, "package.json"), '{ "type": "module" }\n');
  writeFileSync(join(cwd, "index.js"), 'export { default } from "pioneer-session/worker";\n');
  writeFileSync(join(cwd, ".gitignore"), "node_modules/\nsession-keys*.json\n");
  writeFileSync(join(cwd, "wrangler.jsonc"), configuration);
  execFileSync("git", ["init", "--quiet"], { cwd });
  const deploy = (args = [], env = {}) =>
    new Promise((done) => {
      const variables = { ...process.env, CI: "", CLOUDFLARE_ACCOUNT_ID: "", REAL_WRANGLER: `${paths.modules}/wrangler`, CLOUDFLARE_STAND_IN: cloudflare.url, NODE_TLS_REJECT_UNAUTHORIZED: "0", ...env };
      const child = spawn(process.execPath, [`${root}/pkg/cli/index.mjs`, "deploy", ...args], { cwd, env: variables, stdio: ["ignore", "pipe", "pipe"] });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
      child.on("close", (code, signal) => {
        // Whatever happens, no secret reaches the screen, nor the arguments of a process (A2).
        for (const { SESSION_KEYS, REFRESH_SECRET } of cloudflare.bulks) {
          const secrets = [REFRESH_SECRET, ...(SESSION_KEYS ? JSON.parse(SESSION_KEYS).keys.map(({ d }) => d) : [])].filter(Boolean);
          for (const secret of secrets) assert.ok(!`${output}${cloudflare.calls}`.includes(secret), "a secret is on the screen");
        }
        done({ code, signal, output });
      });
    });
  const read = (name) => readFileSync(join(cwd, name), "utf8");
  return { cwd, cloudflare, deploy, read, write: (name, text) => writeFileSync(join(cwd, name), text) };
}

/** The secrets of the whole account, of which none was ever replaced. */
function onlyOnce({ bulks }) {
  const names = bulks.flatMap((values) => Object.keys(values));
  assert.deepEqual(names.toSorted(), ["REFRESH_SECRET", "SESSION_KEYS"]);
}

describe("deploy", { concurrency: 2 }, () => {
  test("a first deployment creates everything, and a second one changes nothing", async (context) => {
    const { cwd, cloudflare, deploy, read } = await project(context);
    const first = await deploy();
    assert.equal(first.code, 0, first.output);
    assert.match(first.output, /\[7\/7\] Check https:\/\/localhost:\d+/);
    assert.match(first.output, /No errors/);
    assert.match(first.output, /PI_API_KEY, for payments/);
    assert.equal(read("wrangler.jsonc"), CONFIGURATION.replace("https://session.example.com", cloudflare.origin));
    assert.deepEqual(JSON.parse(read("session-keys.json")), JSON.parse(cloudflare.account.secrets.SESSION_KEYS));
    assert.equal(statSync(join(cwd, "session-keys.json")).mode & 0o777, 0o600);
    assert.equal(cloudflare.account.vars.SESSION_ISSUER, cloudflare.origin);

    const calls = cloudflare.calls.length;
    const second = await deploy();
    assert.equal(second.code, 0, second.output);
    onlyOnce(cloudflare);
    const later = cloudflare.calls.slice(calls);
    assert.ok(later.indexOf("d1 migrations apply DB --remote") < later.indexOf("deploy"), "the new code ran before its migrations");
    assert.equal(later.filter((call) => call.startsWith("deploy ") || call === "deploy").length, 1);
  });

  test("after an interruption at any call of wrangler, the next run goes on", async (context) => {
    const whole = await project(context);
    assert.equal((await whole.deploy()).code, 0);
    const count = whole.cloudflare.calls.length;
    assert.ok(count >= 8, `only ${count} calls`);
    for (let call = 1; call < count; call++) {
      const { cloudflare, deploy, read } = await project(context);
      cloudflare.killAfter(call);
      const { signal } = await deploy();
      assert.equal(signal, "SIGKILL", `call ${call}`);
      cloudflare.killAfter(Infinity);
      const { code, output } = await deploy();
      assert.equal(code, 0, `after call ${call}, ${cloudflare.calls[call - 1]}:\n${output}`);
      onlyOnce(cloudflare);
      assert.deepEqual(JSON.parse(read("session-keys.json")), JSON.parse(cloudflare.account.secrets.SESSION_KEYS));
      assert.equal(cloudflare.account.vars.SESSION_ISSUER, cloudflare.origin);
    }
  });

  test("in CI, it keeps no key in a file, and finds the issuer of the running Worker", async (context) => {
    const { cwd, cloudflare, deploy, read } = await project(context);
    for (let run = 0; run < 2; run++) {
      const { code, output } = await deploy([], { CI: "true" });
      assert.equal(code, 0, output);
      assert.ok(!existsSync(join(cwd, "session-keys.json")));
      assert.equal(read("wrangler.jsonc"), CONFIGURATION);
      assert.equal(cloudflare.account.vars.SESSION_ISSUER, cloudflare.origin);
    }
    onlyOnce(cloudflare);
    const deployments = cloudflare.calls.filter((call) => /^deploy( |$)/.test(call));
    assert.deepEqual(deployments, ["deploy", ...Array(2).fill(`deploy --var SESSION_ISSUER:${cloudflare.origin}`)]);
  });

  test("a secret that is there is never replaced", async (context) => {
    const { cwd, cloudflare, deploy } = await project(context);
    assert.equal((await deploy()).code, 0);
    const { SESSION_KEYS } = cloudflare.account.secrets;
    rmSync(join(cwd, "session-keys.json"));
    delete cloudflare.account.secrets.REFRESH_SECRET;
    const { code, output } = await deploy();
    assert.equal(code, 0, output);
    assert.match(output, /Created: REFRESH_SECRET\n/);
    assert.equal(cloudflare.account.secrets.SESSION_KEYS, SESSION_KEYS);
    assert.ok(!existsSync(join(cwd, "session-keys.json")));
  });

  test("the keys in the file are used, not replaced", async (context) => {
    const { cloudflare, deploy, read, write } = await project(context);
    write("session-keys.json", '{"keys":[');
    const broken = await deploy();
    assert.equal(broken.code, 1);
    assert.match(broken.output, /SESSION_KEYS is not a JSON object/);
    assert.equal(cloudflare.bulks.length, 0);
    assert.equal(read("session-keys.json"), '{"keys":[');

    const keys = `${newKeys()}\n`;
    write("session-keys.json", keys);
    const { code, output } = await deploy();
    assert.equal(code, 0, output);
    assert.equal(read("session-keys.json"), keys);
    assert.deepEqual(JSON.parse(cloudflare.account.secrets.SESSION_KEYS), JSON.parse(keys));
  });

  test("a login that cannot be right is refused before anything changes", async (context) => {
    const { cloudflare, deploy, write } = await project(context);
    const refused = async (reason, env) => {
      const { code, output } = await deploy([], env);
      assert.equal(code, 1, output);
      assert.match(output, reason);
      assert.equal(cloudflare.bulks.length, 0);
      assert.ok(!cloudflare.calls.some((call) => /^(deploy|d1 migrations)/.test(call)));
    };
    cloudflare.account.accounts = undefined;
    await refused(/not logged in.*npx wrangler login/);
    cloudflare.account.accounts = [];
    await refused(/has no account/);
    cloudflare.account.accounts = [ACCOUNT, { id: "other", name: "The company" }];
    await refused(/several accounts.*\n.*Alice's account\n.*The company/);
    cloudflare.account.accounts = [ACCOUNT];
    await refused(/no access to the account in CLOUDFLARE_ACCOUNT_ID/, { CLOUDFLARE_ACCOUNT_ID: "another" });
    write("wrangler.jsonc", CONFIGURATION.replace('"binding"', '"database_id": "99999999-2222-4333-8444-555555555555", "binding"'));
    await refused(/no database with the database_id/);
    write("wrangler.jsonc", CONFIGURATION.replace('"main"', '"account_id": "another", "main"'));
    await refused(/no access to the account in account_id/);
    write("wrangler.jsonc", CONFIGURATION.replace('"SESSION_AUDIENCE": "coffee-shop"', '"SESSION_AUDIENCE": ""'));
    await refused(/SESSION_AUDIENCE is missing.*\n[^]*Fix the errors above/);
  });

  test("a Worker that lives in another account is not copied", async (context) => {
    const theirs = await project(context);
    assert.equal((await theirs.deploy()).code, 0);
    const { cloudflare, deploy, write } = await project(context);
    write("wrangler.jsonc", theirs.read("wrangler.jsonc"));
    const { code, output } = await deploy();
    assert.equal(code, 1, output);
    assert.match(output, /answers at SESSION_ISSUER already, but this account has no Worker/);
    assert.equal(cloudflare.bulks.length, 0);
  });

  test("a renamed database is found by its id", async (context) => {
    const { cloudflare, deploy, read, write } = await project(context);
    assert.equal((await deploy()).code, 0);
    cloudflare.account.database.name = "renamed";
    write("wrangler.jsonc", read("wrangler.jsonc").replace('"binding"', `"database_id": "${cloudflare.account.database.uuid}", "binding"`));
    const { code, output } = await deploy();
    assert.equal(code, 0, output);
  });

  test("a database of somebody else's gets no tables", async (context) => {
    const { cloudflare, deploy, write } = await project(context);
    cloudflare.account.database = { uuid: "11111111-2222-4333-8444-555555555555", name: "coffee-shop" };
    const { code, output } = await deploy();
    assert.equal(code, 1, output);
    assert.match(output, /has a database with the name of DB already, but no Worker that uses it\. To use that database, set database_id/);
    assert.equal(cloudflare.bulks.length, 0);
    assert.ok(!cloudflare.account.isMigrated);
    write("wrangler.jsonc", CONFIGURATION.replace('"binding"', `"database_id": "${cloudflare.account.database.uuid}", "binding"`));
    const chosen = await deploy();
    assert.equal(chosen.code, 0, chosen.output);
  });

  test("a running issuer that cannot be read is not overwritten", async (context) => {
    const { cloudflare, deploy } = await project(context);
    assert.equal((await deploy([], { CI: "true" })).code, 0);
    const { vars } = cloudflare.account;
    cloudflare.fail("versions view");
    const { code, output } = await deploy([], { CI: "true" });
    assert.equal(code, 1);
    assert.match(output, /`wrangler versions view` failed/);
    assert.equal(cloudflare.account.vars, vars);
  });

  test("each environment has keys of its own, and every call is about the chosen account", async (context) => {
    const { cloudflare, deploy, read } = await project(context, CONFIGURATION.replace('"triggers"', `"env": { "live": { "vars": { "SESSION_ISSUER": "", "SESSION_AUDIENCE": "live" }, "triggers": { "crons": ["*/5 * * * *"] }, "d1_databases": [{ "binding": "DB", "database_name": "live", "migrations_dir": "node_modules/pioneer-session/src/worker/migrations" }] } },\n  "triggers"`));
    const { output } = await deploy(["--env", "live"]);
    assert.deepEqual(JSON.parse(read("session-keys.live.json")), JSON.parse(cloudflare.account.secrets.SESSION_KEYS), output);
    for (const [call, account] of cloudflare.accountOfCalls.slice(1)) assert.equal(account, ACCOUNT.id, call);
    assert.ok(cloudflare.calls.every((call) => call.endsWith("--env live")), String(cloudflare.calls));
  });

  test("wrangler's own error is shown", async (context) => {
    const { cloudflare, deploy } = await project(context);
    assert.equal((await deploy()).code, 0);
    cloudflare.account.database.name = "renamed"; // and the configuration has no id
    const { code, output } = await deploy();
    assert.equal(code, 1);
    assert.match(output, /d1 migrations apply DB --remote` failed. wrangler says:\n✘ \[ERROR\] Couldn't find a D1 DB named 'coffee-shop'/);
  });

  test("a configuration that cannot be edited safely is not edited", async (context) => {
    const twice = CONFIGURATION.replace('"SESSION_AUDIENCE"', '"SESSION_ISSUER": "https://session.example.com",\n    "SESSION_AUDIENCE"');
    const { cloudflare, deploy, read } = await project(context, twice);
    const { code, output } = await deploy();
    assert.equal(code, 1);
    assert.ok(output.includes(`Set SESSION_ISSUER to ${cloudflare.origin} in `), output);
    assert.equal(read("wrangler.jsonc"), twice);
  });

  test("git must ignore the file of the keys", async (context) => {
    const { cwd, cloudflare, deploy, write } = await project(context);
    write(".gitignore", "node_modules/\n");
    const { code, output } = await deploy();
    assert.equal(code, 1);
    assert.match(output, /git does not ignore session-keys.json/);
    assert.ok(!existsSync(join(cwd, "session-keys.json")));
    assert.equal(cloudflare.bulks.length, 0);
  });

  test("a rehearsal changes nothing, and needs no login", async (context) => {
    const { cloudflare, deploy, read } = await project(context);
    cloudflare.account.accounts = undefined;
    cloudflare.account.secrets = { SESSION_KEYS: "x", REFRESH_SECRET: "x" };
    const { code, output } = await deploy(["--dry-run"]);
    assert.equal(code, 0, output);
    assert.deepEqual(cloudflare.calls, ["deploy --dry-run"]);
    assert.equal(read("wrangler.jsonc"), CONFIGURATION);
  });

  describe("behind Cloudflare Access", () => {
    const OPERATORS = CONFIGURATION.replace('"SESSION_AUDIENCE"', '"SERVES": "admin",\n    "SESSION_AUDIENCE"').replace(/ {2}"triggers".*\n/, "");
    const token = ["88bf3b6d86161464f6509f7219099e57.access", "cfast_bdd31cbc4dec990953e39163fbbb194c93313ca9f0a6e420"];
    const env = (id, secret) => ({ CF_ACCESS_CLIENT_ID: id, CF_ACCESS_CLIENT_SECRET: secret });

    /** A project with an operator, whose Worker Access closes. */
    async function closed(context, configuration = OPERATORS) {
      const it = await project(context, configuration);
      it.cloudflare.account.secrets = { OPERATOR_CREDENTIALS: JSON.stringify({ alice: { sha256: "0".repeat(64), role: "owner" } }) };
      it.cloudflare.account.access = token;
      return it;
    }

    test("a deployment for operators is no failure, and says what it could not check", async (context) => {
      const { cloudflare, deploy } = await closed(context);
      const { code, output } = await deploy();
      assert.equal(code, 0, output);
      assert.doesNotMatch(output, /Waiting up to/);
      assert.ok(output.includes(`warning: The Worker is deployed, and Cloudflare Access stands in front of ${cloudflare.origin}. So deploy could not check that it runs, and that it serves operators only. Set CF_ACCESS_CLIENT_ID and CF_ACCESS_CLIENT_SECRET to those of a service token that a policy with the action Service Auth admits. Then run: npx pioneer-session doctor ${cloudflare.origin}\nNo errors, 1 warning\n`), output);
      assert.ok(output.endsWith(`The Worker is deployed for operators at ${cloudflare.origin}\n`), output);
    });

    test("A2: with a service token, it is checked; a refused one is an error, and half of one stops before any change", async (context) => {
      const { cloudflare, deploy } = await closed(context);
      const half = await deploy([], env(token[0], ""));
      assert.equal(half.code, 1, half.output);
      assert.match(half.output, /CF_ACCESS_CLIENT_SECRET is missing/);
      assert.deepEqual(cloudflare.calls, []);
      const passed = await deploy([], env(...token));
      assert.equal(passed.code, 0, passed.output);
      assert.match(passed.output, /note: This deployment serves operators only \(SERVES=admin\).*\nNo errors\n/);
      const refused = await deploy([], env(token[0], "0".repeat(64)));
      assert.equal(refused.code, 1, refused.output);
      assert.match(refused.output, /error: The Worker is deployed, but deploy could not check .* refused the service token/);
      for (const { output } of [half, passed, refused]) for (const secret of token) assert.ok(!output.includes(secret), "the service token is on the screen");
    });

    test("a deployment for users fails the check: they meet Access as well", async (context) => {
      const { deploy } = await closed(context, CONFIGURATION);
      const { code, output } = await deploy();
      assert.equal(code, 1, output);
      assert.match(output, /could not check that it runs, its keys, its feed, its clock and its origins/);
      assert.match(output, /error: Cloudflare Access also answers the users of this Worker/);
      const passed = await deploy([], env(...token));
      assert.deepEqual([passed.code, /error: Cloudflare Access also answers/.test(passed.output)], [1, true], passed.output);
    });

    test("an address that Access closes may have a Worker of another account", async (context) => {
      const theirs = await closed(context);
      assert.equal((await theirs.deploy()).code, 0);
      const { cloudflare, deploy, write } = await project(context);
      write("wrangler.jsonc", theirs.read("wrangler.jsonc"));
      const hidden = await deploy();
      assert.equal(hidden.code, 1, hidden.output);
      assert.match(hidden.output, /no Worker with the name "coffee-shop", and deploy cannot see whether one answers at SESSION_ISSUER already\. Cloudflare Access stands in front/);
      const seen = await deploy([], env(...token));
      assert.equal(seen.code, 1, seen.output);
      assert.match(seen.output, /answers at SESSION_ISSUER already/);
      assert.equal(cloudflare.bulks.length, 0);
    });
  });

  test("the address is the custom domain, if there is one", () => {
    const record = (targets) => `${JSON.stringify({ type: "wrangler-session" })}\n${JSON.stringify({ type: "deploy", targets })}\n`;
    assert.equal(origin(record(["https://a.b.workers.dev"])), "https://a.b.workers.dev");
    assert.equal(origin(record(["https://a.b.workers.dev", "id.example.com (custom domain)"])), "https://id.example.com");
    assert.equal(origin(record(["schedule: */5 * * * *", "a.example/* (zone name: a.example)"])), undefined);
    assert.equal(origin(""), undefined);
  });
});
