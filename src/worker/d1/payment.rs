//! Products, orders, payments and claimed ads in D1.

use super::{D1Store, Row, failed, query};
use crate::{
    identifier::Identifier,
    payment::{HOUR, Order, Paid, Product, Record, Recorded, State, Store},
    pi::{Amount, TxId},
    session::Error,
    time::UnixTime,
};

/// A list that a person looks through.
const MAX_LISTED: u32 = 200;

impl Store for D1Store<'_> {
    type Error = Error;

    async fn products(&self) -> Result<Vec<Product>, Error> {
        let found = self
            .run(query!(
                "SELECT id, name, amount_stroops FROM products WHERE active = 1 ORDER BY id"
            ))
            .await?;
        found.all(|mut row| {
            Ok(Product {
                id: row.take("id")?,
                name: row.take("name")?,
                amount: row.take("amount_stroops")?,
            })
        })
    }

    async fn keep_order(&self, order: &Order) -> Result<(), Error> {
        self.run(query!(
            "INSERT INTO orders (id, uid, product_id, amount_stroops, memo, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            order.id,
            order.uid,
            order.product_id,
            order.amount,
            order.memo,
            order.created_at
        ))
        .await?;
        Ok(())
    }

    async fn order(&self, id: &Identifier) -> Result<Option<(Order, Option<Record>)>, Error> {
        let statements = [
            query!(
                "SELECT id, uid, product_id, amount_stroops, memo, created_at
                 FROM orders WHERE id = ?1",
                id
            ),
            query!(
                "SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at
                 FROM payments WHERE order_id = ?1 AND state <> 'cancelled'",
                id
            ),
        ];
        let [order, payment] = self.batch(statements).await?;
        let Some(order) = order.one(self::order)? else { return Ok(None) };
        Ok(Some((order, payment.one(record)?)))
    }

    async fn purchases(&self, uid: &Identifier) -> Result<Vec<(Order, Record)>, Error> {
        let statements = [
            query!(
                "SELECT payments.id, order_id, payments.uid, payments.amount_stroops, state, txid,
                   payments.created_at, updated_at
                 FROM payments JOIN orders ON orders.id = order_id
                 WHERE payments.uid = ?1 AND state = 'paid' ORDER BY updated_at DESC, payments.id",
                uid
            ),
            query!(
                "SELECT orders.id, orders.uid, product_id, orders.amount_stroops, memo,
                   orders.created_at
                 FROM payments JOIN orders ON orders.id = order_id
                 WHERE payments.uid = ?1 AND state = 'paid' ORDER BY updated_at DESC, payments.id",
                uid
            ),
        ];
        let [payments, orders] = self.batch(statements).await?;
        let orders: Vec<_> = orders.all(self::order)?;
        Ok(orders.into_iter().zip(payments.all::<_, Vec<_>>(record)?).collect())
    }

    async fn payment(&self, id: &Identifier) -> Result<Option<Record>, Error> {
        let found = self
            .run(query!(
                "SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at
             FROM payments WHERE id = ?1",
                id
            ))
            .await?;
        found.one(record)
    }

    async fn payments(&self, uid: &Identifier) -> Result<Vec<Record>, Error> {
        let found = self
            .run(query!(
                "SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at
             FROM payments WHERE uid = ?1 ORDER BY updated_at DESC, id LIMIT ?2",
                uid,
                MAX_LISTED
            ))
            .await?;
        found.all(record)
    }

    async fn record_payment(
        &self,
        id: &Identifier,
        order: &Order,
        now: UnixTime,
    ) -> Result<Recorded, Error> {
        let statements = [
            query!(
                "INSERT INTO payments (id, order_id, uid, amount_stroops, state, created_at, updated_at)
                 SELECT ?1, ?2, ?3, ?4, 'recorded', ?5, ?5
                 WHERE NOT EXISTS (
                   SELECT 1 FROM payments WHERE order_id = ?2 AND state <> 'cancelled')
                 ON CONFLICT (id) DO NOTHING",
                id,
                order.id,
                order.uid,
                order.amount,
                now
            ),
            query!(
                "SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at
                 FROM payments
                 WHERE id = ?1 OR (order_id = ?2 AND state <> 'cancelled')
                 ORDER BY id = ?1 DESC LIMIT 1",
                id,
                order.id
            ),
        ];
        let [_, found] = self.batch(statements).await?;
        match found.one(record)? {
            Some(record) if record.id == *id => Ok(Recorded::Done),
            Some(other) => Ok(Recorded::OrderTaken(other)),
            None => Err(failed("a payment that was written down is gone")),
        }
    }

    async fn approve_payment(&self, id: &Identifier, now: UnixTime) -> Result<(), Error> {
        self.run(query!(
            "UPDATE payments SET state = 'approved', updated_at = ?2
             WHERE id = ?1 AND state = 'recorded'",
            id,
            now
        ))
        .await?;
        Ok(())
    }

    async fn pay(&self, id: &Identifier, txid: &TxId, now: UnixTime) -> Result<Paid, Error> {
        let statements = [
            // The step that delivers: state and transaction, once.
            query!(
                "UPDATE payments SET state = 'paid', txid = ?2, updated_at = ?3
                 WHERE id = ?1 AND state IN ('recorded', 'approved')
                   AND NOT EXISTS (SELECT 1 FROM payments WHERE txid = ?2)",
                id,
                txid.as_str(),
                now
            ),
            query!(
                "SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at
                 FROM payments WHERE id = ?1",
                id
            ),
        ];
        let [paid, found] = self.batch(statements).await?;
        if paid.changes() > 0 {
            return Ok(Paid::Done);
        }
        Ok(match found.one(record)? {
            Some(record) if record.state == State::Paid && record.txid.as_ref() == Some(txid) => {
                Paid::Done
            }
            Some(record) if record.state != State::Cancelled => Paid::TxidTaken,
            _ => Paid::NotOpen,
        })
    }

    async fn cancel_payment(
        &self,
        id: &Identifier,
        uid: &Identifier,
        amount: Amount,
        now: UnixTime,
    ) -> Result<(), Error> {
        self.run(query!(
            "INSERT INTO payments (id, uid, amount_stroops, state, created_at, updated_at)
             VALUES (?1, (SELECT uid FROM users WHERE uid = ?2), ?3, 'cancelled', ?4, ?4)
             ON CONFLICT (id) DO UPDATE SET state = 'cancelled', updated_at = ?4
               WHERE state IN ('recorded', 'approved')",
            id,
            uid,
            amount,
            now
        ))
        .await?;
        Ok(())
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
        ];
        self.batch(statements).await?;
        Ok(())
    }

    async fn unfinished(
        &self,
        before: UnixTime,
        limit: u32,
        now: UnixTime,
    ) -> Result<Vec<Record>, Error> {
        let found = self
            .run(query!(
                "UPDATE payments SET updated_at = ?3 WHERE id IN (
               SELECT id FROM payments
               WHERE state IN ('recorded', 'approved') AND updated_at < ?1
                 AND (created_at >= ?4 OR updated_at < ?4)
               ORDER BY updated_at LIMIT ?2)
             RETURNING id, order_id, uid, amount_stroops, state, txid, created_at, updated_at",
                before,
                limit,
                now,
                now.minus(HOUR)
            ))
            .await?;
        found.all(record)
    }

    async fn claim_ad(
        &self,
        id: &Identifier,
        uid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<Identifier>, Error> {
        self.run(query!(
            "INSERT INTO ads (id, uid, claimed_at) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
            id,
            uid,
            now
        ))
        .await?;
        Ok(self.ad_owner(id).await?.flatten())
    }

    async fn ad_owner(&self, id: &Identifier) -> Result<Option<Option<Identifier>>, Error> {
        let found = self.run(query!("SELECT uid FROM ads WHERE id = ?1", id)).await?;
        found.one(|mut row| row.take("uid"))
    }
}

fn order(mut row: Row) -> Result<Order, Error> {
    Ok(Order {
        id: row.take("id")?,
        uid: row.take("uid")?,
        product_id: row.take("product_id")?,
        amount: row.take("amount_stroops")?,
        memo: row.take("memo")?,
        created_at: row.take("created_at")?,
    })
}

fn record(mut row: Row) -> Result<Record, Error> {
    let (state, txid): (String, Option<String>) = (row.take("state")?, row.take("txid")?);
    Ok(Record {
        id: row.take("id")?,
        order_id: row.take("order_id")?,
        uid: row.take("uid")?,
        amount: row.take("amount_stroops")?,
        state: State::named(&state).ok_or_else(|| failed("an unknown state"))?,
        txid: txid.as_deref().and_then(TxId::parse),
        created_at: row.take("created_at")?,
        updated_at: row.take("updated_at")?,
    })
}
