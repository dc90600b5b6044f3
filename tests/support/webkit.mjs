// WebKit for tests: WebKitGTK's MiniBrowser, driven over W3C WebDriver, on a screen in memory.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { freePort } from "../../scripts/port.mjs";

// https://www.w3.org/TR/webdriver2/#elements
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";

const SCRIPT_MS = 30_000; // the slowest script of a test waits for a renewal over a slow network

// WebDriver does not report errors of pages. So every script also collects them, beginning with the
// first in a document.
const COLLECT_ERRORS = `
  const answer = arguments[0];
  const key = Symbol.for("errors");
  if (!window[key]) {
    const errors = (window[key] = []);
    const { error } = console;
    console.error = (...words) => (errors.push(words.join(" ")), error.apply(console, words));
    addEventListener("error", ({ message }) => errors.push(message));
    addEventListener("unhandledrejection", ({ reason }) => errors.push(String(reason)));
  }
  const done = (result) => answer({ ...result, reported: window[key].splice(0) });
`;

/**
 * Starts a program that stops when this process does, for any reason: when our end of its pipe
 * closes, a shell kills the program and everything that it has started.
 */
function tether(command, args, { env, stdio }) {
  const shell = '("$@" </dev/null; kill -KILL 0) & cat >/dev/null; kill -KILL 0';
  const child = spawn("sh", ["-c", shell, "sh", command, ...args], { detached: true, env, stdio: ["pipe", ...stdio] });
  const ended = once(child, "exit");
  return {
    child,
    async close() {
      child.stdin.end();
      await ended;
    },
  };
}

/** Opens a screen for this process only. Resolves with its name as soon as programs can draw on
 * it. */
async function openScreen(program) {
  const { child, close } = tether(program, ["-displayfd", "3", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"], {
    env: process.env,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const lines = createInterface({ input: child.stdio[3] });
  const [number] = await Promise.race([once(lines, "line"), once(child, "exit").then(() => [])]);
  assert.ok(number, `${program} did not start. Run it by hand to see why.`);
  return { name: `:${number}`, close };
}

/** Sends a command to a driver. If the driver answers with an error, throws it with the driver's
 * message. */
async function ask(url, method, body) {
  const response = await fetch(url, { method, body: body && JSON.stringify(body) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
  return value;
}

/** Starts a driver with one browser that has a separate storage. */
async function startSession({ driver, browser }, screen) {
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const { child, close } = tether(driver, [`--port=${port}`], {
    env: {
      ...process.env,
      DISPLAY: screen,
      // The sandbox does not work as root, and containers forbid it. Only pages of the tests are
      // opened here.
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1",
      WEBKIT_DISABLE_COMPOSITING_MODE: "1",
      LIBGL_ALWAYS_SOFTWARE: "1",
      // Without a session bus, GTK would try to start one.
      NO_AT_BRIDGE: "1",
      GTK_A11Y: "none",
    },
    stdio: ["ignore", "ignore"],
  });
  let isRunning = true;
  child.once("exit", () => (isRunning = false));
  while (!(await ask(`${base}/status`, "GET").catch(() => undefined))?.ready) {
    assert.ok(isRunning, `${driver} did not start. Run it by hand to see why.`);
    await new Promise((done) => setTimeout(done, 50));
  }
  try {
    const args = ["--automation", "--javascript-can-open-windows-automatically=true"];
    const capabilities = { alwaysMatch: { "webkitgtk:browserOptions": { binary: browser, args } } };
    const { sessionId } = await ask(`${base}/session`, "POST", { capabilities });
    const session = `${base}/session/${sessionId}`;
    await ask(`${session}/timeouts`, "POST", { script: SCRIPT_MS, pageLoad: SCRIPT_MS });
    return { session, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Opens WebKit. A driver can have only one browser, so each context is a driver with a browser. */
export async function openWebKit(programs) {
  const screen = await openScreen(programs.screen);
  const contexts = new Set();

  async function newContext() {
    const { session, close } = await startSession(programs, screen.name);
    contexts.add(close);
    const errors = [];
    const tabs = new Set();
    // A command goes to the window that was selected last, so a selection and its command must not
    // be interrupted.
    let last = Promise.resolve();
    const inTurn = (action) => (last = last.then(action, action));
    let unused = await ask(`${session}/window`, "GET");

    function tab(handle) {
      const send = (method, path, body) =>
        inTurn(async () => {
          await ask(`${session}/window`, "POST", { handle });
          return ask(session + path, method, body);
        });
      const commands = {
        goto: (url) => send("POST", "/url", { url }),
        reload: () => send("POST", "/refresh", {}),
        front: () => send("GET", "/title"), // the selected window is in front
        close: () => send("DELETE", "/window"),
        url: () => send("GET", "/url"),
        async run(expression) {
          const script = `${COLLECT_ERRORS} (${expression}).then((value) => done({ value }), (error) => done({ failure: String(error) }))`;
          const { value, failure, reported } = await send("POST", "/execute/async", { script, args: [] });
          errors.push(...reported);
          if (failure) throw new Error(failure);
          return value;
        },
        async click(expression) {
          const element = await send("POST", "/execute/sync", { script: `return ${expression}`, args: [] });
          await send("POST", `/element/${element[ELEMENT]}/click`, {});
        },
        async popup(open) {
          const before = await send("GET", "/window/handles");
          await open();
          for (const end = Date.now() + SCRIPT_MS; ; ) {
            const opened = (await send("GET", "/window/handles")).find((candidate) => !before.includes(candidate));
            if (opened) return tab(opened);
            assert.ok(Date.now() < end, "window.open opened no window");
            await new Promise((done) => setTimeout(done, 50));
          }
        },
      };
      tabs.add(commands);
      return commands;
    }

    return {
      async newTab() {
        const handle = unused ?? (await inTurn(() => ask(`${session}/window/new`, "POST", { type: "tab" }))).handle;
        unused = undefined;
        return tab(handle);
      },
      async close() {
        contexts.delete(close);
        await close();
      },
      async errors() {
        for (const { run } of tabs) await run("Promise.resolve()").catch(() => {}); // a closed tab has none
        return errors;
      },
    };
  }

  return {
    newContext,
    async close() {
      await Promise.all([...contexts].map((close) => close()));
      await screen.close();
    },
  };
}
