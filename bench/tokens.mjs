// The keys and tokens for all contenders: one valid session token in the Worker's form and size,
// and one for each reason to refuse it. Each exists with EdDSA, and with an equal payload with
// ES256 for contenders without EdDSA.

import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { newKey } from "../pkg/cli/keys.mjs";

export const ISSUER = "https://session.example.com";
export const AUDIENCE = "example-app";
export const TYP = "pi-session+jwt";

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

export function claims(members = {}) {
  const now = Math.floor(Date.now() / 1000);
  const sid = randomBytes(16).toString("base64url");
  return {
    iss: ISSUER, aud: AUDIENCE, sub: "a11ce000-0000-4000-8000-000000000001", sid, iat: now, exp: now + 3600, auth_time: now,
    jti: `${sid}-0`, scope: "username payments", preferred_username: "alice_pioneer", app_bound: true, ...members,
  };
}

function edDsa(payload, key, signer = key) {
  const signed = `${base64url({ alg: "EdDSA", kid: key.kid, typ: TYP })}.${base64url(payload)}`;
  return `${signed}.${sign(null, Buffer.from(signed), createPrivateKey({ key: signer, format: "jwk" })).toString("base64url")}`;
}

function es256(payload, { key, kid }) {
  const signed = `${base64url({ alg: "ES256", kid, typ: TYP })}.${base64url(payload)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
}

const publicJwk = ({ kty, crv, x, kid }) => ({ kty, crv, x, kid, alg: "EdDSA", use: "sig" });

/** A set of `count` keys, and a valid token of the last one. */
export function keyRing(count) {
  const keys = Array.from({ length: count }, () => newKey());
  return { jwks: { keys: keys.map(publicJwk) }, token: edDsa(claims(), keys.at(-1)), tokens: keys.map((key) => edDsa(claims(), key)) };
}

/** Everything as text, because other processes get it too. */
export function makeTokens() {
  const [ours, theirs] = [newKey(), newKey()];
  const ecKeys = () => ({ ...generateKeyPairSync("ec", { namedCurve: "P-256" }), kid: randomBytes(32).toString("base64url") });
  const [ec, otherEc] = [ecKeys(), ecKeys()];
  const good = claims();
  const expired = claims({ iat: good.iat - 4000, exp: good.iat - 400 });
  const foreign = claims({ iss: "https://session.example.net" });
  const malformed = randomBytes(400).toString("base64url");
  const as256 = ({ privateKey: key, kid }) => ({ key, kid });
  return {
    jwk: publicJwk(ours),
    ecPem: ec.publicKey.export({ type: "spki", format: "pem" }),
    EdDSA: {
      valid: edDsa(good, ours), malformed, foreign: edDsa(foreign, theirs), forged: edDsa(good, ours, theirs), expired: edDsa(expired, ours),
    },
    ES256: {
      valid: es256(good, as256(ec)), malformed, foreign: es256(foreign, as256(otherEc)), forged: es256(good, { ...as256(otherEc), kid: ec.kid }), expired: es256(expired, as256(ec)),
    },
  };
}
