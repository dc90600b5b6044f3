// A module around the built Worker that makes it fail on demand. The header `x-overrides` changes
// bindings, sets the clock ahead, or makes the database, a limiter, a signature or a call from the
// wasm fail. The Worker itself is unchanged.

export const INSTRUMENTED = `
import worker from "./index.js";

const { now } = Date;
const { parse } = JSON;
const sign = crypto.subtle.sign.bind(crypto.subtle);
let [ahead, breaks, signing] = [0, false, undefined];

Date.now = () => now() + ahead;
JSON.parse = (text) => {
  if (!breaks) return parse(text);
  breaks = false;
  throw new Error("this call fails");
};
crypto.subtle.sign = (...args) => {
  if (signing === undefined) return sign(...args);
  signing = undefined;
  return Promise.reject(new Error("the signature fails"));
};

const never = () => new Promise(() => {});
const failures = { hangs: never, fails: () => Promise.reject(new Error("D1_ERROR: SELECT secret FROM users: SQLITE_BUSY")) };

/** A member of an object, with the object as its "this". The Worker recognizes a database by its
 * constructor. */
const own = (target, name) => (typeof target[name] === "function" && name !== "constructor" ? target[name].bind(target) : target[name]);

/** A database that fails from its n-th use (from) on. */
function faulty(database, { how, from = 1 }) {
  let uses = 0;
  const isOut = () => ++uses >= from;
  const statement = (made) => new Proxy(made, {
    get(target, name) {
      if (name === "bind") return (...values) => statement(target.bind(...values));
      if (name === "made") return target;
      if (["all", "first", "run", "raw"].includes(name)) return (...args) => (isOut() ? failures[how]() : target[name](...args));
      return own(target, name);
    },
  });
  return new Proxy(database, {
    get(target, name) {
      if (name === "prepare") return (sql) => statement(target.prepare(sql));
      if (name === "batch") return (statements) => (isOut() ? failures[how]() : target.batch(statements.map((each) => each.made)));
      return own(target, name);
    },
  });
}

const known = new Map(); // the Worker reads the settings of each set of bindings once

function bindingsFor(env, { bindings, without = [], database, limiter, pollute }) {
  // With a polluted prototype, the Worker must read the settings again.
  if (!bindings && without.length === 0 && !database && !limiter) return env;
  const name = JSON.stringify([bindings, without, database, limiter]);
  if (!known.has(name) || database || pollute) {
    const changed = { ...env, ...bindings };
    for (const each of without) delete changed[each];
    if (database) changed.DB = faulty(env.DB, database);
    if (limiter) changed.SIGN_IN_LIMIT = new Proxy(env.SIGN_IN_LIMIT, { get: (target, name) => (name === "limit" ? failures[limiter] : Reflect.get(target, name, target)) });
    known.set(name, changed);
  }
  return known.get(name);
}

export default {
  scheduled: (event, env, context) => worker.scheduled(event, env, context),
  async fetch(request, env, context) {
    const overrides = parse(decodeURIComponent(request.headers.get("x-overrides") ?? "{}"));
    ahead = (overrides.aheadSeconds ?? 0) * 1000;
    breaks = overrides.breaks === true;
    if (overrides.signing) signing = overrides.signing;
    const bindings = bindingsFor(env, overrides);
    for (const [name, value] of Object.entries(overrides.pollute ?? {})) Object.prototype[name] = value;
    try {
      return await worker.fetch(request, bindings, context);
    } finally {
      for (const name of Object.keys(overrides.pollute ?? {})) delete Object.prototype[name];
      signing = undefined;
    }
  },
};`;
