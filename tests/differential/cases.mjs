// The rows of the differential matrix: good tokens, and tokens that attack a verifier. Each row
// has the id of its attack and one of three kinds:
//
// - `must-accept`: the standards call the token good. A verifier that refuses it loses something.
// - `rfc`: a standard demands that the token is refused. The row names the clause.
// - `profile`: no standard demands it. Only the owner of the key can make the token, or it is
//   another spelling of a good one. pioneer-session refuses it nevertheless.
//
// A token with a wrong claim or header is signed with the right key, so that the signature does not
// decide. A forged token says so in its name.

import { createPrivateKey, createHmac, generateKeyPairSync, sign as signWith } from "node:crypto";
import * as curve from "./ed25519.mjs";
import { okpJwk, pem, spki, suites } from "./keys.mjs";

export const ISSUER = "https://session.example.com";
export const AUDIENCE = "example-app";
export const TYP = "pi-session+jwt";
/** The clock tolerance and the maximal age, in seconds, of every verifier that has the option. */
export const TOLERANCE = 5;
export const MAX_AGE = 3600;
/** The time, in seconds since 1970, for every verifier whose clock can be set. */
export const FIXED_NOW = 1_800_000_000;
/** The claims that a session token must have. */
export const REQUIRED = ["iss", "aud", "sub", "sid", "iat", "exp", "auth_time", "jti", "scope"];

const base64url = (value) => Buffer.from(value).toString("base64url");
const text = (value) => (typeof value === "string" || Buffer.isBuffer(value) ? value : JSON.stringify(value));

/** Makes tokens with the keys of one algorithm, at one time. */
class Maker {
  constructor(suite, now) {
    Object.assign(this, suite, { now });
  }

  /** Members that are `undefined` are removed. */
  header(members = {}) {
    return { alg: this.alg, kid: this.active.jwk.kid, typ: TYP, ...members };
  }

  claims(members = {}) {
    return {
      iss: ISSUER, aud: AUDIENCE, sub: "a11ce000-0000-4000-8000-000000000001", sid: "c2Vzc2lvbi1vbmU", iat: this.now - 300, exp: this.now + 600,
      auth_time: this.now - 300, jti: "c2Vzc2lvbi1vbmU-0", scope: "username payments", preferred_username: "alice_pioneer", app_bound: true, ...members,
    };
  }

  /** Signs two encoded parts. */
  seal(header, payload, key = this.active) {
    const signed = `${header}.${payload}`;
    return `${signed}.${base64url(key.sign(Buffer.from(signed)))}`;
  }

  /** Signs a header and a payload. Each is an object, or the exact text or bytes to encode. */
  token(header = this.header(), payload = this.claims(), key = this.active) {
    return this.seal(base64url(text(header)), base64url(text(payload)), key);
  }

  withHeader(members, key) {
    return this.token(this.header(members), this.claims(), key);
  }

  withClaims(members) {
    return this.token(this.header(), this.claims(members));
  }

  /** Writes one claim as this JSON text, even if the text is not valid. */
  withText(name, json) {
    const rest = JSON.stringify(this.claims({ [name]: undefined }));
    return this.token(this.header(), `${rest.slice(0, -1)},${JSON.stringify(name)}:${json}}`);
  }

  /** The parts of a good token that satisfies the condition. */
  parts(condition = () => true) {
    for (let i = 0; ; i++) {
      const [header, payload, signature] = this.withClaims({ jti: `c2Vzc2lvbi1vbmU-${i}` }).split(".");
      if (condition({ header, payload, signature })) return { header, payload, signature };
    }
  }

  /** A good token with a changed signature segment. */
  withSignature(change, condition) {
    const { header, payload, signature } = this.parts(condition);
    return `${header}.${payload}.${change(signature)}`;
  }

  unsigned(header) {
    return `${base64url(text(header))}.${base64url(text(this.claims()))}.`;
  }

