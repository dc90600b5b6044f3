// Signs Pi users in from a web page, keeps the session alive, and buys. It sends Pi's token to the issuer only, and the
// session's token to the issuer and to the origins that the page lists.

const TIMEOUT_MS = 20_000; // the issuer itself waits ten seconds for Pi, and a slow network takes ten more
const PI_TIMEOUT_MS = 30_000; // Pi's SDK has been seen to take twenty seconds without showing anything
const MARGIN_MS = 60_000; // renewed so long before it expires: two tries on a slow network, and a request after them
const PATIENCE_MS = 3_000; // a request waits so long for a renewal, and then goes on with the token that still lives
const PAUSES_MS = [1_000, 2_000, 4_000]; // between the tries of a renewal: a phone changes networks within seconds
const MAX_PAUSE_MS = 30_000; // an issuer that asks for a longer pause gets it, but no caller waits for that
const BODY_MS = 4_000; // for the body of a refusal, which is short: it may never end
const KEY_MS = 2_000; // IndexedDB takes milliseconds, but some versions of Safari never answer after a cold start
const LOCK_MS = 30_000; // a tab that the system has frozen may keep its lock
const ASK_MS = 100; // other tabs answer within milliseconds, unless they are frozen
const PENDING_MS = 600_000; // people have to find the phone, and scan a code
const MAX_SDK_TEXT = 200; // characters: a sentence

// How many refusals of one origin cause a renewal in a minute: without a limit, a backend could make every page renew
// with every request.
const MAX_REFUSALS = 3;
const REFUSALS_MS = 60_000;

const VERSION = 1; // of the state in storage: another version is not read
const PREFIX = "pioneer-session:";
const PENDING = PREFIX + "pi-sign-in:";

// The issuer may still renew a session that was refused so. Missing: the cookie ran out.
const REFUSED = /^session_(expired|invalid|missing|revoked)$/;
const OVER = /^(refresh_rejected|refresh_reused|session_revoked)$/;
const PI_ERRORS = /^(access_denied|cancelled|expired|server_error)$/;

// A text for the person who uses the app, then a bar, then one for its developer. AGAIN where the first is empty.
const AGAIN = "That did not work. Please try again.";
const SIGN_IN = "You are signed out. Please sign in again.|";
const STRANGER = "|This browser began no such sign-in.";
const TEXTS = {
  access_denied: "You did not allow the sign-in.",
  cancelled: "The sign-in was cancelled.",
  cookie_blocked: "Your browser blocks cookies here.|Sign in without the option cookie.",
  invalid_answer: "|Check the option issuer.",
  key_lost: `${SIGN_IN}IndexedDB was cleared or blocked.`,
  network: "No connection. Please try again.|Check ALLOWED_ORIGINS, SESSION_COOKIE and connect-src.",
  no_pending_sign_in: STRANGER,
  origin_not_listed: "|List it in origins, or use plain fetch.",
  payment_cancelled: "The payment was cancelled. You were not charged.",
  payment_failed: "Pi could not finish the payment. If you have paid, your purchase will appear soon.",
  payment_recovered: "An earlier payment has just been completed, so you were not charged again. Please check your purchases.",
  pi_unavailable: "Pi does not answer. Please open this page in the Pi Browser.|Load Pi's SDK and await Pi.init, or use Pi Sign-in.",
  rate_limited: "Too many attempts. Please try again in a minute.",
  redirected: "|Call the final URL: a redirect could leak the session.",
  refresh_rejected: SIGN_IN,
  refresh_reused: SIGN_IN,
  session_revoked: SIGN_IN,
  signed_out: SIGN_IN,
  state_mismatch: STRANGER,
  storage_blocked: "Your browser blocks storage here. Please open this page in its own tab.",
  user_changed: `${SIGN_IN}Another user has signed in.`,
};

/** Why a sign-in or a session failed. It never holds a token. */
export class SignInError extends Error {
  constructor(code, message, cause, hint) {
    const texts = (own(TEXTS)[code] || "").split("|");
    super(message || texts[0] || AGAIN, cause && { cause });
    this.name = "SignInError";
    this.code = code;
    this.hint = hint || texts[1] || "";
  }
}

/** A copy of an object's own members: a polluted Object.prototype must add none. */
function own(value) {
  return { __proto__: null, ...value };
}

/** JSON of a value, without any toJSON that all objects or arrays would inherit. */
function json(value) {
  return JSON.stringify(value, function (name) {
    return this[name];
  });
}

/** A value that nobody can guess, for the alphabet and the length of an Idempotency-Key. */
const random = () => crypto.getRandomValues(new Uint32Array(5)).join("-");

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Runs something that may take so long. After that it is aborted, as far as it can be, and counts as failed with this code. */
function within(ms, code, run) {
  const controller = new AbortController();
  let timer;
  const late = new Promise((done, fail) => {
    timer = setTimeout(() => {
      fail(new SignInError(code));
      controller.abort();
    }, ms);
  });
  return Promise.race([run(controller.signal), late]).finally(() => clearTimeout(timer));
}

