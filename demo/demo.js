// A complete frontend with a session: it signs in, shows the user, sells products, keeps the user's
// data, revokes sessions, and signs out.

import { finishPiSignIn, resume, signIn, startPiSignIn } from "pioneer-session/browser";

const $ = (id) => document.getElementById(id);

// Here the SDK comes from the simulated Pi on the next port. A real app writes, in its HTML,
// <script src="https://sdk.minepi.com/pi-sdk.js"></script>, and passes `Pi` itself to `signIn`.
const simulator = `${location.protocol}//${location.hostname}:${Number(location.port) + 1}`;
const sdk = new Promise((resolve, reject) => {
  const script = document.createElement("script");
  script.src = `${simulator}/sdk.js`;
  script.onload = resolve;
  script.onerror = () => reject(new Error("The sign-in script could not be loaded. Check that the simulated Pi is running."));
  document.head.append(script);
});
sdk.catch(() => {}); // Shown when the user signs in.

// With ?cookie, the session is in the Worker's cookie. Without it, it is in this browser's storage,
// so that a reload and other tabs stay signed in. Any script on the page can read it there; by
// default, it is kept in memory only.
const cookie = new URLSearchParams(location.search).has("cookie");
const options = {
  issuer: location.origin,
  scopes: ["username", "payments"],
  onRecovered: (payment) => current.then(() => session && run(() => showRecovered(payment))),
  onSignedOut: forget,
  // A function, because a browser that blocks storage throws when its name is read.
  ...(cookie ? { cookie } : { storage: () => localStorage }),
};

let session = null;
// The version of the data that this page shows. A save replaces only this version.
let etag = null;
// The names of the products, by id.
const products = new Map();

/** Calls the Worker. A refusal throws the Worker's own text. */
async function api(method, path, body, headers = {}) {
  if (body) headers["content-type"] = "application/json";
  const response = await session.fetch(path, { method, headers, body: body && JSON.stringify(body) });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw Object.assign(new Error(problem.detail ?? `The service answered ${response.status}.`), {
    status: response.status,
  });
}

/** Goes on after Pi Sign-in, or after a reload. */
async function begin() {
  session = (await finishPiSignIn(options)) ?? (await resume(options));
  if (session) await show();
}

/** Pi's SDK, once it is ready. */
async function ready() {
  await sdk;
  await Pi.init({ version: "2.0", sandbox: true });
  return Pi;
}

async function signInWithSdk() {
  session = await signIn(await ready(), options);
  await show();
  say("You are signed in.");
}

function signInOutside() {
  startPiSignIn({
    clientId: "simulated-app",
    redirectUri: location.href.split("#")[0],
    authorizeUrl: `${simulator}/oauth/authorize`,
  });
}

async function signOut() {
  await session?.signOut();
  say("You are signed out.");
}

async function signOutEverywhere() {
  await api("DELETE", "/sessions");
  await signOut();
}

async function renew() {
  await session.renew();
  await show();
  say("The session was renewed.");
}

async function save() {
  try {
    const match = etag ? { "if-match": etag } : {};
    const response = await api("PUT", "/me/data", { progress: $("progress").value }, match);
    etag = response.headers.get("etag");
    say("Saved.");
  } catch (error) {
    // 412: another tab or device saved in between. 428: the same, when there was nothing before.
    if (error.status !== 412 && error.status !== 428) throw error;
    await load();
    throw new Error("Your progress was changed elsewhere, so your text was not saved. The newer text is shown now.");
  }
}

async function load() {
  const response = await api("GET", "/me/data");
  etag = response.headers.get("etag");
  $("progress").value = (await response.json()).progress ?? "";
}

const PAYING = {
  ordered: "Waiting for the service to approve the payment …",
  approved: "Approved. Pay in the wallet.",
  completing: "Paid. Waiting for the service to confirm it …",
  delayed: "Not confirmed yet. Trying again in a few seconds …",
};

async function buy(id) {
  let payment;
  try {
    payment = await session.pay(await ready(), id, { onState: (state) => say(PAYING[state] ?? "") });
  } finally {
    // Also after a failure, because an earlier payment may have been completed.
    if (session) await showPurchases();
  }
  say(`You have bought ${nameOf(id)} for ${price(payment.amount)}.`);
}

/** A payment that was left unfinished, for example by a closed tab, is now paid or cancelled. */
async function showRecovered({ state, amount }) {
  await showPurchases();
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

async function showProducts() {
  const answer = await (await api("GET", "/products")).json();
  products.clear();
  for (const { id, name } of answer.products) products.set(id, name);
  fill(
    "products",
    answer.products.map(({ id, name, amount }) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.textContent = `Buy ${name} for ${price(amount)}`;
      button.addEventListener("click", () => run(() => buy(id)));
      item.append(button);
      return item;
    }),
    "There are no products yet. Add one: npx pioneer-session products add ID NAME AMOUNT",
  );
}

async function showPurchases() {
  const { purchases } = await (await api("GET", "/me")).json();
  fill(
    "purchases",
    purchases.map(({ productId, amount, paidAt }) => {
      const item = document.createElement("li");
      item.textContent = `${nameOf(productId)}, ${price(amount)}, ${new Date(paidAt).toLocaleString()}`;
      return item;
    }),
    "You have not bought anything yet.",
  );
}

/** Shows the user, with the data, the purchases and the sessions that the Worker has. */
async function show() {
  const { user } = await (await api("GET", "/me")).json();
  await load();
  await showProducts();
  await showPurchases();
  $("user").textContent = `${user.username ?? "A Pioneer without a username"} (uid ${user.uid})`;
  await showSessions();
}

async function showSessions() {
  const { sessions } = await (await api("GET", "/sessions")).json();
  $("sessions").replaceChildren(
    ...sessions.map(({ sid, current, createdAt, userAgent }) => {
      const item = document.createElement("li");
      const since = new Date(createdAt).toLocaleString();
      item.append(`${current ? "This browser" : "Another browser"}, since ${since}: ${userAgent ?? "unknown"}`);
      if (!current) {
        const button = document.createElement("button");
        button.textContent = "Sign out there";
        button.className = "quiet";
        button.setAttribute("aria-label", `Sign out there, since ${since}`);
        button.addEventListener("click", () => run(() => endSession(sid)));
        item.append(button);
      }
      return item;
    }),
  );
}

async function endSession(sid) {
  await api("DELETE", `/sessions/${encodeURIComponent(sid)}`);
  await showSessions();
  say("The other session was signed out.");
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
  for (const id of ["user", "products", "purchases", "sessions"]) $(id).replaceChildren();
  $("progress").value = "";
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
  $("claims").hidden = cookie;
  $("claims").textContent = session?.token ? JSON.stringify(claimsOf(session.token), null, 2) : "";
}

function say(text, isError = false) {
  $("status").textContent = text;
  $("status").hidden = text === "";
  $("status").classList.toggle("error", isError);
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
    render();
  }
}

$("sign-in").addEventListener("click", () => run(signInWithSdk));
// Pi's page refuses to open in a frame, where only the SDK works.
$("pi-sign-in").hidden = window !== window.top;
$("pi-sign-in").addEventListener("click", () => run(signInOutside));
$("renew").addEventListener("click", () => run(renew));
$("sign-out").addEventListener("click", () => run(signOut));
$("sign-out-everywhere").addEventListener("click", () => run(signOutEverywhere));
$("save").addEventListener("click", () => run(save));

await run(begin);
