// Attacks on Ed25519: signatures, keys and signing.

import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { attempt, control } from "./runner.mjs";
import { fromRows } from "./differential-tokens.mjs";
import { AUDIENCE, ISSUER, KEYS, suites } from "./testbed.mjs";

const read = (name) => JSON.parse(readFileSync(new URL(`../vectors/${name}`, import.meta.url), "utf8"));

/** The verdicts of verdict.rs about a vector: neither our verification nor a plain one accepts
 * it, or both do. */
const [NEITHER, BOTH] = [0, 3];

async function* vectors(testbed, list, isGood) {
  const { url } = await testbed.verdict;
  const verdicts = await (await fetch(url, { method: "POST", body: JSON.stringify(list) })).json();
  let accepted = 0;
  for (const [i, verdict] of verdicts.entries()) {
    if (isGood(i)) {
      accepted += verdict === BOTH ? 1 : 0;
      yield control(`vector ${i}`, verdict === BOTH);
    } else {
      yield attempt(`vector ${i}`, verdict !== NEITHER);
    }
  }
  return accepted;
}

const { active, next } = suites.EdDSA;
const publicJwk = active.jwk;

/** Key sets that a verifier must refuse. */
const BAD_SETS = {
  "no keys": { keys: [] }, "no list": {}, "null": null, "an array": [publicJwk], "a private key": { keys: [KEYS.keys[0]] }, "a private and a public key": { keys: [publicJwk, { ...next.jwk, d: KEYS.keys[1].d }] },
  "the same key twice": { keys: [publicJwk, publicJwk] }, "a key under another's id": { keys: [{ ...publicJwk, kid: next.jwk.kid }] }, "no id": { keys: [{ ...publicJwk, kid: undefined }] },
  "31 bytes": { keys: [{ ...publicJwk, x: publicJwk.x.slice(1) }] }, "33 bytes": { keys: [{ ...publicJwk, x: `A${publicJwk.x}` }] }, "padding": { keys: [{ ...publicJwk, x: `${publicJwk.x}=` }] },
  "for encryption": { keys: [{ ...publicJwk, use: "enc" }] }, "not for verifying": { keys: [{ ...publicJwk, key_ops: ["sign"] }] }, "Ed448": { keys: [{ ...publicJwk, crv: "Ed448" }] }, "RSA": { keys: [{ kty: "RSA", n: "AQAB", e: "AQAB", kid: "x" }] },
  "a secret key of HMAC": { keys: [{ kty: "oct", k: "AAAA", kid: "x" }] }, "another algorithm": { keys: [{ ...publicJwk, alg: "HS256" }] }, "all zeros": { keys: [{ ...publicJwk, x: "A".repeat(43) }] },
  "a number": { keys: [{ ...publicJwk, x: 7 }] }, "other bits at the end": { keys: [{ ...publicJwk, x: `${publicJwk.x.slice(0, -1)}${String.fromCharCode(publicJwk.x.charCodeAt(42) + 1)}` }] },
};

