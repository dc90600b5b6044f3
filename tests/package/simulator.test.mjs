// The packed tarball contains the simulated Pi as a Worker, small enough for every installation.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { pack } from "../support/packed-example.mjs";

const MAX_BYTES = 300_000; // more would burden installations that never use it
const folder = mkdtempSync(join(tmpdir(), "packed-simulator-"));
after(() => rmSync(folder, { recursive: true, force: true }));
execFileSync("tar", ["-xzf", pack(folder), "-C", folder]);
const { exports } = JSON.parse(readFileSync(join(folder, "package/package.json"), "utf8"));
const entry = join(folder, "package", exports["./simulator"].default);
const wasm = join(dirname(entry), "index_bg.wasm");

test("its files are in the tarball, with types, and are small", () => {
  assert.ok(statSync(join(folder, "package", exports["./simulator"].types)).size > 0);
  const bytes = statSync(entry).size + statSync(wasm).size;
  assert.ok(bytes <= MAX_BYTES, `${bytes} bytes`);
});

test("it runs from the tarball", async () => {
  const pi = new Miniflare(convertV4MiniflareOptions({
    modulesRoot: dirname(entry),
    modules: [{ type: "ESModule", path: entry }, { type: "CompiledWasm", path: wasm }],
    compatibilityDate: "2026-11-01",
  }));
  try {
    const response = await pi.dispatchFetch("http://localhost/v2/me", { headers: { authorization: "Bearer sim-alice" } });
    assert.equal((await response.json()).username, "alice_pioneer");
    assert.match(await (await pi.dispatchFetch("http://localhost/sdk.js")).text(), /window\.Pi/);
  } finally {
    await pi.dispose();
  }
});
