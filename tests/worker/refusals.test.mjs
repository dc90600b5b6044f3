// A refused request writes nothing: the tests compare all tables before and after each refusal of
// the built Worker, in workerd with a real D1 and the simulated Pi. The few rows that a refusal
// writes on purpose are named with it. Rate limits and logs are not in the database.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { calculateThumbprint, generateKeyPair } from "dpop";
import { root } from "../../scripts/paths.mjs";
import { routes } from "../faults/routes.mjs";
import { CREDENTIAL, OPERATOR, startTestbed } from "../faults/testbed.mjs";

const TXID = "a".repeat(64);
const LONG = JSON.stringify({ text: "x".repeat(300 * 1024) });
const PAYMENT = { amount: 3.14, memo: "A cup of coffee" };

describe("a refused request", { timeout: 900_000 }, () => {
  let testbed;
  let bob; // another user, who has an order, an approved payment, and a claimed ad
  let theirs;
  let tables;
  const sql = (text) => testbed.rows(text);

  before(async () => {
    testbed = await startTestbed();
    const named = await sql("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%' AND name <> 'counts'");
    tables = named.map(({ name }) => name);
    bob = testbed.newUser();
    await bob.signIn();
    const ad = await bob.watchAd();
    await bob.ask("POST", `/ads/${ad}/claim`);
    theirs = { ad, sid: bob.sid, ...(await bob.approved()) };
    theirs.order = bob.orders[0];
    await sql("INSERT INTO products (id, name, amount_stroops, active) VALUES ('tea', 'Tea', 7, 1), ('withdrawn', 'Rum', 7, 0)");
    // A payment that the Worker does not know yet.
    const { json } = await bob.order();
    theirs.unknown = (await testbed.pi(testbed.newUser(), "POST", "payments", { ...PAYMENT, metadata: json.metadata })).identifier;
  });
  after(() => testbed?.close());

  /** All rows of all tables, except the numbers for the operator, which no request waits for. The
   * key of each table is its first column. */
  async function dump() {
    // In one call, because each costs milliseconds.
    const found = await testbed.batch(tables.map((name) => `SELECT * FROM ${name}`));
    return new Map(tables.flatMap((name, i) => found[i].map((row) => [`${name} ${Object.values(row)[0]}`, row])));
  }

  /** Every written row, as its table and the changed columns. */
  function changes(before, after) {
    const written = [];
    for (const key of new Set([...before.keys(), ...after.keys()])) {
      const [table] = key.split(" ");
      const [old, now] = [before.get(key), after.get(key)];
      if (!old || !now) written.push(`${table}: ${now ? "a new row" : "a deleted row"}`);
      else written.push(...Object.keys(now).filter((column) => old[column] !== now[column]).map((column) => `${table}: ${column}`));
    }
    return written.sort();
  }

  /** Makes every row three seconds older, so that a write of the present time is a change. */
  async function age() {
    await testbed.batch([
      "UPDATE users SET last_seen_at = last_seen_at - 3 WHERE erased_at IS NULL",
      "UPDATE payments SET looks = looks + 1, due_at = due_at - 3 WHERE due_at IS NOT NULL",
      "UPDATE payments SET updated_at = updated_at - 3",
      "UPDATE turns SET due_at = due_at - 3",
    ]);
  }

  const signedIn = async (user) => void (await user.signIn());
  const isFull = (limiter = 1) => ({ limiter: { [limiter]: "full" } });
  /** A payment for this order that only Pi knows. */
  const paymentFor = async (user, orderId, members) => (await testbed.pi(user, "POST", "payments", { ...PAYMENT, metadata: { orderId }, ...members })).identifier;

  const refresh = (user, refreshToken, options) => user.ask("POST", "/session/refresh", { token: null, body: { refreshToken }, ...options });
  const bound = async (user) => {
    const key = await generateKeyPair("ES256");
    await user.signIn(undefined, { dpopJkt: await calculateThumbprint(key.publicKey) });
    return key;
  };
  const put = (user, body, headers, faults) => user.ask("PUT", "/me/data", { body, headers, faults });
  const withData = async (user) => { await user.signIn(); await put(user, "{}"); };
  const claim = (user, id, faults) => user.ask("POST", `/ads/${id}/claim`, { faults });
  const watched = async (user) => { await user.signIn(); return user.watchAd(); };
  const introspect = (user, token, body, type = "application/x-www-form-urlencoded") => user.ask("POST", "/introspect", { token, body, headers: { "content-type": type } });

  // Payments of a signed-in user, by their progress.
  const begun = async (user) => { await user.signIn(); return user.begin(); };
  const approved = async (user) => { await user.signIn(); return (await user.approved()).id; };
  const signed = async (user) => { await user.signIn(); return user.signed(); };
  const paid = async (user) => {
    const payment = await signed(user);
    assert.equal((await user.complete(payment.id, payment.txid)).status, 200);
    return payment;
  };
  const cancelled = async (user) => {
    const id = await approved(user);
    assert.equal((await user.step(id, "cancel")).status, 200);
    return id;
  };
  /** Another payment for an order that is paid. */
  const late = async (user) => { await paid(user); return paymentFor(user, user.orders[0]); };
  const misfit = (members) => async (user) => {
    await user.signIn();
    const { json } = await user.order();
    return paymentFor(user, json.orderId, members);
  };
  const payout = async (user) => {
    await user.signIn();
    const { json } = await user.order();
    return (await testbed.pi(user, "POST", "payouts", { ...PAYMENT, metadata: json.metadata })).identifier;
  };
  const expired = async (user) => {
    const id = await begun(user);
    await sql(`UPDATE orders SET created_at = created_at - 3601 WHERE id = '${user.orders[0]}'`);
    return id;
  };
  const withdrawn = async (user) => {
    const id = await begun(user);
    await sql(`UPDATE orders SET product_id = 'withdrawn' WHERE id = '${user.orders[0]}'`);
    return id;
  };
  const foreign = async (user) => { await user.signIn(); return theirs.id; };

  const approve = (user, id, faults) => user.step(id, "approve", faults);
  const cancel = (user, id, faults) => user.step(id, "cancel", faults);
  const recover = (user, id, faults) => user.step(id, "recover", faults);
  const pi = (at, fault) => (step) => (user, id) => step(user, id, { pi: { [at]: fault } });
  const completed = (user, { id, txid }, faults) => user.complete(id, txid, faults);

  // A payment is stored before Pi is asked to act: after a crash, the scheduled run finds it.
  const RECORDED = ["orders: delete_at", "payments: a new row", "turns: a new row"];
  // Pi was asked again, so the scheduled run reads the payment again soon.
  const LOOKED_AT = ["payments: due_at", "payments: looks"];

  /** The route and the cause, the status and code, how a test prepares the request, how it sends
   * it, and the rows that the refusal writes on purpose. */
  const REFUSALS = [
    ["POST /session, no JSON", "400 invalid_request", null, (user) => user.ask("POST", "/session", { body: "{" })],
    ["POST /session, a text", "415 unsupported_media_type", null, (user) => user.ask("POST", "/session", { body: "a", headers: { "content-type": "text/plain" } })],
    ["POST /session, a long body", "413 body_too_large", null, (user) => user.ask("POST", "/session", { body: LONG })],
    ["POST /session, an odd thumbprint", "400 invalid_request", null, (user) => user.signIn(undefined, { dpopJkt: "x" })],
    ["POST /session, an odd key", "400 invalid_request", null, (user) => user.signIn(undefined, { headers: { "idempotency-key": "?" } })],
    ["POST /session, a foreign origin", "403 origin_not_allowed", null, (user) => user.signIn(undefined, { headers: { origin: "https://evil.example" } })],
    ...Object.entries({
      "sim-revoked": "401 access_token_rejected", "sim-403": "401 access_token_rejected", "sim-expired": "401 access_token_rejected",
      "sim-other-app": "403 wrong_app", "sim-app-id-absent": "403 wrong_app", "sim-app-id-number": "403 wrong_app",
      "sim-404": "502 upstream_invalid", "sim-200-html": "502 upstream_invalid", "sim-duplicate": "502 upstream_invalid", "sim-truncated": "502 upstream_invalid", "sim-redirect": "502 upstream_invalid",
      "sim-429": "503 upstream_unavailable", "sim-500-html": "503 upstream_unavailable", "sim-broken": "503 upstream_unavailable",
    }).map(([accessToken, expected]) => [`POST /session, ${accessToken}`, expected, null, (user) => user.ask("POST", "/session", { body: { accessToken } })]),
    ["POST /session, too many from an address", "429 rate_limited", null, (user) => user.signIn(isFull())],
    ["POST /session, too many of a user", "429 rate_limited", signedIn, (user) => user.signIn(isFull(2))],
    ["POST /session, D1 fails", "503 storage_unavailable", signedIn, (user) => user.signIn({ d1: { 1: "error" } })],
    ["POST /session, no signature", "500 internal", signedIn, (user) => user.signIn({ signature: { 1: "error" } })],

    ["POST /session/refresh, no token", "400 invalid_request", signedIn, (user) => user.ask("POST", "/session/refresh", { body: "{}" })],
    ["POST /session/refresh, a made-up token", "401 refresh_rejected", signedIn, (user) => refresh(user, `${user.refreshToken.slice(0, -2)}AA`)],
    ["POST /session/refresh, a revoked session", "401 refresh_rejected", async (user) => { await user.signIn(); await user.ask("DELETE", "/session"); }, (user) => refresh(user, user.refreshToken)],
    ["POST /session/refresh, too many", "429 rate_limited", signedIn, (user) => refresh(user, user.refreshToken, { faults: isFull() })],
    ["POST /session/refresh, a key without its proof", "401 invalid_dpop_proof", bound, (user) => refresh(user, user.refreshToken)],
    ["POST /session/refresh, a proof without a key", "401 invalid_dpop_proof", signedIn, async (user) => user.prove(await generateKeyPair("ES256"), user.refreshToken)],
    ["POST /session/refresh, another key", "401 invalid_dpop_proof", bound, async (user) => user.prove(await generateKeyPair("ES256"), user.refreshToken)],
    ["POST /session/refresh, a proof of another time", "401 use_dpop_nonce", bound, (user, key) => user.prove(key, user.refreshToken, { aheadMs: 200_000 })],
    // A copied token revokes its session.
    ["POST /session/refresh, a spent token", "401 refresh_reused", async (user) => {
      await user.signIn();
      const spent = user.refreshToken;
      for (let times = 0; times < 2; times++) user.keep((await refresh(user, user.refreshToken)).json);
      return spent;
    }, refresh, ["sessions: expires_at", "sessions: revocation", "sessions: revoked_at"]],

    ["DELETE /sessions/{sid}, another user's", "404 not_found", signedIn, (user) => user.ask("DELETE", `/sessions/${theirs.sid}`)],
    ["DELETE /sessions/{sid}, nobody's", "404 not_found", signedIn, (user) => user.ask("DELETE", "/sessions/nobodys")],
    ["DELETE /sessions/{sid}, no id", "404 not_found", signedIn, (user) => user.ask("DELETE", "/sessions/%20")],
    ["DELETE /sessions/{sid}, without a token", "401 session_missing", signedIn, (user) => user.ask("DELETE", `/sessions/${user.sid}`, { token: null })],
    ["DELETE /sessions, a forged token", "401 session_invalid", signedIn, (user) => user.ask("DELETE", "/sessions", { token: `${user.token.slice(0, -4)}AAAA` })],
    ["DELETE /session, an expired token", "401 session_expired", signedIn, (user) => user.ask("DELETE", "/session", { faults: { aheadMs: 700_000 } })],
    ["DELETE /me, too many", "429 rate_limited", signedIn, (user) => user.ask("DELETE", "/me", { faults: isFull() })],

    ["PUT /me/data, no JSON", "400 invalid_request", signedIn, (user) => put(user, "{")],
    ["PUT /me/data, duplicate names", "400 invalid_request", signedIn, (user) => put(user, '{"a":1,"a":2}')],
    ["PUT /me/data, a long object", "413 body_too_large", signedIn, (user) => put(user, LONG)],
    ["PUT /me/data, a text", "415 unsupported_media_type", signedIn, (user) => put(user, "{}", { "content-type": "text/plain" })],
    ["PUT /me/data, without a version", "428 precondition_required", withData, (user) => put(user, '{"a":1}')],
    ["PUT /me/data, another version", "412 precondition_failed", withData, (user) => put(user, '{"a":1}', { "if-match": '"other"' })],
    ["PUT /me/data, a version of nothing", "412 precondition_failed", signedIn, (user) => put(user, '{"a":1}', { "if-match": "*" })],
    ["PUT /me/data, too many", "429 rate_limited", signedIn, (user) => put(user, "{}", {}, isFull())],
    ["PUT /me/data, without a token", "401 session_missing", signedIn, (user) => user.ask("PUT", "/me/data", { token: null, body: "{}" })],

    ["POST /orders, no JSON", "400 invalid_request", signedIn, (user) => user.ask("POST", "/orders", { body: "{" })],
    ["POST /orders, an odd key", "400 invalid_request", signedIn, (user) => user.order(undefined, { "idempotency-key": "?" })],
    ["POST /orders, a long body", "413 body_too_large", signedIn, (user) => user.ask("POST", "/orders", { body: LONG })],
    ["POST /orders, a text", "415 unsupported_media_type", signedIn, (user) => user.order(undefined, { "content-type": "text/plain" })],
    ["POST /orders, an unknown product", "404 product_not_found", signedIn, (user) => user.ask("POST", "/orders", { body: { productId: "none" } })],
    ["POST /orders, a withdrawn product", "404 product_not_found", signedIn, (user) => user.ask("POST", "/orders", { body: { productId: "withdrawn" } })],
    // A user with as many open orders as there may be.
    ["POST /orders, a key of another order", "422 idempotency_key_reused", async (user) => {
      await user.signIn();
      await user.order(undefined, { "idempotency-key": "key" });
      for (let more = 1; more < 20; more++) await user.order();
    }, (user) => user.ask("POST", "/orders", { body: { productId: "tea" }, headers: { "idempotency-key": "key" } })],
    ["POST /orders, an unknown product and a key", "404 product_not_found", signedIn, (user) => user.ask("POST", "/orders", { body: { productId: "none" }, headers: { "idempotency-key": "key" } })],
    ["POST /orders, too many", "429 rate_limited", signedIn, (user) => user.order(isFull())],
    ["POST /orders, a foreign origin", "403 origin_not_allowed", signedIn, (user) => user.order(undefined, { origin: "https://evil.example" })],

    ["POST /ads/{adId}/claim, not watched", "409 ad_not_granted", signedIn, async (user) => claim(user, (await testbed.pi(user, "POST", "ads", { status: "failed" })).adId)],
    ["POST /ads/{adId}/claim, unknown", "409 ad_not_granted", signedIn, (user) => claim(user, "none")],
    ["POST /ads/{adId}/claim, another user's", "409 ad_already_claimed", signedIn, (user) => claim(user, theirs.ad)],
    ["POST /ads/{adId}/claim, too many", "429 rate_limited", watched, (user, id) => claim(user, id, isFull())],
    ...[["401", "500 misconfigured"], ["html", "502 upstream_invalid"], ["500", "503 upstream_unavailable"], ["429", "503 upstream_unavailable"]]
      .map(([fault, expected]) => [`POST /ads/{adId}/claim, Pi: ${fault}`, expected, watched, (user, id) => claim(user, id, { pi: { 1: fault, 2: fault, 3: fault } })]),

    ["POST /introspect, no credential", "401 backend_rejected", signedIn, (user) => introspect(user, user.token, `token=${user.token}`)],
    ["POST /introspect, no token", "400 invalid_request", signedIn, (user) => introspect(user, CREDENTIAL, "a=b")],
    ["POST /introspect, JSON", "415 unsupported_media_type", signedIn, (user) => introspect(user, CREDENTIAL, "{}", "application/json")],
    ["POST /introspect, a long body", "413 body_too_large", signedIn, (user) => introspect(user, CREDENTIAL, `token=${LONG}`)],
    ["POST /users/{uid}/revoke, a user's token", "401 backend_rejected", signedIn, (user) => user.ask("POST", `/users/${user.uid}/revoke`)],
    ["POST /users/{uid}/revoke, no uid", "404 not_found", signedIn, (user) => user.ask("POST", "/users/%20/revoke", { token: CREDENTIAL })],
    ["POST /revoke-all, a user's token", "401 backend_rejected", signedIn, (user) => user.ask("POST", "/revoke-all")],

    ["POST /admin/session, a wrong credential", "401 operator_rejected", signedIn, (user) => user.ask("POST", "/admin/session", { token: "x" })],
    ["POST /admin/session, a backend's credential", "401 operator_rejected", signedIn, (user) => user.ask("POST", "/admin/session", { token: CREDENTIAL })],
    ["POST /admin/session, a user's token", "401 operator_rejected", signedIn, (user) => user.ask("POST", "/admin/session")],
    ["POST /admin/session, too many wrong ones", "429 rate_limited", signedIn, (user) => user.ask("POST", "/admin/session", { token: "x", faults: isFull() })],
    ["POST /admin/session, too many right ones", "429 rate_limited", signedIn, (user) => user.ask("POST", "/admin/session", { token: OPERATOR, faults: isFull() })],
    ["GET /admin/session, a user's token", "401 operator_rejected", signedIn, (user) => user.ask("GET", "/admin/session")],

    // Each step of a payment.
    ...[["approve", begun, approve], ["complete", signed, completed], ["cancel", approved, cancel], ["recover", signed, (user, { id }, faults) => recover(user, id, faults)]].flatMap(([name, prepare, step]) => {
      const route = `POST /payments/{paymentId}/${name}`;
      const withId = (id) => (user) => (name === "complete" ? user.complete(id(), TXID) : user.step(id(), name));
      const readFails = (fault) => (user, input) => step(user, input, { pi: Object.fromEntries([1, 2, 3].map((at) => [at, fault])) });
      return [
        [`${route}, another user's`, "403 payment_not_yours", signedIn, withId(() => theirs.id)],
        [`${route}, another user's at Pi`, "403 payment_not_yours", signedIn, withId(() => theirs.unknown)],
        [`${route}, unknown`, "404 payment_not_found", signedIn, withId(() => "none")],
        [`${route}, no id`, "404 payment_not_found", signedIn, withId(() => "%20")],
        [`${route}, too many`, "429 rate_limited", prepare, (user, input) => step(user, input, isFull())],
        [`${route}, Pi rejects the key`, "500 misconfigured", prepare, readFails("401")],
        [`${route}, Pi sends a page`, "502 upstream_invalid", prepare, readFails("html")],
        [`${route}, Pi sends another payment`, "502 upstream_invalid", prepare, readFails("another-id")],
        [`${route}, Pi is busy`, "503 upstream_unavailable", prepare, readFails("429")],
        [`${route}, Pi fails`, "503 upstream_unavailable", prepare, readFails("500")],
        [`${route}, a payout`, "422 payment_mismatch", payout, (user, id) => (name === "complete" ? user.complete(id, TXID) : user.step(id, name))],
        [`${route}, D1 fails`, "503 storage_unavailable", prepare, (user, input) => step(user, input, { d1: { 1: "error" } })],
      ];
    }),
    ["approve, another amount", "422 payment_mismatch", misfit({ amount: 3.13 }), approve],
    ["approve, an order of nobody", "422 payment_mismatch", misfit({ metadata: { orderId: "none" } }), approve],
    ["approve, without an order", "422 payment_mismatch", misfit({ metadata: {} }), approve],
    ["approve, another user's order", "422 payment_mismatch", async (user) => { await user.signIn(); return paymentFor(user, theirs.order); }, approve],
    ["approve, an old order", "409 order_expired", expired, approve],
    ["approve, a withdrawn product", "409 order_expired", withdrawn, approve],
    ["approve, a paid order", "409 order_already_paid", late, approve],
    ["approve, a cancelled payment", "409 payment_cancelled", cancelled, approve],
    ["approve, a payment that its user has cancelled", "409 payment_cancelled", begun, pi(1, "cancelled")(approve)],
    ["approve, Pi refuses", "502 pi_refused", begun, pi(2, "409")(approve), RECORDED],
    ["approve, Pi refuses again", "502 pi_refused", async (user) => { const id = await begun(user); await pi(2, "409")(approve)(user, id); return id; }, pi(2, "409")(approve), LOOKED_AT],

    ["complete, no txid", "400 invalid_request", approved, (user, id) => user.ask("POST", `/payments/${id}/complete`, { body: "{}" })],
    ["complete, an odd txid", "400 invalid_request", approved, (user, id) => user.complete(id, "x")],
    ["complete, a long body", "413 body_too_large", approved, (user, id) => user.ask("POST", `/payments/${id}/complete`, { body: LONG })],
    ["complete, a text", "415 unsupported_media_type", approved, (user, id) => user.ask("POST", `/payments/${id}/complete`, { body: "a", headers: { "content-type": "text/plain" } })],
    ["complete, another transaction", "422 txid_mismatch", signed, (user, { id }) => user.complete(id, TXID)],
    ["complete, another transaction of a paid payment", "422 txid_mismatch", paid, (user, { id }) => user.complete(id, TXID)],
    ["complete, a cancelled payment", "409 payment_cancelled", cancelled, (user, id) => user.complete(id, TXID)],
    ["complete, a paid order", "409 order_already_paid", late, (user, id) => user.complete(id, TXID)],
    ["complete, another amount", "422 payment_mismatch", misfit({ amount: 3.13 }), (user, id) => user.complete(id, TXID)],
    ["complete, a payment that is not paid", "502 pi_refused", approved, (user, id) => user.complete(id, TXID), LOOKED_AT],
    // A person must settle this payment, and needs its transaction.
    ["complete, cancelled with a transaction", "409 payment_has_transaction", signed, (user, { id, txid }) => user.complete(id, txid, { pi: { 1: "cancelled" } }), ["payments: txid", "payments: updated_at"]],

    ["cancel, a payment with a transaction", "409 payment_has_transaction", signed, (user, { id }) => cancel(user, id)],
    ["cancel, a paid payment", "409 order_already_paid", paid, (user, { id }) => cancel(user, id)],
    ["cancel, Pi refuses", "502 pi_refused", approved, pi(2, "409")(cancel)],
    ["recover, Pi refuses to cancel", "502 pi_refused", approved, pi(2, "409")(recover)],
    ["recover, Pi refuses to complete", "502 pi_refused", signed, (user, { id }) => recover(user, id, { pi: { 2: "409" } }), LOOKED_AT],
  ];

  for (const [name, expected, prepare, ask, written = []] of REFUSALS) {
    test(`${name}: ${expected} ${written.length > 0 ? `writes only ${written.join(", ")}` : "writes nothing"}`, async () => {
      const user = testbed.newUser();
      const input = await prepare?.(user);
      await age();
      const before = await dump();
      const { status, json, text } = await ask(user, input);
      assert.equal(`${status} ${json.code}`, expected, text);
      assert.deepEqual(changes(before, await dump()), [...written].sort());
    });
  }

  const { paths } = JSON.parse(readFileSync(`${root}/src/service/openapi.json`, "utf8"));
  const needsSession = (name) => {
    const [, method, path] = name.match(/^([A-Z]+) ([^ ,]+)/);
    return paths[path][method.toLowerCase()].security.some((scheme) => "session" in scheme);
  };
  const WAYS = {
    "itself, by DELETE /session": (user) => user.ask("DELETE", "/session"),
    "another session of its user": async (user) => {
      const { token, sid } = user;
      await user.signIn();
      const answer = await user.ask("DELETE", `/sessions/${sid}`);
      user.token = token;
      return answer;
    },
    "a backend": (user) => user.ask("POST", `/users/${user.uid}/revoke`, { token: CREDENTIAL }),
    "the erasure of its user": (user) => user.ask("DELETE", "/me"),
  };

  // The process does not yet know that the session was revoked, as after a revocation by another
  // process: so the database refuses the first request, in its only call. Then the process
  // remembers it. Signing out always asks, because a cookie may name the session instead.
  for (const [way, revoke] of Object.entries(WAYS)) {
    for (const [name, route] of Object.entries(routes).filter(([name]) => needsSession(name))) {
      test(`${name}, with a token that was revoked by ${way}: 401 session_revoked, writes nothing and asks Pi nothing`, async () => {
        const user = testbed.newUser();
        const input = await route.prepare(user);
        assert.equal((await revoke(user)).status, 204);
        await age();
        const before = await dump();
        for (const d1 of [1, name === "DELETE /session" ? 1 : 0]) {
          const { status, json, calls } = await route.ask(user, input);
          assert.deepEqual([status, json.code], [401, "session_revoked"]);
          assert.deepEqual([calls.d1, calls.pi], [d1, 0]);
        }
        assert.deepEqual(changes(before, await dump()), []);
      });
    }
  }
});
