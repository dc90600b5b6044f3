// Sends the requests of tests/transcript.json to the built Worker, in workerd with a real D1, and
// expects the answers of the stores in memory. Where D1 answers several questions in one batch, it
// must answer like the defaults in src/service/store.rs, which ask them one by one.
// tests/service/transcript.rs writes the file.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { root } from "../../scripts/paths.mjs";
import { CREDENTIAL, OPERATOR, startTestbed } from "../faults/testbed.mjs";

const STEPS = JSON.parse(readFileSync(`${root}/tests/transcript.json`, "utf8"));
const HIDDEN = ["detail", "requestId", "title", "type", "sessionToken", "refreshToken", "sid", "userAgent", "country"];

let testbed;
before(async () => void (testbed = await startTestbed()));
after(() => testbed?.close());

/** Replaces the products that are for sale. */
async function sell(products) {
  await testbed.rows("UPDATE products SET active = 0");
  for (const [id, stroops] of products) {
    await testbed.rows(`INSERT INTO products (id, name, amount_stroops) VALUES ('${id}', 'A cup of ${id}', ${stroops})
      ON CONFLICT (id) DO UPDATE SET name = excluded.name, amount_stroops = excluded.amount_stroops, active = 1`);
  }
}

test("D1 answers every question as the stores in memory do", { timeout: 900_000 }, async () => {
  const kept = new Map(); // values of earlier answers, with their names
  const filled = (text) => [...kept].reduce((text, [value, name]) => text.replaceAll(name, value), text);
  const shown = (answer) => {
    if (Array.isArray(answer)) return answer.map(shown);
    if (answer !== null && typeof answer === "object") return Object.fromEntries(Object.entries(answer).filter(([name]) => !HIDDEN.includes(name)).map(([name, value]) => [name, shown(value)]));
    if (typeof answer !== "string") return answer;
    return /^.{19}Z$/.test(answer) ? "{time}" : (kept.get(answer) ?? answer);
  };
  const began = Math.ceil(Date.now() / 1000) * 1000;
  for (const [index, { sell: products, caller, request, body, key, keep, status, answer }] of STEPS.entries()) {
    if (products) {
      await sell(products);
      continue;
    }
    const [method, path] = filled(request).split(" ");
    const token = { "credential-of-a-backend": CREDENTIAL, "credential-of-an-owner": OPERATOR }[caller] ?? filled(caller);
    const options = { token, body: body && filled(JSON.stringify(body)), headers: { ...(key && { "idempotency-key": key }) } };
    let given;
    if (path.startsWith("/simulator/")) {
      given = { status, json: await testbed.pi({ accessToken: token }, method, path.slice("/simulator/".length), body && JSON.parse(options.body)) };
    } else {
      // Each step is a second after the one before, as in memory, so that lists have one order.
      given = await testbed.ask(method, path, { ...options, faults: { aheadMs: began + index * 1000 - Date.now() } });
    }
    for (const [name, pointer] of Object.entries(keep)) {
      const value = pointer.split("/").slice(1).reduce((found, member) => found?.[member], given.json);
      if (!kept.has(value)) kept.set(value, `{${name}}`);
    }
    const json = answer === null ? null : shown(given.json);
    assert.deepEqual({ status: given.status, answer: json }, { status, answer }, `step ${index}: ${request} of ${caller}`);
  }
});
