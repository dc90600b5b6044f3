// Attacks on the life of a session: its refresh, its revocation, and failures of the database.

import { randomBytes } from "node:crypto";
import { calculateThumbprint, generateKeyPair, generateProof } from "dpop";
import { eventually } from "../support/clock.mjs";
import { attempt, control } from "./runner.mjs";
import { ALICE, APP, AUDIENCE, ISSUER, claimsOf, mint, now } from "./testbed.mjs";

const statusOf = async (response) => (await response).status;

/** Makes every session of a user this many seconds older. */
const age = (worker, seconds, uid = ALICE) => worker.sql("UPDATE sessions SET last_seen_at = last_seen_at - ?1, created_at = created_at - ?1 WHERE uid = ?2 AND sid NOT LIKE 'c2Vzc2lvbi1v%'", seconds, uid);

export const session = [
  {
    id: "S1",
    title: "A session still works after its user has signed out.",
    defence: "The Worker refuses it immediately; verifiers with revocations refuse it within the poll interval.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const [gone, other] = [await worker.session(), await worker.session()];
        yield control("the sign-out is answered", (await statusOf(worker.call("/session", { method: "DELETE", token: gone.sessionToken }))) === 204);
        for (const [method, path] of [["GET", "/session"], ["GET", "/me"], ["GET", "/me/data"], ["GET", "/sessions"], ["GET", "/payments"], ["DELETE", "/sessions"], ["DELETE", "/me"], ["DELETE", "/session"], ["POST", "/payments/x/cancel"]]) {
          yield worker.refuses(`${method} ${path}`, () => worker.call(path, { method, token: gone.sessionToken }), 401, "session_revoked");
        }
        yield worker.refuses("POST /orders", () => worker.post("/orders", { productId: "x" }, { token: gone.sessionToken }), 401, "session_revoked");
        yield worker.refuses("PUT /me/data", () => worker.call("/me/data", { method: "PUT", body: "{}", token: gone.sessionToken, headers: { "content-type": "application/json", "if-match": "*" } }), 401, "session_revoked");
        yield worker.refuses("its refresh token", () => worker.refresh(gone.refreshToken), 401, "refresh_rejected");
        const shown = await (await worker.call("/introspect", { method: "POST", token: testbed.credential, body: new URLSearchParams({ token: gone.sessionToken }) })).json();
        yield attempt("it is introspected as active", shown.active);
        yield attempt("the feed does not name it", !(await worker.feed()).has(claimsOf(gone.sessionToken).sid));
        yield control("another device stays signed in", (await statusOf(worker.call("/session", { token: other.sessionToken }))) === 200);
      },
      async *node(testbed) {
        const { createVerifier } = await import("../../pkg/index.mjs");
        const issuer = await testbed.issuer();
        const made = await createVerifier({ issuer: issuer.url, audience: "example-app", revocations: { pollSeconds: 1 }, cache: { max: 10 } });
        const [gone, other] = [issuer.token({ sid: "going" }), issuer.token({ sid: "staying" })];
        const is = (token) => {
          try {
            return made.verify(token).uid !== undefined;
          } catch {
            return false;
          }
        };
        yield control("both tokens are valid at first", is(gone) && is(other));
        const polls = () => issuer.asked.filter((path) => path === "/revocations").length;
        const before = polls();
        issuer.end("going");
        // A poll can be under way, and the third begins when the second has been read.
        yield control("the verifier polls", await eventually(() => polls() >= before + 3));
        yield attempt("it is accepted after the next poll", is(gone));
        yield attempt("a token that was revoked earlier", is(issuer.tokens.revoked));
        yield control("the other token stays valid", is(other));
        await made.close();
        await issuer.close();
      },
    },
  },
  {
    id: "S2",
    title: "A session survives when all sessions of a user, or of everybody, are revoked, or when a user has too many.",
    defence: "Every request checks valid_after and the epoch; the Worker revokes the oldest session beyond the limit.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const asBackend = (path) => worker.call(path, { method: "POST", token: testbed.credential });
        const [alice, bob] = [await worker.session(), await worker.session("token-bob")];
        await age(worker, 60);
        yield control("a backend revokes a user's sessions", (await statusOf(asBackend(`/users/${ALICE}/revoke`))) === 204);
        yield worker.refuses("an earlier session", () => worker.call("/session", { token: alice.sessionToken }), 401, "session_revoked");
        yield worker.refuses("its refresh", () => worker.refresh(alice.refreshToken), 401, "refresh_rejected");
        yield control("another user's session stays valid", (await statusOf(worker.call("/session", { token: bob.sessionToken }))) === 200);
        const fresh = await worker.session();
        yield control("a later session, in the same second", (await statusOf(worker.call("/session", { token: fresh.sessionToken }))) === 200);
        yield control("everybody's sessions are revoked", (await statusOf(asBackend("/revoke-all"))) === 204);
        for (const [name, { sessionToken, refreshToken }] of Object.entries({ Alice: fresh, Bob: bob })) {
          yield worker.refuses(`${name}'s session`, () => worker.call("/session", { token: sessionToken }), 401, "session_revoked");
          yield worker.refuses(`${name}'s refresh`, () => worker.refresh(refreshToken), 401, "refresh_rejected");
        }
        yield attempt("the feed does not revoke them", !((await worker.feed()).epoch >= claimsOf(fresh.sessionToken).iat));
        const erased = await worker.session("token-bob");
        yield control("Bob is erased", (await statusOf(worker.call("/me", { method: "DELETE", token: erased.sessionToken }))) === 204);
        yield worker.refuses("an erased user's session", () => worker.call("/session", { token: erased.sessionToken }), 401, "session_revoked");
        yield worker.refuses("an erased user's refresh", () => worker.refresh(erased.refreshToken), 401, "refresh_rejected");
      },
    },
  },
  {
    id: "S3",
    title: "A thief uses a stolen refresh token while its owner uses it too.",
    defence: "A refresh token works only with the browser's key. Without a key, it works once: when two clients use it, the Worker revokes the session.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        for (const name of ["the owner first", "the thief first"]) {
          const stolen = await worker.session();
          const one = await (await worker.refresh(stolen.refreshToken)).json();
          yield control(`${name}: the first use`, typeof one.refreshToken === "string");
          await age(worker, 121);
          yield await worker.refuses(`${name}: the second use, two minutes later`, () => worker.refresh(stolen.refreshToken), 401, "refresh_reused", { mayWrite: true });
          yield await worker.refuses(`${name}: the successor afterwards`, () => worker.refresh(one.refreshToken), 401, "refresh_rejected");
          yield await worker.refuses(`${name}: its session token`, () => worker.call("/session", { token: one.sessionToken }), 401, "session_revoked");
        }
        const racers = await worker.session();
        const answers = await Promise.all(Array.from({ length: 50 }, async () => (await worker.refresh(racers.refreshToken)).json()));
        yield attempt("fifty simultaneous refreshes return two successors", new Set(answers.map(({ refreshToken }) => refreshToken)).size !== 1);
        yield attempt("fifty simultaneous refreshes return two session tokens", new Set(answers.map(({ sessionToken }) => sessionToken)).size !== 1);
        const second = await (await worker.refresh(answers[0].refreshToken)).json();
        yield await worker.refuses("the token before the last one", () => worker.refresh(racers.refreshToken), 401, "refresh_reused", { mayWrite: true });
        yield await worker.refuses("the newest token afterwards", () => worker.refresh(second.refreshToken), 401, "refresh_rejected");
        const [key, thief] = [await generateKeyPair("ES256"), await generateKeyPair("ES256")];
        const url = `${ISSUER}/session/refresh`;
        const prove = (pair, method = "POST", of = url) => generateProof(pair, of, method);
        const bound = await worker.session("token-alice", { dpopJkt: await calculateThumbprint(key.publicKey) });
        const withProof = async (proof) => worker.refresh(bound.refreshToken, { headers: { dpop: await proof } });
        yield worker.refuses("a key-bound token without a proof", () => worker.refresh(bound.refreshToken), 401, "invalid_dpop_proof");
        for (const [name, make] of [
          ["by the thief's key", () => prove(thief)],
          ["for another URL", () => prove(key, "POST", `${ISSUER}/session`)],
          ["for another method", () => prove(key, "GET")],
        ]) yield worker.refuses(`a key-bound token with a proof ${name}`, () => withProof(make()), 401, "invalid_dpop_proof");
        const once = await prove(key);
        yield control("its owner's proof", (await statusOf(withProof(once))) === 200);
        yield worker.refuses("the owner's proof again", () => withProof(once), 401, "invalid_dpop_proof");
        yield control("the owner stays signed in", (await statusOf(withProof(prove(key)))) === 200);
        const forged = await worker.session();
        for (const at of [0, 10, 21, 30, 40]) {
          const text = forged.refreshToken;
          const changed = text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
          yield worker.refuses(`a refresh token with another character at ${at}`, () => worker.refresh(changed), [401, 400], ["refresh_rejected", "invalid_request"]);
        }
        yield control("the unchanged token", (await statusOf(worker.refresh(forged.refreshToken))) === 200);
      },
    },
  },
  {
    id: "S4",
    title: "A session lasts forever because it is refreshed again and again.",
    defence: "A session expires a week after its last refresh and a month after its sign-in, however often it is refreshed.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        const DAY = 86_400;
        const idle = await worker.session();
        yield worker.refuses("a week without a refresh", () => worker.refresh(idle.refreshToken, { overrides: { aheadSeconds: 7 * DAY + 1 } }), 401, "refresh_rejected");
        let { refreshToken } = await worker.session("token-bob");
        for (let day = 6; day < 30; day += 6) {
          const answer = await (await worker.refresh(refreshToken, { overrides: { aheadSeconds: day * DAY } })).json();
          yield control(`it is refreshed on day ${day}`, typeof answer.refreshToken === "string");
          yield attempt(`on day ${day}, its end moves beyond a month`, Date.parse(answer.refreshExpiresAt) > Date.now() + 30 * DAY * 1000 + 5_000);
          refreshToken = answer.refreshToken;
        }
        yield worker.refuses("after a month", () => worker.refresh(refreshToken, { overrides: { aheadSeconds: 30 * DAY + 1 } }), 401, "refresh_rejected");
      },
    },
  },
  {
    id: "S5",
    title: "The attacker plants a session in a browser, and it becomes the victim's.",
    defence: "Every sign-in starts a new session and revokes the browser's earlier one. The Worker adopts no cookie value.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const planted = await worker.session("token-bob");
        const victim = await worker.session("token-alice", { cookies: planted.cookies, headers: { origin: APP } });
        yield attempt("the earlier session becomes Alice's", claimsOf(victim.sessionToken).sid === claimsOf(planted.sessionToken).sid);
        yield worker.refuses("the planted session afterwards", () => worker.call("/session", { token: planted.sessionToken }), 401, "session_revoked");
        const again = await worker.session("token-alice", { cookies: victim.cookies, headers: { origin: APP } });
        yield attempt("a second sign-in keeps the session's id", claimsOf(again.sessionToken).sid === claimsOf(victim.sessionToken).sid);
        const made = await worker.session("token-alice", { cookies: ["__Host-pi_session=planted", "__Host-pi_refresh=planted"], headers: { origin: APP } });
        yield attempt("an invented cookie becomes the session's id", claimsOf(made.sessionToken).sid === "planted" || made.cookies.some((cookie) => cookie.endsWith("planted")));
        yield control("the session of the sign-in is live", (await statusOf(worker.call("/session", { token: made.sessionToken }))) === 200);
      },
    },
  },
  {
    id: "S6",
    title: "A token of one kind is used as one of another kind, such as a refresh token or an operator's as a session token, or at another app.",
    defence: "Each kind of token has its own form, key and check; each app has its own audience and secret.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        const mine = await worker.session();
        yield worker.refuses("a refresh token as a session token", () => worker.call("/session", { token: mine.refreshToken }), 401, "session_invalid");
        yield worker.refuses("a session token as a refresh token", () => worker.refresh(mine.sessionToken), 401, "refresh_rejected");
        yield worker.refuses("a session token as an access token", () => worker.signIn(mine.sessionToken), 401, "access_token_rejected");
        yield worker.refuses("a session token as a backend credential", () => worker.call("/revoke-all", { method: "POST", token: mine.sessionToken }), 401, "backend_rejected");
        yield worker.refuses("an id of the session as a refresh token", () => worker.refresh(claimsOf(mine.sessionToken).sid), 401, "refresh_rejected");
        const operate = (method, token, more) => worker.call("/admin/session", { method, token, ...more });
        const { operatorToken } = await (await operate("POST", testbed.operator)).json();
        yield worker.refuses("an operator token as a session token", () => worker.call("/session", { token: operatorToken }), 401, "session_invalid");
        yield worker.refuses("an operator token as a refresh token", () => worker.refresh(operatorToken), 401, "refresh_rejected");
        yield worker.refuses("an operator token as an access token", () => worker.signIn(operatorToken), 401, "access_token_rejected");
        yield worker.refuses("an operator token as a backend credential", () => worker.call("/revoke-all", { method: "POST", token: operatorToken }), 401, "backend_rejected");
        yield worker.refuses("an operator token for the next one", () => operate("POST", operatorToken), 401, "operator_rejected");
        for (const method of ["GET", "POST"]) {
          for (const [name, token] of Object.entries({ "a session token": mine.sessionToken, "a refresh token": mine.refreshToken, "a backend credential": testbed.credential })) {
            yield worker.refuses(`${method}: ${name} of an operator`, () => operate(method, token), 401, "operator_rejected");
          }
        }
        const gone = { bindings: { OPERATOR_CREDENTIALS: "{}" } };
        yield worker.refuses("the token of an operator who was taken out", () => operate("GET", operatorToken, { overrides: gone }), 401, "operator_rejected");
        yield worker.refuses("an operator token where there are no operators", () => operate("GET", operatorToken, { overrides: { without: ["OPERATOR_CREDENTIALS"] } }), 404, "not_found");
        yield worker.refuses("an operator token in a deployment for the app", () => operate("GET", operatorToken, { overrides: { bindings: { SERVES: "app" } } }), 404, "not_found");
        yield worker.refuses("an operator token from a listed page", () => operate("GET", operatorToken, { headers: { origin: APP } }), 403, "origin_not_allowed");
        yield control("the operator's own token", (await statusOf(operate("GET", operatorToken))) === 200);
        const other = { bindings: { SESSION_AUDIENCE: "other-app" } };
        yield worker.refuses("a session token at another app with the same keys", () => worker.call("/session", { token: mine.sessionToken, overrides: other }), 401, "session_invalid");
        const secret = { bindings: { REFRESH_SECRET: randomBytes(32).toString("base64url") } };
        yield worker.refuses("a refresh token at an app with another secret", () => worker.refresh(mine.refreshToken, { overrides: secret }), 401, "refresh_rejected");
        yield worker.refuses("a token for another audience", () => worker.call("/session", { token: mint({ aud: "other-app" }) }), 401, "session_invalid");
        yield control("each token in its own place", (await statusOf(worker.call("/session", { token: mine.sessionToken }))) === 200 && (await statusOf(worker.refresh(mine.refreshToken))) === 200);
      },
      async *node(testbed) {
        for (const members of [{ aud: "other-app" }, { aud: `${AUDIENCE} ` }, { iss: `${ISSUER}:444` }]) yield attempt(JSON.stringify(members), (await testbed.node(mint(members))).uid !== undefined);
      },
    },
  },
  {
    id: "S7",
    title: "The database fails at some statement, and the Worker issues a session without a row, or leaves half a change.",
    defence: "Each change is one transaction: 503 storage_unavailable, and nothing is written.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        const live = await worker.session();
        const json = { "content-type": "application/json", "if-match": "*" };
        const routes = {
          "POST /session": (overrides) => worker.signIn("token-alice", { overrides }),
          "POST /session/refresh": (overrides) => worker.refresh(live.refreshToken, { overrides }),
          "GET /session": (overrides) => worker.call("/session", { token: live.sessionToken, overrides }),
          "DELETE /session": (overrides) => worker.call("/session", { method: "DELETE", token: live.sessionToken, overrides }),
          "DELETE /sessions": (overrides) => worker.call("/sessions", { method: "DELETE", token: live.sessionToken, overrides }),
          "PUT /me/data": (overrides) => worker.call("/me/data", { method: "PUT", body: "{}", headers: json, token: live.sessionToken, overrides }),
          "DELETE /me": (overrides) => worker.call("/me", { method: "DELETE", token: live.sessionToken, overrides }),
          "GET /me": (overrides) => worker.call("/me", { token: live.sessionToken, overrides }),
          "POST /users/{uid}/revoke": (overrides) => worker.call(`/users/${ALICE}/revoke`, { method: "POST", token: testbed.credential, overrides }),
          "POST /revoke-all": (overrides) => worker.call("/revoke-all", { method: "POST", token: testbed.credential, overrides }),
          "POST /introspect": (overrides) => worker.call("/introspect", { method: "POST", token: testbed.credential, body: new URLSearchParams({ token: live.sessionToken }), overrides }),
          "GET /revocations": (overrides) => worker.call("/revocations", { overrides }),
          "GET /products": (overrides) => worker.call("/products", { overrides }),
          "POST /orders": (overrides) => worker.post("/orders", { productId: "x" }, { token: live.sessionToken, overrides }),
        };
        yield control("data is written", (await statusOf(worker.call("/me/data", { method: "PUT", body: "{}", headers: { "content-type": "application/json" }, token: live.sessionToken }))) === 204);
        for (const [name, send] of Object.entries(routes)) yield worker.refuses(`${name}: the first use of the database fails`, () => send({ database: { how: "fails" } }), 503, "storage_unavailable");
        // A statement of a transaction fails: the database must undo the ones before it.
        for (const [what, name] of [["INSERT ON sessions", "POST /session"], ["INSERT ON users", "POST /session"], ["UPDATE ON users", "POST /session"], ["UPDATE ON sessions", "POST /session/refresh"], ["UPDATE ON sessions", "DELETE /session"], ["UPDATE ON sessions", "DELETE /sessions"], ["UPDATE ON users", "PUT /me/data"], ["INSERT ON epochs", "POST /revoke-all"]]) {
          await worker.sql(`CREATE TRIGGER broken BEFORE ${what} BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`);
          yield await worker.refuses(`${name}: ${what} fails`, () => routes[name]({}), 503, "storage_unavailable");
          await worker.sql("DROP TRIGGER broken");
        }
        yield control("afterwards, the session is still valid", (await statusOf(worker.call("/session", { token: live.sessionToken }))) === 200 && (await statusOf(worker.refresh(live.refreshToken))) === 200);
      },
    },
  },
  {
    id: "S8",
    title: "A user name is stored without consent, or an erased user's data remains.",
    defence: "The Worker stores and signs a user name only with its scope; DELETE /me erases the user and leaves no name in any table.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        testbed.answers["token-unnamed"] = { uid: "unnamed-user", app_id: "test-app", credentials: { scopes: ["payments"], valid_until: { timestamp: now() + 3600 } } };
        const unnamed = await worker.session("token-unnamed");
        yield attempt("without the scope, a user name is in the token", "preferred_username" in claimsOf(unnamed.sessionToken));
        testbed.answers["token-erased"] = { uid: "erased-user-4711", username: "erased_name_4711", app_id: "test-app", credentials: { scopes: ["username"], valid_until: { timestamp: now() + 3600 } } };
        const erased = await worker.session("token-erased", { headers: { "user-agent": "erased-agent-4711" } });
        const token = erased.sessionToken;
        await worker.call("/me/data", { method: "PUT", body: '{"secret":"erased-data-4711"}', headers: { "content-type": "application/json" }, token });
        await worker.sql("INSERT OR IGNORE INTO products (id, name, amount_stroops) VALUES ('coffee', 'Coffee', 31400000)");
        const order = await worker.post("/orders", { productId: "coffee" }, { token });
        yield control("the user has data and an order", order.status === 201 && JSON.stringify(await (await worker.call("/me", { token })).json()).includes("erased-data-4711"));
        const contents = async () => {
          let text = "";
          const { results: tables } = await worker.database.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'").all();
          for (const { name } of tables) text += JSON.stringify((await worker.database.prepare(`SELECT * FROM ${name}`).all()).results);
          return text;
        };
        yield control("the tables name the user before", /erased-user-4711/.test(await contents()) && /erased_name_4711/.test(await contents()));
        yield control("the erasure is answered", (await statusOf(worker.call("/me", { method: "DELETE", token }))) === 204);
        const after = await contents();
        for (const text of ["erased-user-4711", "erased_name_4711", "erased-data-4711", "erased-agent-4711"]) yield attempt(`${text} is still in a table`, after.includes(text));
        yield attempt("the feed names the user", JSON.stringify(await worker.feed()).includes("erased-user-4711"));
        yield attempt("the log has more of the user than the id", worker.logs.some((line) => /erased_name_4711|erased-data-4711|erased-agent-4711/.test(line)));
        const answer = await worker.call("/users/erased-user-4711", { token: testbed.credential });
        yield attempt("a backend still sees the user", answer.ok, answer.status === 404 ? "" : String(answer.status));
      },
    },
  },
];
