// The browsers of this machine, for tests: Chromium with its whole driver, and all three engines
// behind one small interface.

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

/** Opens Chromium. Without one, fails and says how to install it. */
export const openBrowser = () => chromium.launch(launchOptions());

/** Opens Chromium with its profile in `folder` and a choice about third-party cookies. Returns
 * its only context. */
export function openProfile(folder, { thirdPartyCookies }) {
  mkdirSync(join(folder, "Default"), { recursive: true });
  const profile = { cookie_controls_mode: thirdPartyCookies ? 0 : 1, block_third_party_cookies: !thirdPartyCookies };
  writeFileSync(join(folder, "Default/Preferences"), JSON.stringify({ profile }));
  return chromium.launchPersistentContext(folder, launchOptions());
}

// The functions of a tab, implemented for each engine: `run` evaluates the text of an expression
// that is a promise of a string, `click` clicks the element that an expression returns, and `popup`
// resolves with the tab that `open` opens.

async function openChromium() {
  // By default, the driver disables the back/forward cache, but users have it.
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
 * The reason for `skip` if this engine is not installed. The set-up has said how to install it.
 * Continuous integration must have all engines, so there a missing one fails the test.
 */
export const isMissing = (name) => !process.env.CI && !browsers[name].find() && `${browsers[name].name} is not installed.`;

const PATIENCE_MS = 60_000;
const POLL_MS = 50;

// These functions run in the pages.

/** The first element for the selector that is visible, enabled, and begins with this text. */
const findUsable = `(selector, text) =>
  [...document.querySelectorAll(selector)].find((element) =>
    element.getClientRects().length > 0 && !element.disabled && element.textContent.trim().startsWith(text))`;

const isThere = `(selector, text) => Boolean((${findUsable})(selector, text))`;

/** The position of that element, or null while a user could not click it. */
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

  /** Evaluates a function in the page. JSON carries its arguments and its result. It can be
   * async. */
  async evaluate(action, ...args) {
    const text = await this.#tab.run(`(async () => JSON.stringify(await ${expression(action, args)}) ?? "null")()`);
    return JSON.parse(text);
  }

  /** Goes back, as the user does. The drivers' commands wait for `load`, but a page from the
   * back/forward cache has none. */
  back() {
    return this.evaluate(() => void setTimeout(() => history.back()));
  }

  /** Waits until the function returns something truthy in the page, even across navigations, and
   * returns that. */
  waitFor(action, ...args) {
    return this.#until(() => this.evaluate(action, ...args), expression(action, args));
  }

  /** Repeats until the result is truthy. An attempt can throw while the page changes. */
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

  /** Waits for a visible element that begins with this text. */
  waitForElement(selector, text = "") {
    return this.waitFor(isThere, selector, text);
  }

  /**
   * Clicks as a user does: in the tab in front, on an element that does not move and that nothing
   * covers. If the page changes just before the click, it looks again.
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

  /** Enters a text or chooses an option, as a user would. */
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

  /** The tab that `window.open` opens. It starts with a copy of this tab's `sessionStorage`. */
  async popup(url) {
    return new Tab(await this.#tab.popup(() => this.evaluate((url) => void window.open(url), url)));
  }
}

// Chromium and Firefox report every refused or lost request in these words. The page handles it, so
// it is not an error.
const isOfRequest = (text) => /Failed to load resource|CORS request did not succeed/.test(text);

/**
 * Opens an engine. Each context is one user's browser: its tabs share storage and cookies, and
 * `errors` resolves with the errors that its pages reported.
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