  hmac(secret) {
    return this.token(this.header({ alg: "HS256" }), this.claims(), { sign: (bytes) => createHmac("sha256", secret).update(bytes).digest() });
  }
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Sets an unused bit of the last character. A signature of 64 bytes leaves four of them. */
const withStrayBits = (segment) => segment.slice(0, -1) + ALPHABET[ALPHABET.indexOf(segment.at(-1)) | 1];

const nested = (depth) => "[".repeat(depth) + "]".repeat(depth);

const RSA = { sign: (bytes) => signWith("sha256", bytes, generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey) };
const PKCS8_ED448 = Buffer.from("3047020100300506032b6571043b0439", "hex"); // RFC 8410 §7, before the seed
const ED448 = { sign: (bytes) => signWith(null, bytes, createPrivateKey({ key: Buffer.concat([PKCS8_ED448, Buffer.alloc(57, 7)]), format: "der", type: "pkcs8" })) };

// Rows.

const good = (id, name, token, more) => ({ id, name, kind: "must-accept", token, ...more });
const rfc = (id, name, rule, token, more) => ({ id, name, kind: "rfc", rule, token, ...more });
const profile = (id, name, token, more) => ({ id, name, kind: "profile", token, ...more });

/** Exact to the second, so only for verifiers whose clock can be set. */
const EDGE = { edge: true };
/** pioneer-session refuses this good token by design: it accepts one spelling only. */
const LOST = { lost: true };
/** About Ed25519 itself, so not for a verifier without EdDSA. */
const CURVE = { only: "OKP" };

const plain = [
  good("G1", "A plain session token.", (m) => m.token(), { key: "good" }),
  good("G1", "A plain session token of the issuer's other key.", (m) => m.withHeader({ kid: m.next.jwk.kid }, m.next), { key: "otherKey" }),
  good("G2", "A token with unknown claims.", (m) => m.withClaims({ role: "admin", list: [1, 2.5, null], deep: { a: { b: true } } })),
  good("G3", "A token without the optional claims.", (m) => m.withClaims({ preferred_username: undefined, app_bound: undefined })),
  good("G4", "A payload with line breaks and with its members in reverse order.", (m) => m.token(m.header(), JSON.stringify(Object.fromEntries(Object.entries(m.claims()).reverse()), null, 2))),
  good("G5", "A claim with escaped characters.", (m) => m.withText("sub", '"a11ce\\u0030\\u0030\\u0030-one"')),
  good("G6", "A user name beyond ASCII.", (m) => m.withClaims({ preferred_username: "ålice_π" })),
  good("G7", "A not-before time that has passed.", (m) => m.withClaims({ nbf: m.now - 30 })),
  good("T15", "The members of the header in another order.", (m) => m.token({ typ: TYP, alg: m.alg, kid: m.active.jwk.kid }), LOST),
  good("T15", "A header with spaces between its members.", (m) => m.token(JSON.stringify(m.header(), null, 1)), LOST),
  good("T15", "A header with one more harmless member, cty.", (m) => m.withHeader({ cty: "JWT" }), LOST),
  good("T7", "The type with application/ before it, which RFC 7515 §4.1.9 calls equal.", (m) => m.withHeader({ typ: `application/${TYP}` }), LOST),
  good("T7", "The type in upper case, because media types ignore case.", (m) => m.withHeader({ typ: TYP.toUpperCase() }), LOST),
  good("T14", "A claim with the name __proto__ that says nothing.", (m) => m.withText("__proto__", '{"note":1}')),
  good("C1", "Times with a fraction, as RFC 7519 §2 allows.", (m) => m.withClaims({ iat: m.now - 300.5, exp: m.now + 600.5 }), LOST),
  good("C4", "The audience as an array of one, the general form of RFC 7519 §4.1.3.", (m) => m.withClaims({ aud: [AUDIENCE] }), LOST),
  good("C7", "Expired four seconds ago, within the tolerance of five.", (m) => m.withClaims({ exp: m.now - 4 }), EDGE),
  good("C7", "Issued four seconds ahead, within the tolerance.", (m) => m.withClaims({ iat: m.now + 4 }), EDGE),
  good("C7", "Not valid before four seconds from now, within the tolerance.", (m) => m.withClaims({ nbf: m.now + 4 }), EDGE),
];

const ALG = "RFC 8725 §3.1";
const otherSuite = (m) => (m.alg === "ES256" ? suites.EdDSA : suites.ES256);
const algorithms = [
  rfc("T1", "The algorithm none, unsigned.", ALG, (m) => m.unsigned(m.header({ alg: "none" }))),
  rfc("T1", "The algorithm None, unsigned.", ALG, (m) => m.unsigned(m.header({ alg: "None" }))),
  rfc("T1", "The algorithm nOnE, unsigned.", ALG, (m) => m.unsigned(m.header({ alg: "nOnE" }))),
  rfc("T1", "The algorithm none under a good signature.", ALG, (m) => m.withHeader({ alg: "none" })),
  rfc("T1", "The right algorithm, and no signature.", "RFC 7515 §5.2", (m) => m.unsigned(m.header())),
  rfc("T1", "No algorithm, under a good signature.", "RFC 7515 §4.1.1", (m) => m.withHeader({ alg: undefined })),
  rfc("T1", "No algorithm, unsigned.", "RFC 7515 §4.1.1", (m) => m.unsigned(m.header({ alg: undefined }))),
  rfc("T1", "A number as the algorithm.", "RFC 7515 §4.1.1", (m) => m.withHeader({ alg: 0 })),
  rfc("T1", "Null as the algorithm.", "RFC 7515 §4.1.1", (m) => m.withHeader({ alg: null })),
  rfc("T1", "An array as the algorithm.", "RFC 7515 §4.1.1", (m) => m.withHeader({ alg: [m.alg] })),
  rfc("T1", "An empty algorithm.", "RFC 7515 §4.1.1", (m) => m.withHeader({ alg: "" })),
  rfc("T2", "HS256 with the bytes of the public key as the secret.", ALG, (m) => m.hmac(Buffer.from(m.active.jwk.x, "base64url"))),
  rfc("T2", "HS256 with the public key in PEM as the secret.", ALG, (m) => m.hmac(pem(m.active.jwk))),
  rfc("T2", "HS256 with the PEM without its last line break.", ALG, (m) => m.hmac(pem(m.active.jwk).trim())),
  rfc("T2", "HS256 with the PEM after a space.", ALG, (m) => m.hmac(` ${pem(m.active.jwk)}`)),
  rfc("T2", "HS256 with the public key in DER as the secret.", ALG, (m) => m.hmac(spki(m.active.jwk))),
  rfc("T2", "HS256 with the JWK's JSON as the secret.", ALG, (m) => m.hmac(JSON.stringify(m.active.jwk))),
  rfc("T2", "HS256 with the JWK's x as the secret.", ALG, (m) => m.hmac(m.active.jwk.x)),
  rfc("T2", "HS256 with an empty secret.", ALG, (m) => m.hmac("")),
  rfc("T3", "RS256, signed with an attacker's RSA key under our key's id.", ALG, (m) => m.withHeader({ alg: "RS256" }, RSA)),
  rfc("T3", "The other of EdDSA and ES256, signed with an attacker's key under our key's id.", ALG, (m) => {
    const other = otherSuite(m);
    return m.withHeader({ alg: other.alg }, other.attacker);
  }),
  rfc("T3", "An Ed448 signature under our key's id.", ALG, (m) => m.withHeader({ alg: "EdDSA" }, ED448)),
  rfc("T3", "An Ed448 signature under a header that names Ed448 and our key's id.", ALG, (m) => m.withHeader({ alg: "Ed448" }, ED448)),
  rfc("T3", "A good signature under a header that names RS256.", ALG, (m) => m.withHeader({ alg: "RS256" })),
  rfc("T3", "A good signature under a header that names the other of EdDSA and ES256.", ALG, (m) => m.withHeader({ alg: otherSuite(m).alg })),
  rfc("T3", "A good signature under a header that names Ed448.", ALG, (m) => m.withHeader({ alg: "Ed448" })),
  rfc("T3", "The algorithm in lower case.", "RFC 7515 §4.1.1", (m) => m.withHeader({ alg: m.alg.toLowerCase() })),
  rfc("T3", "The algorithm in upper case.", "RFC 7515 §4.1.1", (m) => m.withHeader({ alg: m.alg.toUpperCase() }), CURVE),
  good("T3", "The algorithm by its newer name, Ed25519 (RFC 9864), in the header and in the key.", (m) => ({
    token: m.withHeader({ alg: "Ed25519" }), jwks: { keys: m.jwks.keys.map((jwk) => ({ ...jwk, alg: "Ed25519" })) },
  }), CURVE),
];

const KID = "RFC 7515 §4.1.4";
const keyIds = [
  rfc("T4", "Signed with an attacker's key under our key's id.", "RFC 7515 §5.2", (m) => m.withHeader({}, m.attacker), { key: "forged" }),
  rfc("T4", "Signed with an attacker's key under its own id.", "RFC 7515 §5.2", (m) => m.withHeader({ kid: m.attacker.jwk.kid }, m.attacker)),
  rfc("T4", "Signed with an attacker's key, without an id.", "RFC 7515 §5.2", (m) => m.withHeader({ kid: undefined }, m.attacker)),
  rfc("T4", "Signed with a key that the issuer has withdrawn.", "RFC 7515 §5.2", (m) => m.withHeader({ kid: m.withdrawn.jwk.kid }, m.withdrawn)),
  ...["__proto__", "constructor", "hasOwnProperty", "../../etc/passwd", "' OR 1=1 --"].map((kid) =>
    rfc("T4", `Signed with an attacker's key, with ${kid} as the id.`, "RFC 7515 §5.2", (m) => m.withHeader({ kid }, m.attacker))),
  rfc("T4", "A number as the id, under a good signature.", KID, (m) => m.withHeader({ kid: 0 })),
  rfc("T4", "An array as the id, under a good signature.", KID, (m) => m.withHeader({ kid: [m.active.jwk.kid] })),
  rfc("T4", "An object as the id, under a good signature.", KID, (m) => m.withHeader({ kid: { kid: m.active.jwk.kid } })),
  profile("T4", "No id, under a good signature.", (m) => m.withHeader({ kid: undefined })),
  profile("T4", "An empty id, under a good signature.", (m) => m.withHeader({ kid: "" })),
  profile("T4", "Null as the id, under a good signature.", (m) => m.withHeader({ kid: null })),
  profile("T4", "An unknown id, under a good signature.", (m) => m.withHeader({ kid: m.withdrawn.jwk.kid })),
  profile("T4", "The id of the issuer's other key.", (m) => m.withHeader({ kid: m.next.jwk.kid })),
  profile("T4", "The id in upper case.", (m) => m.withHeader({ kid: m.active.jwk.kid.toUpperCase() })),
  profile("T4", "The id percent-encoded.", (m) => m.withHeader({ kid: `%${m.active.jwk.kid.charCodeAt(0).toString(16)}${m.active.jwk.kid.slice(1)}` })),
  profile("T4", "An id of ten thousand characters.", (m) => m.withHeader({ kid: "k".repeat(10_000) })),
];

const KEYS_IN_HEADER = "RFC 8725 §3.10";
const brought = (m, more) => m.withHeader({ kid: m.attacker.jwk.kid, ...more }, m.attacker);
const ownKeys = [
  rfc("T5", "The attacker's key in the header as jwk, and signed with it.", KEYS_IN_HEADER, (m) => brought(m, { jwk: m.attacker.jwk })),
  rfc("T5", "The attacker's key as jwk, under our key's id.", KEYS_IN_HEADER, (m) => m.withHeader({ jwk: { ...m.attacker.jwk, kid: m.active.jwk.kid } }, m.attacker)),
  rfc("T5", "The attacker's key at an address, jku.", KEYS_IN_HEADER, (m) => brought(m, { jku: "https://evil.example/jwks.json" })),
  rfc("T5", "The attacker's key as x5c.", KEYS_IN_HEADER, (m) => brought(m, { x5c: [spki(m.attacker.jwk).toString("base64")] })),
  rfc("T5", "The attacker's key at an address, x5u.", KEYS_IN_HEADER, (m) => brought(m, { x5u: "https://evil.example/key.pem" })),
  profile("T5", "A jwk in the header, and a good signature by our key.", (m) => m.withHeader({ jwk: m.attacker.jwk })),
  profile("T5", "A jku in the header, and a good signature.", (m) => m.withHeader({ jku: "https://evil.example/jwks.json" })),
  profile("T5", "An x5u in the header, and a good signature.", (m) => m.withHeader({ x5u: "https://evil.example/key.pem" })),
  profile("T5", "An x5t in the header, and a good signature.", (m) => m.withHeader({ x5t: "AAAAAAAAAAAAAAAAAAAAAAAAAAA" })),
];

const CRIT = "RFC 7515 §4.1.11";
const critical = [
  rfc("T6", "An unknown critical extension.", CRIT, (m) => m.withHeader({ crit: ["https://example.com/half"], "https://example.com/half": true })),
  rfc("T6", "An unknown critical extension with the name exp.", CRIT, (m) => m.withHeader({ crit: ["exp"], exp: m.now + 600 })),
  rfc("T6", "Critical b64: false, which RFC 7797 §7 forbids in JWTs.", "RFC 7797 §7", (m) => m.withHeader({ b64: false, crit: ["b64"] })),
  rfc("T6", "A critical extension that is not in the header.", CRIT, (m) => m.withHeader({ crit: ["https://example.com/half"] })),
  profile("T6", "An empty crit.", (m) => m.withHeader({ crit: [] })),
  profile("T6", "A crit that names alg.", (m) => m.withHeader({ crit: ["alg"] })),
  profile("T6", "A string as crit.", (m) => m.withHeader({ crit: "b64" })),
  profile("T6", "Null as crit.", (m) => m.withHeader({ crit: null })),
  profile("T6", "False as crit.", (m) => m.withHeader({ crit: false })),
  profile("T6", "An object as crit.", (m) => m.withHeader({ crit: {} })),
  profile("T6", "An array with a number as crit.", (m) => m.withHeader({ crit: [1] })),
  profile("T6", "b64: false that is not critical.", (m) => m.withHeader({ b64: false })),
];

const types = [
  rfc("T7", "The issuer's own revocation feed, sent as a session.", "RFC 8725 §3.12", (m) => m.token(m.header({ typ: "pi-revocations+jwt" }), { iss: ISSUER, aud: AUDIENCE, iat: m.now - 5, exp: m.now + 295, epoch: 0, users: {}, from: 0, to: 0, last_iat: 0, last_exp: 0, sids_sha256: "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU" })),
  profile("T7", "A session of the type of the feed.", (m) => m.withHeader({ typ: "pi-revocations+jwt" })),
  profile("T7", "A session of the type JWT.", (m) => m.withHeader({ typ: "JWT" })),
  profile("T7", "A session of the type at+jwt.", (m) => m.withHeader({ typ: "at+jwt" })),
  profile("T7", "A session of no type.", (m) => m.withHeader({ typ: undefined })),
  profile("T7", "An array as the type.", (m) => m.withHeader({ typ: [TYP] })),
  profile("T7", "Null as the type.", (m) => m.withHeader({ typ: null })),
];

const between = (json, more) => `${json.slice(0, -1)},${more}}`;
const duplicates = [
  profile("T8", "Duplicate sub with different values.", (m) => m.token(m.header(), between(JSON.stringify(m.claims()), '"sub":"b0b00000-0000-4000-8000-000000000002"'))),
  profile("T8", "Duplicate sub, one of them written with an escape.", (m) => m.token(m.header(), between(JSON.stringify(m.claims()), '"su\\u0062":"b0b00000-0000-4000-8000-000000000002"'))),
  profile("T8", "Duplicate sub with equal values.", (m) => m.token(m.header(), between(JSON.stringify(m.claims()), `"sub":"${m.claims().sub}"`))),
  profile("T8", "Duplicate exp, of which the last is good.", (m) => m.token(m.header(), between(JSON.stringify(m.claims({ exp: m.now - 600 })), `"exp":${m.now + 600}`))),
  rfc("T8", "Duplicate exp, of which the last is past.", "RFC 7519 §4", (m) => m.token(m.header(), between(JSON.stringify(m.claims()), `"exp":${m.now - 600}`))),
  profile("T8", "Duplicate names in an unknown claim.", (m) => m.withText("extra", '{"a":1,"a":2}')),
  profile("T8", "Duplicate alg, of which the last is good.", (m) => m.token(between(JSON.stringify(m.header({ alg: "none" })), `"alg":"${m.alg}"`))),
  rfc("T8", "Duplicate alg, of which the last is none.", "RFC 7515 §4", (m) => m.token(between(JSON.stringify(m.header()), '"alg":"none"'))),
  profile("T8", "Duplicate kid, of which the last is good.", (m) => m.token(between(JSON.stringify(m.header({ kid: "x" })), `"kid":"${m.active.jwk.kid}"`))),
];

const B64 = "RFC 7515 §5.2";
const hasOtherAlphabet = ({ signature }) => /[-_]/.test(signature);
const standard = (segment) => segment.replaceAll("-", "+").replaceAll("_", "/");
const encoding = [
  rfc("T9", "Padding after the signature.", B64, (m) => m.withSignature((s) => `${s}==`)),
  rfc("T9", "One = after the signature.", B64, (m) => m.withSignature((s) => `${s}=`)),
  rfc("T9", "The signature in the alphabet of plain base64.", B64, (m) => m.withSignature(standard, hasOtherAlphabet)),
  rfc("T9", "A line break in the signature.", B64, (m) => m.withSignature((s) => `${s.slice(0, 40)}\n${s.slice(40)}`)),
  rfc("T9", "A line break after the token.", B64, (m) => m.withSignature((s) => `${s}\n`)),
  rfc("T9", "A space after the token.", B64, (m) => m.withSignature((s) => `${s} `)),
  rfc("T9", "A space before the token.", B64, (m) => ` ${m.token()}`),
  rfc("T9", "A tab in the signature.", B64, (m) => m.withSignature((s) => `${s.slice(0, 40)}\t${s.slice(40)}`)),
  rfc("T9", "A NUL after the token.", B64, (m) => m.withSignature((s) => `${s}\0`)),
  rfc("T9", "A character beyond ASCII in the signature.", B64, (m) => m.withSignature((s) => `${s.slice(0, 40)}é${s.slice(40)}`)),
  rfc("T9", "A character of no alphabet in the signature.", B64, (m) => m.withSignature((s) => `${s.slice(0, 40)}!${s.slice(40)}`)),
  rfc("T9", "One more character in the signature, a length that no bytes encode to.", B64, (m) => m.withSignature((s) => `${s}A`)),
  profile("T9", "Other unused bits at the end of the signature (RFC 4648 §3.5 lets decoders choose).", (m) => m.withSignature(withStrayBits)),
  rfc("T9", "Padding after the payload, and signed that way.", B64, (m) => m.seal(base64url(text(m.header())), Buffer.from(`${text(m.claims())}${" ".repeat((4 - (text(m.claims()).length % 3)) % 3)}`).toString("base64").replaceAll("+", "-").replaceAll("/", "_"))),
  rfc("T9", "A line break in the payload, and signed that way.", B64, (m) => m.seal(base64url(text(m.header())), base64url(text(m.claims())).replace(/^.{40}/, "$&\n"))),
  rfc("T9", "A space in the header, and signed that way.", B64, (m) => m.seal(base64url(text(m.header())).replace(/^.{40}/, "$& "), base64url(text(m.claims())))),
  rfc("T9", "The payload in the alphabet of plain base64, and signed that way.", B64, (m) => m.seal(base64url(text(m.header())), standard(base64url(text(m.claims({ preferred_username: "???>>>???>>>" })))))),
  profile("T9", "Other unused bits at the end of the payload, and signed that way.", (m) => {
    const json = text(m.claims());
    return m.seal(base64url(text(m.header())), withStrayBits(base64url(`${json}${" ".repeat((4 - (json.length % 3)) % 3)}`)));
  }),
];

const FORM = "RFC 7515 §7.1";
const form = [
  rfc("T10", "An empty text.", FORM, () => ""),
  rfc("T10", "One segment.", FORM, (m) => m.parts().header),
  rfc("T10", "Two segments.", FORM, (m) => `${m.parts().header}.${m.parts().payload}`),
  rfc("T10", "A good token with a fourth, empty segment.", FORM, (m) => `${m.token()}.`),
  rfc("T10", "A good token with a fourth segment.", FORM, (m) => `${m.token()}.AAAA`),
  rfc("T10", "A good token with two more segments, as many as an encrypted token has.", FORM, (m) => `${m.token()}.AAAA.AAAA`),
  rfc("T10", "A good token after a dot.", FORM, (m) => `.${m.token()}`),
  rfc("T10", "A payload with a dot in it, and signed that way.", FORM, (m) => m.seal(base64url(text(m.header())), base64url(text(m.claims())).replace(/^.{40}/, "$&."))),
  rfc("T10", "An empty header, and signed that way.", FORM, (m) => m.seal("", base64url(text(m.claims())))),
  rfc("T10", "An empty payload, and signed that way.", "RFC 7519 §7.2", (m) => m.seal(base64url(text(m.header())), "")),
  rfc("T10", "Two dots.", FORM, () => ".."),
  rfc("T10", "A good token after Bearer.", FORM, (m) => `Bearer ${m.token()}`),
  rfc("T10", "A good token in quotes.", FORM, (m) => `"${m.token()}"`),
  rfc("T10", "Two good tokens with a comma between them.", FORM, (m) => `${m.token()},${m.token()}`),
  rfc("T10", "A good token in the JSON serialization.", "RFC 7519 §1", (m) => {
    const { header, payload, signature } = m.parts();
    return JSON.stringify({ protected: header, payload, signature });
  }),
  rfc("T10", "A token of which one character in the signature is changed.", "RFC 7515 §5.2", (m) => m.withSignature((s) => (s[0] === "A" ? "B" : "A") + s.slice(1)), { key: "changed" }),
  rfc("T10", "A token of which the payload is changed.", "RFC 7515 §5.2", (m) => {
    const { header, signature } = m.parts();
    return `${header}.${base64url(text(m.claims({ sub: "b0b00000-0000-4000-8000-000000000002" })))}.${signature}`;
  }),
];

const size = [
  profile("T11", "A token of more than 4,096 bytes.", (m) => m.withClaims({ extra: "x".repeat(3_000) })),
  profile("T11", "A token of more than 64 KiB.", (m) => m.withClaims({ extra: "x".repeat(50_000) })),
  profile("T11", "A token of more than 1 MiB.", (m) => m.withClaims({ extra: "x".repeat(800_000) })),
  profile("T12", "A claim that is nested a thousand deep.", (m) => m.withText("extra", nested(1_000))),
  profile("T12", "A claim that is nested a hundred thousand deep.", (m) => m.withText("extra", nested(100_000))),
  rfc("T12", "A forged token with a header that is nested a thousand deep.", "RFC 7515 §5.2", (m) => m.token(between(text(m.header()), `"x":${nested(1_000)}`), m.claims(), m.attacker)),
  rfc("T12", "A forged token with a header that is nested a hundred thousand deep.", "RFC 7515 §5.2", (m) => m.token(between(text(m.header()), `"x":${nested(100_000)}`), m.claims(), m.attacker)),
  rfc("T12", "A forged token with a payload that is nested a hundred thousand deep.", "RFC 7515 §5.2", (m) => m.token(m.header(), between(text(m.claims()), `"x":${nested(100_000)}`), m.attacker)),
];

const JSON_OBJECT = "RFC 7519 §7.2";
const json = [
  rfc("T13", "An array as the payload.", JSON_OBJECT, (m) => m.token(m.header(), [m.claims()])),
  rfc("T13", "A string as the payload.", JSON_OBJECT, (m) => m.token(m.header(), '"claims"')),
  rfc("T13", "A number as the payload.", JSON_OBJECT, (m) => m.token(m.header(), "1")),
  rfc("T13", "Null as the payload.", JSON_OBJECT, (m) => m.token(m.header(), "null")),
  rfc("T13", "An array as the header.", "RFC 7515 §5.2", (m) => m.token([m.header()])),
  rfc("T13", "Null as the header.", "RFC 7515 §5.2", (m) => m.token("null")),
  rfc("T13", "Extra characters after the payload's object.", JSON_OBJECT, (m) => m.token(m.header(), `${text(m.claims())}x`)),
  rfc("T13", "A second object after the payload's.", JSON_OBJECT, (m) => m.token(m.header(), `${text(m.claims())}{}`)),
  rfc("T13", "Extra characters after the header's object.", "RFC 7515 §5.2", (m) => m.token(`${text(m.header())}x`)),
  rfc("T13", "A comment in the payload.", JSON_OBJECT, (m) => m.token(m.header(), text(m.claims()).replace("{", "{/**/"))),
  rfc("T13", "A trailing comma in the payload.", JSON_OBJECT, (m) => m.token(m.header(), text(m.claims()).replace(/}$/, ",}"))),
  rfc("T13", "Single quotes in the payload.", JSON_OBJECT, (m) => m.token(m.header(), text(m.claims()).replaceAll('"', "'"))),
  rfc("T13", "NaN as an unknown claim.", JSON_OBJECT, (m) => m.withText("extra", "NaN")),
  rfc("T13", "Infinity as an unknown claim.", JSON_OBJECT, (m) => m.withText("extra", "Infinity")),
  rfc("T13", "Zeros before a number.", JSON_OBJECT, (m) => m.withText("extra", "007")),
  rfc("T13", "A raw line break in a string.", JSON_OBJECT, (m) => m.withText("extra", '"a\nb"')),
  profile("T13", "An empty object as the payload.", (m) => m.token(m.header(), {})),
  profile("T13", "A byte order mark before the payload (RFC 8259 §8.1 lets parsers choose).", (m) => m.token(m.header(), `\ufeff${text(m.claims())}`)),
  profile("T13", "A byte order mark before the header.", (m) => m.token(`\ufeff${text(m.header())}`)),
  rfc("T14", "A user name that is not UTF-8.", JSON_OBJECT, (m) => {
    const [before, after] = text(m.claims()).split("alice_pioneer");
    return m.token(m.header(), Buffer.concat([Buffer.from(before), Buffer.from([0x61, 0xff, 0xfe]), Buffer.from(after)]));
  }),
  rfc("T14", "A user name with an overlong character.", JSON_OBJECT, (m) => {
    const [before, after] = text(m.claims()).split("alice_pioneer");
    return m.token(m.header(), Buffer.concat([Buffer.from(before), Buffer.from([0xc0, 0xaf]), Buffer.from(after)]));
  }),
  rfc("T14", "A header that is not UTF-8.", "RFC 7515 §5.2", (m) => {
    const [before, after] = text(m.header({ x: "HERE" })).split("HERE");
    return m.token(Buffer.concat([Buffer.from(before), Buffer.from([0xff]), Buffer.from(after)]));
  }),
  profile("T14", "Half a surrogate pair, escaped, as the subject.", (m) => m.withText("sub", '"\\ud800"')),
  profile("T14", "An escaped NUL in the subject.", (m) => m.withText("sub", '"a\\u0000b"')),
  profile("T14", "The expiry only within __proto__.", (m) => m.token(m.header(), between(text(m.claims({ exp: undefined })), `"__proto__":{"exp":${m.now + 600}}`))),
];

