//! Products, orders, payments and claimed ads in D1.

use super::{D1Store, Outcome, Row, Statement, failed, query, session_user};
use crate::{
    identifier::Identifier,
    payment::{
        AD_KEPT, CANCELLED_KEPT, Claim, Due, FIRST_LOOK, FIRST_PAUSE, LONGEST_PAUSE, MAX_LOOKS,
        MAX_OPEN_ORDERS, ORDER_KEPT, ORDER_LIFETIME, Offer, Order, Ordered, Paid, Product, Record,
        State, Store,
    },
    pi::{Amount, TxId},
    session::Error,
    time::UnixTime,
};

/// Rows of a list: as many as a person will read.
pub(super) const MAX_LISTED: u32 = 200;

/// The condition that [`Claim::holds`] for the order `?2`, the user `?3` and the amount `?4`. An
/// order that must be open was made at `?5` or later, and its product is for sale.
macro_rules! claim_holds {
    () => {
        "EXISTS (SELECT 1 FROM orders
           WHERE orders.id = ?2 AND orders.uid = ?3 AND orders.amount_stroops = ?4
             AND (?5 IS NULL OR (orders.created_at >= ?5 AND EXISTS (
               SELECT 1 FROM products WHERE products.id = orders.product_id AND active = 1))))"
    };
}

/// The two statements that read the payments and the orders of paid orders, in the same order, of
/// the user that this expression names.
macro_rules! purchases {
    ($user:expr $(, $parameter:expr)*) => {
        [
            query!(
                concat!(
                    "SELECT payments.id, order_id, payments.uid, payments.amount_stroops, state,
                       txid, payments.created_at, updated_at
                     FROM payments JOIN orders ON orders.id = order_id
                     WHERE payments.uid = ", $user, " AND state = 'paid'
                     ORDER BY updated_at DESC, payments.id"
                )
                $(, $parameter)*
            ),
            query!(
                concat!(
                    "SELECT orders.id, orders.uid, product_id, orders.amount_stroops, memo,
                       orders.created_at
                     FROM payments JOIN orders ON orders.id = order_id
                     WHERE payments.uid = ", $user, " AND state = 'paid'
                     ORDER BY updated_at DESC, payments.id"
                )
                $(, $parameter)*
            ),
        ]
    };
}

