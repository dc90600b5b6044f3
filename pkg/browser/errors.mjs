// The errors of this module: a stable code, a text for the person who uses the app, and a hint for
// its developer.

/** @import { SignInErrorCode } from "pioneer-session/browser" */

import { own } from "./own.mjs";

/** A section for each code. It is below `homepage` in package.json, which a test compares. */
const HELP = "https://pioneer-session.github.io/pioneer-session/errors#";

/** The code while IndexedDB or WebCrypto fails, perhaps only for now. */
export const UNKNOWN = "storage_blocked";

// A text for the person who uses the app, then a bar, then one for its developer. AGAIN stands for
// an empty first text. The Worker's own detail is for developers, so its codes have texts here too:
// "please try again" would be wrong for most payments. A test compares them with docs/errors.md.
const AGAIN = "That did not work. Please try again.";
const SIGN_IN = "You are signed out. Please sign in again.|";
const STRANGER = "|This browser did not begin this sign-in.";
const CHECKED = "Your payment is being checked. Please do not pay again.";
const FREE = " You were not charged.";
/** @type {Record<string, string>} */
const TEXTS = {
  access_denied: "You did not allow the sign-in.",
  access_token_rejected: "Pi could not confirm your sign-in. Please sign in again.",
  cancelled: "Sign-in was cancelled. Please try again.",
  cookie_blocked: "Your browser blocks cookies here.|Sign in without the option cookie.",
  invalid_answer: "|Check the option issuer.",
  invalid_dpop_proof: SIGN_IN,
  key_lost: `${SIGN_IN}IndexedDB was cleared or blocked.`,
  network: "No connection. Please try again.|Check ALLOWED_ORIGINS, SESSION_COOKIE and connect-src.",
  no_pending_sign_in: STRANGER,
  order_already_paid: "This order is already paid. Please check your purchases.",
  order_expired: `This offer has expired.${FREE} Please try again.`,
  origin_not_listed: "|List it in origins, or use plain fetch.",
  payment_cancelled: `The payment was cancelled.${FREE}`,
  payment_failed: "Pi could not finish the payment. If you have paid, your purchase will appear soon.",
  payment_has_transaction: CHECKED,
  payment_mismatch: `The payment did not match your order.${FREE}`,
  payment_not_found: `The payment could not be found.${FREE}`,
  payment_not_yours: "This payment could not be found in your account.",
  payment_recovered: "An earlier payment has just been completed, so you were not charged again. Please check your purchases.",
  pi_failed: "Pi could not sign you in. Please try again.",
  pi_refused: "Pi did not accept the payment. Please try again later.",
  pi_unavailable: "Pi does not answer. Please open this page in the Pi Browser.|Load Pi's SDK and await Pi.init, or use Pi Sign-in.",
  product_not_found: "This product is not available.",
  rate_limited: "Too many attempts. Please try again in a minute.",
  redirected: "|Request the final URL.",
  refresh_rejected: SIGN_IN,
  refresh_reused: SIGN_IN,
  request_timeout: "The connection is too slow. Please try again.",
  session_expired: SIGN_IN,
  session_invalid: SIGN_IN,
  session_missing: "Please sign in.",
  session_revoked: SIGN_IN,
  signed_out: SIGN_IN,
  state_mismatch: STRANGER,
  storage_blocked: "Your browser blocks storage here. Please open this page in its own tab.",
  txid_mismatch: CHECKED,
  upstream_invalid: "Pi has a problem at the moment. Please try again later.",
  upstream_timeout: "Pi did not answer in time. Please try again.",
  upstream_unavailable: "Pi could not be reached. Please try again in a moment.",
  user_changed: `${SIGN_IN}Another user has signed in.`,
  user_blocked: "Your account is blocked. Please contact us.",
  wrong_app: "Please open this app in the Pi Browser and sign in again.",
};

/** A sign-in, a session or a payment failed. The error never contains a token. */
export class SignInError extends Error {
  /**
   * @param {SignInErrorCode} code
   * @param {string} [message]
   * @param {unknown} [cause]
   * @param {string} [hint]
   */
  constructor(code, message, cause, hint) {
    const texts = (own(TEXTS)[code] || "").split("|");
    super(message || texts[0] || AGAIN, /** @type {ErrorOptions | undefined} */ (cause && { cause }));
    /** @type {"SignInError"} */
    this.name = "SignInError";
    this.code = code;
    this.hint = hint || texts[1] || "";
    this.help = HELP + code;
  }
}
