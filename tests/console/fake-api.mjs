// The test bed of the page for operators: serves its files with the headers of the service, and
// answers its requests with rich and hostile data. A test changes `api.world` between requests.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { buildConsole } from "../../scripts/console.mjs";
import { root } from "../../scripts/paths.mjs";

export const CREDENTIALS = { owner: "credential-of-alice", viewer: "credential-of-bob" };
const NAMES = { owner: "alice", viewer: "bob" };

/** Texts that would run, or break the page, if they were not shown as text. */
export const HOSTILE = {
  script: "<script>alert(1)</script>",
  image: '<img src=x onerror="alert(2)">',
  address: "javascript:alert(3)",
  turned: "\u202Egnp.exe\u202C\u200F",
  long: "x".repeat(190),
  nested: `${'{"a":'.repeat(400)}1${"}".repeat(400)}`,
  polluting: '{"__proto__":{"isOwner":true},"constructor":{"prototype":{}},"big":9007199254740993}',
};

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** The policy of the page, as the service sends it. */
function policy() {
  const source = readFileSync(`${root}/src/service/admin/console.rs`, "utf8");
  return source.match(/const POLICY: &str = "([^"]+)"/)[1].replace(/\\\n\s*/g, "");
}

export const USER = "7c0ffee0-0000-4000-8000-000000000001";
export const HOSTILE_USER = "bad00000-0000-4000-8000-000000000002";
export const STUCK = "pay-5tuck0000000000000001";
export const AUDIENCE = "example-app";

const before = (now, milliseconds) => new Date(now - milliseconds).toISOString();

function userList(now) {
  return [
    { uid: USER, username: "alice_pi", scopes: ["username", "payments"], firstSeenAt: before(now, 40 * DAY), lastSeenAt: before(now, 4 * 60_000), signIns: 31 },
    { uid: HOSTILE_USER, username: HOSTILE.script, scopes: ["username"], firstSeenAt: before(now, 3 * HOUR), lastSeenAt: before(now, 2 * HOUR), signIns: 2, blockedAt: before(now, HOUR), blockedReason: HOSTILE.image },
    { uid: "u-turned-0000000000000003", username: HOSTILE.turned, scopes: [], firstSeenAt: before(now, 5 * HOUR), lastSeenAt: before(now, 5 * HOUR), signIns: 1 },
    { uid: "u-noname-0000000000000004", scopes: [], firstSeenAt: before(now, 2 * DAY), lastSeenAt: before(now, DAY), signIns: 1 },
    { uid: "u-link-000000000000000005", username: HOSTILE.address, scopes: [], firstSeenAt: before(now, 3 * DAY), lastSeenAt: before(now, DAY), signIns: 8 },
    ...["minh.tran", "sofia_r", "kwame88"].map((username, at) => ({ uid: `u-${username}-00000000000${at}`, username, scopes: ["username"], firstSeenAt: before(now, (4 + at) * DAY), lastSeenAt: before(now, (3 + at) * HOUR), signIns: 5 + at })),
  ];
}

function paymentList(now) {
  const of = (index, more) => ({ paymentId: `pay-${String(index).padStart(21, "0")}`, orderId: `order-${index}`, uid: USER, username: "alice_pi", productId: "coffee", state: "paid", amount: "3.14", memo: "A cup of coffee", txid: `tx${index}`, createdAt: before(now, index * 47 * 60_000), approvedAt: before(now, index * 47 * 60_000 - 4_000), updatedAt: before(now, index * 47 * 60_000 - 30_000), checks: 0, ...more });
  const stuck = { paymentId: STUCK, state: "approved", txid: undefined, createdAt: before(now, 5 * HOUR), updatedAt: before(now, 4 * HOUR), checks: 12, nextCheckAt: before(now, -20 * 60_000), problem: "pi_refused", isStuck: true };
  return [
    of(1, { username: "sofia_r", uid: "u-sofia_r-000000000001", productId: "crumb", amount: "0.0000001" }),
    of(2, stuck),
    of(3, { state: "cancelled", txid: undefined, username: "kwame88", uid: "u-kwame88-000000000002" }),
    of(4, { uid: HOSTILE_USER, username: HOSTILE.script, memo: HOSTILE.image, productId: "poster" }),
    of(5, { uid: undefined, username: undefined, amount: "900719925.4740991" }),
    of(6, { state: "recorded", txid: undefined, username: HOSTILE.turned, uid: "u-turned-0000000000000003", approvedAt: undefined, problem: "upstream_timeout" }),
    ...Array.from({ length: 40 }, (_, at) => of(at + 7)),
  ];
}