const EXP = "RFC 7519 §4.1.4";
const expiry = [
  rfc("C1", "Expired a minute ago.", EXP, (m) => m.withClaims({ exp: m.now - 60 }), { key: "expired" }),
  rfc("C1", "Expired a day ago.", EXP, (m) => m.withClaims({ iat: m.now - 90_000, auth_time: m.now - 90_000, exp: m.now - 86_400 })),
  rfc("C1", "Expired six seconds ago, past the tolerance of five.", EXP, (m) => m.withClaims({ exp: m.now - 6 }), EDGE),
  profile("C1", "Expired exactly at the end of the tolerance.", (m) => m.withClaims({ exp: m.now - 5 }), EDGE),
  rfc("C1", "Null as the expiry.", EXP, (m) => m.withClaims({ exp: null })),
  rfc("C1", "A string as the expiry.", EXP, (m) => m.withClaims({ exp: String(m.now + 600) })),
  rfc("C1", "An array as the expiry.", EXP, (m) => m.withClaims({ exp: [m.now + 600] })),
  rfc("C1", "An object as the expiry.", EXP, (m) => m.withClaims({ exp: {} })),
  rfc("C1", "True as the expiry.", EXP, (m) => m.withClaims({ exp: true })),
  rfc("C1", "The string NaN as the expiry.", EXP, (m) => m.withClaims({ exp: "NaN" })),
  rfc("C1", "NaN as the expiry.", JSON_OBJECT, (m) => m.withText("exp", "NaN")),
  rfc("C1", "Infinity as the expiry.", JSON_OBJECT, (m) => m.withText("exp", "Infinity")),
  rfc("C1", "Zero as the expiry.", EXP, (m) => m.withClaims({ exp: 0 })),
  rfc("C1", "Minus zero as the expiry.", EXP, (m) => m.withText("exp", "-0")),
  rfc("C1", "An expiry before 1970.", EXP, (m) => m.withClaims({ exp: -1 })),
  profile("C1", "No expiry.", (m) => m.withClaims({ exp: undefined })),
  profile("C1", "The expiry 1e400, which is beyond every double.", (m) => m.withText("exp", "1e400")),
  profile("C1", "The expiry 1e308.", (m) => m.withText("exp", "1e308")),
  profile("C1", "The expiry 2^53 + 1.", (m) => m.withText("exp", "9007199254740993")),
  profile("C1", "The expiry 2^64.", (m) => m.withText("exp", "18446744073709551616")),
  profile("C1", "The expiry in milliseconds.", (m) => m.withClaims({ exp: (m.now + 600) * 1000 })),
  profile("C1", "A lifetime of a year.", (m) => m.withClaims({ exp: m.now + 31_536_000 })),
];

