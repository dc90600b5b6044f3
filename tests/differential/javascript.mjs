// The JavaScript columns of the differential matrix: each library with its strictest options. Every
// option that takes a value is used. An option that runs the caller's own check is not, because
// that check is not the library's. One exception: if the caller must find the key, it is found by
// its kid.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { AUDIENCE, FIXED_NOW, ISSUER, MAX_AGE, REQUIRED, TOLERANCE, TYP, makeTokens } from "./cases.mjs";
import { pem } from "./keys.mjs";

const require = createRequire(import.meta.url);
const packageVersion = (name) => {
  const path = require.resolve.paths(name).map((folder) => `${folder}/${name}/package.json`);
  for (const file of path) {
    try {
      return JSON.parse(readFileSync(file, "utf8")).version;
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
  }
  throw new Error(`${name} is not installed`);
};

/** Keys in PEM by kid. A Map has no inherited names. */
const byId = (jwks) => new Map(jwks.keys.map((jwk) => [jwk.kid, pem(jwk)]));

/** Recognizes a library's own errors by their class. Any other error is an accident. */
const named = (pattern) => (error) => error instanceof Error && pattern.test(error.constructor.name);

export const columns = {
  "pioneer-session": {
    version: () => "this source",
    options: "issuer, audience, clockTolerance, jwks",
    async make({ jwks }) {
      const { createVerifier } = await import("../../pkg/index.mjs");
      const verifier = await createVerifier({ issuer: ISSUER, audience: AUDIENCE, clockTolerance: TOLERANCE, jwks });
      return (token) => verifier.verify(token);
    },
    isOwnError: named(/^SessionError$/),
  },
  "jose": {
    version: () => packageVersion("jose"),
    options: "createLocalJWKSet; algorithms, issuer, audience, typ, requiredClaims, maxTokenAge, clockTolerance, currentDate",
    async make({ jwks, now }) {
      const { createLocalJWKSet, jwtVerify } = await import("jose");
      const keys = createLocalJWKSet(jwks);
      const options = {
        algorithms: ["EdDSA", "Ed25519"], issuer: ISSUER, audience: AUDIENCE, typ: TYP, requiredClaims: REQUIRED, maxTokenAge: MAX_AGE, clockTolerance: TOLERANCE,
        currentDate: new Date(now * 1000),
      };
      return (token) => jwtVerify(token, keys, options);
    },
    isOwnError: named(/^(JOSE|JWT|JWS|JWK)/),
  },
  "fast-jwt": {
    version: () => packageVersion("fast-jwt"),
    options: "key by id; algorithms, allowedIss, allowedAud, checkTyp, requiredClaims, maxAge, clockTolerance, clockTimestamp",
    async make({ jwks, now }) {
      const { createVerifier } = await import("fast-jwt");
      const keys = byId(jwks);
      return createVerifier({
        key: async ({ header }) => keys.get(header.kid) ?? Promise.reject(new Error("unknown key")),
        algorithms: ["EdDSA"], allowedIss: ISSUER, allowedAud: AUDIENCE, checkTyp: TYP, requiredClaims: REQUIRED, maxAge: MAX_AGE * 1000,
        clockTolerance: TOLERANCE * 1000, clockTimestamp: now * 1000, cache: false,
      });
    },
    isOwnError: named(/^TokenError$/),
  },
  "jsonwebtoken (ES256)": {
    version: () => packageVersion("jsonwebtoken"),
    algorithm: "ES256",
    options: "key by id; algorithms, issuer, audience, maxAge, clockTolerance, clockTimestamp. It has no EdDSA, no check of typ and no required claims",
    async make({ jwks, now }) {
      const { default: jsonwebtoken } = await import("jsonwebtoken");
      const keys = byId(jwks);
      const find = ({ kid }, found) => (keys.has(kid) ? found(null, keys.get(kid)) : found(new Error("unknown key")));
      const options = { algorithms: ["ES256"], issuer: ISSUER, audience: AUDIENCE, maxAge: MAX_AGE, clockTolerance: TOLERANCE, clockTimestamp: now };
      return (token) => new Promise((resolve, reject) => {
        jsonwebtoken.verify(token, find, options, (error, claims) => (error ? reject(error) : resolve(claims)));
      });
    },
    isOwnError: named(/^(JsonWebTokenError|TokenExpiredError|NotBeforeError)$/),
  },
  "hono/jwt": {
    version: () => packageVersion("hono"),
    options: "verifyWithJwks; allowedAlgorithms, iss, aud, typ, exp, nbf, iat. It has no tolerance, no maximal age and no required claims",
    async make({ jwks }) {
      const { verifyWithJwks } = await import("hono/jwt");
      const verification = { iss: ISSUER, aud: AUDIENCE, typ: TYP, exp: true, nbf: true, iat: true };
      return (token) => verifyWithJwks(token, { keys: jwks.keys, allowedAlgorithms: ["EdDSA"], verification });
    },
    isOwnError: named(/^Jwt/),
  },
  "@node-rs/jsonwebtoken": {
    version: () => packageVersion("@node-rs/jsonwebtoken"),
    clock: "system",
    options: "key by id of decodeHeader; algorithms, iss, aud, requiredSpecClaims, validateExp, validateNbf, leeway. It has no check of typ, no maximal age and reads the clock itself. Its errors are plain ones",
    async make({ jwks }) {
      const { decodeHeader, verifySync } = await import("@node-rs/jsonwebtoken");
      const keys = byId(jwks);
      const options = { algorithms: ["EdDSA"], iss: [ISSUER], aud: [AUDIENCE], requiredSpecClaims: ["exp", "iss", "aud", "sub"], validateExp: true, validateNbf: true, leeway: TOLERANCE };
      return (token) => {
        const key = keys.get(decodeHeader(token).keyId);
        if (!key) throw Object.assign(new Error("unknown key"), { code: "InvalidArg" });
        return verifySync(token, key, options);
      };
    },
    isOwnError: (error) => error instanceof Error && ["GenericFailure", "InvalidArg"].includes(error.code),
  },
  "aws-jwt-verify": {
    version: () => packageVersion("aws-jwt-verify"),
    options: "JwtVerifier with cacheJwks; issuer, audience, graceSeconds. The algorithm is the JWK's. It has no check of typ, no maximal age and no required claims; scope is not set, because a session may have none; customJwtCheck would run the caller's own code",
    async make({ jwks }) {
      const { JwtVerifier } = await import("aws-jwt-verify");
      const verifier = JwtVerifier.create({ issuer: ISSUER, audience: AUDIENCE, graceSeconds: TOLERANCE });
      verifier.cacheJwks(jwks);
      return (token) => verifier.verifySync(token);
    },
    async isOwnError(error) {
      const { JwtBaseError } = await import("aws-jwt-verify/error");
      return error instanceof JwtBaseError;
    },
  },
};

/** Stops the clock of JavaScript during a call, for libraries that have no option for the time. */
async function at(now, run) {
  const real = Date.now;
  if (now !== undefined) Date.now = () => now * 1000;
  try {
    return await run();
  } finally {
    Date.now = real;
  }
}

/** The verdict and the reason of one column for each token. */
export async function judge({ make, isOwnError, clock }, now, tokens) {
  const verifiers = new Map();
  const verdicts = [];
  for (const entry of tokens) {
    if (!entry) {
      verdicts.push(undefined);
      continue;
    }
    try {
      await at(clock === "system" ? undefined : now, async () => {
        if (!verifiers.has(entry.jwks)) verifiers.set(entry.jwks, await make({ jwks: entry.jwks, now }));
        await verifiers.get(entry.jwks)(entry.token);
      });
      verdicts.push({ verdict: "accepts" });
    } catch (error) {
      const reason = `${error?.code ?? error?.constructor?.name}: ${error?.message}`;
      verdicts.push({ verdict: (await isOwnError(error)) ? "refuses" : `throws ${error?.constructor?.name}`, reason });
    }
  }
  return verdicts;
}

/** Runs all JavaScript columns. The verdicts are in the order of the cases. */
export async function judgeAll() {
  const made = {};
  for (const [name, column] of Object.entries(columns)) {
    const now = column.clock === "system" ? Math.floor(Date.now() / 1000) : FIXED_NOW;
    const verdicts = await judge(column, now, makeTokens(column.algorithm ?? "EdDSA", now));
    made[name] = { version: column.version(), options: column.options, clock: column.clock ?? "fixed", verdicts };
  }
  return made;
}
