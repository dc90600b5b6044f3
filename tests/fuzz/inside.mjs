// Fuzzes the built Worker from inside workerd: generates requests and calls the Worker's own fetch
// handler with each, several at a time. This saves the sockets. It returns the number of answers by
// status and code, and every wrong answer.

import { Buffer } from "node:buffer";
import worker from "./index.js";
import { Random, Requests, Tokens, isEnding, mayPass } from "./tests/fuzz/grammar.mjs";

const AT_ONCE = 8;
const GRACE_MS = 8_000; // a little less than RACE_SECONDS in src/session/refresh.rs
const SIGN_IN_TRIES = 5;
const SHOWN = 20;
const ORIGIN = "https://id.example";

/** Log lines that say that the wasm was stopped, and exceptions from the fetch handler. */
const traps = [];
for (const level of ["log", "info", "warn"]) console[level] = () => {};
console.error = (...words) => {
  const line = words.map((word) => (typeof word === "object" ? JSON.stringify(word) : String(word))).join(" ");
  if (/a job was stopped|RuntimeError|panicked/.test(line)) traps.push(line);
};

/** Signs in. Retries, because the simulated Pi can answer too late on a busy machine. */
async function signIn(env, context, accessToken) {
  const [headers, body] = [{ "content-type": "application/json" }, JSON.stringify({ accessToken })];
  for (let tries = 1; ; tries++) {
    const response = await worker.fetch(new Request(`${ORIGIN}/session`, { method: "POST", headers, body }), env, context);
    if (response.status === 200) return response.json();
    if (response.status !== 504 || tries === SIGN_IN_TRIES) throw new Error(`/session: ${response.status} ${await response.text()}`);
  }
}

/** Writes the first data of a user, so that `If-Match: *` succeeds later. */
async function keepData(env, context, token) {
  const headers = { "authorization": `Bearer ${token}`, "content-type": "application/json" };
  const response = await worker.fetch(new Request(`${ORIGIN}/me/data`, { method: "PUT", headers, body: "{}" }), env, context);
  if (response.status !== 204 && response.status !== 428) throw new Error(`/me/data: ${response.status}`);
}

const sidOf = (token) => JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString()).sid;

/** Returns the fault in an answer, or undefined. */
function fault({ method, isGood }, response, text, may, codes) {
  const { status } = response;
  if (status === 500) return "an internal error";
  if (status < 400) {
    if (!isGood && !may) return "it must not succeed";
    if (![200, 201, 204, 304].includes(status)) return "a status that is not documented";
    if (response.headers.get("content-type") === "application/json" && text !== "") JSON.parse(text);
    return undefined;
  }
  // On a busy machine, the simulated Pi or the database can answer too late.
  if (isGood && status !== 504 && status !== 503) return "it must succeed";
  if (response.headers.get("content-type") !== "application/problem+json") return "no problem document";
  if (method === "HEAD") return text === "" ? undefined : "HEAD with a body";
  const problem = JSON.parse(text);
  if (!codes[status]?.includes(problem.code)) return `the code ${problem.code} is not documented`;
  if (problem.status !== status || problem.requestId !== response.headers.get("x-request-id") || typeof problem.detail !== "string") return "a problem document that is not ours";
  return undefined;
}

async function run(env, context, { count, seed, key, otherKey, credential, codes }) {
  const random = new Random(seed);
  const [verdicts, wrong] = [{}, []];
  const sign = (accessToken) => signIn(env, context, accessToken);
  const known = await sign("sim-alice");
  const [spoiled, refreshed] = [await sign("sim-bob"), await sign("sim-bob")];
  for (const { sessionToken } of [known, spoiled]) await keepData(env, context, sessionToken);
  const credentials = { credential, product: "coffee", refresh: refreshed.refreshToken };
  const good = { ...credentials, token: known.sessionToken, uid: known.user.uid };
  const other = { ...credentials, token: spoiled.sessionToken, uid: spoiled.user.uid };
  const tokens = new Tokens({ random, key, otherKey, issuer: ORIGIN, audience: "fuzz-app", sid: sidOf(other.token) });
  const requests = new Requests({ random, tokens });
  const issued = { holds: (token) => token === good.token || token === other.token || tokens.isSound(token), refreshTokens: new Set([credentials.refresh]), credential };
  let unsendable = 0;
  const began = Date.now();

  async function attempt(input) {
    // On a busy machine, the grace period of a used refresh token can be over.
    if (input.path === "/session/refresh" && Date.now() - began > GRACE_MS) input.isGood = false;
    const { method, path, headers, body } = input;
    let request;
    try {
      const isRead = method === "GET" || method === "HEAD";
      request = new Request(ORIGIN + path, { method, headers, body: isRead ? null : body });
    } catch {
      unsendable++;
      return;
    }
    const { pathname } = new URL(request.url);
    const may = mayPass({ method, pathname, headers: request.headers, body }, issued);
    const shown = () => JSON.stringify({ ...input, body: String(body).slice(0, 2000) });
    try {
      const response = await worker.fetch(request, env, context);
      const text = await response.text();
      const why = fault(input, response, text, may, codes);
      if (why) wrong.push(`${why}: ${response.status} ${text.slice(0, 200)} to ${shown()}`);
      const name = response.status < 400 || method === "HEAD" ? String(response.status) : `${response.status} ${JSON.parse(text).code}`;
      verdicts[name] = (verdicts[name] ?? 0) + 1;
    } catch (error) {
      traps.push(`${error}: ${shown()}`);
    }
  }

  const inputs = Array.from({ length: count }, () => requests.next(good, other));
  const ending = inputs.filter(isEnding);
  const rest = inputs.filter((input) => !isEnding(input));
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let input = rest.pop(); input; input = rest.pop()) await attempt(input);
  }));
  for (const input of ending) await attempt(input);
  return { inputs: count, verdicts, unsendable, traps: traps.length, wrong: wrong.length, shown: [...traps.splice(0), ...wrong].slice(0, SHOWN) };
}

export default {
  async fetch(request, env, context) {
    if (new URL(request.url).pathname !== "/fuzz") return worker.fetch(request, env, context);
    try {
      return Response.json(await run(env, context, await request.json()));
    } catch (error) {
      return new Response(String(error?.stack ?? error), { status: 500 });
    }
  },
};
