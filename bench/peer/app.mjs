// The peer: a careful JavaScript Worker with Hono, jose and WebCrypto that signs in and checks
// sessions. It sends the same answers as ours, header by header, writes the same rows with the same
// SQL, and logs the same line.

import { Hono } from "hono";
import { SignJWT, errors, importJWK, jwtVerify } from "jose";
import { COUNT_SIGN_IN, INSERT_SESSION, LIMIT_SESSIONS, LIVE_USER, NAME_USER, SWEEP, UPSERT_USER } from "./statements.mjs";

const TYP = "pi-session+jwt";
const MAX_BODY_BYTES = 16 * 1024;
const MAX_ANSWER_BYTES = 64 * 1024;
const DEADLINE_MS = 5000;
const KEPT_SECONDS = 120;
const NAMED_OF_USER = 100;
const SIGN_INS_SECONDS = 3720;
const SWEEP_LIMIT = 20;
const MAX_SESSIONS = 10;
const IDLE_TTL = 604_800;
const ACCESS_TOKEN = /^[A-Za-z0-9\-._~+/]{1,4096}=*$/;
export const UID = /^[A-Za-z0-9_-]{1,128}$/;
const PURPOSE = new TextEncoder().encode("pioneer-session refresh token\n");

const TITLES = { 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict", 413: "Payload Too Large", 415: "Unsupported Media Type", 422: "Unprocessable Content", 500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable" };

export class Problem extends Error {
  constructor(status, code, detail) {
    super(code);
    Object.assign(this, { status, code, detail });
  }
}

const base64url = (bytes) => bytes.toBase64({ alphabet: "base64url", omitPadding: true });
export const random = (length) => base64url(crypto.getRandomValues(new Uint8Array(length)));
export const time = (seconds) => new Date(seconds * 1000).toISOString().replace(".000", "");
export const now = () => Math.floor(Date.now() / 1000);

let ready;

/** Keys are imported once in each isolate. */
const setUp = (env) => (ready ??= prepare(env));

async function prepare(env) {
  const { keys } = JSON.parse(env.SESSION_KEYS);
  const verifying = new Map();
  for (const { kty, crv, x, kid } of keys) verifying.set(kid, await importJWK({ kty, crv, x }, "EdDSA"));
  const active = keys.find(({ state }) => state === "active");
  const secret = Uint8Array.fromBase64(env.REFRESH_SECRET, { alphabet: "base64url" });
  const jwks = JSON.stringify({ keys: keys.map(({ kty, crv, x, kid }) => ({ kty, crv, x, kid, alg: "EdDSA", use: "sig" })) });
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(jwks));
  return {
    kid: active.kid,
    signing: await importJWK(active, "EdDSA"),
    keyOf: ({ kid }) => {
      const key = verifying.get(kid);
      if (!key) throw new errors.JWKSNoMatchingKey();
      return key;
    },
    refresh: await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]),
    jwks,
    etag: `"${base64url(new Uint8Array(digest))}"`,
    ttl: Number(env.SESSION_TTL),
  };
}

export const app = new Hono();

/** The events of the log, by request; those of all others are below. */
const EVENTS = { "POST /session": "session.opened", "POST /orders": "order.made" };

