//! The questions that concern a session and payments, each in one batch. The statements about a
//! user find that user by the live session themselves.

use super::{D1Store, failed, payment, query, session, session_user};
use crate::{
    identifier::Identifier,
    payment::{MAX_OPEN_ORDERS, ORDER_KEPT, Ordered, Record},
    service::{Account, Draft, Placed, Store},
    session::Error,
    time::UnixTime,
};

impl Store for D1Store<'_> {
    async fn account(&self, sid: &Identifier, now: UnixTime) -> Result<Option<Account>, Error> {
        let [payments, orders] = payment::purchases_of_session(sid, now);
        let [found, payments, orders] =
            self.batch([session::record_of(sid, now, true), payments, orders]).await?;
        let Some((user, data)) = found.one(session::user)? else { return Ok(None) };
        Ok(Some(Account { user, data, purchases: payment::purchases(payments, orders)? }))
    }

    async fn account_of_user(&self, uid: &Identifier) -> Result<Option<Account>, Error> {
        let [payments, orders] = payment::purchases_of_user(uid);
        let [found, payments, orders] =
            self.batch([session::record_of_user(uid), payments, orders]).await?;
        let Some((user, data)) = found.one(session::user)? else { return Ok(None) };
        Ok(Some(Account { user, data, purchases: payment::purchases(payments, orders)? }))
    }

    async fn user_and_order(
        &self,
        sid: &Identifier,
        id: Option<&Identifier>,
        now: UnixTime,
    ) -> Result<Option<(Identifier, Option<Ordered>)>, Error> {
        let [order, payment] = payment::order_by_id(id);
        let [user, order, payment] = self.batch([session::live(sid, now), order, payment]).await?;
        let Some(uid) = user.one(|mut row| row.take("uid"))? else { return Ok(None) };
        Ok(Some((uid, payment::ordered(order, payment)?)))
    }

    async fn user_and_payment(
        &self,
        sid: &Identifier,
        id: Option<&Identifier>,
        now: UnixTime,
    ) -> Result<Option<(Identifier, Option<Record>)>, Error> {
        let [user, found] =
            self.batch([session::live(sid, now), payment::payment_by_id(id)]).await?;
        let Some(uid) = user.one(|mut row| row.take("uid"))? else { return Ok(None) };
        Ok(Some((uid, found.one(payment::record)?)))
    }

    async fn user_and_ad_owner(
        &self,
        sid: &Identifier,
        id: Option<&Identifier>,
        now: UnixTime,
    ) -> Result<Option<(Identifier, Option<Option<Identifier>>)>, Error> {
        let [user, owner] = self.batch([session::live(sid, now), payment::ad_by_id(id)]).await?;
        let Some(uid) = user.one(|mut row| row.take("uid"))? else { return Ok(None) };
        Ok(Some((uid, owner.one(|mut row| row.take("uid"))?)))
    }

    async fn own_payments(
        &self,
        sid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<Vec<Record>>, Error> {
        let statements = [
            session::live(sid, now),
            query!(
                concat!(
                    "SELECT id, order_id, uid, amount_stroops, state, txid, created_at, updated_at
                     FROM payments WHERE uid = ",
                    session_user!(),
                    " ORDER BY updated_at DESC, id LIMIT ?3"
                ),
                sid,
                now,
                payment::MAX_LISTED
            ),
        ];
        let [user, found] = self.batch(statements).await?;
        if user.is_empty() { Ok(None) } else { found.all(payment::record).map(Some) }
    }

    async fn place_order(
        &self,
        sid: &Identifier,
        draft: &Draft<'_>,
        now: UnixTime,
    ) -> Result<Option<Placed>, Error> {
        let [order, payment] = payment::order_by_id(Some(draft.id));
        let statements = [
            query!(
                "INSERT INTO orders
                   (id, uid, product_id, amount_stroops, memo, created_at, delete_at)
                 SELECT ?3, uid, products.id, amount_stroops, name, ?2, ?5
                 FROM live_sessions JOIN products ON products.id = ?4 AND active = 1
                 WHERE sid = ?1 AND expires_at > ?2
                 ON CONFLICT (id) DO NOTHING",
                sid,
                now,
                draft.id,
                draft.product_id,
                now.plus(ORDER_KEPT)
            ),
            // Makes room for an order that is new or has no payment yet. It is excluded by its id,
            // because others may have a later time.
            query!(
                concat!(
                    "DELETE FROM orders WHERE id IN (
                       SELECT id FROM orders
                       WHERE uid = ",
                    session_user!(),
                    " AND delete_at IS NOT NULL AND id <> ?3
                       ORDER BY created_at DESC LIMIT -1 OFFSET ?4)
                       AND NOT EXISTS (SELECT 1 FROM payments WHERE order_id = orders.id)
                       AND EXISTS (
                         SELECT 1 FROM orders AS made WHERE made.id = ?3 AND made.uid = orders.uid
                           AND made.delete_at IS NOT NULL)"
                ),
                sid,
                now,
                draft.id,
                MAX_OPEN_ORDERS - 1
            ),
            query!(
                "SELECT uid,
                   EXISTS (SELECT 1 FROM products WHERE products.id = ?3 AND active = 1) AS is_sold
                 FROM live_sessions WHERE sid = ?1 AND expires_at > ?2",
                sid,
                now,
                draft.product_id
            ),
            order,
            payment,
        ];
        let [_, _, user, order, payment] = self.batch(statements).await?;
        let user = user.one(|mut row| Ok((row.take("uid")?, row.take("is_sold")?)))?;
        let Some((uid, is_sold)): Option<(Identifier, u8)> = user else { return Ok(None) };
        let found = payment::ordered(order, payment)?;
        if found.is_none() && is_sold == 1 {
            return Err(failed("an order that was just made is missing"));
        }
        Ok(Some(Placed::of(found, draft, &uid, is_sold == 1)))
    }
}
