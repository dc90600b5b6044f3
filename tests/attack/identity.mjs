// Attacks that try to get a session of another user.

import { attempt, control } from "./runner.mjs";
import { ALICE, APP, BOB, claimsOf, now } from "./testbed.mjs";
import { JSON_TYPE, user } from "../support/fake-pi.mjs";

/** Makes Pi answer an access token with a value or a text, signs in with it, and expects this
 * refusal. */
async function* answered(testbed, answers, status, code) {
  const worker = await testbed.worker;
  for (const [name, answer] of answers) {
    const token = `identity-${Math.random().toString(36).slice(2)}`;
    const text = typeof answer === "string" ? answer : JSON.stringify(answer);
    testbed.answers[token] = (_, response) => response.writeHead(200, JSON_TYPE).end(text);
    yield worker.refuses(name, () => worker.signIn(token), status, code);
    delete testbed.answers[token];
  }
}

const withUid = (json) => `{"uid":${json},"username":"mallory","app_id":"test-app"}`;
const validUntil = (timestamp, more) => user({ credentials: { scopes: ["username"], valid_until: { timestamp, ...more } } });

export const identity = [
  {
    id: "I1",
    title: "A browser sends one user's access token with another user's data, to sign in as the other user.",
    defence: "The Worker reads the user only from Pi's /v2/me. The browser module sends only the access token and the thumbprint of its own key.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        await worker.session("token-bob");
        const spoofs = [
          { user: { uid: BOB, username: "bob_pioneer" } }, { uid: BOB }, { sub: BOB }, { userId: BOB, user_id: BOB }, { username: "bob_pioneer" }, { user: BOB },
          { user: [{ uid: BOB }] }, { credentials: { uid: BOB } }, { accesstoken: "token-bob" }, { access_token: "token-bob" }, { AccessToken: "token-bob" },
        ];
        const bodies = [...spoofs.map((spoof) => JSON.stringify({ accessToken: "token-alice", ...spoof })), `{"accessToken":"token-alice","__proto__":{"uid":"${BOB}","accessToken":"token-bob"}}`];
        for (const body of bodies) {
          const answer = await (await worker.post("/session", body)).json();
          const { sub } = claimsOf(answer.sessionToken);
          yield attempt(body, sub !== ALICE || answer.user.uid !== ALICE);
        }
        const headers = { "x-user": BOB, "x-pi-uid": BOB, "x-forwarded-user": BOB };
        yield attempt("headers that name a user", (await worker.session("token-alice", { headers })).user.uid !== ALICE);
        yield control("Bob's own token signs Bob in", (await worker.session("token-bob")).user.uid === BOB);
      },
      async *browser(testbed) {
        const { page, sent, issuer, close } = await testbed.page();
        const uid = await page.evaluate(async (issuer) => (await api.signIn(Pi, { issuer })).user.uid, issuer.url);
        yield attempt("Pi's SDK names another user than Pi", uid !== ALICE);
        const bodies = sent.filter((request) => request.method() === "POST").map((request) => request.postData());
        // The browser also sends the thumbprint of its own key.
        const [body, ...others] = bodies.map((text) => JSON.parse(text));
        const isMore = others.length > 0 || Object.keys(body).sort().join() !== "accessToken,dpopJkt" || body.accessToken !== "sim-alice" || !/^[\w-]{43}$/.test(body.dpopJkt);
        yield attempt("more than the access token and a thumbprint is sent", isMore);
        await close();
      },
    },
  },
  {
    id: "I2",
    title: "Users of another Pi app sign in here with that app's access tokens.",
    defence: "With PI_APP_ID set, Pi must confirm that the token was issued for this app: otherwise 403 wrong_app. The Worker finds accounts by uid, never by user name.",
    on: {
      async *worker(testbed) {
        yield* answered(testbed, [
          ...["other-app", "TEST-APP", " test-app", "test-app ", "test-app\u0000", "test-app,other-app", "tеst-app", 12345].map((app_id) => [`app_id ${JSON.stringify(app_id)}`, user({ app_id })]),
          ["no app_id", user({ app_id: undefined })],
          ["a null app_id", user({ app_id: null })],
          ["an empty app_id", user({ app_id: "" })],
        ], 403, "wrong_app");
        yield* answered(testbed, [["test-app"], { id: "test-app" }, true].map((app_id) => [`app_id ${JSON.stringify(app_id)}`, user({ app_id })]), [403, 502], ["wrong_app", "upstream_invalid"]);
        const worker = await testbed.worker;
        const alice = await worker.session();
        testbed.answers["token-namesake"] = user({ uid: "another-uid" });
        const namesake = await worker.session("token-namesake");
        yield attempt("a user with another uid and the victim's user name", namesake.user.uid === ALICE || claimsOf(namesake.sessionToken).sub === ALICE);
        yield control("the app's own users sign in", alice.user.uid === ALICE);
      },
    },
  },
  {
    id: "I3",
    title: "An attacker uses one access token again and again.",
    defence: "Each use starts a session of the same user. A user has at most ten sessions; the Worker revokes the oldest.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const first = await worker.session("token-bob");
        for (let i = 0; i < 11; i++) {
          await worker.sql("UPDATE sessions SET created_at = created_at - 1 WHERE uid = ?", BOB); // so that the next session is newer
          const { user: { uid, isNew } } = await worker.session("token-bob");
          yield attempt(`use ${i + 2} makes another user`, uid !== BOB || isNew);
        }
        const { live } = await worker.database.prepare("SELECT count(*) AS live FROM live_sessions WHERE uid = ? AND expires_at > ?").bind(BOB, now()).first();
        yield attempt("more than ten live sessions", live > 10);
        yield worker.refuses("the first of twelve sessions", () => worker.call("/session", { token: first.sessionToken }), 401, "session_revoked");
      },
    },
  },
  {
    id: "I4",
    title: "An access token has expired, or its expiry is malformed.",
    defence: "A valid_until in the past is 401. A malformed one is 502; it never counts as \"no expiry\".",
    on: {
      async *worker(testbed) {
        yield* answered(testbed, [["1970", validUntil(0)], ["a second after 1970", validUntil(1)], ["an hour ago", validUntil(now() - 3600)], ["before 1970", validUntil(-1)]], [401, 502], ["access_token_rejected", "upstream_invalid"]);
        yield* answered(testbed, [
          ["a text", validUntil("soon")], ["a number in a text", validUntil(String(now() + 3600))], ["null", validUntil(null)], ["an array", validUntil([now() + 3600])], ["true", validUntil(true)],
          ["an object", validUntil({})], ["1e400", `{"uid":"${ALICE}","app_id":"test-app","credentials":{"scopes":[],"valid_until":{"timestamp":1e400}}}`],
          ["NaN", `{"uid":"${ALICE}","app_id":"test-app","credentials":{"scopes":[],"valid_until":{"timestamp":NaN}}}`],
        ], 502, "upstream_invalid");
      },
    },
  },
  {
    id: "I5",
    title: "A hostile page signs its visitor in as the attacker.",
    defence: "The Worker refuses an Origin that is neither in ALLOWED_ORIGINS nor the issuer's own, on every route, with or without a cookie.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const origins = ["null", `${APP}.evil.example`, "https://evil-app.example.com", "http://app.example.com", `${APP}:444`, APP.toUpperCase(), `${APP}.`, `${APP}/`, "https://example.com", "https://evil.example", `${APP},https://evil.example`, `${APP} `.trim().replace("a", "а")];
        for (const origin of origins) {
          const header = Buffer.from(origin).toString("latin1");
          yield worker.refuses(`from ${origin}`, () => worker.post("/session", { accessToken: "token-alice" }, { headers: { origin: header } }), 403, "origin_not_allowed");
        }
        yield worker.refuses("as a form without an Origin", () => worker.post("/session", "accessToken=token-alice", { headers: { "content-type": "application/x-www-form-urlencoded" } }), 415, "unsupported_media_type");
        yield control("a listed origin signs in", (await worker.signIn("token-alice", { headers: { origin: APP } })).status === 200);
      },
    },
  },
  {
    id: "I6",
    title: "Pi, or a server that impersonates it, answers with a malformed uid.",
    defence: "A uid is 1 to 128 characters of A-Z, a-z, 0-9, _ and -; anything else is 502. D1 gets only bound parameters.",
    on: {
      async *worker(testbed) {
        const odd = [
          "", " ", "a b", "a\u0000b", "a\r\nb", "../etc/passwd", "'; DROP TABLE users; --", "😀", "\u202eecila", "é", "e\u0301", "a".repeat(129), "a/b", "a.b", "a%20b", "<script>", 7, 1.5, ["a"],
          { uid: "a" }, null, true,
        ];
        yield* answered(testbed, odd.map((uid) => [`uid ${JSON.stringify(uid).slice(0, 40)}`, withUid(JSON.stringify(uid))]), 502, "upstream_invalid");
        yield* answered(testbed, [["no uid", '{"username":"mallory","app_id":"test-app"}'], ["half a surrogate pair", withUid('"\\ud800"')]], 502, "upstream_invalid");
        const worker = await testbed.worker;
        for (const uid of ["__proto__", "constructor", "MIXED-CASE", "mixed-case", "a".repeat(128)]) {
          testbed.answers["token-odd"] = user({ uid, username: "odd" });
          yield control(`the uid ${uid.slice(0, 20)} is a user`, (await worker.session("token-odd")).user.uid === uid);
        }
        const distinct = await worker.database.prepare("SELECT count(*) AS n FROM users WHERE lower(uid) = 'mixed-case'").first("n");
        yield attempt("two uids that differ in case are one user", distinct !== 2);
      },
    },
  },
  {
    id: "I7",
    title: "Pi's answer has a duplicate name, so that two parsers read two different users.",
    defence: "Duplicate names in Pi's answer are 502, even if one is written with an escape.",
    on: {
      async *worker(testbed) {
        yield* answered(testbed, [
          ["uid", `{"uid":"${ALICE}","uid":"${BOB}","app_id":"test-app"}`],
          ["uid, one with an escape", `{"uid":"${ALICE}","ui\\u0064":"${BOB}","app_id":"test-app"}`],
          ["uid, twice the same", `{"uid":"${ALICE}","uid":"${ALICE}","app_id":"test-app"}`],
          ["app_id", `{"uid":"${ALICE}","app_id":"other-app","app_id":"test-app"}`],
          ["credentials", `{"uid":"${ALICE}","app_id":"test-app","credentials":{"scopes":[],"scopes":["payments"]}}`],
        ], 502, "upstream_invalid");
      },
    },
  },
];

