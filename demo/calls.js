// The calls of pioneer-session on this page. The page shows the text of each function beside the
// requests that it has caused, so a reader sees the code that has run.

import { finishPiSignIn, resume, signIn, startPiSignIn } from "pioneer-session/browser";

/** The pages of the documentation are below this address. */
export const DOCS = "https://pioneer-session.github.io/pioneer-session/";

/**
 * A call: its title in the time line, the page that explains it, a sentence about the part that no
 * request of the browser shows, and its code.
 *
 * @typedef {{ title: string, docs: string, note: string, run: (...args: any[]) => Promise<any> }} Call
 */

/** @type {Record<string, Call>} */
export const calls = {
  open: {
    title: "Open the page",
    docs: "browser#stay-signed-in",
    note: "Finishes Pi Sign-in if the address has its answer. Otherwise the session goes on that the last visit has left.",
    async run(options) {
      const session = (await finishPiSignIn(options)) ?? (await resume(options));
      return session;
    },
  },
  signIn: {
    title: "Sign in",
    docs: "browser#sign-in",
    note: "The browser sends Pi's access token. The Worker checks it with Pi, and answers with a session.",
    async run(Pi, options) {
      // options: the issuer, the origins of backends, and where the session is kept
      await Pi.init({ version: "2.0", sandbox: true });
      const session = await signIn(Pi, { ...options, scopes: ["username", "payments"] });
      return session;
    },
  },
  signInOutside: {
    title: "Sign in outside the Pi Browser",
    docs: "browser#sign-in-outside-the-pi-browser",
    note: "The browser leaves for Pi's page, and comes back with an access token in the address.",
    async run(authorizeUrl) {
      const redirectUri = location.href.split("#")[0];
      startPiSignIn({ clientId: "simulated-app", redirectUri, authorizeUrl });
    },
  },
  backend: {
    title: "Call my backend",
    docs: "frameworks#anything-with-a-request",
    note: "The backend has the Worker's public keys. It verifies the token by itself, without a request.",
    async run(session, backend) {
      const response = await session.fetch(`${backend}/profile`);
      return response;
    },
  },
  buy: {
    title: "Buy a product",
    docs: "payments#sell-on-your-page",
    note: "The Worker sets the price, and approves only this user's payment for this order over this amount.",
    async run(session, Pi, productId, onState) {
      await Pi.init({ version: "2.0", sandbox: true });
      const payment = await session.pay(Pi, productId, { onState });
      return payment;
    },
  },
  save: {
    title: "Save the note",
    docs: "http#routes",
    note: "if-match names the version that this page has read, so no tab overwrites the text of another.",
    async run(session, note, etag) {
      const response = await session.fetch("/me/data", {
        method: "PUT",
        headers: { "content-type": "application/json", ...(etag && { "if-match": etag }) },
        body: JSON.stringify({ note }),
      });
      return response;
    },
  },
  renew: {
    title: "Renew the session",
    docs: "browser#stay-signed-in",
    note: "session.fetch does it by itself when it is time. All tabs share the new token.",
    async run(session) {
      await session.renew();
    },
  },
  endSession: {
    title: "Sign out another browser",
    docs: "verify#revoked-sessions",
    note: "The Worker refuses that session immediately. Backends refuse it once they have read the feed of revoked sessions.",
    async run(session, sid) {
      const response = await session.fetch(`/sessions/${encodeURIComponent(sid)}`, { method: "DELETE" });
      return response;
    },
  },
  signOut: {
    title: "Sign out",
    docs: "verify#revoked-sessions",
    note: "It revokes the session, in all tabs of this browser.",
    async run(session) {
      await session.signOut();
    },
  },
  signOutEverywhere: {
    title: "Sign out everywhere",
    docs: "verify#revoked-sessions",
    note: "It revokes all sessions of the user, in all browsers.",
    async run(session) {
      const response = await session.fetch("/sessions", { method: "DELETE" });
      return response;
    },
  },
};

/** The backend's side of `backend`. A test compares these lines with backend.mjs. */
export const BACKEND_CODE = `async function profile(request) {
  try {
    const { uid, username } = await sessionFrom(request, await verifier());
    return Response.json({ uid, username });
  } catch (error) {
    return refusal(error); // 401, or 503 while there are no keys
  }
}`;

/** The lines of a function's body, without its indentation and without a last \`return name\`. */
export function codeOf(run) {
  const lines = run.toString().split("\n").slice(1, -1);
  const depth = Math.min(...lines.filter((line) => line.trim()).map((line) => line.search(/\S/)));
  const text = lines.map((line) => line.slice(depth)).join("\n");
  return text.replace(/\nreturn \w+;$/, "");
}
