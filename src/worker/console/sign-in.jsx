// The locked page: asks an operator for the credential, and says why it was locked.

import { useState } from "preact/hooks";
import { signIn } from "./api.js";
import { Problem } from "./parts.jsx";

export function SignIn({ reason, onSignedIn }) {
  const [{ error, isBusy }, setState] = useState(/** @type {{ error?: Error, isBusy?: boolean }} */ ({}));
  const submit = async (event) => {
    event.preventDefault();
    const credential = /** @type {string} */ (new FormData(event.currentTarget).get("credential")).trim();
    if (isBusy || credential === "") return;
    setState({ isBusy: true });
    try {
      onSignedIn(await signIn(credential));
    } catch (error) {
      setState({ error });
    }
  };
  return (
    <main class="locked">
      <form onSubmit={submit}>
        <h1>Console</h1>
        <p>{reason ?? "For the people who operate this app."}</p>
        {/* A password manager files the credential under it. */}
        <input type="text" name="username" autocomplete="username" value={`Console of ${location.host}`} readOnly hidden />
        <label>
          <span>Your credential</span>
          <input name="credential" type="password" autocomplete="current-password" required autofocus spellcheck={false} />
        </label>
        {error && <Problem error={error} />}
        <button class="primary" disabled={isBusy}>
          {isBusy ? "Signing in …" : "Sign in"}
        </button>
        <details>
          <summary>I have no credential</summary>
          <p>Somebody who can deploy the Worker makes one with this command. It prints the credential once.</p>
          <code>npx pioneer-session operators add NAME</code>
        </details>
      </form>
      <p class="note">The page keeps the sign-in in this tab only, for an hour at most, and locks after 30 minutes without use. An independent project, not affiliated with Pi Network.</p>
    </main>
  );
}