const NBF = "RFC 7519 §4.1.5";
const times = [
  rfc("C2", "Not valid before an hour from now.", NBF, (m) => m.withClaims({ nbf: m.now + 3600 })),
  rfc("C2", "Not valid before six seconds from now, past the tolerance.", NBF, (m) => m.withClaims({ nbf: m.now + 6 }), EDGE),
  rfc("C2", "Not valid before 1e303.", NBF, (m) => m.withText("nbf", "1e303")),
  rfc("C2", "Not valid before 1e400.", NBF, (m) => m.withText("nbf", "1e400")),
  rfc("C2", "A string as the not-before time.", NBF, (m) => m.withClaims({ nbf: String(m.now - 60) })),
  rfc("C2", "Null as the not-before time.", NBF, (m) => m.withClaims({ nbf: null })),
  rfc("C2", "An array as the not-before time.", NBF, (m) => m.withClaims({ nbf: [m.now - 60] })),
  profile("C2", "A not-before time before 1970.", (m) => m.withClaims({ nbf: -1 })),
  profile("C3", "A string as the time of issue.", (m) => m.withClaims({ iat: String(m.now - 300) })),
  profile("C3", "Null as the time of issue.", (m) => m.withClaims({ iat: null })),
  profile("C3", "An array as the time of issue.", (m) => m.withClaims({ iat: [m.now - 300] })),
  profile("C3", "Issued an hour from now.", (m) => m.withClaims({ iat: m.now + 3600, exp: m.now + 4200 })),
  profile("C3", "Issued six seconds from now, past the tolerance.", (m) => m.withClaims({ iat: m.now + 6 }), EDGE),
  profile("C3", "No time of issue.", (m) => m.withClaims({ iat: undefined })),
  profile("C3", "The time of issue 1e400.", (m) => m.withText("iat", "1e400")),
  profile("C3", "Issued before 1970.", (m) => m.withClaims({ iat: -1 })),
  profile("C3", "Issued two hours ago.", (m) => m.withClaims({ iat: m.now - 7200 })),
];

