// Asks the issuer to begin, renew and end sessions.

/** @import { Settings } from "./options.mjs" */
/** @import { State } from "./state.mjs" */

/**
 * @typedef {object} Call
 * @property {object} [body]
 * @property {string} [token]
 * @property {Record<string, string>} [headers]
 * @property {boolean} [keepalive]
 */

/**
 * A state that can be renewed. With the cookie, the name of its session is enough.
 *
 * @typedef {Pick<State, "chain"> & Partial<State>} Renewable
 */

import { BAD_PROOF, MAX_TRIES, answerTo, lasting, persist } from "./answer.mjs";
import { SignInError, UNKNOWN } from "./errors.mjs";
import { KEY_MS, keyOf } from "./key.mjs";
import { json, own } from "./own.mjs";
import { proofOf } from "./proof.mjs";
import { random } from "./random.mjs";
import { stateOf } from "./state.mjs";
import { LOCAL, use } from "./storage.mjs";
import { within } from "./wait.mjs";

const REFRESH = "/session/refresh";

/**
 * The calls of one issuer. `now` returns the issuer's time, and `key` names what is in storage.
 *
 * @param {Settings} settings
 * @param {string} key
 * @param {() => number} now
 */
export function issuerOf({ issuer, cookie, storage }, key, now) {
  /**
   * Asks the issuer, with no session but the given one.
   *
   * @param {string} method
   * @param {string} path
   * @param {Call} [given]
   */
  function call(method, path, given) {
    const { body, token, headers, keepalive } = own(given);
    const all = own({ ...headers, ...(token && { authorization: `Bearer ${token}` }), ...(body && { "content-type": "application/json" }) });
    // A cookie beside a bearer token would be two credentials, which the issuer refuses.
    const credentials = cookie && !token ? "include" : "omit";
    /** @type {RequestInit} */
    const init = { method, headers: all, body: body && json(own(body)), credentials, redirect: "error", cache: "no-store", keepalive };
    return answerTo((signal) => fetch(issuer + path, own({ ...init, signal })));
  }

  /**
   * Revokes a session at the issuer, also while the user leaves the page.
   *
   * @param {string | undefined} token
   */
  const end = (token) => lasting((keepalive) => call("DELETE", "/session", { token, keepalive }));

  /**
   * The same, and its failure does not matter.
   *
   * @param {{ token?: string }} state
   */
  const drop = ({ token }) => void end(token).catch(() => {});

  /** @param {boolean} [isNew] */
  const boundKey = (isNew) => keyOf(issuer, cookie || storage, isNew);

  /**
   * Begins a session, with Pi's access token.
   *
   * @param {unknown} accessToken
   */
  async function begin(accessToken) {
    if (typeof accessToken !== "string") throw new SignInError("invalid_answer");
    const bound = await boundKey(true).catch(() => undefined);
    const jkt = bound && bound.jkt;
    const name = random(); // of the sign-in: if its answer is lost, the issuer returns the same session again
    const answer = await persist(1, () =>
      call("POST", "/session", { body: { accessToken, dpopJkt: jkt }, headers: { "idempotency-key": name } }),
    );
    // All tabs have one cookie, so there is one session for them.
    const state = stateOf(answer, own({ chain: cookie ? "cookie" : name, jkt }), cookie);
    if (cookie) {
      await call("GET", "/session").catch((error) => {
        if (error.code !== "session_missing") throw error;
        drop({ token: answer.sessionToken });
        throw new SignInError("cookie_blocked");
      });
    }
    return state;
  }

  /**
   * Renews a session. Only a refusal by the issuer, or a lost key, ends it.
   *
   * @param {Renewable} before
   */
  async function refresh(before) {
    const { refreshToken } = before;
    let { jkt } = before;
    // Without a key, this name lets the issuer repeat an answer that was lost. All tabs have one
    // cookie, and so one name.
    const slot = `${key}:renewal`;
    const isNamed = cookie && !jkt;
    const name = before.renewal || (isNamed && use(LOCAL, "getItem", slot)) || random();
    if (isNamed) use(LOCAL, "setItem", slot, name);

    /**
     * @param {number} repeats
     * @param {string} [nonce] the issuer's
     * @returns {Promise<any>}
     */
    async function attempt(repeats, nonce) {
      /** @type {Record<string, string>} */
      let headers = { "idempotency-key": name };
      if (jkt) {
        try {
          const bound = await boundKey();
          if (!bound || bound.jkt !== jkt) throw new SignInError("key_lost");
          headers = { dpop: await within(KEY_MS, UNKNOWN, () => proofOf(bound, issuer + REFRESH, now(), nonce)) };
        } catch (cause) {
          throw cause instanceof SignInError ? cause : new SignInError(UNKNOWN, "", cause);
        }
      }
      return call("POST", REFRESH, { body: { refreshToken }, headers }).catch((error) => {
        // The clock is wrong, so the issuer's nonce is signed instead. Or the proof came twice:
        // Chromium and Firefox repeat a POST by themselves when a kept connection breaks.
        if (!(repeats > 0 && jkt && (error.nonce || error.code === BAD_PROOF))) throw error;
        // With the cookie, nothing says whether the sign-in named the key.
        if (cookie && repeats === 1) jkt = undefined;
        return attempt(repeats - 1, error.nonce || nonce);
      });
    }

    try {
      const next = stateOf(await persist(MAX_TRIES, () => attempt(3)), own({ ...before, jkt }), cookie);
      if (isNamed) use(LOCAL, "removeItem", slot);
      return next;
    } catch (/** @type {any} */ error) {
      // Without the key and with an expired token, there is nothing left of the session. Without
      // `until`, the comparison is false.
      const isLost = error.code === BAD_PROOF || (error.code === UNKNOWN && now() >= /** @type {number} */ (before.until));
      throw isLost ? new SignInError("key_lost", "", error) : error;
    }
  }

  return { begin, refresh, end, drop, boundKey };
}
