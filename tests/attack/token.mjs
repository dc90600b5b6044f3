// Attacks on the form of a session token.

import { readFeed } from "../support/feed.mjs";
import { makeTokens } from "../differential/cases.mjs";
import { attempt, control } from "./runner.mjs";
import { fromRows } from "./differential-tokens.mjs";
import { ALICE, AUDIENCE, ISSUER, attacker, goodToken, mint, now, suites } from "./testbed.mjs";

const entry = (id, title, defence, more = {}) => ({ id, title, defence, on: { ...fromRows(id), ...more } });

/** Runs one attack's tries after another's. */
const both = (...parts) => async function* joined(testbed) {
  for (const part of parts) yield* part(testbed);
};

/** Passes tokens to the package that are not strings. */
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

/** Presents the public documents and the other tokens of the issuer as sessions. */
async function* otherTokens(testbed) {
  const worker = await testbed.worker;
  const { refreshToken, sessionToken } = await worker.session();
  const { token: feed } = readFeed(await (await worker.call("/revocations")).arrayBuffer());
  const jwks = await (await worker.call("/.well-known/jwks.json")).text();
  for (const [name, token] of Object.entries({ "the refresh token": refreshToken, "the feed": feed, "the key set": jwks.replace(/\s/g, ""), "the backend credential": testbed.credential, "an access token": "token-alice", "the Server API Key": testbed.piApiKey })) {
    yield worker.refuses(`${name} as a session`, () => worker.call("/session", { token }), [400, 401], ["session_invalid", "ambiguous_credentials"]);
  }
  yield control("the session token itself", (await worker.call("/session", { token: sessionToken })).status === 200);
}

export const token = [
  entry("T1", "A token has no signature, or names the algorithm none.", "The header must equal, byte for byte, one of a known key's two: with the algorithm EdDSA, or with its newer name Ed25519."),
  entry("T2", "A token is signed by HMAC with the public key as its secret.", "Ed25519 signatures are the only ones, by the names EdDSA and Ed25519; the header is compared byte for byte."),
  entry("T3", "A token's header names another algorithm than its key has.", "The header must equal, byte for byte, one of a known key's two: with the algorithm EdDSA, or with its newer name Ed25519."),
  entry("T4", "A token has a key id that is missing, unknown, malformed, retired, or another key's.", "The exact header selects the key. An unknown key is refused, and causes at most one fetch of keys every 30 seconds."),
  entry("T5", "A token contains its own key, or the address of one.", "A header with jwk, jku, x5c or any other member is refused, and nothing is fetched."),
  entry("T6", "A token uses critical extensions or an unencoded payload.", "A header with crit or b64 is refused."),
  entry("T7", "A token of another type, such as the revocation feed, is presented as a session.", "The type is part of the exact header, and each type has its own claims.", { worker: both(fromRows("T7").worker, otherTokens) }),
  entry("T8", "A token has duplicate names, so that two parsers read two different users.", "Duplicate names are refused at every depth, even if one is written with an escape."),
  entry("T9", "A valid token is spelled in another way, to evade a list or a cache.", "Base64url is decoded strictly: each token has one spelling, unused bits included."),
  entry("T10", "A text contains a token among other things: more or fewer segments, quotes, several tokens.", "A token is exactly three segments, with nothing around them."),
  entry("T11", "A token is so large that reading it takes long.", "A token longer than 4,096 bytes is refused before it is read."),
  entry("T12", "A token is nested so deeply that reading it overflows the stack.", "Size and depth are limited; no recursion is unbounded."),
  entry("T13", "A payload is not a JSON object, or has something after it.", "JSON is parsed strictly: one object and nothing else."),
  entry("T14", "A token contains invalid UTF-8, half a surrogate pair, NUL, or a claim named like a prototype.", "Invalid text is refused; uids have a fixed alphabet; claims have no prototype."),
  entry("T15", "A header says the same thing in another spelling.", "The header is compared byte for byte, so each token has one spelling."),
  {
    id: "T16",
    title: "A token is not a string: an object that converts to one, or that changes between two reads.",
    defence: "Anything but a string is a TypeError. The package reads options once.",
    on: { node: notStrings },
  },
];
