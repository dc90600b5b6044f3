// A stand-in for Pi's frontend SDK, for development without Pi: a page that loads this instead of
// https://sdk.minepi.com/pi-sdk.js gets the same `window.Pi`, and dialogs instead of Pi's consent,
// wallet and ads.
//
// Its dialogs never look like Pi's: each has a dashed orange border and the word "Simulated".

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
  // Long enough to read two words, and short enough that nobody looks for a button.
  const DONE_MILLISECONDS = 1_200;

  /**
   * Shows a payment until it is completed or cancelled. If the user leaves the page, the payment
   * stays as it is, and the next Pi.authenticate finds it.
   */
  async function wallet(payment, callbacks) {
    // One wallet at a time: this payment has made Pi cancel the earlier one.
    document.getElementById("pi-wallet")?.close();
    const id = payment.identifier;
    const begun = Date.now();
    const status = element("p", { id: "pi-pay-status" });
    status.setAttribute("role", "status");
    const pay = element("button", { id: "pi-pay", type: "button", className: "primary", textContent: "Pay", disabled: true });
    const cancel = element("button", { id: "pi-pay-cancel", value: "cancel", textContent: "Cancel" });
    const dialog = openDialog("pi-wallet", "Simulated Pi wallet", "Pay with test-π?", [
      element("p", { id: "pi-pay-amount" }, [`${decimal(payment.amount)} `, element("small", { textContent: "π (test)" })]),
      element("p", { id: "pi-pay-memo", textContent: payment.memo }),
      status,
      pay,
      cancel,
    ], "pi-pay-amount pi-pay-memo");

    const heading = dialog.querySelector("h2");

    const show = (state, text) => {
      dialog.dataset.state = state;
      // A screen reader reads a status again whenever it is written.
      if (status.textContent !== text) status.textContent = text;
      pay.disabled = state !== "approved";
      // After the payment, there is nothing left to pay and nothing to cancel.
      pay.hidden = !["waiting", "approved"].includes(state);
      cancel.textContent = pay.hidden ? "Close" : "Cancel";
      if (["paid", "done"].includes(state)) heading.textContent = "Paid";
      // The user can press Enter as soon as it works, but a focus of their own choice stays.
      if (state === "approved" && document.activeElement === heading) pay.focus();
    };

    let isPaying = false;
    let wake;
    const pause = (milliseconds) => new Promise((resolve) => setTimeout((wake = resolve), milliseconds));
    dialog.addEventListener("close", () => wake?.());
    pay.addEventListener("click", async () => {
      isPaying = true;
      show("paying", "Sending the payment …");
      cancel.focus();
      // The next read shows a refusal, too.
      await ask("POST", `/payments/${id}/pay`).catch(() => {});
      isPaying = false;
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
      if (completed) {
        show("done", "The app has confirmed the payment.");
        if (dialog.open) await pause(DONE_MILLISECONDS);
        return dialog.close();
      }
      if (!dialog.open) break;
      if (cancelled || user_cancelled) {
        dialog.close();
        if (approved || Date.now() - begun < APPROVAL_MILLISECONDS) return tell(callbacks.onCancel, id);
        return tell(callbacks.onError, new Error("The payment has expired: the app did not approve it in time."), payment);
      }
      if (payment.transaction) {
        show("paid", "Paid. Waiting for the app to complete the payment.");
        if (due("completion")) tell(callbacks.onReadyForServerCompletion, id, payment.transaction.txid);
      } else if (approved) {
        if (!isPaying) show("approved", "The app has approved the payment.");
      } else {
        show("waiting", "Waiting for the app to approve the payment.");
        if (due("approval")) tell(callbacks.onReadyForServerApproval, id);
      }
      await pause(POLL_MILLISECONDS);
    }

    // The user has closed the wallet, which cancels an unpaid payment.
    payment = await ask("POST", `/payments/${id}/cancel`).catch(() => ask("GET", `/payments/${id}`)).catch(() => payment);
    if (payment.status.developer_completed) return;
    if (payment.status.user_cancelled || payment.status.cancelled) return tell(callbacks.onCancel, id);
    tell(callbacks.onError, new Error("The wallet was closed before the payment was completed."), payment);
  }

  /**
   * Shows an ad; resolves with the later answer of the ad network, or with nothing when the ad was
   * closed.
   */
  function advertisement(type) {
    const outcomes = [
      ["granted", { status: "granted" }],
      ["granted, but known later", { status: "granted", unsaid_for: 2 }],
      ["revoked", { status: "revoked" }],
      ["failed", { status: "failed" }],
      ["never known", { status: null }],
    ];
    const options = outcomes.map(([textContent]) => element("option", { textContent }));
    const select = element("select", { id: "pi-ad-status" }, options);
    const dialog = openDialog("pi-ad", "Simulated Pi ad", `An ad (${type})`, [
      element("label", { htmlFor: select.id, textContent: "Answer of the ad network" }),
      select,
      element("button", { id: "pi-ad-watch", value: "watch", className: "primary", textContent: "Watch to the end" }),
      element("button", { id: "pi-ad-close", value: "close", textContent: "Close" }),
    ]);
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => {
        resolve(dialog.returnValue === "watch" ? outcomes[select.selectedIndex][1] : undefined);
      });
    });
  }

  /** Resolves with the chosen persona; rejects when the dialog is cancelled, by its button or by Escape. */
  function consent(personas, scopes) {
    const choice = accounts(personas, "pi-persona");
    const asked = Object.assign(scopeList(location.host, scopes), { id: "pi-scopes" });
    const dialog = openDialog("pi-simulator", "Simulated Pi sign-in", "Sign in to this app?", [
      asked,
      choice.fieldset,
      element("button", { id: "pi-allow", value: "allow", className: "primary", textContent: "Allow" }),
      element("button", { id: "pi-cancel", value: "cancel", textContent: "Cancel" }),
    ], asked.id);

    return new Promise((resolve, reject) => {
      dialog.addEventListener("close", () => {
        if (dialog.returnValue === "allow") resolve(choice.chosen());
        else reject(new Error("The sign-in was cancelled."));
      });
    });
  }

  const SCOPES = {
    username: "your username",
    payments: "to ask you for payments",
    wallet_address: "the address of your wallet",
  };

  /** The sentence and the list of what the app asks for. */
  function scopeList(app, scopes) {
    const items = scopes.map((scope) => element("li", {}, [element("code", { textContent: scope }), SCOPES[scope] ? `: ${SCOPES[scope]}` : ""]));
    const asks = scopes.length > 0 ? " asks for:" : " asks for no scopes.";
    return element("div", { className: "scopes" }, [element("p", {}, [element("b", { textContent: app }), asks]), element("ul", {}, items)]);
  }

  // As many as a person can take in with one look. The list has the rest.
  const PRESETS = 2;
  // The simulator knows the users sim-crowd-0, sim-crowd-1 and so on, up to this number.
  const CROWD = 10_000;

  /** The choice of a persona: a card for each of the usual ones, and a list of all of them. */
  function accounts(personas, id) {
    const fresh = { token: `sim-crowd-${Math.floor(Math.random() * CROWD)}`, title: "A new Pioneer" };
    const all = [...personas.slice(0, PRESETS), fresh, ...personas.slice(PRESETS)];
    const options = all.map(({ token, title }) => element("option", { value: token, textContent: title }));
    const select = element("select", { id }, options);
    const cards = all.slice(0, PRESETS + 1).map(({ token, title }) => {
      const radio = element("input", { type: "radio", name: id, value: token });
      radio.addEventListener("change", () => (select.value = token));
      return { radio, card: element("label", { className: "account" }, [radio, title]) };
    });
    const mark = () => cards.forEach(({ radio }) => (radio.checked = radio.value === select.value));
    select.addEventListener("change", mark);
    mark();
    const fieldset = element("fieldset", {}, [
      element("legend", { textContent: "Sign in as" }),
      ...cards.map(({ card }) => card),
      element("label", { htmlFor: id, className: "more", textContent: "More accounts, and failures of Pi" }),
      select,
    ]);
    return { fieldset, chosen: () => all[select.selectedIndex] };
  }

  const STYLE = `
    .pi-simulated {
      --pi-text: light-dark(#1d2330, #e8eaf0); --pi-faint: light-dark(#596174, #a3abbd); --pi-line: light-dark(#c9ced9, #475068);
      --pi-card: light-dark(#ffffff, #1d222e); --pi-accent: light-dark(#2d4a8a, #9db8f5); --pi-on-accent: light-dark(#ffffff, #131a2b);
      --pi-mark: #d97706;
      color-scheme: light dark; box-sizing: border-box; padding: 0 1.25rem 1.25rem; border: 3px dashed var(--pi-mark); border-radius: 1rem;
      background: var(--pi-card); color: var(--pi-text); font: 1rem/1.45 system-ui, sans-serif; text-align: left;
    }
    dialog.pi-simulated { width: min(24rem, calc(100vw - 1.5rem)); max-height: calc(100dvh - 1.5rem); margin: auto; overflow: auto; box-shadow: 0 1.5rem 4rem rgb(0 0 0 / 0.35); }
    dialog.pi-simulated::backdrop { background: rgb(12 16 26 / 0.6); }
    .pi-simulated * { box-sizing: border-box; }
    .pi-simulated [hidden] { display: none; }
    .pi-simulated .mark {
      margin: 0 -1.25rem 1.25rem; padding: 0.5rem 1.25rem; background: light-dark(#fef3e2, #3a2a12); color: light-dark(#8a4b00, #ffc978);
      font-size: 0.8125rem; font-weight: 600;
    }
    .pi-simulated :is(h1, h2) { margin: 0 0 0.75rem; color: inherit; font-size: 1.25rem; line-height: 1.25; font-weight: 650; }
    .pi-simulated .mark:is(h1) { margin: 0 -1.25rem 1.25rem; font-size: 0.8125rem; font-weight: 600; line-height: 1.45; }
    .pi-simulated p { margin: 0 0 0.5rem; color: inherit; overflow-wrap: anywhere; }
    .pi-simulated ul { margin: 0 0 1rem; padding: 0 0 0 1.25rem; list-style: disc; color: var(--pi-faint); font-size: 0.875rem; }
    .pi-simulated li { margin: 0; padding: 0; border: 0; }
    .pi-simulated code { font: 0.8125rem ui-monospace, monospace; color: inherit; background: none; padding: 0; }
    .pi-simulated fieldset { margin: 0 0 1.25rem; padding: 0; border: 0; min-width: 0; }
    .pi-simulated legend { margin: 0 0 0.5rem; padding: 0; font-weight: 600; }
    .pi-simulated label { display: block; margin: 0; font-size: 0.875rem; color: var(--pi-faint); font-weight: 400; }
    .pi-simulated .account {
      display: flex; align-items: center; gap: 0.75rem; min-height: 2.75rem; margin: 0 0 0.5rem; padding: 0 0.875rem; border: 1px solid var(--pi-line);
      border-radius: 0.625rem; color: var(--pi-text); font-size: 1rem; cursor: pointer;
    }
    .pi-simulated .account:has(:checked) { border-color: var(--pi-accent); box-shadow: inset 0 0 0 1px var(--pi-accent); }
    .pi-simulated input { flex: none; width: 1.125rem; height: 1.125rem; min-height: 0; margin: 0; accent-color: var(--pi-accent); }
    .pi-simulated .more { margin-top: 0.75rem; }
    .pi-simulated :is(button, select) {
      display: block; width: 100%; min-height: 2.75rem; margin: 0.5rem 0 0; padding: 0 0.875rem; border: 1px solid var(--pi-line);
      border-radius: 0.625rem; background: var(--pi-card); color: var(--pi-text); font: inherit; font-weight: 400; cursor: pointer;
    }
    .pi-simulated button.primary { border-color: var(--pi-accent); background: var(--pi-accent); color: var(--pi-on-accent); font-weight: 600; }
    .pi-simulated button:hover:enabled { filter: brightness(0.93); }
    .pi-simulated button:disabled { opacity: 0.5; cursor: default; }
    .pi-simulated :focus-visible { outline: 3px solid var(--pi-accent); outline-offset: 2px; }
    .pi-simulated h2:focus-visible { outline: none; }
    .pi-simulated #pi-pay-amount { margin: 0; font-size: 2rem; font-weight: 650; line-height: 1.2; }
    .pi-simulated small { color: var(--pi-faint); font-size: 1rem; font-weight: 400; }
    .pi-simulated #pi-pay-memo { margin-bottom: 1.25rem; color: var(--pi-faint); }
    .pi-simulated #pi-pay-status { display: flex; align-items: center; gap: 0.625rem; min-height: 2.5rem; margin: 0; font-size: 0.9375rem; }
    .pi-simulated #pi-pay-status::before { content: ""; flex: none; width: 1rem; height: 1rem; border: 2px solid var(--pi-line); border-top-color: var(--pi-accent); border-radius: 50%; }
    .pi-simulated:is([data-state="approved"], [data-state="done"]) #pi-pay-status::before { content: "✓"; width: auto; height: auto; border: 0; color: light-dark(#17743a, #6fd394); font-weight: 700; }
    .pi-simulated[data-state="done"] #pi-pay-status { color: light-dark(#17743a, #6fd394); font-weight: 650; }
    @media (prefers-reduced-motion: no-preference) {
      .pi-simulated #pi-pay-status::before { animation: pi-turn 0.9s linear infinite; }
      .pi-simulated:is([data-state="approved"], [data-state="done"]) #pi-pay-status::before { animation: none; }
      @keyframes pi-turn { to { rotate: 1turn; } }
    }
  `;

  let isStyled = false;
  /**
   * Adds the style of the dialogs to the page, as an object: a page's Content-Security-Policy may
   * forbid style elements and attributes, but it permits this.
   */
  function addStyle() {
    if (isStyled) return;
    isStyled = true;
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  }

  /**
   * A dialog that its buttons or Escape close and remove. The browser keeps the focus inside.
   * `described` has the ids of the elements that a screen reader reads first.
   */
  function openDialog(id, name, question, children, described = "") {
    addStyle();
    const mark = element("p", { id: `${id}-mark`, className: "mark", textContent: `${name}: development only` });
    const heading = element("h2", { id: `${id}-title`, textContent: question, tabIndex: -1 });
    const form = element("form", { method: "dialog" }, [mark, heading, ...children]);
    const dialog = element("dialog", { id, className: "pi-simulated" }, [form]);
    dialog.setAttribute("aria-labelledby", `${mark.id} ${heading.id}`);
    if (described) dialog.setAttribute("aria-describedby", described);
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
    // The focus begins here, so that Enter allows and pays nothing by accident.
    heading.focus();
    return dialog;
  }

  function element(name, properties, children = []) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  // The page of Pi Sign-in asks with the same choice.
  window.Pi.simulation = { accounts, addStyle, element, scopeList };
})();
