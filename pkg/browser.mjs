// Signs Pi users in from a web page, keeps the session alive, and buys. Pi's token goes to the issuer alone,
// the session's to the issuer and to the origins that the page lists.

const MARGIN_MS = 30_000; // renewed before it expires: a request takes its time
const TIMEOUT_MS = 20_000; // the issuer itself waits for Pi
const REFRESH_TIMEOUT_MS = 4_000; // the issuer repeats a lost answer for ten seconds: two tries must fit
const PENDING_MS = 600_000; // somebody has to find the phone, and scan a code
const PENDING = "pioneer-session:pi-sign-in";

// How many of an origin's refusals cause a renewal in a minute: without a limit, a backend could make every page renew
// with every request.
const MAX_REFUSALS = 3;
const REFUSALS_MS = 60_000;

// The issuer may still renew a session that was refused so. Missing: the cookie ran out.
const REFUSED = new Set(["session_expired", "session_invalid", "session_missing", "session_revoked"]);
const OVER = new Set(["refresh_rejected", "refresh_reused", "session_revoked"]);
// Nothing is decided by these: the same request may well succeed the next time.
const PASSING = new Set([
  ...["network", "invalid_answer", "rate_limited", "internal", "pi_refused", "storage_unavailable"],
  ...["upstream_invalid", "upstream_timeout", "upstream_unavailable"],
]);
const PI_ERRORS = new Set(["access_denied", "cancelled", "expired", "server_error"]);

const MESSAGES = {
  access_denied: "The user did not allow the sign-in. Ask before trying again.",
  cancelled: "The sign-in was cancelled, or Pi refused it. Let the user try again.",
  cookie_blocked: "The session's cookie does not come back: sign in without the option cookie.",
  expired: "The sign-in took too long. Begin again.",
  invalid_answer: "The answer makes no sense. Check the issuer, and begin again.",
  network: "The issuer could not be reached. Check the connection, its ALLOWED_ORIGINS and, with the option cookie, SESSION_COOKIE.",
  no_pending_sign_in: "This tab began no sign-in with Pi, so the answer was refused. Begin with startPiSignIn.",
  origin_not_listed: "The session is not sent to this origin. List it in the option origins, or use plain fetch.",
  payment_cancelled: "The payment was cancelled, and nothing was paid. Let the user try again.",
  payment_failed: "Pi could not finish the payment. What was paid all the same is recovered at the next sign-in or payment.",
  payment_recovered: "A payment from before was finished first, and no new one was made. Show what was bought, and ask again.",
  pi_error: "Pi reports an unknown error. Begin again.",
  redirected: "A redirect could carry the session elsewhere, so it was refused. Ask for the final URL.",
  server_error: "Pi has a problem. Try again later.",
  session_revoked: "The session was ended. Sign in again.",
  signed_out: "Nobody is signed in. Sign in again.",
  state_mismatch: "The answer belongs to another sign-in, so it was refused. Begin again.",
  storage_blocked: "Pi Sign-in needs sessionStorage, which the browser blocks here. Open the page outside a frame.",
  user_changed: "Another user is signed in to Pi now. Sign in again.",
};

/** Why a sign-in or a session failed. It never holds a token. */
export class SignInError extends Error {
  constructor(code, message = MESSAGES[code], cause) {
    super(message, cause && { cause });
    this.name = "SignInError";
    this.code = code;
  }
}

/** A copy of an object's own members: a polluted Object.prototype must add none. */
const own = (value) => ({ __proto__: null, ...value });

/** The URL, if credentials may go there: https, or http on this machine. */
function secure(text) {
  const url = new URL(text);
  if (url.protocol === "https:" || /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(url.origin)) return url;
  throw new TypeError("issuer, origins and authorizeUrl must be https, or http on this machine");
}

function read(options) {
  const { Pi, issuer, origins = [], scopes = ["username"], cookie = false, ...others } = own(options);
  if (cookie && (own(others).storage || origins.length > 0)) {
    throw new TypeError("with the option cookie, there is nothing to store and no origin but the issuer");
  }
  const [home, ...backends] = [issuer, ...origins].map((text) => secure(text).origin);
  return own({ ...others, Pi, issuer: home, origins: new Set([home, ...backends]), scopes, cookie });
}

