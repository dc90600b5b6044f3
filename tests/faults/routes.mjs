// The routes of the Worker that call D1, Pi or a limiter: how a test prepares each one, calls it,
// and calls it again.

import { calculateThumbprint, generateKeyPair } from "dpop";
import { AUDIENCE, CREDENTIAL, OPERATOR } from "./testbed.mjs";

const backend = { token: CREDENTIAL };
const operator = { token: OPERATOR };
/** A read that the Worker answers from its memory for five seconds: each time, its clock is ten
 * seconds further ahead, but never by the age at which a job is abandoned. */
function anew(path) {
  let asked = 0;
  return (user, _, faults) => user.ask("GET", path, { faults: { ...faults, aheadMs: ((asked += 1) % 29) * 10_000 } });
}

const simply = (method, path, options) => (user, _, faults) => user.ask(method, path, { ...options, faults });
const signedIn = async (user) => void (await user.signIn());
const ofUser = (method, rest, body) => (user, _, faults) => user.ask(method, `/admin/users/${user.uid}${rest}`, { ...operator, body, faults });
const PAYMENT = (state) => JSON.stringify([state, 31_400_000, 0, 0]);

/** `prepare` returns the input of `ask`. `isMissing` means that the answer is 404. `between` lists
 * the states in which a failed request can leave a payment; without it, a failed request changes
 * nothing. */
