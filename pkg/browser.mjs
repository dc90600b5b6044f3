// Signs Pi users in from a web page, and keeps the session alive. Pi's token goes to the issuer alone,
// the session's to the issuer and to the origins that the page lists.

const MARGIN_MS = 30_000; // renewed before it expires: a request takes its time
const TIMEOUT_MS = 20_000; // the issuer itself waits for Pi
const REFRESH_TIMEOUT_MS = 4_000; // the issuer repeats a lost answer for ten seconds: two tries must fit
const PENDING_MS = 600_000; // somebody has to find the phone, and scan a code
const PENDING = "pioneer-session:pi-sign-in";

const RENEWABLE = new Set(["session_expired", "session_invalid", "session_missing"]); // missing: the cookie ran out
const OVER = new Set(["refresh_rejected", "refresh_reused", "session_revoked"]);
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

/** The URL, if credentials may go there: https, or http on this machine. */
function secure(text) {
  const url = new URL(text);
  if (url.protocol === "https:" || /^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(url.origin)) return url;
  throw new TypeError("issuer, origins and authorizeUrl must be https, or http on this machine");
}

function read({ Pi, issuer, origins = [], scopes = ["username"], cookie = false, ...rest }) {
  if (cookie && (rest.storage || origins.length > 0)) {
    throw new TypeError("with the option cookie, there is nothing to store and no origin but the issuer");
  }
  if (scopes.includes("payments") && !rest.onIncompletePaymentFound) {
    throw new TypeError("the scope payments needs onIncompletePaymentFound");
  }
  const [home, ...others] = [issuer, ...origins].map((text) => secure(text).origin);
  return { ...rest, Pi, issuer: home, origins: new Set([home, ...others]), scopes, cookie };
}

/** Asks the issuer. A refusal throws, with the issuer's code and words. */
async function call({ issuer, cookie }, method, path, { token, body, timeout = TIMEOUT_MS } = {}) {
  const headers = { ...(token && { authorization: `Bearer ${token}` }), ...(body && { "content-type": "application/json" }) };
  // A cookie beside a bearer token would be two credentials, which the issuer refuses.
  const credentials = cookie ? "include" : "omit";
  const init = { method, headers, body: JSON.stringify(body), credentials, redirect: "error", cache: "no-store" };
  let response, text;
  try {
    response = await fetch(issuer + path, { ...init, signal: AbortSignal.timeout(timeout) });
    text = await response.text();
  } catch {
    throw new SignInError("network");
  }
  let answer;
  try {
    answer = text ? JSON.parse(text) : undefined;
  } catch {
    throw new SignInError("invalid_answer");
  }
  if (response.ok) return answer;
  throw answer?.code ? new SignInError(answer.code, answer.detail) : new SignInError("invalid_answer");
}

/** What is kept of an answer. With the cookie, no script keeps a token. */
function keep({ cookie }, answer) {
  const { sessionToken, refreshToken, expiresIn, user } = answer ?? {};
  if (typeof sessionToken !== "string" || !(expiresIn > 0) || !user) throw new SignInError("invalid_answer");
  // This machine's clock may be wrong, but not by how long it takes for time to pass.
  const expiresAt = Date.now() + expiresIn * 1000;
  const renewsAt = expiresAt - Math.min(MARGIN_MS, expiresIn * 500);
  return { ...(!cookie && { token: sessionToken, refreshToken }), expiresAt, renewsAt, user };
}

async function begin(options, accessToken) {
  if (typeof accessToken !== "string") throw new SignInError("invalid_answer");
  const answer = await call(options, "POST", "/session", { body: { accessToken } });
  const state = keep(options, answer);
  if (options.cookie) {
    await call(options, "GET", "/session").catch((error) => {
      if (error.code !== "session_missing") throw error;
      end({ issuer: options.issuer }, { token: answer.sessionToken }).catch(() => {});
      throw new SignInError("cookie_blocked");
    });
  }
  return state;
}

async function refresh(options, { refreshToken }) {
  const attempt = () => call(options, "POST", "/session/refresh", { body: { refreshToken }, timeout: REFRESH_TIMEOUT_MS });
  const again = (error) => {
    if (error.code === "network") return attempt();
    throw error;
  };
  return keep(options, await attempt().catch(again));
}

const end = (options, { token }) => call(options, "DELETE", "/session", { token });

