// The app as a user has it: the Worker of this folder, with a simulated Pi.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { start } from "./harness.js";

let app;
before(async () => {
  app = await start();
});
after(() => app?.close());

const signIn = (accessToken) => app.ask("POST", "/session", { body: { accessToken } });

test("a user signs in, is known, signs out, and is unknown afterwards", async () => {
  const { status, sessionToken: token, user } = await signIn("sim-alice");
  assert.equal(status, 200);
  assert.equal(user.username, "alice_pioneer");
  assert.equal((await app.ask("GET", "/me", { token })).status, 200);

  assert.equal((await app.ask("DELETE", "/session", { token })).status, 204);
  assert.equal((await app.ask("GET", "/me", { token })).code, "session_revoked");
});

test("an access token of another app is refused", async () => {
  const { status, code } = await signIn("sim-other-app");
  assert.deepEqual([status, code], [403, "wrong_app"]);
});

// #region payments
test("a user buys a product, and has it", async () => {
  await app.database.prepare("INSERT INTO products (id, name, amount_stroops) VALUES ('coffee', 'A cup of coffee', 31400000)").run();
  const { sessionToken: token } = await signIn("sim-alice");
  const { amount, memo, metadata } = await app.ask("POST", "/orders", { token, body: { productId: "coffee" } });

  // The user's wallet pays what the Worker has approved.
  const wallet = { token: "sim-alice" };
  const { identifier } = await app.askPi("POST", "/payments", { ...wallet, body: { amount: Number(amount), memo, metadata } });
  assert.equal((await app.ask("POST", `/payments/${identifier}/approve`, { token })).state, "approved");
  await app.askPi("POST", `/payments/${identifier}/pay`, wallet);
  const { transaction } = await app.askPi("GET", `/payments/${identifier}`, wallet);
  assert.equal((await app.ask("POST", `/payments/${identifier}/complete`, { token, body: { txid: transaction.txid } })).state, "paid");

  const { purchases } = await app.ask("GET", "/me", { token });
  assert.deepEqual(purchases.map(({ productId }) => productId), ["coffee"]);
});
// #endregion

// #region page
test("the page is served, with the module that it imports", async () => {
  assert.match(await (await fetch(app.issuer)).text(), /Sign in with Pi/);
  assert.equal((await fetch(`${app.issuer}/pioneer-session/browser.mjs`)).status, 200);
});
// #endregion
