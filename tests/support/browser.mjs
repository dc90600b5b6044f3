// The browsers of this machine, for tests: Chromium with all that its driver can do, and the three engines with what
// tests need of each of them.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import puppeteer from "puppeteer-core";
import { browsers } from "../../scripts/paths.mjs";
import { openWebKit } from "./webkit.mjs";

function installed(name) {
  const found = browsers[name].find();
  assert.ok(found, `${browsers[name].name} was not found. ${browsers[name].remedy}`);
  return found;
}

const launchOptions = () => ({
  executablePath: installed("chromium"),
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});

/** Opens Chromium, or fails with what to do. */
export const openBrowser = () => chromium.launch(launchOptions());

/** Opens Chromium, with its profile in `folder`, whose user has decided about third-party cookies. Gives its one context. */
export function openProfile(folder, { thirdPartyCookies }) {
  mkdirSync(join(folder, "Default"), { recursive: true });
  const profile = { cookie_controls_mode: thirdPartyCookies ? 0 : 1, block_third_party_cookies: !thirdPartyCookies };
  writeFileSync(join(folder, "Default/Preferences"), JSON.stringify({ profile }));
  return chromium.launchPersistentContext(folder, launchOptions());
}

// What each engine's own client does for a tab: `run` evaluates the text of an expression that is a promise of a string,
// `click` clicks the element that an expression gives, and `popup` resolves with the tab that `open` opens.

async function openChromium() {
  // By default its driver switches off the cache of pages to go back to, which users have.
  const browser = await chromium.launch({ ...launchOptions(), ignoreDefaultArgs: ["--disable-back-forward-cache"] });
  const tab = (page) => ({
    goto: (url) => page.goto(url),
    reload: () => page.reload(),
    front: () => page.bringToFront(),
    close: () => page.close(),
    url: () => page.url(),
    run: (expression) => page.evaluate(expression),
    click: async (expression) => (await page.evaluateHandle(expression)).asElement().click(),
    popup: async (open) => tab((await Promise.all([page.waitForEvent("popup"), open()]))[0]),
  });
  return {
    async newContext() {
      const context = await browser.newContext();
      const errors = [];
      context.on("weberror", (error) => errors.push(error.error().message));
      context.on("console", (message) => message.type() === "error" && errors.push(message.text()));
      return { errors: async () => errors, newTab: async () => tab(await context.newPage()), close: () => context.close() };
    },
    close: () => browser.close(),
  };
}

async function openFirefox() {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: installed("firefox"),
    headless: true,
    protocolTimeout: 60_000,
  });
  return {
    async newContext() {
      const context = await browser.createBrowserContext();
      const errors = [];
      function tab(page) {
        page.on("pageerror", (error) => errors.push(error.message));
        page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
        return {
          goto: (url) => page.goto(url),
          reload: () => page.reload(),
            front: () => page.bringToFront(),
          close: () => page.close(),
          url: () => page.url(),
          run: (expression) => page.evaluate(expression),
          click: async (expression) => (await page.evaluateHandle(expression)).asElement().click(),
          popup: async (open) => tab((await Promise.all([new Promise((done) => page.once("popup", done)), open()]))[0]),
        };
      }
      return { errors: async () => errors, newTab: async () => tab(await context.newPage()), close: () => context.close() };
    },
    close: () => browser.close(),
  };
}

const OPEN = { chromium: openChromium, firefox: openFirefox, webkit: () => openWebKit(installed("webkit")) };

/** The names of all engines. */
export const ENGINES = Object.keys(OPEN);

/**
 * Why there can be no test in this engine here, for `skip`. The set-up has said how to get it. Continuous integration must
 * have them all, so there a missing one fails the test.
 */
export const isMissing = (name) => !process.env.CI && !browsers[name].find() && `${browsers[name].name} is not installed.`;

const PATIENCE_MS = 15_000;
const POLL_MS = 50;

// These run in the pages.

/** The first element for the selector that the user sees and can use, and whose text begins so. */
const findUsable = `(selector, text) =>
  [...document.querySelectorAll(selector)].find((element) =>
    element.getClientRects().length > 0 && !element.disabled && element.textContent.trim().startsWith(text))`;

