// The memory of a verifier whose feed names as many sessions as a large app's.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { root } from "../../scripts/paths.mjs";
import { AUDIENCE, issuer } from "../support/issuer.mjs";

const NAMES = 100_000;
const LIMIT = 2_000_000;

/** The bytes that a verifier of this issuer adds to a fresh process. */
async function memory({ url }) {
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", `${root}/bench/verifier-memory.mjs`, url, AUDIENCE]);
  const { wasm, heapUsed } = JSON.parse(stdout);
  return { wasm, heapUsed };
}

test("a verifier keeps a feed of 100,000 revoked sessions in less than 2 MB", async (context) => {
  const [empty, full] = [await issuer(), await issuer()];
  try {
    for (let index = 0; index < NAMES; index++) full.end(`session-${String(index).padStart(12, "0")}`);
    const [without, names] = [await memory(empty), await memory(full)];
    const extra = names.wasm + names.heapUsed - without.wasm - without.heapUsed;
    context.diagnostic(`${JSON.stringify({ without, names })}: ${extra} bytes more`);
    assert.ok(extra < LIMIT, `${extra} bytes`);
    // The fingerprints themselves: fewer bytes would mean that the measurement sees no wasm.
    assert.ok(extra >= 8 * NAMES, `only ${extra} bytes`);
  } finally {
    await Promise.all([empty.close(), full.close()]);
  }
});