const AUD = "RFC 8725 §3.9";
const ISS = "RFC 8725 §3.8";
const parties = [
  rfc("C4", "For another audience.", AUD, (m) => m.withClaims({ aud: "other-app" }), { echoes: AUDIENCE, key: "audience" }),
  rfc("C4", "For no audience.", AUD, (m) => m.withClaims({ aud: undefined })),
  rfc("C4", "An empty array of audiences.", AUD, (m) => m.withClaims({ aud: [] })),
  rfc("C4", "Null as the audience.", AUD, (m) => m.withClaims({ aud: null })),
  rfc("C4", "An empty audience.", AUD, (m) => m.withClaims({ aud: "" })),
  rfc("C4", "Our audience and one more letter.", AUD, (m) => m.withClaims({ aud: `${AUDIENCE}s` })),
  rfc("C4", "A part of our audience.", AUD, (m) => m.withClaims({ aud: AUDIENCE.slice(0, 7) })),
  rfc("C4", "Our audience in upper case.", AUD, (m) => m.withClaims({ aud: AUDIENCE.toUpperCase() })),
  rfc("C4", "Our audience and a slash.", AUD, (m) => m.withClaims({ aud: `${AUDIENCE}/` })),
  rfc("C4", "Our audience and a space.", AUD, (m) => m.withClaims({ aud: `${AUDIENCE} ` })),
  rfc("C4", "An object with our audience as a name.", AUD, (m) => m.withClaims({ aud: { [AUDIENCE]: true } })),
  rfc("C4", "An array within an array as the audience.", AUD, (m) => m.withClaims({ aud: [[AUDIENCE]] })),
  profile("C4", "Our audience and a number in an array.", (m) => m.withClaims({ aud: [AUDIENCE, 1] })),
  profile("C4", "Our audience and another's in an array.", (m) => m.withClaims({ aud: ["other-app", AUDIENCE] })),
  rfc("C5", "From another issuer.", ISS, (m) => m.withClaims({ iss: "https://session.example.net" }), { key: "issuer" }),
  rfc("C5", "From our issuer's name before another's.", ISS, (m) => m.withClaims({ iss: `${ISSUER}.evil.example` })),
  rfc("C5", "From our issuer and a slash.", ISS, (m) => m.withClaims({ iss: `${ISSUER}/` })),
  rfc("C5", "From our issuer without TLS.", ISS, (m) => m.withClaims({ iss: ISSUER.replace("https", "http") })),
  rfc("C5", "From our issuer in upper case.", ISS, (m) => m.withClaims({ iss: "https://SESSION.example.com" })),
  rfc("C5", "From an issuer that differs where a pattern would have a dot.", ISS, (m) => m.withClaims({ iss: ISSUER.replace("session.", "sessionx") })),
  rfc("C5", "From an issuer with a Cyrillic letter.", ISS, (m) => m.withClaims({ iss: ISSUER.replace("o", "\u043e") })),
  rfc("C5", "An empty issuer.", ISS, (m) => m.withClaims({ iss: "" })),
  profile("C5", "Our issuer in an array.", (m) => m.withClaims({ iss: [ISSUER] })),
  profile("C5", "Our issuer and another in an array.", (m) => m.withClaims({ iss: ["https://session.example.net", ISSUER] })),
  profile("C5", "From no issuer.", (m) => m.withClaims({ iss: undefined })),
  profile("C5", "Null as the issuer.", (m) => m.withClaims({ iss: null })),
];

