// The routes that operators read, in the built Worker in real workerd with a real D1: the figures
// equal those of the script that made them, the rows read do not grow with the app, no text has a
// meaning for the database, and a database without the newest migration is named.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OPERATOR, startTestbed } from "../faults/testbed.mjs";
import { calm } from "../support/clock.mjs";
import { logLine } from "../support/log.mjs";

const HOUR = 3600;
const DAY = 86_400;
const MAX_ROWS = 3000;
const MIGRATIONS = ["0009_operators.sql", "0010_contradictory_payments.sql"];

/** What the migrations add, and how it is removed again. */
const WITHOUT_MIGRATIONS = [
  "DROP TABLE audit",
  ...["users_by_username", "users_by_first_seen", "payments_by_created", "payments_unfinished", "payments_contradictory"].map((name) => `DROP INDEX ${name}`),
  ...["blocked_at", "blocked_reason"].map((name) => `ALTER TABLE users DROP COLUMN ${name}`),
  "ALTER TABLE payments DROP COLUMN approved_at",
  `DELETE FROM d1_migrations WHERE name IN (${MIGRATIONS.map((name) => `'${name}'`)})`,
];

describe("what operators read", { timeout: 900_000 }, () => {
  let testbed;
  before(async () => void (testbed = await startTestbed()));
  after(() => testbed?.close());

  async function read(path, status = 200) {
    const answer = await testbed.ask("GET", `/admin/${path}`, { token: OPERATOR });
    assert.equal(answer.status, status, `${path}: ${answer.text}`);
    return answer;
  }

  /** How many rows D1 read for this request. */
  async function rowsRead(path) {
    const { headers } = await read(path);
    for (let tries = 0; tries < 100; tries++) {
      const line = testbed.lines.map(logLine).find((line) => line?.requestId === headers.get("x-request-id"));
      if (line) return line.rowsRead;
      await sleep(20);
    }
    return assert.fail(`${path} is not in the log`);
  }

  test("the figures equal those of the script", async () => {
    await calm(3600, 180); // the newest number of the series is that of this hour
    const users = Array.from({ length: 20 }, () => testbed.newUser());
    for (const user of users) assert.equal((await user.signIn()).status, 200);
    for (const user of users.slice(0, 5)) await user.signIn();
    let stroops = 0;
    for (const user of users.slice(0, 7)) {
      const { id, txid } = await user.signed();
      assert.equal((await user.complete(id, txid)).json.state, "paid");
      stroops += 31_400_000;
    }
    for (let index = 0; index < 30; index++) await testbed.ask("GET", "/session", { token: "e30.e30.e30" });
    for (let index = 0; index < 12; index++) await testbed.ask("GET", "/nowhere");

    const { json: first } = await read("overview");
    const { today } = first;
    assert.deepEqual([today.signIns, today.newUsers], [25, 20]);
    assert.deepEqual(today.paid, { count: 7, amount: String(stroops / 1e7) });
    assert.equal(first.series.points.at(-1).newUsers, 20);
    assert.deepEqual(first.needs.map(({ kind }) => kind), ["run_missing"]);
    assert.deepEqual(first.stock, {});

    // Refusals are written from time to time, and the scheduled run makes the numbers of the hour.
    await testbed.ask("GET", "/nowhere", { faults: { aheadMs: 400_000 } });
    await testbed.scheduled(0);
    const { json: second } = await read("overview");
    assert.deepEqual(second.today.paid, today.paid, "before and after the roll-up");
    assert.deepEqual(second.needs, []);
    assert.equal(second.stock.users.count, 20);
    assert.equal(second.stock.liveSessions.count, 25);
    assert.deepEqual(second.run.outcome, { paid: 0, cancelled: 0, waiting: 0, failed: 0, givenUp: 0 });
    const refused = Object.fromEntries(second.today.refused.map(({ code, count }) => [code, count]));
    const [{ n }] = await testbed.rows("SELECT coalesce(sum(n), 0) AS n FROM counts WHERE name = 'refused'");
    assert.equal(Object.values(refused).reduce((sum, count) => sum + count, 0), n, "as stored");
    for (const range of ["7d", "30d", "90d"]) {
      const { json } = await read(`overview?range=${range}`);
      // Reading the numbers reads rows, too.
      assert.deepEqual({ ...json.today, d1: undefined }, { ...second.today, d1: undefined }, range);
      assert.equal(json.series.points.at(-1).newUsers + json.series.points.at(-1).returning, 25);
      assert.equal(json.series.points.length, { "7d": 168, "30d": 30, "90d": 90 }[range]);
    }

    const [found] = (await read(`users?q=${users[0].uid}`)).json.users;
    assert.deepEqual([found.uid, found.signIns], [users[0].uid, 2]);
    const { json: paid } = await read("payments?state=paid&limit=100");
    assert.equal(paid.payments.length, 7);
    for (const payment of paid.payments) {
      assert.ok(payment.approvedAt >= payment.createdAt && payment.updatedAt >= payment.approvedAt);
      const { json } = await read(`payments/${payment.paymentId}`);
      assert.deepEqual(json.payment, payment);
      assert.deepEqual(json.timeline.map(({ event }) => event), ["ordered", "recorded", "approved", "paid"]);
      for (const q of [payment.orderId, payment.txid]) assert.deepEqual((await read(`payments?q=${q}`)).json.payments, [payment]);
    }
    const { json: settings } = await read("settings");
    assert.deepEqual(settings.schema, { newest: MIGRATIONS.at(-1), missing: [] });
    assert.ok(settings.bindings.every(({ isSet }) => isSet));
    assert.deepEqual((await read("products")).json.products, [{ id: "coffee", name: "A cup of coffee", amount: "3.14", active: true }]);
  });

  test("no text has a meaning for the database, and no answer is an error", async () => {
    const names = ["an%a", "an_a", "an'a", "an\"a", "anna", "ANNA", "an\u{10ffff}", "an\u{202e}a", "<script>", "ann"];
    for (const [index, name] of names.entries()) {
      await testbed.rows(`INSERT INTO users (uid, username, scopes, first_seen_at, last_seen_at, sign_ins)
        VALUES ('named-${index}', '${name.replaceAll("'", "''")}', '', 1, 1, 1)`);
    }
    const found = async (q) => (await read(`users?q=${encodeURIComponent(q)}&limit=100`)).json.users.map(({ username }) => username);
    for (const name of names.filter((name) => !/^ann/i.test(name))) assert.deepEqual(await found(name), [name]);
    assert.deepEqual(await found("ann"), ["ann", "anna", "ANNA"]);
    assert.deepEqual((await found("an")).sort(), names.filter((name) => name !== "<script>").sort());
    for (const q of ["%", "_", "'", "' OR 1=1 --", "*", "an*", "\u{202e}", "a".repeat(128)]) assert.deepEqual(await found(q), [], q);
    for (const q of ["%00", "an%00", "%ED%A0%80", "%FF", "x".repeat(10 * 1024), "x".repeat(50 * 1024)]) {
      for (const [path, list] of [["users?q=", "users"], ["payments?q=", "payments"], ["audit?target=", "entries"], ["audit?actor=", "entries"], ["audit?action=", "entries"]]) {
        // A server may refuse such a long address, but it never fails.
        const answer = await testbed.ask("GET", `/admin/${path}${q}`, { token: OPERATOR });
        if (answer.status === 414 || answer.status === 431) continue;
        assert.deepEqual([answer.status, answer.json[list]], [200, []], `${path}${q.slice(0, 20)}: ${answer.text.slice(0, 200)}`);
      }
    }
  });

  test("reads as many rows for a large app as for a small one", async () => {
    const now = Math.floor(Date.now() / 1000);
    const numbers = (from, to, sql) => testbed.rows(`WITH RECURSIVE n (i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${to}) ${sql}`);
    // Every number that is counted, in every hour of two weeks. There are fewer in a real app.
    await numbers(0, 14 * 24 - 1, `INSERT OR IGNORE INTO counts (hour, name, label, n, total)
      SELECT ${now - (now % HOUR)} - i * ${HOUR}, 'pi', 'label-' || value, 1, 1 FROM n, json_each('[${Array.from({ length: 44 }, (_, label) => label)}]')`);
    await numbers(0, 399, `INSERT OR IGNORE INTO days (day, name, label, n, total)
      SELECT ${now - (now % DAY)} - i * ${DAY}, 'pi', 'label-' || value, 1, 1 FROM n, json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]')`);
    /** Users with a session, an order, a paid, a stuck and a cancelled payment each, and an entry. */
    const add = async (from, to) => {
      const old = now - 3 * DAY;
      await numbers(from, to, `INSERT INTO users (uid, username, scopes, first_seen_at, last_seen_at, sign_ins) SELECT 'u-' || i, 'name ' || i, '', ${old} - i, ${old}, 1 FROM n`);
      await numbers(from, to, `INSERT INTO sessions (sid, uid, created_at, expires_at, token_expires_at, tokens_expire_at, last_seen_at) SELECT 's-' || i, 'u-' || i, ${old}, ${now + DAY}, ${now}, ${now}, ${old} FROM n`);
      for (const state of ["paid", "approved", "cancelled"]) {
        await numbers(from, to, `INSERT INTO orders (id, uid, product_id, amount_stroops, memo, created_at) SELECT '${state}-o-' || i, 'u-' || i, 'coffee', 5, 'memo', ${old} FROM n`);
        await numbers(from, to, `INSERT INTO payments (id, order_id, uid, amount_stroops, state, txid, created_at, updated_at)
          SELECT '${state}-' || i, '${state}-o-' || i, 'u-' || i, 5, '${state}', iif('${state}' = 'paid', 'tx-' || i, NULL), ${old} - i, ${old} - i FROM n`);
      }
      await numbers(from, to, `INSERT INTO audit (at, actor, via, action, target, request_id) SELECT ${now}, 'alice', 'cli', 'user.blocked', 'u-1', 'AAAA' FROM n`);
    };
    const PATHS = [
      "overview", "payments", "audit", "overview?range=7d", "overview?range=30d", "overview?range=90d", "users", "users?q=name%20", "users?q=u-7", "users/u-7",
      "users/u-7/sessions", "users/u-7/payments", "payments?state=paid", "payments?state=unfinished", "payments?state=cancelled", "payments?stuck=true",
      "payments?q=paid-7", "payments?q=paid-o-7", "payments?q=tx-7", "payments/paid-7", "audit?actor=alice", "audit?target=u-1", "audit?action=user.blocked",
      "products", "settings",
    ];
    const all = async () => {
      const rows = {};
      for (const path of PATHS) {
        rows[path] = await rowsRead(path);
        const { next } = (await read(path)).json;
        if (next) rows[`${path}, page 2`] = await rowsRead(`${path}${path.includes("?") ? "&" : "?"}after=${next}`);
      }
      return rows;
    };
    await calm(3600, 180); // the hours of a range depend on the time
    await add(1, 100);
    const small = await all();
    await add(101, 10_000);
    const large = await all();
    console.log(large);
    for (const path of Object.keys(large)) assert.equal(large[path], small[path], `${path}: the rows grow`);
    const opened = large.overview + large.payments + large.audit;
    assert.ok(opened < MAX_ROWS, `${opened} rows for opening the page`);
    // Shortly before midnight UTC, an overview of 7 days reads 44 numbers of 168 + 24 hours.
    assert.ok(Object.entries(large).every(([path, rows]) => rows < (path.startsWith("overview") ? 9000 : 300)), JSON.stringify(large));
  });

  test("every page of a list of ten thousand is read once, in order", async () => {
    const seen = [];
    for (let next = ""; next !== undefined;) {
      const { json } = await read(`payments?state=paid&limit=100${next && `&after=${next}`}`);
      seen.push(...json.payments.map(({ paymentId }) => paymentId));
      next = json.next;
    }
    assert.equal(new Set(seen).size, seen.length);
    const rows = await testbed.rows("SELECT id FROM payments WHERE state = 'paid' ORDER BY updated_at DESC, id DESC");
    assert.deepEqual(seen, rows.map(({ id }) => id));
  });

  test("a failing database is 503", async () => {
    for (const path of ["overview", "users", "payments", "audit", "settings", "products"]) {
      const answer = await testbed.ask("GET", `/admin/${path}`, { token: OPERATOR, faults: { d1: { 1: "reset" } } });
      assert.deepEqual([answer.status, answer.json.code], [503, "storage_unavailable"], path);
    }
  });

  // The last test: it leaves a database of the version before.
  test("without the newest migration, users sign in as before, and the overview names it", async () => {
    for (const sql of WITHOUT_MIGRATIONS) await testbed.rows(sql);
    const { json } = await read("overview");
    assert.deepEqual(json.needs[0], {
      kind: "migration_missing",
      level: "urgent",
      text: `The database lacks ${MIGRATIONS.join(", ")}. Apply the migrations.`,
      command: "npx wrangler d1 migrations apply DB --remote",
    });
    assert.equal(json.today, undefined);
    assert.deepEqual((await read("settings")).json.schema, { newest: MIGRATIONS.at(-1), missing: MIGRATIONS });
    for (const path of ["users", "payments", "audit"]) {
      const { json: problem } = await read(path, 503);
      assert.equal(problem.code, "storage_unavailable");
      assert.match(problem.detail, /wrangler d1 migrations apply/);
    }
    const user = testbed.newUser();
    assert.equal((await user.signIn()).status, 200);
    assert.equal((await user.ask("GET", "/session")).status, 200);
    assert.equal((await user.ask("GET", "/me")).status, 200);
  });
});
