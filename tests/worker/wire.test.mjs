// The wire format between wasm and JavaScript (src/worker/runtime), in workerd: `wire.mjs` writes,
// `wire.rs` reads and writes again, and `wire.mjs` reads.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startVerdict } from "../support/workers.mjs";

const COUNT = 2_000;
const MAX_LENGTH = 12;

/** The characters of the format itself, letters that follow its escape character, and others of one
 * to four bytes. */
const CHARACTERS = ["\0", "\n", "\x1b", "0", "n", "e", "a", ":", " ", "\\", '"', "\r", "\t", "\x7f", "\u0080", "\u00fc", "\u2028", "\ufeff", "\u{1f967}"];

/** Equal seeds return equal numbers, so that a failure can be repeated. */
function generator(seed) {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

describe("the wire format", () => {
  let worker;
  const answers = async (asked) => (await fetch(worker.url, { method: "POST", body: JSON.stringify(asked) })).json();
  const random = generator(20_261_128);
  const text = () => Array.from({ length: random(MAX_LENGTH) }, () => CHARACTERS[random(CHARACTERS.length)]).join("");
  const texts = () => Array.from({ length: random(MAX_LENGTH) }, text);

  before(async () => {
    worker = await startVerdict();
  });
  after(() => worker?.close());

  test("a message has the same fields and the same body on the other side, whatever characters they contain", async () => {
    const messages = Array.from({ length: COUNT }, () => ({ fields: texts(), body: text() }));
    messages.push({ fields: [], body: "" }, { fields: [""], body: "" }, { fields: ["", ""], body: "\0" }, ...CHARACTERS.map((character) => ({ fields: [character], body: character })));
    const found = await answers(messages);
    for (const [i, { fields, body }] of messages.entries()) assert.deepEqual(found[i], [fields, body], JSON.stringify(messages[i]));
  });

  test("the values of D1's rows and parameters are the same on the other side", async () => {
    const rows = () => Array.from({ length: random(MAX_LENGTH) }, () => [null, ...texts()]);
    const batches = Array.from({ length: COUNT / 10 }, rows);
    const found = await answers(batches.map((rows) => ({ results: [{ meta: { changes: 1 }, results: rows.map((row) => ({ ...row })) }] })));
    for (const [i, rows] of batches.entries()) {
      assert.deepEqual(found[i].map(({ parameters }) => parameters), rows, JSON.stringify(rows));
      for (const { address, length } of found[i]) assert.ok(address > 0 && length === "SELECT 1".length);
    }
  });
});
