// Payments through the built Worker in real workerd, with its database on disk, against the
// simulated Pi: under load, with lost answers, and with the Worker killed at every step.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, request as send } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, beforeEach, describe, test } from "node:test";
import { newKey } from "../../pkg/cli/keys.mjs";
import { root } from "../../scripts/paths.mjs";
import { freePort } from "../../scripts/port.mjs";
import { logLine } from "../support/log.mjs";
import { startWorkerProcess } from "../support/worker-process.mjs";
import { startSimulator } from "../support/workers.mjs";

const KILLS = Number(process.env.KILLS ?? 20); // at each step

describe("payments", { timeout: 900_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-payments-"));
  let simulator;
  let wire;
  let options;
  let worker;
  let token;
  /** Called on the way to Pi with the method, the path, and "before" or "after" Pi has acted.
   * `true` lets the Worker wait. */
  let onWire = () => false;
  /** Changes a payment in Pi's answer on its way to the Worker. */
  let alter = () => {};

  /** A proxy between the Worker and the simulated Pi that a test controls. */
  async function stretchWire(target) {
    const server = createServer((request, response) => {
      const { method, url, headers } = request;
      if (onWire(method, url, "before")) return;
      const onward = send(new URL(url, target), { method, headers: { ...headers, host: new URL(target).host } }, (answer) => {
        const chunks = [];
        answer.on("data", (chunk) => chunks.push(chunk));
        answer.on("end", () => {
          if (onWire(method, url, "after")) return;
          const isJson = answer.headers["content-type"]?.startsWith("application/json");
          const body = isJson ? altered(Buffer.concat(chunks)) : Buffer.concat(chunks);
          response.writeHead(answer.statusCode, { ...answer.headers, "content-length": body.length }).end(body);
        });
      });
      onward.on("error", () => request.socket.destroy());
      request.pipe(onward);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return {
      url: `http://127.0.0.1:${server.address().port}`,
      close: () => {
        server.closeAllConnections();
        return new Promise((done) => server.close(done));
      },
    };
  }

  function altered(body) {
    const payment = JSON.parse(body);
    if (!payment.identifier || !payment.status) return body;
    alter(payment);
    return Buffer.from(JSON.stringify(payment));
  }

  const ask = async (method, path, body, credential = token) => {
    const headers = { ...(credential && { authorization: `Bearer ${credential}` }), ...(body && { "content-type": "application/json" }) };
    const response = await fetch(new URL(path, worker.url), { method, headers, body: body && JSON.stringify(body) });
    return { status: response.status, ...(await response.json().catch(() => ({}))) };
  };
  const pi = async (method, path, body, persona = "sim-alice") => {
    const response = await fetch(new URL(`/simulator/${path}`, simulator.url), { method, headers: { authorization: `Bearer ${persona}` }, body: body && JSON.stringify(body) });
    return response.status === 204 ? undefined : response.json();
  };
  const signIn = async (accessToken) => (await ask("POST", "/session", { accessToken }, null)).sessionToken;

  /** Creates an order, and its payment as the browser does. */
  async function begin(persona = "sim-alice", credential = token) {
    const order = await ask("POST", "/orders", { productId: "coffee" }, credential);
    assert.equal(order.status, 201, JSON.stringify(order));
    const { amount, memo, metadata } = order;
    const { identifier: id } = await pi("POST", "payments", { amount: Number(amount), memo, metadata }, persona);
    return { orderId: order.orderId, id };
  }
  const approve = (id, credential) => ask("POST", `/payments/${id}/approve`, undefined, credential);
  const sign = async (id) => (await pi("POST", `payments/${id}/pay`)).transaction.txid;
  const complete = (id, txid, credential) => ask("POST", `/payments/${id}/complete`, { txid }, credential);

  /** Makes payments due this many seconds earlier, then starts one scheduled run. */
  async function later(seconds) {
    await worker.rows(`UPDATE payments SET due_at = due_at - ${seconds} WHERE due_at IS NOT NULL`);
    await worker.rows(`UPDATE turns SET due_at = due_at - ${seconds}`);
    await worker.logs();
    assert.equal((await worker.scheduled()).status, 200);
    const lines = (await worker.logs()).map(({ level, message }) => ({ console: level, ...logLine(message) }));
    const line = lines.find(({ event }) => event === "reconcile.ran");
    assert.ok(line, JSON.stringify(lines));
    // The payments that need a person, each with a line of its own.
    const named = lines.filter(({ paymentId }) => paymentId).map(({ console, level, event, paymentId, code }) => [console, level, event, paymentId, code]);
    return { ...line, named };
  }
  const row = async (id) => (await worker.rows(`SELECT state, txid, looks, due_at FROM payments WHERE id = '${id}'`))[0];

  async function restart() {
    worker = await startWorkerProcess(options);
    token = await signIn("sim-alice");
  }

  before(async () => {
    simulator = await startSimulator();
    wire = await stretchWire(simulator.url);
    const port = await freePort();
    options = {
      port,
      state: folder,
      bindings: {
        ENVIRONMENT: "development", SESSION_ISSUER: `http://127.0.0.1:${port}`, SESSION_AUDIENCE: "test-app", RATE_LIMITS: "off", MAX_SESSIONS_PER_USER: "100",
        SESSION_KEYS: JSON.stringify({ keys: [newKey()] }), REFRESH_SECRET: randomBytes(32).toString("base64url"),
        PI_API_BASE: wire.url, PI_APP_ID: "simulated-app", PI_API_KEY: "simulated-server-api-key", PI_NETWORK: "Pi Testnet",
      },
    };
    await restart();
    await worker.rows("INSERT INTO products (id, name, amount_stroops) VALUES ('coffee', 'A cup of coffee', 31400000)");
  });

  after(async () => {
    await worker?.close();
    await wire?.close();
    await simulator?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(() => {
    onWire = () => false;
    alter = () => {};
  });

  test("returns fifty equal answers to fifty simultaneous completions, and delivers once", async () => {
    const { id, orderId } = await begin();
    const approvals = await Promise.all(Array.from({ length: 10 }, () => approve(id)));
    assert.ok(approvals.every(({ status, state }) => status === 200 && state === "approved"), JSON.stringify(approvals));
    const txid = await sign(id);
    const answers = await Promise.all(Array.from({ length: 50 }, () => complete(id, txid)));
    assert.equal(new Set(answers.map((answer) => JSON.stringify(answer))).size, 1);
    assert.deepEqual(answers[0], { status: 200, paymentId: id, orderId, state: "paid", amount: "3.14", txid });
    const { purchases } = await ask("GET", "/me");
    assert.equal(purchases.filter((purchase) => purchase.orderId === orderId).length, 1);
  });

  test("refuses another user's payment, a changed amount and another user's order, and never asks Pi to approve", async () => {
    const { id, orderId } = await begin();
    const asked = [];
    onWire = (method, path, moment) => void (moment === "before" && method === "POST" && asked.push(path));
    const bob = await signIn("sim-bob");
    for (const step of ["approve", "cancel", "recover"]) {
      const { status, code } = await ask("POST", `/payments/${id}/${step}`, undefined, bob);
      assert.deepEqual([status, code], [403, "payment_not_yours"]);
    }
    for (const [amount, metadata] of [[3.13, { orderId }], [3.1400001, { orderId }], [3.14, { orderId: "other" }], [3.14, { order: orderId }]]) {
      const { identifier } = await pi("POST", "payments", { amount, memo: "memo", metadata });
      const { status, code } = await approve(identifier);
      assert.deepEqual([status, code], [422, "payment_mismatch"]);
    }
    assert.deepEqual(asked, []);
    assert.equal((await ask("GET", `/orders/${orderId}`)).state, "open");
  });

  test("refuses one payment for two orders, two payments for one order, and a duplicate transaction", async () => {
    const first = await begin();
    await approve(first.id);
    const txid = await sign(first.id);
    assert.equal((await complete(first.id, txid)).state, "paid");
    // A user pays again for a paid order: the Worker never approves the second payment.
    const { identifier: again } = await pi("POST", "payments", { amount: 3.14, memo: "memo", metadata: { orderId: first.orderId } });
    assert.equal((await approve(again)).code, "order_already_paid");
    assert.equal((await ask("POST", `/payments/${again}/cancel`)).state, "cancelled");
    const second = await begin();
    await approve(second.id);
    const other = await sign(second.id);
    assert.equal((await complete(second.id, txid)).code, "txid_mismatch");
    assert.equal((await complete(second.id, other)).state, "paid");
    // The tables enforce this too, whatever the code does.
    for (const sql of [
      `UPDATE payments SET txid = '${txid}' WHERE id = '${second.id}'`,
      `UPDATE payments SET order_id = '${first.orderId}' WHERE id = '${second.id}'`,
      `UPDATE payments SET state = 'paid', txid = NULL WHERE id = '${second.id}'`,
    ]) {
      assert.equal(await worker.rows(sql), null, sql);
    }
  });

  test("R1: refuses the receiver of a payment from the app who cancels or recovers it", async () => {
    const { identifier } = await pi("POST", "payouts", { amount: 50, memo: "Prize", metadata: { prize: 1 } });
    const sent = [];
    onWire = (method, path, moment) => void (moment === "before" && method === "POST" && sent.push(path));
    for (const step of ["cancel", "recover", "approve"]) {
      const { status, code } = await ask("POST", `/payments/${identifier}/${step}`);
      assert.deepEqual([step, status, code], [step, 422, "payment_mismatch"]);
    }
    assert.equal((await complete(identifier, "a".repeat(64))).code, "payment_mismatch");
    assert.deepEqual(sent, []);
    assert.equal(await row(identifier), undefined);
    const { payments } = await ask("GET", "/payments");
    assert.ok(payments.every(({ paymentId }) => paymentId !== identifier));
  });

  test("R7: does not approve an hour-old order or a product that is no longer sold, but completes approved payments", async () => {
    const refused = async (id) => {
      const { status, code } = await approve(id);
      assert.deepEqual([status, code], [409, "order_expired"]);
      assert.equal(await row(id), undefined);
    };
    const sent = [];
    onWire = (method, path, moment) => void (moment === "before" && path.endsWith("/approve") && sent.push(path));
    const old = await begin();
    await worker.rows(`UPDATE orders SET created_at = created_at - 3700 WHERE id = '${old.orderId}'`);
    await refused(old.id);
    const going = await begin();
    const stopped = await begin();
    await worker.rows("UPDATE products SET active = 0");
    try {
      await refused(stopped.id);
      await worker.rows("DELETE FROM products");
      await refused(stopped.id);
      assert.deepEqual(sent, []);
    } finally {
      await worker.rows("INSERT INTO products (id, name, amount_stroops) VALUES ('coffee', 'A cup of coffee', 31400000)");
    }
    assert.equal((await approve(stopped.id)).status, 200);
    const txid = await sign(stopped.id);
    await worker.rows("UPDATE products SET active = 0");
    await worker.rows(`UPDATE orders SET created_at = created_at - 31536000 WHERE id = '${stopped.orderId}'`);
    const paid = await complete(stopped.id, txid);
    await worker.rows("UPDATE products SET active = 1");
    assert.equal(paid.state, "paid", JSON.stringify(paid));
    await ask("POST", `/payments/${going.id}/cancel`);
  });

  test("R10: does not write off a payment that Pi has cancelled despite its transaction, and warns the operator", async () => {
    const { id } = await begin();
    assert.equal((await approve(id)).state, "approved");
    const txid = await sign(id);
    alter = ({ identifier, status, transaction }) => {
      if (identifier === id) [status.user_cancelled, transaction.verified] = [true, false];
    };
    let line = await later(600);
    assert.deepEqual([line.waiting, line.cancelled, line.failed, line.named], [1, 0, 0, []]);
    assert.deepEqual([(await row(id)).state, (await row(id)).txid], ["approved", null]);
    alter = ({ identifier, status }) => {
      if (identifier === id) status.user_cancelled = true;
    };
    line = await later(1200);
    assert.deepEqual([line.cancelled, line.failed, line.named], [0, 1, [["warn", "warn", "payment.failed", id, "payment_has_transaction"]]]);
    assert.deepEqual([(await row(id)).state, (await row(id)).txid], ["approved", txid]);
    for (const step of ["cancel", "recover"]) {
      const { status, code } = await ask("POST", `/payments/${id}/${step}`);
      assert.deepEqual([step, status, code], [step, 409, "payment_has_transaction"]);
    }
    const listed = (await ask("GET", "/payments")).payments.find(({ paymentId }) => paymentId === id);
    assert.deepEqual([listed.state, listed.txid], ["approved", undefined]);
    // The stored transaction cannot pay for another user's payment.
    assert.equal(await worker.rows(`UPDATE payments SET state = 'paid', txid = '${txid}', due_at = NULL WHERE id = (SELECT id FROM payments WHERE state = 'cancelled')`), null);
    // Pi corrects its record, so the payment is paid after all.
    alter = () => {};
    assert.equal((await ask("POST", `/payments/${id}/recover`)).state, "paid");
    assert.equal((await row(id)).due_at, null);
  });

  test("R9: finishes a user's paid payment in the first or second run despite 1,000 or 100,000 abandoned payments of another account", async (context) => {
    const bob = await signIn("sim-bob");
    const [{ uid }] = await worker.rows("SELECT uid FROM users WHERE username LIKE 'alice%'");
    const abandoned = async (from, to) => {
      const numbers = `WITH RECURSIVE numbers (n) AS (SELECT ${from} UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ${to})`;
      const old = Math.floor(Date.now() / 1000) - 5000;
      for (const sql of [
        `${numbers} INSERT INTO orders (id, uid, product_id, amount_stroops, memo, created_at) SELECT 'abandoned-' || n, '${uid}', 'coffee', 31400000, 'memo', ${old} FROM numbers`,
        `${numbers} INSERT INTO payments (id, order_id, uid, amount_stroops, state, created_at, updated_at, due_at) SELECT 'abandoned-' || n, 'abandoned-' || n, '${uid}', 31400000, 'approved', ${old}, ${old}, ${old} FROM numbers`,
        `INSERT INTO turns (payer, uid, due_at) VALUES ('${uid}', '${uid}', ${old}) ON CONFLICT (payer) DO UPDATE SET due_at = ${old}`,
      ]) {
        assert.notEqual(await worker.rows(sql), null, sql);
      }
    };
    const table = [];
    for (const [from, to] of [[0, 1000], [1000, 100_000]]) {
      await abandoned(from, to);
      const { id } = await begin("sim-bob", bob);
      assert.equal((await approve(id, bob)).state, "approved");
      await pi("POST", `payments/${id}/pay`, undefined, "sim-bob");
      await worker.rows(`UPDATE payments SET due_at = due_at - 200 WHERE id = '${id}'`);
      await worker.rows("UPDATE turns SET due_at = due_at - 200");
      const began = performance.now();
      assert.equal((await worker.scheduled()).status, 200);
      table.push({ "abandoned payments": to, "first run, ms": Math.round(performance.now() - began), "paid in it": (await row(id)).state === "paid" });
      if ((await row(id)).state !== "paid") await later(300);
      assert.equal((await row(id)).state, "paid");
    }
    const looked = await worker.rows("SELECT sum(looks) AS looks FROM payments WHERE id LIKE 'abandoned-%'");
    assert.ok(looked[0].looks <= 4, "one payment for each user and run");
    console.table(table);
    context.diagnostic(JSON.stringify(table));

    // Each statement about payments uses an index, with tables of this size and without statistics.
    const source = ["mod", "payment", "service"].map((name) => readFileSync(`${root}/src/worker/d1/${name}.rs`, "utf8")).join("\n").replace(/\/\/\/.*/g, "");
    const fragment = (name) => source.match(new RegExp(`macro_rules! ${name} \\{[^"]*"([^"]+)"`))[1];
    const pieces = /"([^"]*)"|(\w+)!\(\)|\$\w+/g;
    const statements = [...source.matchAll(/query!\(\s*(?:concat!\()?((?:\s*(?:"[^"]*"|\w+!\(\)|\$\w+)\s*,?)+)/g)]
      .map(([, text]) => [...text.matchAll(pieces)].map(([, sql, name]) => sql ?? (name ? fragment(name) : "?1")).join(""));
    assert.ok(statements.length > 35, String(statements.length));
    for (const sql of statements) {
      // GET /products reads the whole list.
      if (/FROM products WHERE active = 1/.test(sql)) continue;
      const plan = await worker.rows(`EXPLAIN QUERY PLAN ${sql.replace(/\?\d+/g, "1")}`);
      assert.notEqual(plan, null, sql);
      assert.deepEqual(plan.map(({ detail }) => detail).filter((detail) => /^SCAN (?!CONSTANT|json_each VIRTUAL TABLE)/.test(detail)), [], sql);
    }
    const now = Math.floor(Date.now() / 1000);
    const reads = async (start) => {
      const sql = statements.find((statement) => statement.trim().startsWith(start));
      const values = { 1: now, 2: 7, 3: 300, 4: 86_400 };
      return (await worker.meta(sql.replace(/\?(\d)/g, (_, n) => values[n]))).rows_read;
    };
    await worker.rows("UPDATE turns SET due_at = due_at - 1000");
    for (const start of ["INSERT INTO turns (payer, due_at)", "UPDATE payments\n                 SET looks = looks + 1", "UPDATE turns SET due_at = coalesce"]) {
      const rows = await reads(start);
      context.diagnostic(`${start.split("\n")[0]} … reads ${rows} rows`);
      assert.ok(rows <= 100, `${start}: ${rows} rows read`);
    }
    for (const sql of ["DELETE FROM payments WHERE id LIKE 'abandoned-%'", "DELETE FROM orders WHERE id LIKE 'abandoned-%'", "DELETE FROM turns"]) await worker.rows(sql);
  });

  test("R9: gives a payment up once, logs its id at level error, and completes it when its user returns", async () => {
    const { id } = await begin();
    assert.equal((await approve(id)).state, "approved");
    await sign(id);
    await worker.rows(`UPDATE payments SET looks = 28 WHERE id = '${id}'`);
    alter = ({ identifier, transaction }) => {
      if (identifier === id && transaction) transaction.verified = false;
    };
    let line = await later(600);
    assert.deepEqual([line.waiting, line.givenUp, line.level, line.named], [1, 0, "info", []]);
    assert.equal((await row(id)).looks, 29);
    line = await later(90_000);
    assert.deepEqual([line.waiting, line.givenUp, line.named], [0, 1, [["error", "error", "payment.given_up", id, "not_verified"]]]);
    assert.equal((await row(id)).due_at, null);
    line = await later(90_000);
    assert.deepEqual([line.waiting, line.givenUp, line.failed], [0, 0, 0]);
    alter = () => {};
    assert.equal((await ask("POST", `/payments/${id}/recover`)).state, "paid");
  });

  test("R9: leaves every payment due in a run without the key, and finishes it in the next run with the key", async () => {
    const { id } = await begin();
    assert.equal((await approve(id)).state, "approved");
    await sign(id);
    await worker.close();
    const { PI_API_KEY: _, ...bindings } = options.bindings;
    worker = await startWorkerProcess({ ...options, bindings });
    try {
      for (let run = 1; run <= 3; run++) {
        await worker.rows("UPDATE payments SET due_at = due_at - 600 WHERE due_at IS NOT NULL");
        await worker.rows("UPDATE turns SET due_at = due_at - 600");
        await worker.logs();
        await worker.scheduled();
        const lines = (await worker.logs()).map(({ message }) => message);
        assert.ok(lines.some((line) => line.includes("payments were not reconciled: misconfigured")), lines.join("\n"));
        const { looks, due_at } = await row(id);
        assert.equal(looks, 0, `run ${run}`);
        assert.ok(due_at <= Date.now() / 1000);
      }
    } finally {
      await worker.close();
      await restart();
    }
    assert.equal((await later(0)).paid, 1);
    assert.equal((await row(id)).state, "paid");
  });

  test("R9: schedules an erased user's payment by itself", async () => {
    const bob = await signIn("sim-bob");
    const { id } = await begin("sim-bob", bob);
    assert.equal((await approve(id, bob)).state, "approved");
    await pi("POST", `payments/${id}/pay`, undefined, "sim-bob");
    await ask("DELETE", "/me", undefined, bob);
    assert.deepEqual(await worker.rows(`SELECT uid FROM payments WHERE id = '${id}'`), [{ uid: null }]);
    assert.equal((await later(600)).paid, 1);
    assert.deepEqual(await worker.rows("SELECT payer FROM turns WHERE uid IS NULL"), []);
  });

  test("R6: allows a user twenty open orders, and the scheduled run deletes the unneeded ones", async () => {
    const cancelled = await begin();
    await approve(cancelled.id);
    assert.equal((await ask("POST", `/payments/${cancelled.id}/cancel`)).state, "cancelled");
    const [{ books }] = await worker.rows("SELECT count(*) AS books FROM payments WHERE state = 'paid'");
    let last;
    for (let i = 0; i < 25; i++) last = await ask("POST", "/orders", { productId: "coffee" });
    const open = async () => (await worker.rows("SELECT count(*) AS n FROM orders WHERE NOT EXISTS (SELECT 1 FROM payments WHERE order_id = orders.id)"))[0].n;
    assert.equal(await open(), 20);
    assert.equal((await ask("GET", `/orders/${last.orderId}`)).state, "open");
    await worker.rows("INSERT INTO ads (id, claimed_at) VALUES ('old', 1), ('new', 4000000000)");
    const sweep = async () => {
      await worker.scheduled();
      await worker.scheduled(); // the first run of an hour makes the numbers of the days instead
    };
    await sweep();
    assert.equal(await open(), 20, "within a day");
    assert.deepEqual(await worker.rows("SELECT id FROM ads WHERE id IN ('old', 'new')"), [{ id: "new" }]);
    await worker.rows("UPDATE orders SET delete_at = delete_at - 86400, created_at = created_at - 86400 WHERE delete_at IS NOT NULL");
    await worker.rows(`UPDATE payments SET updated_at = updated_at - 90 * 86400 WHERE id = '${cancelled.id}'`);
    await sweep();
    assert.equal(await open(), 0);
    assert.equal(await row(cancelled.id), undefined);
    assert.deepEqual(await worker.rows(`SELECT id FROM orders WHERE id = '${cancelled.orderId}'`), []);
    await worker.rows("UPDATE payments SET updated_at = 1, created_at = 1 WHERE state = 'paid'");
    await worker.rows("UPDATE orders SET created_at = 1");
    await sweep();
    assert.deepEqual(await worker.rows("SELECT count(*) AS books FROM payments JOIN orders ON orders.id = order_id WHERE state = 'paid'"), [{ books }]);
    await worker.rows("UPDATE orders SET created_at = unixepoch()");
  });

  test("pays exactly once even if every third answer of Pi is lost after it has acted", async () => {
    await pi("POST", "faults", { step: "any", fault: "lose_answer", every: 3 });
    const before = (await ask("GET", "/me")).purchases.length;
    const until = async (step) => {
      for (let tries = 0; tries < 10; tries++) {
        const answer = await step();
        if (answer.status === 200) return answer;
        assert.ok([503, 504].includes(answer.status), JSON.stringify(answer));
      }
      throw new Error("it never ends");
    };
    for (let i = 0; i < 5; i++) {
      const { id } = await begin();
      await until(() => approve(id));
      const txid = await sign(id);
      assert.equal((await until(() => complete(id, txid))).state, "paid");
    }
    await pi("DELETE", "faults");
    assert.equal((await ask("GET", "/me")).purchases.length, before + 5);
  });

  test(`loses and duplicates nothing when it is killed ${KILLS} times at each step, restarted, and runs the scheduled event once`, async (context) => {
    const steps = [
      ["approve: Pi's record is being read", "approve", "GET", /\/payments\/\w+$/, "before"],
      ["approve: written down, Pi not yet asked", "approve", "POST", /\/approve$/, "before"],
      ["approve: Pi has approved, no answer yet", "approve", "POST", /\/approve$/, "after"],
      ["complete: Pi's record is being read", "complete", "GET", /\/payments\/\w+$/, "before"],
      ["complete: Pi not yet asked", "complete", "POST", /\/complete$/, "before"],
      ["complete: Pi has completed, no answer yet", "complete", "POST", /\/complete$/, "after"],
    ];
    const table = steps.map(([name]) => ({ "killed at": name, kills: 0, "paid immediately": 0, "by the scheduled run": 0, "by the SDK's next try": 0, lost: 0, twice: 0 }));
    // A user for each step: a run checks users in turn. Each kill ends the requests of all steps.
    const users = await Promise.all(steps.map(async (_, number) => ({ persona: `sim-crowd-${number}`, credential: await signIn(`sim-crowd-${number}`) })));
    const isPaid = async (id) => (await row(id))?.state === "paid";
    for (let kill = 0; kill < KILLS; kill++) {
      const payments = await Promise.all(users.map(async ({ persona, credential }, number) => {
        const [, at, ...place] = steps[number];
        const payment = { credential, place, row: table[number], ...(await begin(persona, credential)) };
        if (at === "complete") {
          const approved = await approve(payment.id, credential);
          assert.equal(approved.state, "approved", JSON.stringify(approved));
          payment.txid = await sign(payment.id);
        }
        return payment;
      }));
      const held = new Set();
      const dead = new Promise((done) => {
        onWire = (method, path, moment) => {
          const payment = payments.find(({ id }) => path.includes(id));
          const [when, where, then] = payment?.place ?? [];
          if (method !== when || !where.test(path) || moment !== then) return false;
          held.add(payment);
          if (held.size === steps.length) done(worker.kill());
          return true;
        };
      });
      const answers = payments.map(({ id, credential, txid }) => (txid ? complete(id, txid, credential) : approve(id, credential)).catch(() => "cut off"));
      await dead;
      onWire = () => false;
      assert.deepEqual(await Promise.all(answers), steps.map(() => "cut off"));
      await restart();
      // Time passes: the open payments are now old enough to be reconciled.
      await worker.rows("UPDATE payments SET due_at = due_at - 600 WHERE due_at IS NOT NULL");
      await worker.rows("UPDATE turns SET due_at = due_at - 600");
      for (const payment of payments) payment.wasPaid = await isPaid(payment.id);
      assert.equal((await worker.scheduled()).status, 200);
      for (const { id, orderId, credential, wasPaid, row, ...payment } of payments) {
        row.kills += 1;
        if (wasPaid) row["paid immediately"] += 1;
        else if (await isPaid(id)) row["by the scheduled run"] += 1;
        else {
          // The SDK repeats its request every ten seconds.
          const again = await approve(id, credential);
          assert.equal(again.state, "approved", JSON.stringify(again));
          const txid = payment.txid ?? (await sign(id));
          assert.equal((await complete(id, txid, credential)).state, "paid");
          row["by the SDK's next try"] += 1;
        }
        const { purchases } = await ask("GET", "/me", undefined, credential);
        const delivered = purchases.filter((purchase) => purchase.orderId === orderId).length;
        if (delivered === 0) row.lost += 1;
        if (delivered > 1) row.twice += 1;
      }
    }
    console.table(table);
    context.diagnostic(JSON.stringify(table));
    assert.ok(table.every(({ kills, lost, twice }) => kills === KILLS && lost === 0 && twice === 0));
    assert.ok(table.filter((row) => row["killed at"].startsWith("complete")).every((row) => row["by the scheduled run"] === KILLS));

    // The tables and Pi agree: a payment is paid here if and only if it is completed at Pi, with
    // the same transaction.
    const books = await pi("GET", "ledger");
    const theirs = books.payments.filter(({ status }) => status.developer_completed).map(({ identifier, transaction }) => `${identifier} ${transaction.txid}`);
    const ours = (await worker.rows("SELECT id, txid FROM payments WHERE state = 'paid'")).map((row) => `${row.id} ${row.txid}`);
    assert.deepEqual(ours.sort(), theirs.sort());
    const [{ orders }] = await worker.rows("SELECT count(DISTINCT order_id) AS orders FROM payments WHERE state = 'paid'");
    assert.equal(orders, ours.length, "one payment for each paid order");
  });
});

test("the migration of payments keeps every row, and the new tables keep their constraints", () => {
  const database = new DatabaseSync(":memory:", { enableForeignKeyConstraints: true });
  const files = readdirSync(`${root}/src/worker/migrations`).sort();
  const apply = (file) => database.exec(readFileSync(`${root}/src/worker/migrations/${file}`, "utf8"));
  const own = files.indexOf("0005_payments.sql");
  files.slice(0, own).forEach(apply);
  database.exec(`
    INSERT INTO users (uid, scopes, first_seen_at, last_seen_at, sign_ins) VALUES ('u', '', 1, 1, 1), ('v', '', 1, 1, 1);
    INSERT INTO orders VALUES ('o-1', 'u', 'coffee', 7, 'memo', 1000), ('o-2', 'u', 'coffee', 7, 'memo', 1000), ('o-3', NULL, 'coffee', 7, 'memo', 1000), ('o-4', 'v', 'coffee', 7, 'memo', 1000);
    INSERT INTO payments VALUES
      ('paid', 'o-1', 'u', 7, 'paid', 'tx', 1000, 1010), ('live', 'o-2', 'u', 7, 'approved', NULL, 1000, 1020),
      ('nobody', 'o-3', NULL, 7, 'recorded', NULL, 1000, 1030), ('off', NULL, 'v', 7, 'cancelled', NULL, 1000, 1040);
  `);
  const columns = "id, order_id, uid, amount_stroops, state, txid, created_at, updated_at";
  const rows = (sql) => database.prepare(sql).all().map((row) => ({ ...row }));
  const before = rows(`SELECT ${columns} FROM payments ORDER BY id`);
  apply(files[own]);
  assert.deepEqual(rows(`SELECT ${columns} FROM payments ORDER BY id`), before);
  assert.deepEqual(rows("SELECT id, due_at, looks FROM payments WHERE due_at IS NOT NULL ORDER BY id"), [{ id: "live", due_at: 1140, looks: 0 }, { id: "nobody", due_at: 1150, looks: 0 }]);
  assert.deepEqual(rows("SELECT payer, uid, due_at FROM turns"), [{ payer: "u", uid: "u", due_at: 1140 }]);
  assert.deepEqual(rows("SELECT id, delete_at FROM orders WHERE delete_at IS NOT NULL"), [{ id: "o-4", delete_at: 87_400 }]);
  for (const sql of [
    "UPDATE payments SET state = 'paid', due_at = NULL WHERE id = 'live'", // without a transaction
    "UPDATE payments SET txid = 'tx' WHERE id = 'live'", // of another payment
    "UPDATE payments SET state = 'cancelled' WHERE id = 'live'", // and still due
    "INSERT INTO payments (id, order_id, amount_stroops, state, created_at, updated_at) VALUES ('twin', 'o-2', 7, 'recorded', 1, 1)",
    "DELETE FROM orders WHERE id = 'o-2'",
  ]) {
    assert.throws(() => database.exec(sql), /constraint failed/, sql);
  }
  database.exec("UPDATE payments SET txid = 'kept' WHERE id = 'live'");
  database.exec("DELETE FROM users WHERE uid = 'u'");
  assert.deepEqual(rows("SELECT * FROM turns"), []);
  assert.deepEqual(rows("SELECT uid FROM payments WHERE id = 'live'"), [{ uid: null }]);
});
