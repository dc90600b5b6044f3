// The checks that every platform must pass. Uses nothing but the package and the standard Request,
// Response and fetch, so that it runs on each of them.

const text = (value) => JSON.stringify(value);

function same(actual, expected) {
  if (text(actual) !== text(expected)) throw new Error(`${text(actual)} should be ${text(expected)}`);
}

/** The uid of a session, or the code of the error. */
async function outcome(action) {
  try {
    return (await action())?.uid ?? "no session";
  } catch (error) {
    return error?.code ?? String(error);
  }
}

const POLL_SECONDS = 1;
const REVOKED_WITHIN_MS = 10_000; // the poll, on a busy machine
const CALLS = 20;

/**
 * @param main the module `pioneer-session`
 * @param adapter the module `pioneer-session/fetch`
 * @param given what tests/platforms/platforms.mjs prepares
 * @param hasTimers whether timers run between requests, so that a verifier polls by itself
 */
function checksOf({ main: { SessionError, createVerifier, verify }, adapter: { refusal, sessionFrom } }, given, hasTimers) {
  const { issuer, audience, jwks, tokens } = given;
  const options = { issuer, audience };
  const inline = { ...options, jwks };
  const offline = () => Promise.reject(new Error("this verifier must not fetch"));
  const requestWith = (...lines) => {
    const headers = new Headers();
    for (const line of lines) headers.append("authorization", line);
    return new Request("https://app.example.com/profile", { headers });
  };

  return {
    async "keys that were passed"() {
      const verifier = await createVerifier({ ...inline, fetch: offline });
      const { uid, sid, username, scopes, appBound, expiresAt, claims } = verifier.warm().verify(tokens.good);
      same([uid, sid, username, scopes, appBound], ["uid-alice", "sid-alice", "alice_pioneer", ["username"], true]);
      same(expiresAt.getTime(), claims.exp * 1000);
      same(verifier.health(), { keysAgeSeconds: 0 });
      same(await outcome(() => verify(tokens.good, inline)), "uid-alice");
      await verifier.close();
    },

    async "keys that are fetched"() {
      let fetched = 0;
      const counted = { ...options, fetch: (url, init) => ((fetched += 1), fetch(url, init)) };
      const results = await Promise.all(Array.from({ length: CALLS }, () => outcome(() => verify(tokens.good, counted))));
      same([...new Set(results)], ["uid-alice"]);
      same(fetched, 1);
      const verifier = await createVerifier(options); // with the platform's own fetch
      same(verifier.verify(tokens.good).uid, "uid-alice");
      // Stays open: it must not keep the process alive.
    },

    async revocations() {
      const verifier = await createVerifier({ ...options, revocations: { pollSeconds: POLL_SECONDS }, cache: { max: 10 } });
      same(await outcome(() => verifier.verify(tokens.revoked)), "revoked");
      same(await outcome(() => verifier.verify(tokens.later)), "uid-alice");
      await fetch(given.revokeLater, { method: "POST" });
      const deadline = Date.now() + REVOKED_WITHIN_MS;
      let last;
      do {
        await new Promise((done) => setTimeout(done, 200));
        if (!hasTimers) await verifier.ready();
        last = await outcome(() => verifier.verify(tokens.later));
      } while (last === "uid-alice" && Date.now() < deadline);
      same(last, "revoked");
      same(await outcome(() => verifier.verify(tokens.good)), "uid-alice");
      await verifier.close();
    },

    async cache() {
      const verifier = await createVerifier({ ...inline, cache: { max: 2 } });
      const [first, second] = [verifier.verify(tokens.good), verifier.verify(tokens.good)];
      same([second.uid, Object.isFrozen(first.claims), second.claims === first.claims], ["uid-alice", true, true]);
      for (const token of [tokens.forged, tokens.expired]) same(typeof (await outcome(() => verifier.verify(token))), "string");
      same(await outcome(() => verifier.verify(tokens.forged)), "bad_signature");
      same(verifier.verify(tokens.good).uid, "uid-alice");
      await verifier.close();
    },

    async "error codes"() {
      const verifier = await createVerifier({ ...options, revocations: true });
      const verified = (token) => () => verifier.verify(token);
      const cases = {
        token_malformed: verified("a.b.c"),
        token_too_long: verified("a".repeat(5_000)),
        unknown_key: verified(tokens.unknownKey),
        bad_signature: verified(tokens.forged),
        wrong_issuer: verified(tokens.otherIssuer),
        wrong_audience: verified(tokens.otherAudience),
        not_yet_valid: verified(tokens.early),
        expired: verified(tokens.expired),
        invalid_claims: verified(tokens.noSubject),
        revoked: verified(tokens.revoked),
        keys_unavailable: () => createVerifier({ audience, issuer: given.withoutKeys }),
        revocations_unavailable: () => createVerifier({ audience, issuer: given.withoutFeed, revocations: true }),
        session_missing: () => sessionFrom(requestWith(), verifier),
        ambiguous_credentials: () => sessionFrom(requestWith(`Bearer ${tokens.good}`, `Bearer ${tokens.good}`), verifier),
        invalid_options: () => createVerifier({ issuer, audience: "" }),
      };
      same(Object.keys(cases).sort(), [...given.codes].sort());
      for (const [code, action] of Object.entries(cases)) {
        same(await outcome(action), code);
        const error = await Promise.resolve().then(action).catch((error) => error);
        same([error instanceof SessionError, error.name, error.help.endsWith(`#${code}`), error.hint.length > 0], [true, "SessionError", true, true]);
        for (const token of Object.values(tokens)) same(`${error.message}${error.hint}${error.stack}`.includes(token), false);
      }
      await verifier.close();
    },

    async "pioneer-session/fetch"() {
      const verifier = await createVerifier({ ...options, revocations: true });
      same((await sessionFrom(requestWith(`Bearer ${tokens.good}`), verifier)).uid, "uid-alice");
      for (const [lines, status, code] of [
        [[], 401, "session_missing"],
        [[`Bearer ${tokens.forged}`], 401, "session_invalid"],
        [[`Bearer ${tokens.expired}`], 401, "session_expired"],
        [[`Bearer ${tokens.revoked}`], 401, "session_revoked"],
        [[`Bearer ${tokens.good}`, `Bearer ${tokens.good}`], 400, "ambiguous_credentials"],
      ]) {
        const response = await sessionFrom(requestWith(...lines), verifier).then(() => undefined, refusal);
        const { headers } = response;
        same([response.status, headers.get("content-type"), headers.get("cache-control"), (await response.json()).code], [status, "application/problem+json", "no-store", code]);
        same(headers.has("www-authenticate"), status === 401);
      }
      const other = new Error("not about a session");
      same(await outcome(() => refusal(other)), String(other));
      await verifier.close();
    },

    async "attacking tokens"() {
      const verifiers = new Map();
      const clock = Date.now;
      Date.now = () => given.rowTime; // some tokens are valid for a second
      try {
        for (const { name, token, jwks, isAccepted } of given.rows) {
          const key = text(jwks);
          if (!verifiers.has(key)) verifiers.set(key, await createVerifier({ ...given.rowOptions, jwks }).catch((error) => error));
          const verifier = verifiers.get(key);
          let error = verifier instanceof Error ? verifier : undefined;
          try {
            if (!error) verifier.verify(token);
          } catch (thrown) {
            error = thrown;
          }
          if (error && !(error instanceof SessionError)) throw error;
          if (isAccepted === Boolean(error)) throw new Error(`${name}: ${error?.code ?? "accepted"}`);
        }
      } finally {
        Date.now = clock;
      }
    },
  };
}

/** Runs every check, and returns "passed" or the error of each. */
export async function conformance(modules, given, { hasTimers = true } = {}) {
  const results = {};
  for (const [name, check] of Object.entries(checksOf(modules, given, hasTimers))) {
    results[name] = await check().then(() => "passed", (error) => String(error?.stack ?? error));
  }
  return results;
}

/** The checks, in the order of the table. */
export const CHECKS = Object.keys(checksOf({ main: {}, adapter: {} }, { tokens: {} }, true));
