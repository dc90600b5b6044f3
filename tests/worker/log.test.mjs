// The log of the built Worker in workerd: the fields of a line, and that the lines of requests that
// run at the same time do not mix.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { JSON_TYPE, startFakePi, user } from "../support/fake-pi.mjs";
import { logLine } from "../support/log.mjs";
import { builtWorker, startIssuer } from "../support/workers.mjs";

const HELD_MS = 200; // Pi's answer is held for longer
const ORIGIN = "https://app.example.com";

describe("the log", () => {
  const lines = [];
  let [pi, issuer] = [];
  /** The answers of Pi that are held, each as a function that sends it. */
  let held = [];

  const ask = (path, { token, body, from = issuer, ...init } = {}) =>
    fetch(`${from.url}${path}`, {
      ...init,
      headers: { origin: ORIGIN, ...(token && { authorization: `Bearer ${token}` }), ...(body && { "content-type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
  const signIn = (accessToken, from) => ask("/session", { method: "POST", body: { accessToken }, from });

  /** The line of the request with this answer. */
  async function lineOf(response) {
    const id = response.headers.get("x-request-id");
    for (;;) {
      const line = lines.find(({ requestId }) => requestId === id);
      if (line) return line;
      await sleep(5);
    }
  }
  const start = (variables = {}) =>
    startIssuer({
      pi: pi.url,
      allowedOrigin: ORIGIN,
      variables: { PI_APP_ID: "test-app", ...variables },
      log: ({ level, message }) => lines.push({ console: level, ...logLine(message) }),
    });

  before(async () => {
    const hold = (_, response) => held.push(() => response.writeHead(200, JSON_TYPE).end(JSON.stringify(user({ uid: "held" }))));
    pi = await startFakePi({ "token-alice": user(), "token-held": hold });
    issuer = await start();
    await ask("/session"); // sets the development database up
  });
  after(async () => {
    await issuer?.close();
    await pi?.close();
  });

  test("has a line with a message and flat fields for each request", async () => {
    const response = await signIn("token-alice");
    const { sessionToken: token, user: { uid } } = await response.json();
    const { sid } = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
    const { console, message, requestId: _, durationMs, piMs, d1Ms, rowsRead, rowsWritten, version, ...line } = await lineOf(response);
    assert.deepEqual([console, message], ["log", "POST /session 200"]);
    const expected = { level: "info", event: "session.opened", method: "POST", route: "/session", status: 200, uid, sid, isNew: true, appBound: true };
    assert.deepEqual(line, { ...expected, piCalls: 1, piStatus: 200, d1Calls: 1 });
    assert.match(version, /^\d+\.\d+\.\d+$/);
    for (const number of [durationMs, piMs, d1Ms]) assert.ok(Number.isInteger(number) && number >= 0);
    assert.ok(rowsRead > 0 && rowsWritten > 0, `${rowsRead} ${rowsWritten}`);

    const { d1Calls, piCalls, ...read } = await lineOf(await ask("/session", { token }));
    assert.deepEqual([read.message, read.event, read.uid, read.sid, d1Calls, piCalls], ["GET /session 200", "request.served", uid, sid, 1, undefined]);
    const refused = await lineOf(await ask("/session", { token: "forged" }));
    assert.deepEqual([refused.level, refused.event, refused.code, refused.uid, refused.d1Calls], ["info", "credential.refused", "session_invalid", undefined, undefined]);
  });

  test("counts for each request only its own calls and waits, whatever runs at the same time", async () => {
    const { sessionToken: token } = await (await signIn("token-alice")).json();
    const waiting = [signIn("token-held"), signIn("token-held")];
    while (held.length < waiting.length) await sleep(1);
    const reads = await Promise.all(Array.from({ length: 20 }, () => ask("/session", { token })));
    await sleep(HELD_MS);
    for (const send of held.splice(0)) send();
    for (const response of await Promise.all(waiting)) {
      const { uid, piCalls, piMs, d1Calls, d1Ms, durationMs } = await lineOf(response);
      assert.deepEqual([uid, piCalls, d1Calls], ["held", 1, 1]);
      assert.ok(piMs >= HELD_MS / 2 && durationMs >= piMs + d1Ms, `${piMs} ms for Pi, ${d1Ms} ms for D1, ${durationMs} ms in all`);
    }
    for (const response of reads) {
      const { uid, piCalls, piMs, d1Calls } = await lineOf(response);
      assert.deepEqual([uid, piCalls, piMs, d1Calls], [user().uid, undefined, undefined, 1]);
    }
  });

  test("tells a page in development how long the Worker waited", async () => {
    const response = await signIn("token-alice");
    const { piMs, d1Ms, durationMs } = await lineOf(response);
    assert.equal(response.headers.get("server-timing"), `pi;dur=${piMs}, db;dur=${d1Ms}, total;dur=${durationMs}`);
    assert.equal(response.headers.get("timing-allow-origin"), ORIGIN);
  });

  test("with LOG_IDS off, names nobody", async (context) => {
    const from = await start({ LOG_IDS: "off" });
    context.after(() => from.close());
    await ask("/session", { from }); // sets the development database up
    const response = await signIn("token-alice", from);
    const { sessionToken: token } = await response.json();
    const { uid, sid, isNew, event } = await lineOf(response);
    assert.deepEqual([uid, sid, isNew, event], [undefined, undefined, true, "session.opened"]);
    const step = await lineOf(await ask("/payments/payment-1/approve", { method: "POST", token, from }));
    assert.deepEqual([step.event, step.uid, step.sid, step.paymentId], ["settings.wrong", undefined, undefined, undefined]);
  });

  test("reaches Cloudflare's log as one text whose members are the fields", async (context) => {
    const received = [];
    // A tail Worker receives what Workers Logs receives.
    const script = "export default { tail: (events) => console.log(JSON.stringify(events.flatMap(({ logs }) => logs.map(({ level, message }) => ({ level, message }))))) };";
    const worker = new Miniflare(convertV4MiniflareOptions({
      workers: [
        { name: "issuer", ...builtWorker("build"), bindings: { ENVIRONMENT: "production" }, tails: ["tail"] },
        { name: "tail", modules: true, script, compatibilityDate: "2026-09-01" },
      ],
      handleStructuredLogs: ({ message }) => message.startsWith("[{") && received.push(...JSON.parse(message)),
    }));
    context.after(() => worker.dispose());
    const response = await fetch(new URL("/session", await worker.ready));
    while (received.length === 0) await sleep(5);
    const { level, message } = received.find(({ message }) => JSON.stringify(message).includes(response.headers.get("x-request-id")));
    assert.equal(level, "error");
    assert.equal(message.length, 1);
    const fields = JSON.parse(message[0]);
    assert.deepEqual([fields.message, fields.event, fields.status], ["GET /session 500", "settings.wrong", 500]);
  });
});
