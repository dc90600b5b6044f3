//! A store in memory, for tests. It is the reference of how a store behaves.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use super::{
    AD_KEPT, CANCELLED_KEPT, Claim, Due, FIRST_LOOK, FIRST_PAUSE, MAX_LOOKS, MAX_OPEN_ORDERS,
    ORDER_KEPT, Offer, Order, Ordered, Paid, Product, Record, State, Store, pause_after,
};
use crate::{
    identifier::Identifier,
    pi::{Amount, TxId},
    time::UnixTime,
};

/// A store in memory. Every other store must behave like it.
#[derive(Debug, Default)]
pub struct MemoryStore {
    /// The products for sale.
    pub products: RefCell<Vec<Product>>,
    /// The other products.
    pub stopped: RefCell<Vec<Product>>,
    tables: RefCell<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    orders: BTreeMap<Identifier, Order>,
    payments: BTreeMap<Identifier, Row>,
    /// When each user's next turn comes.
    turns: BTreeMap<Identifier, UnixTime>,
    ads: BTreeMap<Identifier, (Option<Identifier>, UnixTime)>,
}

#[derive(Debug)]
struct Row {
    record: Record,
    approved_at: Option<UnixTime>,
    looks: u32,
    /// The code of its last failure in a scheduled run.
    problem: Option<&'static str>,
    /// When the payment is next due; never, once it is final or given up.
    due_at: Option<UnixTime>,
}

/// A payment with everything that this store knows about it.
#[derive(Clone, Debug)]
pub struct Known {
    /// The payment.
    pub record: Record,
    /// Its order.
    pub order: Option<Order>,
    /// When it was approved.
    pub approved_at: Option<UnixTime>,
    /// How often the scheduled run has read it.
    pub looks: u32,
    /// The code of its last failure.
    pub problem: Option<&'static str>,
    /// When it is due.
    pub due_at: Option<UnixTime>,
}

impl Row {
    fn new(record: Record) -> Self {
        let mut row = Self { record, approved_at: None, looks: 0, problem: None, due_at: None };
        row.start_anew(row.record.created_at);
        row
    }

    fn start_anew(&mut self, now: UnixTime) {
        self.looks = 0;
        self.due_at = (!self.record.state.is_final()).then(|| now.plus(FIRST_LOOK));
    }

    fn is_due(&self, now: UnixTime) -> bool {
        self.due_at.is_some_and(|due_at| due_at <= now)
    }

    fn is_swept(&self, now: UnixTime) -> bool {
        let Record { state, txid, updated_at, .. } = &self.record;
        *state == State::Cancelled && txid.is_none() && updated_at.plus(CANCELLED_KEPT) <= now
    }
}

impl Tables {
    fn live_payment_of(&self, order: &Identifier) -> Option<&Record> {
        self.records().find(|record| {
            record.order_id.as_ref() == Some(order) && record.state != State::Cancelled
        })
    }

    fn records(&self) -> impl Iterator<Item = &Record> {
        self.payments.values().map(|row| &row.record)
    }

    /// The orders that payments refer to.
    fn orders_with_payments(&self) -> BTreeSet<Identifier> {
        self.records().filter_map(|record| record.order_id.clone()).collect()
    }

    /// The earliest time at which a payment of this user is due.
    fn due_at(&self, uid: &Identifier) -> Option<UnixTime> {
        let rows = self.payments.values().filter(|row| row.record.uid.as_ref() == Some(uid));
        rows.filter_map(|row| row.due_at).min()
    }

    /// Schedules a turn of the payment's user at its time, unless they have an earlier one.
    fn take_turn(&mut self, id: &Identifier) {
        let Some(row) = self.payments.get(id) else { return };
        if let (Some(uid), Some(due_at)) = (&row.record.uid, row.due_at) {
            let turn = self.turns.entry(uid.clone()).or_insert(due_at);
            *turn = due_at.min(*turn);
        }
    }

    /// Removes the turn of the payment's user, if none of their payments is due any more.
    fn end_turn(&mut self, id: &Identifier) {
        let uid = self.payments.get(id).and_then(|row| row.record.uid.clone());
        if let Some(uid) = uid.filter(|uid| self.due_at(uid).is_none()) {
            self.turns.remove(&uid);
        }
    }
}

