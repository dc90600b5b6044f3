// Fuzzes the verifier of the built npm package, in this process. A bad token must cause a
// SessionError and nothing else; a token must be accepted if, and only if, the grammar made it
// valid.

import { generateKeyPairSync } from "node:crypto";
import { newKey } from "../../pkg/cli/keys.mjs";
import { SessionError, createVerifier } from "../../pkg/index.mjs";
import { Random, Tokens, spoil, value } from "./grammar.mjs";

const ISSUER = "https://session.example.com";
const AUDIENCE = "example-app";
const CODES = ["token_malformed", "token_too_long", "unknown_key", "bad_signature", "invalid_claims", "wrong_issuer", "wrong_audience", "not_yet_valid", "expired"];
const KEYS_EVERY = 500; // tokens for each key set
const SHOWN = 20;

const publicJwk = ({ kty, crv, x, kid }) => ({ kty, crv, x, kid, alg: "EdDSA", use: "sig" });

/** A key set, spoiled in some way; a few are still valid. */
function keySet(random, key) {
  const text = JSON.stringify({ keys: [publicJwk(key)] });
  const spoiled = random.once(3) ? text.replace(/"[A-Za-z0-9_-]*"/g, (string) => (random.once(6) ? value(random).text : string)) : spoil(random, text);
  try {
    return JSON.parse(spoiled);
  } catch {
    return { keys: [publicJwk(key), { ...publicJwk(key), [random.pick(["kid", "x", "kty", "crv", "d", "alg", "use", "key_ops"])]: random.pick([null, 1, "", [], "x", key.kid, key.d]) }] };
  }
}

/** Tries `count` inputs. Returns the number of each verdict, and every trap and wrong verdict. */
export async function fuzzPackage({ count, seed }) {
  const random = new Random(seed);
  const [key, otherKey] = [newKey(), generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" })];
  const tokens = new Tokens({ random, key, otherKey, issuer: ISSUER, audience: AUDIENCE });
  const options = { issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [publicJwk(key)] } };
  const verifiers = [await createVerifier(options), await createVerifier({ ...options, cache: { max: 1000 } })];
  const [verdicts, traps, wrong] = [{}, [], []];
  const note = (verdict) => (verdicts[verdict] = (verdicts[verdict] ?? 0) + 1);
  const began = performance.now();
  for (let i = 0; i < count; i++) {
    if (i % KEYS_EVERY === 0) {
      try {
        await createVerifier({ ...options, jwks: keySet(random, key) });
        note("keys accepted");
      } catch (error) {
        if (error instanceof SessionError && error.code === "invalid_options") note("keys refused");
        else traps.push(`keys: ${error}`);
      }
      continue;
    }
    const { token, isGood, says } = tokens.next();
    const verifier = verifiers[i % 2];
    try {
      const session = verifier.verify(token);
      note("accepted");
      const isSaid = !says || says.every(([, text, isBad]) => !isBad && JSON.parse(text) !== undefined);
      if (!isGood || !isSaid || session.claims.iss !== ISSUER) wrong.push(`accepted: ${JSON.stringify(token)}`);
    } catch (error) {
      if (!(error instanceof SessionError) || !CODES.includes(error.code)) traps.push(`${error}: ${JSON.stringify(token)}`);
      else if (isGood) wrong.push(`${error.code}: ${JSON.stringify(token)}`);
      note(error?.code ?? "trap");
    }
  }
  const seconds = (performance.now() - began) / 1000;
  // It still works.
  for (const verifier of verifiers) verifier.verify(tokens.good());
  return { inputs: count, verdicts, traps: traps.length, wrong: wrong.length, shown: [...traps, ...wrong].slice(0, SHOWN), seconds };
}
