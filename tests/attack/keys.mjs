// Attacks on key sets, on the revocation feed, and on the caches of verifiers.

import { once } from "node:events";
import { createServer } from "node:http";
import { attempt, control } from "./runner.mjs";
import { AUDIENCE, ISSUER, KEYS, attacker, mint, now, suites } from "./testbed.mjs";

const { active, next } = suites.EdDSA;
const SET = JSON.stringify({ keys: [active.jwk, next.jwk] });

/** A key server on loopback. `respond` writes its answers. */
async function keyServer() {
  const made = { fetches: 0, respond: (response) => response.writeHead(200).end(SET) };
  const server = createServer((_, response) => {
    made.fetches += 1;
    made.respond(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  made.url = `http://127.0.0.1:${server.address().port}/keys`;
  made.close = () => {
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  };
  return made;
}

const load = () => import("../../pkg/index.mjs");
const options = (jwksUrl, more) => ({ issuer: ISSUER, audience: AUDIENCE, jwksUrl, ...more });
const codeOf = (promise) => promise.then(() => undefined, (error) => error.code ?? String(error));
const codeNow = (action) => {
  try {
    action();
    return undefined;
  } catch (error) {
    return error.code ?? String(error);
  }
};

/** Runs an action while the clock is this many seconds ahead. */
async function ahead(seconds, action) {
  const real = Date.now;
  Date.now = () => real() + seconds * 1000;
  try {
    return await action();
  } finally {
    Date.now = real;
  }
}

/** Answers that are not a valid key set. */
const BAD_ANSWERS = {
  "a redirect": (response) => response.writeHead(302, { location: "/elsewhere" }).end(),
  "HTML": (response) => response.writeHead(200).end("<html>"),
  "70 KB": (response) => response.writeHead(200).end(" ".repeat(70_000) + SET),
  "keys as an object": (response) => response.writeHead(200).end('{"keys":{}}'),
  "an array": (response) => response.writeHead(200).end(`[${SET}]`),
  "ten thousand keys": (response) => response.writeHead(200).end(JSON.stringify({ keys: Array.from({ length: 10_000 }, () => active.jwk) })),
  "a key twice": (response) => response.writeHead(200).end(JSON.stringify({ keys: [active.jwk, active.jwk] })),
  "a private key": (response) => response.writeHead(200).end(JSON.stringify(KEYS)),
  "duplicate names": (response) => response.writeHead(200).end(`{"keys":[],"keys":[${JSON.stringify(active.jwk)}]}`),
  "500": (response) => response.writeHead(500).end(SET),
  "a reset": (response) => response.destroy(),
};

export const keys = [
  {
    id: "K1",
    title: "A Host header makes the Worker name the attacker's host as the issuer, and a cache serves it to everybody.",
    defence: "The issuer is a setting. No answer depends on Host, X-Forwarded-Host or Forwarded.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const paths = ["/.well-known/jwks.json", "/openapi.json", "/products"];
        const plain = new Map();
        for (const path of paths) plain.set(path, await (await worker.call(path)).text());
        for (const path of paths) {
          for (const host of ["evil.example", "evil.example:443", "localhost", "[::1]"]) {
            const answer = await worker.raw(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nX-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\nX-Forwarded-Proto: http\r\nConnection: close\r\n\r\n`);
            yield attempt(`${path} with the host ${host}`, /evil\.example/.test(answer), /^HTTP\/1.1 200/.test(answer) ? "" : answer.slice(0, 40));
          }
          yield control(`${path} has not changed`, (await (await worker.call(path)).text()) === plain.get(path));
        }
        const body = '{"accessToken":"token-alice"}';
        const answer = await worker.raw(`POST /session HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
        const token = /"sessionToken":"([^"]+)"/.exec(answer)?.[1];
        yield control("the sign-in is answered", token !== undefined);
        yield attempt("a token names the host", JSON.parse(Buffer.from(token.split(".")[1], "base64url")).iss !== ISSUER);
      },
    },
  },
  {
    id: "K2",
    title: "A verifier fetches a key set that is another document, redirected, huge, or late.",
    defence: "The verifier refuses it and keeps the last valid set. The failure is a SessionError that says nothing about the token.",
    isSlow: true,
    on: {
      async *node() {
        const { createVerifier } = await load();
        const server = await keyServer();
        const { respond } = server;
        const kept = await createVerifier(options(server.url));
        for (const [name, answer] of Object.entries(BAD_ANSWERS)) {
          server.respond = answer;
          const code = await codeOf(createVerifier(options(`${server.url}?${encodeURIComponent(name)}`)));
          yield attempt(name, code === undefined, code === "keys_unavailable" ? "" : code);
          yield control(`after ${name}, the last valid set stays`, await ahead(400, () => kept.ready().then(() => codeNow(() => kept.verify(mint({ iat: now(), exp: now() + 600 }))) === undefined)));
        }
        server.respond = () => {};
        const began = performance.now();
        const code = await codeOf(createVerifier(options(`${server.url}?silent`)));
        yield attempt("silence", code === undefined || performance.now() - began > 5_000, code === "keys_unavailable" ? "" : code);
        server.respond = respond;
        await kept.close();
        await server.close();
      },
    },
  },
  {
    id: "K3",
    title: "Tokens with random key ids make every verifier fetch keys as often as the attacker wants.",
    defence: "An unknown key causes at most one fetch every 30 seconds.",
    on: {
      async *node() {
        const { createVerifier, verify } = await load();
        const server = await keyServer();
        const made = await createVerifier(options(server.url));
        for (let i = 0; i < 1_000; i++) codeNow(() => made.verify(mint({}, { header: { kid: `kid-${i}` } })));
        yield attempt("a thousand unknown keys to a verifier", server.fetches > 1);
        server.fetches = 0;
        await verify(mint(), options(`${server.url}?flood`));
        await Promise.all(Array.from({ length: 200 }, (_, i) => codeOf(verify(mint({}, { header: { kid: `kid-${i}` } }), options(`${server.url}?flood`)))));
        yield attempt("two hundred unknown keys to verify", server.fetches > 1, server.fetches === 1 ? "" : `${server.fetches} fetches`);
        yield control("a known key is accepted", codeNow(() => made.verify(mint())) === undefined);
        await made.close();
        await server.close();
      },
    },
  },
  {
    id: "K4",
    title: "A stolen key still works after its removal from the key set.",
    defence: "Verifiers keep a set for five minutes; then they refuse the removed key, cached tokens included.",
    on: {
      async *node() {
        const { createVerifier } = await load();
        const server = await keyServer();
        const lasting = mint({ iat: now(), exp: now() + 3500 });
        const verifiers = await Promise.all([undefined, { max: 10 }].map((cache) => createVerifier(options(server.url, { cache: cache ?? false }))));
        for (const made of verifiers) yield control("at first, its token is accepted", codeNow(() => made.verify(lasting)) === undefined);
        server.respond = (response) => response.writeHead(200).end(JSON.stringify({ keys: [next.jwk] }));
        for (const made of verifiers) {
          const code = await ahead(301, () => made.ready().then(() => codeNow(() => made.verify(lasting))));
          yield attempt("five minutes after its removal", code === undefined, code === "unknown_key" ? "" : code);
          await made.close();
        }
        await server.close();
      },
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        const { sessionToken: token } = await worker.session();
        const without = { bindings: { SESSION_KEYS: JSON.stringify({ keys: [{ ...KEYS.keys[1], state: "active" }] }) } };
        yield worker.refuses("a token of a key that was taken out of SESSION_KEYS", () => worker.call("/session", { token, overrides: without }), 401, "session_invalid");
        yield control("with the key, it is accepted", (await worker.call("/session", { token })).status === 200);
      },
    },
  },
  {
    id: "K5",
    title: "While the issuer cannot be reached, verifiers use old keys forever.",
    defence: "Verifiers keep a set for one hour; then they refuse everything with keys_unavailable.",
    on: {
      async *node() {
        const { createVerifier } = await load();
        const server = await keyServer();
        const made = await createVerifier(options(server.url));
        server.respond = (response) => response.writeHead(503).end();
        const at = (seconds) => ahead(seconds, () => made.ready().then(() => codeNow(() => made.verify(mint({ iat: now(), exp: now() + 600 }))), (error) => error.code));
        yield control("after 59 minutes it still verifies", (await at(3540)) === undefined);
        for (const seconds of [3601, 7200, 86_400]) {
          const code = await at(seconds);
          yield attempt(`${seconds} s after the last good set`, code === undefined, code === "keys_unavailable" ? "" : code);
        }
        await made.close();
        await server.close();
      },
    },
  },
  {
    id: "K6",
    title: "In workerd, a request waits for a fetch that an aborted request started, and hangs.",
    defence: "Requests share keys, not promises that end with a request.",
    on: {
      async *workerd(testbed) {
        const server = await keyServer();
        const worker = await testbed.remoteWorkerd(server.url);
        let isSlow = true;
        server.respond = (response) => setTimeout(() => response.writeHead(200).end(SET), isSlow ? 1_000 : 0);
        // The first request starts the fetch and is aborted.
        const leaving = new AbortController();
        const first = fetch(worker.url, { method: "POST", body: mint(), signal: leaving.signal }).catch(() => undefined);
        setTimeout(() => leaving.abort(), 200);
        await first;
        const began = performance.now();
        const answers = await Promise.all(Array.from({ length: 20 }, async () => (await fetch(worker.url, { method: "POST", body: mint(), signal: AbortSignal.timeout(10_000) })).text().catch(() => "no answer")));
        for (const [i, answer] of answers.entries()) yield attempt(`request ${i + 1} after an aborted one is not answered`, answer === "no answer", answer === "good" ? "" : answer);
        yield attempt("they wait longer than a fetch", performance.now() - began > 8_000);
        isSlow = false;
        yield control("later, one is answered", (await (await fetch(worker.url, { method: "POST", body: mint() })).text()) === "good");
        await server.close();
      },
    },
  },
  {
    id: "K7",
    title: "A verifier that caches tokens accepts an expired one, or shares an object between callers.",
    defence: "The cache key is the whole token; every hit checks the time, the keys and the revocations; claims are frozen.",
    on: {
      async *node() {
        const { createVerifier } = await load();
        const made = await createVerifier({ issuer: ISSUER, audience: AUDIENCE, jwks: suites.EdDSA.jwks, cache: { max: 3 } });
        const token = mint({ exp: now() + 100, list: [1] });
        const first = made.verify(token);
        yield control("a good token is accepted", first.uid !== undefined);
        for (const change of [() => (first.uid = "evil"), () => first.scopes.push("evil"), () => (first.claims.sub = "evil"), () => first.claims.list.push(2), () => first.expiresAt.setTime(9e12)]) {
          codeNow(change);
          const second = made.verify(token);
          yield attempt("a change by one caller is seen by the next", second.uid === "evil" || second.scopes.includes("evil") || second.claims.sub === "evil" || second.claims.list.length > 1 || second.expiresAt.getTime() > 8e12);
        }
        for (let at = 0; at < token.length; at += 11) {
          const other = token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
          yield attempt(`the cached token with another character at ${at}`, codeNow(() => made.verify(other)) === undefined);
        }
        for (const [seconds, name] of [[106, "expired"], [-60, "not_yet_valid"]]) {
          const code = await ahead(seconds, () => codeNow(() => made.verify(token)));
          yield attempt(`the cached token ${seconds} s later`, code === undefined, code === name ? "" : code);
        }
        yield attempt("an attacker's token with the cached claims", codeNow(() => made.verify(mint({ exp: now() + 100, list: [1] }, { key: attacker, header: { kid: active.jwk.kid } }))) === undefined);
        await made.close();
      },
    },
  },
];
