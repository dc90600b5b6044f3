//! A store in memory: for tests, and as the reference of what a store does.

use std::{cell::RefCell, collections::BTreeMap, convert::Infallible};

use super::{Order, Paid, Product, Record, Recorded, State, Store};
use crate::{
    identifier::Identifier,
    pi::{Amount, TxId},
    time::UnixTime,
};

/// A store in memory: what every other store must behave like.
#[derive(Debug, Default)]
pub struct MemoryStore {
    /// What can be bought.
    pub products: RefCell<Vec<Product>>,
    tables: RefCell<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    orders: BTreeMap<Identifier, Order>,
    payments: BTreeMap<Identifier, Record>,
    ads: BTreeMap<Identifier, Option<Identifier>>,
}

impl Tables {
    fn live_payment_of(&self, order: &Identifier) -> Option<&Record> {
        self.payments.values().find(|record| {
            record.order_id.as_ref() == Some(order) && record.state != State::Cancelled
        })
    }
}

impl MemoryStore {
    /// How many orders and payments there are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let tables = self.tables.borrow();
        (tables.orders.len(), tables.payments.len())
    }

    /// What becomes of everything when its user is erased: it stays, and is nobody's.
    pub fn forget(&self, uid: &Identifier) {
        let mut tables = self.tables.borrow_mut();
        let Tables { orders, payments, ads } = &mut *tables;
        let uids = orders.values_mut().map(|order| &mut order.uid);
        let uids = uids.chain(payments.values_mut().map(|record| &mut record.uid));
        for owner in uids.chain(ads.values_mut()) {
            if owner.as_ref() == Some(uid) {
                *owner = None;
            }
        }
    }
}

impl Store for MemoryStore {
    type Error = Infallible;

    async fn products(&self) -> Result<Vec<Product>, Infallible> {
        Ok(self.products.borrow().clone())
    }

    async fn keep_order(&self, order: &Order) -> Result<(), Infallible> {
        self.tables.borrow_mut().orders.insert(order.id.clone(), order.clone());
        Ok(())
    }

    async fn order(&self, id: &Identifier) -> Result<Option<(Order, Option<Record>)>, Infallible> {
        let tables = self.tables.borrow();
        let order = tables.orders.get(id).cloned();
        Ok(order.map(|order| (order, tables.live_payment_of(id).cloned())))
    }

    async fn purchases(&self, uid: &Identifier) -> Result<Vec<(Order, Record)>, Infallible> {
        let payments = self.payments(uid).await?;
        let tables = self.tables.borrow();
        let paid = payments.into_iter().filter(|record| record.state == State::Paid);
        Ok(paid
            .filter_map(|record| {
                let order = tables.orders.get(record.order_id.as_ref()?)?.clone();
                Some((order, record))
            })
            .collect())
    }

    async fn payment(&self, id: &Identifier) -> Result<Option<Record>, Infallible> {
        Ok(self.tables.borrow().payments.get(id).cloned())
    }