export const signature = [
  {
    id: "E1",
    title: "A token has one of the invalid signatures of Project Wycheproof.",
    defence: "The verification agrees with all 151 vectors.",
    on: {
      async *worker(testbed) {
        const list = read("wycheproof_ed25519_test.json").testGroups.flatMap(({ publicKey, tests }) => tests.map(({ msg, sig, result }) => ({ key: publicKey.pk, message: msg, signature: sig, result })));
        yield* vectors(testbed, list, (i) => list[i].result === "valid");
      },
    },
  },
  {
    id: "E2",
    title: "Signatures and keys have components of low order, or other irregular points (C2SP's vectors).",
    defence: "Of 914 vectors, exactly the 43 of the strict profile are accepted.",
    on: {
      ...fromRows("E2"),
      async *worker(testbed) {
        const list = read("cctv_ed25519vectors.json").map(({ key, msg, sig, flags }) => ({ key, message: Buffer.from(msg).toString("hex"), signature: sig, flags }));
        const harmless = ["low_order_component_A", "low_order_component_R"];
        yield* vectors(testbed, list, (i) => (list[i].flags ?? []).every((flag) => harmless.includes(flag)));
      },
    },
  },
  { id: "E3", title: "A token has another signature: S plus the group's order, irregular points, other lengths.", defence: "Verification is strict: S is reduced, and every point has its canonical encoding and is not of small order.", on: fromRows("E3") },
  {
    id: "E4",
    title: "A key set has a private key, two keys with the same id, or keys of another kind or length.",
    defence: "The whole set is refused. In the Worker, an invalid SESSION_KEYS is 500 misconfigured.",
    on: {
      async *node() {
        const { createVerifier } = await import("../../pkg/index.mjs");
        for (const [name, jwks] of Object.entries(BAD_SETS)) {
          yield await createVerifier({ issuer: ISSUER, audience: AUDIENCE, jwks }).then(
            () => attempt(name, true),
            (error) => attempt(name, inspect(error).includes(KEYS.keys[0].d), ["invalid_options", "keys_unavailable"].includes(error.code) || error instanceof TypeError ? "" : String(error)),
          );
        }
        yield control("a sound set", await createVerifier({ issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [publicJwk, next.jwk] } }).then(() => true, () => false));
      },
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        const [one, two] = KEYS.keys;
        const sets = {
          "no keys": { keys: [] }, "a public key": { keys: [{ ...one, d: undefined }] }, "two active keys": { keys: [one, { ...two, state: "active" }] }, "no active key": { keys: [two] }, "the same key twice": { keys: [one, { ...one, state: "next" }] },
          "the private half of another key": { keys: [{ ...one, d: two.d }] }, "a seed of 31 bytes": { keys: [{ ...one, d: one.d.slice(2) }] }, "a seed of 33 bytes": { keys: [{ ...one, d: `${one.d}AA` }] }, "an id that is not the thumbprint": { keys: [{ ...one, kid: "x" }] },
          "Ed448": { keys: [{ ...one, crv: "Ed448" }] }, "another state": { keys: [{ ...one, state: "on" }] }, "a key of small order": { keys: [{ ...one, x: "A".repeat(43) }] }, "a text": "x", "duplicate names": `{"keys":[${JSON.stringify(one)}],"keys":[${JSON.stringify(one)}]}`,
        };
        for (const [name, set] of Object.entries(sets)) {
          const text = typeof set === "string" ? set : JSON.stringify(set);
          yield worker.refuses(name, () => worker.call("/.well-known/jwks.json", { overrides: { bindings: { SESSION_KEYS: text } } }), 500, "misconfigured");
        }
        const jwks = await (await worker.call("/.well-known/jwks.json")).json();
        yield attempt("the public key set has a private member", jwks.keys.some((key) => "d" in key || "state" in key));
        yield control("the sound set is served", jwks.keys.length === 2);
      },
    },
  },
  {
    id: "E5",
    title: "Signing is not deterministic, or a failure while signing reveals the key.",
    defence: "Ed25519 signs without randomness, in WebCrypto, with a key that cannot be exported; errors do not contain the key.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        const { refreshToken } = await worker.session();
        const texts = [];
        for (let i = 0; i < 5; i++) texts.push((await (await worker.refresh(refreshToken)).json()).sessionToken);
        yield control("a refresh that is repeated is answered", typeof texts[0] === "string");
        for (const text of texts.slice(1)) yield attempt("the same claims get another signature", text !== texts[0]);
        const before = worker.logs.length;
        const response = await worker.signIn("token-alice", { overrides: { signing: "fails" } });
        const shown = `${await response.text()} ${worker.logs.slice(before).join("\n")}`;
        yield attempt("a failure while signing shows the key, or is a sign-in", response.ok || KEYS.keys.some(({ d }) => shown.includes(d) || shown.includes(Buffer.from(d, "base64url").toString("hex"))));
      },
    },
  },
];