impl MemoryStore {
    /// The numbers of orders and of payments.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let tables = self.tables.borrow();
        (tables.orders.len(), tables.payments.len())
    }

    /// Stores an offer instead of the one with its id.
    fn keep(&self, Offer { product, is_active }: &Offer) {
        let lists = [(&self.products, true), (&self.stopped, false)];
        for (list, of_active) in lists {
            let mut list = list.borrow_mut();
            list.retain(|other| other.id != product.id);
            if of_active == *is_active {
                list.push(product.clone());
                list.sort_by(|a, b| a.id.cmp(&b.id));
            }
        }
    }

    /// The code of a payment's last failure.
    #[must_use]
    pub fn problem(&self, id: &Identifier) -> Option<&'static str> {
        self.tables.borrow().payments.get(id)?.problem
    }

    /// Every payment.
    #[must_use]
    pub fn known(&self) -> Vec<Known> {
        let tables = self.tables.borrow();
        let rows = tables.payments.values();
        rows.map(|row| Known {
            record: row.record.clone(),
            order: row.record.order_id.as_ref().and_then(|id| tables.orders.get(id)).cloned(),
            approved_at: row.approved_at,
            looks: row.looks,
            problem: row.problem,
            due_at: row.due_at,
        })
        .collect()
    }

    /// The orders of a user, the newest first.
    #[must_use]
    pub fn orders_of(&self, uid: &Identifier) -> Vec<Order> {
        let tables = self.tables.borrow();
        let own = tables.orders.values().filter(|order| order.uid.as_ref() == Some(uid));
        let mut own: Vec<Order> = own.cloned().collect();
        own.sort_by(|a, b| b.created_at.cmp(&a.created_at).then(a.id.cmp(&b.id)));
        own
    }

    /// The ads that a user claimed, the last one first.
    #[must_use]
    pub fn ads_of(&self, uid: &Identifier) -> Vec<(Identifier, UnixTime)> {
        let tables = self.tables.borrow();
        let own = tables.ads.iter().filter(|(_, (owner, _))| owner.as_ref() == Some(uid));
        let mut own: Vec<_> = own.map(|(id, (_, at))| (id.clone(), *at)).collect();
        own.sort_by(|(a, first), (b, second)| second.cmp(first).then(a.cmp(b)));
        own
    }

    /// Removes the name of an erased user from everything that stays.
    pub fn forget(&self, uid: &Identifier) {
        let mut tables = self.tables.borrow_mut();
        tables.turns.remove(uid);
        let Tables { orders, payments, ads, .. } = &mut *tables;
        let uids = orders.values_mut().map(|order| &mut order.uid);
        let uids = uids.chain(payments.values_mut().map(|row| &mut row.record.uid));
        for owner in uids.chain(ads.values_mut().map(|(owner, _)| owner)) {
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

    async fn offer(&self, id: &Identifier) -> Result<Option<Offer>, Infallible> {
        let lists = [(&self.products, true), (&self.stopped, false)];
        Ok(lists.into_iter().find_map(|(list, is_active)| {
            let found = list.borrow().iter().find(|product| product.id == *id).cloned();
            found.map(|product| Offer { product, is_active })
        }))
    }

    async fn add_product(&self, product: &Product) -> Result<bool, Infallible> {
        let is_new = self.offer(&product.id).await?.is_none();
        if is_new {
            self.keep(&Offer { product: product.clone(), is_active: true });
        }
        Ok(is_new)
    }

    async fn change_offer(&self, from: &Offer, to: &Offer) -> Result<bool, Infallible> {
        let is_same = self.offer(&from.product.id).await?.as_ref() == Some(from);
        if is_same {
            self.keep(to);
        }
        Ok(is_same)
    }

    async fn keep_order(&self, order: &Order) -> Result<bool, Infallible> {
        let mut tables = self.tables.borrow_mut();
        if tables.orders.contains_key(&order.id) {
            return Ok(false);
        }
        tables.orders.insert(order.id.clone(), order.clone());
        let taken = tables.orders_with_payments();
        let own = tables.orders.values().filter(|other| other.uid == order.uid);
        let open = own.filter(|other| !taken.contains(&other.id));
        let mut open: Vec<_> = open.map(|other| (other.created_at, other.id.clone())).collect();
        // The new order is the newest, also among those of the same second.
        open.sort_by_key(|(created_at, id)| (*id == order.id, *created_at));
        let kept = usize::try_from(MAX_OPEN_ORDERS).unwrap_or(usize::MAX);
        for (_, id) in open.iter().rev().skip(kept) {
            tables.orders.remove(id);
        }
        Ok(true)
    }

    async fn order(&self, id: &Identifier) -> Result<Option<Ordered>, Infallible> {
        let tables = self.tables.borrow();
        Ok(tables.orders.get(id).map(|order| Ordered {
            order: order.clone(),
            payment: tables.live_payment_of(id).cloned(),
            is_sold: self.products.borrow().iter().any(|sold| sold.id == order.product_id),
        }))
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
        Ok(self.tables.borrow().payments.get(id).map(|row| row.record.clone()))
    }

    async fn payments(&self, uid: &Identifier) -> Result<Vec<Record>, Infallible> {
        let tables = self.tables.borrow();
        let own = tables.records().filter(|record| record.uid.as_ref() == Some(uid));
        let mut own: Vec<Record> = own.cloned().collect();
        own.sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then(a.id.cmp(&b.id)));
        Ok(own)
    }

    async fn record_payment(
        &self,
        id: &Identifier,
        claim: &Claim<'_>,
        now: UnixTime,
    ) -> Result<Option<Ordered>, Infallible> {
        let Some(ordered) = self.order(claim.order_id).await? else { return Ok(None) };
        let mut tables = self.tables.borrow_mut();
        if claim.holds(&ordered, now) {
            if let Some(row) = tables.payments.get_mut(id) {
                row.start_anew(now);
            } else if ordered.payment.is_none() {
                let record = Record {
                    id: id.clone(),
                    order_id: Some(claim.order_id.clone()),
                    uid: Some(claim.uid.clone()),
                    amount: claim.amount,
                    state: State::Recorded,
                    txid: None,
                    created_at: now,
                    updated_at: now,
                };
                tables.payments.insert(id.clone(), Row::new(record));
            }
            tables.take_turn(id);
        }
        let own = tables.payments.get(id).map(|row| row.record.clone());
        Ok(Some(Ordered { payment: own.or(ordered.payment), ..ordered }))
    }

    async fn approve_payment(
        &self,
        id: &Identifier,
        now: UnixTime,
    ) -> Result<Option<Record>, Infallible> {
        let mut tables = self.tables.borrow_mut();
        if let Some(row) = tables.payments.get_mut(id)
            && row.record.state == State::Recorded
        {
            (row.record.state, row.record.updated_at) = (State::Approved, now);
            row.approved_at = Some(now);
            row.start_anew(now);
            tables.take_turn(id);
        }
        Ok(tables.payments.get(id).map(|row| row.record.clone()))
    }

    async fn pay(&self, id: &Identifier, txid: &TxId, now: UnixTime) -> Result<Paid, Infallible> {
        let mut tables = self.tables.borrow_mut();
        if tables.records().any(|other| other.txid.as_ref() == Some(txid) && other.id != *id) {
            return Ok(Paid::TxidTaken);
        }
        let Some(row) = tables.payments.get_mut(id) else { return Ok(Paid::NotOpen) };
        let record = &mut row.record;
        Ok(match (record.state, &record.txid) {
            (State::Paid, Some(paid)) if paid == txid => Paid::Done(record.clone()),
            (State::Paid, _) => Paid::TxidTaken,
            (State::Cancelled, _) => Paid::NotOpen,
            (State::Recorded | State::Approved, _) => {
                record.state = State::Paid;
                record.txid = Some(txid.clone());
                record.updated_at = now;
                let paid = record.clone();
                row.due_at = None;
                tables.end_turn(id);
                Paid::Done(paid)
            }
        })
    }

    async fn cancel_payment(
        &self,
        id: &Identifier,
        uid: &Identifier,
        amount: Amount,
        now: UnixTime,
    ) -> Result<Record, Infallible> {
        let mut tables = self.tables.borrow_mut();
        let row = tables.payments.entry(id.clone()).or_insert_with(|| {
            Row::new(Record {
                id: id.clone(),
                order_id: None,
                uid: Some(uid.clone()),
                amount,
                state: State::Recorded,
                txid: None,
                created_at: now,
                updated_at: now,
            })
        });
        if !row.record.state.is_final() && row.record.txid.is_none() {
            (row.record.state, row.record.updated_at) = (State::Cancelled, now);
            row.due_at = None;
        }
        let record = row.record.clone();
        tables.end_turn(id);
        Ok(record)
    }

    async fn adopt(&self, id: &Identifier, uid: &Identifier) -> Result<(), Infallible> {
        let mut tables = self.tables.borrow_mut();
        let Tables { orders, payments, .. } = &mut *tables;
        let Some(Row { record, .. }) = payments.get_mut(id) else { return Ok(()) };
        let order = record.order_id.as_ref().and_then(|order| orders.get_mut(order));
        for owner in order.map(|order| &mut order.uid).into_iter().chain([&mut record.uid]) {
            owner.get_or_insert_with(|| uid.clone());
        }
        tables.take_turn(id);
        Ok(())
    }

    async fn keep_transaction(
        &self,
        id: &Identifier,
        txid: &TxId,
        now: UnixTime,
    ) -> Result<(), Infallible> {
        let mut tables = self.tables.borrow_mut();
        let is_taken = tables.records().any(|other| other.txid.as_ref() == Some(txid));
        if let Some(row) = tables.payments.get_mut(id)
            && row.record.state != State::Paid
            && !is_taken
        {
            row.record.txid = Some(txid.clone());
            row.record.updated_at = now;
        }
        Ok(())
    }

    async fn unfinished(&self, limit: u32, now: UnixTime) -> Result<Vec<Due>, Infallible> {
        let mut tables = self.tables.borrow_mut();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        // The turn of a user; each payment without a user has its own.
        let users = tables.turns.iter().map(|(uid, turn)| (*turn, uid.clone(), true));
        let rows = tables.payments.values().filter(|row| row.record.uid.is_none());
        let erased = rows.filter_map(|row| Some((row.due_at?, row.record.id.clone(), false)));
        let mut turns: Vec<_> = users.chain(erased).filter(|(turn, ..)| *turn <= now).collect();
        turns.sort();
        turns.truncate(limit);
        let mut found = Vec::new();
        for (_, payer, is_user) in turns {
            let due = tables.payments.values_mut().filter(|row| row.is_due(now));
            let own = due.filter(|Row { record, .. }| {
                if is_user { record.uid.as_ref() == Some(&payer) } else { record.id == payer }
            });
            if let Some(row) = own.min_by_key(|row| (row.due_at, row.record.id.clone())) {
                row.due_at = Some(now.plus(pause_after(row.looks)));
                row.looks = row.looks.saturating_add(1);
                found.push(Due { record: row.record.clone(), is_last: row.looks >= MAX_LOOKS });
            }
            if is_user {
                match tables.due_at(&payer) {
                    Some(due_at) => {
                        tables.turns.insert(payer, due_at.max(now.plus(FIRST_PAUSE)));
                    }
                    None => {
                        tables.turns.remove(&payer);
                    }
                }
            }
        }
        Ok(found)
    }

    async fn give_back(&self, ids: &[Identifier], now: UnixTime) -> Result<(), Infallible> {
        let mut tables = self.tables.borrow_mut();
        for id in ids {
            if let Some(row) = tables.payments.get_mut(id)
                && row.due_at.is_some()
            {
                (row.looks, row.due_at) = (row.looks.saturating_sub(1), Some(now));
            }
            tables.take_turn(id);
        }
        Ok(())
    }

    async fn give_up(&self, id: &Identifier) -> Result<(), Infallible> {
        let mut tables = self.tables.borrow_mut();
        if let Some(row) = tables.payments.get_mut(id)
            && row.looks >= MAX_LOOKS
        {
            row.due_at = None;
        }
        tables.end_turn(id);
        Ok(())
    }

    async fn keep_problems(
        &self,
        problems: &[(Identifier, &'static str)],
    ) -> Result<(), Infallible> {
        let payments = &mut self.tables.borrow_mut().payments;
        for (id, code) in problems {
            if let Some(row) = payments.get_mut(id) {
                row.problem = Some(code);
            }
        }
        Ok(())
    }

    async fn sweep(&self, now: UnixTime, limit: u32) -> Result<usize, Infallible> {
        let mut tables = self.tables.borrow_mut();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let oldest = |mut found: Vec<(UnixTime, Identifier)>| {
            found.sort();
            found.into_iter().take(limit).map(|(_, id)| id)
        };
        let mut swept: usize = 0;
        let payments = tables.payments.values().filter(|row| row.is_swept(now));
        let payments = payments.map(|row| (row.record.updated_at, row.record.id.clone()));
        for id in oldest(payments.collect()) {
            swept = swept.saturating_add(usize::from(tables.payments.remove(&id).is_some()));
        }
        let taken = tables.orders_with_payments();
        let old = tables.orders.values().filter(|order| order.created_at.plus(ORDER_KEPT) <= now);
        let unpaid = old.filter(|order| !taken.contains(&order.id));
        for id in oldest(unpaid.map(|order| (order.created_at, order.id.clone())).collect()) {
            swept = swept.saturating_add(usize::from(tables.orders.remove(&id).is_some()));
        }
        let ads = tables.ads.iter().filter(|(_, (_, claimed_at))| claimed_at.plus(AD_KEPT) <= now);
        for id in oldest(ads.map(|(id, (_, claimed_at))| (*claimed_at, id.clone())).collect()) {
            swept = swept.saturating_add(usize::from(tables.ads.remove(&id).is_some()));
        }
        Ok(swept)
    }

    async fn claim_ad(
        &self,
        id: &Identifier,
        uid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<Identifier>, Infallible> {
        let mut tables = self.tables.borrow_mut();
        let claim = || (Some(uid.clone()), now);
        Ok(tables.ads.entry(id.clone()).or_insert_with(claim).0.clone())
    }

    async fn ad_owner(&self, id: &Identifier) -> Result<Option<Option<Identifier>>, Infallible> {
        Ok(self.tables.borrow().ads.get(id).map(|(owner, _)| owner.clone()))
    }
}
