// A complete frontend with a session: it signs in, shows the user, sells products, calls a backend,
// keeps the user's note, revokes sessions, and signs out.

import { calls } from "./calls.js";
import { curl } from "./curl.js";
import { copyButton, element } from "./element.js";
import { createJournal } from "./journal.js";
import { neighbour, sdk, simulator } from "./pi.js";
import { createTimeline } from "./timeline.js";

const $ = (id) => document.getElementById(id);

const backend = neighbour(2);
const journal = createJournal([location.origin, backend], createTimeline($("steps"), $("journal-empty")));

// With ?cookie, the session is in the Worker's cookie. Without it, it is in this browser's storage,
// so that a reload and other tabs stay signed in. Any script on the page can read it there; by
// default, it is kept in memory only.
const cookie = new URLSearchParams(location.search).has("cookie");
const options = {
  issuer: location.origin,
  onRecovered: (payment) => current.then(() => session && run(() => showRecovered(payment))),
  onSignedOut: forget,
  // A function, because a browser that blocks storage throws when its name is read.
  ...(cookie ? { cookie } : { origins: [backend], storage: () => localStorage }),
};

let session = null;
// The version of the note that this page shows. A save replaces only this version.
let etag = null;
// The names of the products, by id.
const products = new Map();

/** Makes one of the calls, as a step of the journal. */
function make(call, subject, ...values) {
  journal.begin(call, subject);
  return call.run(...values);
}

/** The Worker's answer. A refusal throws the Worker's own text. */
async function answer(response) {
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw Object.assign(new Error(problem.detail ?? `The service answered ${response.status}.`), { status: response.status });
}

/** Pi's SDK, once it has loaded. The module recognizes an open call by its object, so there is one. */
let pi;
const ready = async () => (pi ??= journal.observed(await sdk));

/** Goes on after Pi Sign-in, or after a reload. */
async function begin() {
  session = await make(calls.open, "", options);
  if (session) await show();
}

async function signInWithSdk() {
  const Pi = await ready();
  session = await make(calls.signIn, "", Pi, options);
  await show();
  $("user").focus({ preventScroll: true });
  say("You are signed in.");
}

async function switchUser() {
  const Pi = await ready();
  await make(calls.signOut, "", session);
  render();
  session = await make(calls.signIn, "", Pi, options);
  await show();
  say("You are signed in.");
}

async function signOut() {
  await make(calls.signOut, "", session);
  $("sign-in").focus({ preventScroll: true });
  say("You are signed out.");
}

async function signOutEverywhere() {
  await answer(await make(calls.signOutEverywhere, "", session));
  await session?.signOut();
  say("You are signed out.");
}

async function renew() {
  await make(calls.renew, "", session);
  await showSessions(await answer(await session.fetch("/sessions")));
  say("The session was renewed.");
}

async function endSession(sid) {
  await answer(await make(calls.endSession, "", session, sid));
  await showSessions(await answer(await session.fetch("/sessions")));
  say("The other session was signed out.");
}

async function save() {
  const response = await make(calls.save, "", session, $("note").value, etag);
  // 412: another tab or device saved in between. 428: the same, when there was nothing before.
  if (response.status === 412 || response.status === 428) {
    await showNote(await answer(await session.fetch("/me/data")));
    throw new Error("Your note was changed elsewhere, so your text was not saved. The newer text is shown now.");
  }
  etag = (await answer(response)).headers.get("etag");
  say("Saved.");
}

async function callBackend() {
  $("backend").replaceChildren();
  let response;
  try {
    response = await make(calls.backend, "", session, backend);
  } catch (error) {
    if (!session) throw error;
    const text = `No backend answers at ${backend}. Start the demo with all its parts: npm start.`;
    $("backend").replaceChildren(element("p", { className: "empty", textContent: text }));
    throw new Error("Your backend does not run.");
  }
  const { headers } = await answer(response.clone());
  const requests = Number(headers.get("requests-to-worker"));
  const proof = requests === 0
    ? `Verified offline in ${headers.get("verified-in-ms")} ms: no request to the Worker.`
    : "The backend has fetched the Worker's keys first. Call it again: it keeps them.";
  $("backend").replaceChildren(
    element("p", { className: "verified", textContent: proof }),
    element("pre", { tabIndex: 0, textContent: JSON.stringify(await response.json(), null, 2) }),
  );
}

