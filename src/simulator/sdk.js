// A stand-in for Pi's frontend SDK, for development without Pi: a page that loads this in place of
// https://sdk.minepi.com/pi-sdk.js gets the same `window.Pi`, and a dialog that asks whom to sign in as.

(() => {
  const simulator = new URL(document.currentScript.src).origin;
  let initialized = false;

  window.Pi = {
    async init({ version } = {}) {
      if (!version) throw new Error('Pi.init needs a version: Pi.init({ version: "2.0" }).');
      initialized = true;
    },

    // There is never an incomplete payment here, so the second argument is not called.
    async authenticate(scopes = [], _onIncompletePaymentFound) {
      if (!initialized) throw new Error("Call Pi.init before Pi.authenticate.");
      const response = await fetch(`${simulator}/simulator/personas`);
      if (!response.ok) throw new Error("The simulated Pi does not answer.");
      const { token, title } = await consent(await response.json(), scopes);
      // As with Pi's SDK, `user` is only what the browser says: the token alone says who it is.
      return { accessToken: token, user: { uid: "do-not-trust-this", username: title } };
    },

    // Pi Sign-in, for pages outside the Pi Browser: leaves the page, and comes back to redirectUri.
    signIn({ clientId, redirectUri, scopes = ["username"], state }) {
      const request = { response_type: "token", client_id: clientId, redirect_uri: redirectUri, scope: scopes.join(" ") };
      if (state !== undefined) request.state = state;
      location.assign(`${simulator}/oauth/authorize?${new URLSearchParams(request)}`);
    },
  };

  /** Resolves with the chosen persona; rejects when the dialog is cancelled, by its button or by Escape. */
  function consent(personas, scopes) {
    const options = personas.map(({ token, title }) => element("option", { value: token, textContent: title }));
    const select = element("select", { id: "pi-persona", style: CONTROL }, options);
    const title = element("h2", {
      id: "pi-simulator-title",
      textContent: "Simulated Pi sign-in — development only",
      style: "margin: 0 0 1rem; font-size: 1.125rem",
    });
    const asks = `This app asks for: ${scopes.join(", ") || "no scopes"}.`;
    const form = element("form", { method: "dialog", style: "margin: 0" }, [
      title,
      element("p", { textContent: asks, style: "margin: 0 0 1rem" }),
      element("label", { htmlFor: select.id, textContent: "Sign in as" }),
      select,
      element("button", { id: "pi-allow", value: "allow", textContent: "Allow", style: CONTROL }),
      element("button", { id: "pi-cancel", value: "cancel", textContent: "Cancel", style: CONTROL }),
    ]);
    const dialog = element("dialog", { id: "pi-simulator", style: DIALOG }, [form]);
    dialog.setAttribute("aria-labelledby", title.id);
    document.body.append(dialog);
    dialog.showModal();

    return new Promise((resolve, reject) => {
      dialog.addEventListener("close", () => {
        dialog.remove();
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

  function element(name, { style, ...properties }, children = []) {
    const made = Object.assign(document.createElement(name), properties);
    // By the CSSOM, which a page's Content-Security-Policy permits where it forbids style attributes.
    if (style) made.style.cssText = style;
    made.append(...children);
    return made;
  }
})();
