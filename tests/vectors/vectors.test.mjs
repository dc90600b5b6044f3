// E1, E2: checks the public Ed25519 vectors in workerd, with both verification paths. tests/jwt
// checks them on the host, and tests/wasm.rs in Node.

import assert from "node:assert/strict";
import { createHash, createPrivateKey, randomBytes, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { root } from "../../scripts/paths.mjs";
import { startVerdict } from "../support/workers.mjs";

const read = (name) => JSON.parse(readFileSync(`${root}/tests/vectors/${name}`, "utf8"));
const [NEITHER, BOTH] = [0, 3];

/** RFC 8032 §7.1: tests 1 to 3, and SHA(abc). */
const SIGNED = [
  ["9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "", "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"],
  ["4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72", "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"],
  ["c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "af82", "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"],
  ["833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42", createHash("sha512").update("abc").digest("hex"), "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"],
];

/** Node's signature. */
function nodes(seed, message) {
  const key = createPrivateKey({ key: Buffer.from(`302e020100300506032b657004220420${seed}`, "hex"), format: "der", type: "pkcs8" });
  return sign(null, Buffer.from(message, "hex"), key).toString("hex");
}

/** Flags of valid vectors: a component of low order next to one of large order. All other flags
 * must be refused. */
const HARMLESS = ["low_order_component_A", "low_order_component_R"];
const isStrict = ({ flags }) => (flags ?? []).every((flag) => HARMLESS.includes(flag));

describe("public vectors in workerd", () => {
  let worker;
  const verdicts = async (vectors) => (await fetch(worker.url, { method: "POST", body: JSON.stringify(vectors) })).json();

  before(async () => {
    worker = await startVerdict();
  });
  after(() => worker?.close());

  test("the Worker makes the signatures of RFC 8032 and of Node", async () => {
    for (const [seed, message, signature] of SIGNED) assert.equal(nodes(seed, message), signature);
    const random = Array.from({ length: 100 }, (_, i) => [randomBytes(32).toString("hex"), randomBytes(i * 7).toString("hex")]);
    const vectors = [...SIGNED, ...random.map(([seed, message]) => [seed, message, nodes(seed, message)])];
    const signatures = await verdicts(vectors.map(([seed, message]) => ({ seed, message })));
    assert.deepEqual(signatures, vectors.map(([, , signature]) => signature));
  });

  test("E1: every Wycheproof vector gets the expected verdict", async () => {
    const vectors = read("wycheproof_ed25519_test.json").testGroups.flatMap(({ publicKey, tests }) =>
      tests.map(({ msg, sig, result, comment }) => ({ key: publicKey.pk, message: msg, signature: sig, result, comment })));
    assert.equal(vectors.length, 151);
    for (const [i, verdict] of (await verdicts(vectors)).entries()) {
      assert.equal(verdict, vectors[i].result === "valid" ? BOTH : NEITHER, vectors[i].comment);
    }
  });

  test("E2: exactly the strict set of the irregular points is accepted", async () => {
    const vectors = read("cctv_ed25519vectors.json");
    assert.equal(vectors.length, 914);
    const found = await verdicts(vectors.map(({ key, msg, sig }) => ({ key, message: Buffer.from(msg).toString("hex"), signature: sig })));
    for (const [i, verdict] of found.entries()) assert.equal(verdict, isStrict(vectors[i]) ? BOTH : NEITHER, JSON.stringify(vectors[i]));
    assert.equal(found.filter((verdict) => verdict === BOTH).length, 43);
  });
});