const PAYING = {
  ordered: "Waiting for the service to approve the payment …",
  approved: "Approved. Pay in the wallet.",
  completing: "Paid. Waiting for the service to confirm it …",
  delayed: "Not confirmed yet. Trying again in a few seconds …",
};

async function buy(id) {
  const Pi = await ready();
  let payment;
  try {
    payment = await make(calls.buy, nameOf(id), session, Pi, id, (state) => say(PAYING[state] ?? ""));
  } finally {
    // Also after a failure, because an earlier payment may have been completed.
    if (session) await showPurchases(await answer(await session.fetch("/me")));
  }
  say(`You have bought ${nameOf(id)} for ${price(payment.amount)}.`);
}

/** A payment that was left unfinished, for example by a closed tab, is now paid or cancelled. */
async function showRecovered({ state, amount }) {
  await showPurchases(await answer(await session.fetch("/me")));
  const end = state === "paid" ? "has just been completed: see your purchases" : "was never paid and has been cancelled";
  say(`An earlier payment of ${price(amount)} ${end}.`);
}

const nameOf = (id) => products.get(id) ?? id;

// The Worker sends amounts as exact text, such as "0.0000001". As a number, this one would show as
// 1e-7.
const price = (amount) => `${amount} test-π`;

/** Fills a list, or shows a sentence if it is empty. */
function fill(list, items, sentence) {
  $(list).replaceChildren(...items);
  $(`${list}-empty`).textContent = items.length === 0 ? sentence : "";
}

/** Shows the user, with the note, the products, the purchases and the sessions that the Worker has. */
async function show() {
  const load = async (path) => answer(await session.fetch(path));
  const [me, data, offers, sessions] = await Promise.all(["/me", "/me/data", "/products", "/sessions"].map(load));
  const { user } = await me.clone().json();
  $("user").textContent = user.username ?? "A Pioneer without a username";
  $("initial").textContent = (user.username ?? "?").charAt(0).toUpperCase();
  $("uid").textContent = `uid ${user.uid}`;
  await showNote(data);
  await showProducts(offers);
  await showPurchases(me);
  await showSessions(sessions);
}

async function showNote(response) {
  etag = response.headers.get("etag");
  $("note").value = (await response.json()).note ?? "";
}

async function showProducts(response) {
  const offers = (await response.json()).products;
  products.clear();
  for (const { id, name } of offers) products.set(id, name);
  fill(
    "products",
    offers.map(({ id, name, amount }) =>
      element("li", {},
        element("span", { className: "name", textContent: name }),
        element("span", { className: "price", textContent: price(amount) }),
        element("button", { className: "primary", on: { click: () => run(() => buy(id)) } }, "Buy", element("span", { className: "unseen", textContent: ` ${name} for ${price(amount)}` })),
      ),
    ),
    "There are no products yet. Add one: npx pioneer-session products add ID NAME AMOUNT",
  );
}

async function showPurchases(response) {
  const { purchases } = await response.json();
  fill(
    "purchases",
    purchases.map(({ productId, amount, paidAt }) =>
      element("li", {},
        element("span", { className: "name", textContent: nameOf(productId) }),
        element("span", { className: "unseen", textContent: ", " }),
        element("span", { className: "price", textContent: price(amount) }),
        element("time", { textContent: new Date(paidAt).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }), dateTime: paidAt }),
      ),
    ),
    "You have not bought anything yet.",
  );
}

