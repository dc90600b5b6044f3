// The simulated Pi Sign-in: sends the browser back with a token, or with one of Pi's four errors. The
// Worker checks the request, `redirect_uri` above all, before it serves this page.

const request = new URLSearchParams(location.search);
const $ = (id) => document.getElementById(id);
const { accounts, addStyle, scopeList } = Pi.simulation;

addStyle();
const scopes = scopeList(request.get("client_id"), (request.get("scope") || "username").split(" "));
scopes.querySelector("b").id = "client";
$("scopes").replaceWith(scopes);
$("redirect").textContent = new URL(request.get("redirect_uri")).origin;

const choice = accounts(await (await fetch("/simulator/personas")).json(), "persona");
$("accounts").replaceWith(choice.fieldset);

function answer(members) {
  const state = request.get("state");
  if (state !== null) members.state = state;
  location.assign(`${request.get("redirect_uri")}#${new URLSearchParams(members)}`);
}

$("allow").addEventListener("click", () => {
  answer({ access_token: choice.chosen().token, token_type: "Bearer", expires_in: "3600" });
});
for (const button of document.querySelectorAll("[data-error]")) {
  button.addEventListener("click", () => answer({ error: button.dataset.error }));
}
// Until now, a click would have done nothing.
for (const button of document.querySelectorAll("button")) button.disabled = false;
