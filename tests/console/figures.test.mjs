// The figures for the operator are equal to what happened, and a payment that is stuck can be found
// and settled.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { makeBusyDay, startOperatedApp, STUCK } from "../support/busy-day.mjs";

describe("after a busy day", { timeout: 900_000 }, () => {
  let app;
  let day;
  before(async () => {
    app = await startOperatedApp();
    day = await makeBusyDay(app);
  });
  after(() => app?.close());

  const overview = async () => {
    const { status, json, text } = await app.ask("GET", "/admin/overview", app.credentials.viewer);
    assert.equal(status, 200, text);
    return json;
  };

  test("the overview counts what happened, to the unit", async () => {
    const { today, needs, stock, series } = await overview();
    assert.deepEqual([today.signIns, today.newUsers, today.paid], [day.signIns, day.newUsers, day.paid]);
    const refused = Object.fromEntries(today.refused.map(({ code, count }) => [code, count]));
    for (const [code, count] of Object.entries(day.refused)) assert.equal(refused[code], count, code);
    assert.equal(stock.users.count, day.newUsers);
    const stuck = needs.find(({ kind }) => kind === "payments_stuck");
    assert.equal(stuck.count, STUCK);
    const sum = (read) => series.points.reduce((total, point) => total + read(point), 0);
    assert.deepEqual([sum(({ newUsers }) => newUsers), sum(({ returning }) => returning)], [day.newUsers, day.signIns - day.newUsers]);
    assert.ok(today.pi.calls >= day.signIns && today.pi.failed >= STUCK, JSON.stringify(today.pi));
    assert.ok(today.d1.rowsRead > 0 && today.d1.rowsWritten > 4 * day.signIns, JSON.stringify(today.d1));
  });

  test("a payment that is stuck is found by its user's name, and settled", async () => {
    const [{ username, uid, paymentId, txid }] = day.stuck;
    const owner = app.credentials.owner;
    const { json: found } = await app.ask("GET", `/admin/users?q=${encodeURIComponent(username)}`, owner);
    assert.equal(found.users[0].uid, uid);
    const { json: list } = await app.ask("GET", `/admin/users/${uid}/payments`, owner);
    const payment = list.payments.find((payment) => payment.paymentId === paymentId);
    assert.deepEqual([payment.state, payment.isStuck, payment.problem, payment.checks], ["approved", true, "upstream_unavailable", 1]);
    const { status, json } = await app.ask("POST", `/admin/payments/${paymentId}/settle`, owner);
    assert.deepEqual([status, json.state, json.txid], [200, "paid", txid]);
    const { json: audit } = await app.ask("GET", `/admin/audit?target=${paymentId}`, owner);
    const [{ actor, via, action, detail }] = audit.entries;
    assert.deepEqual({ actor, via, action, detail }, { actor: "alice", via: "cli", action: "payment.settled", detail: { before: "approved", after: "paid" } });
  });
});
