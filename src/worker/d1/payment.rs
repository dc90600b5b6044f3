//! Products, orders, payments and claimed ads in D1.

use serde::Deserialize;
use worker::query;

use super::{D1Store, changes, failed, rows, run};
use crate::{
    identifier::Identifier,
    payment::{HOUR, Order, Paid, Product, Record, Recorded, State, Store},
    pi::{Amount, TxId},
    session::Error,
    time::UnixTime,
};

/// A list that a person looks through.
const MAX_LISTED: u32 = 200;

impl Store for D1Store {
    type Error = Error;

    async fn products(&self) -> Result<Vec<Product>, Error> {
        let found = run(query!(
            &self.database,
            "SELECT id, name, amount_stroops FROM products WHERE active = 1 ORDER BY id"
        ))
        .await?;
        let products = rows::<ProductRow>(&found)?.into_iter();
        Ok(products
            .map(|ProductRow { id, name, amount_stroops: amount }| Product { id, name, amount })
            .collect())
    }

    async fn keep_order(&self, order: &Order) -> Result<(), Error> {
        run(query!(
            &self.database,
            "INSERT INTO orders (id, uid, product_id, amount_stroops, memo, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            order.id,
            order.uid,
            order.product_id,
            order.amount,
            order.memo,
            order.created_at
        )?)
        .await?;
        Ok(())
    }

    async fn order(&self, id: &Identifier) -> Result<Option<(Order, Option<Record>)>, Error> {
        let statements = vec![
            query!(
                &self.database,
                "SELECT id, uid, product_id, amount_stroops, memo, created_at
                 FROM orders WHERE id = ?1",
                id
            )?,
            query!(
                &self.database,
                "SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at
                 FROM payments WHERE order_id = ?1 AND state <> 'cancelled'",
                id
            )?,
        ];
        let results = self.database.batch(statements).await?;
        let [order, payment] = results.as_slice() else {
            return Err(failed("the batch of an order has two results"));
        };
        let Some(order) = rows::<OrderRow>(order)?.pop() else { return Ok(None) };
        let payment =
            rows::<PaymentRow>(payment)?.pop().map(PaymentRow::into_record).transpose()?;
        Ok(Some((order.into_order(), payment)))
    }

    async fn purchases(&self, uid: &Identifier) -> Result<Vec<(Order, Record)>, Error> {
        let statements = vec![
            query!(
                &self.database,
                "SELECT payments.id, order_id, payments.uid, payments.amount_stroops, state, txid,
                   payments.created_at, updated_at
                 FROM payments JOIN orders ON orders.id = order_id
                 WHERE payments.uid = ?1 AND state = 'paid' ORDER BY updated_at DESC, payments.id",
                uid
            )?,
            query!(
                &self.database,
                "SELECT orders.id, orders.uid, product_id, orders.amount_stroops, memo,
                   orders.created_at
                 FROM payments JOIN orders ON orders.id = order_id
                 WHERE payments.uid = ?1 AND state = 'paid' ORDER BY updated_at DESC, payments.id",
                uid
            )?,
        ];
        let results = self.database.batch(statements).await?;
        let [payments, orders] = results.as_slice() else {
            return Err(failed("the batch of the purchases has two results"));
        };
        let payments = rows::<PaymentRow>(payments)?.into_iter().map(PaymentRow::into_record);
        let orders = rows::<OrderRow>(orders)?.into_iter().map(OrderRow::into_order);
        orders.zip(payments).map(|(order, payment)| Ok((order, payment?))).collect()
    }

    async fn payment(&self, id: &Identifier) -> Result<Option<Record>, Error> {
        let found = run(query!(
            &self.database,
            "SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at
             FROM payments WHERE id = ?1",
            id
        )?)
        .await?;
        rows::<PaymentRow>(&found)?.pop().map(PaymentRow::into_record).transpose()
    }

    async fn payments(&self, uid: &Identifier) -> Result<Vec<Record>, Error> {
        let found = run(query!(
            &self.database,
            "SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at
             FROM payments WHERE uid = ?1 ORDER BY updated_at DESC, id LIMIT ?2",
            uid,
            MAX_LISTED
        )?)
        .await?;
        rows::<PaymentRow>(&found)?.into_iter().map(PaymentRow::into_record).collect()
    }

    async fn record_payment(
        &self,
        id: &Identifier,
        order: &Order,
        now: UnixTime,
    ) -> Result<Recorded, Error> {
        let statements = vec![
            query!(
                &self.database,
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
            )?,
            query!(
                &self.database,
                "SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at
                 FROM payments
                 WHERE id = ?1 OR (order_id = ?2 AND state <> 'cancelled')
                 ORDER BY id = ?1 DESC LIMIT 1",
                id,
                order.id
            )?,
        ];
        let results = self.database.batch(statements).await?;
        let found = results.last().ok_or_else(|| failed("the batch has results"))?;
        let found = rows::<PaymentRow>(found)?.pop().map(PaymentRow::into_record).transpose()?;
        match found {
            Some(record) if record.id == *id => Ok(Recorded::Done),
            Some(other) => Ok(Recorded::OrderTaken(other)),
            None => Err(failed("a payment that was written down is gone")),
        }
    }

