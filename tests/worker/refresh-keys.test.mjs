// Refresh tokens bound to a key (RFC 9449), and repeats of lost answers, on the built Worker in
// real workerd with a real local D1. Another implementation, `dpop`, makes the proofs.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, beforeEach, describe, test } from "node:test";
import { calculateThumbprint, generateKeyPair, generateProof } from "dpop";
import { eventually } from "../support/clock.mjs";
import { JSON_TYPE, startFakePi, user } from "../support/fake-pi.mjs";
import { logLine } from "../support/log.mjs";
import { startIssuer } from "../support/workers.mjs";

const ORIGIN = "https://app.example.com";
const logs = [];

let pi, issuer, database;
before(async () => {
  pi = await startFakePi({
    "token-alice": user({ app_id: "simulated-app" }),
    "token-bob": user({ uid: "b0b", app_id: "simulated-app" }),
  });
  issuer = await startIssuer({ pi: pi.url, allowedOrigin: ORIGIN, log: ({ message }) => logs.push(logLine(message)) });
  await fetch(`${issuer.url}/products`);
  database = await issuer.worker.getD1Database("DB");
});
after(async () => {
  await issuer?.close();
  await pi?.close();
});
beforeEach(async () => {
  await database.batch(["sessions", "users"].map((table) => database.prepare(`DELETE FROM ${table}`)));
});

const post = (path, body, headers) =>
  fetch(issuer.url + path, { method: "POST", body: JSON.stringify(body), headers: { ...JSON_TYPE, origin: ORIGIN, ...headers } });
const answerOf = async (response) => ({ status: response.status, headers: response.headers, ...(await response.json()) });

async function signIn(key, accessToken = "token-alice", headers) {
  const dpopJkt = key && (await calculateThumbprint(key.publicKey));
  const answer = await answerOf(await post("/session", { accessToken, dpopJkt }, headers));
  assert.equal(answer.status, 200);
  return answer;
}

const proof = (key, nonce) => generateProof(key, `${issuer.url}/session/refresh`, "POST", nonce);
const plain = async (refreshToken, headers) => answerOf(await post("/session/refresh", { refreshToken }, headers));
const proven = async (key, refreshToken, given) => plain(refreshToken, { dpop: given ?? (await proof(key)) });
const isLive = async ({ sessionToken }) =>
  (await fetch(`${issuer.url}/session`, { headers: { authorization: `Bearer ${sessionToken}` } })).status === 200;
const rows = () => database.prepare("SELECT * FROM sessions ORDER BY created_at").all().then(({ results }) => results);
/** Makes every session this many seconds older. */
const age = (seconds) =>
  database.prepare(`UPDATE sessions SET last_seen_at = last_seen_at - ${seconds}, token_expires_at = token_expires_at - ${seconds},
    tokens_expire_at = tokens_expire_at - ${seconds}, proofs_since = proofs_since - ${seconds}`).run();