const identity = [
  profile("C6", "A number as the subject.", (m) => m.withClaims({ sub: 7 })),
  profile("C6", "An array as the subject.", (m) => m.withClaims({ sub: ["a11ce"] })),
  profile("C6", "A number as the token's id.", (m) => m.withClaims({ jti: 7 })),
  profile("C6", "No subject.", (m) => m.withClaims({ sub: undefined })),
  profile("C6", "Null as the subject.", (m) => m.withClaims({ sub: null })),
  profile("C6", "An empty subject.", (m) => m.withClaims({ sub: "" })),
  profile("C6", "A subject of 129 characters.", (m) => m.withClaims({ sub: "a".repeat(129) })),
  profile("C6", "A subject with a space.", (m) => m.withClaims({ sub: "alice bob" })),
  profile("C6", "No session id.", (m) => m.withClaims({ sid: undefined })),
  profile("C6", "A number as the session id.", (m) => m.withClaims({ sid: 7 })),
  profile("C6", "A string as the time of sign-in.", (m) => m.withClaims({ auth_time: String(m.now - 300) })),
  profile("C6", "An array as the scope.", (m) => m.withClaims({ scope: ["username"] })),
  rfc("C8", "Forged, and for another audience: the signature must decide.", "RFC 7515 §5.2", (m) => m.token(m.header(), m.claims({ aud: "other-app" }), m.attacker), { sameReasonAs: "forged" }),
  rfc("C8", "Forged, and expired: the signature must decide.", "RFC 7515 §5.2", (m) => m.token(m.header(), m.claims({ exp: m.now - 60 }), m.attacker), { sameReasonAs: "forged" }),
];

