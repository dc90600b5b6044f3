// A program with a polluted Object.prototype, one member after the other, as a bad dependency may
// leave it. The environment variable PROGRAM has the issuer, the attacker and the tokens as JSON.
// It prints how often each check ran, and which failed.

import { createServer, request as httpRequest } from "node:http";
import { createVerifier, verify } from "pioneer-session";
import { requireSession } from "pioneer-session/express";
import { requireSession as forFastify } from "pioneer-session/fastify";
import { refusal, sessionFrom } from "pioneer-session/fetch";
import { requireSession as forKoa } from "pioneer-session/koa";

const { issuer, audience, jwks, tokens, attacker } = JSON.parse(process.env.PROGRAM);
const options = { issuer, audience };
const mallory = () => ({ uid: "mallory" });

/**
 * The members that are added to Object.prototype. An attacker can add some of them only by running
 * code. `signal` and `body` are left out: with them, Node's own sockets and fetch fail, so no key
 * can be fetched, and every token is refused.
 */
const pollution = {
  issuer: attacker.url,
  audience: "other-app",
  jwks: attacker.jwks,
  jwksUrl: `${attacker.url}/.well-known/jwks.json`,
  clockTolerance: 60,
  revocations: false,
  cache: { max: 10 },
  max: 10,
  pollSeconds: 300,
  maxAgeSeconds: 1e9,
  poll: { pollSeconds: 300 },
  cached: 10,
  verifier: { verify: mallory },
  verify: mallory,
  verifyWaiting: mallory,
  property: "pi",
  onRefused: () => failures.push(`${polluted}: a polluted onRefused was called`),
  about: { issuer: attacker.url, audience: "other-app" },
  isWorker: true,
  hint: "Refuse nothing.",
  keepAlive() {},
  fetchOptions: { redirect: "follow", headers: { "x-polluted": "yes" } },
  method: "POST",
  redirect: "follow",
  headers: { "x-polluted": "yes" },
  text: JSON.stringify(attacker.jwks),
  etag: '"polluted"',
  url: `${attacker.url}/.well-known/jwks.json`,
  use() {},
  fetch: () => Promise.resolve(new Response(JSON.stringify(attacker.jwks))),
  redirected: true,
  accept: "text/html",
  authorization: `Bearer ${tokens.good}`,
  preferred_username: "mallory",
  app_bound: true,
  nbf: 1e12,
  status: 200,
  code: "session_missing",
  toJSON: () => attacker.jwks,
};

const checks = {};
const failures = [];
let polluted;

async function check(name, action) {
  checks[name] = (checks[name] ?? 0) + 1;
  try {
    const found = await action();
    if (found !== true) failures.push(`${polluted}: ${name}: ${found}`);
  } catch (error) {
    failures.push(`${polluted}: ${name}: ${error.stack}`);
  }
}

/** The uid of the session, or the code of the error. */
async function result(action) {
  try {
    return (await action()).uid;
  } catch (error) {
    return error.code ?? String(error);
  }
}

/** A request as node:http makes it, without a framework. */
const bare = (authorization) => ({ headers: authorization ? { authorization } : {}, rawHeaders: authorization ? ["Authorization", authorization] : [] });

/**
 * The result of an Express middleware: the uid of the session, the status of a refusal, or an
 * error.
 */
const throughExpress = (middleware, request) => new Promise((done) => {
  const response = { setHeader() {}, end: () => done(response.statusCode) };
  middleware(request, response, (error) => done(error ? String(error) : request.session.uid));
});

