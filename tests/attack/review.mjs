// Attacks that a review of the source found: with money, with time, with floods, and by bad luck.

import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../support/clock.mjs";
import { readFeed } from "../support/feed.mjs";
import { root } from "../../scripts/paths.mjs";
import { JSON_TYPE, user } from "../support/fake-pi.mjs";
import { abuse } from "./abuse.mjs";
import { attempt, control } from "./runner.mjs";
import { ALICE, APP, LIMIT, claimsOf, goodToken, now } from "./testbed.mjs";

const statusOf = async (response) => (await response).status;
const price = 31_400_000; // stroops
const sells = "INSERT INTO products (id, name, amount_stroops) VALUES ('coffee', 'Coffee', 31400000) ON CONFLICT (id) DO UPDATE SET active = 1";

/** Calls the wallet of the simulated Pi. */
const wallet = async (testbed, method, path, body, persona = "sim-alice") => {
  const response = await fetch(`${(await testbed.simulator).url}/simulator/${path}`, { method, headers: { authorization: `Bearer ${persona}` }, body: body && JSON.stringify(body) });
  return response.status === 204 ? undefined : response.json();
};

/** A shop with a signed-in user, and functions that order and pay. */
async function shopping(testbed, persona = "sim-alice") {
  const shop = await testbed.shop;
  await shop.sql(sells);
  const { sessionToken: token } = await shop.session(persona);
  const begin = async () => {
    const { orderId, amount, memo, metadata } = await (await shop.post("/orders", { productId: "coffee" }, { token })).json();
    const { identifier: id } = await wallet(testbed, "POST", "payments", { amount: Number(amount), memo, metadata }, persona);
    return { orderId, id };
  };
  const step = (id, name, body) => shop.call(`/payments/${id}/${name}`, { method: "POST", token, ...(body && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }) });
  const row = (id) => shop.database.prepare("SELECT * FROM payments WHERE id = ?").bind(id).first();
  const scheduled = (worker = shop) => fetch(`${worker.url}/cdn-cgi/local/scheduled`);
  return { shop, token, begin, step, row, scheduled };
}

/** Makes payments due this many seconds earlier, for the scheduled run. */
async function pass(worker, seconds) {
  await worker.sql("UPDATE payments SET due_at = due_at - ?", seconds);
  await worker.sql("UPDATE turns SET due_at = due_at - ?", seconds);
}

/** Sends the beginning of a request; `finish` sends the rest of its body. */
function begun(worker, method, path, headers, body) {
  const { port, hostname, host } = new URL(worker.url);
  const socket = connect({ port, host: hostname });
  let text = "";
  const answer = new Promise((done) => {
    socket.on("data", (chunk) => {
      text += chunk;
      if (text.includes("\r\n\r\n")) done(text);
    });
    socket.on("close", () => done(text));
    socket.on("error", () => done(text));
  });
  const lines = [`${method} ${path} HTTP/1.1`, `Host: ${host}`, "Content-Type: application/json", `Content-Length: ${body.length}`, ...headers];
  socket.write(`${lines.join("\r\n")}\r\n\r\n${body.slice(0, 1)}`);
  return { answer, finish: () => socket.write(body.slice(1)), close: () => socket.destroy() };
}

const codeOf = (answer) => /"code":"(\w+)"/.exec(answer)?.[1];
const statusIn = (answer) => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);

