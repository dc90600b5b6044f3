// `payments` and `payment`: finding a payment that is stuck, and finishing it.

/** @import { AdminOptions } from "./admin.mjs" */

import { Admin, checkId, print } from "./admin.mjs";
import { Misuse } from "./problem.mjs";
import { confirm, printRows, safe } from "./terminal.mjs";

/** @typedef {Record<string, any>} Row */

const STATES = ["unfinished", "paid", "cancelled"];

/** @typedef {{ state?: string, stuck?: boolean, user?: string, after?: string, limit?: string }} Filters */

/**
 * `payments [TEXT]`
 *
 * @param {AdminOptions & Filters} options
 * @param {string} [text]
 */
export async function list({ state, stuck, user, after, limit, ...options }, text) {
  if (state !== undefined && !STATES.includes(state)) throw new Misuse("--state must be unfinished, paid or cancelled.");
  const filters = Object.entries({ "--state": state, "--stuck": stuck, "--user": user, TEXT: text }).filter(([, value]) => value !== undefined);
  if (filters.length > 1) throw new Misuse(`Choose one of ${filters.map(([name]) => name).join(" and ")}.`);
  const path = user === undefined ? "/admin/payments" : `/admin/users/${checkId(user, "UID")}/payments`;
  const answer = await Admin.of(options).get(path, { state, stuck: stuck ? "true" : undefined, q: text, after, limit });
  print(options, answer, () => {
    if (answer.payments.length === 0) console.error("There is no such payment.");
    printPayments(answer.payments);
  });
}

/** @param {Row[]} payments */
export const printPayments = (payments) =>
  printRows(payments.map(({ paymentId, createdAt, username, uid, productId, amount, state, isStuck, problem }) => [createdAt, paymentId, username ?? uid, productId, `${amount} Pi`, state, ...(isStuck || problem ? [[isStuck && "stuck", problem].filter(Boolean).join(": ")] : [])]), "  ");

/**
 * `payment ID`, or with `--settle` or `--cancel`
 *
 * @param {AdminOptions & { settle?: boolean, cancel?: boolean }} options
 * @param {string} id
 */
export async function payment({ settle, cancel, ...options }, id) {
  const path = `/admin/payments/${checkId(id, "ID")}`;
  if (settle && cancel) throw new Misuse("Choose one of --settle and --cancel.");
  const admin = Admin.of(options);
  if (settle || cancel) {
    if (cancel) await confirm(`This cancels the payment ${id}. Its user can order again.`, options);
    const answer = await admin.call("POST", `${path}/${settle ? "settle" : "cancel"}`);
    return print(options, answer, () => console.log(`The payment ${safe(answer.paymentId)} is ${safe(answer.state)}.`));
  }
  const answer = await admin.get(path);
  print(options, answer, () => {
    const { payment, order, timeline = [] } = answer;
    const rows = [["payment", payment.paymentId], ["state", `${payment.state}${payment.isStuck ? ", stuck" : ""}`], ["user", [payment.username, payment.uid].filter(Boolean).join(" ")], ["product", payment.productId], ["amount", `${payment.amount} Pi`], ["memo", payment.memo], ["order", order?.orderId ?? payment.orderId], ["transaction", payment.txid], ["problem", payment.problem && `${payment.problem}, after ${payment.checks} checks`], ["next check", payment.nextCheckAt]];
    printRows(rows.filter(([, value]) => value !== undefined && value !== ""));
    console.log("");
    printRows(timeline.map((/** @type {Row} */ { at, event }) => [at, event]), "  ");
  });
}
