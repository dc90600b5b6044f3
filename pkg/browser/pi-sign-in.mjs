// Pi Sign-in, for users outside the Pi Browser: the page is left for Pi's, and Pi's answer comes
// back in the URL.

/** @import { BrowserSession, PiOptions, PiSdk, PiSignInOptions, SessionOptions } from "pioneer-session/browser" */

import { SignInError } from "./errors.mjs";
import { read, secure } from "./options.mjs";
import { own } from "./own.mjs";
import { random } from "./random.mjs";
import { open } from "./session.mjs";
import { signIn } from "./sign-in.mjs";
import { PREFIX, STORAGES, use } from "./storage.mjs";

const PENDING_MS = 600_000; // people have to find the phone, and scan a code
const PENDING = PREFIX + "pi-sign-in:";
const PI_ERRORS = /^(access_denied|cancelled|expired|server_error)$/;

/**
 * Leaves the page to sign in with Pi, outside the Pi Browser. Pi comes back to `redirectUri`.
 *
 * @param {PiSignInOptions} options
 */
export function startPiSignIn(options) {
  const { clientId, redirectUri, scopes = ["username"], authorizeUrl = "https://accounts.pinet.com/oauth/authorize" } = own(options);
  // The answer may come to another tab. Only this browser knows the state, so nobody else can make
  // an answer.
  const state = `${random()}.${Date.now()}`;
  const url = secure(authorizeUrl);
  const request = { response_type: "token", client_id: clientId, redirect_uri: redirectUri, scope: scopes.join(" "), state };
  // Pi documents %20 between scopes, not the plus sign of a form.
  url.search = new URLSearchParams(own(request)).toString().replace(/\+/g, "%20");
  if (!STORAGES.some((storage) => use(storage, "setItem", PENDING + state, ""))) throw new SignInError("storage_blocked");
  location.assign(url);
}

/** @param {string} state */
const isRecent = (state) => Math.abs(Date.now() - /** @type {any} */ (state.split(".")[1])) < PENDING_MS;

/**
 * Whether this browser began the sign-in with this state. It counts once. Old ones are removed.
 *
 * @param {string} state
 */
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

/** @type {Promise<BrowserSession> | undefined} */
let finished; // the result of the answer that this page took, for a component that is mounted twice

/**
 * Takes Pi's answer out of the page's URL; null if there is none. Call it before anything else.
 *
 * @param {SessionOptions} options
 */
export async function finishPiSignIn(options) {
  const [page, fragment = ""] = location.href.split("#");
  const answer = new URLSearchParams(fragment);
  if (answer.has("access_token") || answer.has("error")) {
    // This comes first: even if anything below fails, no token stays in the address bar or in the
    // history.
    history.replaceState(history.state, "", page);
    const taking = takeAnswer(answer, options);
    finished = taking;
    taking.catch(() => finished === taking && (finished = undefined));
  }
  const session = await finished;
  return session && session.user ? session : null;
}

/**
 * @param {URLSearchParams} answer
 * @param {SessionOptions} options
 */
async function takeAnswer(answer, options) {
  const state = /** @type {string} */ (answer.get("state")); // without a state, none is pending
  if (!isPending(state)) throw new SignInError(state ? "state_mismatch" : "no_pending_sign_in");
  if (new Set(answer.keys()).size < [...answer].length) throw new SignInError("invalid_answer");
  if (!isRecent(state)) throw new SignInError("expired");
  const error = answer.get("error");
  if (error !== null) throw new SignInError(PI_ERRORS.test(error) ? error : "pi_error");
  return open(read(own({ ...options, Pi: undefined }))).enter(answer.get("access_token"));
}

/**
 * Signs in through Pi's SDK where it answers, or else with Pi Sign-in, which leaves the page
 * (null). The user agent does not decide it, because it says nothing about the SDK. Pi's page
 * refuses to open in a frame, so a frame has the SDK only.
 *
 * @param {SessionOptions & PiOptions & PiSignInOptions & { Pi?: PiSdk }} options
 */
export async function signInWithPi(options) {
  const { Pi } = own(options);
  try {
    return await signIn(Pi, options);
  } catch (/** @type {any} */ error) {
    if (error.code !== "pi_unavailable" || window !== window.top) throw error;
    startPiSignIn(options);
    return null;
  }
}
