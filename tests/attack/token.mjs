// Attacks on the form of a session token.

import { makeTokens } from "../differential/cases.mjs";
import { attempt, control } from "./runner.mjs";
import { fromRows } from "./rows.mjs";
import { ALICE, AUDIENCE, ISSUER, attacker, goodToken, mint, now, suites } from "./world.mjs";

const entry = (id, title, defence, more = {}) => ({ id, title, defence, on: { ...fromRows(id), ...more } });

/** Runs one attack's tries after another's. */
const both = (...parts) => async function* joined(world) {
  for (const part of parts) yield* part(world);
};

/** What the package makes of a token that is no string. */
async function* notStrings() {
  const { createVerifier, verify } = await import("../../pkg/index.mjs");
  const options = { issuer: ISSUER, audience: AUDIENCE, jwks: suites.EdDSA.jwks };
  const verifier = await createVerifier(options);
  const good = goodToken();
  const odd = {
    "a String object": new String(good), "a Buffer": Buffer.from(good), "an array": [good], "an object with toString": { toString: () => good }, "an object with valueOf": { valueOf: () => good },
    "an object with Symbol.toPrimitive": { [Symbol.toPrimitive]: () => good }, "a Proxy": new Proxy({}, { get: () => () => good }), "a promise": Promise.resolve(good), "a number": 7, "null": null,
    "undefined": undefined, "true": true, "a symbol": Symbol("x"), "a function": () => good, "a typed array": new TextEncoder().encode(good),
  };
  for (const [name, token] of Object.entries(odd)) {
    for (const [how, action] of [["verifier.verify", async () => verifier.verify(token)], ["verify", () => verify(token, options)]]) {
      yield await action().then(() => attempt(`${name} to ${how}`, true), (error) => attempt(`${name} to ${how}`, false, error instanceof TypeError ? "" : String(error)));
    }
  }
  let reads = 0;
  const { jwks: forged } = makeTokens("EdDSA", now()).find(Boolean);
  const changing = { issuer: ISSUER, audience: AUDIENCE, get jwks() { return ++reads === 1 ? forged : { keys: [attacker.jwk] }; } };
  const made = await createVerifier(changing);
  yield attempt("a getter that returns the attacker's keys when it is read again", (() => {
    try {
      return made.verify(mint({}, { key: attacker }));
    } catch {
      return false;
    }
  })());
  yield control("with these options, a good token is accepted", made.verify(good).uid === ALICE);
}

/** The public documents and the other tokens of the issuer, presented as sessions. */
async function* otherTokens(world) {
  const worker = await world.worker;
  const { refreshToken, sessionToken } = await worker.session();
  const feed = await (await worker.call("/revocations")).text();
  const jwks = await (await worker.call("/.well-known/jwks.json")).text();
  for (const [name, token] of Object.entries({ "the refresh token": refreshToken, "the feed": feed, "the key set": jwks.replace(/\s/g, ""), "the backend credential": world.credential, "an access token": "token-alice", "the Server API Key": world.piApiKey })) {
    yield worker.refuses(`${name} as a session`, () => worker.call("/session", { token }), [400, 401], ["session_invalid", "ambiguous_credentials"]);
  }
  yield control("the session token itself", (await worker.call("/session", { token: sessionToken })).status === 200);
}

export const token = [
  entry("T1", "A token without a signature, or with the algorithm none.", "The header must be, byte for byte, that of a known key with EdDSA."),
  entry("T2", "A token signed by HMAC with the public key as its secret.", "Only EdDSA exists here; the header is compared byte for byte."),
  entry("T3", "A token whose header names another algorithm than its key has.", "The header must be, byte for byte, that of a known key with EdDSA."),
  entry("T4", "A token with another key id: missing, unknown, odd, retired, of another key.", "A key is found by the exact header. An unknown one is refused; it causes at most one fetch of keys every 30 seconds."),
  entry("T5", "A token that brings its own key, or the address of one.", "Headers with jwk, jku, x5c or any other member are refused, and nothing is fetched."),
  entry("T6", "A token with critical or unencoded-payload extensions.", "Headers with crit or b64 are refused."),
  entry("T7", "A token of another type, such as the revocation feed, presented as a session.", "The type is part of the exact header, and each type has its own claims.", { worker: both(fromRows("T7").worker, otherTokens) }),
  entry("T8", "A token with duplicate names, so that two readers see two users.", "Duplicate names are refused, at every depth, also if one is written with an escape."),
  entry("T9", "Another spelling of a good token, to get around a list or a cache.", "Strict base64url: one spelling only, unused bits included."),
  entry("T10", "A text that has a token in it: more or fewer segments, quotes, several tokens.", "Exactly three segments, and nothing around them."),
  entry("T11", "A token so large that reading it takes long.", "A token longer than 4,096 bytes is refused by its length alone."),
  entry("T12", "A token nested so deeply that reading it overflows the stack.", "The size limit and a depth limit; no recursion without a bound."),
  entry("T13", "A payload that is no JSON object, or JSON with additions.", "Strict JSON: one object and nothing else."),
  entry("T14", "Invalid UTF-8, half a surrogate pair, NUL, or a claim that is named like a prototype.", "Invalid text is refused; uids have a fixed alphabet; claims have no prototype."),
  entry("T15", "A header that says the same in another way.", "The header is compared byte for byte, so each token has one spelling."),
  {
    id: "T16",
    title: "A token that is no string: an object that becomes one, or changes between two reads.",
    defence: "Anything but a string is a TypeError. Options are read once.",
    on: { node: notStrings },
  },
];