/** What the issuer answers. A refusal throws, with the issuer's code and words. */
async function answerTo(request) {
  let response, text;
  try {
    response = await request;
    text = await response.text();
  } catch (error) {
    throw error instanceof SignInError ? error : new SignInError("network");
  }
  let answer;
  try {
    answer = text ? own(JSON.parse(text)) : undefined;
  } catch {
    throw new SignInError("invalid_answer");
  }
  if (response.ok) return answer;
  throw answer?.code ? new SignInError(answer.code, answer.detail, answer.piError) : new SignInError("invalid_answer");
}

/** Asks the issuer, with no session but the given one. */
function call({ issuer, cookie }, method, path, body, token, timeout = TIMEOUT_MS) {
  const headers = own({ ...(token && { authorization: `Bearer ${token}` }), ...(body && { "content-type": "application/json" }) });
  // A cookie beside a bearer token would be two credentials, which the issuer refuses.
  const credentials = cookie ? "include" : "omit";
  const init = { method, headers, body: body && JSON.stringify(own(body)), credentials, redirect: "error", cache: "no-store" };
  return answerTo(fetch(issuer + path, own({ ...init, signal: AbortSignal.timeout(timeout) })));
}

/** What is kept of an answer. With the cookie, no script keeps a token. */
function keep({ cookie }, answer) {
  const { sessionToken, refreshToken, expiresIn, user } = answer ?? {};
  if (typeof sessionToken !== "string" || !(expiresIn > 0) || !user) throw new SignInError("invalid_answer");
  // This machine's clock may be wrong, but not by how long it takes for time to pass.
  const expiresAt = Date.now() + expiresIn * 1000;
  const renewsAt = expiresAt - Math.min(MARGIN_MS, expiresIn * 500);
  return own({ ...(!cookie && { token: sessionToken, refreshToken }), expiresAt, renewsAt, user: own(user) });
}

async function begin(options, accessToken) {
  if (typeof accessToken !== "string") throw new SignInError("invalid_answer");
  const answer = await call(options, "POST", "/session", { accessToken });
  const state = keep(options, answer);
  if (options.cookie) {
    await call(options, "GET", "/session").catch((error) => {
      if (error.code !== "session_missing") throw error;
      end(own({ issuer: options.issuer }), { token: answer.sessionToken }).catch(() => {});
      throw new SignInError("cookie_blocked");
    });
  }
  return state;
}

async function refresh(options, { refreshToken }) {
  const attempt = () => call(options, "POST", "/session/refresh", { refreshToken }, undefined, REFRESH_TIMEOUT_MS);
  const again = (error) => {
    if (error.code === "network") return attempt();
    throw error;
  };
  return keep(options, await attempt().catch(again));
}

const end = (options, { token }) => call(options, "DELETE", "/session", undefined, token);

/** Why a backend, or the issuer, refuses the session: undefined for every other answer, and for none in time. */
async function refusalOf(response) {
  if (response.status !== 401) return undefined;
  const late = new Promise((done) => setTimeout(done, REFRESH_TIMEOUT_MS));
  const { code } = own(await Promise.race([response.clone().json(), late]).catch(() => undefined));
  return REFUSED.has(code) ? code : undefined;
}

const route = (paymentId, step) => `/payments/${encodeURIComponent(paymentId)}/${step}`;

/**
 * Lets the user pay an order in Pi's wallet, until the issuer says that it is paid. Pi calls back for a step every ten
 * seconds until it sees it done; each is taken once at a time, and one that only failed for now waits for the next call.
 */
