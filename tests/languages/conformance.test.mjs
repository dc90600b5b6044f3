// pkg/conformance.json against our own verifier: each token and each feed has exactly the verdict
// that the file says.

import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { describe, mock, test } from "node:test";
import { createVerifier } from "pioneer-session";
import conformance from "pioneer-session/conformance.json" with { type: "json" };
import { isKnownToOthers } from "../../pkg/cli/known-keys.mjs";

const { settings, jwks, tokens, feeds } = conformance;
const { issuer, audience, clockTolerance, now } = settings;

/** Runs `work` at the time of the file. */
async function atNow(work) {
  mock.timers.enable({ apis: ["Date"], now: now * 1000 });
  try {
    return await work();
  } finally {
    mock.timers.reset();
  }
}

/** A verifier with the file's settings, and with this document as its revocation feed. */
const verifierWith = (feed) =>
  createVerifier({ issuer, audience, clockTolerance, jwks, revocations: true, fetch: async () => new Response(Buffer.from(feed, "base64")) });

const verdictOf = (work) => {
  try {
    work();
    return "valid";
  } catch (error) {
    return error.code;
  }
};

describe("conformance.json", () => {
  test("its tokens have the verdicts that our verifier returns", () =>
    atNow(async () => {
      const verifier = await verifierWith(feeds[0].feed);
      try {
        for (const { name, verdict, token } of tokens) assert.equal(verdictOf(() => verifier.verify(token)), verdict, name);
      } finally {
        await verifier.close();
      }
    }));

  test("our verifier takes exactly its valid feeds", () =>
    atNow(async () => {
      for (const { name, verdict, feed } of feeds) {
        const made = verifierWith(feed);
        if (verdict !== "valid") await assert.rejects(made, { code: "revocations_unavailable" }, name);
        else await (await made).close();
      }
    }));

  test("it has every verdict, and a name for each case", () => {
    const verdicts = [...new Set(tokens.map(({ verdict }) => verdict))].sort();
    const codes = ["bad_signature", "expired", "invalid_claims", "not_yet_valid", "revoked", "token_malformed", "token_too_long", "unknown_key", "valid", "wrong_audience", "wrong_issuer"];
    assert.deepEqual(verdicts, codes);
    for (const cases of [tokens, feeds]) assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length);
    // A feed is not revoked, and a feed that is too long would add 8 MB to the file.
    const ofFeeds = [...codes.filter((code) => !["revoked", "token_too_long"].includes(code)), "window_missing"].sort();
    assert.deepEqual([...new Set(feeds.map(({ verdict }) => verdict))].sort(), ofFeeds);
    assert.equal(feeds[0].verdict, "valid");
    for (const { feed } of feeds) assert.equal(Buffer.from(feed, "base64").toString("base64"), feed);
    for (const { optional, verdict } of tokens) assert.ok(!optional || verdict !== "valid");
  });

  test("its keys are public halves that nobody can sign with", () => {
    assert.equal(jwks.keys.length, 2);
    for (const key of jwks.keys) {
      assert.deepEqual(Object.keys(key).sort(), ["alg", "crv", "kid", "kty", "use", "x"]);
      assert.equal(createPublicKey({ key, format: "jwk" }).asymmetricKeyType, "ed25519");
      assert.equal(isKnownToOthers(key.x), false);
    }
  });
});
