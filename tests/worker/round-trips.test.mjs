// Counts the calls to D1 and to Pi that each route makes in real workerd. Such a call takes tens of
// milliseconds in production, and most of them wait for the one before, so their number decides how
// long a request takes. A route that makes another number of them than the table says fails.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { exclusiveRoutes, routes } from "../faults/routes.mjs";
import { startTestbed } from "../faults/testbed.mjs";

/** The calls to D1 and to Pi, by the routes of tests/faults/routes.mjs. A batch is one call. */
const ROUND_TRIPS = [
  ["POST /session", 1, 1],
  ["POST /session, again", 1, 1],
  ["POST /session, named", 1, 1],
  ["POST /session/refresh", 1, 0],
  ["POST /session/refresh, with a key", 1, 0],
  ["GET /session", 1, 0],
  ["DELETE /session", 1, 0],
  ["GET /sessions", 1, 0],
  ["DELETE /sessions", 1, 0],
  ["DELETE /sessions/{sid}", 1, 0],
  // The second call finds out why nothing was revoked.
  ["DELETE /sessions/{sid} of nobody", 1, 0],
  ["GET /me", 1, 0],
  ["GET /me/data", 1, 0],
  ["PUT /me/data", 1, 0],
  ["DELETE /me", 1, 0],
  ["POST /orders", 1, 0],
  ["POST /orders, with a key", 1, 0],
  ["GET /orders/{orderId}", 1, 0],
  ["POST /payments/{paymentId}/approve", 3, 2],
  ["POST /payments/{paymentId}/complete", 3, 2],
  ["POST /payments/{paymentId}/cancel", 2, 2],
  ["POST /payments/{paymentId}/recover, paid", 3, 2],
  ["POST /payments/{paymentId}/recover, not paid", 2, 2],
  ["GET /payments", 1, 0],
  ["POST /ads/{adId}/claim", 2, 1],
  ["POST /introspect", 1, 0],
  ["GET /users/{uid}", 1, 0],
  ["GET /users/{uid}/payments", 1, 0],
  ["POST /users/{uid}/revoke", 1, 0],
  ["POST /revoke-all", 1, 0],
  ["POST /admin/session", 0, 0],
  // The first call asks which migrations are missing: without one, the second fails.
  ["GET /admin/overview", 3, 0],
  ["GET /admin/users", 1, 0],
  ["GET /admin/users, by name", 1, 0],
  ["GET /admin/users, by uid", 2, 0],
  ["GET /admin/users/{uid}", 1, 0],
  ["GET /admin/users/{uid}/sessions", 2, 0],
  ["GET /admin/users/{uid}/payments", 2, 0],
  ["GET /admin/payments", 1, 0],
  ["GET /admin/payments/{paymentId}", 1, 0],
  ["GET /admin/products", 1, 0],
  ["GET /admin/settings", 1, 0],
  ["GET /admin/audit", 1, 0],
  // The first call finds the user of the session, for the audit.
  ["DELETE /admin/sessions/{sid}", 2, 0],
  ["POST /admin/users/{uid}/revoke", 1, 0],
  ["POST /admin/users/{uid}/block", 1, 0],
  ["POST /admin/users/{uid}/unblock", 1, 0],
  ["GET /admin/users/{uid}/data", 2, 0],
  // A call for each list.
  ["GET /admin/users/{uid}/export", 8, 0],
  // The second call looks for further rows with the user's name.
  ["DELETE /admin/users/{uid}", 2, 0],
  ["POST /admin/payments/{paymentId}/settle", 6, 2],
  ["POST /admin/payments/{paymentId}/cancel", 5, 2],
  ["POST /admin/products", 1, 0],
  ["PATCH /admin/products/{productId}", 2, 0],
  ["POST /admin/revoke-all", 1, 0],
];

/** Routes whose answer the isolate keeps: the first request asks D1, the next ones do not. */
const KEPT = ["/revocations", "/products"];

/** Routes that neither ask D1 nor Pi. */
const WITHOUT = ["/", "/health", "/.well-known/jwks.json", "/openapi.json"];

describe("round trips", { timeout: 600_000 }, () => {
  const all = { ...routes, ...exclusiveRoutes };
  let testbed;

  // It also sends the first request, which migrates a development database.
  before(async () => void (testbed = await startTestbed()));
  after(() => testbed.close());

  const trips = ({ calls: { d1, pi } }) => ({ d1, pi });

  test("the table has every route that calls D1, Pi or a limiter", () => {
    const kept = KEPT.map((path) => `GET ${path}`);
    assert.deepEqual([...ROUND_TRIPS.map(([name]) => name), ...kept].sort(), Object.keys(all).sort());
  });

  for (const path of WITHOUT) {
    test(`GET ${path}: D1 0, Pi 0`, async () => {
      const answer = await testbed.ask("GET", path);
      assert.equal(answer.status, 200);
      assert.deepEqual(trips(answer), { d1: 0, pi: 0 });
    });
  }

  for (const path of KEPT) {
    test(`GET ${path}: D1 1, and then 0`, async () => {
      const answers = [await testbed.ask("GET", path), await testbed.ask("GET", path)];
      assert.deepEqual(answers.map(({ status }) => status), [200, 200]);
      assert.deepEqual(answers.map(trips), [{ d1: 1, pi: 0 }, { d1: 0, pi: 0 }]);
    });
  }

  test("GET /revocations of a client that has the feed: D1 0, Pi 0", async () => {
    const etag = (await testbed.ask("GET", "/revocations")).headers.get("etag");
    const answer = await testbed.ask("GET", "/revocations", { headers: { "if-none-match": etag } });
    assert.equal(answer.status, 304);
    assert.deepEqual(trips(answer), { d1: 0, pi: 0 });
  });

  for (const [name, d1, pi] of ROUND_TRIPS) {
    test(`${name}: D1 ${d1}, Pi ${pi}`, async () => {
      const user = testbed.newUser();
      const input = await all[name].prepare(user);
      const answer = await all[name].ask(user, input);
      assert.ok([200, 201, 204].includes(answer.status) || name.endsWith("of nobody"), answer.text);
      assert.deepEqual(trips(answer), { d1, pi });
    });
  }
});