    async fn approve_payment(&self, id: &Identifier, now: UnixTime) -> Result<(), Error> {
        run(query!(
            &self.database,
            "UPDATE payments SET state = 'approved', updated_at = ?2
             WHERE id = ?1 AND state = 'recorded'",
            id,
            now
        )?)
        .await?;
        Ok(())
    }

    async fn pay(&self, id: &Identifier, txid: &TxId, now: UnixTime) -> Result<Paid, Error> {
        let statements = vec![
            // The step that delivers: state and transaction, once.
            query!(
                &self.database,
                "UPDATE payments SET state = 'paid', txid = ?2, updated_at = ?3
                 WHERE id = ?1 AND state IN ('recorded', 'approved')
                   AND NOT EXISTS (SELECT 1 FROM payments WHERE txid = ?2)",
                id,
                txid.as_str(),
                now
            )?,
            query!(
                &self.database,
                "SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at
                 FROM payments WHERE id = ?1",
                id
            )?,
        ];
        let results = self.database.batch(statements).await?;
        let [paid, found] = results.as_slice() else {
            return Err(failed("the batch of paying has two results"));
        };
        if changes(paid)? > 0 {
            return Ok(Paid::Done);
        }
        let found = rows::<PaymentRow>(found)?.pop().map(PaymentRow::into_record).transpose()?;
        Ok(match found {
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
        run(query!(
            &self.database,
            "INSERT INTO payments (id, uid, amount_stroops, state, created_at, updated_at)
             VALUES (?1, (SELECT uid FROM users WHERE uid = ?2), ?3, 'cancelled', ?4, ?4)
             ON CONFLICT (id) DO UPDATE SET state = 'cancelled', updated_at = ?4
               WHERE state IN ('recorded', 'approved')",
            id,
            uid,
            amount,
            now
        )?)
        .await?;
        Ok(())
    }

    async fn adopt(&self, id: &Identifier, uid: &Identifier) -> Result<(), Error> {
        let statements = vec![
            query!(
                &self.database,
                "UPDATE payments SET uid = ?2 WHERE id = ?1 AND uid IS NULL",
                id,
                uid
            )?,
            query!(
                &self.database,
                "UPDATE orders SET uid = ?2
                 WHERE id = (SELECT order_id FROM payments WHERE id = ?1) AND uid IS NULL",
                id,
                uid
            )?,
        ];
        self.database.batch(statements).await?;
        Ok(())
    }

    async fn unfinished(
        &self,
        before: UnixTime,
        limit: u32,
        now: UnixTime,
    ) -> Result<Vec<Record>, Error> {
        let found = run(query!(
            &self.database,
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
        )?)
        .await?;
        rows::<PaymentRow>(&found)?.into_iter().map(PaymentRow::into_record).collect()
    }

    async fn claim_ad(
        &self,
        id: &Identifier,
        uid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<Identifier>, Error> {
        run(query!(
            &self.database,
            "INSERT INTO ads (id, uid, claimed_at) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
            id,
            uid,
            now
        )?)
        .await?;
        Ok(self.ad_owner(id).await?.flatten())
    }

    async fn ad_owner(&self, id: &Identifier) -> Result<Option<Option<Identifier>>, Error> {
        let found = run(query!(&self.database, "SELECT uid FROM ads WHERE id = ?1", id)?).await?;
        Ok(rows::<AdRow>(&found)?.pop().map(|row| row.uid))
    }
}

#[derive(Deserialize)]
struct ProductRow {
    id: Identifier,
    name: String,
    amount_stroops: Amount,
}

#[derive(Deserialize)]
struct OrderRow {
    id: Identifier,
    uid: Option<Identifier>,
    product_id: Identifier,
    amount_stroops: Amount,
    memo: String,
    created_at: UnixTime,
}

impl OrderRow {
    fn into_order(self) -> Order {
        let Self { id, uid, product_id, amount_stroops: amount, memo, created_at } = self;
        Order { id, uid, product_id, amount, memo, created_at }
    }
}

#[derive(Deserialize)]
struct PaymentRow {
    id: Identifier,
    order_id: Option<Identifier>,
    uid: Option<Identifier>,
    amount_stroops: Amount,
    state: String,
    txid: Option<String>,
    created_at: UnixTime,
    updated_at: UnixTime,
}

impl PaymentRow {
    fn into_record(self) -> Result<Record, Error> {
        Ok(Record {
            id: self.id,
            order_id: self.order_id,
            uid: self.uid,
            amount: self.amount_stroops,
            state: State::named(&self.state).ok_or_else(|| failed("an unknown state"))?,
            txid: self.txid.as_deref().and_then(TxId::parse),
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

#[derive(Deserialize)]
struct AdRow {
    uid: Option<Identifier>,
}
