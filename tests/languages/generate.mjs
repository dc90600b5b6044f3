// Writes pkg/conformance.json: tokens and feeds with their verdicts, for verifiers in any language.
//
// It makes new keys, signs everything once and keeps no private key. So nobody can sign with the
// published keys, and each run writes other tokens: run it only to change the cases.

import { generateKeyPairSync, createHash, createHmac, sign } from "node:crypto";
import { writeFileSync } from "node:fs";
import { root } from "../../scripts/paths.mjs";

const settings = { issuer: "https://session.example.com", audience: "example-app", now: 1_800_000_000, clockTolerance: 5 };
const { issuer, audience, now } = settings;
const SESSION = "pi-session+jwt";
const FEED = "pi-revocations+jwt";
const ALICE = "a11ce000-0000-4000-8000-000000000001";
const BOB = "b0b00000-0000-4000-8000-000000000002";
const REVOKED = "cmV2b2tlZC1zZXNzaW9u";
const SHORT = "short";
const WITH_HIGH_BIT = "session-__--__--__--";
const WITH_LINE_FEED = Buffer.from("line\nfeed").toString("base64url");
/** No token of the named sessions was issued later. */
const LAST_IAT = now - 150;

const base64url = (value) => Buffer.from(value).toString("base64url");
const text = (value) => (typeof value === "string" || Buffer.isBuffer(value) ? value : JSON.stringify(value));

function newKey() {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const { kty, crv, x } = publicKey.export({ format: "jwk" });
  const kid = createHash("sha256").update(JSON.stringify({ crv, kty, x })).digest("base64url");
  return { jwk: { kty, crv, x, kid, alg: "EdDSA", use: "sig" }, sign: (bytes) => sign(null, bytes, privateKey) };
}
const [active, next, withdrawn, attacker] = Array.from({ length: 4 }, newKey);

/** A member that is `undefined` is left out. */
const headerOf = (key, members = {}) => ({ alg: "EdDSA", kid: key.jwk.kid, typ: SESSION, ...members });
let tokens = 0;
const claimsOf = (members = {}) => ({
  iss: issuer, aud: audience, sub: ALICE, sid: "c2Vzc2lvbi1vZi1hbGljZQ", iat: now - 300, exp: now + 600, auth_time: now - 900,
  jti: `dG9rZW4t${String(++tokens).padStart(3, "0")}`, scope: "username payments", preferred_username: "alice_pioneer", app_bound: true, ...members,
});

/** Signs two encoded parts. */
const seal = (header, payload, key = active) => {
  const signed = `${header}.${payload}`;
  return `${signed}.${base64url(key.sign(Buffer.from(signed)))}`;
};
const token = (header, payload, key) => seal(base64url(text(header)), base64url(text(payload)), key);
const withClaims = (members, key = active) => token(headerOf(key), claimsOf(members), key);
/** The newer name of EdDSA (RFC 9864). The keys say EdDSA, and a verifier accepts both names. */
const RENAMED = { alg: "Ed25519" };
const withHeader = (members, key = active, signer = key) => token(headerOf(key, members), claimsOf(), signer);
const withPayload = (payload) => token(headerOf(active), payload, active);
/** A good token with a changed signature. */
const withSignature = (change) => withClaims().replace(/[^.]+$/, change);
/** The claims as JSON with more text before the last brace. */
const withMore = (more, members) => `${JSON.stringify(claimsOf(members)).slice(0, -1)},${more}}`;

