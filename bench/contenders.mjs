// The contenders that verify a token in Node. All check signature, algorithm, issuer, audience and
// expiry with a tolerance of 5 s, and `typ` if they can. Each is imported when it is created, so a
// fresh process loads only one.

import { AUDIENCE, ISSUER, TYP } from "./tokens.mjs";

const ES256 = { algorithm: "ES256" };
const EDDSA = { algorithm: "EdDSA" };

async function pem(jwk) {
  const { createPublicKey } = await import("node:crypto");
  return createPublicKey({ key: jwk, format: "jwk" }).export({ type: "spki", format: "pem" });
}

async function ours(jwk, options) {
  const { createVerifier } = await import("../pkg/index.mjs");
  const verifier = await createVerifier({ issuer: ISSUER, audience: AUDIENCE, jwks: { keys: [jwk] }, ...options });
  return (token) => verifier.verify(token);
}

async function fastJwt(jwk, cache) {
  const { createVerifier } = await import("fast-jwt");
  return createVerifier({ key: await pem(jwk), algorithms: ["EdDSA"], allowedIss: ISSUER, allowedAud: AUDIENCE, checkTyp: TYP, clockTolerance: 5000, cache });
}

const JOSE = { issuer: ISSUER, audience: AUDIENCE, typ: TYP, algorithms: ["EdDSA"], clockTolerance: 5 };

export const contenders = {
  "pioneer-session": { ...EDDSA, make: ({ jwk }) => ours(jwk, {}) },
  "pioneer-session, cache": {
    ...EDDSA,
    cached: true,
    // Not every version has a cache. Without one, there is nothing to measure.
    make: ({ jwk }) => ours(jwk, { cache: { max: 1000 } }).catch((error) => {
      if (error.code === "invalid_options") return undefined;
      throw error;
    }),
  },
  "jose": {
    ...EDDSA,
    isAsync: true,
    async make({ jwk }) {
      const { importJWK, jwtVerify } = await import("jose");
      const key = await importJWK(jwk, "EdDSA");
      return (token) => jwtVerify(token, key, JOSE);
    },
  },
  "jose, key set": {
    ...EDDSA,
    isAsync: true,
    async make({ jwk }) {
      const { createLocalJWKSet, jwtVerify } = await import("jose");
      const keys = createLocalJWKSet({ keys: [jwk] });
      return (token) => jwtVerify(token, keys, JOSE);
    },
  },
  "fast-jwt": { ...EDDSA, make: ({ jwk }) => fastJwt(jwk, false) },
  "fast-jwt, cache": { ...EDDSA, cached: true, make: ({ jwk }) => fastJwt(jwk, 1000) },
  "jsonwebtoken (ES256)": {
    ...ES256,
    async make({ ecPem }) {
      const [{ default: { verify } }, { createPublicKey }] = [await import("jsonwebtoken"), await import("node:crypto")];
      const key = createPublicKey(ecPem);
      return (token) => verify(token, key, { algorithms: ["ES256"], issuer: ISSUER, audience: AUDIENCE, clockTolerance: 5 });
    },
  },
  "@node-rs/jsonwebtoken": {
    ...EDDSA,
    async make({ jwk }) {
      const { verifySync } = await import("@node-rs/jsonwebtoken");
      const key = await pem(jwk);
      return (token) => verifySync(token, key, { algorithms: ["EdDSA"], iss: [ISSUER], aud: [AUDIENCE], leeway: 5 });
    },
  },
  "node:crypto by hand": {
    ...EDDSA,
    async make({ jwk }) {
      const { createPublicKey, verify } = await import("node:crypto");
      const key = createPublicKey({ key: jwk, format: "jwk" });
      return (token) => {
        const parts = token.split(".");
        if (parts.length !== 3) throw new Error("malformed");
        const { alg, kid, typ } = JSON.parse(Buffer.from(parts[0], "base64url"));
        if (alg !== "EdDSA" || kid !== jwk.kid || typ !== TYP) throw new Error("unknown key");
        const signed = Buffer.from(token.slice(0, token.lastIndexOf(".")), "latin1");
        if (!verify(null, signed, key, Buffer.from(parts[2], "base64url"))) throw new Error("bad signature");
        const claims = JSON.parse(Buffer.from(parts[1], "base64url"));
        if (claims.iss !== ISSUER || claims.aud !== AUDIENCE) throw new Error("issuer or audience");
        const now = Date.now() / 1000;
        if (!(claims.iat <= now + 5 && now < claims.exp + 5)) throw new Error("expired");
        return claims;
      };
    },
  },
};

/** The peers, as npm packages. */
export const PEERS = ["jose", "fast-jwt", "jsonwebtoken", "@node-rs/jsonwebtoken"];