/** A number for an hour, always the same, with a rhythm of days. */
const wave = (at, most, phase = 0) => Math.max(0, Math.round(most * (0.55 + 0.4 * Math.sin(((at + phase) / 24) * 2 * Math.PI) + 0.25 * Math.sin(at * 2.7 + phase))));

function seriesOf(range, now, isEmpty) {
  const [unit, count] = { "24h": ["hour", 24], "7d": ["hour", 168], "30d": ["day", 30], "90d": ["day", 90] }[range];
  const length = unit === "hour" ? HOUR : DAY;
  const start = Math.floor(now / length) * length;
  const scale = unit === "hour" ? 1 : 20;
  const points = Array.from({ length: count }, (_, index) => {
    const at = count - 1 - index;
    const time = new Date(start - at * length).toISOString();
    if (isEmpty) return { at: time, newUsers: 0, returning: 0, paid: { count: 0, amount: "0" }, refused: {}, pi: { calls: 0, failed: 0, ms: 0 } };
    const calls = wave(at, 24 * scale, 3);
    return {
      at: time,
      newUsers: wave(at, 3 * scale, 7),
      returning: wave(at, 22 * scale),
      paid: { count: wave(at, 2 * scale), amount: "6.28" },
      refused: { session_expired: wave(at, 6 * scale), access_token_rejected: wave(at, 2 * scale, 5), rate_limited: at === 9 ? 14 * scale : 0, refresh_rejected: at % 5 === 0 ? 2 * scale : 0, wrong_app: at % 7 === 0 ? scale : 0, origin_not_allowed: at % 8 === 0 ? scale : 0 },
      pi: { calls, failed: at === 9 ? 4 * scale : 0, ms: calls * (170 + wave(at, 120, 2)) },
    };
  });
  return { unit, points };
}

function overviewOf(range, world, role) {
  const now = world.now();
  const { isFirstDay, isCounting = true } = world;
  const fiveHoursAgo = `${before(now, 5 * HOUR).slice(0, 19)}Z`;
  const midnight = `${new Date(now).toISOString().slice(0, 10)}T00:00:00Z`;
  const today = { since: midnight, signIns: 412, newUsers: 37, refreshes: 1204, paid: { count: 19, amount: "61.2" }, refused: [{ code: "session_expired", count: 71 }, { code: "access_token_rejected", count: 20 }, { code: "rate_limited", count: 5 }], pi: { calls: 431, failed: 2, halfUnderMs: 200, most95UnderMs: 800 }, d1: { rowsRead: 48_210, rowsWritten: 18_020, shareRead: 0.0096, shareWritten: 0.1802 } };
  const nothing = { since: midnight, signIns: 0, newUsers: 0, refreshes: 0, paid: { count: 0, amount: "0" }, refused: [], pi: { calls: 0, failed: 0 }, d1: { rowsRead: 12, rowsWritten: 4, shareRead: 0.0000024, shareWritten: 0.00004 } };
  return {
    at: new Date(now).toISOString(),
    service: { issuer: "https://session.example.com", audience: AUDIENCE, version: "0.1.0", network: "Pi Network", environment: "production", counts: isCounting },
    operator: { name: NAMES[role], role },
    needs: isFirstDay
      ? [{ kind: "run_missing", level: "urgent", text: "The scheduled event has never run. Check that [triggers] is in the wrangler configuration." }]
      : world.needs ?? [
          { kind: "payments_stuck", level: "urgent", text: `3 payments are stuck, the oldest since ${fiveHoursAgo}. The most frequent problem is pi_refused.`, since: fiveHoursAgo, count: 3 },
          { kind: "run_missing", level: "urgent", text: "The scheduled event last ran 26 minutes ago. Check that [triggers] is in the wrangler configuration." },
          ...(isCounting ? [] : [{ kind: "counts_off", level: "notice", text: "COUNTS is off, so there are no figures, and no warning when Pi fails or a refresh token is used again. Set it to on." }]),
          { kind: "key_old", level: "notice", text: "The signing key is 97 days old. Replace it.", command: "npx pioneer-session keys rotate --file FILE" },
        ],
    ...(!isFirstDay && { run: { at: before(now, 26 * 60_000), outcome: { paid: 2, cancelled: 1, waiting: 0, failed: 3, givenUp: 0 } } }),
    ...(isCounting && {
      today: isFirstDay ? nothing : today,
      ...(!isFirstDay && { weekAgo: { ...today, signIns: 388, newUsers: 41, refreshes: 1150, paid: { count: 14, amount: "43.96" }, refused: [{ code: "session_expired", count: 80 }] } }),
      stock: isFirstDay ? {} : { users: { count: 18_420, at: before(now, 22 * 60_000) }, liveSessions: { count: 1204, at: before(now, 22 * 60_000) }, activeYesterday: { count: 903 } },
      series: seriesOf(range, now, isFirstDay),
    }),
  };
}

