// A project of `init` as its owner has it: made and installed from the packed package, started with
// one command, used in a browser, and tested by its own tests; with each backend.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { BACKENDS } from "../../pkg/cli/choices.mjs";
import { freePort } from "../../scripts/port.mjs";
import { openBrowser } from "../support/browser.mjs";
import { pack, serve } from "../support/packed-example.mjs";

// Nothing of the repository: a user has only npm, npx and what the project installs.
const USER = { ...process.env, WRANGLER_SEND_METRICS: "false", NEXT_TELEMETRY_DISABLED: "1", npm_config_prefer_offline: "true" };
const PORTS = 3; // of the Worker, the simulated Pi and the backend
const seconds = (from, to) => ((to - from) / 1000).toFixed(1);
const QUIET = ["--no-audit", "--no-fund", "--loglevel=error"];

/** Waits until a server answers. A framework may compile first. */
async function answers(url) {
  const end = Date.now() + 60_000;
  while (!(await fetch(url).then(({ ok }) => ok, () => false))) {
    assert.ok(Date.now() < end, `${url} does not answer`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

describe("a new project", () => {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-project-"));
  let tarball;
  let modules; // where the installed packages are at the moment
  let browser;

  /** Makes a project; the first call installs the packages, as a user does, and others take these. */
  function make(backend) {
    const project = join(folder, `app-${backend}`);
    const options = ["--yes", "--backend", backend, ...(modules ? ["--no-install"] : [])];
    const { status, stderr } = spawnSync("npx", ["--yes", `./${basename(tarball)}`, "init", `app-${backend}`, ...options], { cwd: folder, encoding: "utf8", env: USER });
    assert.equal(status, 0, stderr);
    if (modules) renameSync(modules, join(project, "node_modules"));
    modules = join(project, "node_modules");
    const { dependencies } = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
    if (Object.keys(dependencies).some((name) => !existsSync(join(modules, name)))) execFileSync("npm", ["install", ...QUIET], { cwd: project, env: USER });
    return project;
  }

  before(async () => {
    tarball = pack(folder);
    browser = await openBrowser();
  });
  after(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const backend of BACKENDS) {
    test(`${backend}: starts, signs in and sells in a browser, and passes its own tests`, { timeout: 300_000 }, async (context) => {
      const begun = Date.now();
      const project = make(backend);
      const made = Date.now();
      assert.ok(readFileSync(join(project, "package.json"), "utf8").includes("file:pioneer-session-"), "the dependency is the tarball");
      assert.equal(statSync(join(project, ".dev.vars")).mode & 0o777, 0o600);

      const port = await freePort(PORTS);
      const url = `http://localhost:${port}`;
      const app = await serve("npm", ["start"], { url: `${url}/health`, cwd: project, env: { ...USER, PORT: String(port) } });
      await answers(`http://127.0.0.1:${port + 1}/simulator/personas`);
      let isOpen = true;
      const close = async () => isOpen && ((isOpen = false), await app.close());
      context.after(close);
      execFileSync("npx", ["pioneer-session", "products", "add", "mug", "A mug", "2.5"], { cwd: project, env: USER, stdio: "ignore" });

      const page = await browser.newPage();
      const errors = [];
      page.on("pageerror", (error) => errors.push(error.message));
      await page.goto(url);
      await page.getByRole("button", { name: "Sign in with Pi" }).click();
      await page.locator("#pi-allow").click();
      await page.getByText("You are alice_pioneer.").waitFor();
      context.diagnostic(`made after ${seconds(begun, made)} s, signed in after ${seconds(begun, Date.now())} s`);
      await page.getByRole("button", { name: "Buy A mug for 2.5 π" }).click();
      await page.locator("#pi-pay:enabled").click();
      await page.getByText("You have bought A mug for 2.5 π.").waitFor();
      await page.locator("#purchases").getByText("A mug, 2.5 π").waitFor();
      await page.reload();
      await page.getByText("You are alice_pioneer.").waitFor();
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.getByRole("button", { name: "Sign in with Pi" }).waitFor();
      assert.deepEqual(errors, []);
      await page.close();

      if (backend !== "none") {
        const api = `http://127.0.0.1:${port + 2}`;
        await answers(api);
        assert.equal((await fetch(`${api}/profile`)).status, 401);
        const signedIn = await fetch(`${url}/session`, { method: "POST", headers: { "content-type": "application/json" }, body: '{"accessToken":"sim-bob"}' });
        const { sessionToken, user } = await signedIn.json();
        const profile = await fetch(`${api}/profile`, { headers: { authorization: `Bearer ${sessionToken}` } });
        assert.deepEqual(await profile.json(), { uid: user.uid, username: user.username });
      }
      await close();

      const tested = spawnSync("npm", ["test"], { cwd: project, encoding: "utf8", env: USER });
      assert.equal(tested.status, 0, tested.stdout + tested.stderr);
    });
  }
});