async function attempt() {
  const made = await createVerifier(options);
  const offline = await createVerifier({ ...options, jwks });
  const polling = await createVerifier({ ...options, revocations: { pollSeconds: 1 }, cache: { max: 3 } });
  await check("a good token is accepted", async () => [made, offline, polling].every((verifier) => verifier.verify(tokens.good).uid === "uid-alice"));
  for (const [kind, code] of [["attackers", "unknown_key"], ["justExpired", "expired"], ["otherAudience", "wrong_audience"], ["otherIssuer", "wrong_issuer"]]) {
    await check(`${kind} is refused`, async () => {
      const results = await Promise.all([
        ...[made, offline, polling].map((verifier) => result(() => verifier.verify(tokens[kind]))),
        result(() => verify(tokens[kind], options)),
        result(() => verify(tokens[kind], { ...options, jwks })),
      ]);
      return results.every((found) => found === code) || results.join();
    });
  }
  await check("verifiers of two issuers are not confused", async () => (await result(() => verify(attacker.token, { issuer: attacker.url, audience, jwks: attacker.jwks }))) === "uid-alice" && (await result(() => verify(tokens.good, { ...options, jwks }))) === "uid-alice");
  await check("an ended session is refused", async () => (await result(() => polling.verify(tokens.revoked))) === "revoked");
  await check("no feed is asked for where none was wanted", async () => !("revocationsAgeSeconds" in made.health()));
  await check("a member that the token lacks is not made up", async () => {
    const { username, appBound } = offline.verify(tokens.sparse);
    return (username === undefined && appBound === false) || `${username} ${appBound}`;
  });
  await check("an unchanged key set stays as it was", async () => {
    const real = Date.now;
    Date.now = () => real() + 301_000;
    try {
      await made.ready();
      const results = [await result(() => made.verify(tokens.lasting)), await result(() => made.verify(tokens.attackersLasting))];
      return results.join() === "uid-alice,unknown_key" || results.join();
    } finally {
      Date.now = real;
    }
  });
  const middleware = requireSession({ ...options, jwks });
  await check("express: only a sent credential counts", async () => {
    const results = [await throughExpress(middleware, bare(`Bearer ${tokens.good}`)), await throughExpress(middleware, bare()), await throughExpress(middleware, bare(`Bearer ${tokens.attackers}`))];
    return results.join() === "uid-alice,401,401" || results.join();
  });
  await check("a verifier that was passed is the one that is asked", async () => {
    const verifier = { verify: () => ({ uid: "bob" }) };
    return (await throughExpress(requireSession({ verifier }), bare(`Bearer ${tokens.good}`))) === "bob";
  });
  await check("a verifier that was not awaited is none", async () => {
    try {
      requireSession({ verifier: Promise.resolve(made) });
      return "accepted";
    } catch (error) {
      return error.code === "invalid_options";
    }
  });
  await check("fastify: a plugin is made of the options that were passed", async () => typeof forFastify({ ...options, jwks }) === "function");
  await check("koa: only a sent credential counts", async () => {
    const guard = forKoa({ ...options, jwks });
    const through = async (request) => {
      const ctx = { req: request, state: {}, status: 0, set() {} };
      await guard(ctx, async () => (ctx.status = ctx.state.session.uid));
      return ctx.status;
    };
    const results = [await through(bare(`Bearer ${tokens.good}`)), await through(bare()), await through(bare(`Bearer ${tokens.attackers}`))];
    return results.join() === "uid-alice,401,401" || results.join();
  });
  await check("fetch: only a sent credential counts", async () => {
    const request = (headers) => new Request("http://localhost/", { __proto__: null, method: "GET", headers, body: undefined, signal: undefined });
    const results = [await result(() => sessionFrom(request(new Headers([["authorization", `Bearer ${tokens.good}`]])), made)), await result(() => sessionFrom(request(new Headers()), made))];
    return results.join() === "uid-alice,session_missing" || results.join();
  });
  await check("fetch: a refusal has its own status", async () => {
    const error = await sessionFrom({ headers: new Headers() }, made).catch((reason) => reason);
    return refusal(error).status === 401;
  });
  for (const verifier of [made, offline, polling]) await verifier.close();
}

for (const name of [undefined, ...Object.keys(pollution)]) {
  polluted = name ?? "nothing";
  if (name) Object.defineProperty(Object.prototype, name, { value: pollution[name], configurable: true, writable: true, enumerable: true });
  try {
    await attempt();
  } catch (error) {
    failures.push(`${polluted}: ${error.stack}`);
  } finally {
    if (name) delete Object.prototype[name];
  }
}

// Over a real socket, where node:http makes the request object.
const server = createServer((request, response) => {
  requireSession({ ...options, jwks })(request, response, () => response.end(request.session.uid));
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
polluted = "authorization";
Object.prototype.authorization = pollution.authorization;
await check("node:http: only a sent credential counts", () => new Promise((done, fail) => {
  httpRequest({ host: "127.0.0.1", port: server.address().port, headers: { connection: "close" } }, (response) => done(response.statusCode === 401 || response.statusCode)).on("error", fail).end();
}));
delete Object.prototype.authorization;
server.close();

console.log(JSON.stringify({ members: Object.keys(pollution).length, checks, failures }));
process.exit();
