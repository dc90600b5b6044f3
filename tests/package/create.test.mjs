// `npm create pioneer-session`, from the packed packages.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { environment, root } from "../../scripts/paths.mjs";
import { pack } from "../support/packed-example.mjs";

const manifest = (path) => JSON.parse(readFileSync(join(path, "package.json"), "utf8"));

test("create-pioneer-session has the version of the package, and depends on exactly that one", () => {
  const { version } = manifest(root);
  const create = manifest(join(root, "create-pioneer-session"));
  assert.equal(create.version, version);
  assert.deepEqual(create.dependencies, { "pioneer-session": version });
});

test("it makes a project with the options of init, whose package is the installed one", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-create-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const tarball = pack(folder);
  const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", "--json", "--pack-destination", folder], { cwd: join(root, "create-pioneer-session"), encoding: "utf8", env: environment }));
  writeFileSync(join(folder, "package.json"), '{"private":true}');
  execFileSync("npm", ["install", "--offline", "--omit=peer", "--no-audit", "--no-fund", "--loglevel=error", tarball, `./${filename}`], { cwd: folder, env: environment });
  const output = execFileSync("npm", ["exec", "--offline", "--", "create-pioneer-session", "my-app", "--no-install", "--no-git", "--backend", "hono"], { cwd: folder, encoding: "utf8", env: environment, stdio: ["ignore", "pipe", "ignore"] });
  assert.match(output, /my-app is ready/);
  const { dependencies } = manifest(join(folder, "my-app"));
  const copy = dependencies["pioneer-session"].replace(/^file:/, "");
  assert.ok(existsSync(join(folder, "my-app", copy)), `${copy} is not in ${readdirSync(join(folder, "my-app"))}`);
  assert.ok("hono" in dependencies);
});