function purchase(Pi, { amount, memo, metadata }, ask, tell) {
  return new Promise((resolve, reject) => {
    const taken = new Set();
    let isOver = false;
    let paid, delay;

    function accept(payment) {
      tell(payment.state);
      if (payment.state !== "paid") return;
      isOver = true;
      resolve(payment);
    }

    async function take(step, paymentId, body) {
      if (isOver || taken.has(step)) return;
      taken.add(step);
      try {
        const payment = await ask(route(paymentId, step), body);
        if (!isOver) accept(payment);
      } catch (error) {
        if (isOver) return;
        if (PASSING.has(error.code)) {
          taken.delete(step);
          return tell("delayed", (delay = error));
        }
        isOver = true;
        // It closes the wallet: nobody shall pay what was refused.
        if (step === "approve") await ask(route(paymentId, "cancel")).catch(() => {});
        reject(error);
      }
    }

    const callbacks = {
      onReadyForServerApproval: (paymentId) => take("approve", paymentId),
      onReadyForServerCompletion(paymentId, txid) {
        if (!isOver && !paid) tell("completing");
        paid = { paymentId, txid };
        return take("complete", paymentId, { txid });
      },
      async onCancel(paymentId) {
        if (isOver) return;
        isOver = true;
        await ask(route(paymentId, "cancel")).catch(() => {}); // the issuer finds out by itself, only later
        reject(new SignInError("payment_cancelled", undefined, delay));
      },
      async onError(cause) {
        if (isOver) return;
        isOver = true;
        try {
          // Pi asks no more; but what the user has paid is worth a last try, also while another is under way.
          if (paid) accept(await ask(route(paid.paymentId, "complete"), { txid: paid.txid }));
        } catch {
          // as Pi says
        }
        reject(new SignInError("payment_failed", undefined, cause));
      },
    };
    tell("ordered");
    // As a number it keeps all seven decimals, and JSON writes of it what the issuer reads.
    const payment = { amount: Number(amount), memo, metadata };
    new Promise((done) => done(Pi.createPayment(payment, callbacks))).catch(callbacks.onError);
  });
}

