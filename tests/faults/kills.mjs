// Kills the Worker (SIGKILL) while it waits for D1 or Pi, before and after each has acted, and
// starts it again. The tables must be in the state before or after the request, and every paid
// order must be delivered.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { routes, withPayment } from "./routes.mjs";
import { audit, startTestbed } from "./testbed.mjs";

const KILLED = [
  "POST /session", "POST /session, again", "POST /session/refresh", "PUT /me/data", "DELETE /me", "POST /orders", "POST /payments/{paymentId}/approve",
  "POST /payments/{paymentId}/complete", "POST /payments/{paymentId}/cancel", "POST /payments/{paymentId}/recover, paid", "POST /ads/{adId}/claim",
];

describe("the Worker, killed while it waits", { timeout: 1_800_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-kills-"));
  let testbed;

  before(async () => {
    testbed = await startTestbed(folder);
  });
  after(async () => {
    await testbed?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function killed(name, upstream, at, moment, known) {
    const route = routes[name];
    const user = testbed.newUser();
    const wanted = await route.prepare(user);
    const stopped = new Promise((done) => (testbed.proxy.stopped = done));
    const cut = route.ask(user, wanted, { [upstream]: { [at]: `stop-${moment}` } }).then(({ status }) => status, () => "cut off");
    await Promise.race([stopped, cut]);
    await testbed.kill();
    assert.equal(await cut, "cut off");
    await testbed.start();
    const left = await user.state();
    assert.ok(known.states.includes(left), `left half done: ${left}`);
    await testbed.scheduled(200);
    if (route.isPaid) assert.match(await user.state(), /\[\\"paid\\"/, "the scheduled run must deliver it");
    const again = await route.ask(user, wanted);
    // The scheduled run may have finished it, so a repeat answers like a finished request.
    assert.ok(known.statuses.includes(again.status), `asked again: ${again.status} ${again.text}`);
    const final = await user.state();
    assert.ok(known.finals.includes(final), `after asking again: ${final}`);
    return left === known.untouched ? "before" : left === known.finals[0] ? "after" : "between";
  }

  for (const name of KILLED) {
    test(`${name}: leaves nothing half done and loses nothing when killed at each wait`, async (t) => {
      const route = routes[name];
      const user = testbed.newUser();
      const wanted = await route.prepare(user);
      const untouched = await user.state();
      const first = await route.ask(user, wanted);
      const once = await user.state();
      const second = await route.ask(user, wanted);
      const twice = await user.state();
      const states = [untouched, once, twice, ...(route.between ?? []).map((payment) => withPayment(untouched, payment))];
      const known = { states, untouched, finals: [once, twice], statuses: [first.status, second.status] };
      const [wrong, tally] = [[], { kills: 0, before: 0, between: 0, after: 0 }];
      for (const upstream of ["d1", "pi"]) {
        for (let at = 1; at <= first.calls[upstream]; at++) {
          for (const moment of ["before", "after"]) {
            try {
              tally[await killed(name, upstream, at, moment, known)] += 1;
              tally.kills += 1;
            } catch (error) {
              wrong.push(`${upstream} call ${at}, ${moment}: ${error.message}`);
            }
          }
        }
      }
      t.diagnostic(JSON.stringify(tally));
      assert.deepEqual(wrong, []);
      assert.ok(tally.kills > 0);
    });
  }

  test("afterwards, the tables agree with Pi's ledger", async () => {
    await testbed.drain();
    assert.deepEqual(await audit(testbed), []);
  });
});
