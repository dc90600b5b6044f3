// The Chromium of this machine, for tests.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { chromium as installed } from "../scripts/paths.mjs";

/** Opens a browser, or fails with what to do. */
export function openBrowser() {
  const executablePath = installed();
  assert.ok(executablePath, "No Chromium was found: install Chromium or Chrome, or set CHROMIUM to its path.");
  return chromium.launch({
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
  });
}
