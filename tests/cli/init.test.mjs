// `init` as its users run it: as a process, in a folder. It makes a whole project, or nothing.

import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { BACKENDS, PAGES } from "../../pkg/cli/choices.mjs";
import { readKeys } from "../../pkg/cli/keys.mjs";
import { IGNORED, regions } from "../../pkg/cli/template.mjs";
import { environment, paths, root } from "../../scripts/paths.mjs";

const BIN = `${root}/pkg/cli/index.mjs`;
const NODE_20 = process.env.NODE_20 || process.env.PATH.split(":").map((entry) => join(entry, "node")).find((path) => !path.startsWith(paths.modules) && existsSync(path));
const NOBODY = 65534;

const folders = [];
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

function newFolder() {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-init-"));
  folders.push(folder);
  return folder;
}

/** Runs `init`, without a terminal. */
function init(args, { cwd = newFolder(), node = process.execPath, env = {}, uid } = {}) {
  const { status, stdout, stderr } = spawnSync(node, [BIN, "init", ...args], { cwd, encoding: "utf8", env: { ...environment, ...env }, uid, input: "" });
  return { code: status, stdout, stderr, cwd };
}

/** Every file of a folder with its bytes, but for those of git. */
function contents(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory());
  const named = files.map((entry) => join(entry.parentPath, entry.name)).filter((path) => !path.includes("/.git/"));
  return Object.fromEntries(named.sort().map((path) => [path.slice(folder.length + 1), lstatSync(path).isSymbolicLink() ? readlinkSync(path) : readFileSync(path, "latin1")]));
}

