// A program with frozen intrinsics, as `node --frozen-intrinsics`, SES or Object.freeze leave them.
// The environment variable PROGRAM has the options and the tokens as JSON. It prints the result of
// each token.

import { createServer, request as httpRequest } from "node:http";
import { SessionError, createVerifier, verify } from "pioneer-session";
import { requireSession } from "pioneer-session/express";
import { refusal, sessionFrom } from "pioneer-session/fetch";

const { options, tokens, freeze } = JSON.parse(process.env.PROGRAM);

// Node itself assigns to members of these, which fails if the prototype is frozen.
const SPARED = new Set(["process", "globalThis", "global"]);
if (freeze) {
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    const value = SPARED.has(name) ? undefined : Object.getOwnPropertyDescriptor(globalThis, name).value;
    if (typeof value !== "function") continue;
    if (/Error$/.test(name)) Object.freeze(value.prototype);
    if (/Error$|^(Object|Function|Array|Map|Set|WeakMap|WeakSet|Promise|Date|Number|String|Symbol|RegExp)$/.test(name)) Object.freeze(value);
  }
}

/** The uid of the session, or the error. */
async function outcome(action) {
  try {
    return (await action()).uid;
  } catch (error) {
    if (!(error instanceof SessionError)) return String(error);
    const { name, code, hint } = error;
    return { name, code, hint: typeof hint };
  }
}

const verifier = await createVerifier(options);
const guard = requireSession(options);
const server = createServer((request, response) => guard(request, response, (error) => response.writeHead(error ? 500 : 200).end(String(error ?? request.session.uid))));
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const results = {};
for (const [kind, token] of Object.entries(tokens)) {
  const headers = { authorization: `Bearer ${token}`, connection: "close" };
  results[kind] = {
    sync: await outcome(() => verifier.verify(token)),
    once: await outcome(() => verify(token, options)),
    fetch: await sessionFrom(new Request("http://localhost/", { headers }), verifier).then(({ uid }) => uid, (error) => refusal(error).status),
    express: await new Promise((done, fail) => {
      httpRequest({ host: "127.0.0.1", port: server.address().port, headers }, (response) => done(response.resume().statusCode)).on("error", fail).end();
    }),
  };
}
results.options = await outcome(() => createVerifier({ ...options, issuer: "" }));
console.log(JSON.stringify(results));
process.exit();
