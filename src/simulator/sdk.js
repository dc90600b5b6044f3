// A stand-in for Pi's frontend SDK, for development without Pi: a page that loads this instead of
// https://sdk.minepi.com/pi-sdk.js gets the same `window.Pi`, and dialogs instead of Pi's consent, wallet and ads.

(() => {
  const simulator = new URL(document.currentScript.src).origin;
  let initialized = false;
  // The signed-in user: the token, the scopes, and the callback for an unfinished payment.
  let user;

  window.Pi = {
    async init({ version } = {}) {
      if (!version) throw new Error('Pi.init needs a version: Pi.init({ version: "2.0" }).');
      initialized = true;
    },

    async authenticate(scopes = [], onIncompletePaymentFound) {
      if (!initialized) throw new Error("Call Pi.init before Pi.authenticate.");
      const response = await fetch(`${simulator}/simulator/personas`);
      if (!response.ok) throw new Error("The simulated Pi does not answer.");
      const { token, title } = await consent(await response.json(), scopes);
      user = { token, scopes, onIncompletePaymentFound };
      if (scopes.includes("payments")) {
        // A token that stands for no user has no payments, and the backend rejects it.
        const incomplete = await ask("GET", "/payments/incomplete").catch(() => []);
        for (const payment of incomplete) tell(onIncompletePaymentFound, payment);
      }
      // As with Pi's SDK, `user` is only what the browser says: only the token proves the user's identity.
      return { accessToken: token, user: { uid: "do-not-trust-this", username: title } };
    },

    // Pi Sign-in, for pages outside of the Pi Browser: leaves the page, and returns to redirectUri.
    signIn({ clientId, redirectUri, scopes = ["username"], state }) {
      const request = { response_type: "token", client_id: clientId, redirect_uri: redirectUri, scope: scopes.join(" ") };
      if (state !== undefined) request.state = state;
      location.assign(`${simulator}/oauth/authorize?${new URLSearchParams(request)}`);
    },

    createPayment({ amount, memo, metadata } = {}, callbacks = {}) {
      for (const name of ["onReadyForServerApproval", "onReadyForServerCompletion", "onCancel", "onError"]) {
        if (typeof callbacks[name] !== "function") throw new Error(`Pi.createPayment needs the callback ${name}.`);
      }
      if (!user?.scopes.includes("payments")) {
        throw new Error('Call Pi.authenticate with the scope "payments" before Pi.createPayment.');
      }
      ask("POST", "/payments", { amount, memo, metadata }).then(
        (payment) => wallet(payment, callbacks),
        (error) => {
          if (error.code === "ongoing_payment_found") tell(user.onIncompletePaymentFound, error.payment);
          tell(callbacks.onError, error, error.payment);
        },
      );
    },

    Ads: {
      isAdReady: async (type) => ({ type, ready: true }),
      requestAd: async (type) => ({ type, result: "AD_LOADED" }),
      async showAd(type) {
        if (type === "rewarded" && !user) return { type, result: "USER_UNAUTHENTICATED" };
        const outcome = await advertisement(type);
        if (type !== "rewarded" || !outcome) return { type, result: "AD_CLOSED" };
        try {
          const { adId } = await ask("POST", "/ads", outcome);
          return { type, result: "AD_REWARDED", adId };
        } catch {
          return { type, result: "AD_NETWORK_ERROR" };
        }
      },
    },

    async nativeFeaturesList() {
      return ["inline_media", "request_permission", "ad_network"];
    },
  };

  /** Asks the simulator as the user. A refusal throws, with its code and payment. */
  async function ask(method, path, body) {
    const response = await fetch(`${simulator}/simulator${path}`, {
      method,
      headers: { authorization: `Bearer ${user.token}`, ...(body && { "content-type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const message = answer.error_message ?? `The simulated Pi answered ${response.status}.`;
    throw Object.assign(new Error(message), { code: answer.error, payment: answer.payment });
  }

  /** An amount with all its decimals: as a plain number, the smallest one would show as 1e-7. */
  const decimal = (amount) => amount.toFixed(7).replace(/\.?0+$/, "");

  /** Calls the page back. An error in the callback is the page's own, and stops nothing here. */
  const tell = (callback, ...values) => queueMicrotask(() => callback?.(...values));

  const POLL_MILLISECONDS = 500;
  const REPEAT_MILLISECONDS = 10_000;
  const APPROVAL_MILLISECONDS = 60_000;

  /**
   * Shows a payment until it is completed or cancelled. If the user leaves the page, the payment stays as it
   * is, and the next Pi.authenticate finds it.
   */
  async function wallet(payment, callbacks) {
    // One wallet at a time: this payment has made Pi cancel the earlier one.
    document.getElementById("pi-wallet")?.close();
    const id = payment.identifier;
    const begun = Date.now();
    const status = element("p", { id: "pi-pay-status", style: "margin: 0" });
    status.setAttribute("role", "status");
    const pay = element("button", { id: "pi-pay", type: "button", textContent: "Pay", disabled: true, style: CONTROL });
    const cancel = element("button", { id: "pi-pay-cancel", value: "cancel", textContent: "Cancel", style: CONTROL });
    const dialog = openDialog("pi-wallet", "Simulated Pi wallet — development only", [
      element("p", { id: "pi-pay-amount", textContent: `${decimal(payment.amount)} π (test)`, style: "margin: 0; font-size: 1.5rem" }),
      element("p", { id: "pi-pay-memo", textContent: payment.memo, style: "margin: 0 0 1rem; overflow-wrap: anywhere" }),
      status,
      pay,
      cancel,
    ]);

    let wake;
    const pause = () => new Promise((resolve) => setTimeout((wake = resolve), POLL_MILLISECONDS));
    dialog.addEventListener("close", () => wake?.());
    pay.addEventListener("click", async () => {
      pay.disabled = true;
      // The next read shows a refusal, too.
      await ask("POST", `/payments/${id}/pay`).catch(() => {});
      wake?.();
    });

    // The times of the last calls of the page's callbacks.
    const told = { approval: -Infinity, completion: -Infinity };
    const due = (reason) => {
      if (Date.now() - told[reason] < REPEAT_MILLISECONDS) return false;
      told[reason] = Date.now();
      return true;
    };
    while (dialog.open) {
      payment = await ask("GET", `/payments/${id}`).catch(() => payment);
      const { developer_approved: approved, developer_completed: completed, cancelled, user_cancelled } = payment.status;
      if (!dialog.open && !completed) break;
      if (completed) return dialog.close();
      if (cancelled || user_cancelled) {
        dialog.close();
        if (approved || Date.now() - begun < APPROVAL_MILLISECONDS) return tell(callbacks.onCancel, id);
        return tell(callbacks.onError, new Error("The payment has expired: the app did not approve it in time."), payment);
      }
      if (payment.transaction) {
        status.textContent = "Paid. Waiting for the app to complete the payment.";
        cancel.textContent = "Close";
        if (due("completion")) tell(callbacks.onReadyForServerCompletion, id, payment.transaction.txid);
      } else if (approved) {
        status.textContent = "The app has approved the payment.";
      } else {
        status.textContent = "Waiting for the app to approve the payment.";
        if (due("approval")) tell(callbacks.onReadyForServerApproval, id);
      }
      pay.disabled = !approved || payment.transaction !== null;
      await pause();
    }

    // The user has closed the wallet, which cancels an unpaid payment.
    payment = await ask("POST", `/payments/${id}/cancel`).catch(() => ask("GET", `/payments/${id}`)).catch(() => payment);
    if (payment.status.developer_completed) return;
    if (payment.status.user_cancelled || payment.status.cancelled) return tell(callbacks.onCancel, id);
    tell(callbacks.onError, new Error("The wallet was closed before the payment was completed."), payment);
  }

  /** Shows an ad; resolves with what the ad network will say of it, or with nothing when the ad was closed. */
  function advertisement(type) {
    const outcomes = [
      ["granted", { status: "granted" }],
      ["granted, but known later", { status: "granted", unsaid_for: 2 }],
      ["revoked", { status: "revoked" }],
      ["failed", { status: "failed" }],
      ["never known", { status: null }],
    ];
    const options = outcomes.map(([textContent]) => element("option", { textContent }));
    const select = element("select", { id: "pi-ad-status", style: CONTROL }, options);
    const dialog = openDialog("pi-ad", `Simulated Pi ad (${type}) — development only`, [
      element("label", { htmlFor: select.id, textContent: "Answer of the ad network" }),
      select,
      element("button", { id: "pi-ad-watch", value: "watch", textContent: "Watch to the end", style: CONTROL }),
      element("button", { id: "pi-ad-close", value: "close", textContent: "Close", style: CONTROL }),
    ]);
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => {
        resolve(dialog.returnValue === "watch" ? outcomes[select.selectedIndex][1] : undefined);
      });
    });
  }

  /** Resolves with the chosen persona; rejects when the dialog is cancelled, by its button or by Escape. */
  function consent(personas, scopes) {
    const options = personas.map(({ token, title }) => element("option", { value: token, textContent: title }));
    const select = element("select", { id: "pi-persona", style: CONTROL }, options);
    const asks = `This app asks for: ${scopes.join(", ") || "no scopes"}.`;
    const dialog = openDialog("pi-simulator", "Simulated Pi sign-in — development only", [
      element("p", { textContent: asks, style: "margin: 0 0 1rem" }),
      element("label", { htmlFor: select.id, textContent: "Sign in as" }),
      select,
      element("button", { id: "pi-allow", value: "allow", textContent: "Allow", style: CONTROL }),
      element("button", { id: "pi-cancel", value: "cancel", textContent: "Cancel", style: CONTROL }),
    ]);

    return new Promise((resolve, reject) => {
      dialog.addEventListener("close", () => {
        if (dialog.returnValue === "allow") resolve(personas[select.selectedIndex]);
        else reject(new Error("The sign-in was cancelled."));
      });
    });
  }

  const CONTROL =
    "display: block; box-sizing: border-box; width: 100%; min-height: 2.75rem; margin: 0.5rem 0 0; font: inherit";
  const DIALOG =
    "box-sizing: border-box; width: min(24rem, calc(100vw - 2rem)); padding: 1.25rem; border: 4px dashed #d97706; " +
    "color-scheme: light dark; color: CanvasText; background: Canvas; font: 1rem/1.4 system-ui, sans-serif";

  /** A dialog that its buttons or Escape close and remove. */
  function openDialog(id, title, children) {
    const heading = element("h2", { id: `${id}-title`, textContent: title, style: "margin: 0 0 1rem; font-size: 1.125rem" });
    const form = element("form", { method: "dialog", style: "margin: 0" }, [heading, ...children]);
    const dialog = element("dialog", { id, style: DIALOG }, [form]);
    dialog.setAttribute("aria-labelledby", heading.id);
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
    return dialog;
  }

  function element(name, { style, ...properties }, children = []) {
    const made = Object.assign(document.createElement(name), properties);
    // The CSSOM, because a page's Content-Security-Policy may forbid style attributes but permits it.
    if (style) made.style.cssText = style;
    made.append(...children);
    return made;
  }
})();
