// `add` as its users run it, in applications of all kinds. It writes one new file and two lines of
// .env, or nothing.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { FRAMEWORKS } from "../../pkg/cli/frameworks.mjs";
import { environment, paths, root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";

const BIN = `${root}/pkg/cli/index.mjs`;
const LINES = "SESSION_ISSUER=http://localhost:8787\nSESSION_AUDIENCE=demo\n";

const folders = [];
after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** A folder with these files: texts, or objects that are written as JSON. */
function app(files) {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-add-"));
  folders.push(folder);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), typeof content === "string" ? Buffer.from(content, "latin1") : JSON.stringify(content));
  }
  return folder;
}

function contents(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => join(entry.parentPath, entry.name));
  const own = files.filter((path) => !path.includes("node_modules") && lstatSync(path).isFile());
  return Object.fromEntries(own.sort().map((path) => [path.slice(folder.length + 1), readFileSync(path, "latin1")]));
}

/** Runs `add` in an application. Returns its result, and the files that are new or changed. */
function add(files, args = [], options = {}) {
  const cwd = typeof files === "string" ? files : app(files);
  const before = contents(cwd);
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, "add", "--no-install", ...args], { cwd, encoding: "utf8", env: { ...environment, ...options.env } });
  const after = contents(cwd);
  for (const name of Object.keys(before)) assert.ok(name in after, `${name} is gone`);
  const changed = Object.fromEntries(Object.entries(after).filter(([name, text]) => before[name] !== text));
  return { cwd, code: status, stdout, stderr, changed };
}

const withDependency = (name, version, more = {}) => ({ "package.json": { name: "app", dependencies: { [name]: version }, ...more } });

