// Proofs of the browser's key (RFC 9449 §4.2): each is for one renewal, and has the issuer's time.

/** @import { BoundKey } from "./key.mjs" */

import { ES256, ascii, base64url } from "./key.mjs";
import { json, own } from "./own.mjs";
import { random } from "./random.mjs";

/**
 * @param {BoundKey} key
 * @param {string} htu
 * @param {number} now
 * @param {string} [nonce]
 */
export async function proofOf({ pair, jwk }, htu, now, nonce) {
  const header = own({ typ: "dpop+jwt", alg: "ES256", jwk });
  const claims = own({ htm: "POST", htu, iat: Math.floor(now / 1000), jti: random(), nonce });
  const text = `${base64url(json(header))}.${base64url(json(claims))}`;
  return `${text}.${base64url(await crypto.subtle.sign(ES256, pair.privateKey, ascii(text)))}`;
}
