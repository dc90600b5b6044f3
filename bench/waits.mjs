// Measures the waits of each route with D1 and Pi far away, and those of a payment flow that is
// written by hand in JavaScript (bench/peer/payments.mjs): `node bench/waits.mjs` prints JSON.

import assert from "node:assert/strict";
import { routes } from "../tests/faults/routes.mjs";
import { prepare } from "./runtime.mjs";
import { median } from "./statistics.mjs";
import { startTestbed } from "./testbed.mjs";

/** How many milliseconds away D1 and Pi are: a database on the same continent, and a service on
 * another one that works on its answer. */
const DELAYS = { d1: 40, pi: 120 };
const ROUNDS = 3; // the delays are most of a time, so times differ little

const PURCHASE = ["POST /orders", "POST /payments/{paymentId}/approve", "POST /payments/{paymentId}/complete"];
const OF_BOTH = ["POST /session", "GET /session", ...PURCHASE];

/** Checks that a payment flow refuses what it must, and can be repeated. */
async function mustBeCareful(testbed) {
  const [user, other] = [testbed.newUser(), testbed.newUser()];
  await Promise.all([user.signIn(), other.signIn()]);
  const is = async (status, answer) => {
    const { status: found, text } = await answer;
    assert.equal(found, status, text);
  };
  const { memo, metadata } = (await user.order()).json;
  const cheap = await testbed.pi(user, "POST", "payments", { amount: 0.01, memo, metadata });
  await is(422, user.step(cheap.identifier, "approve"));
  await testbed.pi(user, "POST", `payments/${cheap.identifier}/cancel`); // a user has one open payment

  const id = await user.begin();
  await is(403, other.step(id, "approve"));
  for (let i = 0; i < 2; i++) await is(200, user.step(id, "approve"));
  const txid = await user.sign(id);
  await is(422, user.complete(id, "0".repeat(64)));
  await is(403, other.complete(id, txid));
  for (let i = 0; i < 2; i++) await is(200, user.complete(id, txid));
  const { results } = await testbed.database.prepare("SELECT state, txid FROM payments WHERE id = ?").bind(id).all();
  assert.deepEqual(results, [{ state: "paid", txid }]);
}

/** The calls of a route, and its time in milliseconds. */
async function measure(testbed, { isMissing, prepare, ask }) {
  const times = [];
  let counts;
  for (let round = 0; round < ROUNDS; round++) {
    const user = testbed.newUser();
    const input = await prepare(user);
    const answer = await ask(user, input, DELAYS);
    assert.ok(isMissing ? answer.status === 404 : answer.status < 300, answer.text);
    times.push(answer.took);
    counts = answer.counts;
  }
  return { d1: counts.d1, pi: counts.pi, ms: median(times) };
}

async function measureAll(name, names) {
  const testbed = await startTestbed(name);
  try {
    await mustBeCareful(testbed);
    const measured = {};
    for (const name of names) measured[name] = await measure(testbed, routes[name]);
    const steps = PURCHASE.map((name) => measured[name]);
    const sum = (member) => steps.reduce((total, step) => total + step[member], 0);
    return { routes: measured, purchase: { d1: sum("d1"), pi: sum("pi"), ms: sum("ms") } };
  } finally {
    await testbed.close();
  }
}

prepare();
const ours = await measureAll("ours", Object.keys(routes));
const peer = await measureAll("payments", OF_BOTH);
console.log(JSON.stringify({ delays: DELAYS, ours, peer }));