export const routes = {
  "POST /session": { prepare: async () => {}, ask: (user, _, faults) => user.signIn(faults) },
  "POST /session, again": { prepare: signedIn, ask: (user, _, faults) => user.signIn(faults) },
  "POST /session/refresh": {
    prepare: async (user) => { await user.signIn(); return user.refreshToken; },
    ask: (user, refreshToken, faults) => user.ask("POST", "/session/refresh", { token: null, body: { refreshToken }, faults }),
  },
  "POST /session/refresh, with a key": {
    prepare: async (user) => {
      const key = await generateKeyPair("ES256");
      await user.signIn(undefined, { dpopJkt: await calculateThumbprint(key.publicKey) });
      return { key, token: user.refreshToken };
    },
    ask: (user, { key, token }, faults) => user.prove(key, token, faults),
  },
  "POST /session, named": {
    prepare: async (user) => ({ "idempotency-key": user.uid }),
    ask: (user, headers, faults) => user.signIn(faults, { headers }),
  },
  "GET /session": { prepare: signedIn, ask: simply("GET", "/session") },
  "DELETE /session": { prepare: signedIn, ask: simply("DELETE", "/session") },
  "GET /sessions": { prepare: signedIn, ask: simply("GET", "/sessions") },
  "DELETE /sessions": { prepare: async (user) => { await user.signIn(); await user.signIn(); }, ask: simply("DELETE", "/sessions") },
  "DELETE /sessions/{sid}": {
    prepare: async (user) => { await user.signIn(); const other = user.sid; await user.signIn(); return other; },
    ask: (user, other, faults) => user.ask("DELETE", `/sessions/${other}`, { faults }),
  },
  "DELETE /sessions/{sid} of nobody": { isMissing: true, prepare: signedIn, ask: simply("DELETE", "/sessions/nobodys") },
  "GET /me": { prepare: signedIn, ask: simply("GET", "/me") },
  "GET /me/data": { prepare: signedIn, ask: simply("GET", "/me/data") },
  "PUT /me/data": { prepare: signedIn, ask: simply("PUT", "/me/data", { body: '{"level":7}' }) },
  "DELETE /me": {
    prepare: async (user) => { await user.signIn(); const { id, txid } = await user.signed(); await user.complete(id, txid); },
    ask: simply("DELETE", "/me"),
  },
  "GET /products": { prepare: signedIn, ask: anew("/products") },
  "POST /orders": { prepare: signedIn, ask: (user, _, faults) => user.order(faults) },
  "POST /orders, with a key": {
    prepare: signedIn,
    ask: (user, _, faults) => user.order(faults, { "idempotency-key": `key-${user.token.length}` }),
  },
  "GET /orders/{orderId}": {
    prepare: async (user) => { await user.signIn(); return (await user.order()).json.orderId; },
    ask: (user, id, faults) => user.ask("GET", `/orders/${id}`, { faults }),
  },
  "POST /payments/{paymentId}/approve": {
    prepare: async (user) => { await user.signIn(); return user.begin(); },
    ask: (user, id, faults) => user.step(id, "approve", faults),
    between: [PAYMENT("recorded")],
  },
  "POST /payments/{paymentId}/complete": {
    prepare: async (user) => { await user.signIn(); return user.signed(); },
    ask: (user, { id, txid }, faults) => user.complete(id, txid, faults),
    between: [PAYMENT("approved")],
    isPaid: true,
  },
  "POST /payments/{paymentId}/cancel": {
    prepare: async (user) => { await user.signIn(); return user.approved(); },
    ask: (user, { id }, faults) => user.step(id, "cancel", faults),
    between: [PAYMENT("approved")],
  },
  "POST /payments/{paymentId}/recover, paid": {
    prepare: async (user) => { await user.signIn(); return user.signed(); },
    ask: (user, { id }, faults) => user.step(id, "recover", faults),
    between: [PAYMENT("approved")],
    isPaid: true,
  },
  "POST /payments/{paymentId}/recover, not paid": {
    prepare: async (user) => { await user.signIn(); return user.approved(); },
    ask: (user, { id }, faults) => user.step(id, "recover", faults),
    between: [PAYMENT("approved")],
  },
  "GET /payments": { prepare: async (user) => { await user.signIn(); await user.approved(); }, ask: simply("GET", "/payments") },
  "POST /ads/{adId}/claim": {
    prepare: async (user) => { await user.signIn(); return user.watchAd(); },
    ask: (user, id, faults) => user.ask("POST", `/ads/${id}/claim`, { faults }),
  },
  "GET /revocations": { prepare: signedIn, ask: anew("/revocations") },
  "POST /introspect": {
    prepare: signedIn,
    ask: (user, _, faults) => user.ask("POST", "/introspect", { ...backend, body: `token=${user.token}`, headers: { "content-type": "application/x-www-form-urlencoded" }, faults }),
  },
  "GET /users/{uid}": { prepare: signedIn, ask: (user, _, faults) => user.ask("GET", `/users/${user.uid}`, { ...backend, faults }) },
  "GET /users/{uid}/payments": { prepare: signedIn, ask: (user, _, faults) => user.ask("GET", `/users/${user.uid}/payments`, { ...backend, faults }) },
  "POST /users/{uid}/revoke": { prepare: signedIn, ask: (user, _, faults) => user.ask("POST", `/users/${user.uid}/revoke`, { ...backend, faults }) },
  "POST /admin/session": { prepare: signedIn, ask: simply("POST", "/admin/session", operator) },
  "GET /admin/overview": { prepare: signedIn, ask: simply("GET", "/admin/overview", operator) },
  "GET /admin/users": { prepare: signedIn, ask: simply("GET", "/admin/users", operator) },
  "GET /admin/users, by name": { prepare: signedIn, ask: simply("GET", "/admin/users?q=crowd%20", operator) },
  "GET /admin/users, by uid": { prepare: signedIn, ask: (user, _, faults) => user.ask("GET", `/admin/users?q=${user.uid}`, { ...operator, faults }) },
  "GET /admin/users/{uid}": { prepare: signedIn, ask: (user, _, faults) => user.ask("GET", `/admin/users/${user.uid}`, { ...operator, faults }) },
  "GET /admin/users/{uid}/sessions": { prepare: signedIn, ask: (user, _, faults) => user.ask("GET", `/admin/users/${user.uid}/sessions`, { ...operator, faults }) },
  "GET /admin/users/{uid}/payments": { prepare: signedIn, ask: (user, _, faults) => user.ask("GET", `/admin/users/${user.uid}/payments`, { ...operator, faults }) },
  "GET /admin/payments": { prepare: signedIn, ask: simply("GET", "/admin/payments", operator) },
  "GET /admin/payments/{paymentId}": {
    prepare: async (user) => { await user.signIn(); return user.approved(); },
    ask: (user, { id }, faults) => user.ask("GET", `/admin/payments/${id}`, { ...operator, faults }),
  },
  "GET /admin/products": { prepare: signedIn, ask: simply("GET", "/admin/products", operator) },
  "GET /admin/settings": { prepare: signedIn, ask: simply("GET", "/admin/settings", operator) },
  "GET /admin/audit": { prepare: signedIn, ask: simply("GET", "/admin/audit", operator) },
  "DELETE /admin/sessions/{sid}": { prepare: signedIn, ask: (user, _, faults) => user.ask("DELETE", `/admin/sessions/${user.sid}`, { ...operator, faults }) },
  "POST /admin/users/{uid}/revoke": { prepare: signedIn, ask: ofUser("POST", "/revoke") },
  "POST /admin/users/{uid}/block": { prepare: signedIn, ask: ofUser("POST", "/block", { reason: "a" }) },
  "POST /admin/users/{uid}/unblock": { prepare: signedIn, ask: ofUser("POST", "/unblock") },
  "GET /admin/users/{uid}/data": { prepare: signedIn, ask: ofUser("GET", "/data") },
  "GET /admin/users/{uid}/export": { prepare: signedIn, ask: ofUser("GET", "/export") },
  "DELETE /admin/users/{uid}": {
    prepare: async (user) => { await user.signIn(); const { id, txid } = await user.signed(); await user.complete(id, txid); },
    ask: (user, _, faults) => user.ask("DELETE", `/admin/users/${user.uid}?confirm=${user.uid}`, { ...operator, faults }),
  },
  "POST /admin/payments/{paymentId}/settle": {
    prepare: async (user) => { await user.signIn(); return user.signed(); },
    ask: (user, { id }, faults) => user.ask("POST", `/admin/payments/${id}/settle`, { ...operator, faults }),
    between: [PAYMENT("approved")],
    isPaid: true,
  },
  "POST /admin/payments/{paymentId}/cancel": {
    prepare: async (user) => { await user.signIn(); return user.approved(); },
    ask: (user, { id }, faults) => user.ask("POST", `/admin/payments/${id}/cancel`, { ...operator, faults }),
    between: [PAYMENT("approved")],
  },
  "POST /admin/products": {
    prepare: signedIn,
    ask: (user, _, faults) => user.ask("POST", "/admin/products", { ...operator, body: { id: user.uid, name: "Tea", amount: "1" }, faults }),
  },
  // The price stays, because others order coffee at the same time.
  "PATCH /admin/products/{productId}": { prepare: signedIn, ask: simply("PATCH", "/admin/products/coffee", { ...operator, body: { amount: "3.14" } }) },
};

/** These routes revoke everybody's sessions, so no other test may run at the same time. */
export const exclusiveRoutes = {
  "POST /revoke-all": { prepare: signedIn, ask: simply("POST", "/revoke-all", backend), endsAll: true },
  "POST /admin/revoke-all": { prepare: signedIn, ask: simply("POST", "/admin/revoke-all", { ...operator, body: { confirm: AUDIENCE } }), endsAll: true },
};

/** The state, with another payment in it. */
export const withPayment = (state, payment) => JSON.stringify({ ...JSON.parse(state), payments: [payment] });
