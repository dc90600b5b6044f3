// An issuer on loopback for tests of verifiers: its keys, its feed of revoked sessions, and valid
// and forged tokens.

import { createHash, createPrivateKey, sign } from "node:crypto";
import { createServer, request as httpRequest } from "node:http";
import { newKey } from "../../pkg/cli/keys.mjs";

export const AUDIENCE = "example-app";

const now = () => Math.floor(Date.now() / 1000);
const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Signs claims under the header of `key` and `alg`, with the private key of `signer`. */
export function mint(claims, { key, signer = key, typ = "pi-session+jwt", alg = "EdDSA" }) {
  const signed = `${base64url({ alg, kid: key.kid, typ })}.${base64url(claims)}`;
  return `${signed}.${sign(null, Buffer.from(signed), createPrivateKey({ key: signer, format: "jwk" })).toString("base64url")}`;
}

/** The fingerprint of a session id, decoded by Node: 8 bytes. */
export const fingerprintOf = (sid) => Buffer.from(sid.slice(-12).padStart(12, "A"), "base64url").subarray(-8);

/**
 * The document of a window of the feed, signed with `options` as in `mint`. It names the sessions
 * `sids`. Other members are its claims. `fingerprints` replaces the bytes after the token only.
 */
export function feedOf({ sids = [], fingerprints, iat = now(), ...members }, options) {
  const named = Buffer.concat(sids.map(fingerprintOf));
  const latest = now();
  const window = {
    aud: AUDIENCE, iat, exp: iat + 300, epoch: 0, users: {}, from: 0, to: 0, last_iat: latest, last_exp: latest + 3600,
    sids_sha256: createHash("sha256").update(named).digest("base64url"), ...members,
  };
  return Buffer.concat([Buffer.from(`${mint(window, { typ: "pi-revocations+jwt", ...options })}\n`), fingerprints ?? named]);
}

/** The claims of a session of the user alice. */
export const claims = (iss, { iat = now(), ...members } = {}) => ({
  iss, aud: AUDIENCE, sub: "uid-alice", sid: "sid-alice", iat, exp: iat + 600, auth_time: iat, jti: "jti-1",
  scope: "username", preferred_username: "alice_pioneer", app_bound: true, ...members,
});

/**
 * Starts the issuer. Its feed names the session "ended". For a path without its query, `fails`
 * makes it answer 500, `hangs` makes it never answer, and `resets` makes it close the connection.
 * `asked` lists the requested paths, without queries.
 */
export async function issuer({ fails = () => false, hangs = () => false, resets = () => false } = {}) {
  const key = newKey();
  const { kty, crv, x, kid } = key;
  const asked = [];
  const ended = ["ended"]; // their numbers are 1, 2 and so on
  let iss;
  const answers = {
    "/.well-known/jwks.json": () => JSON.stringify({ keys: [{ kty, crv, x, kid, alg: "EdDSA", use: "sig" }] }),
    "/revocations": (after = 0) => feedOf({ iss, sids: ended.slice(after), from: Math.min(after, ended.length), to: ended.length }, { key }),
  };
  const server = createServer((request, response) => {
    const { pathname: path, searchParams } = new URL(request.url, iss);
    asked.push(path);
    if (hangs(path)) return;
    if (resets(path)) return request.socket.resetAndDestroy();
    const answer = fails(path) ? undefined : answers[path];
    response.writeHead(answer ? 200 : 500).end(answer?.(Number(searchParams.get("after"))));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  iss = `http://127.0.0.1:${server.address().port}`;
  const token = (members, options) => mint(claims(iss, members), { key, ...options });
  return {
    url: iss,
    asked,
    token,
    jwk: { kty, crv, x, kid },
    /** Revokes a session. */
    end: (sid) => ended.push(sid),
    /** Closes all open connections. */
    drop: () => server.closeAllConnections(),
    tokens: {
      good: token(),
      expired: token({ iat: now() - 700, exp: now() - 100 }),
      revoked: token({ sid: "ended" }),
      forged: token({}, { signer: newKey() }),
      unsigned: `${base64url({ alg: "none", kid, typ: "pi-session+jwt" })}.${base64url(claims(iss))}.`,
      otherAudience: token({ aud: "other-app" }),
      otherIssuer: token({ iss: "https://session.example.com" }),
      feed: answers["/revocations"]().toString("latin1").split("\n")[0], // a token without its fingerprints
    },
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

/** Sends a request with exactly these header lines, which fetch would join. */
export function ask(url, { authorization = [], method = "GET", body, type = "application/json", host = new URL(url).host, headers: more = [] } = {}) {
  const headers = ["Host", host, "Connection", "close", ...more];
  for (const value of [authorization].flat()) headers.push("Authorization", value);
  if (body !== undefined) headers.push("Content-Type", type, "Content-Length", String(Buffer.byteLength(body)));
  return new Promise((done, fail) => {
    const request = httpRequest(url, { method, headers }, async (response) => {
      let text = "";
      for await (const chunk of response.setEncoding("utf8")) text += chunk;
      done({ status: response.statusCode, headers: response.headers, text });
    });
    request.on("error", fail);
    request.end(body);
  });
}
