// The keys of the differential matrix, the same in every run: two of the issuer, one that it has
// withdrawn, and one of an attacker. Each exists for Ed25519 and for P-256, because jsonwebtoken
// has no EdDSA.

import { createECDH, createHash, createPrivateKey, createPublicKey, sign } from "node:crypto";

const hash = (text) => createHash("sha256").update(text).digest();

/** Any 32 bytes as a public JWK. Its kid is its RFC 7638 thumbprint. */
export function okpJwk(bytes) {
  const x = Buffer.from(bytes).toString("base64url");
  const kid = hash(JSON.stringify({ crv: "Ed25519", kty: "OKP", x })).toString("base64url");
  return { kty: "OKP", crv: "Ed25519", x, kid, alg: "EdDSA", use: "sig" };
}

const SPKI_ED25519 = Buffer.from("302a300506032b6570032100", "hex"); // RFC 8410 §4, before the key
const PKCS8_ED25519 = Buffer.from("302e020100300506032b657004220420", "hex"); // RFC 8410 §7, before the seed

/** A JWK as SPKI in DER. Works for Ed25519 keys that a library would refuse, too. */
export function spki(jwk) {
  if (jwk.kty === "OKP") return Buffer.concat([SPKI_ED25519, Buffer.from(jwk.x, "base64url")]);
  return createPublicKey({ key: jwk, format: "jwk" }).export({ format: "der", type: "spki" });
}

export function pem(jwk) {
  const lines = spki(jwk).toString("base64").match(/.{1,64}/g);
  return ["-----BEGIN PUBLIC KEY-----", ...lines, "-----END PUBLIC KEY-----", ""].join("\n");
}

function edDsaKey(name) {
  const seed = hash(`Ed25519 ${name}`);
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: "der", type: "pkcs8" });
  const jwk = okpJwk(Buffer.from(createPublicKey(key).export({ format: "jwk" }).x, "base64url"));
  return { jwk, seed, sign: (bytes) => sign(null, bytes, key) };
}

function es256Key(name) {
  const d = hash(`P-256 ${name}`);
  const ecdh = createECDH("prime256v1");
  ecdh.setPrivateKey(d);
  const [x, y] = [1, 33].map((at) => ecdh.getPublicKey().subarray(at, at + 32).toString("base64url"));
  const kid = hash(JSON.stringify({ crv: "P-256", kty: "EC", x, y })).toString("base64url");
  const jwk = { kty: "EC", crv: "P-256", x, y, kid, alg: "ES256", use: "sig" };
  const key = createPrivateKey({ key: { ...jwk, d: d.toString("base64url") }, format: "jwk" });
  return { jwk, sign: (bytes) => sign("sha256", bytes, { key, dsaEncoding: "ieee-p1363" }) };
}

function suite(alg, make) {
  const [active, next, withdrawn, attacker] = ["active", "next", "withdrawn", "attacker"].map(make);
  return { alg, active, next, withdrawn, attacker, jwks: { keys: [active.jwk, next.jwk] } };
}

const edDsa = suite("EdDSA", edDsaKey);

/** The keys by algorithm. Ed25519 is the newer name of EdDSA (RFC 9864), with the same keys. */
export const suites = { EdDSA: edDsa, Ed25519: { ...edDsa, alg: "Ed25519" }, ES256: suite("ES256", es256Key) };