    async fn payments(&self, uid: &Identifier) -> Result<Vec<Record>, Infallible> {
        let tables = self.tables.borrow();
        let own = tables.payments.values().filter(|record| record.uid.as_ref() == Some(uid));
        let mut own: Vec<Record> = own.cloned().collect();
        own.sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then(a.id.cmp(&b.id)));
        Ok(own)
    }

    async fn record_payment(
        &self,
        id: &Identifier,
        order: &Order,
        now: UnixTime,
    ) -> Result<Recorded, Infallible> {
        let mut tables = self.tables.borrow_mut();
        if tables.payments.contains_key(id) {
            return Ok(Recorded::Done);
        }
        if let Some(other) = tables.live_payment_of(&order.id) {
            return Ok(Recorded::OrderTaken(other.clone()));
        }
        let record = Record {
            id: id.clone(),
            order_id: Some(order.id.clone()),
            uid: order.uid.clone(),
            amount: order.amount,
            state: State::Recorded,
            txid: None,
            created_at: now,
            updated_at: now,
        };
        tables.payments.insert(id.clone(), record);
        Ok(Recorded::Done)
    }

    async fn approve_payment(&self, id: &Identifier, now: UnixTime) -> Result<(), Infallible> {
        if let Some(record) = self.tables.borrow_mut().payments.get_mut(id)
            && record.state == State::Recorded
        {
            (record.state, record.updated_at) = (State::Approved, now);
        }
        Ok(())
    }

    async fn pay(&self, id: &Identifier, txid: &TxId, now: UnixTime) -> Result<Paid, Infallible> {
        let mut tables = self.tables.borrow_mut();
        if tables
            .payments
            .values()
            .any(|other| other.txid.as_ref() == Some(txid) && other.id != *id)
        {
            return Ok(Paid::TxidTaken);
        }
        let Some(record) = tables.payments.get_mut(id) else { return Ok(Paid::NotOpen) };
        Ok(match (record.state, &record.txid) {
            (State::Paid, Some(paid)) if paid == txid => Paid::Done,
            (State::Paid, _) => Paid::TxidTaken,
            (State::Cancelled, _) => Paid::NotOpen,
            (State::Recorded | State::Approved, _) => {
                record.state = State::Paid;
                record.txid = Some(txid.clone());
                record.updated_at = now;
                Paid::Done
            }
        })
    }

    async fn cancel_payment(
        &self,
        id: &Identifier,
        uid: &Identifier,
        amount: Amount,
        now: UnixTime,
    ) -> Result<(), Infallible> {
        let mut tables = self.tables.borrow_mut();
        let record = tables.payments.entry(id.clone()).or_insert_with(|| Record {
            id: id.clone(),
            order_id: None,
            uid: Some(uid.clone()),
            amount,
            state: State::Recorded,
            txid: None,
            created_at: now,
            updated_at: now,
        });
        if !record.state.is_final() {
            (record.state, record.updated_at) = (State::Cancelled, now);
        }
        Ok(())
    }

    async fn adopt(&self, id: &Identifier, uid: &Identifier) -> Result<(), Infallible> {
        let mut tables = self.tables.borrow_mut();
        let Tables { orders, payments, .. } = &mut *tables;
        let Some(record) = payments.get_mut(id) else { return Ok(()) };
        let order = record.order_id.as_ref().and_then(|order| orders.get_mut(order));
        for owner in order.map(|order| &mut order.uid).into_iter().chain([&mut record.uid]) {
            owner.get_or_insert_with(|| uid.clone());
        }
        Ok(())
    }

    async fn unfinished(
        &self,
        before: UnixTime,
        limit: u32,
        now: UnixTime,
    ) -> Result<Vec<Record>, Infallible> {
        let mut tables = self.tables.borrow_mut();
        let waiting = tables.payments.values_mut();
        let mut waiting: Vec<&mut Record> = waiting
            .filter(|record| !record.state.is_final() && record.updated_at < before)
            .filter(|record| {
                let hour_ago = now.minus(super::HOUR);
                record.created_at >= hour_ago || record.updated_at < hour_ago
            })
            .collect();
        waiting.sort_by(|a, b| a.updated_at.cmp(&b.updated_at).then(a.id.cmp(&b.id)));
        waiting.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(waiting
            .into_iter()
            .map(|record| {
                record.updated_at = now;
                record.clone()
            })
            .collect())
    }

    async fn claim_ad(
        &self,
        id: &Identifier,
        uid: &Identifier,
        _now: UnixTime,
    ) -> Result<Option<Identifier>, Infallible> {
        let mut tables = self.tables.borrow_mut();
        Ok(tables.ads.entry(id.clone()).or_insert_with(|| Some(uid.clone())).clone())
    }

    async fn ad_owner(&self, id: &Identifier) -> Result<Option<Option<Identifier>>, Infallible> {
        Ok(self.tables.borrow().ads.get(id).cloned())
    }
}
