// Counts the rows that D1 reads and writes for each operation, and what a million users cost in a
// month. D1 charges for rows, entries of indexes included.

import assert from "node:assert/strict";

const MAX_SESSIONS = 10; // the Worker's limit, which countRows checks
/** Sessions of a user that have ended, while their tokens are still valid. With more than a hundred,
 * the feed names the user instead of the sessions. */
const ENDED = 120;

/** What a user does in a month. It is an assumption: replace it with an app's own figures. A
 * sign-in deletes the session of an earlier one, as it does once sessions begin to expire. */
const MONTH = { "sign-in, deletes an expired session": 8, "refresh": 16, "session check": 16 };
/** Cloudflare's prices in dollars for a million rows, requests or milliseconds of CPU time, and how
 * many millions its paid plan includes. */
const PRICES = {
  read: { dollars: 0.001, included: 25_000 },
  written: { dollars: 1, included: 50 },
  requests: { dollars: 0.3, included: 10 },
  cpuMs: { dollars: 0.02, included: 30 },
};
const PURCHASE = ["order", "approve", "complete"];

/** Inserts past sessions of a user. */
const insert = (database, { uid }, count, expiresAt, revokedAt) =>
  database.prepare(`WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count})
    INSERT INTO sessions (sid, uid, created_at, last_seen_at, token_expires_at, tokens_expire_at, expires_at, revoked_at)
    SELECT 'past-' || ?1 || n, ?1, ?2 - 3600, ?2 - 3600, ?2, ?2, ?2, ?3 FROM numbers`).bind(uid, expiresAt, revokedAt).run();

/** A user with as many live sessions as are allowed. */
async function atLimit(testbed) {
  const user = testbed.newUser();
  for (let i = 0; i < MAX_SESSIONS; i++) await user.signIn();
  return user;
}

/** Rows read and written, by operation. */
export async function countRows(testbed) {
  const { database } = testbed;
  const now = Math.floor(Date.now() / 1000);
  const counted = {};
  const count = async (name, answer) => {
    const { status, text, counts } = await answer;
    assert.ok(status < 300, text);
    counted[name] = { read: counts.rowsRead, written: counts.rowsWritten };
  };
  // D1 also counts the row of an index at which a range ends. Without orders of another user, there
  // would be none.
  const other = testbed.newUser();
  await other.signIn();
  await other.order();

  const user = testbed.newUser();
  await count("sign-in, new user", user.signIn());
  await count("sign-in, returning user", user.signIn());
  await insert(database, user, 1, 4000, null);
  await count("sign-in, deletes an expired session", user.signIn());
  const few = await atLimit(testbed);
  await count("sign-in at the limit of sessions", few.signIn());
  const live = await database.prepare("SELECT count(*) AS count FROM live_sessions WHERE uid = ?").bind(few.uid).first("count");
  assert.equal(live, MAX_SESSIONS, "MAX_SESSIONS in bench/operations.mjs is not the Worker's limit");
  const many = await atLimit(testbed);
  await insert(database, many, ENDED, now + 1800, now);
  await many.signIn(); // from here on, the feed names the user
  await count("sign-in at the limit of sessions, many ended", many.signIn());
  const { refreshToken } = user;
  await count("refresh", user.ask("POST", "/session/refresh", { token: null, body: { refreshToken } }));
  await count("session check", user.ask("GET", "/session"));
  await count("order", user.order());
  const id = await user.begin();
  await count("approve", user.step(id, "approve"));
  await count("complete", user.complete(id, await user.sign(id)));
  await count("sign-out", user.ask("DELETE", "/session"));
  return counted;
}

/** The millions that a million users need in a month, and their dollars, with and without the part
 * that the plan includes; and the rows' dollars for a million purchases. The CPU time contains
 * D1's, which Cloudflare does not charge. That of a refresh is taken to be a sign-in's. */
export function costs({ operations, signIn, check }) {
  const month = Object.entries(MONTH).map(([name, times]) => {
    const { cpuMs } = name === "session check" ? check : signIn;
    return { ...operations[name], requests: 1, cpuMs, times };
  });
  const used = Object.fromEntries(Object.keys(PRICES).map((kind) => [kind, month.reduce((sum, each) => sum + each.times * each[kind], 0)]));
  const sum = (amount) => Object.entries(PRICES).reduce((total, [kind, price]) => total + price.dollars * amount(kind, price), 0);
  const rows = (kind) => PURCHASE.reduce((total, name) => total + operations[name][kind], 0);
  return {
    used,
    whole: sum((kind) => used[kind]),
    billed: sum((kind, { included }) => Math.max(0, used[kind] - included)),
    purchase: PRICES.read.dollars * rows("read") + PRICES.written.dollars * rows("written"),
  };
}
