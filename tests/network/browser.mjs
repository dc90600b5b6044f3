// Simulated browsers for the browser module, so that a thousand of them, with several tabs each,
// can run in Node. The tabs of one browser share everything that belongs to an origin: IndexedDB,
// Web Locks, BroadcastChannel and storage.

import { buildSync } from "esbuild";
import { IDBFactory } from "fake-indexeddb";
import { root } from "../../scripts/paths.mjs";

const { outputFiles } = buildSync({
  entryPoints: [`${root}/pkg/wasm/browser.mjs`],
  bundle: true,
  write: false,
  format: "iife",
  globalName: "module",
});

/** The names of the globals that the module uses in a page. */
const GLOBALS = [
  ...["fetch", "indexedDB", "navigator", "BroadcastChannel", "localStorage", "sessionStorage", "location", "history"],
  ...["document", "addEventListener", "removeEventListener", "Date", "globalThis", "window", "self"],
];
const load = new Function(...GLOBALS, `${outputFiles[0].text}; return module;`);

class Storage {
  #items = new Map();
  getItem = (key) => this.#items.get(key) ?? null;
  setItem = (key, value) => void this.#items.set(key, String(value));
  removeItem = (key) => void this.#items.delete(key);
  get length() {
    return this.#items.size;
  }
  key = (index) => [...this.#items.keys()][index] ?? null;
  /** A copy, as a thief who can read the storage gets it. */
  copy() {
    const copy = new Storage();
    for (const [key, value] of this.#items) copy.setItem(key, value);
    return copy;
  }
}

/** Web Locks with exclusive locks only: one holder after the other. */
class Locks {
  #last = new Map();
  request(name, options, callback = options) {
    const { signal } = typeof options === "object" ? options : {};
    const before = this.#last.get(name) ?? Promise.resolve();
    const turn = before.then(() => {
      if (signal?.aborted) throw signal.reason;
      return callback({ name, mode: "exclusive" });
    });
    this.#last.set(name, turn.catch(() => {}));
    return turn;
  }
}

/** BroadcastChannel between the tabs of one browser. */
function channels() {
  const all = new Set();
  return class extends EventTarget {
    onmessage = null;
    constructor(name) {
      super();
      this.name = name;
      all.add(this);
    }
    postMessage(message) {
      const data = structuredClone(message);
      for (const other of all) {
        if (other === this || other.name !== this.name) continue;
        setTimeout(() => {
          const event = Object.assign(new Event("message"), { data: structuredClone(data) });
          other.onmessage?.(event);
          other.dispatchEvent(event);
        });
      }
    }
    close() {
      all.delete(this);
    }
    unref() {}
  };
}

/** A browser whose clock is this many seconds off. `has` can remove features: `indexedDB`,
 * `locks`, `channels`. */
export class Browser {
  storage = new Storage();
  #indexedDB = new IDBFactory();
  #locks = new Locks();
  #Channel = channels();

  constructor({ fetch, clockSeconds = 0, has = {} }) {
    Object.assign(this, { fetch, clockMs: clockSeconds * 1000, has: { indexedDB: true, locks: true, channels: true, ...has } });
  }

  /** Loads the module in a new tab. */
  tab() {
    const browser = this;
    class Clock extends Date {
      constructor(...given) {
        given.length === 0 ? super(Clock.now()) : super(...given);
      }
      static now = () => Date.now() + browser.clockMs;
    }
    const page = new EventTarget();
    const listen = (...given) => page.addEventListener(...given);
    const forget = (...given) => page.removeEventListener(...given);
    const document = Object.assign(new EventTarget(), { visibilityState: "visible", hidden: false });
    const scope = {
      __proto__: globalThis,
      fetch: (...given) => browser.fetch(...given),
      indexedDB: browser.has.indexedDB ? browser.#indexedDB : undefined,
      navigator: { onLine: true, locks: browser.has.locks ? browser.#locks : undefined },
      BroadcastChannel: browser.has.channels ? browser.#Channel : undefined,
      localStorage: browser.storage,
      sessionStorage: new Storage(),
      location: { href: "https://app.example/", origin: "https://app.example" },
      history: { state: null, replaceState() {} },
      document,
      addEventListener: listen,
      removeEventListener: forget,
      Date: Clock,
    };
    Object.assign(scope, { globalThis: scope, window: scope, self: scope });
    return { module: load(...GLOBALS.map((name) => scope[name])), page, document };
  }
}
