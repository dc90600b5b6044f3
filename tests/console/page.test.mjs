// The console in Chromium, against the built Worker, a real database and the simulated Pi after a
// busy day: its files, its figures, a payment that is settled, hostile texts from the database, and
// what axe finds. tests/console/console.test.mjs has each act and each state.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, afterEach, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { root } from "../../scripts/paths.mjs";
import { openBrowser } from "../support/browser.mjs";
import { makeBusyDay, startOperatedApp, STUCK } from "../support/busy-day.mjs";

const execute = promisify(execFile);
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// Texts that users, products and apps may have. Each must be shown, and none may act.
const HOSTILE = {
  username: `<script>window.attacked = 1</script>\u202Eeci\u2066`,
  userAgent: `"><img src=x onerror="window.attacked = 1">`,
  product: `<svg onload=window.attacked=1> javascript:alert(1)`,
  memo: `{{constructor.constructor("window.attacked = 1")()}} \u202E<b>`,
  reason: `<iframe srcdoc="<script>parent.attacked=1</script>"> __proto__`,
  data: `{"__proto__":{"polluted":"yes"},"html":"<script>window.attacked = 1</script>","deep":${"[".repeat(100)}${"]".repeat(100)}}`,
};

describe("the console", { timeout: 900_000 }, () => {
  let browser;
  let app;
  let day;
  const contexts = [];

  before(async () => {
    browser = await openBrowser();
    app = await startOperatedApp();
    day = await makeBusyDay(app);
  });
  after(async () => {
    await browser?.close();
    await app?.close();
  });
  afterEach(async () => {
    for (const context of contexts.splice(0)) await context.close();
  });

  /** A page that has recorded every error and every report of the policy. */
  async function open(address = "", { at = app, ...options } = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    contexts.push(context);
    const errors = [];
    context.on("weberror", (error) => errors.push(error.error().message));
    context.on("console", (message) => {
      const isOfRequest = /Failed to load resource/.test(message.text());
      if (["error", "warning"].includes(message.type()) && !isOfRequest) errors.push(message.text());
    });
    const page = await context.newPage();
    await page.addInitScript(() => {
      window.reports = [];
      document.addEventListener("securitypolicyviolation", ({ violatedDirective }) => window.reports.push(violatedDirective));
    });
    await page.goto(`${at.url}/console${address}`);
    page.quiet = async () => {
      assert.deepEqual(errors, []);
      assert.deepEqual(await page.evaluate(() => [window.reports, window.attacked ?? "no"]), [[], "no"]);
    };
    return page;
  }

  async function signIn(page, credential = app.credentials.owner) {
    await page.getByLabel("Your credential").fill(credential);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Payments" }).waitFor();
  }

  const openAs = async (role, address, options) => {
    const page = await open(address, options);
    await signIn(page, app.credentials[role]);
    return page;
  };

  const tile = (page, name) => page.locator(".tile", { hasText: name }).locator(".figure").innerText();

  test("shows the figures of what happened, to the unit", async () => {
    const page = await openAs("viewer");
    await page.locator(".tile").first().waitFor();
    const figures = [await tile(page, "Sign-ins"), await tile(page, "New people"), await tile(page, "Paid orders")];
    assert.deepEqual(figures, [day.signIns, day.newUsers, day.paid.count].map(String));
    assert.equal(await page.locator(".tile", { hasText: "Paid orders" }).locator(".more-figure").innerText(), `${day.paid.amount}\u00a0π`);
    for (const [code, count] of Object.entries(day.refused)) {
      assert.equal(await page.locator(".codes li", { hasText: code }).innerText(), `${code} ${count}`);
    }
    assert.match(await page.locator(".need.urgent").first().innerText(), new RegExp(`${STUCK} payments are stuck`));
    // The table beside a chart has the same figures.
    await page.getByText("Table of Sign-ins").click();
    const rows = await page.getByRole("region", { name: "Table of Sign-ins" }).locator("tbody tr").allInnerTexts();
    const sum = rows.reduce((total, row) => total + row.split("\t").slice(1).reduce((sum, text) => sum + Number(text), 0), 0);
    assert.deepEqual([rows.length, sum], [24, day.signIns]);
    await page.quiet();
  });

  test("finds a stuck payment by its user's name and settles it, as the command line does, and the audit names both", async () => {
    const [mine, other] = day.stuck;
    const page = await openAs("owner");
    await page.getByRole("searchbox").fill(mine.username.slice(0, 5).toUpperCase());
    await page.getByRole("button", { name: "Search" }).click();
    await page.locator("search .rows a", { hasText: mine.username }).first().click();
    assert.match(page.url(), new RegExp(`#user/${mine.uid}$`));
    await page.locator("dialog .rows a", { hasText: "stuck" }).click();
    await page.getByRole("button", { name: "Look again now" }).click();
    await page.getByText("The order is paid.").first().waitFor();
    await page.locator("dialog .badge.paid").waitFor();
    await page.getByRole("button", { name: "Close" }).click();

    const { stdout } = await execute(process.execPath, ["pkg/cli/index.mjs", "payment", other.paymentId, "--settle", "--json", "--url", app.url], {
      cwd: root,
      env: { ...process.env, PIONEER_SESSION_CREDENTIAL: app.credentials.owner },
    });
    assert.match(stdout, /"state": ?"paid"/);
    await page.reload();
    const audit = page.locator("section", { has: page.getByRole("heading", { name: "What operators did" }) }).locator("li");
    await audit.nth(3).waitFor();
    const entries = await audit.allInnerTexts();
    assert.equal(entries.length, 4);
    for (const [settled, asked, via] of [[...entries.slice(0, 2), "cli"], [...entries.slice(2), "console"]]) {
      assert.match(settled, /^alice looked again at payment/);
      assert.ok(settled.includes(`· ${via} · approved → paid`), settled);
      assert.match(asked, /^alice asked Pi about payment/);
      assert.ok(asked.includes(`· ${via} · step complete`), asked);
    }
    await page.quiet();
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

  test("shows every hostile text as text", async () => {
    const now = Math.floor(Date.now() / 1000);
    await app.rows("INSERT INTO users (uid, username, scopes, first_seen_at, last_seen_at, sign_ins, data, data_version) VALUES ('hostile', ?, 'username', ?, ?, 1, ?, '\"v\"')", HOSTILE.username, now, now, HOSTILE.data);
    await app.rows("INSERT INTO sessions (sid, uid, created_at, last_seen_at, token_expires_at, tokens_expire_at, expires_at, user_agent, epoch) SELECT 'hostile-session', 'hostile', ?1, ?1, ?1 + 600, ?1 + 600, ?1 + 600, ?2, max(epoch) FROM epochs", now, HOSTILE.userAgent);
    await app.rows("INSERT INTO products (id, name, amount_stroops, active) VALUES ('hostile', ?, 1, 0)", HOSTILE.product);
    await app.rows("INSERT INTO orders (id, uid, product_id, amount_stroops, memo, created_at) VALUES ('hostile-order', 'hostile', 'hostile', 1, ?, ?)", HOSTILE.memo, now);
    await app.rows("INSERT INTO payments (id, order_id, uid, amount_stroops, state, created_at, updated_at) VALUES ('hostile-payment', 'hostile-order', 'hostile', 1, 'approved', ?1, ?1)", now);
    const blocked = await app.ask("POST", "/admin/users/hostile/block", app.credentials.owner, { reason: HOSTILE.reason });
    assert.equal(blocked.status, 204, blocked.text);
    await app.rows("UPDATE sessions SET revoked_at = NULL, expires_at = ? WHERE sid = 'hostile-session'", now + 600);

    const page = await openAs("owner", "#user/hostile");
    await page.getByRole("button", { name: "Show", exact: true }).click();
    await page.locator("pre").waitFor();
    assert.equal(await page.locator("pre").innerText(), HOSTILE.data);
    assert.equal(await page.locator("#drawer-title bdi").innerText(), HOSTILE.username);
    assert.equal(await page.locator(".notice bdi").innerText(), HOSTILE.reason);
    assert.equal(await page.locator("dialog .name[title]").getAttribute("title"), HOSTILE.userAgent);
    await page.goto(`${app.url}/console#payment/hostile-payment`);
    await page.getByText(HOSTILE.memo).waitFor();
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByText(HOSTILE.product).first().waitFor();
    assert.equal(await page.evaluate(() => ({}).polluted), undefined);
    await page.quiet();
  });

  test("fits a phone and a desk, and has no violation that axe knows, in both colour schemes", async () => {
    const fresh = await startOperatedApp();
    try {
      for (const [width, colorScheme] of [[360, "light"], [1280, "dark"], [360, "dark"], [1280, "light"]]) {
        // axe adds a script of its own.
        const options = { viewport: { width, height: 800 }, colorScheme, bypassCSP: true };
        const checked = async (page, state) => {
          await page.waitForLoadState("networkidle");
          assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0, `${state} is wider than ${width} px`);
          await page.evaluate(AXE);
          const { violations } = await page.evaluate(() => window.axe.run());
          const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("\n")}`);
          assert.deepEqual(found, [], `${state} at ${width} px, ${colorScheme}`);
        };
        const first = await open("", { ...options, at: fresh });
        await checked(first, "locked");
        await signIn(first);
        await first.getByText("No sign-ins yet").waitFor();
        await checked(first, "the first day");
        const page = await openAs("owner", "", options);
        await page.locator(".tile").first().waitFor();
        for (const summary of await page.locator("summary").all()) await summary.click();
        await checked(page, "the whole");
        for (const [state, address] of [["a person", `#user/${day.stuck[4].uid}`], ["a payment", `#payment/${day.stuck[4].paymentId}`]]) {
          await page.goto(`${app.url}/console${address}`);
          await page.locator("dialog .facts").waitFor();
          await checked(page, state);
        }
        await page.getByRole("button", { name: "Cancel …" }).click();
        await page.getByRole("heading", { name: "Cancel this payment?" }).waitFor();
        await checked(page, "a question");
        await page.keyboard.press("Escape");
        await page.goto(`${app.url}/console#payment/unknown`);
        await page.getByRole("alert").waitFor();
        await checked(page, "a payment that is not there");
        for (const context of contexts.splice(0)) await context.close();
      }
    } finally {
      await fresh.close();
    }
  });
});