/** A session to which `accept` gives what the issuer answered. */
function open(options) {
  const { Pi, issuer, origins, cookie, storage } = options;
  const key = `pioneer-session:${issuer}`;
  const refusals = new Map(); // when those of each origin caused a renewal
  const running = new Set(); // the orders that are being paid on this page
  let state, renewing;
  let mayPay = false; // whether Pi was asked for that, on this page
  let recovery = Promise.resolve();
  let recovered = 0;

  const live = () => {
    if (!state) throw new SignInError("signed_out");
    return state;
  };

  function accept(next) {
    state = next;
    try {
      storage?.setItem(key, JSON.stringify(state));
    } catch {
      // Full: the session works, but not over a reload.
    }
    return session;
  }

  function close(error) {
    state = undefined;
    storage?.removeItem(key);
    options.onSignedOut?.(error);
  }

  async function askPi(Pi, scopes, found) {
    try {
      const result = await Pi.authenticate(scopes, found);
      mayPay = scopes.includes("payments");
      return result;
    } catch (cause) {
      throw new SignInError("cancelled", undefined, cause);
    }
  }

  /** Signs in, through Pi. `before` is the session that runs out, if there is one. */
  async function authenticate(before) {
    let settle;
    const settled = new Promise((done) => (settle = done));
    // Only with a session can a payment be settled, and Pi may wait for what is returned here.
    const result = await askPi(Pi, options.scopes, (payment) => void settled.then(() => unfinished(payment)));
    // What the SDK says about the user proves nothing, and stays here.
    const next = await begin(options, own(result).accessToken);
    const code = state !== before ? "signed_out" : before && next.user.uid !== before.user.uid ? "user_changed" : undefined;
    if (code) {
      end(options, next).catch(() => {});
      throw new SignInError(code);
    }
    settle();
    return accept(next);
  }

  /** Settles a payment that was left, or leaves it to the page. */
  function unfinished(payment) {
    if (running.has(payment.metadata?.orderId)) return; // it is not left: its wallet is open
    if (options.onIncompletePaymentFound) options.onIncompletePaymentFound(payment, session);
    else recovery = recovery.then(() => recover(payment.identifier));
  }

  async function recover(paymentId) {
    try {
      const payment = await ask(route(paymentId, "recover"));
      if (payment.state === "paid") recovered += 1;
      queueMicrotask(() => options.onRecovered?.(payment)); // what it throws is the page's
    } catch {
      // Pi finds it again, at the next sign-in or payment.
    }
  }

  /** Asks the issuer, with the session. */
  function ask(path, body) {
    const init = { method: "POST", signal: AbortSignal.timeout(TIMEOUT_MS) };
    if (body) Object.assign(init, { headers: { "content-type": "application/json" }, body: JSON.stringify(own(body)) });
    return answerTo(session.fetch(issuer + path, init));
  }

  /** Whether a refusal by this origin may cause a renewal once more. */
  function mayCause(origin) {
    const now = Date.now();
    const causes = (refusals.get(origin) ?? []).filter((at) => Math.abs(now - at) < REFUSALS_MS);
    if (causes.length >= MAX_REFUSALS) return false;
    refusals.set(origin, [...causes, now]);
    return true;
  }

  /**
   * Renews at the issuer, or else through Pi. Not through Pi if the session is said to be `revoked`: its user may have
   * ended it elsewhere.
   */
  async function renewOnce(revoked) {
    const before = live();
    try {
      const next = await refresh(options, before);
      if (state === before) accept(next);
    } catch (error) {
      const over = OVER.has(error.code);
      let reason = over && revoked ? new SignInError("session_revoked") : error;
      if (Pi && !revoked && (over || error.code === "network")) {
        try {
          return void (await authenticate(before));
        } catch (failure) {
          if (over || failure.code === "user_changed") reason = failure;
        }
      }
      if (state === before && (over || reason !== error)) close(reason);
      throw reason;
    }
    live();
  }

  async function send(request) {
    const headers = new Headers(request.headers);
    if (!cookie) headers.set("authorization", `Bearer ${live().token}`);
    const credentials = cookie ? "include" : new URL(request.url).origin === issuer ? "omit" : request.credentials;
    const response = await fetch(request, own({ headers, credentials, redirect: "manual" }));
    if (response.type === "opaqueredirect") throw new SignInError("redirected");
    return response;
  }

  const renew = (revoked) => (renewing ??= renewOnce(revoked).finally(() => (renewing = undefined)));

  const session = {
    get user() {
      return state?.user;
    },
    get token() {
      return state?.token;
    },
    get expiresAt() {
      return state && new Date(state.expiresAt);
    },
    get renewsAt() {
      return state && new Date(state.renewsAt);
    },
    renew: () => renew(false),

    async fetch(input, given) {
      // Unlike a plain object, a Request has its members from its class, which hides those of Object.prototype.
      const isPlain = given && Object.getPrototypeOf(given) === Object.prototype;
      const init = isPlain ? own(given) : given;
      const build = () => new Request(input instanceof Request ? input.clone() : input, init);
      const request = build();
      if (!origins.has(new URL(request.url).origin)) throw new SignInError("origin_not_listed");
      if (Date.now() >= live().renewsAt) {
        await renew().catch((error) => {
          if (!state || Date.now() >= state.expiresAt) throw error;
        });
      }
      const used = live();
      const response = await send(request);
      const refusal = await refusalOf(response);
      if (!refusal) return response;
      // Only the issuer ends a session, so it is asked, and the request is repeated once if it renews the session.
      if (state === used) {
        if (!renewing && !mayCause(new URL(request.url).origin)) return response;
        await renew(refusal === "session_revoked");
      }
      // A stream is spent by now; whoever made it can make another.
      return init?.body instanceof ReadableStream ? response : send(build());
    },

    async pay(Pi, productId, payOptions) {
      const { onState } = own(payOptions);
      live();
      const before = recovered;
      const tell = (...news) => queueMicrotask(() => onState?.(...news));
      // After a reload, Pi has forgotten what it was asked before it.
      if (!mayPay) await askPi(Pi, [...new Set([...options.scopes, "payments"])], unfinished);
      await recovery;
      // What was paid may be the very thing that the user misses: do not let it be paid twice.
      if (recovered > before) throw new SignInError("payment_recovered");
      const order = await ask("/orders", { productId });
      running.add(order.orderId);
      try {
        return await purchase(Pi, order, ask, tell);
      } catch (error) {
        await recovery;
        throw recovered > before ? new SignInError("payment_recovered", undefined, error) : error;
      } finally {
        running.delete(order.orderId);
      }
    },

    async signOut() {
      let last = state;
      if (!last) return;
      close();
      try {
        if (Date.now() >= last.expiresAt) last = await refresh(options, last);
        await end(options, last).catch(async (error) => {
          if (!REFUSED.has(error.code) || OVER.has(error.code)) throw error;
          await end(options, await refresh(options, last));
        });
      } catch (error) {
        if (OVER.has(error.code)) return; // it had ended before
        throw new SignInError(error.code, `Signed out on this page alone: the session itself was not ended. ${error.message}`);
      }
    },
  };
  return { session, accept, authenticate, key };
}

