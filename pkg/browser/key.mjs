// The browser's key pair. A refresh token is bound to it (RFC 9449), so that a copy of the token is
// worth nothing without it. No script can export the private key, this module included.

/** @typedef {Pick<CryptoKeyPair, "privateKey" | "publicKey">} KeyPair */

/**
 * A key pair with its public half and the thumbprint (RFC 7638) of that.
 *
 * @typedef {{ pair: KeyPair, jwk: JsonWebKey, jkt: string }} BoundKey
 */

import { UNKNOWN } from "./errors.mjs";
import { json, own } from "./own.mjs";
import { within } from "./wait.mjs";

export const KEY_MS = 2_000; // IndexedDB takes milliseconds, but some versions of Safari never answer after a cold start

/** @type {Map<string, BoundKey>} */
const keys = new Map(); // those that this page has used

/** @param {string | ArrayBuffer} bytes */
export const base64url = (bytes) => {
  const text = typeof bytes === "string" ? bytes : String.fromCharCode(...new Uint8Array(bytes));
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
};
/** @param {string} text */
export const ascii = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
export const ES256 = own({ name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" });

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
const settled = (request) =>
  new Promise((done, fail) => {
    request.onsuccess = () => done(request.result);
    request.onerror = (event) => {
      event.preventDefault(); // Firefox would report it as an error of the page
      fail(request.error);
    };
  });

/**
 * The key pair of all tabs: the one in IndexedDB, or else the pair `made`, which is stored. If two
 * tabs store one at the same time, the second waits here and gets the first one's.
 *
 * @param {string} issuer
 * @param {KeyPair | false | undefined} made
 * @returns {Promise<KeyPair | false | undefined>}
 */
async function storedPair(issuer, made) {
  const request = indexedDB.open("pioneer-session", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("keys");
  const database = await settled(request);
  try {
    const transaction = database.transaction("keys", made ? "readwrite" : "readonly");
    // A successful put can still be lost, for example when the disk is full.
    const committed = new Promise((done, fail) => {
      transaction.oncomplete = done;
      transaction.onabort = fail;
    });
    const store = transaction.objectStore("keys");
    const found = own(await settled(store.get(issuer)));
    if (found.privateKey instanceof CryptoKey) return found;
    if (made) await settled(store.put(made, issuer));
    await committed;
    return made;
  } finally {
    database.close();
  }
}

/**
 * The browser's key for this issuer, undefined if there is none. It rejects when that cannot be
 * known. A session that does not survive a reload needs no key that does, so nothing is stored.
 *
 * @param {string} issuer
 * @param {unknown} isKept
 * @param {boolean} [isNew]
 * @returns {Promise<BoundKey | undefined>}
 */
export async function keyOf(issuer, isKept, isNew) {
  const name = (isKept ? "kept " : "") + issuer;
  const known = keys.get(name);
  if (known && !(isNew && isKept)) return known;
  return within(KEY_MS, UNKNOWN, async () => {
    let pair = known ? known.pair : isNew && (await crypto.subtle.generateKey(ES256, false, ["sign", "verify"]));
    if (isKept) pair = await storedPair(issuer, pair && { privateKey: pair.privateKey, publicKey: pair.publicKey });
    if (!pair) return undefined;
    const { x, y } = own(await crypto.subtle.exportKey("jwk", pair.publicKey));
    const jwk = own({ crv: "P-256", kty: "EC", x, y });
    const jkt = base64url(await crypto.subtle.digest("SHA-256", ascii(json(jwk))));
    const found = { pair, jwk, jkt };
    keys.set(name, found);
    return found;
  });
}