/** What the promise gives, unless the caller loses interest. */
function unless(signal, promise) {
  const stopped = new Promise((done, fail) => {
    const stop = () => fail(signal.reason || new DOMException("Aborted", "AbortError"));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop);
  });
  return Promise.race([promise, stopped]);
}

/** The URL, if credentials may go there: https, or http on this machine. */
function secure(text) {
  const url = new URL(text);
  if (url.protocol === "https:" || /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(url.origin)) return url;
  throw new TypeError("issuer, origins and authorizeUrl must be https, or http on this machine");
}

function read(options) {
  const { Pi, issuer, origins = [], scopes = ["username"], cookie = false, storage, piTimeout = PI_TIMEOUT_MS, ...others } = own(options);
  if (cookie && (storage || origins.length > 0)) {
    throw new TypeError("with the option cookie, there is nothing to store and no origin but the issuer");
  }
  const [home, ...backends] = [issuer, ...origins].map((text) => secure(text).origin);
  return own({ ...others, Pi, issuer: home, origins: new Set([home, ...backends]), scopes, cookie, storage, piTimeout });
}

/** Calls a storage, which may throw at its name, or whenever it is used. Undefined when it does not work. */
function use(storage, method, ...values) {
  try {
    const found = (typeof storage === "function" ? storage() : storage)[method](...values);
    return found === undefined ? true : found;
  } catch {
    return undefined;
  }
}

// A page that becomes active again may have missed everything.
const EVENTS = ["pageshow", "visibilitychange", "resume", "focus", "online", "storage"];

const LOCAL = () => localStorage;
const STORAGES = [LOCAL, () => sessionStorage];

// --- The key. A refresh token is bound to it (RFC 9449): without it, a copy of the token is worth nothing. No script can
// --- export it, ours included.

const keys = new Map(); // those that this page has used
const UNKNOWN = "storage_blocked"; // whether there is a key: IndexedDB or WebCrypto fails, perhaps only for now