describe("init", () => {
  test("makes a project without a question when there is no terminal, and says its choices", () => {
    const { code, stdout, stderr, cwd } = init(["my-app", "--no-install"]);
    assert.equal(code, 0, stderr);
    assert.equal(stderr, "backend: none\npage: plain\npayments: yes\nnetwork: testnet\n");
    assert.match(stdout, /cd my-app\n {2}npm install\n {2}npm start/);
    const app = join(cwd, "my-app");
    const files = contents(app);
    const expected = [".dev.vars", ".gitignore", "AGENTS.md", "README.md", "build.js", "package.json", "public/app.js", "public/index.html", "public/shop.js", "public/style.css", "src/index.js", "test/app.test.js", "test/harness.js", "wrangler.jsonc"];
    assert.deepEqual(Object.keys(files).sort(), expected.sort());
    assert.equal(JSON.parse(files["package.json"]).name, "my-app");
    assert.match(files["wrangler.jsonc"], /"name": "my-app"/);
    assert.match(files["wrangler.jsonc"], /"database_name": "my-app"/);
    assert.match(files["wrangler.jsonc"], /"SESSION_AUDIENCE": "my-app"/);
    assert.ok(existsSync(join(app, ".git")));

    // The secrets are valid, nobody else can read them, git does not see them, nothing prints them.
    assert.equal(statSync(join(app, ".dev.vars")).mode & 0o777, 0o600);
    const [, keys, refresh] = files[".dev.vars"].match(/^SESSION_KEYS='(.*)'\nREFRESH_SECRET='([\w-]{43})'\n$/);
    const [{ d }] = readKeys(keys).keys;
    for (const secret of [d, refresh]) assert.ok(!`${stdout}${stderr}`.includes(secret), "a secret is printed");
    assert.equal(execFileSync("git", ["status", "--porcelain", "--untracked-files=all"], { cwd: app, encoding: "utf8" }).includes(".dev.vars"), false);
  });

  test("two projects have different secrets", () => {
    const [one, two] = [1, 2].map(() => {
      const { cwd } = init(["my-app", "--no-install", "--no-git"]);
      assert.ok(!existsSync(join(cwd, "my-app/.git")));
      return readFileSync(join(cwd, "my-app/.dev.vars"), "utf8").split("\n");
    });
    assert.notEqual(one[0], two[0]);
    assert.notEqual(one[1], two[1]);
  });

  test("every combination of choices is whole: no mark of a region, no file without its user", () => {
    for (const backend of BACKENDS) {
      for (const page of PAGES) {
        for (const payments of ["--payments", "--no-payments"]) {
          const { code, stderr, cwd } = init(["my-app", "--no-install", "--no-git", "--yes", "--backend", backend, "--page", page, payments]);
          assert.equal(code, 0, stderr);
          const files = contents(join(cwd, "my-app"));
          for (const [path, text] of Object.entries(files)) {
            assert.doesNotMatch(text, /#(end)?region|\n{3}/, path);
            assert.doesNotMatch(text, /example-worker|example-app/, path);
          }
          const names = Object.keys(files);
          const { scripts, dependencies } = JSON.parse(files["package.json"]);
          const hasPage = page !== "none";
          const sells = payments === "--payments";
          assert.equal(names.some((name) => name.startsWith("public/")), hasPage);
          assert.equal("build" in scripts, hasPage);
          assert.equal(/"build"|"assets"/.test(files["wrangler.jsonc"]), hasPage);
          assert.equal(names.includes("public/shop.js"), hasPage && sells);
          assert.equal(/shop|products/.test(`${files["public/app.js"]}${files["public/index.html"]}${files["README.md"]}${files["test/app.test.js"]}`), sells);
          assert.equal(names.some((name) => name.startsWith("api/")), backend !== "none");
          assert.equal("backend" in scripts, backend !== "none");
          if (backend !== "none") assert.ok(backend in dependencies);
          for (const name of names.filter((name) => name.endsWith(".js"))) {
            const checked = spawnSync(process.execPath, ["--input-type=module", "--check"], { input: files[name], encoding: "utf8" });
            assert.equal(checked.status, 0, `${name}: ${checked.stderr}`);
          }
        }
      }
    }
  });

  test("a mark of a region keeps or drops what it says", () => {
    const text = "a\n  // #region page\nb\n  // #endregion\n<!-- #region payments -->\nc\n<!-- #endregion -->\nd\n";
    assert.equal(regions(text, { page: true, payments: false }), "a\nb\nd\n");
    assert.equal(regions(text, {}), "a\nd\n");
  });

  test("wrangler accepts the configuration, and --network chooses the network", () => {
    for (const [network, value] of [["testnet", "Pi Testnet"], ["mainnet", "Pi Network"]]) {
      const { cwd } = init(["my-app", "--no-install", "--no-git", "--network", network, "--page", "none"]);
      const app = join(cwd, "my-app");
      assert.match(readFileSync(join(app, "wrangler.jsonc"), "utf8"), new RegExp(`"PI_NETWORK": "${value}"`));
      mkdirSync(join(app, "node_modules"));
      symlinkSync(root, join(app, "node_modules/pioneer-session"));
      const { status, stdout, stderr } = spawnSync("wrangler", ["deploy", "--dry-run", "--outdir", "out"], { cwd: app, encoding: "utf8", env: { ...environment, CI: "true" } });
      assert.ok(!/Unexpected fields|Processing .* configuration/.test(stdout + stderr), stdout + stderr);
      assert.equal(status, 0, stdout + stderr);
    }
  });

  test("the project ignores what the example ignores", () => {
    assert.equal(readFileSync(`${root}/examples/worker/.gitignore`, "utf8"), `${IGNORED.join("\n")}\n`);
  });

  test("--dry-run prints the files and writes nothing; --json prints one object", () => {
    const dry = init(["my-app", "--dry-run", "--backend", "hono"]);
    assert.equal(dry.code, 0, dry.stderr);
    assert.deepEqual(readdirSync(dry.cwd), []);
    const made = init(["my-app", "--no-install", "--backend", "hono", "--json"]);
    assert.equal(made.code, 0, made.stderr);
    const { name, files, choices, installed } = JSON.parse(made.stdout);
    assert.deepEqual([name, choices.backend, installed], ["my-app", "hono", false]);
    assert.deepEqual(dry.stdout.trim().split("\n"), files);
    assert.deepEqual(Object.keys(contents(join(made.cwd, "my-app"))).sort(), files.sort());
  });

  test("asks at a terminal, and asks again after a wrong answer", { timeout: 30_000 }, async () => {
    const cwd = newFolder();
    /** Types each answer once its question is there. Resolves with the exit code and the output. */
    const typed = (...dialogue) => new Promise((done) => {
      const child = spawn("script", ["-qec", `${process.execPath} ${BIN} init my-app --no-install --no-git --page none`, "/dev/null"], { cwd, env: environment });
      let output = "";
      let seen = 0;
      child.stdout.setEncoding("utf8").on("data", (text) => {
        output += text;
        const at = dialogue.length > 0 ? output.indexOf(dialogue[0][0], seen) : -1;
        if (at === -1) return;
        seen = at + dialogue[0][0].length;
        child.stdin.write(dialogue.shift()[1]);
      });
      child.on("close", (code) => done({ code, output, left: dialogue.length }));
    });
    const made = await typed(["A backend as well?", "django\r"], ["Type none, express, fastify, hono or next.", "fastify\r"], ["sell something?", "\r"], ["Which network", "mainnet\r"]);
    assert.deepEqual([made.code, made.left], [0, 0], made.output);
    const { scripts } = JSON.parse(readFileSync(join(cwd, "my-app/package.json"), "utf8"));
    assert.equal(scripts.backend, "node api/server.js");
    assert.match(readFileSync(join(cwd, "my-app/wrangler.jsonc"), "utf8"), /"PI_NETWORK": "Pi Network"/);

    rmSync(join(cwd, "my-app"), { recursive: true });
    const cancelled = await typed(["A backend as well?", "fastify\r"], ["sell something?", "\u0003"]);
    assert.equal(cancelled.left, 0, cancelled.output);
    assert.notEqual(cancelled.code, 0);
    assert.deepEqual(readdirSync(cwd), []);
  });

  test("refuses arguments that it does not know, and writes nothing", () => {
    for (const args of [
      ["my-app", "--backend", "django"], ["my-app", "--page", "react"], ["my-app", "--network", "stellar"], ["my-app", "--pm", "pnpm"],
      ["my-app", "--payments", "--no-payments"], ["my-app", "--lang", "ts"], ["my-app", "other"], ["my-app", "--backend", ""],
      ["my-app", "--name", "My App"], ["my-app", "--name", "app_1"], ["my-app", "--name", "-app"], ["my-app", "--name", "app-"], ["my-app", "--name", "1app"],
      ["my-app", "--name", "a".repeat(64)], ["my-app", "--name", ""], ["my-app", "--name", "app\n"], ["my-app", "--name", "@me/app"], ["my-app", "--name", "приложение"],
      ["my-app", "--name", "pioneer-session"], ["my-app", "--name", "wrangler"], ["my-app", "--name", "express"],
      ["My-App"], ["my app"], ["node_modules"], ["wrangler"], ["../x"], ["x/../../y"], [".."], ["/x"], ["a".repeat(64)], ["a".repeat(300)], ["a".repeat(300), "--name", "app"],
      ["a\nb", "--name", "app"], ["--", "-x", "--name"], ["a\u0007", "--name", "app"], ["a;b", "--name", "app"], ["$(x)", "--name", "app"],
    ]) {
      const { code, stdout, stderr, cwd } = init([...args.slice(0, 1), "--no-install", ...args.slice(1)]);
      assert.equal(code, 2, `${JSON.stringify(args)}: ${stdout}${stderr}`);
      assert.notEqual(stderr.trim(), "");
      assert.doesNotMatch(stderr, /\n {4}at /, "the refusal is not a stack");
      assert.deepEqual(readdirSync(cwd), [], JSON.stringify(args));
    }
  });

  test("accepts folders with spaces and letters of any language, if --name names the project", () => {
    for (const folder of ["My App", "приложение", "a/b/c", "x.y"]) {
      const { code, stderr, cwd } = init([folder, "--no-install", "--no-git", "--name", "app"]);
      assert.equal(code, 0, stderr);
      assert.ok(existsSync(join(cwd, folder, "package.json")));
    }
  });

  test("keeps a licence, a README and a repository", () => {
    const cwd = join(newFolder(), "my-app");
    mkdirSync(cwd);
    execFileSync("git", ["init", "-q"], { cwd });
    const before = { "LICENSE-MIT": "MIT\r\n", "readme.md": "Mine, without a newline" };
    for (const [name, text] of Object.entries(before)) writeFileSync(join(cwd, name), text);
    const { code, stderr } = init(["--no-install"], { cwd });
    assert.equal(code, 0, stderr);
    const files = contents(cwd);
    for (const [name, text] of Object.entries(before)) assert.equal(files[name], text);
    assert.ok(!("README.md" in files) && "package.json" in files);
  });

  test("refuses a folder with other files, and changes nothing in it", () => {
    const refusal = (prepare, args = []) => {
      const cwd = join(newFolder(), "my-app");
      mkdirSync(cwd);
      prepare(cwd);
      const before = contents(cwd);
      const { code, stderr } = init([...args, "--no-install", "--no-git"], { cwd });
      assert.equal(code, 1, stderr);
      assert.deepEqual(contents(cwd), before);
      return stderr;
    };
    const put = (name) => (cwd) => writeFileSync(join(cwd, name), "mine");
    assert.match(refusal(put("notes.txt")), /"notes\.txt"/);
    assert.match(refusal(put(".gitignore")), /"\.gitignore"/);
    assert.match(refusal(put(".dev.vars")), /"\.dev\.vars"/);
    assert.match(refusal(put("package.json")), /npx pioneer-session add/);
    assert.match(refusal(put("app"), ["app"]), /is a file/);
    assert.match(refusal(put("app"), ["app/x"]), /is a file/);
    assert.match(refusal((cwd) => symlinkSync("nowhere", join(cwd, "app")), ["app"]), /is a link/);
    assert.match(refusal((cwd) => writeFileSync(join(cwd, "a\u001b[2Jb"), "")), /"a\\u001b\[2Jb"/);
  });

  test("refuses a link out of the folder, and writes nothing behind it", () => {
    const [cwd, outside] = [newFolder(), newFolder()];
    symlinkSync(outside, join(cwd, "out"));
    const { code, stderr } = init(["out/app", "--no-install"], { cwd });
    assert.equal(code, 2, stderr);
    assert.deepEqual(readdirSync(outside), []);
  });

  test("says that it may not write there", { skip: process.getuid?.() !== 0 && "needs root, to become another user" }, () => {
    const cwd = newFolder();
    chmodSync(cwd, 0o755);
    const { code, stderr } = init(["my-app", "--no-install"], { cwd, uid: NOBODY });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /could not be written \(EACCES.*Choose a folder in which you may write/);
    assert.deepEqual(readdirSync(cwd), []);
  });

  test("a disk that fills up half-way leaves nothing behind", () => {
    const cwd = newFolder();
    // No file may be longer than a block of 1 KiB: the first ones are written, and then one is not.
    const { status, stderr } = spawnSync("bash", ["-c", 'ulimit -f 1; exec "$0" "$@"', process.execPath, BIN, "init", "my-app", "--no-install"], { cwd, encoding: "utf8", env: environment });
    assert.equal(status, 1, stderr);
    assert.match(stderr, /could not be written \(EFBIG/);
    assert.deepEqual(readdirSync(cwd), []);
  });

  describe("with a package manager that fails", () => {
    /** A package manager that makes a file, and then does what the lines say. */
    function path(lines) {
      const folder = newFolder();
      writeFileSync(join(folder, "npm"), `#!/bin/sh\nmkdir -p node_modules/x\ntouch node_modules/x/y package-lock.json\n${lines}\n`, { mode: 0o755 });
      return `${folder}:${environment.PATH}`;
    }

    test("a failed installation leaves nothing behind, and keeps what was there", () => {
      const cwd = join(newFolder(), "my-app");
      mkdirSync(cwd);
      writeFileSync(join(cwd, "LICENSE"), "mine");
      const { code, stderr, stdout } = init(["--yes"], { cwd, env: { PATH: path("echo 404 >&2; exit 1") } });
      assert.equal(code, 1, stderr);
      assert.match(stderr, /404\n`npm install` failed, so nothing was left behind/);
      assert.equal(stdout, "");
      assert.deepEqual(contents(cwd), { LICENSE: "mine" });
    });

    test("a package manager that is not installed is named", () => {
      const { code, stderr, cwd } = init(["my-app"], { env: { PATH: "/nowhere" } });
      assert.equal(code, 1, stderr);
      assert.match(stderr, /`npm install` failed/);
      assert.deepEqual(readdirSync(cwd), []);
    });

    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
      test(`${signal} during the installation leaves nothing behind`, async () => {
        const cwd = newFolder();
        const child = spawn(process.execPath, [BIN, "init", "a/my-app"], { cwd, env: { ...environment, PATH: path("exec sleep 30") }, stdio: ["ignore", "ignore", "pipe"] });
        let stderr = "";
        child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
        while (!existsSync(join(cwd, "a/my-app/package-lock.json"))) await new Promise((done) => setTimeout(done, 20));
        child.kill(signal);
        const code = await new Promise((done) => child.on("close", done));
        assert.equal(code, 1, stderr);
        assert.match(stderr, new RegExp(`Stopped by ${signal}`));
        assert.deepEqual(readdirSync(cwd), []);
      });
    }
  });

  test("on Node 20 it says that wrangler needs a newer one, and writes nothing", (context) => {
    if (!/^v2[01]\./.test(execFileSync(NODE_20, ["--version"], { encoding: "utf8" }))) return context.skip("This machine's own Node is newer than 21. Set NODE_20 to the path of a Node 20.");
    const { code, stderr, cwd } = init(["my-app"], { node: NODE_20 });
    assert.equal(code, 1);
    assert.match(stderr, /needs Node 22\.12 or later/);
    assert.deepEqual(readdirSync(cwd), []);
    const files = init(["my-app", "--no-install"], { node: NODE_20 });
    assert.equal(files.code, 0, files.stderr);
  });
});
