// The page: signs the user in with Pi, shows the user's name, and signs out.

import { resume, signIn } from "pioneer-session/browser";
// #region payments
import { showShop } from "./shop.js";
// #endregion

const $ = (id) => document.getElementById(id);

// On this machine, the SDK is that of the simulated Pi, which has the port after the Worker's.
const isLocal = ["localhost", "127.0.0.1"].includes(location.hostname);
const SDK = isLocal ? `http://${location.hostname}:${Number(location.port) + 1}/sdk.js` : "https://sdk.minepi.com/pi-sdk.js";

const sdk = new Promise((resolve, reject) => {
  const script = document.createElement("script");
  script.src = SDK;
  script.onload = () => resolve(Pi.init({ version: "2.0", sandbox: isLocal }).then(() => Pi));
  script.onerror = () => reject(new Error("Pi could not be loaded. Check the network, then reload the page."));
  document.head.append(script);
});
sdk.catch(() => {}); // It is shown when the user signs in.

let session = null;

const options = {
  issuer: location.origin,
  scopes: [
    "username",
    // #region payments
    "payments",
    // #endregion
  ],
  // The session outlives a reload, in this tab only. Any script on the page can read it there.
  storage: () => sessionStorage,
  onSignedOut(error) {
    session = null;
    say(error ? error.message : "You are signed out.", Boolean(error));
    show();
  },
};

function show() {
  $("signed-in").hidden = !session;
  $("signed-out").hidden = Boolean(session);
  $("user").textContent = session?.user?.username ?? session?.user?.uid ?? "";
}

function say(text, isError = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", isError);
}

async function begin(begun) {
  session = await begun;
  show();
  // #region payments
  if (session) await showShop({ session, sdk, run, say });
  // #endregion
}

/** Runs one action of the user at a time, and shows its failure. */
async function run(action) {
  const buttons = document.querySelectorAll("button");
  buttons.forEach((button) => (button.disabled = true));
  say("");
  try {
    await action();
  } catch (error) {
    say(error.message, true);
    console.warn(error.code, error.hint, error.help); // for you
  } finally {
    document.querySelectorAll("button").forEach((button) => (button.disabled = false));
  }
}

$("sign-in").addEventListener("click", () => run(async () => begin(signIn(await sdk, options))));
$("sign-out").addEventListener("click", () => run(() => session?.signOut()));

show();
await run(() => begin(resume(options)));