/** Signs in through Pi's SDK, after `Pi.init`. */
export async function signIn(Pi, options) {
  return open(read(own({ ...options, Pi }))).authenticate();
}

/** The session that a reload left in `storage` or in the cookie; null when there is none. */
export async function resume(options) {
  const settings = read(options);
  const { accept, key } = open(settings);
  if (settings.cookie) {
    return refresh(settings, own()).then(accept, (error) => {
      if (OVER.has(error.code) || REFUSED.has(error.code)) return null;
      throw error;
    });
  }
  try {
    const kept = own(JSON.parse(settings.storage.getItem(key)));
    return typeof kept.token === "string" ? accept(own({ ...kept, user: own(kept.user) })) : null;
  } catch {
    return null;
  }
}

/** Leaves the page to sign in with Pi, outside the Pi Browser. Pi comes back to `redirectUri`. */
export function startPiSignIn(options) {
  const { clientId, redirectUri, scopes = ["username"], authorizeUrl = "https://accounts.pinet.com/oauth/authorize" } = own(options);
  const state = crypto.getRandomValues(new Uint32Array(6)).join("-");
  const url = secure(authorizeUrl);
  const request = { response_type: "token", client_id: clientId, redirect_uri: redirectUri, scope: scopes.join(" "), state };
  // Pi documents %20 between scopes, not the plus sign of a form.
  url.search = new URLSearchParams(request).toString().replaceAll("+", "%20");
  try {
    // This tab's alone: an answer that anybody else asked for finds nothing pending.
    sessionStorage.setItem(PENDING, JSON.stringify(own({ state, at: Date.now() })));
  } catch {
    throw new SignInError("storage_blocked");
  }
  location.assign(url);
}

/** Takes Pi's answer out of the page's URL; null when there is none. Call it before anything else. */
export async function finishPiSignIn(options) {
  const [page, fragment = ""] = location.href.split("#");
  const answer = new URLSearchParams(fragment);
  if (!answer.has("access_token") && !answer.has("error")) return null;
  // First of all: whatever fails below, no token stays in the address bar or in the history.
  history.replaceState(history.state, "", page);
  let pending;
  try {
    pending = own(JSON.parse(sessionStorage.getItem(PENDING)));
    sessionStorage.removeItem(PENDING); // for one answer, a wrong one included
  } catch {
    // As if there were none.
  }
  if (!pending?.state) throw new SignInError("no_pending_sign_in");
  if (new Set(answer.keys()).size < [...answer].length) throw new SignInError("invalid_answer");
  if (answer.get("state") !== pending.state) throw new SignInError("state_mismatch");
  if (!(Math.abs(Date.now() - pending.at) < PENDING_MS)) throw new SignInError("expired");
  const error = answer.get("error");
  if (error !== null) throw new SignInError(PI_ERRORS.has(error) ? error : "pi_error");
  const settings = read(own({ ...options, Pi: undefined }));
  return open(settings).accept(await begin(settings, answer.get("access_token")));
}
