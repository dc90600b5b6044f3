// Fuzzes the package's wasm with windows of the revocation feed: valid ones in any order, again and
// again, and spoiled ones. A spoiled window must be refused and change nothing, and a session that
// was revoked once must stay revoked.

import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { newKey } from "../../pkg/cli/keys.mjs";
import * as glue from "../../pkg/wasm/pioneer_session_bg.js";
import { AUDIENCE, claims, feedOf, mint } from "../support/issuer.mjs";
import { Random } from "./grammar.mjs";

const ISSUER = "https://session.example.com";
const SESSIONS = 12;
const STEPS = 100; // with each verifier
const SHOWN = 20;
const REFUSED = ["token_malformed", "token_too_long", "unknown_key", "bad_signature", "invalid_claims", "wrong_issuer", "wrong_audience", "not_yet_valid", "expired"];

const { instance } = await WebAssembly.instantiate(readFileSync(new URL("../../pkg/wasm/pioneer_session_bg.wasm", import.meta.url)), { "./pioneer_session_bg.js": glue });
glue.__wbg_set_wasm(instance.exports);
instance.exports.__wbindgen_start();

/** Changes the bytes of a document. */
function spoil(random, document, other) {
  const at = random.int(document.length);
  const [before, after] = [document.subarray(0, at), document.subarray(at)];
  const split = (bytes) => [bytes.subarray(0, bytes.indexOf("\n")), bytes.subarray(bytes.indexOf("\n"))];
  switch (random.int(8)) {
    case 0: return before; // cut
    case 1: return Buffer.concat([before, after.subarray(1 + random.int(16))]);
    case 2: return Buffer.concat([before, Buffer.from([random.int(256)]), after]);
    case 3: return Buffer.concat([before, Buffer.from([after[0] ^ (1 << random.int(8))]), after.subarray(1)]);
    case 4: return Buffer.concat([document, document.subarray(-8 * (1 + random.int(2)))]); // repeats a name
    case 5: return Buffer.concat([split(document)[0], split(other)[1]]); // another window's names
    case 6: return Buffer.concat([document, other]);
    default: return Buffer.concat([after, before]);
  }
}

/** Tries `count` windows. Returns the number of each verdict, and every trap and wrong verdict. */
export function fuzzFeed({ count, seed }) {
  const random = new Random(seed);
  const [key, otherKey] = [newKey(), newKey()];
  const now = Math.floor(Date.now() / 1000);
  const sids = Array.from({ length: SESSIONS }, (_, number) => `session-of-number-${number}`.padEnd(24, "x"));
  const tokens = sids.map((sid) => Buffer.from(mint(claims(ISSUER, { sid, iat: now, exp: now + 600 }), { key })));
  /** A window between two numbers; session n has the number n + 1. */
  const window = (from, to, members, options) => feedOf({ iss: ISSUER, iat: now, from, to, sids: sids.slice(from, to), ...members }, { key, ...options });
  const numbers = sids.flatMap((_, from) => Array.from({ length: SESSIONS + 1 - from }, (_, more) => ({ from, to: from + more })));
  const windows = numbers.map(({ from, to }) => ({ from, to, document: window(from, to) }));
  const foreign = [
    window(0, SESSIONS, {}, { key: otherKey }), window(0, SESSIONS, {}, { signer: otherKey }), window(0, SESSIONS, { iss: "https://other.example" }), window(0, SESSIONS, { aud: "other" }),
    window(0, SESSIONS, { iat: now - 400, exp: now - 100 }), window(0, SESSIONS, { iat: now + 100, exp: now + 400 }), window(0, SESSIONS, { from: SESSIONS, to: 0 }), window(0, SESSIONS, { exp: now + 3600 }),
  ];
  const documents = new Set(windows.map(({ document }) => document.toString("latin1")));
  const [verdicts, traps, wrong] = [{}, [], []];
  const codes = glue.errorCodes();
  const began = performance.now();
  let [verifier, position, named] = [];

  const verdictOf = (token) => {
    new Uint8Array(instance.exports.memory.buffer).set(token, verifier.buffer());
    const length = verifier.verify(token.length, now);
    return length < 0 ? codes[-1 - length] : "accepted";
  };
  /** Whether exactly the named sessions are revoked. */
  const check = (number, shown) => {
    const verdict = verdictOf(tokens[number]);
    if (verdict !== (named.has(number) ? "revoked" : "accepted")) wrong.push(`session ${number} is ${verdict} after ${shown}`);
  };

  for (let i = 0; i < count; i++) {
    if (i % STEPS === 0) {
      verifier?.free();
      verifier = new glue.RawVerifier(ISSUER, AUDIENCE, 5, JSON.stringify({ keys: [{ kty: key.kty, crv: key.crv, x: key.x, kid: key.kid, alg: "EdDSA", use: "sig" }] }));
      [position, named] = [0, new Set()];
    }
    // Mostly windows that add one session at most, so that others stay unknown for a while.
    const near = windows.filter(({ from, to }) => from <= position && to <= position + 1);
    const { from, to, document } = random.pick(random.once(3) ? windows.filter((each) => each.from > position || each.from === 0) : near);
    const kind = random.int(4);
    let bytes = document;
    if (kind === 0) bytes = random.pick(foreign);
    else if (kind === 1) bytes = spoil(random, document, random.pick(windows).document);
    const shown = `${from} to ${to}: ${bytes.toString("base64")}`;
    let expected = [from <= position ? "added" : "window_missing"];
    if (bytes !== document) {
      // A piece of another window, which happens to be the rest of this one.
      if (documents.has(bytes.toString("latin1"))) continue;
      expected = REFUSED;
    }
    let verdict = "added";
    try {
      verifier.addRevocations(bytes, now);
      position = Math.max(position, to);
      for (let number = from; number < to; number++) named.add(number);
    } catch (error) {
      verdict = error.message;
      if (![...REFUSED, "window_missing"].includes(verdict)) traps.push(`${error} for ${shown}`);
    }
    verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
    if (!expected.includes(verdict)) wrong.push(`${verdict} for ${shown}`);
    if (verifier.position() !== position) wrong.push(`the position is ${verifier.position()}, not ${position}, after ${shown}`);
    check(random.int(SESSIONS), shown);
    if ((i + 1) % STEPS === 0) tokens.forEach((_, number) => check(number, shown));
  }
  const seconds = (performance.now() - began) / 1000;
  return { inputs: count, verdicts, traps: traps.length, wrong: wrong.length, shown: [...traps, ...wrong].slice(0, SHOWN), seconds };
}
