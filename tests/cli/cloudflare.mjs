// One account at Cloudflare, as far as `deploy` sees it: its Worker, secrets and databases are kept
// here, and what is deployed runs in workerd with a real D1.

import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { unstable_readConfig as readConfiguration, unstable_splitSqlQuery as split } from "wrangler";
import { freePort } from "../../scripts/port.mjs";
import { builtWorker } from "../support/workers.mjs";

export const ACCOUNT = { id: "0123456789abcdef0123456789abcdef", name: "Alice's account" };
const UUID = "11111111-2222-4333-8444-555555555555";

/** Cloudflare Access in front of a Worker: without the service token, it asks for a login. */
const ACCESS = `export default {
  fetch(request, { WORKER, TOKEN }) {
    const token = ["id", "secret"].map((half) => request.headers.get("CF-Access-Client-" + half));
    if (JSON.stringify(token) === TOKEN) return WORKER.fetch(request);
    return new Response(null, { status: 302, headers: { location: "https://team.cloudflareaccess.com/cdn-cgi/access/login/localhost" } });
  },
};`;

export async function startCloudflare() {
  const port = await freePort();
  const origin = `https://localhost:${port}`;
  const account = { accounts: [ACCOUNT], access: undefined, secrets: undefined, vars: undefined, database: undefined, isMigrated: false };
  const calls = [];
  const bulks = [];
  const accountOfCalls = [];
  let killAfter = Infinity;
  let broken;
  let running;

  /** Runs the deployed Worker, with what it has now. */
  async function run() {
    const bindings = { ...account.vars, ...account.secrets };
    const d1Databases = { DB: UUID };
    const worker = { ...builtWorker("build"), name: "worker", bindings, d1Databases };
    const { compatibilityDate } = worker;
    const access = { name: "access", modules: true, script: ACCESS, compatibilityDate, serviceBindings: { WORKER: "worker" }, bindings: { TOKEN: JSON.stringify(account.access) }, d1Databases };
    const workers = account.access ? [access, worker] : [worker]; // the first one gets the requests
    const options = convertV4MiniflareOptions({ host: "localhost", port, https: true, handleStructuredLogs: () => {}, workers });
    if (running) await running.setOptions(options);
    else running = new Miniflare(options);
    await running.ready;
  }

  const commands = {
    whoami: () => (account.accounts ? { stdout: JSON.stringify({ loggedIn: true, accounts: account.accounts }) } : { status: 1, stdout: '{"loggedIn":false}' }),
    "secret list"(configuration) {
      if (!account.secrets) return { status: 1, stderr: `✘ [ERROR] Worker "${configuration.name}" not found.\n\nIf this is a new Worker, run \`wrangler deploy\` first to create it.` };
      return { stdout: JSON.stringify(Object.keys(account.secrets).map((name) => ({ name, type: "secret_text" }))) };
    },
    async "secret bulk"(configuration, args, input) {
      const values = JSON.parse(input);
      bulks.push(values);
      account.secrets = { ...account.secrets, ...values };
      if (account.vars) await run();
      return { stdout: `✨ Successfully created secret for key: ${Object.keys(values).join(", ")}\n` };
    },
    "d1 list": () => ({ stdout: JSON.stringify(account.database ? [account.database] : []) }),
    async "d1 migrations"(configuration) {
      const [{ database_id: id, database_name: name, migrations_dir: folder }] = configuration.d1_databases;
      const isFound = account.database && (id === account.database.uuid || name === account.database.name);
      if (!isFound) return { status: 1, stderr: `✘ [ERROR] Couldn't find a D1 DB named '${name}' (bound as 'DB') in the API.` };
      if (account.isMigrated) return { stdout: "✅ No migrations to apply!\n" };
      if (!running) await run();
      const database = await running.getD1Database("DB");
      const path = join(configuration.configPath, "..", folder);
      for (const file of readdirSync(path).sort()) {
        for (const statement of split(readFileSync(join(path, file), "utf8"))) await database.prepare(statement).run();
      }
      account.isMigrated = true;
      return { stdout: "✅ applied\n" };
    },
    async deploy(configuration, args) {
      const missing = (configuration.secrets?.required ?? []).filter((name) => !account.secrets?.[name]);
      if (missing.length > 0) return { status: 1, stderr: `✘ [ERROR] The following required secrets have not been set: ${missing.join(", ")}` };
      if (args.includes("--dry-run")) return { stdout: "--dry-run: exiting now.\n" };
      const [{ database_name: name }] = configuration.d1_databases;
      account.database ??= { uuid: UUID, name };
      const variable = args[args.indexOf("--var") + 1];
      account.vars = { ...configuration.vars, ...(args.includes("--var") ? { SESSION_ISSUER: variable.slice("SESSION_ISSUER:".length) } : {}) };
      await run();
      return { record: { type: "deploy", version: 1, worker_name: configuration.name, targets: [origin, "schedule: */5 * * * *"] }, stdout: "Deployed\n" };
    },
    "deployments status": () => (account.vars ? { stdout: JSON.stringify({ versions: [{ version_id: "v1", percentage: 100 }] }) } : { status: 1, stderr: "The Worker has no deployments." }),
    "versions view": () => ({ stdout: JSON.stringify({ id: "v1", resources: { bindings: Object.entries(account.vars).map(([name, text]) => ({ type: "plain_text", name, text })) } }) }),
  };

  const server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const { args, input, cwd, account: chosen } = JSON.parse(text);
    const env = args.includes("--env") ? args[args.indexOf("--env") + 1] : undefined;
    const configuration = readConfiguration({ config: join(cwd, "wrangler.jsonc"), env }, { hideWarnings: true });
    const name = Object.keys(commands).find((command) => `${args.join(" ")} `.startsWith(`${command} `));
    calls.push(args.join(" "));
    accountOfCalls.push([args.join(" "), chosen]);
    let answer;
    try {
      answer = name === broken ? { status: 1, stderr: "✘ [ERROR] A request to the Cloudflare API failed." } : name ? await commands[name](configuration, args, input) : { status: 1, stderr: `Unknown arguments: ${args.join(" ")}` };
    } catch (error) {
      answer = { status: 1, stderr: error.stack };
    }
    if (calls.length > killAfter) answer.kill = true;
    response.end(JSON.stringify(answer));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));

  return {
    account,
    origin,
    calls,
    bulks,
    accountOfCalls,
    /** Lets this command of wrangler's fail from now on. */
    fail(command) {
      broken = command;
    },
    url: `http://127.0.0.1:${server.address().port}`,
    /** Kills the command as soon as wrangler has done `count` more calls. */
    killAfter(count) {
      killAfter = calls.length + count - 1;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await running?.dispose();
    },
  };
}
