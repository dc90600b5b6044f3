// A busy day of an app: sign-ins, purchases, refusals and payments that are stuck, through the
// Worker and the simulated Pi. It knows exactly what it did, so that the figures for the operator
// can be compared with it.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { calm } from "./clock.mjs";
import { startIssuer, startSimulator } from "./workers.mjs";

export const SIGN_INS = 200;
const USERS = 150;
export const PURCHASES = 20;
export const STUCK = 5;
export const REFUSALS = 300;
const AT_ONCE = 20;

const CREDENTIALS = { owner: "credential-of-the-owner", viewer: "credential-of-a-viewer" };
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

/** An issuer with two operators, alice (owner) and bob (viewer), beside a simulated Pi. */
export async function startOperatedApp(variables = {}) {
  const pi = await startSimulator();
  const operators = { alice: { sha256: sha256(CREDENTIALS.owner), role: "owner" }, bob: { sha256: sha256(CREDENTIALS.viewer), role: "viewer" } };
  const lines = [];
  const issuer = await startIssuer({
    pi: pi.url,
    allowedOrigin: "https://app.example.com",
    log: ({ message }) => lines.push(message),
    variables: { OPERATOR_CREDENTIALS: JSON.stringify(operators), ...variables },
  });
  await fetch(`${issuer.url}/session`); // sets the development database up
  const database = await issuer.worker.getD1Database("DB");
  return {
    url: issuer.url,
    pi: pi.url,
    lines,
    credentials: CREDENTIALS,
    rows: async (sql, ...values) => (await database.prepare(sql).bind(...values).all()).results,
    async scheduled() {
      const response = await fetch(`${issuer.url}/cdn-cgi/local/scheduled`);
      assert.equal(response.status, 200, await response.text());
    },
    /** Calls a route with a credential. */
    async ask(method, path, token, body) {
      const response = await fetch(issuer.url + path, {
        method,
        redirect: "manual",
        headers: { ...(token && { authorization: `Bearer ${token}` }), ...(body !== undefined && { "content-type": "application/json" }) },
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      const text = await response.text();
      return { status: response.status, headers: response.headers, text, json: text === "" ? undefined : JSON.parse(text) };
    },
    async close() {
      await issuer.close();
      await pi.close();
    },
  };
}

/** Calls `act` with 0 to `count` - 1, a few at the same time. */
async function repeat(count, act) {
  for (let from = 0; from < count; from += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, index) => act(from + index)));
  }
}

/** Has a user order a product and pay it at Pi. The Worker has approved the payment then. */
async function payAtPi(app, accessToken, sessionToken, productId) {
  const { json: order } = await app.ask("POST", "/orders", sessionToken, { productId });
  const atPi = async (path, body) => {
    const response = await fetch(`${app.pi}/simulator/${path}`, { method: "POST", headers: { authorization: `Bearer ${accessToken}` }, body });
    assert.ok(response.ok, await response.clone().text());
    return response.json();
  };
  // Written as text: a price of seven decimals must not pass through a float.
  const text = `{"amount":${order.amount},"memo":${JSON.stringify(order.memo)},"metadata":${JSON.stringify(order.metadata)}}`;
  const { identifier } = await atPi("payments", text);
  const approved = await app.ask("POST", `/payments/${identifier}/approve`, sessionToken);
  assert.equal(approved.status, 200, approved.text);
  const { transaction } = await atPi(`payments/${identifier}/pay`);
  return { paymentId: identifier, orderId: order.orderId, amount: order.amount, txid: transaction.txid };
}

const STROOPS = 10_000_000n;
const stroopsOf = (amount) => {
  const [whole, fraction = ""] = amount.split(".");
  return BigInt(whole) * STROOPS + BigInt(fraction.padEnd(7, "0"));
};
const piOf = (stroops) => `${stroops / STROOPS}.${String(stroops % STROOPS).padStart(7, "0")}`.replace(/\.?0+$/, "");

/** The access token of a user. The last one is Alice; the others of the crowd share a username. */
const tokenOf = (index) => (index === USERS - 1 ? "sim-alice" : `sim-crowd-${index}`);

/** Makes the day, and resolves with what happened. */
export async function makeBusyDay(app) {
  await calm(86_400, 180); // the figures are those of one day
  for (const [id, name, stroops] of [["coffee", "A cup of coffee", 31_400_000], ["crumb", "The crumb of a cake", 1]]) {
    await app.rows("INSERT INTO products (id, name, amount_stroops) VALUES (?, ?, ?)", id, name, stroops);
  }
  const sessions = new Map();
  await repeat(SIGN_INS, async (index) => {
    const accessToken = tokenOf(index % USERS);
    const { status, json } = await app.ask("POST", "/session", undefined, { accessToken });
    assert.equal(status, 200);
    sessions.set(accessToken, json);
  });

  let total = 0n;
  await repeat(PURCHASES, async (index) => {
    const accessToken = tokenOf(index);
    const { sessionToken } = sessions.get(accessToken);
    const { paymentId, amount, txid } = await payAtPi(app, accessToken, sessionToken, index % 3 === 0 ? "crumb" : "coffee");
    const { status, json } = await app.ask("POST", `/payments/${paymentId}/complete`, sessionToken, { txid });
    assert.deepEqual([status, json.state], [200, "paid"]);
    total += stroopsOf(amount);
  });

  const refused = { session_invalid: 0, access_token_rejected: 0, not_found: 0 };
  await repeat(REFUSALS, async (index) => {
    const asked = [() => app.ask("GET", "/session", "e30.e30.e30"), () => app.ask("POST", "/session", undefined, { accessToken: "sim-revoked" }), () => app.ask("GET", "/nowhere")];
    const { json } = await asked[index % asked.length]();
    refused[json.code] += 1;
  });
  assert.equal(Object.values(refused).reduce((sum, n) => sum + n), REFUSALS);

  // The user has paid, the page was closed, and Pi fails whenever the scheduled run asks.
  const stuck = [];
  await repeat(STUCK, async (index) => {
    const accessToken = tokenOf(USERS - 1 - index);
    const payment = await payAtPi(app, accessToken, sessions.get(accessToken).sessionToken, "coffee");
    // The first is Alice's, whose username no other user has.
    stuck[index] = { ...payment, uid: sessions.get(accessToken).user.uid, username: sessions.get(accessToken).user.username };
  });
  const fault = await fetch(`${app.pi}/simulator/faults`, { method: "POST", body: '{"step":"get","fault":"html500"}' });
  assert.equal(fault.status, 204);
  const hoursAgo = Math.floor(Date.now() / 1000) - 5 * 3600;
  await app.rows("UPDATE payments SET created_at = ?1, updated_at = ?1, due_at = ?1 WHERE state = 'approved'", hoursAgo);
  await app.rows("UPDATE turns SET due_at = ?1", hoursAgo);
  await app.scheduled();
  assert.equal((await fetch(`${app.pi}/simulator/faults`, { method: "DELETE" })).status, 204);

  return { newUsers: USERS, signIns: SIGN_INS, paid: { count: PURCHASES, amount: piOf(total) }, refused, stuck };
}
