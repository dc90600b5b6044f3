// A session on this page: it sends requests, renews the token in time, and follows the other tabs.

/** @import { BrowserSession } from "pioneer-session/browser" */
/** @import { Settings, Tell } from "./options.mjs" */
/** @import { State } from "./state.mjs" */

import { OVER, REFUSED, refusalOf } from "./answer.mjs";
import { SignInError } from "./errors.mjs";
import { issuerOf } from "./issuer.mjs";
import { exclusively } from "./lock.mjs";
import { json, own } from "./own.mjs";
import { paymentsOf } from "./payment.mjs";
import { askPi } from "./pi-sdk.mjs";
import { random } from "./random.mjs";
import { isNewer, sound } from "./state.mjs";
import { PREFIX, use } from "./storage.mjs";
import { sleep, unless } from "./wait.mjs";

const PATIENCE_MS = 3_000; // a request waits so long for a renewal, and then goes on with a token that is still valid
const ASK_MS = 100; // other tabs answer within milliseconds, unless they are frozen

// How many refusals of one origin cause a renewal in a minute: without a limit, a backend could
// make every page renew with every request.
const MAX_REFUSALS = 3;
const REFUSALS_MS = 60_000;

// A page that becomes active again may have missed everything.
const EVENTS = ["pageshow", "visibilitychange", "resume", "focus", "online", "storage"];

/**
 * Three ways to begin a session: through Pi's SDK, from what a reload has left, and with an access
 * token.
 *
 * @param {Settings} options
 */
