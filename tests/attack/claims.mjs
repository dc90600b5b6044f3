// Attacks with wrong claims in a token that is signed with the right key.

import { attempt, control } from "./runner.mjs";
import { fromRows } from "./differential-tokens.mjs";
import { ALICE, AUDIENCE, ISSUER, goodToken, mint, now } from "./testbed.mjs";

const entry = (id, title, defence) => ({ id, title, defence, on: fromRows(id) });

export const claims = [
  entry("C1", "A token has no expiry, a malformed one, or has expired.", "exp is a whole number of seconds, in the future, and at most an hour after iat."),
  entry("C2", "A token is not valid yet, or its nbf is malformed.", "nbf, if present, is a whole number of seconds that has passed; every refusal is a SessionError."),
  entry("C3", "A token was issued in the future, or has no time of issue.", "iat is a whole number of seconds, and not in the future."),
  entry("C4", "A token is for another audience, or for several.", "aud is one string, equal to the expected one."),
  entry("C5", "A token comes from another issuer, or from one with a similar name.", "iss is one string, equal to the expected one."),
  entry("C6", "A token has no valid subject or session.", "sub and sid are 1 to 128 characters of A-Z, a-z, 0-9, _ and -."),
  {
    id: "C7",
    title: "A clock that is wrong, or that jumps, makes an expired or a future token valid.",
    defence: "Each verification reads the time once, and the tolerance is five seconds.",
    on: {
      async *node(testbed) {
        const time = now();
        const token = mint({ iat: time - 10, exp: time + 590, auth_time: time - 10 });
        /** Whether a verifier accepts the token when its clock is this many seconds off. */
        const isAccepted = async (seconds) => (await testbed.node(token, { at: time + seconds })).uid !== undefined;
        for (const seconds of [-86_400, -3600, -60, -16, 596, 600, 660, 3600, 86_400, 1e10, -time - 10, NaN, Infinity]) yield attempt(`the clock is ${seconds} seconds off`, await isAccepted(seconds));
        for (const seconds of [-14, -5, 0, 5, 594]) yield control(`the clock is ${seconds} seconds off`, await isAccepted(seconds));
        // The clock jumps past the expiry and back: an earlier verdict must not matter.
        for (const [seconds, expected] of [[0, true], [700, false], [0, true], [-700, false], [0, true]]) {
          const is = await isAccepted(seconds);
          yield expected ? control(`after a jump to ${seconds} s`, is) : attempt(`after a jump to ${seconds} s`, is);
        }
      },
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        const { sessionToken: token } = await worker.session();
        for (const aheadSeconds of [600, 601, 3600, 86_400]) yield worker.refuses(`${aheadSeconds} s later`, () => worker.call("/session", { token, overrides: { aheadSeconds } }), 401, "session_expired");
        for (const aheadSeconds of [-60, -86_400]) yield worker.refuses(`${-aheadSeconds} s earlier`, () => worker.call("/session", { token, overrides: { aheadSeconds } }), 401, "session_invalid");
        for (const aheadSeconds of [0, 590]) yield control(`${aheadSeconds} s later`, (await worker.call("/session", { token, overrides: { aheadSeconds } })).status === 200);
      },
    },
  },
  {
    id: "C8",
    title: "Error messages tell an attacker which part of a forged token was right, or which values are expected.",
    defence: "The signature is checked before any claim; no message contains the expected issuer or audience, or the token.",
    on: {
      ...fromRows("C8"),
      async *worker(testbed) {
        const worker = await testbed.worker;
        yield* fromRows("C8").worker(testbed);
        const texts = [];
        const changed = (token) => `${token.slice(0, -20)}${token.at(-20) === "A" ? "B" : "A"}${token.slice(-19)}`;
        for (const token of [changed(goodToken()), changed(mint({ sub: "nobody" })), changed(mint({ aud: "other" })), changed(mint({ exp: 1 })), changed(mint({ sid: "other" }))]) {
          const response = await worker.call("/session", { token });
          const { requestId, ...problem } = await response.json();
          texts.push(JSON.stringify(problem));
          yield attempt("the answer holds the token, the issuer or the audience", [token, ISSUER, AUDIENCE].some((text) => JSON.stringify(problem).includes(text)));
        }
        yield attempt("the answers differ", new Set(texts).size !== 1);
      },
      async *node(testbed) {
        yield* fromRows("C8").node(testbed);
        for (const members of [{ aud: "other" }, { iss: "https://other.example" }, { exp: now() - 100 }]) {
          const { text } = await testbed.node(mint(members));
          yield attempt(`the error about ${Object.keys(members)} shows an expected value`, [ISSUER, AUDIENCE].some((secret) => text.includes(secret)));
        }
        yield control("a good token", (await testbed.node(goodToken())).uid === ALICE);
      },
    },
  },
];
