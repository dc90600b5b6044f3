// `users`, `user` and `sessions`: finding a person, and what an operator can do for or about them.

/** @import { AdminOptions } from "./admin.mjs" */

import { closeSync, openSync, rmSync, writeFileSync } from "node:fs";
import { Admin, checkId, print } from "./admin.mjs";
import { printPayments } from "./payments.mjs";
import { Misuse, Problem } from "./problem.mjs";
import { confirm, printJson, printRows, safe } from "./terminal.mjs";

/** @typedef {Record<string, any>} Row */

const MAX_REASON = 200; // characters

/**
 * `users [TEXT]`
 *
 * @param {AdminOptions & { after?: string, limit?: string }} options
 * @param {string} [text]
 */
export async function list({ after, limit, ...options }, text) {
  const answer = await Admin.of(options).get("/admin/users", { q: text, after, limit });
  print(options, answer, () => {
    if (answer.users.length === 0) console.error(text === undefined ? "There are no users yet." : "There is no user with this id, and none whose name begins with this text.");
    printRows(answer.users.map((/** @type {Row} */ { uid, username, lastSeenAt, signIns, blockedAt }) => [uid, username, lastSeenAt, `${signIns} sign-ins`, ...(blockedAt ? ["blocked"] : [])]));
  });
}

/**
 * An action on a user: what is asked before, what is sent, and what is said after.
 *
 * @typedef {object} Action
 * @property {string} [question]
 * @property {string} [answer] what must be typed, if it is not `yes`
 * @property {() => Promise<unknown>} run
 * @property {string} done
 */

/**
 * The options that choose an action.
 *
 * @typedef {object} Chosen
 * @property {boolean} [end-sessions]
 * @property {string} [block]
 * @property {boolean} [unblock]
 * @property {string} [export]
 * @property {boolean} [erase]
 */

/**
 * `user UID`, with at most one action
 *
 * @param {AdminOptions & Chosen} options
 * @param {string} uid
 */
export async function user({ "end-sessions": endSessions, block, unblock, export: file, erase, ...options }, uid) {
  const path = `/admin/users/${checkId(uid, "UID")}`;
  if (block !== undefined) checkReason(block);
  const chosen = Object.entries({ "--end-sessions": endSessions, "--block": block, "--unblock": unblock, "--export": file, "--erase": erase }).filter(([, value]) => value !== undefined);
  if (chosen.length > 1) throw new Misuse(`Choose one of ${chosen.map(([name]) => name).join(" and ")}.`);
  const admin = Admin.of(options);
  /** @type {Record<string, Action>} */
  const actions = {
    "--end-sessions": {
      question: `This revokes all sessions of ${uid}.`,
      run: () => admin.call("POST", `${path}/revoke`),
      done: "All sessions of the user are revoked. A backend that verifies offline learns of it within seconds.",
    },
    "--block": {
      question: `This revokes all sessions of ${uid}, and refuses new sign-ins.`,
      run: () => admin.call("POST", `${path}/block`, { body: { reason: block } }),
      done: "The user is blocked. A person gets another uid from Pi after consent was withdrawn and granted again, so a block can be avoided.",
    },
    "--unblock": { run: () => admin.call("POST", `${path}/unblock`), done: "The user can sign in again." },
    "--export": { run: () => save(file ?? "", () => admin.text("GET", `${path}/export`)), done: "The file has everything that is stored about the user. The audit says that you read it." },
    "--erase": {
      question: `This erases the name, the data and the sessions of ${uid}, and cannot be undone.`,
      answer: uid,
      run: () => admin.call("DELETE", path, { query: { confirm: uid } }),
      done: "The user is erased. Orders and payments stay without a name.",
    },
  };
  const [name = ""] = chosen[0] ?? [];
  const action = actions[name];
  if (action === undefined) return show(admin, options, path);
  if (action.question) await confirm(action.question, { yes: options.yes, answer: action.answer });
  await action.run();
  if (options.json) printJson({ uid, action: name.slice(2) });
  else console.error(action.done);
}

/** @param {string} reason */
function checkReason(reason) {
  if (reason.trim() === "" || [...reason].length > MAX_REASON || /\p{Cc}/u.test(reason)) throw new Misuse(`The reason of --block must be one line of 1 to ${MAX_REASON} characters.`);
}

/**
 * Writes a new file that only its owner can read. It never replaces one. The file exists before the
 * text is read, so nobody reads personal data that could not be stored.
 *
 * @param {string} file
 * @param {() => Promise<string>} read
 */
async function save(file, read) {
  const descriptor = attempt(file, () => openSync(file, "wx", 0o600));
  let isWhole = false;
  try {
    const text = await read();
    attempt(file, () => writeFileSync(descriptor, text));
    isWhole = true;
  } finally {
    closeSync(descriptor);
    if (!isWhole) rmSync(file, { force: true });
  }
}

/**
 * Does something with the file. Its failure becomes a problem.
 *
 * @template T
 * @param {string} file
 * @param {() => T} step
 */
function attempt(file, step) {
  try {
    return step();
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error);
    throw new Problem(code === "EEXIST" ? `${file} exists already. Choose another name.` : `${file} could not be written: ${code}.`);
  }
}

/**
 * @param {Admin} admin
 * @param {AdminOptions} options
 * @param {string} path
 */
async function show(admin, options, path) {
  const answer = await admin.get(path);
  const { sessions } = await admin.get(`${path}/sessions`);
  const { payments, next } = await admin.get(`${path}/payments`);
  print(options, { ...answer, sessions, payments, ...(next && { morePayments: next }) }, () => {
    const { user, data } = answer;
    const stored = data && `${data.bytes} bytes, version ${data.version}`;
    const blocked = user.blockedAt && `${user.blockedAt}: ${user.blockedReason}`;
    const rows = [["uid", user.uid], ["name", user.username], ["first seen", user.firstSeenAt], ["last seen", user.lastSeenAt], ["sign-ins", user.signIns], ["scopes", user.scopes?.join(" ")], ["data", stored], ["blocked", blocked]];
    printRows(rows.filter(([, value]) => value !== undefined && value !== ""));
    console.log(`\nSessions: ${sessions.length}`);
    printSessions(sessions);
    console.log("\nPayments");
    printPayments(payments);
    if (next) console.log(`  There are more: npx pioneer-session payments --user ${safe(user.uid)} --after ${safe(next)}`);
  });
}

/** @param {Row[]} sessions */
const printSessions = (sessions) => printRows(sessions.map(({ sid, createdAt, lastSeenAt, expiresAt, country, userAgent }) => [sid, `since ${createdAt}`, `seen ${lastSeenAt}`, `until ${expiresAt}`, country, userAgent]), "  ");

/**
 * `sessions UID`, or with `--end SID`
 *
 * @param {AdminOptions & { end?: string }} options
 * @param {string} uid
 */
export async function sessions({ end, ...options }, uid) {
  const path = `/admin/users/${checkId(uid, "UID")}/sessions`;
  if (end !== undefined) checkId(end, "SID");
  const admin = Admin.of(options);
  const answer = await admin.get(path);
  if (end === undefined) return print(options, answer, () => printSessions(answer.sessions));
  // The session of another user, by a mistake in one of the two ids, stays.
  if (!answer.sessions.some((/** @type {Row} */ { sid }) => sid === end)) throw new Problem("The user has no live session with this id.");
  await admin.call("DELETE", `/admin/sessions/${end}`);
  if (options.json) printJson({ uid, sid: end, action: "end" });
  else console.error("The session is revoked.");
}