// No library signs like the code below. The messages of the CCTV vectors are not tokens, so these
// rows build the properties that CCTV flags as tokens: a component of low order in the key or in R,
// a key or an R of low order, and a key or an R that is not canonical.

const RFC_8032_S = "RFC 8032 §5.1.7";
const RFC_8032_POINT = "RFC 8032 §5.1.3";
const lastBits = (value) => value % 4n;

/** Signs one token after another until `sign` returns a signature. */
function crafted(m, jwk, sign) {
  for (let i = 0; ; i++) {
    const signed = `${base64url(text(m.header({ kid: jwk.kid })))}.${base64url(text(m.claims({ jti: `crafted-${i}` })))}`;
    const bytes = sign(Buffer.from(signed));
    if (bytes) return `${signed}.${base64url(bytes)}`;
  }
}

/** Signs with the issuer's key, with R as `r` times the base point plus `torsion`. */
function withNonce(m, r, torsion = curve.IDENTITY, canonical = true) {
  const a = curve.secretScalar(m.active.seed);
  const key = Buffer.from(m.active.jwk.x, "base64url");
  return crafted(m, m.active.jwk, (message) => {
    const R = curve.encode(curve.add(curve.multiply(r, curve.BASE), torsion), canonical);
    return curve.signature(R, (r + curve.challenge(R, key, message) * a) % curve.L);
  });
}