const isThere = `(selector, text) => Boolean((${findUsable})(selector, text))`;

/** Where that element is, or null while the user could not click it. */
const placeOf = `(selector, text) => {
  const element = (${findUsable})(selector, text);
  element?.scrollIntoView({ block: "center", behavior: "instant" });
  const { x, y, width, height } = element?.getBoundingClientRect() ?? {};
  const isOnTop = element?.contains(document.elementFromPoint(x + width / 2, y + height / 2));
  return isOnTop ? [x, y, width, height].join() : null;
}`;

const expression = (action, args) => `(${action})(...${JSON.stringify(args)})`;

class Tab {
  #tab;
  constructor(tab) {
    this.#tab = tab;
    for (const name of ["goto", "reload", "front", "close", "url"]) this[name] = tab[name];
  }

  /** Evaluates a function in the page, with arguments and a result that JSON can carry. It may be async. */
  async evaluate(action, ...args) {
    const text = await this.#tab.run(`(async () => JSON.stringify(await ${expression(action, args)}) ?? "null")()`);
    return JSON.parse(text);
  }

  /** Goes back, as the user does. The drivers' own commands wait for `load`, which a page that the engine kept has no more. */
  back() {
    return this.evaluate(() => void setTimeout(() => history.back()));
  }

  /** Waits until the function returns something true in the page, over navigations, and returns that. */
  waitFor(action, ...args) {
    return this.#until(() => this.evaluate(action, ...args), expression(action, args));
  }

  /** Tries until the result is true. While a page is left, or changes, a try may throw. */
  async #until(attempt, goal) {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      let failure;
      const value = await attempt().catch((error) => void (failure = error));
      if (value) return value;
      if (Date.now() > end) throw new Error(`Not reached in ${PATIENCE_MS / 1000} s: ${goal}`, { cause: failure });
      await new Promise((done) => setTimeout(done, POLL_MS));
    }
  }

  /** Waits until there is a visible element whose text begins so. */
  waitForElement(selector, text = "") {
    return this.waitFor(isThere, selector, text);
  }

  /**
   * Clicks, as the user does: in the tab that is in front, and at an element that rests and has nothing above it. A page
   * that changes between a look and the click is looked at again.
   */
  async click(selector, text = "") {
    await this.front();
    let before;
    await this.#until(async () => {
      const place = await this.evaluate(placeOf, selector, text);
      const rests = place && place === before;
      before = place;
      if (rests) await this.#tab.click(expression(findUsable, [selector, text]));
      return rests;
    }, `a click at ${selector} ${text}`);
  }

  /** Enters a text, or chooses an option, as a user would have done. */
  async fill(selector, value) {
    await this.waitForElement(selector);
    await this.evaluate((selector, value) => {
      const field = document.querySelector(selector);
      field.value = value;
      for (const type of ["input", "change"]) field.dispatchEvent(new Event(type, { bubbles: true }));
    }, selector, value);
  }

  text(selector) {
    return this.evaluate((selector) => document.querySelector(selector)?.textContent, selector);
  }

  /** The tab that `window.open` opens, which begins with a copy of this one's `sessionStorage`. */
  async popup(url) {
    return new Tab(await this.#tab.popup(() => this.evaluate((url) => void window.open(url), url)));
  }
}

// A request that is refused or lost is for the page to handle. Chromium and Firefox report it by themselves, in these words.
const isOfRequest = (text) => /Failed to load resource|CORS request did not succeed/.test(text);

/**
 * Opens an engine. Each context is a user's browser: its tabs share storage and cookies, and `errors` resolves with what
 * the pages reported as errors.
 */
export async function openEngine(name) {
  const engine = await OPEN[name]();
  return {
    async newContext() {
      const { newTab, errors, close } = await engine.newContext();
      return { newPage: async () => new Tab(await newTab()), errors: async () => (await errors()).filter((text) => !isOfRequest(text)), close };
    },
    close: () => engine.close(),
  };
}