describe("add", () => {
  test("every framework has an export of the package", () => {
    const { exports } = JSON.parse(readFileSync(`${root}/package.json`, "utf8"));
    assert.deepEqual(FRAMEWORKS.filter(({ name }) => !(`./${name}` in exports)).map(({ name }) => name), []);
  });

  for (const { name, dependency, oldest, guard, title } of FRAMEWORKS) {
    test(`${name}: writes the guard and the settings, and nothing else`, () => {
      const { code, stdout, stderr, changed } = add(withDependency(dependency, `^${oldest}.1.0`, { type: "module" }));
      assert.equal(code, 0, stderr);
      assert.deepEqual(Object.keys(changed).sort(), [".env", "pioneer-session.js"]);
      assert.equal(changed[".env"], LINES);
      assert.match(changed["pioneer-session.js"], new RegExp(`import \\{ ${guard} \\} from "pioneer-session/${name}"`));
      assert.match(stdout, /import \{ signedIn \} from/);
      assert.match(stdout, /npm install pioneer-session/);
    });

    test(`${name}: refuses a version that is too old, and takes one that nobody can tell`, () => {
      for (const version of [`^${oldest - 1}.9.0`, `${oldest - 1}`, `>=${oldest - 1}`, `~${oldest - 1}.0`]) {
        const { code, stderr, changed } = add(withDependency(dependency, version));
        assert.equal(code, 1, version);
        assert.match(stderr, new RegExp(`${title.replace(".", "\\.")} ${oldest - 1} is too old`));
        assert.deepEqual(changed, {});
      }
      for (const version of ["latest", "*", "workspace:*", "file:../x", `npm:other@${oldest}.0.0`]) {
        const { code, stderr } = add(withDependency(dependency, version));
        assert.equal(code, 0, `${version}: ${stderr}`);
      }
    });
  }

  test("the installed version counts more than the range", () => {
    const files = { ...withDependency("express", ">=3"), "node_modules/express/package.json": { version: "5.3.0" } };
    assert.equal(add(files).code, 0);
    assert.equal(add({ ...files, "node_modules/express/package.json": { version: "3.1.0" } }).code, 1);
  });

  describe("the guard works", () => {
    const apps = {
      express: ['import express from "express";', "const app = express();", 'app.get("/", (request, response) => response.json({}));', "LINE", 'app.listen(process.env.PORT, "127.0.0.1");'],
      hono: ['import { Hono } from "hono"; import { serve } from "@hono/node-server";', "const app = new Hono();", 'app.get("/", (c) => c.json({}));', "LINE", 'serve({ fetch: app.fetch, hostname: "127.0.0.1", port: Number(process.env.PORT) });'],
      fastify: ['import Fastify from "fastify";', "const app = Fastify();", 'app.get("/", async () => ({}));', "LINE", 'await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });'],
    };
    for (const [name, source] of Object.entries(apps)) {
      for (const type of name === "fastify" ? ["module"] : ["module", "commonjs"]) {
        test(`${name}, ${type}: the printed lines guard a route of a running app`, async (context) => {
          const { cwd, code, stdout, stderr } = add(withDependency(name, ">=4", { type }));
          assert.equal(code, 0, stderr);
          const [line, ...others] = stdout.split("\n").filter((text) => text.startsWith("  ")).map((text) => text.trim());
          const text = [line, ...source.map((text) => (text === "LINE" ? others.join("\n") : text))].join("\n");
          const common = text.replace(/import (\w+|\{ .+? \}) from (".+?");/g, "const $1 = require($2);");
          writeFileSync(join(cwd, "app.js"), type === "module" ? text : common);
          mkdirSync(join(cwd, "node_modules"));
          for (const dependency of ["express", "hono", "fastify", "@hono"]) symlinkSync(`${paths.modules}/${dependency}`, join(cwd, "node_modules", dependency));
          symlinkSync(root, join(cwd, "node_modules/pioneer-session"));
          const port = await freePort();
          const child = spawn(process.execPath, ["--env-file=.env", "app.js"], { cwd, env: { ...environment, PORT: String(port) }, stdio: ["ignore", "ignore", "pipe"] });
          context.after(() => child.kill());
          let problem = "";
          child.stderr.on("data", (text) => (problem += text));
          const url = `http://127.0.0.1:${port}`;
          for (let tries = 0; !(await fetch(url).then(({ ok }) => ok, () => false)); tries++) {
            assert.ok(tries < 200 && child.exitCode === null, problem);
            await new Promise((done) => setTimeout(done, 50));
          }
          const response = await fetch(`${url}/profile`);
          assert.deepEqual([response.status, (await response.json()).code], [401, "session_missing"]);
        });
      }
    }

    test("in TypeScript, it compiles under strict, as a module and as CommonJS", () => {
      for (const [name, type] of [["express", "module"], ["express", "commonjs"], ["hono", "module"], ["fastify", "module"], ["next", "module"]]) {
        const { cwd, code, stderr, changed } = add({ ...withDependency(name, "latest", { type }), "tsconfig.json": { compilerOptions: { strict: true, module: "nodenext", target: "es2022", types: ["node"], noEmit: true, skipLibCheck: true }, include: ["src"] }, "src/x.ts": "export {};" });
        assert.equal(code, 0, stderr);
        assert.deepEqual(Object.keys(changed).sort(), [".env", "src/pioneer-session.ts"]);
        mkdirSync(join(cwd, "node_modules/@types"), { recursive: true });
        for (const dependency of ["express", "hono", "fastify", "next", "@types/node", "@types/express"]) symlinkSync(`${paths.modules}/${dependency}`, join(cwd, "node_modules", dependency));
        symlinkSync(root, join(cwd, "node_modules/pioneer-session"));
        const compiled = spawnSync(`${paths.modules}/.bin/tsc`, ["-p", "."], { cwd, encoding: "utf8" });
        assert.equal(compiled.status, 0, `${name}, ${type}: ${compiled.stdout}`);
      }
    });
  });

  test("TypeScript without a tsconfig.json gets JavaScript", () => {
    const { code, changed } = add({ "package.json": { dependencies: { express: "5" }, devDependencies: { typescript: "5" } } });
    assert.equal(code, 0);
    assert.match(changed["pioneer-session.js"], /require\("pioneer-session\/express"\)/);
  });

  test("two frameworks need --framework; NestJS upon Express is one", () => {
    const two = { "package.json": { dependencies: { express: "5", hono: "4" } } };
    const refused = add(two);
    assert.equal(refused.code, 2);
    assert.match(refused.stderr, /Express and Hono.*--framework express or --framework hono/);
    assert.deepEqual(refused.changed, {});
    assert.match(add(two, ["--framework", "hono"]).changed["pioneer-session.js"], /pioneer-session\/hono/);
    assert.equal(add(two, ["--framework", "koa"]).code, 1);
    assert.equal(add(two, ["--framework", "django"]).code, 2);
    assert.match(add({ "package.json": { dependencies: { "@nestjs/core": "11", express: "5" } } }).changed["pioneer-session.js"], /pioneer-session\/nest/);
  });

  test("refuses a folder that is no app, and changes nothing", () => {
    const cases = [
      [{}, /There is no package\.json here/],
      [{ "package.json": "{" }, /is not a JSON object/],
      [{ "package.json": "" }, /is not a JSON object/],
      [{ "package.json": "[]" }, /is not a JSON object/],
      [{ "package.json": "null" }, /is not a JSON object/],
      [{ "package.json": {} }, /none of the frameworks/],
      [{ "package.json": { dependencies: [] } }, /none of the frameworks/],
      [{ "package.json": { dependencies: null } }, /none of the frameworks/],
      [{ "package.json": { dependencies: { sails: "1" } } }, /none of the frameworks/],
      [{ "package.json": { workspaces: ["packages/*", "./tools"], dependencies: { express: "5" } }, "packages/api/package.json": {}, "packages/web/package.json": {}, "packages/notes.txt": "", "tools/package.json": {} }, /several packages: packages\/api, packages\/web, tools\. Change/],
      [{ "package.json": { workspaces: { packages: ["apps/*"] } }, "apps/api/package.json": {} }, /several packages: apps\/api\./],
      [{ "package.json": { workspaces: "x" } }, /several packages\./],
      [{ "package.json": { dependencies: { express: "5" } }, "pnpm-workspace.yaml": 'packages:\n  - "apps/*"\n', "apps/api/package.json": {} }, /several packages: apps\/api\./],
      [{ ...withDependency("express", "5"), "pioneer-session.js": "mine" }, /exists already/],
      [{ ...withDependency("express", "5"), "src/pioneer-session.js": "mine" }, /src\/pioneer-session\.js exists already/],
      [{ ...withDependency("express", "5"), ".env/x": "mine" }, /\.env is not a file/],
      [{ ...withDependency("express", "5"), ".env": "\xff\xfeA\0=\0b\0" }, /not UTF-8/],
    ];
    for (const [files, reason] of cases) {
      const { code, stderr, changed } = add(files);
      assert.equal(code, 1, `${reason}: ${stderr}`);
      assert.match(stderr, reason);
      assert.doesNotMatch(stderr, /\n {4}at /);
      assert.deepEqual(changed, {});
    }
  });

  test("of .env, no byte changes but for the two lines", () => {
    const cases = [
      ["", LINES],
      ["A=1\n", `A=1\n${LINES}`],
      ["A=1", `A=1\n${LINES}`],
      ["A=1\r\nB=2", `A=1\r\nB=2\r\n${LINES.replaceAll("\n", "\r\n")}`],
      ["A='x\ny'\n# SESSION_ISSUER=old\n", `A='x\ny'\n# SESSION_ISSUER=old\n${LINES}`],
      ["K=\xe9\xff\n", `K=\xe9\xff\n${LINES}`],
      ["SESSION_ISSUER=https://s.pioneers.dev\n", "SESSION_ISSUER=https://s.pioneers.dev\nSESSION_AUDIENCE=demo\n"],
      ["export SESSION_AUDIENCE=mine\nSESSION_ISSUER=\n", undefined],
      [" SESSION_ISSUER = 'x'\nSESSION_AUDIENCE: y", undefined],
      ["MY_SESSION_ISSUER=1\nSESSION_ISSUERS=2\n", `MY_SESSION_ISSUER=1\nSESSION_ISSUERS=2\n${LINES}`],
    ];
    for (const [before, expected] of cases) {
      const { code, stderr, changed } = add({ ...withDependency("express", "5"), ".env": before });
      assert.equal(code, 0, stderr);
      assert.equal(changed[".env"], expected === before ? undefined : expected, JSON.stringify(before));
    }
  });

  test("a new .env is its owner's only; an old one keeps its mode and its link", () => {
    const { cwd } = add(withDependency("express", "5"));
    assert.equal(statSync(join(cwd, ".env")).mode & 0o777, 0o600);
    const linked = app({ ...withDependency("express", "5"), "real.env": "A=1\n" });
    symlinkSync("real.env", join(linked, ".env"));
    assert.equal(add(linked).code, 0);
    assert.ok(lstatSync(join(linked, ".env")).isSymbolicLink());
    assert.equal(readFileSync(join(linked, "real.env"), "utf8"), `A=1\n${LINES}`);
  });

  test("a failed installation writes nothing; the lock file names the package manager", () => {
    const cwd = app({ ...withDependency("express", "5"), "pnpm-lock.yaml": "" });
    const { status, stderr } = spawnSync(process.execPath, [BIN, "add"], { cwd, encoding: "utf8", env: { ...environment, PATH: "/nowhere" } });
    assert.equal(status, 1);
    assert.match(stderr, /`pnpm` could not install pioneer-session, so no file was written/);
    assert.deepEqual(Object.keys(contents(cwd)), ["package.json", "pnpm-lock.yaml"]);
  });

  test("the app's own package manager installs the package", () => {
    const { version } = JSON.parse(readFileSync(`${root}/package.json`, "utf8"));
    for (const [lock, command] of [["package-lock.json", "npm install"], ["pnpm-lock.yaml", "pnpm add"], ["yarn.lock", "yarn add"], ["bun.lock", "bun add"]]) {
      const [name, verb] = command.split(" ");
      const bin = app({ [name]: '#!/bin/sh\necho "$0 $@" >&2\n' });
      chmodSync(join(bin, name), 0o755);
      const cwd = app({ ...withDependency("express", "5"), [lock]: "" });
      const { status, stderr } = spawnSync(process.execPath, [BIN, "add"], { cwd, encoding: "utf8", env: { ...environment, PATH: `${bin}:${environment.PATH}` } });
      assert.equal(status, 0, stderr);
      assert.ok(stderr.includes(`/${name} ${verb} pioneer-session@^${version}`), stderr);
    }
  });
});