const settings = {
  settings: [
    { name: "SESSION_ISSUER", value: "https://session.example.com" },
    { name: "SESSION_AUDIENCE", value: AUDIENCE },
    { name: "ALLOWED_ORIGINS", value: "https://app.example.com" },
  ],
  secrets: [
    { name: "PI_API_KEY", isSet: true },
    { name: "PI_APP_ID", isSet: false },
  ],
  bindings: [
    { name: "DB", isSet: true },
    { name: "SIGN_IN_LIMIT", isSet: true },
  ],
  schema: { newest: "0010_contradictory_payments.sql", missing: [] },
  version: "0.1.0",
};

const keysOf = (now) => ({
  keys: [
    { kid: "3f2cPq0mZr2bVx8LkHt4NqUjYw", state: "active", since: before(now, 97 * DAY), ageDays: 97, jwk: {} },
    { kid: "9aBcPq0mZr2bVx8LkHt4NqUjYw", state: "next", jwk: {} },
  ],
});

function auditList(now) {
  const of = (id, minutes, entry) => ({ id, at: before(now, minutes * 60_000), actor: "alice", via: "console", requestId: "dGhlLXJlcXVlc3Qt", ...entry });
  return [
    of(6, 20, { action: "user.sessions_ended", target: USER }),
    of(5, 60, { action: "user.blocked", target: HOSTILE_USER, detail: { reason: HOSTILE.image } }),
    of(4, 200, { action: "product.changed", target: "coffee", detail: { old: { amount: "3", active: true }, new: { amount: "3.14", active: true } } }),
    of(3, 900, { actor: "shop", via: "backend", action: "notifications.sent", detail: { requested: 12, delivered: 9, unconfirmed: 0 } }),
    of(2, 1500, { via: "cli", action: "payment.settled", target: STUCK, detail: { before: "approved", after: "paid" } }),
  ];
}