export const review = [
  {
    id: "R1",
    title: "The receiver of a payment from the app cancels it through the Worker while the transfer is under way.",
    defence: "Every payment whose direction is not user_to_app is refused: 422 payment_mismatch. Nothing is sent to Pi or written.",
    on: {
      async *worker(testbed) {
        const { shop, token, begin, step, row, scheduled } = await shopping(testbed);
        const { identifier } = await wallet(testbed, "POST", "payouts", { amount: 50, memo: "Prize", metadata: { prize: 1 } });
        const { sessionToken: bob } = await shop.session("sim-bob");
        for (const name of ["cancel", "recover", "approve"]) {
          yield shop.refuses(`${name} by the receiver`, () => step(identifier, name), 422, "payment_mismatch");
          yield shop.refuses(`${name} by another user`, () => shop.call(`/payments/${identifier}/${name}`, { method: "POST", token: bob }), [403, 422], ["payment_not_yours", "payment_mismatch"]);
        }
        yield shop.refuses("complete by the receiver", () => step(identifier, "complete", { txid: "a".repeat(64) }), 422, "payment_mismatch");
        await scheduled();
        const { payments } = await (await shop.call("/payments", { token })).json();
        yield attempt("it is listed as a payment of the user", payments.some(({ paymentId }) => paymentId === identifier));
        const ledger = await wallet(testbed, "GET", "ledger");
        const { status } = ledger.payments.find((payment) => payment.identifier === identifier);
        yield attempt("Pi's ledger shows it as cancelled", status.cancelled || status.user_cancelled);
        yield attempt("a row was written", (await row(identifier)) !== null);
        const { id } = await begin();
        yield control("a payment to the app is approved and cancelled", (await statusOf(step(id, "approve"))) === 200 && (await statusOf(step(id, "cancel"))) === 200);
      },
    },
  },
  {
    id: "R2",
    title: "A body arrives slowly, and the Worker judges the request by the time at which it began.",
    defence: "The Worker takes the time after the body has arrived; a body has twenty seconds: then 408.",
    isSlow: true,
    on: {
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        const owner = await worker.session();
        const late = begun(worker, "POST", "/session/refresh", [], JSON.stringify({ refreshToken: owner.refreshToken }));
        await sleep(100);
        yield control("the owner refreshes meanwhile", (await statusOf(worker.refresh(owner.refreshToken))) === 200);
        await worker.call("/health", { overrides: { aheadSeconds: 125 } });
        late.finish();
        const answer = await late.answer;
        yield attempt("the rest of a stolen refresh comes two minutes later", statusIn(answer) === 200, codeOf(answer) === "refresh_reused" ? "" : answer.slice(0, 80));
        late.close();

        const overrides = { bindings: { SESSION_TTL: "60" } };
        const { sessionToken } = await worker.session("token-alice", { overrides });
        const writing = begun(worker, "PUT", "/me/data", [`Authorization: Bearer ${sessionToken}`, 'If-Match: *', `X-Overrides: ${encodeURIComponent(JSON.stringify(overrides))}`], '{"late":"yes"}');
        await sleep(100);
        await worker.call("/health", { overrides: { aheadSeconds: 61 } });
        writing.finish();
        const written = await writing.answer;
        yield attempt("data is written by a token that expired while its body came", statusIn(written) < 400, codeOf(written) === "session_expired" ? "" : written.slice(0, 80));
        writing.close();

        const never = begun(worker, "POST", "/session", [], '{"accessToken":"token-alice"}');
        const began = performance.now();
        const given = await Promise.race([never.answer, sleep(30_000).then(() => "")]);
        yield attempt("a body that never comes keeps the Worker waiting for more than 25 seconds", performance.now() - began > 25_000, statusIn(given) === 408 ? "" : given.slice(0, 80));
        never.close();
      },
    },
  },
  {
    id: "R3",
    title: "A few accounts revoke so many sessions that the feed revokes everybody's tokens, again and again.",
    defence: "Ten sign-ins a minute for each user. A feed that cannot name every session has a fixed epoch, so refreshed tokens are valid.",
    isSlow: true,
    on: {
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        await worker.session();
        const time = now();
        await worker.sql(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 120001)
          INSERT INTO sessions (sid, uid, created_at, last_seen_at, token_expires_at, tokens_expire_at, expires_at, revoked_at, revocation)
          SELECT 'flood-' || n, ?1, ?2, ?2, ?2 + 600, ?2 + 600, ?2 + 600, ?2, ?2 * 1000 + n % 1000 FROM numbers`, ALICE, time - 30);
        const flooded = await worker.feed();
        yield control("the feed is flooded: it does not name all, and has an epoch", flooded.names.length <= 120_000 && flooded.epoch > 0);
        const { sessionToken: token } = await worker.session("token-bob");
        await sleep(1_100);
        const later = await worker.feed();
        yield attempt("the next feed revokes a new token", later.epoch > claimsOf(token).iat);
        yield attempt("the epoch moves with every feed", later.epoch >= now());
        yield control("the session is live at the Worker", (await statusOf(worker.call("/session", { token }))) === 200);
        await worker.sql("DELETE FROM sessions WHERE sid LIKE 'flood-%'");
        await testbed.calmMinute();
        const statuses = [];
        for (let i = 0; i < LIMIT + 2; i++) statuses.push(await statusOf((await testbed.limited).signIn("token-flood", { headers: { "cf-connecting-ip": `198.51.100.${i}` } })));
        yield attempt("one user signs in as often as wanted, from many addresses", statuses.filter((status) => status === 200).length > LIMIT);
        yield control("within the limit, the user signs in", statuses[0] === 200);
      },
    },
  },
  {
    id: "R4",
    title: "A backend answers session_revoked, and the page signs the user out for good.",
    defence: "The page renews the session once at the issuer; only the issuer can revoke it.",
    on: {
      async *browser(testbed) {
        const { page, issuer, elsewhere, close } = await testbed.page();
        const found = await page.evaluate(async ([issuer, backend]) => {
          const session = await api.signIn(Pi, { issuer, origins: [backend], onSignedOut: () => ended.push("signed out") });
          const refused = [];
          for (let i = 0; i < 5; i++) refused.push((await session.fetch(backend)).status);
          return { refused, ended: ended.length, live: (await session.fetch(`${issuer}/session`)).status, asked };
        }, [issuer.url, elsewhere.url]);
        yield attempt("the session is over on the page", found.ended > 0);
        yield attempt("Pi is asked again", found.asked > 1);
        yield control("the issuer still knows the session", found.live === 200);
        yield control("the page gets the backend's own answers", found.refused.every((status) => status === 401));
        await close();
      },
    },
  },
  {
    id: "R5",
    title: "A neighbour with the same address sends junk, so that nobody at that address can refresh.",
    defence: "A refresh token of this Worker counts only by session; any other one counts by address.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.limited;
        await testbed.calmMinute();
        const headers = { "cf-connecting-ip": "203.0.113.5" };
        testbed.answers["token-neighbour"] = user({ uid: "neighbour" });
        const mine = await worker.session("token-neighbour", { headers });
        const junk = [];
        for (let i = 0; i < LIMIT + 3; i++) junk.push(await statusOf(worker.refresh(`junk-${i}`, { headers })));
        yield control("the junk is limited", junk.at(-1) === 429);
        yield attempt("a good refresh from that address is refused", (await statusOf(worker.refresh(mine.refreshToken, { headers }))) !== 200);
        yield attempt("a sign-in from that address is refused", (await statusOf(worker.signIn("token-neighbour", { headers }))) !== 200);
      },
    },
  },
  {
    id: "R6",
    title: "One account creates endless orders, or has so many at its erasure that the database stalls.",
    defence: "Limits by session; at most twenty open orders of a user; unpaid orders are deleted after a day; erasure works in batches.",
    on: {
      async *worker(testbed) {
        const { shop } = await shopping(testbed);
        const { sessionToken: token } = await shop.session("sim-bob");
        const uid = claimsOf(token).sub;
        for (let i = 0; i < 50; i++) await (await shop.post("/orders", { productId: "coffee" }, { token })).arrayBuffer();
        const open = await shop.database.prepare("SELECT count(*) AS n FROM orders WHERE uid = ?").bind(uid).first("n");
        yield attempt("fifty orders stay open", open > 20);
        yield control("some orders are open", open > 0);
        await shop.sql(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 50000)
          INSERT INTO orders (id, uid, product_id, amount_stroops, memo, created_at) SELECT 'many-' || n, ?, 'coffee', ?, 'memo', ? FROM numbers`, uid, price, now() - 100);
        const erased = await shop.call("/me", { method: "DELETE", token });
        const changed = await shop.database.prepare("SELECT count(*) AS n FROM orders WHERE id LIKE 'many-%' AND uid IS NULL").first("n");
        yield attempt("the erasure of a user with 50,000 orders changes more than a few batches of them", changed > 5_000, erased.status === 204 ? "" : String(erased.status));
        yield shop.refuses("the erased user's session", () => shop.call("/me", { token }), 401, "session_revoked");
        await shop.sql("DELETE FROM orders WHERE id LIKE 'many-%'");
      },
    },
  },
  {
    id: "R7",
    title: "A user pays an old order, at an old price or for a product that is no longer sold.",
    defence: "The Worker approves an order within an hour, and only while its product is sold: otherwise 409 order_expired. It completes an approved payment.",
    on: {
      async *worker(testbed) {
        const { shop, begin, step } = await shopping(testbed);
        const old = await begin();
        await shop.sql("UPDATE orders SET created_at = created_at - 3700 WHERE id = ?", old.orderId);
        yield await shop.refuses("an hour-old order", () => step(old.id, "approve"), 409, "order_expired");
        const stopped = await begin();
        await shop.sql("UPDATE products SET active = 0 WHERE id = 'coffee'");
        yield await shop.refuses("a product that is no longer sold", () => step(stopped.id, "approve"), 409, "order_expired");
        await shop.sql(sells);
        yield control("while it is sold, it is approved", (await statusOf(step(stopped.id, "approve"))) === 200);
        const { transaction } = await wallet(testbed, "POST", `payments/${stopped.id}/pay`);
        await shop.sql("UPDATE orders SET created_at = created_at - 31536000 WHERE id = ?", stopped.orderId);
        const { state } = await (await step(stopped.id, "complete", { txid: transaction.txid })).json();
        yield attempt("an approved and paid order is not delivered, because it is old", state !== "paid");
        await step(old.id, "cancel");
      },
    },
  },
  {
    id: "R8",
    title: "Anyone reads the feed or the products endlessly, and each read queries the database.",
    defence: "Each process queries the database for them when what it knows is five seconds old. Reads without a session are limited by address, including those answered with 304.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.limited;
        await testbed.calmMinute();
        for (const [i, path] of ["/products", "/revocations"].entries()) {
          const etag = (await (await testbed.worker).call(path)).headers.get("etag");
          const headers = { "cf-connecting-ip": `203.0.113.${80 + i}`, ...(etag && { "if-none-match": etag }) };
          for (let each = 0; each < LIMIT; each++) yield control(`${path}, read ${each + 1}`, [200, 304].includes(await statusOf(worker.call(path, { headers }))));
          for (let each = 0; each < 2; each++) yield worker.refuses(`${path}, read ${LIMIT + each + 1}`, () => worker.call(path, { headers }), 429, "rate_limited");
        }
      },
    },
  },
  {
    id: "R9",
    title: "The abandoned payments of one account delay another account's paid one.",
    defence: "Users take turns, one payment each in a run; the Worker checks a payment at growing intervals, and finally gives up.",
    on: {
      async *worker(testbed) {
        const { shop, row, scheduled } = await shopping(testbed);
        const other = await shopping(testbed, "sim-bob");
        const old = now() - 5_000;
        const numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)";
        await shop.sql(`${numbers} INSERT INTO orders (id, uid, product_id, amount_stroops, memo, created_at) SELECT 'left-' || n, ?, 'coffee', ?, 'memo', ? FROM numbers`, ALICE, price, old);
        await shop.sql(`${numbers} INSERT INTO payments (id, order_id, uid, amount_stroops, state, created_at, updated_at, due_at) SELECT 'left-' || n, 'left-' || n, ?1, ?2, 'approved', ?3, ?3, ?3 FROM numbers`, ALICE, price, old);
        await shop.sql("INSERT INTO turns (payer, uid, due_at) VALUES (?1, ?1, ?2) ON CONFLICT (payer) DO UPDATE SET due_at = ?2", ALICE, old);
        const { id } = await other.begin();
        yield control("the other user's payment is approved", (await statusOf(other.step(id, "approve"))) === 200);
        await wallet(testbed, "POST", `payments/${id}/pay`, undefined, "sim-bob");
        for (let run = 0; run < 2; run++) {
          await pass(shop, 300);
          await scheduled();
        }
        yield attempt("after two runs, the paid order is not delivered", (await row(id)).state !== "paid");
        await shop.sql("DELETE FROM payments WHERE id LIKE 'left-%'");
        await shop.sql("DELETE FROM orders WHERE id LIKE 'left-%'");
      },
    },
  },
  {
    id: "R10",
    title: "Pi shows a payment as cancelled although its transaction is verified, and the Worker writes it off.",
    defence: "The payment counts as failed, the log warns with its id, and its row keeps the transaction for a person to check.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        await worker.sql(sells);
        const { sessionToken: token } = await worker.session();
        const { orderId } = await (await worker.post("/orders", { productId: "coffee" }, { token })).json();
        const id = `payment${now()}`;
        const txid = "ab".repeat(32);
        const payment = {
          identifier: id, user_uid: ALICE, amount: 3.14, memo: "Coffee", metadata: { orderId }, from_address: "G", to_address: "G", direction: "user_to_app", created_at: new Date().toISOString(), network: "Pi Testnet",
          status: { developer_approved: false, transaction_verified: false, developer_completed: false, cancelled: false, user_cancelled: false }, transaction: null,
        };
        const asked = [];
        testbed.answers[`Key ${testbed.piApiKey}`] = (request, response) => {
          asked.push(`${request.method} ${request.url}`);
          if (request.url.endsWith("/approve")) payment.status.developer_approved = true;
          response.writeHead(200, JSON_TYPE).end(JSON.stringify(payment));
        };
        yield control("it is approved", (await statusOf(worker.call(`/payments/${id}/approve`, { method: "POST", token }))) === 200);
        payment.status.user_cancelled = true;
        payment.status.transaction_verified = true;
        payment.transaction = { txid, verified: true, _link: "https://api.testnet.minepi.com/transactions/x" };
        asked.length = 0;
        await pass(worker, 600);
        const before = worker.logs.length;
        yield control("the scheduled run is answered", (await fetch(`${worker.url}/cdn-cgi/local/scheduled`)).status === 200);
        const warned = await eventually(() => worker.logs.slice(before).some((line) => line.includes(id) && /"level":"(warn|error)"/.test(line)));
        const row = await worker.database.prepare("SELECT state, txid FROM payments WHERE id = ?").bind(id).first();
        yield attempt("it is written off as cancelled", row.state === "cancelled");
        yield attempt("its transaction is forgotten", row.txid !== txid);
        yield attempt("the log does not warn with its id", !warned);
        for (const step of ["cancel", "recover"]) yield worker.refuses(`${step} by its user`, () => worker.call(`/payments/${id}/${step}`, { method: "POST", token }), 409, "payment_has_transaction");
        yield attempt("Pi was asked to cancel or complete it", asked.some((text) => text.startsWith("POST")));
        await worker.sql("DELETE FROM payments WHERE id = ?", id);
        delete testbed.answers[`Key ${testbed.piApiKey}`];
      },
    },
  },
  {
    id: "R11",
    title: "With a slow clock and a large tolerance, a verifier accepts a revoked session again after the feed has dropped it.",
    defence: "Revoked sessions stay in the feed for twice the largest tolerance after their tokens have expired.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        const bindings = { SESSION_TTL: "60" };
        for (const [how, method, path] of [["signed out", "DELETE", "/session"], ["erased", "DELETE", "/me"]]) {
          const { sessionToken: token } = await worker.session("token-bob", { overrides: { bindings } });
          const { sid } = claimsOf(token);
          yield control(`the user has ${how}`, (await statusOf(worker.call(path, { method, token, overrides: { bindings } }))) === 204);
          for (const aheadSeconds of [0, 59, 120, 170]) {
            const feed = readFeed(await (await worker.call("/revocations", { overrides: { bindings, aheadSeconds } })).arrayBuffer());
            yield attempt(`${how}: ${aheadSeconds} s later, the feed does not name the session`, !feed.has(sid));
          }
        }
      },
    },
  },
  {
    id: "R12",
    title: "The issuer hangs, and every request behind a middleware waits for it.",
    defence: "The middleware uses keys and a feed that are still valid immediately, and fetches newer ones in the background.",
    on: {
      async *node(testbed) {
        const { createVerifier } = await import("../../pkg/index.mjs");
        const { sessionFrom } = await import("../../pkg/middleware/fetch.mjs");
        let isHanging = false;
        const issuer = await testbed.issuer({ hangs: () => isHanging });
        const verifier = await createVerifier({ issuer: issuer.url, audience: "example-app", revocations: { pollSeconds: 1 } });
        const ask = async (token) => {
          const began = performance.now();
          const session = await sessionFrom(new Request("http://localhost/", { headers: { authorization: `Bearer ${token}` } }), verifier).catch((error) => error);
          return [session.uid, performance.now() - began];
        };
        isHanging = true;
        await sleep(1_500);
        for (let i = 0; i < 10; i++) {
          const [uid, took] = await ask(issuer.tokens.good);
          yield control(`request ${i + 1} is let through`, uid === "uid-alice");
          yield attempt(`request ${i + 1} waits`, took > 2_500); // a fetch gives up after three seconds
        }
        yield attempt("a revoked session is let through meanwhile", (await ask(issuer.tokens.revoked))[0] !== undefined);
        await verifier.close();
        await issuer.close();
      },
    },
  },
  {
    id: "R13",
    title: "A Worker in production signs with a key from a standard, or with one that is easy to guess.",
    defence: "500 misconfigured.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        const { thumbprint, publicKey, newKey } = await import("../../pkg/cli/keys.mjs");
        const jwk = (seed) => {
          const x = publicKey(seed);
          return { kty: "OKP", crv: "Ed25519", kid: thumbprint(x), x, d: seed.toString("base64url"), state: "active" };
        };
        const seeds = {
          "of RFC 8037": Buffer.from("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "base64url"), "of RFC 8032, test 2": Buffer.from("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "hex"),
          "of RFC 8032, test 3": Buffer.from("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "hex"), "of zeros": Buffer.alloc(32), "of ones": Buffer.alloc(32, 255), "of counting bytes": Buffer.from(Array.from({ length: 32 }, (_, i) => i)),
        };
        const production = { ENVIRONMENT: "production", RATE_LIMITS: "on" };
        const ask = (key, more = []) => worker.call("/.well-known/jwks.json", { overrides: { bindings: { ...production, SESSION_KEYS: JSON.stringify({ keys: [key, ...more] }) }, without: ["PI_API_BASE"] } });
        for (const [name, seed] of Object.entries(seeds)) {
          yield worker.refuses(`the key ${name}`, () => ask(jwk(seed)), 500, "misconfigured");
          yield worker.refuses(`the key ${name}, published but not signing`, () => ask(newKey(), [{ ...jwk(seed), state: "next" }]), 500, "misconfigured");
        }
        yield control("a generated key", (await statusOf(ask(newKey()))) === 200);
      },
    },
  },
  {
    id: "R14",
    title: "A sign-in that Pi answers late survives the revocation of all sessions, at the Worker or at verifiers.",
    defence: "The Worker takes the session's time after Pi's answer, and checks its epoch when it writes the session.",
    isSlow: true,
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        let release;
        testbed.answers["token-late"] = (_, response) => void (release = () => response.writeHead(200, JSON_TYPE).end(JSON.stringify(user({ uid: "late" }))));
        for (const path of ["/revoke-all", "/users/late/revoke"]) {
          release = undefined;
          const signingIn = worker.session("token-late");
          while (!release) await sleep(20);
          await sleep(1_100);
          yield control(`${path} is answered`, (await statusOf(worker.call(path, { method: "POST", token: testbed.credential }))) === 204);
          await sleep(1_100);
          const released = now();
          release();
          const { sessionToken: token } = await signingIn;
          const [live, feed] = [(await statusOf(worker.call("/session", { token }))) === 200, await worker.feed()];
          const { iat, sub } = claimsOf(token);
          const isRevoked = feed.epoch > iat || feed.users[sub] > iat;
          yield attempt(`after ${path}, the Worker and its feed say different things`, live === isRevoked);
          yield attempt(`after ${path}, the token was issued before`, iat < released);
        }
      },
    },
  },
  {
    id: "R15",
    title: "A dependency of the backend or of the page adds members to Object.prototype.",
    defence: "Only own members count as options, settings and answers.",
    on: {
      ...(({ node, browser }) => ({ node, browser }))(abuse.find(({ id }) => id === "A6").on),
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        for (const [name, value] of [["REFRESH_SECRET", testbed.refreshSecret], ["SESSION_KEYS", (await testbed.settings()).SESSION_KEYS], ["SESSION_ISSUER", "https://evil.example"], ["SESSION_AUDIENCE", "evil"]]) {
          yield worker.refuses(`a missing setting comes from Object.prototype.${name}`, () => worker.signIn("token-alice", { overrides: { without: [name], pollute: { [name]: value } } }), 500, "misconfigured");
        }
        const other = "attackers-credential";
        const hash = Buffer.from(await crypto.subtle.digest("SHA-256", Buffer.from(other))).toString("hex");
        yield worker.refuses("a credential from Object.prototype.BACKEND_CREDENTIALS", () => worker.call("/revoke-all", { method: "POST", token: other, overrides: { without: ["BACKEND_CREDENTIALS"], pollute: { BACKEND_CREDENTIALS: JSON.stringify({ evil: hash }) } } }), [401, 500], ["backend_rejected", "misconfigured"]);
        const origin = "https://evil.example";
        yield worker.refuses("an origin from Object.prototype.ALLOWED_ORIGINS", () => worker.signIn("token-alice", { headers: { origin }, overrides: { without: ["ALLOWED_ORIGINS"], pollute: { ALLOWED_ORIGINS: origin } } }), [403, 500], ["origin_not_allowed", "misconfigured"]);
      },
    },
  },
  {
    id: "R16",
    title: "The Worker reads large bodies from anyone, before it checks a credential.",
    defence: "The Worker checks the credential first; without a valid one, it does not wait for the body.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const routes = [["POST", "/orders", 16_000], ["POST", "/payments/x/complete", 16_000], ["PUT", "/me/data", 64_000], ["POST", "/notifications", 256_000], ["POST", "/introspect", 16_000]];
        for (const [method, path, length] of routes) {
          for (const credential of [[], ["Authorization: Bearer x"], [`Authorization: Bearer ${goodToken().slice(0, -4)}AAAA`], [`Origin: https://evil.example`]]) {
            const asked = begun(worker, method, path, credential, "x".repeat(length));
            const began = performance.now();
            const answer = await Promise.race([asked.answer, sleep(15_000).then(() => "")]);
            yield attempt(`${method} ${path} ${credential[0]?.slice(0, 24) ?? "without a credential"}: the body is waited for`, answer === "" || performance.now() - began > 12_000, [401, 403].includes(statusIn(answer)) ? "" : answer.slice(0, 60));
            asked.close();
          }
        }
        const { sessionToken: token } = await worker.session();
        const asked = begun(worker, "PUT", "/me/data", [`Authorization: Bearer ${token}`, "If-Match: *"], '{"good":true}');
        await sleep(50);
        asked.finish();
        yield control("with a session, the body is taken", [204, 412].includes(statusIn(await asked.answer)));
        asked.close();
      },
    },
  },
  {
    id: "R17",
    title: "The database or a limiter never answers, so the Worker never does either.",
    defence: "503 storage_unavailable after five seconds. The Worker waits one second for a limiter, then allows the attempt.",
    isSlow: true,
    on: {
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        const live = await worker.session();
        // In development, a Worker sets its database up first, which would wait as well.
        const overrides = { database: { how: "hangs" }, bindings: { ENVIRONMENT: "production", RATE_LIMITS: "on" }, without: ["PI_API_BASE"] };
        const began = performance.now();
        const sends = {
          "GET /session": worker.call("/session", { token: live.sessionToken, overrides }), "POST /session/refresh": worker.refresh(live.refreshToken, { overrides }), "GET /revocations": worker.call("/revocations", { overrides }),
          "GET /products": worker.call("/products", { overrides }), "DELETE /me": worker.call("/me", { method: "DELETE", token: live.sessionToken, overrides }),
        };
        const found = await Promise.all(Object.entries(sends).map(async ([name, sent]) => {
          const response = await sent;
          return [name, response.status, (await response.json()).code, performance.now() - began];
        }));
        for (const [name, status, code, took] of found) yield attempt(`${name} takes more than eight seconds, or succeeds`, took > 8_000 || status < 400, code === "storage_unavailable" ? "" : `${status} ${code}`);
        for (const limiter of ["hangs", "fails"]) {
          const start = performance.now();
          const response = await worker.signIn("token-alice", { overrides: { bindings: { RATE_LIMITS: "on" }, limiter } });
          yield attempt(`a limiter that ${limiter} delays a sign-in`, performance.now() - start > 4_000 || response.status !== 200);
        }
        yield control("the session is still valid", (await statusOf(worker.call("/session", { token: live.sessionToken }))) === 200);
      },
    },
  },
  {
    id: "R18",
    title: "Sessions that began for another app, or before PI_APP_ID was set, still work.",
    defence: "A session keeps the app for which it began; with another PI_APP_ID, its next refresh fails and revokes it.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        const mine = await worker.session();
        yield worker.refuses("after a change of PI_APP_ID", () => worker.refresh(mine.refreshToken, { overrides: { bindings: { PI_APP_ID: "other-app" } } }), 401, "refresh_rejected", { mayWrite: true });
        testbed.answers["token-any-app"] = user({ app_id: "attackers-app", uid: "any-app" });
        const open = await worker.session("token-any-app", { overrides: { without: ["PI_APP_ID"] } });
        yield attempt("without PI_APP_ID, a session says that it is of this app", claimsOf(open.sessionToken).app_bound);
        yield worker.refuses("once PI_APP_ID is set", () => worker.refresh(open.refreshToken), 401, "refresh_rejected", { mayWrite: true });
        const again = await worker.session();
        yield control("a session of this app is refreshed", (await statusOf(worker.refresh(again.refreshToken))) === 200);
      },
    },
  },
  {
    id: "R19",
    title: "A build uses versions of its tools and libraries that nobody has reviewed.",
    defence: "Every cargo install uses --locked, every version is exact, and the lock files are part of the source.",
    on: {
      async *source() {
        const read = (path) => readFileSync(`${root}/${path}`, "utf8");
        for (const path of ["scripts/setup.mjs", ".ci/run", "README.md", "CONTRIBUTING.md", "scripts/build.mjs", "tests/fuzz/run.mjs"]) {
          const installs = read(path).split("\n").filter((line) => /cargo\W+install/.test(line) && !/^\s*(\/\/|#)/.test(line));
          yield attempt(`${path} installs without --locked`, installs.some((line) => !line.includes("locked")));
        }
        const { devDependencies } = JSON.parse(read("package.json"));
        for (const [name, version] of Object.entries(devDependencies)) yield attempt(`${name} has a range of versions`, !/^(npm:[\w@/-]+@)?\d+\.\d+\.\d+(-[\w.-]+)?$/.test(version));
        const locked = read("Cargo.lock");
        yield attempt("a crate comes from elsewhere than crates.io", [...locked.matchAll(/^source = "(.+)"$/gm)].some(([, source]) => source !== "registry+https://github.com/rust-lang/crates.io-index"));
        yield control("the lock files are there", read("scripts/tools/Cargo.lock").includes("checksum") && locked.includes("checksum") && read("package-lock.json").includes("integrity"));
      },
    },
  },
  {
    id: "R20",
    title: "The public feed reveals more than it must.",
    defence: "It contains eight bytes of the id of each revoked session, and the uids of users whose sessions were all revoked; nothing else. SECURITY.md says so.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.worker;
        const gone = await worker.session("token-alice", { headers: { "user-agent": "agent4711", "cf-ipcountry": "DE" } });
        await worker.call("/session", { method: "DELETE", token: gone.sessionToken });
        await worker.call(`/users/${ALICE}/revoke`, { method: "POST", token: testbed.credential });
        const feed = await worker.feed();
        yield attempt("it has other members", JSON.stringify(Object.keys(claimsOf(feed.token)).sort()) !== JSON.stringify(["aud", "epoch", "exp", "from", "iat", "iss", "last_exp", "last_iat", "sids_sha256", "to", "users"]));
        yield attempt("a session is more than a fingerprint", feed.names.some((name) => !/^[0-9a-f]{16}$/.test(name)));
        yield attempt("a user is more than a uid and a time", Object.entries(feed.users).some(([uid, time]) => !/^[A-Za-z0-9_-]{1,128}$/.test(uid) || !Number.isSafeInteger(time)));
        for (const text of ["alice_pioneer", "agent4711", "\"DE\"", gone.refreshToken, APP]) yield attempt(`it has ${text.slice(0, 20)}`, JSON.stringify(feed).includes(text));
        yield control("it names the ended session or its user", feed.has(claimsOf(gone.sessionToken).sid) || ALICE in feed.users);
      },
    },
  },
  {
    id: "R21",
    title: "A refresh token is used, its answer is lost, and the session is lost with it.",
    defence: "The same refresh token returns the same successor until that successor is used, whatever failed in between.",
    on: {
      async *worker(testbed) {
        const worker = await testbed.instrumented;
        for (const failure of [{ signing: "fails" }, { database: { how: "fails", from: 2 } }]) {
          const mine = await worker.session();
          const first = await worker.refresh(mine.refreshToken, { overrides: failure });
          if (failure.signing) yield control("the signature of a refresh failed", first.status >= 500);
          const again = await worker.refresh(mine.refreshToken);
          const { sessionToken: token, refreshToken } = await again.json();
          yield attempt(`after ${JSON.stringify(failure)}, the session is lost`, again.status !== 200 || (await statusOf(worker.call("/session", { token }))) !== 200);
          yield control("its successor is good", (await statusOf(worker.refresh(refreshToken))) === 200);
        }
        const mine = await worker.session();
        const answers = [];
        for (let i = 0; i < 3; i++) answers.push(await (await worker.refresh(mine.refreshToken)).json());
        yield attempt("a lost answer is answered differently", new Set(answers.map(({ refreshToken }) => refreshToken)).size !== 1);
      },
    },
  },
];
