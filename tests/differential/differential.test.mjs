// Compares the JavaScript columns of the differential matrix with the committed one. The Python and
// Rust columns need more tools and minutes: `npm run differential -- --check` compares all.

import { strict as assert } from "node:assert";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import { FIXED_NOW, cases, makeTokens } from "./cases.mjs";
import { columns, judge, judgeAll } from "./javascript.mjs";
import { cells, checkAdapter, render } from "./matrix.mjs";

const folder = new URL("./", import.meta.url);
const matrix = JSON.parse(readFileSync(new URL("matrix.json", folder), "utf8"));

let judged;
before(async () => {
  judged = await judgeAll();
});

test("the matrix has a row for each case, and the document shows the same", () => {
  const labels = (rows) => rows.map(({ id, name, kind, rule }) => ({ id, name, kind, rule }));
  assert.deepEqual(labels(matrix.rows), labels(cases));
  assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length, "two cases have the same name");
  assert.equal(readFileSync(new URL("matrix.md", folder), "utf8"), render(matrix));
});

test("the matrix names the installed versions and the options of the JavaScript columns", () => {
  for (const [name, { version, options, clock }] of Object.entries(judged)) {
    assert.deepEqual(matrix.columns.find((column) => column.name === name), { name, version, options, clock });
  }
});

test("each adapter accepts valid tokens, and refuses expired, changed, forged and foreign ones", () => {
  for (const [name, column] of Object.entries(judged)) checkAdapter(name, column);
});

for (const id of new Set(cases.map((row) => row.id))) {
  test(`${id}: the JavaScript verifiers treat these tokens as the committed matrix says`, () => {
    for (const [name, column] of Object.entries(judged)) {
      const now = cells(column);
      const pick = (of) => Object.fromEntries(cases.flatMap((row, index) => (row.id === id ? [[row.name, of(index)]] : [])));
      assert.deepEqual(pick((index) => now[index]), pick((index) => matrix.rows[index].cells[name]), name);
    }
  });
}

test("pioneer-session refuses every attack, and accepts every valid token except those that it refuses by design", () => {
  const texts = cells(judged["pioneer-session"]);
  cases.forEach(({ name, kind, lost = false }, index) => {
    assert.equal(texts[index], kind === "must-accept" && !lost ? "accepts" : "refuses", name);
  });
});

test("pioneer-session treats each token the same if its header has the newer name of the algorithm", async () => {
  const renamed = await judge(columns["pioneer-session"], FIXED_NOW, makeTokens("Ed25519", FIXED_NOW));
  renamed.forEach(({ verdict }, index) => assert.equal(verdict, judged["pioneer-session"].verdicts[index].verdict, cases[index].name));
  const codes = (verdicts) => verdicts.map(({ reason }) => reason?.split(":")[0]);
  assert.deepEqual(codes(renamed), codes(judged["pioneer-session"].verdicts));
});
