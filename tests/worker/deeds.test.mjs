// The deeds of operators and backends in the built Worker, in real workerd with a real D1: a deed
// and its entry of the audit are one transaction, entries do not change, a blocked user cannot sign
// in, and a database without the newest migrations still signs users in.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CREDENTIAL, OPERATOR, startTestbed } from "../faults/testbed.mjs";
import { logLine } from "../support/log.mjs";

const DAY = 86_400;

/** What the newest migrations add to users and payments, and how it is removed again. */
const WITHOUT_MIGRATIONS = [
  "DROP TABLE audit",
  "ALTER TABLE payments DROP COLUMN approved_at",
  ...["users_by_username", "users_by_first_seen"].map((name) => `DROP INDEX ${name}`),
  ...["blocked_at", "blocked_reason"].map((name) => `ALTER TABLE users DROP COLUMN ${name}`),
];

describe("the deeds of operators", { timeout: 900_000 }, () => {
  let testbed;
  before(async () => void (testbed = await startTestbed()));
  after(() => testbed?.close());

  const owner = (method, path, body) => testbed.ask(method, `/admin/${path}`, { token: OPERATOR, body });
  const audit = () => testbed.rows("SELECT actor, via, action, target, detail FROM audit ORDER BY id");
  async function signedIn() {
    const user = testbed.newUser();
    assert.equal((await user.signIn()).status, 200);
    return user;
  }

  /** How many rows D1 read and wrote for the request of this answer. */
  async function costs({ headers }) {
    for (let tries = 0; tries < 100; tries++) {
      const line = testbed.lines.map(logLine).find((line) => line?.requestId === headers.get("x-request-id"));
      if (line) return [line.rowsRead, line.rowsWritten];
      await sleep(20);
    }
    return assert.fail("the request is not in the log");
  }

  /** The requests that change something of this user, of a payment or of a product. */
  async function deeds(user) {
    const { id } = await user.signed();
    const { id: other } = await (await signedIn()).approved();
    return [
      ["POST", `/admin/payments/${id}/settle`],
      ["POST", `/admin/payments/${other}/cancel`],
      ["POST", "/admin/products", { id: `tea-${id}`, name: "Tea", amount: "1" }],
      ["PATCH", "/admin/products/coffee", { amount: "3.14" }],
      ["DELETE", `/admin/sessions/${user.sid}`],
      ["POST", `/admin/users/${user.uid}/revoke`],
      ["POST", `/admin/users/${user.uid}/block`, { reason: "a" }],
      ["POST", `/admin/users/${user.uid}/unblock`],
      ["GET", `/admin/users/${user.uid}/data`],
      ["GET", `/admin/users/${user.uid}/export`],
      ["DELETE", `/admin/users/${user.uid}?confirm=${user.uid}`],
      ["POST", "/admin/revoke-all", { confirm: "test-app" }],
    ];
  }

  /** Everything that is stored but the audit and the numbers. */
  async function everything() {
    const tables = ["users", "sessions", "erased_sessions", "epochs", "products", "orders", "payments", "turns", "ads"];
    return Promise.all(tables.map(async (table) => [table, await testbed.rows(`SELECT * FROM ${table} ORDER BY 1`)]));
  }

  test("without the table of the audit, no deed is done and nothing is shown", async () => {
    const requests = await deeds(await signedIn());
    const backends = [["POST", "/users/c4007d00-0000-4000-8000-000000000000/revoke"], ["POST", "/revoke-all"]];
    await testbed.rows("ALTER TABLE audit RENAME TO hidden");
    const stored = await everything();
    for (const [token, list] of [[OPERATOR, requests], [CREDENTIAL, backends]]) {
      for (const [method, path, body] of list) {
        const answer = await testbed.ask(method, path, { token, body });
        assert.equal(answer.json.code, "storage_unavailable", `${method} ${path}: ${answer.text}`);
        assert.deepEqual(await everything(), stored, `${method} ${path}`);
      }
    }
    await testbed.rows("ALTER TABLE hidden RENAME TO audit");
    assert.deepEqual(await audit(), []);
    // With it, each is done, and has its entry.
    for (const [method, path, body] of requests) {
      const { status, text } = await testbed.ask(method, path, { token: OPERATOR, body });
      assert.ok([200, 201, 204].includes(status), `${method} ${path}: ${text}`);
    }
    const entries = await audit();
    assert.deepEqual(entries.map(({ action }) => action), [
      "payment.asked", "payment.settled", "payment.asked", "payment.cancelled", "product.added", "product.changed", "session.ended", "user.sessions_ended",
      "user.blocked", "user.unblocked", "user.data_read", "user.exported", "user.erased", "everyone.sessions_ended",
    ]);
    assert.ok(entries.every(({ actor, via }) => actor === "alice" && via === "cli"));
    const details = entries.slice(0, 6).map(({ detail }) => JSON.parse(detail));
    const terms = { amount: "3.14", active: true };
    assert.deepEqual(details, [{ step: "complete" }, { before: "approved", after: "paid" }, { step: "cancel" }, { before: "approved", after: "cancelled" }, { name: "Tea", amount: "1" }, { old: terms, new: terms }]);
  });

  test("an entry does not change, and is kept for 400 days", async () => {
    const now = Math.floor(Date.now() / 1000);
    const entry = (at) => testbed.rows(`INSERT INTO audit (at, actor, via, action, request_id) VALUES (${at}, 'old', 'cli', 'user.blocked', 'r')`);
    await entry(now);
    const stored = await audit();
    await assert.rejects(testbed.rows("UPDATE audit SET actor = 'bob'"), /an entry of the audit does not change/);
    await assert.rejects(testbed.rows("DELETE FROM audit"), /an entry of the audit is kept for 400 days/);
    assert.deepEqual(await audit(), stored);
    // Without the trigger for a moment, so that the oldest entries are the first ones, as always.
    const [{ sql }] = await testbed.rows("SELECT sql FROM sqlite_master WHERE name = 'audit_is_kept'");
    for (const text of ["DROP TRIGGER audit_is_kept", "DELETE FROM audit", sql]) await testbed.rows(text);
    for (const days of [500, 450, 401, 399, 0]) await entry(now - days * DAY);
    // The first run of an hour deletes them.
    for (let run = 0; run < 2; run++) await testbed.scheduled(run * 3600);
    const left = await testbed.rows("SELECT at FROM audit WHERE actor = 'old' ORDER BY at");
    assert.deepEqual(left.map(({ at }) => Math.round((now - at) / DAY)), [399, 0]);
  });

  test("a blocked user cannot sign in, until unblocked", async () => {
    const user = await signedIn();
    const reason = "<script>alert(1)</script> \u202e 'quoted' \"too\" __proto__";
    assert.equal((await owner("POST", `users/${user.uid}/block`, { reason })).status, 204);
    const { refreshToken } = user;
    assert.equal((await user.ask("GET", "/session")).status, 401);
    assert.equal((await testbed.ask("POST", "/session/refresh", { body: { refreshToken } })).json.code, "refresh_rejected");
    const before = await everything();
    const refused = await user.signIn();
    assert.deepEqual([refused.status, refused.json.code], [403, "user_blocked"]);
    assert.deepEqual((await costs(refused))[1], 0, "no row is written");
    assert.equal((await user.signIn(undefined, { headers: { "idempotency-key": "a-key-of-this-sign-in" } })).json.code, "user_blocked");
    assert.deepEqual(await everything(), before);
    const shown = (await owner("GET", `users/${user.uid}`)).json.user;
    assert.equal(shown.blockedReason, reason);
    assert.equal((await owner("POST", `users/${user.uid}/unblock`)).status, 204);
    assert.equal((await user.signIn()).status, 200);
    // An erasure leaves no reason behind.
    assert.equal((await owner("POST", `users/${user.uid}/block`, { reason })).status, 204);
    const { id } = await (async () => { await owner("POST", `users/${user.uid}/unblock`); await user.signIn(); return user.approved(); })();
    assert.equal((await owner("POST", `users/${user.uid}/block`, { reason })).status, 204);
    for (let time = 0; time < 2; time++) assert.equal((await owner("DELETE", `users/${user.uid}?confirm=${user.uid}`)).status, 204);
    assert.deepEqual(await testbed.rows(`SELECT * FROM users WHERE uid = '${user.uid}'`), []);
    assert.deepEqual(await testbed.rows(`SELECT uid FROM payments WHERE id = '${id}'`), [{ uid: null }]);
    assert.equal((await owner("DELETE", "users/nobody?confirm=nobody")).status, 404);
    assert.equal((await user.signIn()).json.user.isNew, true);
  });

  test("a returning user costs no row of an index, and a new name does", async (t) => {
    const user = testbed.newUser();
    const first = await user.signIn();
    const uid = `uid = '${user.uid}'`;
    const again = await costs(await user.signIn());
    const begun = await costs(first);
    t.diagnostic(`rows read and written: new ${begun}, returning ${again}`);
    assert.ok(again[1] < begun[1]);
    assert.deepEqual(await testbed.rows(`SELECT last_seen_at - first_seen_at BETWEEN 0 AND 60 AS near, sign_ins FROM users WHERE ${uid}`), [{ near: 1, sign_ins: 2 }]);
    await testbed.rows(`UPDATE users SET username = 'another', first_seen_at = 7 WHERE ${uid}`);
    const renamed = await costs(await user.signIn());
    const [row] = await testbed.rows(`SELECT username, first_seen_at FROM users WHERE ${uid}`);
    assert.deepEqual([row.username !== "another", row.first_seen_at], [true, 7]);
    t.diagnostic(`with another name ${renamed}`);
    assert.ok(renamed[1] > again[1]);
  });

  test("without the newest migrations, users sign in and pay as before, and the clock runs", async () => {
    const user = await signedIn();
    for (const sql of WITHOUT_MIGRATIONS) await testbed.rows(sql);
    const payment = await user.begin();
    assert.equal((await user.step(payment, "approve")).status, 200);
    assert.equal((await user.complete(payment, await user.sign(payment))).status, 200);
    await testbed.rows("DELETE FROM marks");
    await testbed.scheduled(0);
    assert.deepEqual(await testbed.rows("SELECT name FROM marks WHERE name = 'roll_up'"), [{ name: "roll_up" }]);
    for (const someone of [user, testbed.newUser(), user]) {
      const answer = await someone.signIn();
      assert.equal(answer.status, 200, answer.text);
      assert.equal((await someone.ask("GET", "/session")).status, 200);
      assert.equal((await someone.ask("DELETE", "/me")).status, 204);
    }
    const { json } = await owner("POST", `users/${user.uid}/block`, { reason: "a" });
    assert.equal(json.code, "storage_unavailable");
    assert.match(json.detail, /migrations apply DB/);
  });
});