const sessionsOf = (now) => [
  { sid: "s1", createdAt: before(now, 6 * DAY), lastSeenAt: before(now, 4 * 60_000), expiresAt: before(now, -24 * DAY), userAgent: "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36 PiBrowser/1.9", country: "VN" },
  { sid: "s2", createdAt: before(now, 20 * DAY), lastSeenAt: before(now, 2 * DAY), expiresAt: before(now, -10 * DAY), userAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1", country: "PH" },
  { sid: "s3", createdAt: before(now, 21 * DAY), lastSeenAt: before(now, 20 * DAY), expiresAt: before(now, -9 * DAY), userAgent: HOSTILE.image },
];

const problemOf = (status, code, detail) => ({ status, body: { type: "about:blank", title: "Refused", status, code, detail, requestId: "dGhlLXJlcXVlc3Qt" }, isProblem: true });
const NOT_FOUND = problemOf(404, "not_found", "No such route or resource.");

/** A page of a list. A cursor is the position, which the page must not look into. */
function pageOf(name, items, query, size = 25) {
  const limit = Number(query.get("limit") ?? size);
  const start = Number(query.get("after")?.slice(1) ?? 0);
  const next = start + limit < items.length ? `c${start + limit}` : undefined;
  return { body: { [name]: items.slice(start, start + limit), next } };
}

/** The answers of the API, apart from credentials and roles. */
function answer(world, method, path, query, body, role) {
  const [kind, encoded, act] = path.split("/");
  const id = encoded === undefined ? undefined : decodeURIComponent(encoded);
  const now = world.now();
  world.users ??= userList(now);
  world.payments ??= paymentList(now);
  world.products ??= [
    { id: "coffee", name: "A cup of coffee", amount: "3.14", active: true },
    { id: "crumb", name: "A crumb", amount: "0.0000001", active: false },
    { id: "poster", name: HOSTILE.script, amount: "25", active: true },
  ];
  world.sessions ??= sessionsOf(now);
  const user = world.users.find(({ uid }) => uid === id);
  const payment = world.payments.find(({ paymentId }) => paymentId === id);
  if (method !== "GET" && role === "viewer") return problemOf(403, "operator_forbidden", "Your role does not permit this.");
  const list = (items) => (world.isFirstDay ? [] : items);
  const confirmed = (given, expected) => (given === expected ? { status: 204 } : problemOf(422, "confirmation_required", "Confirm with the exact text."));
  const wanted = query.get("q")?.toLowerCase();
  switch (`${method} ${kind}${id === undefined ? "" : "/id"}${act === undefined ? "" : `/${act}`}`) {
    case "GET overview":
      return { body: overviewOf(query.get("range") ?? "24h", world, role) };
    case "GET users":
      return pageOf("users", list(world.users.filter(({ uid, username = "" }) => wanted === undefined || uid === wanted || username.toLowerCase().startsWith(wanted))), query);
    case "GET users/id":
      return user ? { body: { user, data: { bytes: 2048, version: "v7Qm" } } } : NOT_FOUND;
    case "GET users/id/sessions":
      return pageOf("sessions", world.sessions, query);
    case "GET users/id/payments":
      return pageOf("payments", world.payments.filter(({ uid }) => uid === id), query, 5);
    case "GET users/id/data":
      return { body: world.data ?? HOSTILE.polluting, isText: true };
    case "GET users/id/export":
      return { body: { user, sessions: world.sessions } };
    case "DELETE users/id":
      return user ? confirmed(query.get("confirm"), id) : NOT_FOUND;
    case "POST users/id/block":
      Object.assign(user, { blockedAt: new Date(now).toISOString(), blockedReason: body.reason });
      return { status: 204 };
    case "POST users/id/unblock":
      Object.assign(user, { blockedAt: undefined, blockedReason: undefined });
      return { status: 204 };
    case "POST users/id/revoke":
      world.sessions = [];
      return { status: 204 };
    case "DELETE sessions/id":
      world.sessions = world.sessions.filter(({ sid }) => sid !== id);
      return { status: 204 };
    case "GET payments": {
      const state = query.get("state");
      const found = world.payments.filter((one) => (wanted === undefined || [one.paymentId, one.orderId, one.txid].includes(query.get("q"))) && (!state || one.state === state) && (query.get("stuck") === null || one.isStuck));
      return pageOf("payments", list(found), query);
    }
    case "GET payments/id": {
      if (!payment) return NOT_FOUND;
      const { createdAt, approvedAt, updatedAt, state, orderId, productId, amount, memo } = payment;
      const steps = [["ordered", createdAt], ["recorded", createdAt], ["approved", approvedAt], [state, state === "paid" || state === "cancelled" ? updatedAt : undefined]];
      return { body: { payment, order: { orderId, productId, amount, memo, createdAt }, timeline: steps.filter(([, at]) => at).map(([event, at]) => ({ at, event })) } };
    }
    case "POST payments/id/settle":
      if (world.settling) return world.settling;
      Object.assign(payment, { state: "paid", txid: "tx-found", isStuck: false, problem: undefined, nextCheckAt: undefined, updatedAt: new Date(now).toISOString() });
      return { body: { paymentId: id, state: "paid" } };
    case "POST payments/id/cancel":
      Object.assign(payment, { state: "cancelled", isStuck: false, updatedAt: new Date(now).toISOString() });
      return { body: { paymentId: id, state: "cancelled" } };
    case "GET products":
      return { body: { products: list(world.products) } };
    case "POST products":
      if (!(Number(body.amount) > 0)) return problemOf(400, "invalid_request", "amount must be above 0.");
      world.products.push({ ...body, active: true });
      return { status: 201, body: { ...body, active: true } };
    case "PATCH products/id":
      return { body: Object.assign(world.products.find((product) => product.id === id), body) };
    case "GET settings":
      return { body: settings };
    case "GET keys":
      return { body: keysOf(now) };
    case "GET audit":
      return pageOf("entries", list(auditList(now).filter(({ target }) => !query.get("target") || target === query.get("target"))), query);
    case "POST revoke-all":
      return confirmed(body.confirm, AUDIENCE);
    default:
      return NOT_FOUND;
  }
}

/** Starts the server. `requests` has what the page asked for, and `isDown` makes the database fail. */
export async function startFakeApi() {
  const { files } = buildConsole();
  const TYPES = { js: "text/javascript", css: "text/css", html: "text/html" };
  const headers = { "content-security-policy": policy(), "x-content-type-options": "nosniff", "cross-origin-opener-policy": "same-origin" };
  const api = { world: {}, requests: [], tokens: new Map(), isDown: false };
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://localhost");
    const chunks = await request.toArray().catch(() => undefined);
    if (!chunks) return; // the page was closed while it asked
    const text = Buffer.concat(chunks).toString();
    const end = ({ status = 200, body, isText, isProblem }) => {
      const type = isProblem ? "application/problem+json" : "application/json";
      response.writeHead(status, { "content-type": type, "cache-control": "no-store" }).end(body === undefined ? undefined : isText ? body : JSON.stringify(body));
    };
    const name = url.pathname === "/console" ? "index.html" : url.pathname.replace("/console/", "");
    if (Object.hasOwn(files, name)) {
      return response.writeHead(200, { ...headers, "content-type": `${TYPES[name.split(".").pop()]}; charset=utf-8` }).end(files[name]);
    }
    if (!url.pathname.startsWith("/admin/")) return end(NOT_FOUND);
    const path = url.pathname.slice("/admin/".length);
    api.requests.push(`${request.method} ${path}${url.search}`);
    const bearer = request.headers.authorization?.replace("Bearer ", "");
    const rejected = problemOf(401, "operator_rejected", "The operator's token or credential is not valid.");
    if (request.method === "POST" && path === "session") {
      const role = Object.keys(CREDENTIALS).find((role) => CREDENTIALS[role] === bearer);
      if (!role) return end(rejected);
      const operatorToken = `token-${api.tokens.size}-${role}`;
      api.tokens.set(operatorToken, role);
      return end({ body: { operatorToken, expiresIn: 3600, name: NAMES[role], role } });
    }
    const role = api.tokens.get(bearer);
    if (!role) return end(rejected);
    if (api.isDown) return end(problemOf(503, "storage_unavailable", "The database is not available. It is safe to try again in a few seconds."));
    api.world.now ??= () => Date.now();
    return end(answer(api.world, request.method, path, url.searchParams, text && JSON.parse(text), role));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return Object.assign(api, {
    url: `http://127.0.0.1:${server.address().port}`,
    reset() {
      api.world = {};
      api.requests.length = 0;
      api.isDown = false;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  });
}
