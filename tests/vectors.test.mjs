// E1, E2: the public vectors of Ed25519 inside of workerd, by both ways of verifying. On the host and under Node they are
// in jwt.rs and wasm.rs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { root } from "../scripts/paths.mjs";
import { startVerdict } from "./workers.mjs";

const read = (name) => JSON.parse(readFileSync(`${root}/tests/vectors/${name}`, "utf8"));
const [NEITHER, BOTH] = [0, 3];

/** Components of low order beside one of large order are honest arithmetic; all else is refused. */
const HARMLESS = ["low_order_component_A", "low_order_component_R"];
const isStrict = ({ flags }) => (flags ?? []).every((flag) => HARMLESS.includes(flag));

describe("public vectors in workerd", () => {
  let worker;
  const verdicts = async (vectors) => (await fetch(worker.url, { method: "POST", body: JSON.stringify(vectors) })).json();

  before(async () => {
    worker = await startVerdict();
  });
  after(() => worker?.close());

  test("E1: Wycheproof agrees in every vector", async () => {
    const vectors = read("wycheproof_ed25519_test.json").testGroups.flatMap(({ publicKey, tests }) =>
      tests.map(({ msg, sig, result, comment }) => ({ key: publicKey.pk, message: msg, signature: sig, result, comment })));
    assert.equal(vectors.length, 151);
    for (const [i, verdict] of (await verdicts(vectors)).entries()) {
      assert.equal(verdict, vectors[i].result === "valid" ? BOTH : NEITHER, vectors[i].comment);
    }
  });

  test("E2: of the odd points exactly the strict set is accepted", async () => {
    const vectors = read("cctv_ed25519vectors.json");
    assert.equal(vectors.length, 914);
    const found = await verdicts(vectors.map(({ key, msg, sig }) => ({ key, message: Buffer.from(msg).toString("hex"), signature: sig })));
    for (const [i, verdict] of found.entries()) assert.equal(verdict, isStrict(vectors[i]) ? BOTH : NEITHER, JSON.stringify(vectors[i]));
    assert.equal(found.filter((verdict) => verdict === BOTH).length, 43);
  });
});
