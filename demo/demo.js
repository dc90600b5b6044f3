// A frontend with a session, whole: sign in, show who it is, keep the user's data, sign out.

const $ = (id) => document.getElementById(id);

// Here the SDK comes from the simulated Pi on the next port. A real app writes, in its HTML,
// <script src="https://sdk.minepi.com/pi-sdk.js"></script>, and calls `Pi` as below.
const sdk = new Promise((resolve, reject) => {
  const script = document.createElement("script");
  script.src = `${location.protocol}//${location.hostname}:${Number(location.port) + 1}/sdk.js`;
  script.onload = resolve;
  script.onerror = () => reject(new Error("The sign-in script could not be loaded. Does the simulated Pi run?"));
  document.head.append(script);
});
sdk.catch(() => {}); // Told when somebody signs in.

// The session token, kept in this tab so that a reload stays signed in. Any script on the page can read what
// is stored here, so nothing long-lived is: this token runs out in minutes, and Pi's access token, which can
// begin new sessions, is never stored.
let token = sessionStorage.getItem("session");
// Which version of the data this page shows: what a save may replace.
let etag = null;

/** Calls the Worker. A refusal throws, in the Worker's own words. */
async function api(method, path, body, headers = {}) {
  if (token) headers.authorization = `Bearer ${token}`;
  if (body) headers["content-type"] = "application/json";
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401) forget();
  throw Object.assign(new Error(problem.detail ?? `The service answered ${response.status}.`), {
    status: response.status,
  });
}

async function signIn() {
  await sdk;
  await Pi.init({ version: "2.0", sandbox: true });
  // The second function is for payments that were left unfinished; this page takes none.
  const { accessToken } = await Pi.authenticate(["username"], () => {});
  say("Signing in…");
  // Only the access token is sent: what the SDK says about the user is not proof of anything.
  const session = await (await api("POST", "/session", { accessToken })).json();
  token = session.sessionToken;
  sessionStorage.setItem("session", token);
  await show();
  say("You are signed in.");
}

async function signOut() {
  await api("DELETE", "/session");
  forget();
  say("You are signed out.");
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
    throw new Error("The progress was changed elsewhere. Here is the newer one; yours was not saved.");
  }
}

async function load() {
  const response = await api("GET", "/me/data");
  etag = response.headers.get("etag");
  $("progress").value = (await response.json()).progress ?? "";
}

/** Shows the user as the Worker knows them. */
async function show() {
  const { user } = await (await api("GET", "/me")).json();
  await load();
  const claims = claimsOf(token);
  $("user").textContent = `${user.username ?? "A Pioneer without a username"} (uid ${user.uid})`;
  $("expires").textContent = new Date(claims.exp * 1000).toLocaleTimeString();
  $("claims").textContent = JSON.stringify(claims, null, 2);
}

/** What the token says, for display. A backend verifies the signature before it believes any of it. */
function claimsOf(jwt) {
  const base64 = jwt.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

function forget() {
  token = etag = null;
  sessionStorage.removeItem("session");
  for (const id of ["user", "expires", "claims"]) $(id).textContent = "";
  $("progress").value = "";
}

function render() {
  $("signed-in").hidden = !token;
  $("signed-out").hidden = Boolean(token);
}

function say(text, isError = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", isError);
}

let busy = false;

/** One thing at a time, and every failure in the status line. */
async function run(action) {
  if (busy) return;
  busy = true;
  say("");
  try {
    await action();
  } catch (error) {
    say(error.message, true);
  } finally {
    busy = false;
    render();
  }
}

$("sign-in").addEventListener("click", () => run(signIn));
$("sign-out").addEventListener("click", () => run(signOut));
$("save").addEventListener("click", () => run(save));

if (token) await run(show);
render();
