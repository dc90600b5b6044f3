// `npm start` rebuilds a part when a file that its build has read is changed.

import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { buildSync } from "esbuild";
import { buildConsole } from "../../scripts/console.mjs";
import { cargoInputs, esbuildInputs, isStale, writeStamp } from "../../scripts/inputs.mjs";
import { paths, root, stamps } from "../../scripts/paths.mjs";

const folder = mkdtempSync(join(tmpdir(), "inputs-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const hour = (count) => new Date(Date.now() + count * 3_600_000);

/** A built part whose inputs are older than it. */
function built(...names) {
  const stamp = join(folder, ".built");
  const inputs = names.map((name) => join(folder, name));
  for (const input of inputs) {
    writeFileSync(input, "{}");
    utimesSync(input, hour(-1), hour(-1));
  }
  writeStamp(stamp, inputs);
  // The checkout may be younger than this moment's clock says.
  utimesSync(stamp, hour(1), hour(1));
  return { stamp, inputs };
}

test("a build is stale once any of its inputs is newer, whatever its extension, or is missing", () => {
  for (const name of ["openapi.json", "bridge.mjs", "wrangler.toml", "lib.rs", "page.html", "schema.sql", "NAMELESS"]) {
    const { stamp, inputs } = built("other.rs", name);
    assert.equal(isStale(stamp), false, name);
    utimesSync(inputs[1], hour(2), hour(2));
    assert.equal(isStale(stamp), true, name);
    utimesSync(inputs[1], hour(-1), hour(-1));
    assert.equal(isStale(stamp), false, name);
    rmSync(inputs[1]);
    assert.equal(isStale(stamp), true, name);
  }
});

test("a build without a stamp, or with one that has no list, is stale", () => {
  assert.equal(isStale(join(folder, "none")), true);
  writeFileSync(join(folder, "empty"), "");
  assert.equal(isStale(join(folder, "empty")), true);
});

test("a tsconfig.json above the repository changes nothing", async () => {
  const copy = join(folder, "above/repository");
  for (const name of ["package.json", "scripts", "src/worker/console"]) cpSync(`${root}/${name}`, join(copy, name), { recursive: true });
  symlinkSync(paths.modules, join(copy, "node_modules"));
  writeFileSync(join(folder, "above/tsconfig.json"), '{ "compilerOptions": { "jsx": "react-jsx" } }');
  const other = await import(pathToFileURL(join(copy, "scripts/console.mjs")));
  assert.deepEqual(other.buildConsole().files, buildConsole().files);
});

test("the inputs are those that cargo and esbuild report", () => {
  const list = join(folder, "lib.d");
  writeFileSync(list, "/target/lib.wasm: /src/lib.rs /src/my\\ page.html /src/openapi.json\n");
  assert.deepEqual(cargoInputs(list), ["/src/lib.rs", "/src/my page.html", "/src/openapi.json"]);
  mkdirSync(join(folder, "js"));
  writeFileSync(join(folder, "js/data.json"), "1");
  writeFileSync(join(folder, "js/entry.mjs"), 'import data from "./data.json"; export default data;');
  const { metafile } = buildSync({ absWorkingDir: folder, entryPoints: ["js/entry.mjs"], bundle: true, write: false, metafile: true });
  assert.deepEqual(esbuildInputs(metafile).sort(), ["js/data.json", "js/entry.mjs"]);
});

const NEEDED = {
  worker: ["Cargo.lock", "src/lib.rs", "src/service/openapi.json", "src/worker/runtime/entry.mjs"],
  simulator: ["src/simulator/authorize.html", "src/simulator/sdk.js", "src/simulator/entry.mjs"],
  browser: ["pkg/browser/index.mjs", "pkg/browser/session.mjs"],
};

for (const [name, files] of Object.entries(NEEDED)) {
  test(`the build of ${name} notes what it has read`, { skip: !existsSync(stamps[name]) && "it is not built" }, () => {
    const inputs = JSON.parse(readFileSync(stamps[name], "utf8"));
    for (const file of files) assert.ok(inputs.includes(file), file);
    for (const input of inputs) assert.ok(statSync(`${root}/${input}`).isFile() && !/^(target|node_modules|\.\.)\//.test(input), input);
  });
}
