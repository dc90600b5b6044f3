// Fuzzes the npm package, its reader of the revocation feed, and the Worker with 20,000 inputs
// each: half from a fixed seed, half from a seed that each run draws and prints. `npm run fuzz`
// tries a million of each.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fuzzFeed } from "./feed.mjs";
import { fuzzPackage } from "./npm.mjs";
import { documentedCodes, fuzzWorker } from "./worker.mjs";

const COUNT = 10_000; // for each seed
const drawn = Math.floor(Math.random() * 2 ** 32);

function isSound({ inputs, traps, wrong, shown }) {
  assert.equal(inputs, COUNT);
  assert.deepEqual({ traps, wrong }, { traps: 0, wrong: 0 }, shown.join("\n"));
}

/** Fails if the grammar no longer causes enough verdicts of each kind. */
function reaches(verdicts, least) {
  for (const [name, count] of Object.entries(least)) assert.ok(verdicts[name] >= count, `${verdicts[name] ?? 0} times ${name}`);
}

describe("fuzzing", () => {
  for (const seed of [1, drawn]) {
    test(`only valid tokens verify, and no token stops the package's wasm (seed ${seed})`, async () => {
      const result = await fuzzPackage({ count: COUNT, seed });
      isSound(result);
      reaches(result.verdicts, { accepted: 500, bad_signature: 500, token_malformed: 500, unknown_key: 500, invalid_claims: 200 });
      // About ten of each, so that a drawn seed can miss one.
      if (seed === 1) reaches(result.verdicts, { expired: 1, not_yet_valid: 1, wrong_issuer: 1, wrong_audience: 1, token_too_long: 1 });
    });

    test(`no window of the feed restores a session or stops the package's wasm, and spoiled ones change nothing (seed ${seed})`, () => {
      const result = fuzzFeed({ count: COUNT, seed });
      isSound(result);
      reaches(result.verdicts, { added: 2000, window_missing: 200, bad_signature: 200, token_malformed: 200, invalid_claims: 200, unknown_key: 100, expired: 50, not_yet_valid: 50, wrong_issuer: 50, wrong_audience: 50 });
    });

    test(`only good requests succeed, and no request stops the Worker's wasm (seed ${seed})`, async () => {
      const result = await fuzzWorker({ count: COUNT, seed });
      isSound(result);
      reaches(result.verdicts, { 200: 500, 204: 50, 201: 20, "400 invalid_request": 100, "401 session_invalid": 100, "403 origin_not_allowed": 20, "404 not_found": 100, "405 method_not_allowed": 100, "413 body_too_large": 5, "415 unsupported_media_type": 20 });
    });
  }

  test("answers may have exactly the codes of docs/errors.md", () => {
    const codes = documentedCodes();
    assert.deepEqual(codes[405], ["method_not_allowed"]);
    assert.ok(Object.values(codes).flat().length > 30);
  });
});
