// The page for operators in Chromium, against the test bed in fake-api.mjs: sign-in and locking,
// every panel and drawer, every act with its question, keyboard and screen reader, and hostile
// texts.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { createRequire } from "node:module";
import { root } from "../../scripts/paths.mjs";
import { eventually } from "../support/clock.mjs";
import { openBrowser } from "../support/browser.mjs";
import { AUDIENCE, CREDENTIALS, HOSTILE, HOSTILE_USER, STUCK, USER, startFakeApi } from "./fake-api.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PHONE = { width: 360, height: 780 };
const DESK = { width: 1280, height: 900 };

describe("the page for operators", { timeout: 900_000 }, () => {
  let [api, browser, context, page] = [];
  const reports = [];

  before(async () => {
    api = await startFakeApi();
    browser = await openBrowser();
  });
  after(async () => {
    await browser?.close();
    await api?.close();
  });
  beforeEach(() => {
    api.reset();
    reports.length = 0;
  });
  afterEach(async () => {
    await context?.close();
    context = undefined;
    // Whatever a test does, the page breaks no policy, runs no foreign script, and has no error.
    assert.deepEqual(reports, []);
  });

  async function open({ viewport = PHONE, colorScheme = "light", address = "", clock = false, hasTouch = false } = {}) {
    context = await browser.newContext({ viewport, colorScheme, hasTouch, isMobile: hasTouch, locale: "en-GB", timezoneId: "Europe/Berlin", permissions: ["clipboard-read", "clipboard-write"] });
    page = await context.newPage();
    page.on("dialog", (dialog) => reports.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
    page.on("pageerror", (error) => reports.push(`error: ${error.message}`));
    // Chromium notes each refused request in these words. The page shows the refusal.
    page.on("console", (message) => message.type() === "error" && !message.text().startsWith("Failed to load resource") && reports.push(message.text()));
    await page.exposeFunction("reportViolation", (text) => reports.push(text));
    await page.addInitScript(() => document.addEventListener("securitypolicyviolation", (event) => window.reportViolation(`policy: ${event.violatedDirective} ${event.blockedURI}`)));
    if (clock) await page.clock.install();
    await page.goto(`${api.url}/console${address}`);
  }

  async function signIn(role = "owner") {
    await page.getByLabel("Your credential").fill(CREDENTIALS[role]);
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Lock", exact: true }).waitFor();
  }

  async function openSignedIn({ role, ...options } = {}) {
    await open(options);
    await signIn(role);
  }

  const panel = (name) => page.getByRole("region", { name, exact: true });
  const drawer = () => page.locator("dialog.drawer");
  const question = () => page.locator("dialog.question");
  const said = (text) => page.getByRole("status").getByText(text).waitFor();
  const isLocked = () => page.getByLabel("Your credential").waitFor();
  const acts = () => api.requests.filter((request) => !request.startsWith("GET ") && request !== "POST session");

  /** The violations that axe finds. */
  async function violations() {
    await page.evaluate(AXE);
    const found = await page.evaluate(async () => {
      // The links to people and payments are no skip links. axe takes one for a skip link if it is
      // below the fold of a drawer.
      window.axe.configure({ rules: [{ id: "skip-link", selector: 'a[href^="#"]:not([href^="#user/"], [href^="#payment/"])' }] });
      return (await window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })).violations;
    });
    return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 120)} ${failureSummary}`).join(" | ")}`);
  }

  const settled = () => page.locator("main[aria-busy=false]").waitFor();

  const STATES = {
    locked: async (options) => open(options),
    "a wrong credential": async (options) => {
      await open(options);
      await page.getByLabel("Your credential").fill("wrong");
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("alert").getByText("is not valid").waitFor();
    },
    "the whole": async (options) => {
      await openSignedIn(options);
      await page.getByText("Table").first().click();
      await page.getByText("Settings", { exact: true }).click();
      await page.getByText("Add a product").click();
      await page.locator("table").waitFor();
    },
    "a viewer": async (options) => {
      await openSignedIn({ ...options, role: "viewer" });
      await panel("Payments").getByRole("link").first().waitFor();
    },
    "the first day": async (options) => {
      api.world = { isFirstDay: true };
      await openSignedIn(options);
      await panel("No sign-ins yet").waitFor();
    },
    "nothing is counted": async (options) => {
      api.world = { isCounting: false };
      await openSignedIn(options);
      await panel("Payments").getByRole("link").first().waitFor();
    },
    "a search": async (options) => {
      await openSignedIn(options);
      await page.getByRole("searchbox").fill("alice");
      await page.keyboard.press("Enter");
      await panel("Results for “alice”").getByRole("link").waitFor();
    },
    "a person": async (options) => {
      await openSignedIn({ ...options, address: `#user/${HOSTILE_USER}` });
      await drawer().getByRole("button", { name: "Show" }).click();
      await drawer().locator("pre").waitFor();
    },
    "a payment": async (options) => {
      await openSignedIn({ ...options, address: `#payment/${STUCK}` });
      await drawer().getByRole("listitem").first().waitFor();
    },
    "a question": async (options) => {
      await openSignedIn({ ...options, address: `#user/${USER}` });
      await drawer().getByRole("button", { name: "Block" }).click();
      await question().waitFor();
    },
    "all refused": async (options) => {
      await open(options);
      api.isDown = true;
      await signIn();
      await page.getByText("The database is not available").nth(3).waitFor();
    },
  };

  for (const [name, reach] of Object.entries(STATES)) {
    test(`everybody can use it: ${name}`, async () => {
      for (const options of [
        { viewport: PHONE, colorScheme: "light" },
        { viewport: DESK, colorScheme: "dark" },
        { viewport: DESK, colorScheme: "light" },
        { viewport: PHONE, colorScheme: "dark" },
      ]) {
        api.reset();
        await context?.close();
        await reach(options);
        assert.deepEqual(await violations(), [], JSON.stringify(options));
        const [content, room] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
        assert.ok(content <= room, `it scrolls sideways: ${content} > ${room}`);
      }
    });
  }

  test("these checks find what they look for", async () => {
    await open();
    await page.evaluate(() => {
      document.body.append(document.createElement("img"));
      const skip = Object.assign(document.createElement("a"), { href: "#nowhere", textContent: "Skip" });
      Object.assign(skip.style, { position: "fixed", top: "-100px" });
      document.body.append(skip);
      document.querySelector("form").setAttribute("style", "color: red");
      try {
        document.querySelector("form").innerHTML = "<b>x</b>";
      } catch {
        // The policy refuses it.
      }
    });
    const found = (await violations()).join();
    for (const rule of [/image-alt/, /skip-link: <a href="#nowhere"/]) assert.match(found, rule);
    await eventually(() => ["style-src", "require-trusted-types-for"].every((directive) => reports.join().includes(`policy: ${directive}`)));
    assert.match(reports.join(), /policy: style-src/);
    assert.match(reports.join(), /policy: require-trusted-types-for/);
    reports.length = 0;
  });

  test("keeps the token in this tab only, and never the credential", async () => {
    await openSignedIn();
    const kept = await page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }, document.cookie]));
    assert.match(kept, /token-\d+-owner/);
    assert.ok(!kept.includes(CREDENTIALS.owner));
    assert.deepEqual(JSON.parse(kept).slice(1), [{}, ""]);
    await page.reload();
    await panel("Today").waitFor();
    await page.getByRole("button", { name: "Lock", exact: true }).click();
    await isLocked();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await page.reload();
    await isLocked();
  });

  test("a token that is no longer valid locks it, and the next sign-in is at the same place", async () => {
    await openSignedIn({ address: `#payment/${STUCK}` });
    await drawer().getByText("Pi approved it.").waitFor();
    // A panel that still loads would lock it before the click.
    await settled();
    await page.locator(".loading").first().waitFor({ state: "detached" });
    api.tokens.clear();
    await drawer().getByRole("button", { name: "Look again now" }).click();
    await isLocked();
    await page.getByText("The sign-in is no longer valid").waitFor();
    assert.equal(await page.getByText("Pi approved it.").count(), 0);
    await signIn();
    await drawer().getByText("Pi approved it.").waitFor();
  });

  test("locks after 30 minutes without use, and after an hour of use", async () => {
    await openSignedIn({ clock: true });
    await page.clock.fastForward("29:00");
    await page.mouse.move(5, 5);
    await page.keyboard.press("Shift");
    await page.clock.fastForward("29:00");
    await panel("Today").waitFor();
    await page.clock.fastForward("01:30");
    await page.getByText("nobody used the page for 30 minutes").waitFor();
    await signIn();
    for (let step = 0; step < 3; step++) {
      await page.clock.fastForward("19:00");
      await page.keyboard.press("Shift");
    }
    await panel("Today").waitFor();
    await page.clock.fastForward("03:30");
    await page.getByText("The hour is over").waitFor();
  });

  test("shows the figures of the Worker, to the unit, each with its definition", async () => {
    await openSignedIn();
    const tile = (name) => page.locator(".tile", { has: page.getByText(name, { exact: true }) });
    assert.match(await tile("Sign-ins").innerText(), /412\s+week ago 388/);
    assert.match(await tile("Paid orders").innerText(), /19\s+61\.2\sπ\s+week ago 14, 43\.96\sπ/);
    for (const each of await page.locator(".tile").all()) assert.ok((await each.getAttribute("title")).endsWith("."));
    assert.match(await panel("Today").innerText(), /431 calls, 2 failed, half under 200 ms, 95 in 100 under 800 ms/);
    await panel("Payments").getByText("900719925.4740991").waitFor();
    await panel("Payments").getByText("0.0000001").waitFor();
    const time = panel("Payments").locator("time").first();
    assert.equal((await time.getAttribute("title")).slice(0, 19), (await time.getAttribute("datetime")).slice(0, 19).replace("T", " "));
  });

  test("each chart has a table of the same figures, for each range", async () => {
    await openSignedIn({ viewport: DESK });
    for (const [range, unit, rows] of [["24 h", "Hour", 24], ["7 d", "Hour", 168], ["30 d", "Day", 30], ["90 d", "Day", 90]]) {
      await page.getByRole("button", { name: range, exact: true }).click();
      await settled();
      const chart = page.locator("figure", { has: page.getByRole("heading", { name: "Sign-ins" }) });
      if (!(await chart.locator("table").isVisible())) await chart.getByText("Table").click();
      await page.waitForFunction((rows) => document.querySelectorAll("figure table")[0]?.rows.length === rows + 1, rows);
      assert.equal(await chart.locator("th").first().innerText(), unit);
      const sum = await chart.locator("table").evaluate((table) => [...table.tBodies[0].rows].reduce((sum, row) => sum + Number(row.cells[1].innerText.replaceAll(",", "")), 0));
      const shown = Number((await chart.locator(".legend b").first().innerText()).replaceAll(",", ""));
      assert.equal(sum, shown);
      assert.ok(sum > 0);
    }
  });

  /** The texts that a chart with this title has on its canvas, each with its room in CSS pixels. */
  const drawn = (title) => page.evaluate((title) => window.drawn.filter(({ canvas }) => canvas.closest("figure")?.querySelector("h3").textContent === title).map(({ text, from, to, line }) => ({ text, from, to, line })), title);
  const record = () =>
    page.addInitScript(() => {
      window.drawn = [];
      const { clearRect, fillText } = CanvasRenderingContext2D.prototype;
      CanvasRenderingContext2D.prototype.clearRect = function (...room) {
        window.drawn = window.drawn.filter(({ canvas }) => canvas !== this.canvas);
        return clearRect.apply(this, room);
      };
      CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        const half = this.measureText(text).width / 2;
        const { e, f } = this.getTransform();
        window.drawn.push({ canvas: this.canvas, text, from: e + x - half, to: e + x + half, line: f + y });
        return fillText.call(this, text, x, y);
      };
    });

  test("the bars and the line of a chart have an axis each, and no label covers another", async () => {
    await open();
    await record();
    await page.reload();
    await signIn();
    for (const range of ["24 h", "7 d", "30 d", "90 d"]) {
      await page.getByRole("button", { name: range, exact: true }).click();
      await settled();
      await page.waitForTimeout(200);
      const newest = async () => (await drawn("Pi")).map(({ text }) => text);
      await eventually(async () => (await newest()).includes("400"));
      const texts = await newest();
      for (const text of ["failed calls", "mean time, ms", "200", "400"]) assert.ok(texts.includes(text), `${range}: ${text} of ${texts}`);
      assert.equal(texts.filter((text) => text === "0").length, 2, "both begin at 0");
      for (const title of ["Sign-ins", "Refused", "Pi"]) {
        const ticks = (await drawn(title)).filter(({ text }) => /\d:|[A-Z]/.test(text)).sort((one, other) => one.from - other.from);
        assert.ok(ticks.length > 1, `${range}: ${title}`);
        for (const [index, { text, from }] of ticks.slice(1).entries()) assert.ok(from > ticks[index].to, `${range}: ${ticks[index].text} and ${text} in ${title}`);
      }
    }
  });

  test("the hours of a chart are local ones, and its days are those of UTC", async () => {
    await open({ clock: true });
    await page.clock.setSystemTime("2026-03-10T22:30:00Z"); // 23:30 in Berlin
    api.world.now = () => Date.parse("2026-03-10T22:30:00Z");
    await record();
    await page.reload();
    await signIn();
    const last = async (range) => {
      await page.getByRole("button", { name: range, exact: true }).click();
      await settled();
      const chart = page.locator("figure", { has: page.getByRole("heading", { name: "Sign-ins" }) });
      if (!(await chart.locator("table").isVisible())) await chart.getByText("Table").click();
      return chart.locator("tbody th");
    };
    await (await last("7 d")).last().getByText("10 Mar, 23:00", { exact: true }).waitFor();
    const hours = await (await last("7 d")).allInnerTexts();
    assert.deepEqual([hours.includes("10 Mar, 00:00"), hours.includes("11 Mar, 00:00")], [true, false], "an hour has its own day");
    await (await last("30 d")).last().getByText("10 Mar", { exact: true }).waitFor();
    const days = await (await last("30 d")).allInnerTexts();
    // A label is in the middle below the bar of its day. The chart is drawn after its table.
    let misplaced;
    const isRight = async () => {
      const ticks = (await drawn("Sign-ins")).filter(({ text }) => /[A-Z]/.test(text));
      const { width, left, ratio } = await page.locator("figure .u-over").first().evaluate((over) => ({ width: over.clientWidth, left: over.offsetLeft, ratio: devicePixelRatio }));
      const bars = ticks.map(({ text, from, to }) => ({ text, bar: ((from + to) / 2 / ratio - left) / (width / days.length) - 0.5 }));
      misplaced = bars.filter(({ text, bar }) => !(Math.abs(bar - days.indexOf(text)) < 0.2));
      return bars.length > 1 && misplaced.length === 0;
    };
    assert.ok(await eventually(isRight), JSON.stringify(misplaced));
  });

  test("a browser whose language is none, as in the locale C, shows all of it", async () => {
    await open();
    await page.addInitScript(() => Object.defineProperty(Navigator.prototype, "language", { get: () => "c" }));
    await page.reload();
    assert.equal(await page.evaluate(() => navigator.language), "c");
    await signIn();
    await page.locator("figure canvas").nth(2).waitFor();
  });

  test("with COUNTS off, it has no figures and no charts, and says so in their place", async () => {
    api.world = { isCounting: false };
    await openSignedIn();
    await panel("Today").getByText("No figures and no charts: COUNTS is off. Set it to on to have them.").waitFor();
    assert.match(await panel("Today").innerText(), /26 minutes ago, 2 paid, 1 cancelled, 3 failed/);
    assert.equal(await page.locator(".tile, figure").count(), 0);
    assert.equal(await page.getByText("No sign-ins yet").count(), 0);
    await panel("Needs you").getByText("3 payments are stuck").waitFor();
    await panel("Payments").getByRole("link").first().waitFor();
    await panel("Newest people").getByRole("link").first().waitFor();
  });

  test("an empty field of the search closes the results", async () => {
    await openSignedIn();
    await page.getByRole("searchbox").fill("alice");
    await page.keyboard.press("Enter");
    await panel("Results for “alice”").getByRole("link").waitFor();
    await page.getByRole("searchbox").fill("");
    await panel("Results for “alice”").waitFor({ state: "detached" });
  });

  test("a finger finds every button", async () => {
    await openSignedIn({ hasTouch: true });
    await panel("Products").getByRole("button").first().waitFor();
    for (const control of await page.locator("button, summary, input").all()) {
      const { height } = await control.boundingBox();
      assert.ok(height >= 40, `${height} px: ${await control.innerText()}`);
    }
  });

  test("the sentences of the Worker have local times", async () => {
    await openSignedIn({ clock: true });
    const need = panel("Needs you").getByText("3 payments are stuck");
    await need.waitFor();
    assert.match(await need.innerText(), /the oldest since ((\d\d? \w{3,4}, )?\d\d:\d\d|\d\d? \w{3,4} \d{4})\. The most frequent/);
    assert.match(await need.locator("time").getAttribute("title"), / UTC$/);
  });

  test("loads again each minute while it is visible, and keeps what it has when that fails", async () => {
    await openSignedIn({ clock: true });
    await panel("Today").waitFor();
    api.requests.length = 0;
    await page.clock.runFor(66_000);
    await eventually(() => api.requests.some((request) => request.startsWith("GET overview")));
    await page.waitForTimeout(300);
    assert.equal(api.requests.filter((request) => request.startsWith("GET overview")).length, 1);
    api.isDown = true;
    await page.clock.runFor(66_000);
    await page.getByText("The newest could not be read.").first().waitFor();
    assert.match(await panel("Today").innerText(), /412/);
    await panel("Payments").getByText("The newest could not be read.").click();
    await panel("Payments").getByText("dGhlLXJlcXVlc3Qt").waitFor();
    api.isDown = false;
    await page.clock.runFor(66_000);
    await page.getByText("The newest could not be read.").first().waitFor({ state: "detached" });
  });

  test("a person who has paid and got nothing is found by name, and the payment is settled", async () => {
    await openSignedIn();
    await page.getByRole("searchbox").fill("ALICE");
    await page.keyboard.press("Enter");
    await panel("Results for “ALICE”").getByRole("link", { name: /alice_pi/ }).click();
    await drawer().getByRole("link", { name: /stuck/ }).click();
    assert.equal(new URL(page.url()).hash, `#payment/${STUCK}`);
    api.world.settling = { status: 502, isProblem: true, body: { code: "pi_refused", detail: "Pi refused the request.", requestId: "cmVxdWVzdC1pZC0x" } };
    await drawer().getByRole("button", { name: "Look again now" }).click();
    await drawer().getByRole("alert").getByText("Pi refused the request.").waitFor();
    await drawer().getByText("cmVxdWVzdC1pZC0x").waitFor();
    api.world.settling = undefined;
    await drawer().getByRole("button", { name: "Look again now" }).click();
    await said("Pi has completed the payment");
    await drawer().getByText("Pi completed it.").waitFor();
    assert.equal(await drawer().getByRole("button", { name: "Look again now" }).count(), 0);
    assert.deepEqual(acts(), Array(2).fill(`POST payments/${STUCK}/settle`));
    await page.goBack();
    await drawer().getByRole("heading", { name: "alice_pi" }).waitFor();
  });

  test("a request id leads to the query for the log", async () => {
    await openSignedIn();
    await page.getByRole("searchbox").fill("kHt4Nq0mZr2bVx8L");
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText('requestId = "kHt4Nq0mZr2bVx8L"').waitFor();
    await panel("Results for “kHt4Nq0mZr2bVx8L”").getByRole("button", { name: "Copy the command" }).click();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), 'requestId = "kHt4Nq0mZr2bVx8L"');
  });

  test("lists go on by their cursor, and by the choice of payments", async () => {
    await openSignedIn();
    const rows = panel("Payments").getByRole("listitem");
    await rows.first().waitFor();
    assert.equal(await rows.count(), 10);
    await panel("Payments").getByRole("button", { name: "More" }).click();
    await page.waitForFunction(() => document.querySelectorAll("[aria-labelledby=payments] li").length === 20);
    await panel("Needs you").getByRole("button", { name: "Show them" }).click();
    await page.waitForFunction(() => document.querySelectorAll("[aria-labelledby=payments] li").length === 1);
    await panel("Payments").getByText("⚠ stuck").waitFor();
    await panel("Payments").getByRole("button", { name: "Cancelled" }).click();
    await rows.getByText("kwame88").waitFor();
    assert.ok(api.requests.includes("GET payments?limit=10&state=cancelled"));
  });

  test("each act on a person asks first where it must, and does one thing", async () => {
    await openSignedIn({ address: `#user/${USER}` });
    await drawer().getByRole("button", { name: /^End this/ }).first().click();
    await said("The session was revoked.");
    await drawer().getByRole("button", { name: "Sign out everywhere" }).click();
    assert.deepEqual(acts(), ["DELETE sessions/s1"]);
    await question().getByRole("button", { name: "Back" }).click();
    assert.deepEqual(acts(), ["DELETE sessions/s1"]);
    await drawer().getByRole("button", { name: "Sign out everywhere" }).click();
    await question().getByRole("button", { name: "Sign out everywhere" }).click();
    await drawer().getByText("No live session.").waitFor();
    await drawer().getByRole("button", { name: "Block" }).click();
    assert.ok(await question().getByRole("button", { name: "Block" }).isDisabled());
    await question().getByRole("textbox").fill("chargeback fraud");
    await question().getByRole("button", { name: "Block" }).click();
    await drawer().getByText("chargeback fraud").waitFor();
    await drawer().getByRole("button", { name: "Unblock" }).click();
    await said("may sign in again");
    const [file] = await Promise.all([page.waitForEvent("download"), drawer().getByRole("button", { name: "Export" }).click()]);
    assert.equal(file.suggestedFilename(), `user-${USER}.json`);
    assert.equal(JSON.parse(readFileSync(await file.path(), "utf8")).user.uid, USER);
    await drawer().getByRole("button", { name: "Erase this person" }).click();
    await question().getByRole("textbox").fill(USER.slice(0, -1));
    assert.ok(await question().getByRole("button", { name: "Erase for good" }).isDisabled());
    await question().getByRole("textbox").fill(USER);
    await question().getByRole("button", { name: "Erase for good" }).click();
    await said("The person was erased.");
    assert.equal(await drawer().count(), 0);
    assert.deepEqual(acts().slice(1), [`POST users/${USER}/revoke`, `POST users/${USER}/block`, `POST users/${USER}/unblock`, `DELETE users/${USER}?confirm=${USER}`]);
  });

  test("a payment without a transaction can be cancelled, after a question", async () => {
    await openSignedIn({ address: `#payment/${STUCK}` });
    await drawer().getByRole("button", { name: "Cancel …" }).click();
    await question().getByRole("button", { name: "Cancel payment" }).click();
    await said("The payment is cancelled.");
    await drawer().getByText("It was cancelled.").waitFor();
    assert.deepEqual(acts(), [`POST payments/${STUCK}/cancel`]);
  });

  test("products: a price shows old and new, a refusal says why, and a new one is added", async () => {
    await openSignedIn();
    await page.getByRole("button", { name: "Change the price of A cup of coffee" }).click();
    await question().getByRole("textbox").fill("4.2");
    await question().getByText("3.14 π → 4.2 π").waitFor();
    await question().getByRole("button", { name: "Change price" }).click();
    await said("The price was changed");
    await panel("Products").getByText("4.2 π").waitFor();
    await page.getByRole("button", { name: "Start selling A crumb" }).click();
    await page.getByRole("button", { name: "Stop selling A crumb" }).waitFor();
    await panel("Products").getByText("Add a product").click();
    const add = async (amount) => {
      for (const [label, value] of [["Id, which", "tea"], ["Name, which", "A cup of tea"], ["Price in Pi", amount]]) await panel("Products").getByLabel(label).fill(value);
      await panel("Products").getByRole("button", { name: "Add" }).click();
    };
    await add("0");
    await panel("Products").getByRole("alert").getByText("amount must be above 0.").waitFor();
    await add("2.5");
    await panel("Products").getByText("A cup of tea").waitFor();
  });

  test("signs everybody out only for the typed audience", async () => {
    await openSignedIn();
    await panel("Danger").getByRole("button").click();
    const end = question().getByRole("button", { name: "Sign everybody out" });
    await question().getByRole("textbox").fill("other-app");
    assert.ok(await end.isDisabled());
    await question().getByRole("textbox").fill(AUDIENCE);
    await end.click();
    await said("Everybody was signed out.");
    assert.deepEqual(acts(), ["POST revoke-all"]);
  });

  test("a viewer sees everything and no button that acts", async () => {
    await openSignedIn({ role: "viewer" });
    await panel("Products").getByText("A cup of coffee").waitFor();
    await page.getByRole("button", { name: "24 h", exact: true }).waitFor();
    assert.equal(await panel("Danger").count(), 0);
    const names = async (part) => (await part.getByRole("button").allInnerTexts()).filter((name) => !["Copy", "Show them", "More", "Lock", "Search", "Close"].includes(name));
    assert.deepEqual(await names(page), ["24 h", "7 d", "30 d", "90 d", "All", "Stuck", "Paid", "Cancelled"]);
    for (const address of [`#user/${USER}`, `#payment/${STUCK}`]) {
      await page.evaluate((address) => (location.hash = address), address);
      await drawer().locator("dl").first().waitFor();
      await page.waitForTimeout(200);
      assert.deepEqual(await names(drawer()), []);
    }
    assert.ok(!api.requests.some((request) => /\/(data|export)/.test(request)));
  });

  test("with the keyboard only: into a drawer, out of it, and back to where it was", async () => {
    await openSignedIn({ viewport: DESK });
    await panel("Payments").getByRole("link", { name: /stuck/ }).waitFor();
    const focused = () => page.evaluate(() => document.activeElement.getAttribute("href") ?? document.activeElement.id);
    for (let steps = 0; steps < 60 && (await focused()) !== `#payment/${STUCK}`; steps++) await page.keyboard.press("Tab");
    assert.equal(await focused(), `#payment/${STUCK}`);
    await page.keyboard.press("Enter");
    await drawer().waitFor();
    assert.equal(await focused(), "drawer-title");
    for (let steps = 0; steps < 12; steps++) {
      await page.keyboard.press("Tab");
      // Between the last and the first element, the browser's own controls may have the focus.
      assert.ok(await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest("dialog.drawer") !== null));
    }
    await drawer().getByRole("button", { name: "Cancel …" }).focus();
    await page.keyboard.press("Enter");
    await question().waitFor();
    await page.keyboard.press("Escape");
    await question().waitFor({ state: "detached" });
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Cancel …");
    await page.keyboard.press("Escape");
    await drawer().waitFor({ state: "detached" });
    assert.equal(await focused(), `#payment/${STUCK}`);
    assert.equal(new URL(page.url()).hash, "");
    assert.deepEqual(acts(), []);
  });

  test("hostile texts are shown as text", async () => {
    await openSignedIn({ viewport: DESK });
    await panel("Newest people").getByText(HOSTILE.script, { exact: true }).waitFor();
    await panel("Newest people").getByText(HOSTILE.address, { exact: true }).waitFor();
    await panel("Products").getByText(HOSTILE.script, { exact: true }).waitFor();
    await panel("Newest people").getByText(HOSTILE.script, { exact: true }).click();
    await drawer().getByText(HOSTILE.image).first().waitFor();
    for (const data of [HOSTILE.polluting, HOSTILE.nested, JSON.stringify({ text: HOSTILE.script })]) {
      api.world.data = data;
      await page.goto(`${api.url}/console`);
      await page.goto(`${api.url}/console#user/${HOSTILE_USER}`);
      await drawer().getByRole("button", { name: "Show" }).click();
      await drawer().locator("pre").waitFor();
      assert.equal(await drawer().locator("pre").innerText(), data, "also a number that JavaScript cannot hold");
    }
    assert.equal(await page.evaluate(() => ({}).isOwner), undefined);
    // Only the page's own elements are there, and every link stays on it.
    assert.equal(await page.locator("img, iframe, object, embed, body script, [onerror], [onclick], [style*='url']").count(), 0);
    for (const link of await page.locator("a").all()) assert.match(await link.getAttribute("href"), /^#(user|payment)\//);
    for (const name of await page.locator(".name", { hasText: "exe.png" }).all()) assert.equal(await name.locator("bdi").count(), 1);
  });

  test("an address that names nothing says so", async () => {
    await openSignedIn({ address: "#user/nobody%2F..%2F" });
    await drawer().getByRole("alert").getByText("No such").waitFor();
    await page.goto(`${api.url}/console#user/%E0%A4%A`);
    await page.reload();
    await panel("Today").waitFor();
    assert.equal(await drawer().count(), 0);
  });

  test("asks this Worker only", async () => {
    const asked = new Set();
    await open();
    page.on("request", (request) => asked.add(new URL(request.url()).origin));
    await signIn();
    await panel("Newest people").getByRole("link").first().waitFor();
    assert.deepEqual([...asked], [api.url]);
  });
});

test("the sources write no HTML from text", () => {
  const folder = `${root}/src/worker/console`;
  const sources = readdirSync(folder).filter((name) => /\.jsx?$/.test(name));
  assert.ok(sources.length > 10);
  const FORBIDDEN = /dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function|style=|javascript:|srcdoc|target=/;
  for (const name of sources) assert.doesNotMatch(readFileSync(`${folder}/${name}`, "utf8"), FORBIDDEN, name);
});