/** A session to which `accept` gives what the issuer answered. */
function open(options) {
  const { Pi, issuer, origins, cookie, storage } = options;
  const key = `pioneer-session:${issuer}`;
  let state, renewing;

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

  /** Asks Pi. `before` is the session that runs out, if there is one. */
  async function authenticate(before) {
    let settle;
    const settled = new Promise((done) => (settle = done));
    // Only with a session can a payment be settled, and Pi may wait for what is returned here.
    const found = (payment) => void settled.then(() => options.onIncompletePaymentFound?.(payment, session));
    let result;
    try {
      result = await Pi.authenticate(options.scopes, found);
    } catch (cause) {
      throw new SignInError("cancelled", undefined, cause);
    }
    // What the SDK says about the user proves nothing, and stays here.
    const next = await begin(options, result?.accessToken);
    const code = state !== before ? "signed_out" : before && next.user.uid !== before.user.uid ? "user_changed" : undefined;
    if (code) {
      end(options, next).catch(() => {});
      throw new SignInError(code);
    }
    settle();
    return accept(next);
  }

  async function renewOnce() {
    const before = live();
    try {
      const next = await refresh(options, before);
      if (state === before) accept(next);
    } catch (error) {
      const over = OVER.has(error.code);
      let reason = error;
      if (Pi && (over || error.code === "network")) {
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
    const response = await fetch(request, { headers, credentials, redirect: "manual" });
    if (response.type === "opaqueredirect") throw new SignInError("redirected");
    return response;
  }

  const renew = () => (renewing ??= renewOnce().finally(() => (renewing = undefined)));

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
    renew,

    async fetch(input, init) {
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
      const code = response.status === 401 && (await response.clone().json().catch(() => undefined))?.code;
      if (code === "session_revoked" && state === used) {
        const error = new SignInError(code);
        close(error);
        throw error;
      }
      if (!RENEWABLE.has(code)) return response;
      if (state === used) await renew();
      // A stream is spent by now; whoever made it can make another.
      return init?.body instanceof ReadableStream ? response : send(build());
    },

    async signOut() {
      let last = state;
      if (!last) return;
      close();
      try {
        if (Date.now() >= last.expiresAt) last = await refresh(options, last);
        await end(options, last).catch(async (error) => {
          if (!RENEWABLE.has(error.code)) throw error;
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
  return open(read({ ...options, Pi })).authenticate();
}

/** The session that a reload left in `storage` or in the cookie; null when there is none. */
export async function resume(options) {
  const settings = read(options);
  const { accept, key } = open(settings);
  if (settings.cookie) {
    return refresh(settings, {}).then(accept, (error) => {
      if (OVER.has(error.code) || RENEWABLE.has(error.code)) return null;
      throw error;
    });
  }
  try {
    const kept = JSON.parse(settings.storage.getItem(key));
    return typeof kept.token === "string" ? accept(kept) : null;
  } catch {
    return null;
  }
}

/** Leaves the page to sign in with Pi, outside the Pi Browser. Pi comes back to `redirectUri`. */
export function startPiSignIn({ clientId, redirectUri, scopes = ["username"], authorizeUrl = "https://accounts.pinet.com/oauth/authorize" }) {
  const state = crypto.getRandomValues(new Uint32Array(6)).join("-");
  const url = secure(authorizeUrl);
  const request = { response_type: "token", client_id: clientId, redirect_uri: redirectUri, scope: scopes.join(" "), state };
  // Pi documents %20 between scopes, not the plus sign of a form.
  url.search = new URLSearchParams(request).toString().replaceAll("+", "%20");
  try {
    // This tab's alone: an answer that anybody else asked for finds nothing pending.
    sessionStorage.setItem(PENDING, JSON.stringify({ state, at: Date.now() }));
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
    pending = JSON.parse(sessionStorage.getItem(PENDING));
    sessionStorage.removeItem(PENDING); // for one answer, a wrong one included
  } catch {
    // As if there were none.
  }
  if (!pending) throw new SignInError("no_pending_sign_in");
  if (new Set(answer.keys()).size < [...answer].length) throw new SignInError("invalid_answer");
  if (answer.get("state") !== pending.state) throw new SignInError("state_mismatch");
  if (!(Math.abs(Date.now() - pending.at) < PENDING_MS)) throw new SignInError("expired");
  const error = answer.get("error");
  if (error !== null) throw new SignInError(PI_ERRORS.has(error) ? error : "pi_error");
  const settings = read({ ...options, Pi: undefined });
  return open(settings).accept(await begin(settings, answer.get("access_token")));
}
