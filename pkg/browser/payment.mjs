// Payments of one session: orders, Pi's wallet, and payments that were left unfinished.

/** @import { BrowserSession, PaidPayment, PayOptions, PiWallet, SignInErrorCode } from "pioneer-session/browser" */
/** @import { Settings, Tell } from "./options.mjs" */
/** @import { Asking } from "./pi-sdk.mjs" */

/**
 * The parts of an order that Pi's wallet gets.
 *
 * @typedef {{ amount: string, memo: string, metadata: object }} Order
 */

/**
 * Pi's SDK calls these functions.
 *
 * @typedef {object} WalletCallbacks
 * @property {(paymentId: string) => Promise<void>} onReadyForServerApproval
 * @property {(paymentId: string, txid: string) => Promise<void>} onReadyForServerCompletion
 * @property {(paymentId: string) => Promise<void>} onCancel
 * @property {(cause: unknown) => Promise<void>} onError
 */

import { answerTo, isPassing, lasting } from "./answer.mjs";
import { SignInError } from "./errors.mjs";
import { exclusively } from "./lock.mjs";
import { json, own } from "./own.mjs";
import { askPi } from "./pi-sdk.mjs";
import { random } from "./random.mjs";

/** @type {(paymentId: string, step: string) => string} */
const route = (paymentId, step) => `/payments/${encodeURIComponent(paymentId)}/${step}`;

/**
 * `live` throws if the session has ended. `tell` calls one of the page's functions.
 *
 * @param {Settings} settings
 * @param {string} key
 * @param {() => BrowserSession} sessionOf
 * @param {() => void} live
 * @param {Tell} tell
 */