export function open(options) {
  const { Pi, issuer, origins, cookie, storage, piTimeout } = options;
  const key = PREFIX + issuer + (cookie ? ":cookie" : "");
  /** @type {Map<string, number[]>} */
  const refusals = new Map(); // for each origin, when its refusals caused a renewal
  /** @type {State | undefined} */
  let state;
  /** @type {Promise<void> | undefined} */
  let renewing;
  /** @type {BroadcastChannel | undefined} */
  let channel;
  let isKept = false; // whether the storage has the state
  let base = 0; // the issuer's time when this page began, by the clock that nobody can set
  let pausedUntil = 0; // the issuer has asked for a pause
  /** @type {(value?: unknown) => void} */
  let onNews = () => {};
  /** @type {Set<() => void>} */
  const listeners = new Set();

  const live = () => {
    if (!state) throw new SignInError("signed_out");
    return state;
  };

  /** The issuer's time. If the clock is set while the page is open, one of the two is right; the later one errs safely. */
  const now = () => Math.max(Date.now() + (state ? state.skew : 0), base + performance.now());
  const isAlive = () => state !== undefined && now() < state.until;

  const { begin, refresh, end, drop, boundKey } = issuerOf(options, key, now);

  /** @type {(message: object) => void} */
  const post = (message) => use(channel, "postMessage", message); // some browsers have no channels, or not here

  /**
   * Calls one of the page's functions. An error in it is the page's own.
   *
   * @type {Tell}
   */
  const tell = (name, ...news) => queueMicrotask(() => options[name] && options[name](...news));

  /** Calls the listeners, each by itself, so that an error in one does not stop the others. */
  const notify = () => listeners.forEach(queueMicrotask);

  // --- The state, in storage and in the other tabs

  /**
   * The state in storage: null if there is none, undefined if it cannot be read or makes no sense.
   *
   * @returns {State | null | undefined}
   */
  function stored() {
    const text = storage && use(storage, "getItem", key);
    return text === null ? null : sound(use(JSON, "parse", text), cookie);
  }

  function store() {
    use(storage, "setItem", key, json(state));
    isKept = use(storage, "getItem", key) === json(state);
    // Full: the session works until a reload, where an older state could do harm.
    if (!isKept) use(storage, "removeItem", key);
  }

  /**
   * Goes on with this state. It is `news` from another tab, or the other tabs are sent it. A
   * channel exposes a token no more than the storage does: a script of this origin can open a page
   * of it and read it there. A token that is only in memory is not sent.
   *
   * @param {State} next
   * @param {boolean} [isNews]
   * @param {string} [was]
   */
  function accept(next, isNews, was) {
    if (!state) {
      // Capturing, because some of these are events of the document.
      for (const type of EVENTS) addEventListener(type, check, true);
      channel = use(() => new BroadcastChannel(key), "valueOf");
      if (channel) channel.onmessage = hear;
    }
    state = next;
    base = Date.now() + next.skew - performance.now();
    store();
    if (!isNews && (storage || cookie)) post({ state, was });
    onNews();
    notify();
    return session;
  }

  /**
   * Signs out on this page, and at the issuer if no other page has it.
   *
   * @param {SignInError} [error]
   * @param {boolean} [isEnding]
   */
  function close(error, isEnding) {
    const last = live();
    const kept = stored();
    state = undefined;
    // The storage may have another session by now.
    if (!kept || kept.chain === last.chain) use(storage, "removeItem", key);
    for (const type of EVENTS) removeEventListener(type, check, true);
    use(channel, "close");
    tell("onSignedOut", error);
    notify();
    if (isEnding && !cookie) drop(last);
  }

  /** Another user has signed in here, in another tab: this page must not act as that user. */
  const supersede = () => close(new SignInError("user_changed"), true);

  /** Reads what other tabs have stored: a newer state, the end of the session, or another user. */
  function look() {
    if (!state) return undefined;
    const found = stored();
    if (found === null) return isKept && close();
    if (!found) return undefined;
    if (found.user.uid !== state.user.uid) return supersede();
    return found.chain === state.chain ? adopt(found) : accept(found, true);
  }

  /**
   * Takes a state of the same session, if it is newer.
   *
   * @param {State} found
   */
  function adopt(found) {
    const last = live();
    if (isNewer(found, last)) accept(found, true);
    else if (found.token === last.token) last.renewal = last.renewal || found.renewal;
  }

  function check() {
    look();
    if (state && storage) post({ ask: state.chain });
  }

  /** @param {MessageEvent} event */
  function hear({ data }) {
    const { out, ask, was, chain, state: sent } = own(data);
    if (!state) return;
    const last = state;
    const news = sound(sent, cookie);
    if (out === last.user.uid) {
      close(undefined, chain !== last.chain);
    } else if (ask === last.chain) {
      if (storage) post({ state });
    } else if (news) {
      const isSame = (news.chain === last.chain || was === last.chain) && news.user.uid === last.user.uid;
      if (isSame) adopt(news);
      else if (cookie) supersede();
      else look();
    }
  }

  /**
   * Asks the other tabs for a newer state. Only without a key: with it, the issuer treats every tab
   * alike. Nor with the cookie, which all tabs share.
   */
  async function askTabs() {
    post({ ask: live().chain });
    await Promise.race([new Promise((done) => (onNews = done)), sleep(ASK_MS)]);
  }

  // --- Sign-in and renewal

  /**
   * Signs in, through Pi. `before` is the session that expires, if there is one.
   *
   * @param {State} [before]
   * @returns {Promise<BrowserSession>}
   */
  async function authenticate(before) {
    const answer = await askPi(Pi, options.scopes, piTimeout);
    // The SDK's words about the user prove nothing, so they are ignored.
    const next = await begin(answer.result.accessToken);
    const code = state !== before ? "signed_out" : before && next.user.uid !== before.user.uid ? "user_changed" : undefined;
    if (code) {
      drop(next);
      throw new SignInError(code);
    }
    accept(next, undefined, before && before.chain);
    takeOver(answer);
    return session;
  }

  /**
   * Begins the session with an access token that the page has. `asked` are the scopes for which the
   * page itself has asked Pi's SDK.
   *
   * @param {unknown} accessToken
   * @param {readonly string[]} [asked]
   */
  async function enter(accessToken, asked) {
    accept(await begin(accessToken));
    if (asked) takeOver({ scopes: asked, payments: [], takers: new Set() });
    return session;
  }

  /** Goes on with the session in storage or in the cookie. Returns null if there is none. */
  async function restore() {
    if (!cookie) {
      const found = stored();
      return found ? accept(found, true) : null;
    }
    return exclusively(key, async () => {
      const { jkt } = own(await boundKey().catch(() => undefined));
      try {
        return accept(await refresh(own({ chain: "cookie", jkt })));
      } catch (/** @type {any} */ error) {
        const isLost = error.code === "key_lost";
        if (isLost && Pi) return authenticate();
        if (isLost) tell("onSignedOut", error);
        if (isLost || OVER.test(error.code) || REFUSED.test(error.code)) return null;
        throw error;
      }
    });
  }

  /**
   * Whether a refusal by this origin may cause one more renewal.
   *
   * @param {string} origin
   */
  function mayCause(origin) {
    const causes = (refusals.get(origin) || []).filter((at) => now() - at < REFUSALS_MS);
    if (causes.length >= MAX_REFUSALS) return false;
    refusals.set(origin, [...causes, now()]);
    return true;
  }

  /**
   * Renews at the issuer, or else through Pi. Not through Pi if an origin called the session
   * `revoked`: its user may have revoked it elsewhere.
   *
   * @param {State} used
   * @param {boolean} revoked
   */
  async function renewOnce(used, revoked) {
    look();
    if (!cookie && storage && !live().jkt) await askTabs();
    const before = live();
    // Another tab was faster.
    if (before.chain !== used.chain || isNewer(before, used)) return;
    if (!before.jkt && !cookie && !before.renewal) {
      // Stored before it is sent, so that it can be repeated after a reload.
      before.renewal = random();
      store();
    }
    try {
      if (now() < pausedUntil) throw new SignInError("rate_limited");
      const next = await refresh(before);
      if (state === before || (live().chain === before.chain && isNewer(next, /** @type {State} */ (state)))) accept(next);
    } catch (/** @type {any} */ error) {
      if (error.retryAfter) pausedUntil = now() + error.retryAfter * 1000;
      const isLost = error.code === "key_lost";
      if (live() !== before || !(isLost || OVER.test(error.code))) throw error;
      let reason = revoked && !isLost ? new SignInError("session_revoked") : error;
      if (Pi && !revoked) {
        try {
          await authenticate(before);
          return tell("onReplaced", error);
        } catch (/** @type {any} */ failure) {
          if (!isLost || failure.code === "user_changed") reason = failure;
        }
      }
      if (state === before) close(reason);
      throw reason;
    }
  }

  /**
   * All callers that wait for a renewal share one.
   *
   * @type {(revoked: boolean) => Promise<void>}
   */
  const renew = (revoked) => (renewing = renewing || begun(revoked).finally(() => (renewing = undefined)));

  /** @param {boolean} revoked */
  async function begun(revoked) {
    const used = live();
    await exclusively(key, () => renewOnce(used, revoked));
    live();
  }

  /** Waits for a valid token. With one, it does not wait long: the issuer may be slow, and Pi may never answer. */
  async function ready() {
    if (now() < live().due) return;
    const renewal = renew(false);
    await Promise.race([renewal, sleep(PATIENCE_MS)]).catch(() => {});
    if (!isAlive()) await renewal;
  }

  // --- What the page uses

  const { pay, takeOver } = paymentsOf(options, key, () => session, live, tell);

  /** @param {Request} request */
  async function send(request) {
    const headers = new Headers(request.headers);
    if (!cookie) headers.set("authorization", `Bearer ${live().token}`);
    const credentials = cookie ? "include" : new URL(request.url).origin === issuer ? "omit" : request.credentials;
    /** @type {RequestInit} */
    const init = { headers, credentials, redirect: "manual" };
    const response = await fetch(request, own(init));
    if (response.type === "opaqueredirect") throw new SignInError("redirected");
    return response;
  }

  /** @type {BrowserSession} */
  const session = {
    get user() {
      return state && state.user;
    },
    get token() {
      return state && state.token;
    },
    get expiresAt() {
      return state && new Date(state.until - state.skew);
    },
    get renewsAt() {
      return state && new Date(state.due - state.skew);
    },
    renew: () => renew(false),

    subscribe(listener) {
      const call = () => void (listeners.has(call) && listener(session));
      listeners.add(call);
      return () => void listeners.delete(call);
    },

    async fetch(input, given) {
      // Unlike a plain object, a Request has its members from its class, which hides those of
      // Object.prototype.
      const isPlain = given && Object.getPrototypeOf(given) === Object.prototype;
      const init = isPlain ? own(given) : given;
      const build = () => new Request(input instanceof Request ? input.clone() : input, init);
      const request = build();
      const { origin } = new URL(request.url);
      if (!origins.has(origin)) throw new SignInError("origin_not_listed");
      const sent = async () => {
        await ready();
        const used = live();
        const response = await send(request);
        const refusal = await refusalOf(response);
        if (!refusal) return response;
        // Only the issuer can revoke a session, so it is asked, and the request is repeated once if
        // it renews the session.
        if (state === used) {
          if (!renewing && !mayCause(origin)) return response;
          await renew(refusal === "session_revoked");
        }
        // A stream has been read by now. The caller can make another one.
        return init && init.body instanceof ReadableStream ? response : send(build());
      };
      return unless(request.signal, sent());
    },

    pay,

    async signOut() {
      const last = state;
      if (!last) return;
      const isExpired = !cookie && !isAlive();
      post({ out: last.user.uid, chain: last.chain });
      close();
      try {
        // Sent before the first await, because the user may leave the page immediately.
        await (isExpired ? Promise.reject(new SignInError("session_expired")) : end(last.token)).catch(async (error) => {
          if (!REFUSED.test(error.code) || OVER.test(error.code) || cookie) throw error;
          await end((await refresh(last)).token);
        });
      } catch (/** @type {any} */ error) {
        if (OVER.test(error.code) || (cookie && REFUSED.test(error.code))) return; // it had ended before
        const message = "You are signed out here, but the service could not be reached.";
        throw new SignInError(error.code, message, error, error.hint);
      }
    },
  };
  return { authenticate, restore, enter };
}
