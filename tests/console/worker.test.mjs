// The page for operators as the built Worker serves it, with a real database and a simulated Pi
// after a busy day: its files, and from a user's complaint to a settled payment.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { makeBusyDay, startOperatedApp } from "../support/busy-day.mjs";
import { openBrowser } from "../support/browser.mjs";

describe("the page in the built Worker", { timeout: 300_000 }, () => {
  let [app, day, browser] = [];
  before(async () => {
    app = await startOperatedApp();
    day = await makeBusyDay(app);
    browser = await openBrowser();
  });
  after(async () => {
    await browser?.close();
    await app?.close();
  });

  test("its files have hashed names, are kept, and are no others", async () => {
    const page = await fetch(`${app.url}/console`);
    const html = await page.text();
    assert.deepEqual([page.status, page.headers.get("content-type"), page.headers.get("cache-control")], [200, "text/html; charset=utf-8", "no-store"]);
    assert.match(page.headers.get("content-security-policy"), /^default-src 'none'; script-src 'self'; .*frame-ancestors 'none'/);
    const names = [...html.matchAll(/"\/console\/(main-[\w-]{12}\.(?:js|css))"/g)].map(([, name]) => name);
    assert.equal(names.length, 2);
    for (const name of names) {
      const file = await fetch(`${app.url}/console/${name}`);
      assert.deepEqual([file.status, file.headers.get("cache-control")], [200, "public, max-age=31536000, immutable"]);
      assert.ok((await file.text()).length > 5_000, name);
      const head = await fetch(`${app.url}/console/${name}`, { method: "HEAD" });
      assert.deepEqual([head.status, await head.text()], [200, ""]);
      const other = await fetch(`${app.url}/console/x${name}`);
      assert.deepEqual([other.status, other.headers.get("cache-control")], [404, "no-store"]);
    }
    for (const name of ["index.html", "toString", "constructor.js"]) assert.equal((await fetch(`${app.url}/console/${name}`)).status, 404, name);
  });

  test("is not there without operators, nor where only the app is served", async () => {
    for (const variables of [{ OPERATOR_CREDENTIALS: "" }, { SERVES: "app" }]) {
      const other = await startOperatedApp(variables);
      try {
        assert.equal((await fetch(`${other.url}/console`)).status, 404, JSON.stringify(variables));
      } finally {
        await other.close();
      }
    }
  });

  test("shows the figures of the day, and settles the payment of a user who has complained", async () => {
    const context = await browser.newContext({ viewport: { width: 360, height: 780 }, locale: "en-GB" });
    const page = await context.newPage();
    const reports = [];
    page.on("pageerror", (error) => reports.push(error.message));
    page.on("console", (message) => message.type() === "error" && reports.push(message.text()));
    await page.goto(`${app.url}/console`);
    await page.getByLabel("Your credential").fill(app.credentials.owner);
    await page.keyboard.press("Enter");
    const tile = (name) => page.locator(".tile", { has: page.getByText(name, { exact: true }) });
    await tile("Sign-ins").getByText(String(day.signIns), { exact: true }).waitFor();
    await tile("New people").getByText(String(day.newUsers), { exact: true }).waitFor();
    await tile("Paid orders").getByText(`${day.paid.amount}\u00a0π`, { exact: true }).waitFor();
    await page.getByRole("region", { name: "Needs you" }).getByText(`${day.stuck.length} payments are stuck`).waitFor();

    const [{ username, uid, paymentId }] = day.stuck;
    await page.getByRole("searchbox").fill(username);
    await page.keyboard.press("Enter");
    await page.getByRole("region", { name: `Results for “${username}”` }).locator(`a[href="#user/${uid}"]`).click();
    const drawer = page.locator("dialog.drawer");
    await drawer.getByText("Pi Browser").or(drawer.getByText("unknown device")).or(drawer.getByText("node")).first().waitFor();
    await drawer.locator(`a[href="#payment/${paymentId}"]`).click();
    await drawer.getByText("upstream_unavailable").waitFor();
    await drawer.getByRole("button", { name: "Look again now" }).click();
    await drawer.getByText("Pi completed it. The order is paid.").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("region", { name: "What operators did" }).getByText("looked again at payment").waitFor();
    const { json } = await app.ask("GET", `/admin/audit?target=${paymentId}`, app.credentials.viewer);
    assert.deepEqual(json.entries.map(({ actor, via, action }) => [actor, via, action]), [["alice", "console", "payment.settled"]]);
    assert.deepEqual(reports, []);
    await context.close();
  });
});
