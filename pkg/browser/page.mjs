// The one session of a page as a store: its state, and the functions that change it. React, Vue and
// Svelte read it.

/** @import { BrowserSession, PageActions, PageSession, PageSessionOptions, PiWallet, SessionState } from "pioneer-session/browser" */

import { SignInError } from "./errors.mjs";
import { read } from "./options.mjs";
import { json, own } from "./own.mjs";
import { finishPiSignIn, signInWithPi } from "./pi-sign-in.mjs";
import { resume, signIn } from "./sign-in.mjs";

/** @type {Map<string, [text: string, page: PageSession]>} */
const pages = new Map(); // by issuer, so that all components of a page agree

/**
 * Pi's SDK, as the page has it once it is needed.
 *
 * @param {PageSessionOptions["getPi"]} getPi
 * @returns {PiWallet}
 */
function lazy(getPi = () => /** @type {any} */ (globalThis).Pi) {
  const found = async () => {
    const Pi = await getPi();
    if (!Pi || typeof Pi.authenticate !== "function") throw new SignInError("pi_unavailable");
    return Pi;
  };
  return {
    authenticate: async (scopes, payments) => (await found()).authenticate(scopes, payments),
    createPayment: async (payment, callbacks) => (await found()).createPayment(payment, callbacks),
  };
}

/**
 * The session of this page. It begins to look for one immediately. A second call with the same
 * options returns the same store.
 *
 * @param {PageSessionOptions} options
 * @returns {PageSession}
 */
export function pageSession(options) {
  const { getPi, onSignedOut, ...others } = own(options);
  const { issuer } = read(others);
  // Without functions, which are new ones in every call, and without what is in a storage.
  const text = json(own({ ...others, storage: Boolean(others.storage) }));
  const known = pages.get(issuer);
  if (known && known[0] === text) return known[1];
  if (known) throw new TypeError("This page has a pageSession with other options. Call it once, in a file of its own.");
  const page = create(own(others), lazy(getPi), onSignedOut);
  pages.set(issuer, [text, page]);
  return page;
}

/**
 * @param {Omit<PageSessionOptions, "getPi" | "onSignedOut">} given
 * @param {PiWallet} Pi
 * @param {PageSessionOptions["onSignedOut"]} onSignedOut
 * @returns {PageSession}
 */
function create(given, Pi, onSignedOut) {
  /** @type {Set<() => void>} */
  const listeners = new Set();
  /** @type {BrowserSession | undefined} */
  let session;
  /** @type {Promise<void> | undefined} */
  let signingIn;

  const { clientId, redirectUri } = given;
  const hasPiSignIn = clientId !== undefined && redirectUri !== undefined;
  const options = own({
    ...given,
    Pi,
    onSignedOut(/** @type {SignInError | undefined} */ error) {
      leave(error);
      if (onSignedOut) onSignedOut(error);
    },
  });

  /** @type {PageActions} */
  const actions = {
    signIn: () => (signingIn = signingIn || begin().finally(() => (signingIn = undefined))),
    async signOut() {
      // The request is sent before the first await, because the user may leave the page
      // immediately.
      if (!session) await started;
      if (session) await session.signOut().catch(leave);
    },
    fetch: async (input, init) => (await live()).fetch(input, init),
    pay: async (productId, payOptions) => (await live()).pay(Pi, productId, payOptions),
  };

  /** @type {(status: "loading" | "signedOut" | "signingIn", error?: SignInError) => SessionState} */
  const without = (status, error) =>
    Object.freeze(/** @type {SessionState} */ ({ status, session: undefined, user: undefined, error, ...actions }));

  const initial = without("loading");
  let state = initial;

  /**
   * A state is never changed, so React sees from its identity whether there is a new one. Each
   * listener is called by itself: an error in one does not stop the others.
   *
   * @param {SessionState} next
   */
  function set(next) {
    state = next;
    listeners.forEach(queueMicrotask);
  }

  /** @param {unknown} [error] */
  function leave(error) {
    session = undefined;
    const isKnown = error === undefined || error instanceof SignInError;
    set(without("signedOut", isKnown ? error : undefined));
    // A mistake in the program is for the console.
    if (!isKnown) queueMicrotask(() => { throw error; });
  }

  /** @param {BrowserSession | null} found */
  function enter(found) {
    if (!found) return leave();
    session = found;
    /** @param {BrowserSession} current */
    const show = (current) => {
      const { user } = current;
      // A renewal returns an equal user, which is no news.
      if (session !== current || (user && json(user) === json(state.user))) return;
      if (!user) leave();
      else set(Object.freeze({ status: "signedIn", session: current, user, error: undefined, ...actions }));
    };
    found.subscribe(show);
    show(found);
  }

  async function start() {
    // A server has no session: every visitor would share it.
    if (typeof document === "undefined") return;
    try {
      enter((hasPiSignIn && (await finishPiSignIn(options))) || (await resume(options)));
    } catch (error) {
      leave(error);
    }
  }

  async function begin() {
    await started;
    if (session) return;
    set(without("signingIn"));
    try {
      enter(hasPiSignIn ? await signInWithPi(own({ ...options, clientId, redirectUri })) : await signIn(Pi, options));
    } catch (error) {
      leave(error);
    }
  }

  async function live() {
    await started;
    if (!session) throw new SignInError("signed_out");
    return session;
  }

  const started = start();
  return {
    ...actions,
    subscribe(listener) {
      const call = () => void (listeners.has(call) && listener(state));
      listener(state); // first: a listener that throws here is not kept
      listeners.add(call);
      return () => void listeners.delete(call);
    },
    getState: () => state,
    getInitialState: () => initial,
  };
}
