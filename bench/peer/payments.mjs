// The peer of bench/waits.mjs: the peer's sign-in and session check, and orders and payments as a
// careful JavaScript developer writes them. It compares a payment with its order before it stores
// or approves it, stores it before Pi approves it, and delivers only what Pi has verified. Every
// step can be repeated. It asks D1 and Pi no more often than that needs.

import { Problem, UID as ID, app, askPi, batch, first, json, now, random, session, time } from "./app.mjs";

const ORDER_LIFETIME = 3600;
const STROOPS = 10_000_000;
const TXID = /^[0-9a-f]{64}$/i;

const inPi = (stroops) => (stroops / STROOPS).toFixed(7).replace(/\.?0+$/, "");

app.post("/orders", async (c) => {
  const { claims } = await session(c);
  const { productId } = await json(c);
  if (typeof productId !== "string") throw new Problem(400, "invalid_request", "productId is missing.");
  const orderId = random(16);
  const createdAt = now();
  const order = await first(c, c.env.DB.prepare(`
    INSERT INTO orders (id, uid, product_id, amount_stroops, memo, created_at)
    SELECT ?1, ?2, id, amount_stroops, name, ?4 FROM products WHERE id = ?3 AND active = 1
    RETURNING amount_stroops, memo`).bind(orderId, claims.sub, productId, createdAt));
  if (!order) throw new Problem(404, "product_not_found", "There is no product with this id. GET /products lists them.");
  const { amount_stroops, memo } = order;
  return c.json({ orderId, productId, amount: inPi(amount_stroops), memo, metadata: { orderId }, state: "open", createdAt: time(createdAt) }, 201);
});

app.post("/payments/:id/approve", async (c) => {
  const { env } = c;
  const { claims } = await session(c);
  const payment = await pi(c, "GET", c.req.param("id"));
  const { identifier, status } = payment;
  const order = await orderOf(c, payment);
  const { id, uid, amount_stroops, created_at, is_sold } = order;
  if (payment.user_uid !== claims.sub || uid !== claims.sub) throw new Problem(403, "payment_not_yours", "This payment is another user's.");
  if (status.cancelled || status.user_cancelled) throw new Problem(409, "payment_cancelled", "This payment was cancelled. Begin a new one.");
  if (!status.developer_approved && (!is_sold || now() > created_at + ORDER_LIFETIME)) {
    throw new Problem(409, "order_expired", "This order is too old. Order the product again.");
  }

  const [, { results: [stored] }] = await batch(c, [
    env.DB.prepare(`
      INSERT INTO payments (id, order_id, uid, amount_stroops, state, created_at, updated_at)
      VALUES (?1, ?2, ?3, ?4, 'recorded', ?5, ?5) ON CONFLICT DO NOTHING`).bind(identifier, id, uid, amount_stroops, now()),
    env.DB.prepare("SELECT id, state FROM payments WHERE order_id = ?1 AND state <> 'cancelled'").bind(id),
  ]);
  if (stored?.id !== identifier) throw new Problem(409, "order_already_paid", "This order has another payment.");
  if (!status.developer_approved) await pi(c, "POST", identifier, "/approve");

  const row = await first(c, env.DB.prepare(`
    UPDATE payments SET state = iif(state = 'recorded', 'approved', state), updated_at = ?2
    WHERE id = ?1 AND state <> 'cancelled' RETURNING *`).bind(identifier, now()));
  if (!row) throw new Problem(409, "payment_cancelled", "This payment was cancelled. Begin a new one.");
  return c.json(paymentJson(row));
});

app.post("/payments/:id/complete", async (c) => {
  const { env } = c;
  const { claims } = await session(c);
  const { txid } = await json(c);
  if (typeof txid !== "string" || !TXID.test(txid)) throw new Problem(400, "invalid_request", "txid is not 64 hexadecimal digits.");
  const id = c.req.param("id");
  const stored = await first(c, env.DB.prepare("SELECT * FROM payments WHERE id = ?1").bind(id));
  if (!stored) throw new Problem(404, "payment_not_found", "There is no approved payment with this id.");
  if (stored.uid !== claims.sub) throw new Problem(403, "payment_not_yours", "This payment is another user's.");
  if (stored.state === "cancelled") throw new Problem(409, "payment_cancelled", "This payment was cancelled. Begin a new one.");
  if (stored.state === "paid") {
    if (stored.txid !== txid) throw new Problem(422, "txid_mismatch", "The payment has another transaction.");
    return c.json(paymentJson(stored));
  }

  // Pi refuses a completion that is repeated because its answer was lost.
  const payment = await pi(c, "POST", id, "/complete", { txid }).catch(() => pi(c, "GET", id));
  const { transaction, status } = payment;
  if (transaction && transaction.txid !== txid) throw new Problem(422, "txid_mismatch", "The payment has another transaction.");
  const isPaid = status.developer_completed && status.transaction_verified && !status.cancelled && transaction;
  // The order was compared with the payment when it was approved.
  if (!isPaid || payment.user_uid !== claims.sub || Math.round(payment.amount * STROOPS) !== stored.amount_stroops) {
    throw new Problem(502, "upstream_invalid", "Pi has not verified the transaction. Try again later.");
  }

  const row = await first(c, env.DB.prepare(`
    UPDATE payments SET state = 'paid', txid = ?2, updated_at = ?3
    WHERE id = ?1 AND (state IN ('recorded', 'approved') OR txid = ?2) RETURNING *`).bind(id, txid, now()));
  if (!row) throw new Problem(409, "payment_cancelled", "This payment was cancelled. Begin a new one.");
  return c.json(paymentJson(row));
});

/** The order that asks for this payment. */
async function orderOf(c, payment) {
  const { env } = c;
  const order = await first(c, env.DB.prepare(`
    SELECT *, EXISTS (SELECT 1 FROM products WHERE products.id = product_id AND active = 1) AS is_sold
    FROM orders WHERE id = ?1`).bind(String(payment.metadata?.orderId)));
  const isSame = order && payment.direction === "user_to_app" && payment.network === env.PI_NETWORK
    && Math.round(payment.amount * STROOPS) === order.amount_stroops;
  if (!isSame) throw new Problem(422, "payment_mismatch", "This payment is not the one that its order asks for.");
  return order;
}

/** Sends a request about a payment to Pi. Returns Pi's record of the payment. */
async function pi(c, method, id, step = "", body = undefined) {
  if (!ID.test(id)) throw new Problem(404, "payment_not_found", "Pi does not know this payment.");
  const { env } = c;
  const answer = await askPi(c, `${env.PI_API_BASE}/v2/payments/${id}${step}`, {
    method,
    headers: { authorization: `Key ${env.PI_API_KEY}`, accept: "application/json", ...(body && { "content-type": "application/json" }) },
    body: body && JSON.stringify(body),
  });
  if (answer.status === 404) throw new Problem(404, "payment_not_found", "Pi does not know this payment.");
  if (answer.status >= 500) throw new Problem(503, "upstream_unavailable", "Pi cannot be reached. Try again after Retry-After seconds.");
  if (!answer.ok) throw new Problem(502, "pi_refused", "Pi has refused this step.");
  const payment = await answer.json().catch(() => undefined);
  if (payment?.identifier !== id || !payment.status) throw new Problem(502, "upstream_invalid", "Pi's answer could not be understood.");
  return payment;
}

const paymentJson = ({ id, order_id, state, amount_stroops, txid }) => ({
  paymentId: id, orderId: order_id, state, amount: inPi(amount_stroops), ...(txid !== null && { txid }),
});

export default app;
