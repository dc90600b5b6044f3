// The numbers for the operator, counted by the built Worker in real workerd: exact where they are
// exact, bounded where requests are free, and never in the way of a request.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { newKey } from "../../pkg/cli/keys.mjs";
import { root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";
import { eventually } from "../support/clock.mjs";
import { startFakePi, user } from "../support/fake-pi.mjs";

const HOUR = 3600;
const DAY = 86_400;
const PAUSE = 300; // PAUSE_SECONDS in src/service/tally.rs
const USERS = 25;
const FORGED = 5_000;
const AT_ONCE = 50;

/** A module around the built Worker: a test moves its clock, lets the next writes of counts fail,
 * and reads how many rows the others have written. */
const TEST_ENTRY = `
import worker from "./index.js";
const { now } = Date;
let [ahead, fails, writes, rows] = [0, 0, 0, 0];
Date.now = () => now() + ahead * 1000;
const isWrite = (sql) => sql.includes("INSERT INTO counts") && sql.includes("json_each");
const watched = (database) => new Proxy(database, { get(target, name) {
  if (name === "batch") return target.batch.bind(target);
  if (name !== "prepare") return target[name];
  return (sql) => !isWrite(sql) ? target.prepare(sql) : { bind: (...values) => ({ async all() {
    if (fails > 0) {
      fails -= 1;
      throw new Error("D1_ERROR: database is locked: SQLITE_BUSY");
    }
    const answer = await target.prepare(sql).bind(...values).all();
    writes += 1;
    rows += answer.meta.rows_written;
    return answer;
  } }) };
} });
let bindings;
const own = (env) => (bindings ??= { ...env, DB: watched(env.DB) });
export default {
  async fetch(request, env, context) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname !== "/test") return worker.fetch(request, own(env), context);
    ahead += Number(searchParams.get("ahead"));
    if (searchParams.has("reset")) [writes, rows] = [0, 0];
    fails += Number(searchParams.get("fails"));
    return Response.json({ now: Math.floor(Date.now() / 1000), fails, writes, rows });
  },
  scheduled: (event, env, context) => worker.scheduled(event, own(env), context),
};`;

const hourOf = (time) => time - (time % HOUR);
const dayOf = (time) => time - (time % DAY);

describe("the numbers for the operator", { timeout: 600_000 }, () => {
  let pi;
  const started = [];

  async function start(vars = {}) {
    const [port, lines] = [await freePort(), []];
    const url = `http://127.0.0.1:${port}`;
    const worker = new Miniflare(convertV4MiniflareOptions({
      host: "127.0.0.1",
      port,
      modulesRoot: `${root}/build`,
      modules: [
        { type: "ESModule", path: `${root}/build/test-entry.mjs`, contents: TEST_ENTRY },
        { type: "ESModule", path: `${root}/build/index.js` },
        { type: "CompiledWasm", path: `${root}/build/index_bg.wasm` },
      ],
      compatibilityDate: readFileSync(`${root}/wrangler.toml`, "utf8").match(/compatibility_date = "(.+)"/)[1],
      bindings: {
        ENVIRONMENT: "development",
        SESSION_ISSUER: url,
        SESSION_AUDIENCE: "test-app",
        SESSION_KEYS: JSON.stringify({ keys: [newKey()] }),
        REFRESH_SECRET: randomBytes(32).toString("base64url"),
        RATE_LIMITS: "off",
        PI_API_BASE: pi.url,
        PI_APP_ID: "test-app",
        ...vars,
      },
      d1Databases: { DB: "test" },
      unsafeTriggerHandlers: true,
      handleStructuredLogs: ({ message }) => lines.push(message),
    }));
    started.push(worker);
    await worker.ready;
    const database = await worker.getD1Database("DB");
    const ask = async (path, { token, body, ...headers } = {}) => {
      const method = body === undefined ? "GET" : "POST";
      const response = await fetch(url + path, {
        method,
        body: body && JSON.stringify(body),
        headers: { ...(body && { "content-type": "application/json" }), ...(token && { authorization: `Bearer ${token}` }), ...headers },
      });
      return { status: response.status, ...(await response.json()) };
    };
    await ask("/health"); // sets the development database up
    // The rows of that are counted. The next number is the first one.
    if (vars.COUNTS !== "off") {
      await until(async () => (await ask("/test")).writes === 1);
      await database.prepare("DELETE FROM counts").run();
      await ask(`/test?reset&ahead=${PAUSE}`);
    }
    const rows = async (sql) => (await database.prepare(sql).all()).results;
    return {
      ask,
      rows,
      lines,
      signIn: (accessToken, headers) => ask("/session", { body: { accessToken }, ...headers }),
      control: (query = "") => ask(`/test?${query}`),
      /** How often something was counted, by label. */
      counted: async (name) => Object.fromEntries((await rows(`SELECT label, sum(n) AS n FROM counts WHERE name = '${name}' GROUP BY label`)).map(({ label, n }) => [label, n])),
      async scheduled() {
        const response = await fetch(`${url}/cdn-cgi/local/scheduled`);
        assert.equal(response.status, 200, await response.text());
      },
    };
  }

  /** Counts are written after the response. */
  async function until(holds) {
    for (let tries = 0; tries < 100; tries++) {
      if (await holds()) return;
      await sleep(50);
    }
    assert.fail(`never: ${holds}`);
  }

  before(async () => {
    const credentials = { scopes: ["username"], valid_until: { timestamp: Math.floor(Date.now() / 1000) + 30 * DAY } };
    const users = Object.fromEntries(Array.from({ length: USERS }, (_, index) => [`token-${index}`, user({ uid: `uid-${index}`, credentials })]));
    pi = await startFakePi({ ...users, "token-alice": user({ credentials }) });
  });
  after(async () => {
    await Promise.all(started.map((worker) => worker.dispose()));
    await pi.close();
  });

  test("fifty simultaneous sign-ins are counted exactly, and only sign-ins that began a session", async () => {
    const { ask, rows, signIn, counted } = await start();
    const answers = await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => signIn(`token-${index % USERS}`)));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.equal(answers.filter(({ user: { isNew } }) => isNew).length, USERS);
    assert.deepEqual(await counted("sign_in"), { new: USERS, returning: AT_ONCE - USERS });

    // A repeat finds the session of the first request, and begins none.
    const key = { "idempotency-key": "a-key-of-the-test" };
    const [first, again] = [await signIn("token-0", key), await signIn("token-0", key)];
    assert.equal(first.refreshToken, again.refreshToken);
    assert.equal((await signIn("token-of-nobody")).status, 401);
    // A backend has revoked sessions of a time that has not come: the sign-in tries again.
    const soon = (await ask("/test")).now + 1;
    await rows(`UPDATE users SET valid_after = ${soon} WHERE uid = 'uid-1'`);
    assert.equal((await signIn("token-1")).status, 200);
    assert.deepEqual(await counted("sign_in"), { new: USERS, returning: AT_ONCE - USERS + 2 });
    assert.deepEqual(await rows("SELECT count(*) AS n FROM sessions"), [{ n: AT_ONCE + 2 }]);
  });

  test(`${FORGED} forged session tokens write two rows: one immediately and one five minutes later`, async (context) => {
    const { ask, control, counted } = await start();
    let sent = 0;
    const forged = async () => {
      sent += 1;
      const { status, code } = await ask("/session", { token: "e30.e30.e30" });
      assert.deepEqual([status, code], [401, "session_invalid"]);
    };
    await forged();
    await until(async () => (await counted("refused")).session_invalid === 1);
    while (sent < FORGED) await Promise.all(Array.from({ length: Math.min(AT_ONCE, FORGED - sent) }, forged));
    assert.deepEqual({ ...(await control()), now: 0 }, { status: 200, now: 0, fails: 0, writes: 1, rows: 1 });

    await control(`ahead=${PAUSE}`);
    await forged();
    await until(async () => (await control()).writes === 2);
    assert.equal((await counted("refused")).session_invalid ?? 0, FORGED + 1);
    const { rows, writes } = await control();
    context.diagnostic(`${sent} forged tokens wrote ${rows} rows in ${writes} writes. As many as anybody can send write ${(rows / writes) * (DAY / PAUSE)} rows a day for each isolate.`);
    assert.ok(rows <= 3, `${rows} rows`); // three if an hour has ended meanwhile
  });

  test("a refresh is counted, and numbers whose write failed are written once, later", async () => {
    const { ask, control, counted, lines, signIn } = await start();
    await control("fails=1");
    const { refreshToken, sessionToken } = await signIn("token-alice");
    assert.equal((await ask("/session", { token: sessionToken })).status, 200);
    assert.equal((await ask("/session/refresh", { body: { refreshToken } })).status, 200);
    await until(() => lines.some((line) => line.includes("counts were not written, and are kept: the storage failed: D1_ERROR: database is locked")));
    assert.equal((await ask("/session")).code, "session_missing");
    assert.deepEqual(await counted("refresh"), {});

    await control(`ahead=${PAUSE}`);
    assert.equal((await ask("/nowhere")).code, "not_found");
    await until(async () => (await control()).writes === 1);
    assert.deepEqual(await counted("refresh"), { "": 1 });
    assert.deepEqual(await counted("refused"), { not_found: 1, session_missing: 1 });
    await control(`ahead=${PAUSE}`);
    assert.equal((await ask("/nowhere")).code, "not_found");
    await until(async () => (await control()).writes === 2);
    assert.deepEqual(await counted("refresh"), { "": 1 });
    assert.deepEqual(await counted("refused"), { not_found: 2, session_missing: 1 });
  });

  test("requests to Pi are counted by outcome and time, and the rows of the database as the log has them", async () => {
    const { ask, control, counted, lines, rows, signIn } = await start();
    const { sessionToken } = await signIn("token-alice");
    for (const token of ["token-of-nobody", "token-of-nobody-else"]) assert.equal((await signIn(token)).status, 401);
    assert.equal((await ask("/session", { token: sessionToken })).status, 200);
    await until(async () => (await control()).writes === 1);
    await control(`ahead=${PAUSE}`);
    await ask("/nowhere");
    await until(async () => (await control()).writes === 2);
    const outcomes = {};
    for (const [label, n] of Object.entries(await counted("pi"))) {
      assert.match(label, /^(ok|refused)\.(100|200|400|800|1600|3200|over)$/);
      const [outcome] = label.split(".");
      outcomes[outcome] = (outcomes[outcome] ?? 0) + n;
    }
    assert.deepEqual(outcomes, { ok: 1, refused: 2 });
    const logged = lines.map((line) => JSON.parse(line)).filter(({ d1Calls, route }) => d1Calls > 0 && route.startsWith("/session"));
    const sum = (name) => logged.reduce((total, line) => total + line[name], 0);
    const d1 = await rows("SELECT label, sum(total) AS total FROM counts WHERE name = 'd1' GROUP BY label ORDER BY label");
    assert.deepEqual(d1, [{ label: "read", total: sum("rowsRead") }, { label: "written", total: sum("rowsWritten") }]);
    assert.ok(logged.length === 2 && sum("rowsRead") > 0 && sum("rowsWritten") > 0);
  });

  test("nothing is counted with COUNTS=off", async () => {
    const { ask, control, rows, scheduled, signIn } = await start({ COUNTS: "off" });
    const { refreshToken } = await signIn("token-alice");
    assert.equal((await ask("/session/refresh", { body: { refreshToken } })).status, 200);
    assert.equal((await ask("/nowhere")).code, "not_found");
    await scheduled();
    assert.equal((await control()).writes, 0);
    assert.deepEqual(await rows("SELECT * FROM counts UNION ALL SELECT * FROM days"), []);
    assert.deepEqual(await rows("SELECT name FROM marks ORDER BY name"), [{ name: "roll_up" }, { name: "run" }]);
  });

  test("without the newest migration, users sign in as before", async () => {
    const { ask, lines, rows, scheduled, signIn } = await start();
    for (const table of ["counts", "days", "marks"]) await rows(`DROP TABLE ${table}`);
    await rows("DROP INDEX payments_paid");
    await rows("ALTER TABLE payments DROP COLUMN problem");
    for (const token of ["token-alice", "token-alice", "token-0"]) {
      const { status, refreshToken } = await signIn(token);
      assert.equal(status, 200);
      assert.equal((await ask("/session/refresh", { body: { refreshToken } })).status, 200);
    }
    assert.equal((await ask("/session")).code, "session_missing");
    await scheduled();
    await eventually(() => lines.some((line) => line.includes("reconcile.ran")));
    const missing = lines.filter((line) => line.includes("nothing is counted, because the database lacks the newest migration. Run: npx wrangler d1 migrations apply DB --remote"));
    assert.equal(missing.length, 1);
  });

  test("a payment keeps how often it was tried and its last problem, and the run says how many failed", async () => {
    // The fake Pi knows no app's key.
    const { rows, scheduled } = await start({ PI_API_KEY: "a-key-that-pi-refuses" });
    const payment = async () => (await rows("SELECT looks, problem FROM payments"))[0];
    await rows("INSERT INTO payments (id, amount_stroops, state, created_at, updated_at, due_at) VALUES ('stuck', 1, 'approved', 1, 1, 1)");
    assert.deepEqual(await payment(), { looks: 0, problem: null });
    for (const looks of [1, 2]) {
      await rows("UPDATE payments SET due_at = 1");
      await rows("UPDATE turns SET due_at = 1");
      await scheduled();
      assert.deepEqual(await payment(), { looks, problem: "misconfigured" });
      const [{ value }] = await rows("SELECT value FROM marks WHERE name = 'run'");
      assert.deepEqual(JSON.parse(value), { paid: 0, cancelled: 0, waiting: 0, failed: 1, givenUp: 0 });
    }
  });

  describe("the clock", () => {
    let worker;
    let now;
    const day = async (name, at = now) => (await worker.rows(`SELECT label, n, total FROM days WHERE name = '${name}' AND day = ${dayOf(at)} ORDER BY label`));
    const marks = async () => Object.fromEntries((await worker.rows("SELECT name, at, value FROM marks")).map(({ name, at, value }) => [name, { at, value }]));
    /** The paid orders of the tables, by day. */
    const paid = () => worker.rows(`SELECT updated_at - updated_at % ${DAY} AS day, count(*) AS n, sum(amount_stroops) AS total FROM payments WHERE state = 'paid' GROUP BY 1 ORDER BY 1`);
    const paidInDays = () => worker.rows("SELECT day, n, total FROM days WHERE name = 'paid' ORDER BY day");
    let payments = 0;
    const pay = (at, stroops) => {
      payments += 1;
      return worker.rows(`INSERT INTO payments (id, amount_stroops, state, txid, created_at, updated_at) VALUES ('p-${payments}', ${stroops}, 'paid', 'tx-${payments}', ${at}, ${at})`);
    };
    /** The first run of the next hour of the Worker's clock. */
    async function nextHour(hours = 1) {
      ({ now } = await worker.control());
      ({ now } = await worker.control(`ahead=${hourOf(now) + hours * HOUR - now + 60}`));
      await worker.scheduled();
    }

    before(async () => {
      worker = await start();
      ({ now } = await worker.control());
      // Noon of tomorrow.
      ({ now } = await worker.control(`ahead=${dayOf(now) + DAY + DAY / 2 - now}`));
    });

    test("makes the numbers of days from those of hours, again and again the same", async () => {
      const hours = [[now, 5], [now - HOUR, 7], [dayOf(now), 11], [dayOf(now) - 1, 13], [now - 8 * DAY - HOUR, 17], [now - 9 * DAY, 19]];
      for (const [at, n] of hours) await worker.rows(`INSERT INTO counts VALUES (${hourOf(at)}, 'refused', 'not_found', ${n}, 2)`);
      await worker.rows(`INSERT INTO days VALUES (${dayOf(now) - 400 * DAY}, 'refresh', '', 1, 0), (${dayOf(now) - 401 * DAY}, 'refresh', '', 1, 0)`);
      for (let run = 0; run < 3; run++) {
        await (run === 0 ? worker.scheduled() : nextHour());
        assert.deepEqual(await day("refused"), [{ label: "not_found", n: 23, total: 6 }]);
        assert.deepEqual(await day("refused", now - DAY), [{ label: "not_found", n: 13, total: 2 }]);
      }
      assert.deepEqual(await worker.rows("SELECT n FROM counts WHERE name = 'refused' ORDER BY n"), [5, 7, 11, 13].map((n) => ({ n })));
      assert.deepEqual(await worker.rows("SELECT day FROM days WHERE name = 'refresh'"), [{ day: dayOf(now) - 400 * DAY }]);
    });

    test("makes them once an hour, and says when it ran and how that went", async () => {
      await nextHour();
      const before = await marks();
      assert.deepEqual(JSON.parse(before.run.value), { paid: 0, cancelled: 0, waiting: 0, failed: 0, givenUp: 0 });
      assert.ok(before.run.at >= now && before.roll_up.at >= now);
      await worker.control(`ahead=${PAUSE}`);
      await worker.scheduled();
      const later = await marks();
      assert.ok(later.run.at >= before.run.at + PAUSE);
      assert.deepEqual(later.roll_up, before.roll_up);
    });

    test("recomputes paid orders from the payments", async () => {
      for (const [at, stroops] of [[now, 1], [now - 60, 2], [dayOf(now), 3], [dayOf(now) - 1, 4], [dayOf(now) - DAY, 5]]) await pay(at, stroops);
      await nextHour();
      assert.equal((await paidInDays()).length, 2);
      assert.deepEqual(await paidInDays(), await paid());
      // A payment of an earlier hour, whose Worker was late.
      await pay(dayOf(now) + 10, 1_000_000_000_000);
      await nextHour();
      assert.deepEqual(await paidInDays(), await paid());
      const [{ n }] = await worker.rows(`SELECT n FROM counts WHERE name = 'paid' AND hour = ${dayOf(now)}`);
      assert.equal(n, 2);
      // The clock stood still for three days.
      await pay(now + DAY, 6);
      await pay(now + 3 * DAY, 7);
      await nextHour(72);
      assert.equal((await paidInDays()).length, 4);
      assert.deepEqual(await paidInDays(), await paid());
      // It reads no payment that it does not count, and of those only the index.
      const [, sql] = readFileSync(`${root}/src/worker/d1/counts.rs`, "utf8").match(/"(INSERT INTO counts[^"]+FROM payments[^"]+)"/);
      const plan = await worker.rows(`EXPLAIN QUERY PLAN ${sql.replaceAll("?1", "1")}`);
      assert.match(plan[0].detail, /^SEARCH payments USING COVERING INDEX payments_paid \(updated_at>\?\)/);
    });

    test("counts users and live sessions every hour, and active users after midnight", async () => {
      for (const token of ["token-0", "token-0", "token-1", "token-alice"]) assert.equal((await worker.signIn(token)).status, 200);
      await nextHour();
      const { users, live_sessions: live } = await marks();
      assert.deepEqual([users.value, live.value], ["3", "4"]);
      assert.deepEqual(await day("sign_in"), [{ label: "new", n: 3, total: 0 }, { label: "returning", n: 1, total: 0 }]);
      assert.deepEqual(await day("active_user"), []);
      ({ now } = await worker.control());
      ({ now } = await worker.control(`ahead=${dayOf(now) + DAY - now + 60}`));
      await worker.scheduled();
      assert.deepEqual(await day("active_user", now - DAY), [{ label: "", n: 3, total: 0 }]);
    });
  });
});