/** Signs with a key that has a component of order four. `holds`: also without the cofactor. */
function mixedKey(m, holds) {
  const a = curve.secretScalar(m.active.seed);
  const key = curve.encode(curve.add(curve.multiply(a, curve.BASE), curve.ORDER_4));
  const jwk = okpJwk(key);
  const R = curve.encode(curve.multiply(7n, curve.BASE));
  const token = crafted(m, jwk, (message) => {
    const k = curve.challenge(R, key, message);
    return (lastBits(k) === 0n) === holds ? curve.signature(R, (7n + k * a) % curve.L) : undefined;
  });
  return { token, jwks: { keys: [jwk] } };
}

/** Signs for a public key of small order. It has no secret, so anyone can. */
function smallKey(m, point, canonical = true) {
  const key = curve.encode(point, canonical);
  const jwk = okpJwk(key);
  const R = curve.encode(curve.multiply(7n, curve.BASE));
  const token = crafted(m, jwk, (message) => (lastBits(curve.challenge(R, key, message)) === 0n ? curve.signature(R, 7n) : undefined));
  return { token, jwks: { keys: [jwk] } };
}

const bytesOf = (segment) => Buffer.from(segment, "base64url");
const signatures = [
  rfc("E3", "The number S plus the order of the group.", RFC_8032_S, (m) => m.withSignature((s) => base64url(curve.signature(bytesOf(s).subarray(0, 32), curve.number(bytesOf(s).subarray(32)) + curve.L))), CURVE),
  rfc("E3", "A signature of zeros.", "RFC 7515 §5.2", (m) => m.withSignature(() => base64url(Buffer.alloc(64)))),
  rfc("E3", "A signature of 63 bytes.", "RFC 7515 §5.2", (m) => m.withSignature((s) => base64url(bytesOf(s).subarray(0, 63)))),
  rfc("E3", "A signature of 65 bytes.", "RFC 7515 §5.2", (m) => m.withSignature((s) => base64url(Buffer.concat([bytesOf(s), Buffer.alloc(1)])))),
  rfc("E3", "R is the identity in an encoding that is not canonical.", RFC_8032_POINT, (m) => withNonce(m, 0n, curve.IDENTITY, false), CURVE),
  rfc("E3", "The public key is the identity in an encoding that is not canonical.", RFC_8032_POINT, (m) => smallKey(m, curve.IDENTITY, false), CURVE),
  profile("E3", "R is the identity.", (m) => withNonce(m, 0n), CURVE),
  profile("E3", "The public key is the identity.", (m) => smallKey(m, curve.IDENTITY), CURVE),
  profile("E3", "The public key is of order four.", (m) => smallKey(m, curve.ORDER_4), CURVE),
  good("E2", "R from a chosen nonce, an ordinary signature.", (m) => withNonce(m, 7n), CURVE),
  good("E2", "The public key has a component of order four, and the equation holds without the cofactor.", (m) => mixedKey(m, true), CURVE),
  profile("E2", "The public key has a component of order four, and the equation holds only with the cofactor.", (m) => mixedKey(m, false), CURVE),
  profile("E2", "R has a component of order four, and the equation holds only with the cofactor.", (m) => withNonce(m, 7n, curve.ORDER_4), CURVE),
];

/** All rows, in the order of the matrix. */
export const cases = [
  ...plain, ...algorithms, ...keyIds, ...ownKeys, ...critical, ...types, ...duplicates, ...encoding, ...form, ...size, ...json, ...expiry, ...times, ...parties,
  ...identity, ...signatures,
];

/** The token of every row and its key set, for one algorithm and time. `undefined`: no such
 * token. */
export function makeTokens(algorithm, now) {
  const maker = new Maker(suites[algorithm], now);
  return cases.map(({ only, token }) => {
    if (only && only !== maker.active.jwk.kty) return undefined;
    const made = token(maker);
    return typeof made === "string" ? { token: made, jwks: maker.jwks } : made;
  });
}

/** Each row with its token and its key set, by each name of the algorithm that pioneer-session
 * accepts. */
export const rowsAt = (now) =>
  ["EdDSA", "Ed25519"].flatMap((algorithm) => makeTokens(algorithm, now).map((made, index) => ({ ...cases[index], ...made, name: `${cases[index].name} (${algorithm})` })));