/** The program's name, if the text has one. A user agent itself names four of them. */
function programOf(userAgent) {
  const [, name] = userAgent?.match(/(Firefox|Edg|Chrome|Version)\//) ?? [];
  return { Edg: "Edge", Version: "Safari" }[name] ?? name ?? userAgent?.slice(0, 30) ?? "An unknown program";
}

async function showSessions(response) {
  const { sessions } = await response.json();
  $("sessions").replaceChildren(
    ...sessions.map(({ sid, current, createdAt, userAgent }) => {
      const since = new Date(createdAt).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
      const item = element("li", {},
        element("span", { className: "name", title: userAgent ?? "", textContent: current ? `${programOf(userAgent)} (this browser)` : programOf(userAgent) }),
        element("time", { textContent: `since ${since}`, dateTime: createdAt }),
      );
      if (!current) {
        const button = element("button", { textContent: "Sign out there", on: { click: () => run(() => endSession(sid)) } });
        button.setAttribute("aria-label", `Sign out there, since ${since}`);
        item.append(button);
      }
      return item;
    }),
  );
}

/** The token's claims, for display. A backend verifies the signature before it trusts any of them. */
function claimsOf(jwt) {
  const base64 = jwt.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** The session has ended: by `signOut`, here or in another tab, or by itself. */
function forget(error) {
  session = etag = null;
  for (const id of ["user", "uid", "initial", "products", "purchases", "sessions", "backend"]) $(id).replaceChildren();
  $("note").value = "";
  // An action that is under way shows the end itself. Before that, a click on the new button would
  // be lost.
  if (busy) return;
  say(error ? error.message : "You are signed out.", Boolean(error));
  render();
}

function render() {
  $("signed-in").hidden = !session;
  $("signed-out").hidden = Boolean(session);
  $("expires").textContent = session?.expiresAt.toLocaleTimeString() ?? "";
  $("renews").textContent = session?.renewsAt.toLocaleTimeString() ?? "";
  $("claims-part").hidden = $("copies").hidden = cookie;
  $("claims").textContent = session?.token ? JSON.stringify(claimsOf(session.token), null, 2) : "";
}

/** How long a message stays. A failure stays until the next action, or until it is closed. */
const MESSAGE_MILLISECONDS = 8_000;
let fading;

function say(text, isError = false) {
  clearTimeout(fading);
  $("status").textContent = text;
  $("status").hidden = text === "";
  $("dismiss").hidden = text === "";
  $("toast").classList.toggle("error", isError);
  if (text && !isError) fading = setTimeout(() => say(""), MESSAGE_MILLISECONDS);
}

let busy = false;
let current = Promise.resolve();

/** Runs one action at a time, and shows every failure in the status line. */
function run(action) {
  if (!busy) current = perform(action);
  return current;
}

async function perform(action) {
  busy = true;
  say("");
  try {
    await action();
  } catch (error) {
    // An app shows the message only. This page is for developers, so it adds the hint.
    say([error.message, error.hint].filter(Boolean).join(" "), true);
  } finally {
    busy = false;
    journal.end();
    render();
  }
}

const ACTIONS = {
  "sign-in": signInWithSdk,
  "pi-sign-in": () => make(calls.signInOutside, "", `${simulator}/oauth/authorize`),
  "switch": switchUser,
  "sign-out": signOut,
  "sign-out-everywhere": signOutEverywhere,
  "call-backend": callBackend,
  "renew": renew,
  "save": save,
};
for (const [id, action] of Object.entries(ACTIONS)) $(id).addEventListener("click", () => run(action));
$("dismiss").addEventListener("click", () => say(""));

// Pi's page refuses to open in a frame, where only the SDK works.
$("pi-sign-in").hidden = $("pi-sign-in-hint").hidden = window !== window.top;

$("backend-address").textContent = backend;
$("call-backend").hidden = cookie;
$("backend-cookie").hidden = !cookie;

const authorized = (url) => curl({ method: "GET", url, headers: new Headers({ authorization: `Bearer ${session?.token}` }), body: "" });
$("copies").append(
  copyButton("Copy token", () => session?.token ?? "", "Copy the session token"),
  copyButton("Copy as curl", () => authorized(`${backend}/profile`), "Copy a call of your backend as curl"),
);

await run(begin);