app.use(async (c, next) => {
  const began = Date.now();
  const requestId = random(12);
  c.set("requestId", requestId);
  c.set("facts", {});
  const spent = { piMs: 0, piCalls: 0, piStatus: undefined, d1Ms: 0, d1Calls: 0, rowsRead: 0, rowsWritten: 0 };
  c.set("spent", spent);
  await next();
  const { headers } = c.res;
  if (!headers.has("cache-control")) headers.set("cache-control", "no-store");
  headers.set("x-request-id", requestId);
  headers.set("x-content-type-options", "nosniff");
  headers.set("referrer-policy", "no-referrer");
  headers.set("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
  headers.set("cross-origin-resource-policy", "same-origin");
  headers.set("strict-transport-security", "max-age=31536000");
  headers.append("vary", "Origin");
  const { status } = c.res;
  const { method, path: route } = c.req;
  const durationMs = Date.now() - began;
  if (status < 400 && (route === "/health" || route === "/.well-known/jwks.json")) return;
  headers.set("server-timing", `pi;dur=${spent.piMs}, db;dur=${spent.d1Ms}, total;dur=${durationMs}`);
  const event = status >= 400 ? "request.refused" : (EVENTS[`${method} ${route}`] ?? "request.served");
  const [level, write] = status >= 500 ? ["error", "error"] : ["info", "log"];
  console[write](JSON.stringify({ message: `${method} ${route} ${status}`, level, event, requestId, method, route, status, code: c.get("code"), reason: c.get("reason"), ...c.get("facts"), durationMs, ...spent, version: "0.1.0" }));
});

/** Adds the time of a call to the request's line. */
async function timed(c, name, call) {
  const began = Date.now();
  const spent = c.get("spent");
  try {
    return await call;
  } finally {
    spent[`${name}Ms`] += Date.now() - began;
    spent[`${name}Calls`]++;
  }
}

/** Runs a batch of statements. */
export async function batch(c, statements) {
  const results = await timed(c, "d1", c.env.DB.batch(statements));
  for (const { meta } of results) count(c, meta);
  return results;
}

/** The first row that a statement finds, or null. */
export async function first(c, statement) {
  const { results, meta } = await timed(c, "d1", statement.all());
  count(c, meta);
  return results[0] ?? null;
}

function count(c, meta) {
  const spent = c.get("spent");
  spent.rowsRead += meta?.rows_read ?? 0;
  spent.rowsWritten += meta?.rows_written ?? 0;
}

/** Asks Pi. */
export async function askPi(c, url, options) {
  const answer = await timed(c, "pi", fetch(url, { ...options, redirect: "manual", signal: AbortSignal.timeout(DEADLINE_MS) })).catch(() => {
    throw new Problem(503, "upstream_unavailable", "Pi cannot be reached. Try again after Retry-After seconds.");
  });
  c.get("spent").piStatus = answer.status;
  return answer;
}

app.onError((error, c) => {
  const { status, code, detail } = error instanceof Problem ? error : new Problem(500, "internal", "An unexpected error occurred. Report the requestId to the operator of this service.");
  c.set("code", code);
  if (status === 500) c.set("reason", error.message);
  const headers = { "content-type": "application/problem+json" };
  if (status === 401) headers["www-authenticate"] = code === "session_missing" ? "Bearer" : 'Bearer error="invalid_token"';
  return c.body(JSON.stringify({ type: `https://pioneer-session.github.io/pioneer-session/errors#${code}`, title: TITLES[status], status, code, detail, requestId: c.get("requestId") }), status, headers);
});
app.notFound(() => {
  throw new Problem(404, "not_found", "No such route or resource.");
});

app.get("/health", (c) => c.json({ status: "ok", version: "0.1.0" }));

app.get("/.well-known/jwks.json", async (c) => {
  const { jwks, etag } = await setUp(c.env);
  const headers = { "cache-control": "public, max-age=300", "content-type": "application/jwk-set+json", etag };
  return c.req.header("if-none-match") === etag ? c.body(null, 304, headers) : c.body(jwks, 200, headers);
});

/** The body of a request, which is a small JSON object. */
export async function json(c) {
  if (c.req.header("content-type")?.split(";")[0] !== "application/json") {
    throw new Problem(415, "unsupported_media_type", "Send Content-Type: application/json, in UTF-8 and uncompressed.");
  }
  if (Number(c.req.header("content-length")) > MAX_BODY_BYTES) throw new Problem(413, "body_too_large", "Send at most 16 KiB.");
  return c.req.json().catch(() => {
    throw new Problem(400, "invalid_request", "The body is not well-formed JSON in UTF-8.");
  });
}

app.post("/session", async (c) => {
  const { env } = c;
  const { signing, kid, refresh, ttl } = await setUp(env);
  const iat = now();
  const { accessToken } = await json(c);
  if (typeof accessToken !== "string" || !ACCESS_TOKEN.test(accessToken)) {
    throw new Problem(400, "invalid_request", "accessToken is not the access token that Pi.authenticate gives.");
  }

  const pioneer = await me(c, accessToken, iat);
  if (env.PI_APP_ID && pioneer.app_id !== env.PI_APP_ID) {
    throw new Problem(403, "wrong_app", "The access token was not made for this app. Call Pi.authenticate in this app and send its token.");
  }

  const sid = random(16);
  const exp = iat + ttl;
  const end = iat + IDLE_TTL;
  const { uid, username = null } = pioneer;
  const scope = (pioneer.credentials?.scopes ?? []).join(" ");
  const claims = {
    iss: env.SESSION_ISSUER, aud: env.SESSION_AUDIENCE, sub: uid, sid, iat, exp, auth_time: iat, jti: `${sid}-0`, scope,
    ...(username !== null && { preferred_username: username }), app_bound: Boolean(env.PI_APP_ID),
  };
  const [sessionToken, refreshToken] = await Promise.all([
    new SignJWT(claims).setProtectedHeader({ alg: "EdDSA", kid, typ: TYP }).sign(signing),
    deriveRefreshToken(refresh, sid, 0),
  ]);

  const db = env.DB;
  const agent = c.req.header("user-agent")?.slice(0, 200) ?? null;
  const [, users] = await batch(c, [
    db.prepare(SWEEP).bind(uid, iat - KEPT_SECONDS, iat - SIGN_INS_SECONDS, SWEEP_LIMIT),
    db.prepare(UPSERT_USER).bind(uid, username, scope, iat, iat - SIGN_INS_SECONDS, NAMED_OF_USER, sid),
    db.prepare(INSERT_SESSION).bind(sid, uid, iat, exp, end, env.PI_APP_ID || null, agent, c.req.header("cf-ipcountry") ?? null, null),
    db.prepare(COUNT_SIGN_IN).bind(uid, iat - (iat % 3600)),
    db.prepare(NAME_USER).bind(uid, username, iat),
    db.prepare(LIMIT_SESSIONS).bind(uid, iat, sid, MAX_SESSIONS, null),
  ]);
  const [found] = users.results;
  const isNew = found.sign_ins === 1;
  const row = { ...found, username, first_seen_at: isNew ? iat : found.first_seen_at };
  c.set("facts", { uid, sid, isNew, appBound: Boolean(env.PI_APP_ID) });
  return c.json({
    sessionToken, tokenType: "Bearer", expiresIn: ttl, expiresAt: time(exp), refreshToken, refreshExpiresAt: time(end),
    user: { ...userJson(row), isNew },
  });
});

app.get("/session", async (c) => {
  const { claims, row } = await session(c);
  return c.json({ sid: claims.sid, uid: claims.sub, issuedAt: time(claims.iat), expiresAt: time(claims.exp), user: userJson(row) });
});

/** The claims of the request's session token, and the user of its live session. */
export async function session(c) {
  const { env } = c;
  const { keyOf } = await setUp(env);
  const authorization = c.req.header("authorization");
  if (!authorization || !/^bearer /i.test(authorization)) {
    throw new Problem(401, "session_missing", "Sign in with POST /session, then send Authorization: Bearer <sessionToken>.");
  }
  const options = { issuer: env.SESSION_ISSUER, audience: env.SESSION_AUDIENCE, typ: TYP, algorithms: ["EdDSA"] };
  const { payload: claims } = await jwtVerify(authorization.slice(7).trim(), keyOf, options).catch((error) => {
    throw error instanceof errors.JWTExpired
      ? new Problem(401, "session_expired", "The session token has expired. Refresh the session, or sign in again.")
      : new Problem(401, "session_invalid", "This is not a session token of this service. Sign in again.");
  });
  c.set("facts", { uid: claims.sub, sid: claims.sid });
  const row = await first(c, env.DB.prepare(LIVE_USER).bind(claims.sid, now()));
  if (!row) throw new Problem(401, "session_revoked", "The session was revoked. Sign in again.");
  return { claims, row };
}

async function me(c, accessToken, iat) {
  const answer = await askPi(c, `${c.env.PI_API_BASE}/v2/me`, {
    headers: { authorization: `Bearer ${accessToken}`, accept: "application/json", "user-agent": "pioneer-session-peer/1" },
  });
  if (answer.status === 401 || answer.status === 403) throw new Problem(401, "access_token_rejected", "Pi does not accept this access token. Call Pi.authenticate again.");
  const invalid = () => new Problem(502, "upstream_invalid", "Pi's answer could not be understood. Nothing was changed; try again later.");
  if (answer.status !== 200 || !answer.headers.get("content-type")?.startsWith("application/json")) throw invalid();
  if (Number(answer.headers.get("content-length")) > MAX_ANSWER_BYTES) throw invalid();
  const user = await answer.json().catch(() => {
    throw invalid();
  });
  if (typeof user?.uid !== "string" || !UID.test(user.uid)) throw invalid();
  if (user.credentials?.valid_until?.timestamp <= iat) throw new Problem(401, "access_token_rejected", "Pi does not accept this access token. Call Pi.authenticate again.");
  return user;
}

async function deriveRefreshToken(key, sid, refreshes) {
  const rest = new Uint8Array(4 + sid.length);
  new DataView(rest.buffer).setUint32(0, refreshes);
  new TextEncoder().encodeInto(sid, rest.subarray(4));
  const message = new Uint8Array(PURPOSE.length + rest.length);
  message.set(PURPOSE);
  message.set(rest, PURPOSE.length);
  const code = new Uint8Array(await crypto.subtle.sign("HMAC", key, message));
  const token = new Uint8Array(code.length + rest.length);
  token.set(code);
  token.set(rest, code.length);
  return base64url(token);
}

const userJson = ({ uid, username, scopes, first_seen_at, last_seen_at }) => ({
  uid,
  ...(username !== null && { username }),
  scopes: scopes === "" ? [] : scopes.split(" "),
  firstSeenAt: time(first_seen_at),
  lastSeenAt: time(last_seen_at),
});