/** The order of the group of Ed25519's base point, little-endian (RFC 8032 §5.1). */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
/** The same signature with the order added to S, which RFC 8032 §5.1.7 refuses. */
function withOrderAdded(signature) {
  const bytes = Buffer.from(signature, "base64url");
  let s = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString("hex")}`) + ORDER;
  for (let i = 32; i < 64; i++, s >>= 8n) bytes[i] = Number(s & 255n);
  return bytes.toString("base64url");
}
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** Sets an unused bit of the last character. */
const withStrayBit = (segment) => segment.slice(0, -1) + ALPHABET[ALPHABET.indexOf(segment.at(-1)) | 1];
/** A payload whose length leaves unused bits in base64url. */
const uneven = () => {
  const json = JSON.stringify(claimsOf());
  return `${json}${" ".repeat((4 - (json.length % 3)) % 3)}`;
};
const changed = (signature) => (signature[0] === "A" ? "B" : "A") + signature.slice(1);
const hs256 = () => token(headerOf(active, { alg: "HS256" }), claimsOf(), {
  sign: (bytes) => createHmac("sha256", Buffer.from(active.jwk.x, "base64url")).update(bytes).digest(),
});

/** The last 8 of the 9 bytes that the last 12 characters of a session id encode. */
const fingerprint = (sid) => Buffer.from(sid.slice(-12).padStart(12, "A"), "base64url").subarray(1);
const NAMES = Buffer.concat([REVOKED, SHORT, WITH_HIGH_BIT, WITH_LINE_FEED].map(fingerprint));
const digest = (names) => createHash("sha256").update(names).digest("base64url");
const feedClaims = (members = {}) => ({
  iss: issuer, aud: audience, iat: now - 10, exp: now + 290, epoch: now - 2000, users: { [BOB]: now - 100 },
  from: 0, to: (now - 20) * 1000, last_iat: LAST_IAT, last_exp: now + 600, sids_sha256: digest(NAMES), ...members,
});
const feedToken = (members, { key = active, signer = key, ...header } = {}) => token(headerOf(key, { typ: FEED, ...header }), feedClaims(members), signer);
/** A document of the feed: a token, a line feed, and fingerprints. */
const document = (token, names = NAMES) => Buffer.concat([Buffer.from(`${token}\n`), names]);
const feed = (members, options) => document(feedToken(members, options));
/** A feed with these bytes after the line feed, whose digest is signed. */
const feedOf = (names, members = {}) => document(feedToken({ sids_sha256: digest(names), ...members }), names);
const NONE = Buffer.alloc(0);

const cases = {
  valid: [
    ["A session token.", withClaims()],
    ["A token of the issuer's other key.", withClaims({}, next)],
    ["The algorithm by its newer name, Ed25519 (RFC 9864).", withHeader(RENAMED)],
    ["A token of the issuer's other key, with the algorithm's newer name.", withHeader(RENAMED, next)],
    ["A token with unknown claims.", withClaims({ role: "admin", list: [1, 2.5, null], deep: { a: { b: true } } })],
    ["A token without the optional claims.", withClaims({ preferred_username: undefined, app_bound: undefined })],
    ["A token without scopes.", withClaims({ scope: "" })],
    ["A payload with line breaks, and with its members in another order.", withPayload(JSON.stringify(Object.fromEntries(Object.entries(claimsOf()).reverse()), null, 2))],
    ["A username that is not ASCII.", withClaims({ preferred_username: "ålice_π" })],
    ["Expired within the clock tolerance.", withClaims({ exp: now - 4 })],
    ["Issued in the future, within the clock tolerance.", withClaims({ iat: now + 5 })],
    ["A lifetime of exactly one hour.", withClaims({ iat: now - 60, exp: now + 3540 })],
    ["A not-before time that has passed.", withClaims({ nbf: now - 30 })],
    ["A user of the feed, issued at the moment of the revocation.", withClaims({ sub: BOB, sid: "c2Vzc2lvbi1vZi1ib2I", iat: now - 100 })],
    ["Issued at the feed's epoch.", withClaims({ iat: now - 2000 })],
    ["A session with the fingerprint of a revoked one, issued after all tokens of the sessions that the feed names.", withClaims({ sid: REVOKED, iat: LAST_IAT + 1 })],
    ["A fingerprint that differs from that of a revoked session in its last bit.", withClaims({ sid: `${REVOKED.slice(0, -1)}v` })],
    ["A session id that ends in a revoked one of fewer than 12 characters.", withClaims({ sid: `session-${SHORT}` })],
  ],
  revoked: [
    ["The feed names the session.", withClaims({ sid: REVOKED })],
    ["The feed names the session, in a token with the algorithm's newer name.", token(headerOf(active, RENAMED), claimsOf({ sid: REVOKED }))],
    ["The feed names the session, issued at the feed's last time of issue.", withClaims({ sid: REVOKED, iat: LAST_IAT })],
    ["The feed names a session whose id has fewer than 12 characters.", withClaims({ sid: SHORT })],
    ["The feed names a session whose fingerprint begins with the bit 1.", withClaims({ sid: WITH_HIGH_BIT })],
    ["The feed names a session whose fingerprint contains the byte of a line feed.", withClaims({ sid: WITH_LINE_FEED })],
    ["A session with the fingerprint of a revoked one: its last 12 characters differ only in their first 8 bits.", withClaims({ sid: `session-of-alice-xy${REVOKED.slice(-10)}` })],
    ["Issued before all sessions of the user were revoked.", withClaims({ sub: BOB, sid: "c2Vzc2lvbi1vZi1ib2I", iat: now - 101 })],
    ["Issued before the feed's epoch.", withClaims({ iat: now - 2001 })],
  ],
  token_malformed: [
    ["An empty text.", ""],
    ["Two parts.", withClaims().split(".").slice(0, 2).join(".")],
    ["No signature.", `${withClaims().split(".").slice(0, 2).join(".")}.`],
    ["A fourth part.", `${withClaims()}.AAAA`],
    ["Padding after the signature.", `${withClaims()}==`],
    ["A space after the token.", `${withClaims()} `],
    ["A line break after the token.", `${withClaims()}\n`],
    ["Another spelling of the signature: its unused last bits are not zero.", withSignature(withStrayBit)],
  ],
  token_too_long: [["A token of more than 4,096 bytes.", withClaims({ extra: "x".repeat(3_000) })]],
  unknown_key: [
    ["A key that the issuer has withdrawn.", withClaims({}, withdrawn)],
    ["A key that the issuer has withdrawn, with the algorithm's newer name.", withHeader(RENAMED, withdrawn)],
    ["An attacker's key, which the header brings.", withHeader({ jwk: attacker.jwk }, attacker)],
    ["No key id.", withHeader({ kid: undefined })],
    ["Another type, JWT.", withHeader({ typ: "JWT" })],
    ["No type.", withHeader({ typ: undefined })],
    ["The token of the issuer's revocation feed, used as a session token.", token(headerOf(active, { typ: FEED }), feedClaims())],
    ["The algorithm none, with a good signature.", withHeader({ alg: "none" })],
    ["The algorithm HS256 in the header of a token with an Ed25519 signature.", withHeader({ alg: "HS256" })],
    ["The algorithm ES256 in the header of a token with an Ed25519 signature.", withHeader({ alg: "ES256" })],
    ["The algorithm Ed448.", withHeader({ alg: "Ed448" })],
    ["The algorithm's newer name in lower case.", withHeader({ alg: "ed25519" })],
    ["The algorithm's newer name in upper case.", withHeader({ alg: "ED25519" })],
    ["The algorithm's older name in lower case.", withHeader({ alg: "eddsa" })],
    ["Both names of the algorithm in a list.", withHeader({ alg: ["EdDSA", "Ed25519"] })],
    ["Both names of the algorithm in duplicate members.", token(text(headerOf(active)).replace("{", '{"alg":"Ed25519",'), claimsOf())],
    ["A critical extension.", withHeader({ crit: ["exp"] })],
    ["A critical extension beside the algorithm's newer name.", withHeader({ ...RENAMED, crit: ["exp"] })],
    ["A header with the same members in another order.", token({ typ: SESSION, alg: "EdDSA", kid: active.jwk.kid }, claimsOf())],
    ["The algorithm's newer name, with the members in another order.", token({ typ: SESSION, alg: "Ed25519", kid: active.jwk.kid }, claimsOf())],
    ["The algorithm's newer name, with a space after a comma.", token(text(headerOf(active, RENAMED)).replace(",", ", "), claimsOf())],
    ["The type JWT beside the algorithm's newer name.", withHeader({ ...RENAMED, typ: "JWT" })],
    ["The token of a revocation feed with the algorithm's newer name, used as a session token.", token(headerOf(active, { ...RENAMED, typ: FEED }), feedClaims())],
  ],
  bad_signature: [
    ["An attacker's signature under the issuer's key id.", withHeader({}, active, attacker)],
    ["An attacker's signature under the issuer's key id and the algorithm's newer name.", withHeader(RENAMED, active, attacker)],
    ["The signature of the issuer's other key.", withHeader({}, active, next)],
    ["The algorithm's newer name in a header that was signed with the older one.", withClaims().replace(/^[^.]+/, base64url(text(headerOf(active, RENAMED))))],
    ["One changed character in the signature.", withSignature(changed)],
    ["Another user's id in a signed token.", withClaims().split(".").with(1, base64url(text(claimsOf({ sub: BOB })))).join(".")],
    ["A signature of zeros.", withSignature(() => "A".repeat(86))],
    ["A signature with the group's order added to S.", withSignature(withOrderAdded)],
  ],
  wrong_issuer: [
    ["Another issuer.", withClaims({ iss: "https://session.attacker.example" })],
    ["The issuer with a slash at its end.", withClaims({ iss: `${issuer}/` })],
  ],
  wrong_audience: [
    ["Another audience.", withClaims({ aud: "another-app" })],
    ["The audience in upper case.", withClaims({ aud: audience.toUpperCase() })],
  ],
  expired: [
    ["Expired exactly at the end of the clock tolerance.", withClaims({ exp: now - 5 })],
    ["Expired an hour ago.", withClaims({ iat: now - 4200, exp: now - 3600 })],
  ],
  not_yet_valid: [
    ["Issued in the future, past the clock tolerance.", withClaims({ iat: now + 6 })],
    ["A not-before time past the clock tolerance.", withClaims({ nbf: now + 6 })],
  ],
  invalid_claims: [
    ["A lifetime of more than one hour.", withClaims({ iat: now - 60, exp: now + 3541 })],
    ["No lifetime.", withClaims({ iat: now, exp: now })],
    ["No expiry.", withClaims({ exp: undefined })],
    ["The expiry as a string.", withClaims({ exp: String(now + 600) })],
    ["No time of issue.", withClaims({ iat: undefined })],
    ["A not-before time of null.", withClaims({ nbf: null })],
    ["The audience as a list.", withClaims({ aud: [audience] })],
    ["No subject.", withClaims({ sub: undefined })],
    ["A subject with a line break at its end.", withClaims({ sub: `${ALICE}\n` })],
    ["A subject of 129 characters.", withClaims({ sub: "a".repeat(129) })],
    ["The subject as a number.", withClaims({ sub: 1 })],
    ["No session id.", withClaims({ sid: undefined })],
    ["No time of sign-in.", withClaims({ auth_time: undefined })],
    ["No token id.", withClaims({ jti: undefined })],
    ["No scope.", withClaims({ scope: undefined })],
    ["The username as a number.", withClaims({ preferred_username: 1 })],
    ["The confirmation by Pi as a string.", withClaims({ app_bound: "false" })],
    ["A list as the payload.", withPayload([claimsOf()])],
    ["Another character after the payload's object.", withPayload(`${JSON.stringify(claimsOf())}x`)],
  ],
};

const OPTIONAL = [
  ["invalid_claims", "Duplicate subjects.", withPayload(withMore('"sub":"ca401000-0000-4000-8000-000000000003"'))],
  ["invalid_claims", "Duplicate expiries, of which the last is good.", withPayload(withMore(`"exp":${now + 600}`, { exp: now - 600 }))],
  ["invalid_claims", "A username that is not UTF-8.", withPayload(Buffer.from(JSON.stringify(claimsOf({ preferred_username: "é" })), "latin1"))],
  ["token_malformed", "Another spelling of the payload: its unused last bits are not zero.", seal(base64url(text(headerOf(active))), withStrayBit(base64url(uneven())))],
];

const feeds = [
  ["valid", "The feed for the tokens of this file.", feed()],
  ["valid", "A feed of an issuer that has revoked nothing.", feedOf(NONE, { epoch: 0, users: {}, to: 0, last_iat: 0, last_exp: 0 })],
  ["valid", "A feed that the issuer's other key has signed.", feed({}, { key: next })],
  ["valid", "A feed with the algorithm's newer name, Ed25519 (RFC 9864).", feed({}, RENAMED)],
  ["valid", "A feed with an unknown claim.", feed({ more: [1, "x"] })],
  ["valid", "A feed from the future, within the 30 seconds that a feed may be ahead.", feed({ iat: now + 30, exp: now + 330 })],
  ["token_malformed", "An empty document.", NONE],
  ["token_malformed", "A token without a line feed.", Buffer.from(feedToken({ sids_sha256: digest(NONE) }))],
  ["token_malformed", "A carriage return before the line feed.", document(`${feedToken()}\r`)],
  ["token_malformed", "A line feed before the token.", Buffer.concat([Buffer.from("\n"), feed()])],
  ["unknown_key", "A session token, used as a feed.", document(withClaims({ sids_sha256: digest(NONE) }), NONE)],
  ["unknown_key", "A feed of the type of a session token.", feed({}, { typ: SESSION })],
  ["unknown_key", "A feed of the type of a session token, with the algorithm's newer name.", feed({}, { ...RENAMED, typ: SESSION })],
  ["unknown_key", "A key that the issuer has withdrawn.", feed({}, { key: withdrawn })],
  ["unknown_key", "The algorithm Ed448.", feed({}, { alg: "Ed448" })],
  ["unknown_key", "The algorithm ES256.", feed({}, { alg: "ES256" })],
  ["unknown_key", "The algorithm's newer name in lower case.", feed({}, { alg: "ed25519" })],
  ["unknown_key", "The algorithm's newer name in upper case.", feed({}, { alg: "ED25519" })],
  ["unknown_key", "The algorithm's newer name, with the members in another order.", document(token({ typ: FEED, alg: "Ed25519", kid: active.jwk.kid }, feedClaims()))],
  ["bad_signature", "An attacker's signature under the issuer's key id.", feed({}, { signer: attacker })],
  ["bad_signature", "An attacker's signature under the issuer's key id and the algorithm's newer name.", feed({}, { ...RENAMED, signer: attacker })],
  ["wrong_issuer", "A feed of another issuer.", feed({ iss: "https://session.attacker.example" })],
  ["wrong_audience", "A feed for another audience.", feed({ aud: "another-app" })],
  ["expired", "A feed from ten minutes ago.", feed({ iat: now - 600, exp: now - 300 })],
  ["not_yet_valid", "A feed from the future, past those 30 seconds.", feed({ iat: now + 31, exp: now + 331 })],
  ["invalid_claims", "A lifetime of more than five minutes.", feed({ exp: now + 291 })],
  ["invalid_claims", "No lifetime.", feed({ iat: now, exp: now })],
  ["invalid_claims", "No epoch.", feed({ epoch: undefined })],
  ["invalid_claims", "No users.", feed({ users: undefined })],
  ["invalid_claims", "No number at which the window ends.", feed({ to: undefined })],
  ["invalid_claims", "No last time of issue.", feed({ last_iat: undefined })],
  ["invalid_claims", "No digest.", feed({ sids_sha256: undefined })],
  ["invalid_claims", "The fingerprints of other sessions.", document(feedToken(), Buffer.from(NAMES).fill(1))],
  ["invalid_claims", "The last fingerprint is missing.", document(feedToken(), NAMES.subarray(0, -8))],
  ["invalid_claims", "All fingerprints are missing.", document(feedToken(), NONE)],
  ["invalid_claims", "One more fingerprint.", document(feedToken(), Buffer.concat([NAMES, Buffer.alloc(8)]))],
  ["invalid_claims", "A part of a fingerprint at the end, with its digest.", feedOf(Buffer.concat([NAMES, Buffer.alloc(4)]))],
  ["invalid_claims", "A window that ends before it begins.", feed({ from: 2, to: 1 })],
  ["invalid_claims", "A window that begins at a negative number.", feed({ from: -1 })],
  ["window_missing", "The difference to an earlier feed, for a verifier that has none.", feedOf(NONE, { from: (now - 30) * 1000 })],
];

const file = {
  description:
    "Session tokens and revocation feeds with the verdict that a verifier must return for each. Verify them with these settings and keys, at the time `settings.now`, and with the first of `feeds` as the current feed. The private keys were deleted after signing.",
  schema: {
    settings: "The options of the verifier. `now` is the time in seconds since 1970, and `clockTolerance` is in seconds.",
    jwks: "The issuer's public keys (RFC 7517), as the Worker serves them at /.well-known/jwks.json.",
    "tokens[].verdict": "`valid`, or the error code of pioneer-session. A verifier must accept exactly the valid tokens; its error codes may be others.",
    "tokens[].optional": "`true` if only the issuer could make the token, which it never does, and many JSON or base64 libraries do not notice. A verifier should refuse it.",
    "feeds[].feed": "The answer of /revocations in base64 (RFC 4648 §4): a token, a line feed, and bytes.",
    "feeds[].verdict": "As for tokens, by a verifier that has no feed yet. A feed that is refused must not replace the last valid one.",
  },
  settings,
  jwks: { keys: [active.jwk, next.jwk] },
  tokens: [
    ...Object.entries(cases).flatMap(([verdict, rows]) => rows.map(([name, token]) => ({ name, verdict, token }))),
    ...OPTIONAL.map(([verdict, name, token]) => ({ name, verdict, optional: true, token })),
  ],
  feeds: feeds.map(([verdict, name, feed]) => ({ name, verdict, feed: feed.toString("base64") })),
};
writeFileSync(`${root}/pkg/conformance.json`, `${JSON.stringify(file, null, 1)}\n`);
console.log(`Wrote ${file.tokens.length} tokens and ${file.feeds.length} feeds to pkg/conformance.json.`);
