// Makes a session key: `node scripts/keys.mjs` prints a value for the secret SESSION_KEYS.

import { createHash, generateKeyPairSync } from "node:crypto";
import { fileURLToPath } from "node:url";

/** A new Ed25519 key as a private JWK, named by its RFC 7638 thumbprint. */
export function newKey(state = "active") {
  const { kty, crv, x, d } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
  const kid = createHash("sha256").update(JSON.stringify({ crv, kty, x })).digest("base64url");
  return { kty, crv, x, d, kid, state };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(JSON.stringify({ keys: [newKey()] }));
}