describe("a session bound to a key", () => {
  test("S3: is refreshed with its key from any of its tokens, however late", async () => {
    const key = await generateKeyPair("ES256");
    const first = await signIn(key);
    const second = await proven(key, first.refreshToken);
    assert.equal(second.status, 200);
    assert.notEqual(second.refreshToken, first.refreshToken);
    const again = await proven(key, first.refreshToken);
    assert.deepEqual([again.refreshToken, again.sessionToken], [second.refreshToken, second.sessionToken]);
    for (let turn = 0; turn < 5; turn++) {
      await age(100_000);
      // The session token has expired by now; the session's oldest refresh token still refreshes
      // it.
      const late = await proven(key, first.refreshToken);
      assert.deepEqual([late.status, late.expiresIn], [200, 600]);
      assert.ok(await isLive(late));
    }
    const [row] = await rows();
    assert.equal(row.refreshes, 6);
    assert.ok(row.proofs.length < 100, "the Worker deletes proofs that are no longer fresh");
  });

  test("S3: returns the same successor to twenty tabs that refresh at the same moment", async () => {
    const key = await generateKeyPair("ES256");
    const first = await signIn(key);
    const answers = await Promise.all(Array.from({ length: 20 }, () => proven(key, first.refreshToken)));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    for (const name of ["refreshToken", "sessionToken"]) assert.equal(new Set(answers.map((answer) => answer[name])).size, 1);
    assert.equal((await rows())[0].refreshes, 1);
  });

  test("S3: refuses a thief of the token without disturbing its owner", async () => {
    const [key, thief] = [await generateKeyPair("ES256"), await generateKeyPair("ES256")];
    const first = await signIn(key);
    const before = await rows();
    for (const stolen of [await plain(first.refreshToken), await proven(thief, first.refreshToken)]) {
      assert.deepEqual([stolen.status, stolen.code], [401, "invalid_dpop_proof"]);
      assert.match(stolen.headers.get("www-authenticate"), /^DPoP .*algs="ES256"/);
    }
    // A proof that a thief has intercepted.
    const seen = await proof(key);
    assert.equal((await proven(key, first.refreshToken, seen)).status, 200);
    const replayed = await proven(key, first.refreshToken, seen);
    assert.deepEqual([replayed.status, replayed.code], [401, "invalid_dpop_proof"]);
    assert.ok(await isLive(first));
    assert.deepEqual([before[0].refreshes, (await rows())[0].refreshes], [0, 1]);
    const refusals = () => logs.filter((line) => line?.code === "invalid_dpop_proof");
    await eventually(() => refusals().length >= 3);
    const warnings = refusals();
    assert.deepEqual(warnings.map(({ level, reason }) => [level, /theft/.test(reason)]), [["warn", true], ["warn", true], ["info", false]]);
    const text = JSON.stringify([logs, await rows()]);
    for (const secret of [first.refreshToken, first.sessionToken, seen]) assert.ok(!text.includes(secret.slice(0, 30)));
  });

  test("uses the issuer's clock, and accepts its nonce instead of a fresh time", async (t) => {
    const key = await generateKeyPair("ES256");
    const first = await signIn(key);
    for (const hours of [-2, 2]) {
      t.mock.method(Date, "now", () => performance.timeOrigin + performance.now() + hours * 3_600_000);
      const stale = await proof(key);
      const refused = await proven(key, first.refreshToken, stale);
      assert.deepEqual([refused.status, refused.code], [401, "use_dpop_nonce"]);
      assert.match(refused.headers.get("access-control-expose-headers"), /dpop-nonce/);
      const nonce = refused.headers.get("dpop-nonce");
      const answer = await proven(key, first.refreshToken, await proof(key, nonce));
      t.mock.reset();
      assert.equal(answer.status, 200);
    }
    assert.equal((await rows()).length, 1);
  });

  test("refuses a key with another algorithm, curve or size", async () => {
    const first = await signIn(await generateKeyPair("ES256"));
    for (const algorithm of ["Ed25519", "RS256", "PS256"]) {
      const other = await generateKeyPair(algorithm);
      const answer = await proven(other, first.refreshToken);
      assert.deepEqual([answer.status, answer.code], [401, "invalid_dpop_proof"], algorithm);
    }
    // The runtime does not import a point that is not on its curve.
    const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const off = Buffer.alloc(32, 7).toString("base64url");
    const header = { typ: "dpop+jwt", alg: "ES256", jwk: { kty: "EC", crv: "P-256", x: off, y: off } };
    const claims = { htm: "POST", htu: `${issuer.url}/session/refresh`, iat: Math.floor(Date.now() / 1000), jti: "off" };
    const forged = `${encode(header)}.${encode(claims)}.${randomBytes(64).toString("base64url")}`;
    assert.deepEqual((await proven(undefined, first.refreshToken, forged)).code, "invalid_dpop_proof");
    assert.ok(await isLive(first));
  });

  test("refuses a proof for a session without a key, and leaves the session unchanged", async () => {
    const key = await generateKeyPair("ES256");
    const first = await signIn(undefined);
    assert.equal((await proven(key, first.refreshToken)).code, "invalid_dpop_proof");
    assert.equal((await plain(first.refreshToken)).status, 200);
  });
});

describe("a session without a key", () => {
  test("S3: returns a lost answer again until its successor is used", async () => {
    const first = await signIn();
    const second = await plain(first.refreshToken);
    await age(110);
    assert.equal((await plain(first.refreshToken)).refreshToken, second.refreshToken);
    assert.equal((await plain(second.refreshToken)).status, 200);
    assert.equal((await plain(first.refreshToken)).code, "refresh_reused");
    assert.ok(!(await isLive(second)));
  });

  test("S3: repeats the answer, however late, only to a client with the same Idempotency-Key", async () => {
    for (const [value, expected] of [["mine", 200], ["other", 401], [undefined, 401]]) {
      const first = await signIn();
      const second = await plain(first.refreshToken, { "idempotency-key": "mine" });
      await age(100_000);
      const again = await plain(first.refreshToken, value && { "idempotency-key": value });
      assert.equal(again.status, expected, value);
      if (expected === 200) {
        assert.deepEqual([again.refreshToken, again.expiresIn], [second.refreshToken, 600]);
        assert.ok(await isLive(again), "its session token is new");
      }
      await database.prepare("DELETE FROM sessions").run();
    }
  });
});

describe("a sign-in", () => {
  test("can reuse an Idempotency-Key after an erasure, and the user can be erased again", async () => {
    const name = { "idempotency-key": "login" };
    for (let turn = 0; turn < 3; turn++) {
      const { sessionToken } = await signIn(undefined, "token-alice", name);
      const erased = await fetch(`${issuer.url}/me`, { method: "DELETE", headers: { authorization: `Bearer ${sessionToken}` } });
      assert.equal(erased.status, 204);
    }
  });

  test("starts one session when it is repeated with its Idempotency-Key, even at the same moment", async () => {
    for (const key of [undefined, await generateKeyPair("ES256")]) {
      const name = { "idempotency-key": `sign-in-${key ? 1 : 2}` };
      await database.prepare("DELETE FROM users").run();
      const answers = await Promise.all(Array.from({ length: 5 }, () => signIn(key, "token-alice", name)));
      assert.equal(new Set(answers.map(({ refreshToken }) => refreshToken)).size, 1);
      assert.deepEqual(answers.map(({ user }) => user.isNew), [true, true, true, true, true]);
      assert.equal((await rows()).length, 1);
      const later = await signIn(key, "token-alice", { "idempotency-key": "another" });
      assert.equal(later.user.isNew, false);
      assert.equal((await rows()).length, 2);
    }
  });

  test("does not share its Idempotency-Key with another user", async () => {
    const name = { "idempotency-key": "the-same" };
    const [alice, bob] = [await signIn(undefined, "token-alice", name), await signIn(undefined, "token-bob", name)];
    assert.notEqual(alice.user.uid, bob.user.uid);
    assert.deepEqual([await isLive(alice), await isLive(bob)], [true, true]);
  });
});
