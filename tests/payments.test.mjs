// Payments through the built Worker in real workerd, with its database on disk, against the simulated Pi: under load, with
// answers lost, and with the Worker killed at every step.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request as send } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { newKey } from "../pkg/cli/keys.mjs";
import { freePort } from "../scripts/port.mjs";
import { startKillable } from "./killable.mjs";
import { startSimulator } from "./workers.mjs";

const KILLS = Number(process.env.KILLS ?? 20); // at each step

describe("payments", { timeout: 900_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-payments-"));
  let simulator;
  let wire;
  let options;
  let worker;
  let token;
  /** What happens on the way to Pi: `(method, path, before or after Pi has acted)`; true cuts the wire. */
  let onWire = () => false;

  /** A wire between the Worker and the simulated Pi, that a test can hold in its hand. */
  async function stretchWire(target) {
    const server = createServer((request, response) => {
      const { method, url, headers } = request;
      const cut = (moment) => {
        if (!onWire(method, url, moment)) return false;
        request.socket.destroy();
        return true;
      };
      if (cut("before")) return;
      const onward = send(new URL(url, target), { method, headers: { ...headers, host: new URL(target).host } }, (answer) => {
        const chunks = [];
        answer.on("data", (chunk) => chunks.push(chunk));
        answer.on("end", () => {
          if (!cut("after")) response.writeHead(answer.statusCode, answer.headers).end(Buffer.concat(chunks));
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

  const ask = async (method, path, body, credential = token) => {
    const headers = { ...(credential && { authorization: `Bearer ${credential}` }), ...(body && { "content-type": "application/json" }) };
    const response = await fetch(new URL(path, worker.url), { method, headers, body: body && JSON.stringify(body) });
    return { status: response.status, ...(await response.json().catch(() => ({}))) };
  };
  const pi = async (method, path, body) => {
    const response = await fetch(new URL(`/simulator/${path}`, simulator.url), { method, headers: { authorization: "Bearer sim-alice" }, body: body && JSON.stringify(body) });
    return response.status === 204 ? undefined : response.json();
  };
  const signIn = async (accessToken) => (await ask("POST", "/session", { accessToken }, null)).sessionToken;

  /** An order, and the payment that the browser makes of it. */
  async function begin() {
    const order = await ask("POST", "/orders", { productId: "coffee" });
    assert.equal(order.status, 201, JSON.stringify(order));
    const { amount, memo, metadata } = order;
    const { identifier: id } = await pi("POST", "payments", { amount: Number(amount), memo, metadata });
    return { orderId: order.orderId, id };
  }
  const approve = (id) => ask("POST", `/payments/${id}/approve`);
  const sign = async (id) => (await pi("POST", `payments/${id}/pay`)).transaction.txid;
  const complete = (id, txid) => ask("POST", `/payments/${id}/complete`, { txid });

  async function restart() {
    worker = await startKillable(options);
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
  });

  test("fifty completions at once: one delivery, fifty equal answers", async () => {
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

  test("another's payment, a changed amount, a foreign order: refused, and Pi is never asked to approve", async () => {
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

  test("two orders with one payment, one order with two, one transaction twice: refused", async () => {
    const first = await begin();
    await approve(first.id);
    const txid = await sign(first.id);
    assert.equal((await complete(first.id, txid)).state, "paid");
    // Whoever pays again for what is paid: the second payment is never approved.
    const { identifier: again } = await pi("POST", "payments", { amount: 3.14, memo: "memo", metadata: { orderId: first.orderId } });
    assert.equal((await approve(again)).code, "order_already_paid");
    assert.equal((await ask("POST", `/payments/${again}/cancel`)).state, "cancelled");
    const second = await begin();
    await approve(second.id);
    const other = await sign(second.id);
    assert.equal((await complete(second.id, txid)).code, "txid_mismatch");
    assert.equal((await complete(second.id, other)).state, "paid");
    // The tables hold it as well, whatever the code does.
    for (const sql of [
      `UPDATE payments SET txid = '${txid}' WHERE id = '${second.id}'`,
      `UPDATE payments SET order_id = '${first.orderId}' WHERE id = '${second.id}'`,
      `UPDATE payments SET state = 'paid', txid = NULL WHERE id = '${second.id}'`,
    ]) {
      assert.equal(await worker.rows(sql), null, sql);
    }
  });

  test("with every third answer of Pi's lost after it has acted, the flow still ends paid, once", async () => {
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

  test(`the Worker killed ${KILLS} times at each step, restarted, and one scheduled run: nothing lost, nothing twice`, async (context) => {
    const steps = [
      ["approve: Pi's record is being read", "approve", "GET", /\/payments\/\w+$/, "before"],
      ["approve: written down, Pi not yet asked", "approve", "POST", /\/approve$/, "before"],
      ["approve: Pi has approved, no answer yet", "approve", "POST", /\/approve$/, "after"],
      ["complete: Pi's record is being read", "complete", "GET", /\/payments\/\w+$/, "before"],
      ["complete: Pi not yet asked", "complete", "POST", /\/complete$/, "before"],
      ["complete: Pi has completed, no answer yet", "complete", "POST", /\/complete$/, "after"],
    ];
    const table = [];
    for (const [name, at, method, path, moment] of steps) {
      const row = { "killed at": name, kills: 0, "paid at once": 0, "by the scheduled run": 0, "by the SDK's next try": 0, lost: 0, twice: 0 };
      for (let kill = 0; kill < KILLS; kill++) {
        const { id, orderId } = await begin();
        if (at === "complete") { const approved = await approve(id); assert.equal(approved.state, "approved", JSON.stringify(approved)); }
        let txid = at === "complete" ? await sign(id) : undefined;
        const dead = new Promise((done) => {
          onWire = (...seen) => {
            if (seen[0] !== method || !path.test(seen[1]) || seen[2] !== moment) return false;
            onWire = () => false;
            done(worker.kill());
            return true;
          };
        });
        const cut = (at === "approve" ? approve(id) : complete(id, txid)).catch(() => "cut off");
        await dead;
        assert.equal(await cut, "cut off");
        row.kills += 1;
        await restart();
        // The clock moves on: what was left is old enough to be looked after.
        await worker.rows("UPDATE payments SET updated_at = updated_at - 300 WHERE state IN ('recorded', 'approved')");
        const [before] = await worker.rows(`SELECT state FROM payments WHERE id = '${id}' AND state = 'paid'`);
        assert.equal((await worker.scheduled()).status, 200);
        const [after] = await worker.rows(`SELECT state FROM payments WHERE id = '${id}' AND state = 'paid'`);
        if (before) row["paid at once"] += 1;
        else if (after) row["by the scheduled run"] += 1;
        else {
          // The SDK asks again every ten seconds.
          const again = await approve(id);
          assert.equal(again.state, "approved", JSON.stringify(again));
          txid ??= await sign(id);
          assert.equal((await complete(id, txid)).state, "paid");
          row["by the SDK's next try"] += 1;
        }
        const { purchases } = await ask("GET", "/me");
        const delivered = purchases.filter((purchase) => purchase.orderId === orderId).length;
        if (delivered === 0) row.lost += 1;
        if (delivered > 1) row.twice += 1;
      }
      table.push(row);
    }
    console.table(table);
    context.diagnostic(JSON.stringify(table));
    assert.ok(table.every(({ kills, lost, twice }) => kills === KILLS && lost === 0 && twice === 0));
    assert.ok(table.filter((row) => row["killed at"].startsWith("complete")).every((row) => row["by the scheduled run"] === KILLS));

    // The books agree: what is paid here is completed at Pi, with the same transaction, and the other way round.
    const books = await pi("GET", "ledger");
    const theirs = books.payments.filter(({ status }) => status.developer_completed).map(({ identifier, transaction }) => `${identifier} ${transaction.txid}`);
    const ours = (await worker.rows("SELECT id, txid FROM payments WHERE state = 'paid'")).map((row) => `${row.id} ${row.txid}`);
    assert.deepEqual(ours.sort(), theirs.sort());
    const [{ orders }] = await worker.rows("SELECT count(DISTINCT order_id) AS orders FROM payments WHERE state = 'paid'");
    assert.equal(orders, ours.length, "one payment for each paid order");
  });
});
