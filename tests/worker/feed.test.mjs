// The feed of revoked sessions from the Worker, while a hundred verifiers poll it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createVerifier } from "pioneer-session";
import { startIssuer, startSimulator } from "../support/workers.mjs";

const SESSIONS = 1000;
const VERIFIERS = 100;
const POLL_SECONDS = 1;
/** For so long, the Worker may answer without asking the database. */
const REMEMBERED_MS = 5000;
const AT_A_TIME = 8;

/** Calls `one` for each number below `count`, several at a time. */
async function each(count, one) {
  let next = 0;
  const work = async () => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
}

describe("a hundred verifiers", { timeout: 600_000 }, () => {
  let pi;
  let worker;

  before(async () => {
    pi = await startSimulator();
    worker = await startIssuer({ pi: pi.url, allowedOrigin: "https://app.example" });
    await fetch(`${worker.url}/session`); // sets the development database up
  });

  after(async () => {
    await worker?.close();
    await pi?.close();
  });

  const signIn = async (user) => {
    const response = await fetch(`${worker.url}/session`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ accessToken: `sim-crowd-${user}` }) });
    assert.equal(response.status, 200);
    return (await response.json()).sessionToken;
  };

  const codeOf = (verifier, token) => {
    try {
      verifier.verify(token);
      return "valid";
    } catch (error) {
      return error.code;
    }
  };

  /** A verifier, and when each of its polls began that got an answer. */
  async function startVerifier(onPoll) {
    const polls = [];
    const polling = async (url, init) => {
      const { pathname } = new URL(url);
      if (pathname !== "/revocations") return fetch(url, init);
      // The verifier has used the answer to the poll before this one.
      if (polls.length > 0) onPoll(polls.at(-1));
      const began = performance.now();
      const response = await fetch(url, init);
      if ([200, 304].includes(response.status)) polls.push(began);
      return response;
    };
    return createVerifier({ issuer: worker.url, audience: "test-app", revocations: { pollSeconds: POLL_SECONDS }, fetch: polling });
  }

  // Time is measured from poll to poll, so a slow machine changes nothing: a poll that begins five
  // seconds after a sign-out must name it, and the next poll begins within the interval.
  test("S1: refuse each of a thousand signed-out sessions after the first poll that begins five seconds later", async (context) => {
    const tokens = [];
    await each(SESSIONS, async (index) => void (tokens[index] = await signIn(index)));
    const staying = await Promise.all([0, 1, 2].map(signIn));
    const endedAt = Array(SESSIONS).fill(Infinity);

    // The first verifier checks every session, each of the others its share of them.
    const wrong = [];
    const waits = [];
    const watchers = Array.from({ length: VERIFIERS }, (_, number) => {
      const share = Array.from(tokens.keys()).filter((index) => number === 0 || index % VERIFIERS === number);
      return { number, left: new Set(share) };
    });
    const check = (watcher, began) => {
      for (const index of watcher.left) {
        if (endedAt[index] + REMEMBERED_MS > began) continue;
        watcher.left.delete(index);
        const code = codeOf(watcher.verifier, tokens[index]);
        if (code !== "revoked") wrong.push(`verifier ${watcher.number}: session ${index} is ${code}`);
        waits.push(performance.now() - endedAt[index]);
      }
    };
    try {
      await Promise.all(watchers.map(async (watcher) => {
        watcher.verifier = await startVerifier((began) => check(watcher, began));
      }));
      for (const token of [...tokens, ...staying]) assert.equal(codeOf(watchers[0].verifier, token), "valid");

      await each(SESSIONS, async (index) => {
        assert.equal((await worker.endSession(tokens[index])).status, 204);
        endedAt[index] = performance.now();
      });
      const isDone = () => watchers.every(({ left }) => left.size === 0);
      for (const end = performance.now() + 60_000; !isDone(); await sleep(100)) assert.ok(performance.now() < end, "the verifiers have stopped polling");

      assert.deepEqual(wrong, []);
      assert.equal(waits.length, SESSIONS + SESSIONS / VERIFIERS * (VERIFIERS - 1));
      for (const token of staying) assert.equal(codeOf(watchers[0].verifier, token), "valid");
      context.diagnostic(`the last refusal was seen ${(Math.max(...waits) / 1000).toFixed(1)} s after its sign-out`);
    } finally {
      await Promise.all(watchers.map(({ verifier }) => verifier?.close()));
    }
  });
});