export function paymentsOf({ Pi: signedInWith, issuer, scopes, piTimeout, onIncompletePaymentFound }, key, sessionOf, live, tell) {
  const running = new Set(); // the orders that are being paid on this page
  let mayPay = false; // whether this page has asked Pi for the scope `payments`
  let recovery = Promise.resolve();
  let recovered = 0;

  /** @type {(orderId: string) => string} */
  const lockOf = (orderId) => `${key}:order:${orderId}`;

  /**
   * Asks the issuer, with the session. The system may suspend the page as soon as the wallet opens.
   *
   * @param {string} path
   * @param {object} [body]
   * @returns {Promise<any>}
   */
  function ask(path, body) {
    const headers = body && own({ "content-type": "application/json", "idempotency-key": random() });
    const init = own({ method: "POST", headers, body: body && json(own(body)) });
    return lasting((keepalive) => answerTo((signal) => sessionOf().fetch(issuer + path, own({ ...init, keepalive, signal }))));
  }

  /**
   * Settles the payments that Pi reports, now or later: only a session can do that.
   *
   * @param {Pick<Asking, "scopes" | "payments" | "takers">} asking
   */
  function takeOver({ scopes: asked, payments, takers }) {
    mayPay = asked.includes("payments");
    takers.add(unfinished);
    payments.forEach(unfinished);
  }

  /**
   * Settles a payment that was left, or leaves it to the page.
   *
   * @param {any} payment
   */
  function unfinished(payment) {
    const { orderId } = own(own(payment).metadata);
    if (running.has(orderId)) return; // it was not left: its wallet is open
    if (onIncompletePaymentFound) onIncompletePaymentFound(payment, sessionOf());
    // Its wallet may be open in another tab, which has the lock then.
    else recovery = recovery.then(() => exclusively(lockOf(orderId), () => recover(payment.identifier), true));
  }

  /** @param {string} paymentId */
  async function recover(paymentId) {
    try {
      const payment = await ask(route(paymentId, "recover"));
      if (payment.state === "paid") recovered += 1;
      tell("onRecovered", payment);
    } catch {
      // Pi finds it again, at the next sign-in or payment.
    }
  }

  /**
   * Lets the user pay an order in Pi's wallet, until the issuer says that it is paid. Pi asks for a
   * step every ten seconds until it is done. Each step runs once at a time, and one that only
   * failed for now waits for Pi's next call. A payment that is paid after this has given up counts
   * as recovered.
   *
   * @param {PiWallet} Pi
   * @param {Order} order
   * @param {NonNullable<PayOptions["onState"]>} say
   * @returns {Promise<PaidPayment>}
   */
  function purchase(Pi, { amount, memo, metadata }, say) {
    return new Promise((resolve, reject) => {
      /** @type {Set<string>} */
      const taken = new Set();
      /** @type {boolean | undefined} */
      let isOver;
      /** @type {boolean | undefined} */
      let isRefused;
      /** @type {boolean | undefined} */
      let isPaid;
      /** @type {[paymentId: string, body: { txid: string }] | undefined} */
      let paid;
      /** @type {SignInError | undefined} */
      let delay;
      const isFirst = () => !isOver && (isOver = true);
      /** @type {(code: SignInErrorCode, cause?: unknown) => void} */
      const fail = (code, cause) => isFirst() && reject(new SignInError(code, "", cause));
      // The wallet asks for approval before anyone can pay, so silence means that it did not open.
      const silence = setTimeout(fail, piTimeout, "pi_unavailable");
      /** @type {(paymentId: string) => Promise<void>} */
      const cancel = (paymentId) => ask(route(paymentId, "cancel")).catch(() => {}); // the issuer finds out itself, later

      /**
       * @param {string} step
       * @param {string} paymentId
       * @param {{ txid: string }} [body]
       */
      async function take(step, paymentId, body) {
        clearTimeout(silence);
        if (taken.has(step) || isRefused) return;
        taken.add(step);
        try {
          // A wallet that opens too late is closed. A payment that was made anyway is completed.
          if (isOver && !body) return await cancel(paymentId);
          const payment = await ask(route(paymentId, step), body);
          if (isPaid) return;
          isPaid = payment.state === "paid";
          if (!isOver) say(payment.state);
          if (isPaid) isFirst() ? resolve(payment) : tell("onRecovered", payment);
        } catch (/** @type {any} */ error) {
          if (isPassing(error)) {
            taken.delete(step);
            if (!isOver) say("delayed", (delay = error));
          } else if (isFirst()) {
            isRefused = true;
            // It closes the wallet, so that nobody pays a refused payment.
            if (!body) await cancel(paymentId);
            reject(error);
          }
        }
      }

      /** @type {WalletCallbacks} */
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
          // Pi does not ask again, but a paid payment is worth a last try, also while another is
          // under way.
          taken.delete("complete");
          if (!isOver && paid) await take("complete", ...paid);
          fail("payment_failed", cause);
        },
      };
      say("ordered");
      // A number keeps all seven decimals, and its JSON is the text that the issuer reads.
      const payment = { amount: Number(amount), memo, metadata };
      new Promise((done) => done(Pi.createPayment(payment, callbacks))).catch(callbacks.onError);
    });
  }

  /**
   * @param {PiWallet} Pi
   * @param {string} productId
   * @param {PayOptions} [payOptions]
   */
  async function pay(Pi, productId, payOptions) {
    const { onState } = own(payOptions);
    live();
    const before = recovered;
    /** @type {NonNullable<PayOptions["onState"]>} */
    const say = (...news) => queueMicrotask(() => onState && onState(...news));
    // The order comes first, so that a product that is not for sale asks nobody for consent.
    const order = await ask("/orders", { productId });
    // After a reload, Pi has forgotten the scopes of its last call.
    if (!mayPay) takeOver(await askPi(signedInWith || Pi, [...new Set([...scopes, "payments"])], piTimeout));
    await recovery;
    // The recovered payment may be for this very product: the user must not pay twice.
    if (recovered > before) throw new SignInError("payment_recovered");
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
  }

  return { pay, takeOver };
}