const base64url = (bytes) => {
  const text = typeof bytes === "string" ? bytes : String.fromCharCode(...new Uint8Array(bytes));
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
};
const ascii = (text) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const ES256 = own({ name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" });

const settled = (request) =>
  new Promise((done, fail) => {
    request.onsuccess = () => done(request.result);
    request.onerror = (event) => {
      event.preventDefault(); // Firefox would report it as an error of the page
      fail(request.error);
    };
  });

/** The key pair of all tabs: the one in IndexedDB, or else the given one. Of two tabs that give one, one waits here. */
async function storedPair(issuer, made) {
  const request = indexedDB.open("pioneer-session", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("keys");
  const database = await settled(request);
  try {
    const transaction = database.transaction("keys", made ? "readwrite" : "readonly");
    // What was put can still be lost, as when the disk is full.
    const committed = new Promise((done, fail) => {
      transaction.oncomplete = done;
      transaction.onabort = fail;
    });
    const store = transaction.objectStore("keys");
    const found = own(await settled(store.get(issuer)));
    if (found.privateKey instanceof CryptoKey) return found;
    if (made) await settled(store.put(made, issuer));
    await committed;
    return made;
  } finally {
    database.close();
  }
}

/** Shows that this browser has the key: once, for one renewal, at the issuer's time. */
async function proofOf({ pair, jwk }, issuer, now, nonce) {
  const header = own({ typ: "dpop+jwt", alg: "ES256", jwk });
  const claims = own({ htm: "POST", htu: issuer + REFRESH, iat: Math.floor(now / 1000), jti: random(), nonce });
  const text = `${base64url(json(header))}.${base64url(json(claims))}`;
  return `${text}.${base64url(await crypto.subtle.sign(ES256, pair.privateKey, ascii(text)))}`;
}

// --- The issuer

const REFRESH = "/session/refresh";
const BAD_PROOF = "invalid_dpop_proof";

/** What the issuer answers. A refusal throws, with the issuer's code, and its words for the developer. */
async function answerTo(request) {
  let response, text;
  try {
    response = await request;
    text = await response.text();
  } catch (error) {
    throw error instanceof SignInError ? error : new SignInError("network");
  }
  const parsed = use(JSON, "parse", text);
  const answer = own(parsed);
  const { status, headers, ok } = response;
  if (ok && (parsed || !text)) return answer;
  const error = new SignInError((!ok && answer.code) || "invalid_answer", "", answer.piError, answer.detail);
  const nonce = headers.get("dpop-nonce") || undefined;
  throw Object.assign(error, { status, nonce, retryAfter: Number(headers.get("retry-after")) });
}

/**
 * Sends a request that outlives the page. Some browsers refuse that for a request with a preflight, and it looks like a
 * network that failed: then it is sent once more, plainly. Repeating these is harmless.
 */
function lasting(send) {
  return send(true).catch((error) => {
    if (error.code !== "network") throw error;
    return send(false);
  });
}

/** A state that somebody else has written: another page of this origin, another version, or a person. */
function sound(value, cookie) {
  const state = own(value);
  const user = own(state.user);
  const isWhole = [user.uid, ...(cookie ? [] : [state.token, state.refreshToken])].every((text) => typeof text === "string");
  return state.v === VERSION && state.until > 0 && Number.isFinite(state.skew) && isWhole ? own({ ...state, user }) : undefined;
}

/** Nothing is decided by such a failure: the same request may well succeed the next time. */
const isPassing = ({ code, status }) => status === 408 || status > 428 || ["network", "invalid_answer", UNKNOWN].includes(code);

/**
 * Of two states of one session, the issuer's time tells the newer one, and within one second, the count. Without a key,
 * every renewal counts, and times may go back when the issuer's SESSION_TTL is lowered.
 */
function isNewer(one, other) {
  const [time, count] = [one.until - other.until, one.count - other.count];
  return (one.jkt ? time || count : count || time) > 0;
}

/** Tries again, after pauses, what failed only for now. */
async function persist(tries, attempt) {
  for (let count = 0; ; count++) {
    try {
      return await attempt();
    } catch (error) {
      const pause = Math.max(PAUSES_MS[count] * (0.5 + Math.random()), error.retryAfter * 1000 || 0);
      if (count >= tries || pause > MAX_PAUSE_MS || !isPassing(error) || navigator.onLine === false) throw error;
      await sleep(pause);
    }
  }
}

/** Why a backend, or the issuer, refuses the session: undefined for every other answer, and for none in time. */
async function refusalOf(response) {
  if (response.status !== 401) return undefined;
  const { code } = own(await Promise.race([response.clone().json(), sleep(BODY_MS)]).catch(() => undefined));
  return REFUSED.test(code) ? code : undefined;
}

/**
 * Runs a task while no other tab runs one of this name. With `ifAvailable`, it does nothing if another tab does. The browser
 * may have no locks, refuse them, or hand out none in time: then the issuer's rules keep the session right.
 */
async function exclusively(name, task, ifAvailable = false) {
  let release;
  const held = new Promise((done) => (release = done));
  const turn = new Promise((go) => {
    const hold = (lock) => go(lock) || held;
    Promise.resolve(use(navigator.locks, "request", name, own({ ifAvailable }), hold)).then(go, go);
  });
  try {
    return (await Promise.race([turn, sleep(LOCK_MS)])) === null ? undefined : await task();
  } finally {
    release();
  }
}

// --- Pi's SDK. Its promises may hang, or be settled when nobody waits any more.

let asking; // the call of Pi.authenticate whose answer nobody has taken yet. Two open ones would both hang.

/** The SDK's words, without anything that looks like a token. */
const wordsOf = (cause) => String((cause && cause.message) || cause).replace(/[\w.~+/=-]{24,}/g, "…").slice(0, MAX_SDK_TEXT);

/** Asks Pi who the user is, or shares the question that is open. */
async function askPi(Pi, scopes, ms) {
  if (!Pi || typeof Pi.authenticate !== "function") throw new SignInError("pi_unavailable");
  const wait = (promise) => within(ms, "pi_unavailable", () => promise);
  const forget = (open) => asking === open && (asking = undefined);
  while (asking && !(asking.Pi === Pi && scopes.every((scope) => asking.scopes.includes(scope)))) {
    const other = asking;
    await wait(other.answer.catch(() => {}));
    forget(other);
  }
  if (!asking) {
    const open = { Pi, scopes, payments: [], takers: new Set() };
    const found = (payment) => {
      open.payments.push(payment);
      for (const take of open.takers) take(payment);
    };
    open.answer = new Promise((done) => done(Pi.authenticate(scopes, found)));
    open.answer.catch(() => forget(open));
    asking = open;
  }
  const open = asking;
  try {
    open.result = own(await wait(open.answer));
    forget(open);
    return open;
  } catch (cause) {
    if (cause instanceof SignInError) throw cause;
    const words = wordsOf(cause);
    if (/cancel|denied|declined/i.test(words)) throw new SignInError("cancelled", "", cause);
    throw new SignInError("pi_failed", `Pi could not sign you in: ${words}`, cause);
  }
}

const route = (paymentId, step) => `/payments/${encodeURIComponent(paymentId)}/${step}`;

// --- The session

/** A session to which `accept` gives what the issuer answered. */
function open(options) {
  const { Pi, issuer, origins, cookie, storage, piTimeout } = options;
  const key = PREFIX + issuer + (cookie ? ":cookie" : "");
  const refusals = new Map(); // when those of each origin caused a renewal
  const running = new Set(); // the orders that are being paid on this page
  let state, renewing, channel;
  let isKept = false; // whether the storage has the state
  let base = 0; // the issuer's time when this page began, by the clock that nobody can set
  let mayPay = false; // whether Pi was asked for that, on this page
  let recovery = Promise.resolve();
  let recovered = 0;
  let pausedUntil = 0; // as the issuer has asked
  let onNews = () => {};

  const live = () => {
    if (!state) throw new SignInError("signed_out");
    return state;
  };

  /** The issuer's time. If the clock is set while the page is open, one of the two is right; the later one errs safely. */
  const now = () => Math.max(Date.now() + (state ? state.skew : 0), base + performance.now());
  const isAlive = () => Boolean(state) && now() < state.until;

  const post = (message) => use(channel, "postMessage", message); // some browsers have no channels, or not here

  /**
   * The browser's key for this issuer: undefined if there is none. It rejects when that cannot be known. A session that no
   * reload survives needs no key that does, so it stores nothing.
   */
  async function keyOf(isNew) {
    const isKept = cookie || storage;
    const name = (isKept ? "kept " : "") + issuer;
    const known = keys.get(name);
    if (known && !(isNew && isKept)) return known;
    return within(KEY_MS, UNKNOWN, async () => {
      let pair = known ? known.pair : isNew && (await crypto.subtle.generateKey(ES256, false, ["sign", "verify"]));
      if (isKept) pair = await storedPair(issuer, pair && { privateKey: pair.privateKey, publicKey: pair.publicKey });
      if (!pair) return undefined;
      const { x, y } = own(await crypto.subtle.exportKey("jwk", pair.publicKey));
      const jwk = own({ crv: "P-256", kty: "EC", x, y });
      const jkt = base64url(await crypto.subtle.digest("SHA-256", ascii(json(jwk))));
      const found = { pair, jwk, jkt };
      keys.set(name, found);
      return found;
    });
  }

  /** Asks the issuer, with no session but the given one. */
  function call(method, path, given) {
    const { body, token, headers, keepalive } = own(given);
    const all = own({ ...headers, ...(token && { authorization: `Bearer ${token}` }), ...(body && { "content-type": "application/json" }) });
    // A cookie beside a bearer token would be two credentials, which the issuer refuses.
    const credentials = cookie && !token ? "include" : "omit";
    const init = { method, headers: all, body: body && json(own(body)), credentials, redirect: "error", cache: "no-store", keepalive };
    return within(TIMEOUT_MS, "network", (signal) => answerTo(fetch(issuer + path, own({ ...init, signal }))));
  }

  /** Ends a session at the issuer, also while the page is left. */
  const end = (token) => lasting((keepalive) => call("DELETE", "/session", { token, keepalive }));

  /** The same, whether it can be told or not. */
  const drop = ({ token }) => void end(token).catch(() => {});

  /** What is kept of an answer. With the cookie, no script keeps a token. */
  function keep(answer, before) {
    const { sessionToken, refreshToken, expiresIn, expiresAt, user } = own(answer);
    if (typeof sessionToken !== "string" || !(expiresIn > 0) || !user) throw new SignInError("invalid_answer");
    const { chain, jkt, count = 0 } = before;
    // This machine's clock may be wrong, so expiry is kept in the issuer's time, beside the difference to ours.
    const until = Date.parse(expiresAt) || Date.now() + expiresIn * 1000;
    const skew = until - expiresIn * 1000 - Date.now();
    const due = until - Math.min(MARGIN_MS, expiresIn * 500);
    const tokens = !cookie && { token: sessionToken, refreshToken };
    return own({ v: VERSION, chain, jkt, count: count + 1, ...tokens, until, due, skew, user: own(user) });
  }

  /** Begins a session, with what Pi has given. */
  async function begin(accessToken) {
    if (typeof accessToken !== "string") throw new SignInError("invalid_answer");
    const key = await keyOf(true).catch(() => undefined);
    const jkt = key && key.jkt;
    const name = random(); // of the sign-in: if its answer is lost, the issuer gives the same session again
    const answer = await persist(1, () =>
      call("POST", "/session", { body: { accessToken, dpopJkt: jkt }, headers: { "idempotency-key": name } }),
    );
    // All tabs have one cookie, so there is one session for them.
    const state = keep(answer, own({ chain: cookie ? "cookie" : name, jkt }));
    if (cookie) {
      await call("GET", "/session").catch((error) => {
        if (error.code !== "session_missing") throw error;
        drop({ token: answer.sessionToken });
        throw new SignInError("cookie_blocked");
      });
    }
    return state;
  }

  /** Renews a session. Nothing but a refusal by the issuer, or a lost key, ends it. */
  async function refresh(before) {
    const { refreshToken } = before;
    let { jkt } = before;
    // Without a key, this name lets the issuer repeat an answer that was lost. All tabs have one cookie, and so one name.
    const slot = `${key}:renewal`;
    const isNamed = cookie && !jkt;
    const name = before.renewal || (isNamed && use(LOCAL, "getItem", slot)) || random();
    if (isNamed) use(LOCAL, "setItem", slot, name);

    async function attempt(repeats, nonce) {
      let headers = { "idempotency-key": name };
      if (jkt) {
        try {
          const key = await keyOf();
          if (!key || key.jkt !== jkt) throw new SignInError("key_lost");
          headers = { dpop: await within(KEY_MS, UNKNOWN, () => proofOf(key, issuer, now(), nonce)) };
        } catch (cause) {
          throw cause instanceof SignInError ? cause : new SignInError(UNKNOWN, "", cause);
        }
      }
      return call("POST", REFRESH, { body: { refreshToken }, headers }).catch((error) => {
        // The clock is wrong, so the issuer's nonce is signed instead. Or the proof came twice: Chromium and Firefox repeat
        // a POST by themselves when a kept connection breaks.
        if (!(repeats > 0 && jkt && (error.nonce || error.code === BAD_PROOF))) throw error;
        // With the cookie, nothing says whether the sign-in named the key.
        if (cookie && repeats === 1) jkt = undefined;
        return attempt(repeats - 1, error.nonce || nonce);
      });
    }

    try {
      const next = keep(await persist(PAUSES_MS.length, () => attempt(3)), own({ ...before, jkt }));
      if (isNamed) use(LOCAL, "removeItem", slot);
      return next;
    } catch (error) {
      // Without the key and with a dead token, there is nothing left of the session.
      const isLost = error.code === BAD_PROOF || (error.code === UNKNOWN && now() >= before.until);
      throw isLost ? new SignInError("key_lost", "", error) : error;
    }
  }

  /** What the storage has: null for nothing, undefined when it cannot be read or makes no sense. */
  function stored() {
    const text = storage && use(storage, "getItem", key);
    return text === null ? null : sound(use(JSON, "parse", text), cookie);
  }

  function store() {
    use(storage, "setItem", key, json(state));
    isKept = use(storage, "getItem", key) === json(state);
    // Full: the session works, but not over a reload, where an older state could do harm.
    if (!isKept) use(storage, "removeItem", key);
  }

  /**
   * Goes on with this state, which is `news` from another tab, or is told to the others. A token that is told so is no
   * more exposed than in the storage: a script of this origin can open a page of it and read it there. One that is only
   * in memory is not told.
   */
  function accept(next, isNews, was) {
    if (!state) {
      // Capturing, for some of these are events of the document.
      for (const type of EVENTS) addEventListener(type, check, true);
      channel = use(() => new BroadcastChannel(key), "valueOf");
      if (channel) channel.onmessage = hear;
    }
    state = next;
    base = Date.now() + next.skew - performance.now();
    store();
    if (!isNews && (storage || cookie)) post({ state, was });
    onNews();
    return session;
  }

  /** The session is over on this page, and ends at the issuer if no other page has it. */
  function close(error, isEnding) {
    const last = state;
    const kept = stored();
    state = undefined;
    // The storage may have another session by now.
    if (!kept || kept.chain === last.chain) use(storage, "removeItem", key);
    for (const type of EVENTS) removeEventListener(type, check, true);
    use(channel, "close");
    tell("onSignedOut", error);
    if (isEnding && !cookie) drop(last);
  }

  /** Another user has signed in here, in another tab: this page must not pass for theirs. */
  const supersede = () => close(new SignInError("user_changed"), true);

  /** Takes up what other tabs have written: a newer state, the end of the session, or another user. */
  function look() {
    const found = state && stored();
    if (found === null) return isKept && close();
    if (!found) return undefined;
    if (found.user.uid !== state.user.uid) return supersede();
    return found.chain === state.chain ? adopt(found) : accept(found, true);
  }

  /** Of the same session. */
  function adopt(found) {
    if (isNewer(found, state)) accept(found, true);
    else if (found.token === state.token) state.renewal = state.renewal || found.renewal;
  }

  function check() {
    look();
    if (state && storage) post({ ask: state.chain });
  }

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
   * Asks the other tabs for a newer state. Only without a key: with it, the issuer answers every tab alike; and all tabs
   * have the same cookie.
   */
  async function askTabs() {
    post({ ask: state.chain });
    await Promise.race([new Promise((done) => (onNews = done)), sleep(ASK_MS)]);
  }

  /** Signs in, through Pi. `before` is the session that runs out, if there is one. */
  async function authenticate(before) {
    const answer = await askPi(Pi, options.scopes, piTimeout);
    // What the SDK says about the user proves nothing, and stays here.
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

  /** Only with a session can the payments be settled that Pi tells of, now or later. */
  function takeOver({ scopes, payments, takers }) {
    mayPay = scopes.includes("payments");
    takers.add(unfinished);
    payments.forEach(unfinished);
  }

  const lockOf = (orderId) => `${key}:order:${orderId}`;

  /** Settles a payment that was left, or leaves it to the page. */
  function unfinished(payment) {
    const { orderId } = own(own(payment).metadata);
    if (running.has(orderId)) return; // it is not left: its wallet is open
    if (options.onIncompletePaymentFound) options.onIncompletePaymentFound(payment, session);
    // Its wallet may be open in another tab, which has the lock then.
    else recovery = recovery.then(() => exclusively(lockOf(orderId), () => recover(payment.identifier), true));
  }

  /** Calls one of the page's functions. What it throws is the page's. */
  const tell = (name, ...news) => queueMicrotask(() => options[name] && options[name](...news));

  async function recover(paymentId) {
    try {
      const payment = await ask(route(paymentId, "recover"));
      if (payment.state === "paid") recovered += 1;
      tell("onRecovered", payment);
    } catch {
      // Pi finds it again, at the next sign-in or payment.
    }
  }

  /** Asks the issuer, with the session. The page may be suspended as soon as the wallet opens. */
  function ask(path, body) {
    const headers = body && own({ "content-type": "application/json", "idempotency-key": random() });
    const init = own({ method: "POST", headers, body: body && json(own(body)) });
    return lasting((keepalive) =>
      within(TIMEOUT_MS, "network", (signal) => answerTo(session.fetch(issuer + path, own({ ...init, keepalive, signal })))),
    );
  }

  /**
   * Lets the user pay an order in Pi's wallet, until the issuer says that it is paid. Pi calls back for a step every ten
   * seconds until it sees it done; each is taken once at a time, and one that only failed for now waits for the next call.
   * A payment that is paid after this has given up counts as recovered.
   */
  function purchase(Pi, { amount, memo, metadata }, say) {
    return new Promise((resolve, reject) => {
      const taken = new Set();
      let isOver, isRefused, isPaid, paid, delay;
      const isFirst = () => !isOver && (isOver = true);
      const fail = (code, cause) => isFirst() && reject(new SignInError(code, "", cause));
      // The wallet asks for approval before it lets anybody pay, so that silence means that it did not open.
      const silence = setTimeout(fail, piTimeout, "pi_unavailable");
      const cancel = (paymentId) => ask(route(paymentId, "cancel")).catch(() => {}); // the issuer finds out itself, only later

      async function take(step, paymentId, body) {
        clearTimeout(silence);
        if (taken.has(step) || isRefused) return;
        taken.add(step);
        try {
          // A wallet that opens after this has given up is closed; what was paid all the same is completed.
          if (isOver && !body) return await cancel(paymentId);
          const payment = await ask(route(paymentId, step), body);
          if (isPaid) return;
          isPaid = payment.state === "paid";
          if (!isOver) say(payment.state);
          if (isPaid) isFirst() ? resolve(payment) : tell("onRecovered", payment);
        } catch (error) {
          if (isPassing(error)) {
            taken.delete(step);
            if (!isOver) say("delayed", (delay = error));
          } else if (isFirst()) {
            isRefused = true;
            // It closes the wallet: nobody shall pay what was refused.
            if (!body) await cancel(paymentId);
            reject(error);
          }
        }
      }

      const callbacks = {
        onReadyForServerApproval: (paymentId) => take("approve", paymentId),
        onReadyForServerCompletion(paymentId, txid) {
          if (!isOver && !paid) say("completing");
          paid = [paymentId, { txid }];
          return take("complete", ...paid);
        },
        async onCancel(paymentId) {
          clearTimeout(silence);
          if (paid) return callbacks.onError(delay); // too late
          if (!isFirst()) return undefined;
          await cancel(paymentId);
          return reject(new SignInError("payment_cancelled", "", delay));
        },
        async onError(cause) {
          clearTimeout(silence);
          // Pi asks no more; but what the user has paid is worth a last try, also while another is under way.
          taken.delete("complete");
          if (!isOver && paid) await take("complete", ...paid);
          fail("payment_failed", cause);
        },
      };
      say("ordered");
      // As a number it keeps all seven decimals, and JSON writes of it what the issuer reads.
      const payment = { amount: Number(amount), memo, metadata };
      new Promise((done) => done(Pi.createPayment(payment, callbacks))).catch(callbacks.onError);
    });
  }

  /** Whether a refusal by this origin may cause a renewal once more. */
  function mayCause(origin) {
    const causes = (refusals.get(origin) || []).filter((at) => now() - at < REFUSALS_MS);
    if (causes.length >= MAX_REFUSALS) return false;
    refusals.set(origin, [...causes, now()]);
    return true;
  }

  /**
   * Renews at the issuer, or else through Pi. Not through Pi if the session is said to be `revoked`: its user may have
   * ended it elsewhere.
   */
  async function renewOnce(used, revoked) {
    look();
    if (!cookie && storage && !live().jkt) await askTabs();
    const before = live();
    // Another tab was faster.
    if (before.chain !== used.chain || isNewer(before, used)) return;
    if (!before.jkt && !cookie && !before.renewal) {
      // Written before it is sent, so that it can be repeated after a reload.
      before.renewal = random();
      store();
    }
    try {
      if (now() < pausedUntil) throw new SignInError("rate_limited");
      const next = await refresh(before);
      if (state === before || (live().chain === before.chain && isNewer(next, state))) accept(next);
    } catch (error) {
      if (error.retryAfter) pausedUntil = now() + error.retryAfter * 1000;
      const isLost = error.code === "key_lost";
      if (live() !== before || !(isLost || OVER.test(error.code))) throw error;
      let reason = revoked && !isLost ? new SignInError("session_revoked") : error;
      if (Pi && !revoked) {
        try {
          await authenticate(before);
          return tell("onReplaced", error);
        } catch (failure) {
          if (!isLost || failure.code === "user_changed") reason = failure;
        }
      }
      if (state === before) close(reason);
      throw reason;
    }
  }

  /** All who wait for it share one renewal. */
  const renew = (revoked) => (renewing = renewing || begun(revoked).finally(() => (renewing = undefined)));

  async function begun(revoked) {
    const used = live();
    await exclusively(key, () => renewOnce(used, revoked));
    live();
  }

  /** Sees to a token that lives. While it does, nothing waits long: the issuer may be slow, and Pi may never answer. */
  async function ready() {
    if (now() < live().due) return;
    const renewal = renew(false);
    await Promise.race([renewal, sleep(PATIENCE_MS)]).catch(() => {});
    if (!isAlive()) await renewal;
  }

  async function send(request) {
    const headers = new Headers(request.headers);
    if (!cookie) headers.set("authorization", `Bearer ${live().token}`);
    const credentials = cookie ? "include" : new URL(request.url).origin === issuer ? "omit" : request.credentials;
    const response = await fetch(request, own({ headers, credentials, redirect: "manual" }));
    if (response.type === "opaqueredirect") throw new SignInError("redirected");
    return response;
  }

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

    async fetch(input, given) {
      // Unlike a plain object, a Request has its members from its class, which hides those of Object.prototype.
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
        // Only the issuer ends a session, so it is asked, and the request is repeated once if it renews the session.
        if (state === used) {
          if (!renewing && !mayCause(origin)) return response;
          await renew(refusal === "session_revoked");
        }
        // A stream is spent by now; whoever made it can make another.
        return init && init.body instanceof ReadableStream ? response : send(build());
      };
      return unless(request.signal, sent());
    },

    async pay(Pi, productId, payOptions) {
      const { onState } = own(payOptions);
      live();
      const before = recovered;
      const say = (...news) => queueMicrotask(() => onState && onState(...news));
      // After a reload, Pi has forgotten what it was asked before it.
      if (!mayPay) takeOver(await askPi(Pi, [...new Set([...options.scopes, "payments"])], piTimeout));
      await recovery;
      // What was paid may be the very thing that the user misses: do not let it be paid twice.
      if (recovered > before) throw new SignInError("payment_recovered");
      const order = await ask("/orders", { productId });
      running.add(order.orderId);
      try {
        // The lock shows other tabs that the wallet is open.
        return await exclusively(lockOf(order.orderId), () => purchase(Pi, order, say));
      } catch (error) {
        await recovery;
        throw recovered > before ? new SignInError("payment_recovered", undefined, error) : error;
      } finally {
        running.delete(order.orderId);
      }
    },

    async signOut() {
      const last = state;
      if (!last) return;
      const isExpired = !cookie && !isAlive();
      post({ out: last.user.uid, chain: last.chain });
      close();
      try {
        // Sent before anything is awaited: the page may be left at once.
        await (isExpired ? Promise.reject(new SignInError("session_expired")) : end(last.token)).catch(async (error) => {
          if (!REFUSED.test(error.code) || OVER.test(error.code) || cookie) throw error;
          await end((await refresh(last)).token);
        });
      } catch (error) {
        if (OVER.test(error.code) || (cookie && REFUSED.test(error.code))) return; // it had ended before
        const message = "You are signed out here, but the service could not be told.";
        throw new SignInError(error.code, message, error, `The session was not ended at the issuer. ${error.hint}`);
      }
    },
  };
  return { key, keyOf, begin, refresh, accept, authenticate, stored, tell };
}

const signingIn = new Map();

/** Signs in through Pi's SDK, after `Pi.init`. A second call, as of a double click, gets the same session. */
export async function signIn(Pi, options) {
  const settings = read(own({ ...options, Pi }));
  const { issuer } = settings;
  if (!signingIn.has(issuer)) {
    signingIn.set(issuer, open(settings).authenticate().finally(() => signingIn.delete(issuer)));
  }
  return signingIn.get(issuer);
}

/** The session that a reload left in `storage` or in the cookie; null when there is none. */
export async function resume(options) {
  const settings = read(options);
  const { key, keyOf, refresh, accept, authenticate, stored, tell } = open(settings);
  if (!settings.cookie) {
    const found = stored();
    return found ? accept(found, true) : null;
  }
  return exclusively(key, async () => {
    const { jkt } = own(await keyOf().catch(() => undefined));
    try {
      return accept(await refresh(own({ chain: "cookie", jkt })));
    } catch (error) {
      const isLost = error.code === "key_lost";
      if (isLost && settings.Pi) return authenticate();
      if (isLost) tell("onSignedOut", error);
      if (isLost || OVER.test(error.code) || REFUSED.test(error.code)) return null;
      throw error;
    }
  });
}

/** Leaves the page to sign in with Pi, outside the Pi Browser. Pi comes back to `redirectUri`. */
export function startPiSignIn(options) {
  const { clientId, redirectUri, scopes = ["username"], authorizeUrl = "https://accounts.pinet.com/oauth/authorize" } = own(options);
  // The answer may come to another tab. Only this browser knows the state, so that nobody can send an answer of their own.
  const state = `${random()}.${Date.now()}`;
  const url = secure(authorizeUrl);
  const request = { response_type: "token", client_id: clientId, redirect_uri: redirectUri, scope: scopes.join(" "), state };
  // Pi documents %20 between scopes, not the plus sign of a form.
  url.search = new URLSearchParams(own(request)).toString().replace(/\+/g, "%20");
  if (!STORAGES.some((storage) => use(storage, "setItem", PENDING + state, ""))) throw new SignInError("storage_blocked");
  location.assign(url);
}

const isRecent = (state) => Math.abs(Date.now() - state.split(".")[1]) < PENDING_MS;

/** Whether this browser began the sign-in with this state: counts once. Old ones are forgotten. */
function isPending(state) {
  let isFound = false;
  for (const storage of STORAGES) {
    for (const name of use(Reflect, "ownKeys", use(storage, "valueOf")) || []) {
      if (!name.startsWith(PENDING)) continue;
      const isThis = name === PENDING + state;
      isFound = isFound || isThis;
      if (isThis || !isRecent(name)) use(storage, "removeItem", name);
    }
  }
  return isFound;
}

let finished; // what came of the answer that this page took, for a component that is mounted twice

/** Takes Pi's answer out of the page's URL; null when there is none. Call it before anything else. */
export async function finishPiSignIn(options) {
  const [page, fragment = ""] = location.href.split("#");
  const answer = new URLSearchParams(fragment);
  if (answer.has("access_token") || answer.has("error")) {
    // First of all: whatever fails below, no token stays in the address bar or in the history.
    history.replaceState(history.state, "", page);
    const taking = takeAnswer(answer, options);
    finished = taking;
    taking.catch(() => finished === taking && (finished = undefined));
  }
  const session = await finished;
  return session && session.user ? session : null;
}

async function takeAnswer(answer, options) {
  const state = answer.get("state");
  if (!isPending(state)) throw new SignInError(state ? "state_mismatch" : "no_pending_sign_in");
  if (new Set(answer.keys()).size < [...answer].length) throw new SignInError("invalid_answer");
  if (!isRecent(state)) throw new SignInError("expired");
  const error = answer.get("error");
  if (error !== null) throw new SignInError(PI_ERRORS.test(error) ? error : "pi_error");
  const { begin, accept } = open(read(own({ ...options, Pi: undefined })));
  return accept(await begin(answer.get("access_token")));
}

/**
 * Signs in wherever the page is shown: through Pi's SDK where it answers, or else with Pi Sign-in, which leaves the page
 * (null). Not by the user agent, which says nothing about the SDK. Pi's page opens in no frame, so that a frame has the
 * SDK only.
 */
export async function signInWithPi(options) {
  const { Pi } = own(options);
  try {
    return await signIn(Pi, options);
  } catch (error) {
    if (error.code !== "pi_unavailable" || window !== window.top) throw error;
    startPiSignIn(options);
    return null;
  }
}
