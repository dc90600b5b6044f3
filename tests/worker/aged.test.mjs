// On a database of two years, the built Worker's scheduled event deletes exactly the rows that the
// table "What grows" of docs/storage.md names.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { newKey } from "../../pkg/cli/keys.mjs";
import { root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";
import { startWorkerProcess } from "../support/worker-process.mjs";

const DAY = 86_400;
const DAYS = 800; // a little more than two years
const A_DAY = 10; // of each kind of row
const PARTS = 64; // of the sessions; each run reads one (part() in src/worker/d1/session.rs)
const RUNS = 3 * PARTS; // sixteen hours of runs
const RUN_SECONDS = 300;

/** A module around the built Worker: each scheduled run is five minutes after the one before. */
const TEST_ENTRY = `
import worker from "./index.js";
const { now } = Date;
let ahead = 0;
Date.now = () => now() + ahead;
export default {
  fetch: worker.fetch,
  scheduled(event, env, context) {
    ahead += ${300_000};
    return worker.scheduled(event, env, context);
  },
};`;

describe("a database of two years", { timeout: 900_000 }, () => {
  let worker, state;
  const now = Math.floor(Date.now() / 1000);
  const rows = (sql) => worker.rows(sql);
  const count = async (table, where = "1") => (await rows(`SELECT count(*) AS n FROM ${table} WHERE ${where}`))[0].n;
  /** Inserts one row for each number `n`, spread over the last two years. `at` is its time. */
  const insert = async (into, select) => assert.notEqual(await rows(`WITH RECURSIVE
    numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ${DAYS * A_DAY}),
    days AS (SELECT n, ${now} - n * ${DAY / A_DAY} AS at FROM numbers)
    INSERT INTO ${into} SELECT ${select} FROM days`), null, into);

  before(async () => {
    state = mkdtempSync(join(tmpdir(), "pioneer-session-aged-"));
    const port = await freePort();
    worker = await startWorkerProcess({
      port,
      state,
      modules: [
        { type: "ESModule", path: `${root}/build/test-entry.mjs`, contents: TEST_ENTRY },
        { type: "ESModule", path: `${root}/build/index.js` },
        { type: "CompiledWasm", path: `${root}/build/index_bg.wasm` },
      ],
      bindings: {
        ENVIRONMENT: "development",
        SESSION_ISSUER: `http://127.0.0.1:${port}`,
        SESSION_AUDIENCE: "test-app",
        SESSION_KEYS: JSON.stringify({ keys: [newKey()] }),
        REFRESH_SECRET: randomBytes(32).toString("base64url"),
        RATE_LIMITS: "off",
        // Nothing listens on this port, because this test reconciles no payments.
        PI_API_BASE: `http://127.0.0.1:${await freePort()}`,
      },
    });
  });
  after(async () => {
    await worker?.close();
    rmSync(state, { recursive: true, force: true });
  });

  test("docs/storage.md lists every table, every column and the job that clears the table", async () => {
    const [stored, grows] = readFileSync(`${root}/docs/storage.md`, "utf8").split("## What grows");
    const tables = (await rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'")).map(({ name }) => name);
    assert.ok(tables.length >= 9);
    for (const table of tables) {
      assert.ok(grows.includes(`| \`${table}\` |`), `${table} is not under "What grows"`);
      for (const { name } of await rows(`SELECT name FROM pragma_table_info('${table}')`)) {
        if (table !== "d1_migrations") assert.ok(stored.includes(`| \`${table}\` | \`${name}\` |`), `${table}.${name} is not under "Tables and columns"`);
      }
    }
  });

  test("the scheduled event deletes all old rows within half a day of runs", async (t) => {
    await insert("users (uid, scopes, first_seen_at, last_seen_at, sign_ins)", "'user-' || n, '', at, at, 1");
    // Erased users whose paid orders still have their uid.
    await insert("users (uid, scopes, first_seen_at, last_seen_at, sign_ins, erased_at)", "'gone-' || n, '', 0, 0, 0, at");
    // The first characters are those of the issuer's ids.
    const first = `substr('-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz', 1 + n % ${PARTS}, 1)`;
    await insert("sessions (sid, uid, created_at, last_seen_at, token_expires_at, tokens_expire_at, expires_at)", `${first} || '-session-' || n, 'user-' || n, at, at, at + 600, at + 600, at + 604800`);
    await insert("erased_sessions (sid, tokens_expire_at, last_seen_at)", "'erased-' || n, at + 600, at");
    await insert("orders (id, uid, product_id, amount_stroops, memo, created_at, delete_at)", `'open-' || n, 'user-' || n, 'tea', 1, 'tea', at, at + ${DAY}`);
    for (const [kind, owner] of [["paid", "gone"], ["cancelled", "user"], ["kept", "user"]]) {
      await insert("orders (id, uid, product_id, amount_stroops, memo, created_at)", `'${kind}-' || n, '${owner}-' || n, 'tea', 1, 'tea', at`);
    }
    await insert("payments (id, order_id, uid, amount_stroops, state, txid, created_at, updated_at)", "'paid-' || n, 'paid-' || n, 'gone-' || n, 1, 'paid', 'tx-' || n, at, at");
    await insert("payments (id, order_id, uid, amount_stroops, state, created_at, updated_at)", "'cancelled-' || n, 'cancelled-' || n, 'user-' || n, 1, 'cancelled', at, at");
    // Cancelled at Pi despite a transaction: a person must check these.
    await insert("payments (id, order_id, uid, amount_stroops, state, txid, created_at, updated_at)", "'kept-' || n, 'kept-' || n, 'user-' || n, 1, 'cancelled', 'tx-kept-' || n, at, at");
    await insert("ads (id, uid, claimed_at)", "'ad-' || n, 'user-' || n, at");

    await insert("counts (hour, name, label, n)", "at - at % 3600, 'refused', 'not_found', 1");
    await insert("days (day, name, label, n)", "at - at % 86400, n, '', 1");

    const tables = ["users", "sessions", "erased_sessions", "orders", "payments", "ads", "turns", "counts", "days"];
    // One after the other, because the process answers one question at a time.
    const counts = async () => {
      const found = {};
      for (const table of tables) found[table] = await count(table);
      return found;
    };
    const before = await counts();
    for (let run = 0; run < RUNS; run++) {
      const ran = await worker.scheduled();
      assert.equal(ran.status, 200, ran.text);
    }
    const left = await counts();
    t.diagnostic(`before: ${JSON.stringify(before)}; after ${RUNS} runs: ${JSON.stringify(left)}`);
    const ended = now + RUNS * RUN_SECONDS;

    const all = DAYS * A_DAY;
    assert.equal(await count("users", "erased_at IS NOT NULL"), 0);
    assert.equal(left.users, all);
    assert.equal(await count("sessions", `expires_at <= ${now - 120}`), 0);
    assert.ok(left.sessions >= 6 * A_DAY, "live sessions remain");
    assert.equal(await count("erased_sessions", `tokens_expire_at <= ${now - 120}`), 0);
    assert.equal(await count("counts", `hour < ${now - 8 * DAY}`), 0);
    assert.ok(await count("counts", "name = 'refused'") >= 7 * A_DAY, "the hours of a week remain");
    assert.equal(await count("days", `day < ${now - 401 * DAY}`), 0);
    assert.ok(left.days >= 399 * A_DAY, "the days of a year remain");
    assert.equal(await count("orders", `id LIKE 'open-%' AND created_at < ${now - DAY - 60}`), 0);
    assert.ok(await count("orders", `id LIKE 'open-%' AND delete_at > ${ended}`) > 0, "orders of the last hours remain");
    assert.equal(await count("payments", "state = 'paid'"), all, "paid payments remain");
    assert.equal(await count("orders", "id LIKE 'paid-%' AND uid IS NULL"), all, "paid orders of erased users must have no uid");
    assert.equal(await count("payments", "id LIKE 'kept-%'"), all, "the payments that a person must check remain");
    assert.equal(await count("payments", `id LIKE 'cancelled-%' AND updated_at < ${now - 91 * DAY}`), 0);
    assert.equal(await count("orders", `id LIKE 'cancelled-%' AND created_at < ${now - 91 * DAY}`), 0);
    assert.ok(await count("payments", "id LIKE 'cancelled-%'") >= 89 * A_DAY);
    assert.equal(await count("ads", `claimed_at < ${now - 731 * DAY}`), 0);
    assert.ok(left.ads >= 729 * A_DAY, "an ad is not granted again within two years");
  });
});