impl Store for D1Store<'_> {
    type Error = Error;

    async fn products(&self) -> Result<Vec<Product>, Error> {
        let found = self
            .run(query!(
                "SELECT id, name, amount_stroops FROM products WHERE active = 1 ORDER BY id"
            ))
            .await?;
        found.all(product)
    }

    async fn offer(&self, id: &Identifier) -> Result<Option<Offer>, Error> {
        let found = self
            .run(query!("SELECT id, name, amount_stroops, active FROM products WHERE id = ?1", id))
            .await?;
        found.one(|mut row| {
            let active: u8 = row.take("active")?;
            Ok(Offer {
                product: Product {
                    id: row.take("id")?,
                    name: row.take("name")?,
                    amount: row.take("amount_stroops")?,
                },
                is_active: active == 1,
            })
        })
    }

    async fn add_product(&self, product: &Product) -> Result<bool, Error> {
        Ok(self.run(add_product(product)).await?.changes() > 0)
    }

    async fn change_offer(&self, from: &Offer, to: &Offer) -> Result<bool, Error> {
        Ok(self.run(change_offer(from, to)).await?.changes() > 0)
    }

    async fn keep_order(&self, order: &Order) -> Result<bool, Error> {
        let statements = [
            query!(
                "INSERT INTO orders
                   (id, uid, product_id, amount_stroops, memo, created_at, delete_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (id) DO NOTHING",
                order.id,
                order.uid,
                order.product_id,
                order.amount,
                order.memo,
                order.created_at,
                order.created_at.plus(ORDER_KEPT)
            ),
            // The new order is excluded by its id, because others may have a later time.
            query!(
                "DELETE FROM orders WHERE id IN (
                   SELECT id FROM orders
                   WHERE uid = ?1 AND delete_at IS NOT NULL AND id <> ?2
                   ORDER BY created_at DESC LIMIT -1 OFFSET ?3)
                   AND NOT EXISTS (SELECT 1 FROM payments WHERE order_id = orders.id)",
                order.uid,
                order.id,
                MAX_OPEN_ORDERS - 1
            ),
        ];
        let [kept, _] = self.batch(statements).await?;
        Ok(kept.changes() > 0)
    }

    async fn order(&self, id: &Identifier) -> Result<Option<Ordered>, Error> {
        let [order, payment] = self.batch(order_by_id(Some(id))).await?;
        ordered(order, payment)
    }

    async fn purchases(&self, uid: &Identifier) -> Result<Vec<(Order, Record)>, Error> {
        let [payments, orders] = self.batch(purchases_of_user(uid)).await?;
        purchases(payments, orders)
    }

    async fn payment(&self, id: &Identifier) -> Result<Option<Record>, Error> {
        self.run(payment_by_id(Some(id))).await?.one(record)
    }

    async fn payments(&self, uid: &Identifier) -> Result<Vec<Record>, Error> {
        let found = self
            .run(query!(
                // Payments of an erased user may still have the uid.
                "SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at
             FROM payments WHERE uid = ?1
               AND NOT EXISTS (SELECT 1 FROM users WHERE uid = ?1 AND erased_at IS NOT NULL)
             ORDER BY updated_at DESC, id LIMIT ?2",
                uid,
                MAX_LISTED
            ))
            .await?;
        found.all(record)
    }

    async fn record_payment(
        &self,
        id: &Identifier,
        claim: &Claim<'_>,
        now: UnixTime,
    ) -> Result<Option<Ordered>, Error> {
        let Claim { order_id, uid, amount, must_be_open } = claim;
        let open_since = must_be_open.then(|| now.minus(ORDER_LIFETIME));
        let due_at = now.plus(FIRST_LOOK);
        let [order, _] = order_by_id(Some(order_id));
        let statements = [
            query!(
                concat!(
                    "INSERT INTO payments
                       (id, order_id, uid, amount_stroops, state, created_at, updated_at, due_at)
                     SELECT ?1, ?2, ?3, ?4, 'recorded', ?7, ?7, ?6
                     WHERE ",
                    claim_holds!(),
                    " AND NOT EXISTS (
                       SELECT 1 FROM payments WHERE order_id = ?2 AND state <> 'cancelled')
                     ON CONFLICT (id) DO NOTHING"
                ),
                id,
                order_id,
                uid,
                amount,
                open_since,
                due_at,
                now
            ),
            query!(
                concat!(
                    "UPDATE payments SET looks = 0, due_at = ?6
                     WHERE id = ?1 AND state IN ('recorded', 'approved') AND ",
                    claim_holds!()
                ),
                id,
                order_id,
                uid,
                amount,
                open_since,
                due_at
            ),
            query!(
                "UPDATE orders SET delete_at = NULL
                 WHERE id = (SELECT order_id FROM payments WHERE id = ?1)
                   AND delete_at IS NOT NULL",
                id
            ),
            query!(
                concat!(
                    "INSERT INTO turns (payer, uid, due_at)
                     SELECT uid, uid, due_at FROM payments
                     WHERE id = ?1 AND uid IS NOT NULL AND due_at IS NOT NULL AND ",
                    claim_holds!(),
                    " ON CONFLICT (payer) DO UPDATE SET due_at = min(due_at, excluded.due_at)"
                ),
                id,
                order_id,
                uid,
                amount,
                open_since
            ),
            order,
            query!(
                "SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at
                 FROM payments
                 WHERE id = ?1 OR (order_id = ?2 AND state <> 'cancelled')
                 ORDER BY id = ?1 DESC LIMIT 1",
                id,
                order_id
            ),
        ];
        let [.., order, payment] = self.batch(statements).await?;
        ordered(order, payment)
    }

    async fn approve_payment(
        &self,
        id: &Identifier,
        now: UnixTime,
    ) -> Result<Option<Record>, Error> {
        let approved = |with_time| {
            let [approve, take_turn] = approve(id, now, with_time);
            self.batch([approve, take_turn, payment_by_id(Some(id))])
        };
        let [.., found] = match approved(true).await {
            // The time came with a later migration. Without it, users pay as before.
            Err(error) if error.lacks_migration() => approved(false).await?,
            found => found?,
        };
        found.one(record)
    }

    async fn pay(&self, id: &Identifier, txid: &TxId, now: UnixTime) -> Result<Paid, Error> {
        let [pay, end_turn] = pay(id, txid, now);
        let [.., found] = self.batch([pay, end_turn, payment_by_id(Some(id))]).await?;
        Ok(Paid::of(found.one(record)?, txid))
    }

    async fn cancel_payment(
        &self,
        id: &Identifier,
        uid: &Identifier,
        amount: Amount,
        now: UnixTime,
    ) -> Result<Record, Error> {
        let [cancel, end_turn] = cancel(id, uid, amount, now);
        let [.., found] = self.batch([cancel, end_turn, payment_by_id(Some(id))]).await?;
        found.one(record)?.ok_or_else(|| failed("a payment that was just cancelled is missing"))
    }

    async fn adopt(&self, id: &Identifier, uid: &Identifier) -> Result<(), Error> {
        let statements = [
            query!("UPDATE payments SET uid = ?2 WHERE id = ?1 AND uid IS NULL", id, uid),
            query!(
                "UPDATE orders SET uid = ?2
                 WHERE id = (SELECT order_id FROM payments WHERE id = ?1) AND uid IS NULL",
                id,
                uid
            ),
            take_turn(id),
        ];
        self.batch(statements).await?;
        Ok(())
    }

    async fn keep_transaction(
        &self,
        id: &Identifier,
        txid: &TxId,
        now: UnixTime,
    ) -> Result<(), Error> {
        self.run(keep_transaction(id, txid, now)).await?;
        Ok(())
    }

    async fn unfinished(&self, limit: u32, now: UnixTime) -> Result<Vec<Due>, Error> {
        let statements = [
            // A turn for each due payment of an erased user. There are few, because most users have
            // no open payment when they are erased.
            query!(
                "INSERT INTO turns (payer, due_at)
                 SELECT id, due_at FROM payments WHERE uid IS NULL AND due_at <= ?1
                 ORDER BY due_at LIMIT ?2
                 ON CONFLICT (payer) DO NOTHING",
                now,
                limit
            ),
            query!(
                "UPDATE payments
                 SET looks = looks + 1, due_at = ?1 + min(?3 << min(looks, 16), ?4)
                 WHERE id IN (
                   SELECT CASE WHEN uid IS NULL THEN payer ELSE (
                     SELECT id FROM payments AS own
                     WHERE own.uid = turns.uid AND own.due_at <= ?1
                     ORDER BY own.due_at, own.id LIMIT 1) END
                   FROM turns WHERE due_at <= ?1 ORDER BY due_at, payer LIMIT ?2)
                   AND due_at <= ?1
                 RETURNING id, order_id, uid, amount_stroops, state, txid, created_at, updated_at,
                   looks",
                now,
                limit,
                FIRST_PAUSE,
                LONGEST_PAUSE
            ),
            // The same turns again, because nothing has changed them since. A turn without a due
            // payment is over.
            query!(
                "UPDATE turns SET due_at = coalesce(max(?3, (
                   SELECT own.due_at FROM payments AS own
                   WHERE own.uid = turns.uid AND own.due_at IS NOT NULL
                   ORDER BY own.due_at LIMIT 1)), -1)
                 WHERE payer IN (
                   SELECT payer FROM turns WHERE due_at <= ?1 ORDER BY due_at, payer LIMIT ?2)",
                now,
                limit,
                now.plus(FIRST_PAUSE)
            ),
            query!("DELETE FROM turns WHERE due_at < 0"),
        ];
        let [_, found, ..] = self.batch(statements).await?;
        found.all(|mut row| {
            let looks: u32 = row.take("looks")?;
            Ok(Due { record: record(row)?, is_last: looks >= MAX_LOOKS })
        })
    }

    async fn give_back(&self, ids: &[Identifier], now: UnixTime) -> Result<(), Error> {
        let statements = ids.iter().flat_map(|id| {
            let back = query!(
                "UPDATE payments SET looks = looks - 1, due_at = ?2
                 WHERE id = ?1 AND due_at IS NOT NULL AND looks > 0",
                id,
                now
            );
            [back, take_turn(id)]
        });
        self.batch_of(statements.collect()).await?;
        Ok(())
    }

    async fn give_up(&self, id: &Identifier) -> Result<(), Error> {
        // A turn that is left over is deleted when its time comes.
        self.run(query!(
            "UPDATE payments SET due_at = NULL WHERE id = ?1 AND looks >= ?2",
            id,
            MAX_LOOKS
        ))
        .await?;
        Ok(())
    }

    async fn keep_problems(&self, problems: &[(Identifier, &'static str)]) -> Result<(), Error> {
        let mut pairs = Vec::new();
        for (id, code) in problems {
            pairs.push(format!(r#"["{id}","{code}"]"#));
        }
        self.run(query!(
            "UPDATE payments SET problem = value ->> 1 FROM json_each(?1)
             WHERE payments.id = value ->> 0 AND problem IS NOT value ->> 1",
            format!("[{}]", pairs.join(","))
        ))
        .await?;
        Ok(())
    }

    async fn sweep(&self, now: UnixTime, limit: u32) -> Result<usize, Error> {
        let statements = [
            // Orders that only the payments of the next statement refer to.
            query!(
                "UPDATE orders SET delete_at = ?3
                 WHERE id IN (
                   SELECT order_id FROM payments INDEXED BY payments_cancelled
                   WHERE state = 'cancelled' AND txid IS NULL AND updated_at <= ?1
                   ORDER BY updated_at, id LIMIT ?2)
                   AND NOT EXISTS (
                     SELECT 1 FROM payments AS other WHERE other.order_id = orders.id
                       AND (other.state <> 'cancelled' OR other.txid IS NOT NULL
                         OR other.updated_at > ?1))",
                now.minus(CANCELLED_KEPT),
                limit,
                now
            ),
            query!(
                "DELETE FROM payments WHERE id IN (
                   SELECT id FROM payments INDEXED BY payments_cancelled
                   WHERE state = 'cancelled' AND txid IS NULL AND updated_at <= ?1
                   ORDER BY updated_at, id LIMIT ?2)",
                now.minus(CANCELLED_KEPT),
                limit
            ),
            query!(
                "DELETE FROM orders WHERE id IN (
                   SELECT id FROM orders WHERE delete_at <= ?1 ORDER BY delete_at LIMIT ?2)
                   AND NOT EXISTS (SELECT 1 FROM payments WHERE order_id = orders.id)",
                now,
                limit
            ),
            query!(
                "DELETE FROM ads WHERE id IN (
                   SELECT id FROM ads WHERE claimed_at <= ?1 ORDER BY claimed_at LIMIT ?2)",
                now.minus(AD_KEPT),
                limit
            ),
        ];
        let [_, payments, orders, ads] = self.batch(statements).await?;
        Ok(payments.changes().saturating_add(orders.changes()).saturating_add(ads.changes()))
    }

    async fn claim_ad(
        &self,
        id: &Identifier,
        uid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<Identifier>, Error> {
        let statements = [
            query!(
                "INSERT INTO ads (id, uid, claimed_at) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
                id,
                uid,
                now
            ),
            ad_by_id(Some(id)),
        ];
        let [_, found] = self.batch(statements).await?;
        Ok(found.one(|mut row| row.take("uid"))?.flatten())
    }

    async fn ad_owner(&self, id: &Identifier) -> Result<Option<Option<Identifier>>, Error> {
        self.run(ad_by_id(Some(id))).await?.one(|mut row| row.take("uid"))
    }
}

/// Stores a product for sale, unless there is one with its id.
pub(super) fn add_product(product: &Product) -> Statement {
    query!(
        "INSERT INTO products (id, name, amount_stroops) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO NOTHING",
        product.id,
        product.name,
        product.amount
    )
}

/// Replaces an offer that is still as it was read.
pub(super) fn change_offer(from: &Offer, to: &Offer) -> Statement {
    query!(
        "UPDATE products SET name = ?5, amount_stroops = ?6, active = ?7
         WHERE id = ?1 AND name = ?2 AND amount_stroops = ?3 AND active = ?4",
        from.product.id,
        from.product.name,
        from.product.amount,
        u32::from(from.is_active),
        to.product.name,
        to.product.amount,
        u32::from(to.is_active)
    )
}

/// Stores that Pi has approved a payment, and when.
pub(super) fn approve(id: &Identifier, now: UnixTime, with_time: bool) -> [Statement; 2] {
    let sql = if with_time {
        "UPDATE payments
         SET state = 'approved', approved_at = ?2, updated_at = ?2, looks = 0, due_at = ?3
         WHERE id = ?1 AND state = 'recorded'"
    } else {
        "UPDATE payments SET state = 'approved', updated_at = ?2, looks = 0, due_at = ?3
         WHERE id = ?1 AND state = 'recorded'"
    };
    let approve = query!(sql, id, now, now.plus(FIRST_LOOK));
    [approve, take_turn(id)]
}

/// Stores that a payment is paid. This step delivers the purchase: it sets the state and the
/// transaction, and succeeds once.
pub(super) fn pay(id: &Identifier, txid: &TxId, now: UnixTime) -> [Statement; 2] {
    let pay = query!(
        "UPDATE payments SET state = 'paid', txid = ?2, updated_at = ?3, due_at = NULL
         WHERE id = ?1 AND state IN ('recorded', 'approved')
           AND NOT EXISTS (SELECT 1 FROM payments WHERE txid = ?2 AND id <> ?1)",
        id,
        txid.as_str(),
        now
    );
    [pay, end_turn(id)]
}

/// Stores that a payment without a transaction is cancelled.
pub(super) fn cancel(
    id: &Identifier,
    uid: &Identifier,
    amount: Amount,
    now: UnixTime,
) -> [Statement; 2] {
    let cancel = query!(
        "INSERT INTO payments (id, uid, amount_stroops, state, created_at, updated_at)
         VALUES (?1, (SELECT uid FROM users WHERE uid = ?2), ?3, 'cancelled', ?4, ?4)
         ON CONFLICT (id) DO UPDATE
           SET state = 'cancelled', updated_at = ?4, due_at = NULL
           WHERE state IN ('recorded', 'approved') AND txid IS NULL",
        id,
        uid,
        amount,
        now
    );
    [cancel, end_turn(id)]
}

/// Stores the transaction of a payment that is not paid.
pub(super) fn keep_transaction(id: &Identifier, txid: &TxId, now: UnixTime) -> Statement {
    query!(
        "UPDATE payments SET txid = ?2, updated_at = ?3
         WHERE id = ?1 AND state <> 'paid'
           AND NOT EXISTS (SELECT 1 FROM payments WHERE txid = ?2)",
        id,
        txid.as_str(),
        now
    )
}

pub(super) fn payment_by_id(id: Option<&Identifier>) -> Statement {
    query!(
        "SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at
         FROM payments WHERE id = ?1",
        id
    )
}

pub(super) fn ad_by_id(id: Option<&Identifier>) -> Statement {
    query!("SELECT uid FROM ads WHERE id = ?1", id)
}

/// Reads an order and its live payment, for [`ordered`].
pub(super) fn order_by_id(id: Option<&Identifier>) -> [Statement; 2] {
    [
        query!(
            "SELECT id, uid, product_id, amount_stroops, memo, created_at,
               EXISTS (SELECT 1 FROM products
                 WHERE products.id = product_id AND active = 1) AS is_sold
             FROM orders WHERE id = ?1",
            id
        ),
        query!(
            "SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at
             FROM payments WHERE order_id = ?1 AND state <> 'cancelled'",
            id
        ),
    ]
}

pub(super) fn ordered(order: Outcome, payment: Outcome) -> Result<Option<Ordered>, Error> {
    let order = order.one(|mut row| {
        let is_sold: u8 = row.take("is_sold")?;
        Ok((self::order(row)?, is_sold == 1))
    })?;
    let Some((order, is_sold)) = order else { return Ok(None) };
    Ok(Some(Ordered { order, payment: payment.one(record)?, is_sold }))
}

/// Reads a user's paid orders, for [`purchases`].
pub(super) fn purchases_of_user(uid: &Identifier) -> [Statement; 2] {
    purchases!("?1", uid)
}

/// As [`purchases_of_user`], for the user of a live session.
pub(super) fn purchases_of_session(sid: &Identifier, now: UnixTime) -> [Statement; 2] {
    purchases!(session_user!(), sid, now)
}

pub(super) fn purchases(payments: Outcome, orders: Outcome) -> Result<Vec<(Order, Record)>, Error> {
    let orders = orders.all(order)?;
    Ok(orders.into_iter().zip(payments.all(record)?).collect())
}

/// Adds a turn for the payment's user at its time, unless the user has an earlier one.
fn take_turn(id: &Identifier) -> Statement {
    query!(
        "INSERT INTO turns (payer, uid, due_at)
         SELECT uid, uid, due_at FROM payments
         WHERE id = ?1 AND uid IS NOT NULL AND due_at IS NOT NULL
         ON CONFLICT (payer) DO UPDATE SET due_at = min(due_at, excluded.due_at)",
        id
    )
}

/// Deletes the turn of the payment's user, if no payment of the user is due any more.
fn end_turn(id: &Identifier) -> Statement {
    query!(
        "DELETE FROM turns
         WHERE uid = (SELECT uid FROM payments WHERE id = ?1)
           AND NOT EXISTS (
             SELECT 1 FROM payments AS own WHERE own.uid = turns.uid AND own.due_at IS NOT NULL)",
        id
    )
}

pub(super) fn product(mut row: Row) -> Result<Product, Error> {
    Ok(Product {
        id: row.take("id")?,
        name: row.take("name")?,
        amount: row.take("amount_stroops")?,
    })
}

pub(super) fn order(mut row: Row) -> Result<Order, Error> {
    Ok(Order {
        id: row.take("id")?,
        uid: row.take("uid")?,
        product_id: row.take("product_id")?,
        amount: row.take("amount_stroops")?,
        memo: row.take("memo")?,
        created_at: row.take("created_at")?,
    })
}

pub(super) fn record(mut row: Row) -> Result<Record, Error> {
    let (state, txid): (String, Option<String>) = (row.take("state")?, row.take("txid")?);
    Ok(Record {
        id: row.take("id")?,
        order_id: row.take("order_id")?,
        uid: row.take("uid")?,
        amount: row.take("amount_stroops")?,
        state: State::named(&state).ok_or_else(|| failed("a payment has an unknown state"))?,
        txid: txid.as_deref().and_then(TxId::parse),
        created_at: row.take("created_at")?,
        updated_at: row.take("updated_at")?,
    })
}
