// The Chromium of this machine, for tests.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { chromium as installed } from "../scripts/paths.mjs";

function launchOptions() {
  const executablePath = installed();
  assert.ok(executablePath, "No Chromium was found: install Chromium or Chrome, or set CHROMIUM to its path.");
  return {
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  };
}

/** Opens a browser, or fails with what to do. */
export const openBrowser = () => chromium.launch(launchOptions());

/** Opens a browser, with its profile in `folder`, whose user has decided about third-party cookies. Gives its one context. */
export function openProfile(folder, { thirdPartyCookies }) {
  mkdirSync(join(folder, "Default"), { recursive: true });
  const profile = { cookie_controls_mode: thirdPartyCookies ? 0 : 1, block_third_party_cookies: !thirdPartyCookies };
  writeFileSync(join(folder, "Default/Preferences"), JSON.stringify({ profile }));
  return chromium.launchPersistentContext(folder, launchOptions());
}
