// Checks that the Worker, the package and the command line tool never output a secret. `npm run
// canary` prints more.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { collect, missed, search } from "./canary.mjs";

describe("the canary", { timeout: 120_000 }, () => {
  let collected;
  before(async () => {
    collected = await collect();
  });

  test("A2: no log line, answer, database file, error or command output contains a secret in any form", () => {
    const { hits, outputs, bytes, markers } = search(collected);
    assert.deepEqual(hits, []);
    assert.ok(outputs > 400 && bytes > 1_000_000 && markers > 60, `${outputs} outputs, ${bytes} bytes, ${markers} secrets`);
  });

  test("A2: each kind of output is collected, and each step succeeds", () => {
    for (const pattern of [/^answer \d+ to/, /^running: .*sqlite-wal$/, /^stopped: .*sqlite$/, /^stdout of/, /^stderr of/, /^error \d+/, /^answer of a middleware/, /^keys new/, /^keys rotate/, /^secrets/, /^doctor/]) {
      assert.ok(collected.outputs.some(([name]) => pattern.test(name)), String(pattern));
    }
    const [, log] = collected.outputs.find(([name]) => name.startsWith("stdout of"));
    for (const text of ['"code":"misconfigured"', '"code":"storage_unavailable"', '"code":"refresh_reused"', "a job was stopped", '"event":"reconcile.ran"']) assert.ok(log.includes(text), text);
    for (const [step, status] of Object.entries({ "sign-in alice": 200, "sign-in echo": 200, "refresh": 200, "refresh by cookie": 200, "approve": 200, "complete": 200, "ad": 200, "notification": 200, "introspection": 200, "afterwards": 200, "a setting garbled": 500 })) {
      assert.ok(collected.statuses[step].includes(status), `${step}: ${collected.statuses[step]}`);
    }
    assert.deepEqual(new Set(collected.statuses["operator's reads"]), new Set([200]));
  });

  test("A2: the search finds each form of a secret in a copy of the log or of the database", () => {
    assert.deepEqual(missed(collected), []);
  });
});
