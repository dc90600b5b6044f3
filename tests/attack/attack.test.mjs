// Runs the quick attacks on the Worker and on the package in Node, and compares the document
// of the attacks with the results. `npm run attack` runs all attacks.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import { IDS, entries } from "./chapters.mjs";
import { root } from "../../scripts/paths.mjs";
import { citations } from "./citations.mjs";
import { DOCUMENT, rowsIn, testsCell } from "./document.mjs";
import { run } from "./runner.mjs";
import { Testbed } from "./testbed.mjs";

const TARGETS = ["worker", "node"];

describe("the attacks", { timeout: 900_000 }, () => {
  const testbed = new Testbed();
  after(() => testbed.close());
  const documented = rowsIn(readFileSync(`${root}/${DOCUMENT}`, "utf8"));

  test("every attack is tried somewhere, and the document describes each one in the same words", () => {
    assert.deepEqual(entries.map(({ id }) => id), IDS);
    for (const { id, on } of entries) assert.ok(Object.keys(on).length > 0, `${id} is not tried`);
    assert.deepEqual(documented.map(({ id, title, defence }) => [id, title, defence]), entries.map(({ id, title, defence }) => [id, title, defence]));
    for (const [i, { on }] of entries.entries()) assert.deepEqual(Object.keys(documented[i].tries).sort(), Object.keys(on).sort(), documented[i].id);
    assert.ok(documented.every(({ accepted }) => accepted === 0));
  });

  test("every id in the name of a test is an attack, and the document links each attack to its tests", () => {
    const tests = citations();
    for (const [id, paths] of tests) assert.ok(IDS.includes(id), `${id}, in ${paths.join(", ")}, is not the id of an attack`);
    for (const { id, tests: cell } of documented) assert.equal(cell, testsCell(tests.get(id)), `the tests of ${id}; run node tests/attack/run.mjs --texts`);
  });

  // The other attacks need a browser, or are slow.
  for (const entry of entries.filter(({ on, isSlow }) => !isSlow && TARGETS.some((target) => on[target]))) {
    test(`${entry.id}: ${entry.title}`, async () => {
      const rows = await run([entry], testbed, { targets: TARGETS, quick: true });
      for (const { target, tries, accepted, findings } of rows) {
        assert.deepEqual(findings, [], target);
        assert.equal(accepted, 0, target);
        assert.equal(tries, documented.find(({ id }) => id === entry.id).tries[target], `tries on ${target}; run npm run attack -- --write`);
      }
    });
  }
});
