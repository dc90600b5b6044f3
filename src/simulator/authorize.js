// The simulated Pi Sign-in: sends the browser back with a token, or with one of Pi's four errors. The
// Worker checks the request, `redirect_uri` above all, before it serves this page.

const request = new URLSearchParams(location.search);
const $ = (id) => document.getElementById(id);

$("client").textContent = request.get("client_id");
$("scope").textContent = request.get("scope") || "username";
$("redirect").textContent = new URL(request.get("redirect_uri")).origin;

const personas = await (await fetch("/simulator/personas")).json();
$("persona").append(...personas.map(({ token, title }) => new Option(title, token)));

function answer(members) {
  const state = request.get("state");
  if (state !== null) members.state = state;
  location.assign(`${request.get("redirect_uri")}#${new URLSearchParams(members)}`);
}

$("allow").addEventListener("click", () => {
  answer({ access_token: $("persona").value, token_type: "Bearer", expires_in: "3600" });
});
for (const button of document.querySelectorAll("[data-error]")) {
  button.addEventListener("click", () => answer({ error: button.dataset.error }));
}
// Until now, a click would have done nothing.
for (const button of document.querySelectorAll("button")) button.disabled = false;
