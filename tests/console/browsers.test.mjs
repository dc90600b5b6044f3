// The console in each engine that an operator may have: sign in, find a payment that is stuck,
// settle it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ENGINES, isMissing, openEngine } from "../support/browser.mjs";
import { makeBusyDay, startOperatedApp } from "../support/busy-day.mjs";

describe("an operator", { timeout: 900_000 }, () => {
  let app;
  let day;
  before(async () => {
    app = await startOperatedApp();
    day = await makeBusyDay(app);
  });
  after(() => app?.close());

  for (const [index, name] of ENGINES.entries()) {
    test(`signs in with ${name}, finds a payment and settles it`, { skip: isMissing(name) }, async () => {
      const browser = await openEngine(name);
      try {
        const { paymentId, orderId, username } = day.stuck[index];
        const context = await browser.newContext();
        const page = await context.newPage();
        await page.goto(`${app.url}/console`);
        await page.fill("input[type=password]", app.credentials.owner);
        await page.click("button", "Sign in");
        await page.waitForElement(".tile");
        await page.fill("#q", orderId);
        await page.click("button", "Search");
        await page.click("search .rows a", username);
        assert.ok((await page.evaluate(() => location.hash)).endsWith(paymentId));
        await page.waitForElement("dialog .timeline");
        await page.click("dialog button", "Look again now");
        await page.waitForElement("dialog .badge", "paid");
        const { json } = await app.ask("GET", `/admin/payments/${paymentId}`, app.credentials.viewer);
        assert.equal(json.payment.state, "paid");
        assert.deepEqual(await context.errors(), []);
        await context.close();
      } finally {
        await browser.close();
      }
    });
  }
});
