//! The contract of the storage of products, orders and payments. [`super::MemoryStore`] is its
//! reference implementation. After a failure, nothing was written, unless the answer was lost or
//! came too late.

use super::{ORDER_LIFETIME, Offer, Order, Product, Record, State};
use crate::{
    identifier::Identifier,
    pi::{Amount, TxId},
    time::UnixTime,
};

/// An order in its current state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The order.
    pub order: Order,
    /// The live payment.
    pub payment: Option<Record>,
    /// Whether its product is still for sale.
    pub is_sold: bool,
}

impl Ordered {
    /// Whether a payment for it may be approved.
    #[must_use]
    pub fn is_open(&self, now: UnixTime) -> bool {
        self.is_sold && now <= self.order.created_at.plus(ORDER_LIFETIME)
    }
}

/// The order that a payment says it pays for. A payment is stored only if all of this is true.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The id of the order.
    pub order_id: &'a Identifier,
    /// The user of the order.
    pub uid: &'a Identifier,
    /// The price of the order.
    pub amount: Amount,
    /// Whether the order must be open: see [`Ordered::is_open`].
    pub must_be_open: bool,
}

impl Claim<'_> {
    /// Whether it is true of this order.
    #[must_use]
    pub fn holds(&self, ordered: &Ordered, now: UnixTime) -> bool {
        let order = &ordered.order;
        (&order.id, order.uid.as_ref(), order.amount)
            == (self.order_id, Some(self.uid), self.amount)
            && (!self.must_be_open || ordered.is_open(now))
    }
}

/// A payment that the scheduled run reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The payment.
    pub record: Record,
    /// Whether this is the last read.
    pub is_last: bool,
}

/// The outcome of marking a payment as paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paid {
    /// It is paid with this transaction, now or already before.
    Done(Record),
    /// The transaction paid another payment, or another transaction paid this one.
    TxidTaken,
    /// It is not in a state in which it can be paid.
    NotOpen,
}

impl Paid {
    /// The outcome, if this is the payment as it is stored after the step.
    #[must_use]
    pub fn of(found: Option<Record>, txid: &TxId) -> Self {
        match found {
            Some(record) if record.state == State::Paid && record.txid.as_ref() == Some(txid) => {
                Self::Done(record)
            }
            Some(record) if record.state != State::Cancelled => Self::TxidTaken,
            _ => Self::NotOpen,
        }
    }
}

/// Products, orders, payments and claimed ads. Each call happens completely or not at all.
#[allow(async_fn_in_trait, reason = "Workers and tests are single-threaded; no Send is needed")]
pub trait Store {
    /// The error of the storage.
    type Error;

    /// The products for sale, by id.
    ///
    /// # Errors
    /// If the storage fails, as with all of these.
    async fn products(&self) -> Result<Vec<Product>, Self::Error>;

    /// A product, for sale or not.
    ///
    /// # Errors
    /// If the storage fails.
    async fn offer(&self, id: &Identifier) -> Result<Option<Offer>, Self::Error>;

    /// Stores a product for sale, unless there is one with its id, which stays unchanged. Returns
    /// whether it is new.
    ///
    /// # Errors
    /// If the storage fails.
    async fn add_product(&self, product: &Product) -> Result<bool, Self::Error>;

    /// Replaces an offer by another one of the same id, if it is still as the caller read it.
    /// Returns whether it was.
    ///
    /// # Errors
    /// If the storage fails.
    async fn change_offer(&self, from: &Offer, to: &Offer) -> Result<bool, Self::Error>;

    /// Stores an order, unless there is one with its id, which stays unchanged. Returns whether it
    /// is new. Of the user's orders without any payment, only the newest
    /// [`MAX_OPEN_ORDERS`](super::MAX_OPEN_ORDERS) stay.
    ///
    /// # Errors
    /// If the storage fails.
    async fn keep_order(&self, order: &Order) -> Result<bool, Self::Error>;

    /// An order, with its live payment, and whether its product is still for sale.
    ///
    /// # Errors
    /// If the storage fails.
    async fn order(&self, id: &Identifier) -> Result<Option<Ordered>, Self::Error>;

    /// The paid orders of a user with their payments, the newest first.
    ///
    /// # Errors
    /// If the storage fails.
    async fn purchases(&self, uid: &Identifier) -> Result<Vec<(Order, Record)>, Self::Error>;

    /// A payment.
    ///
    /// # Errors
    /// If the storage fails.
    async fn payment(&self, id: &Identifier) -> Result<Option<Record>, Self::Error>;

    /// A user's payments, the newest first.
    ///
    /// # Errors
    /// If the storage fails.
    async fn payments(&self, uid: &Identifier) -> Result<Vec<Record>, Self::Error>;

    /// Stores a payment before anything is done for it, if its claim is true and its order has no
    /// other live payment. If the payment is stored already and is live, and its claim is true, it
    /// becomes due anew, because its user has taken a step.
    ///
    /// Returns the order, if there is one, with this payment if it is stored, or else with the live
    /// payment of the order. The caller derives from it why the payment was not stored.
    ///
    /// # Errors
    /// If the storage fails.
    async fn record_payment(
        &self,
        id: &Identifier,
        claim: &Claim<'_>,
        now: UnixTime,
    ) -> Result<Option<Ordered>, Self::Error>;

    /// Marks a recorded payment as approved. Returns the payment, whatever its state.
    ///
    /// # Errors
    /// If the storage fails.
    async fn approve_payment(
        &self,
        id: &Identifier,
        now: UnixTime,
    ) -> Result<Option<Record>, Self::Error>;

    /// Marks a recorded or approved payment, and with it its order, as paid: once, in one step with
    /// its transaction.
    ///
    /// # Errors
    /// If the storage fails.
    async fn pay(&self, id: &Identifier, txid: &TxId, now: UnixTime) -> Result<Paid, Self::Error>;

    /// Marks a payment as cancelled, unless it is paid or a transaction of it is kept. An unknown
    /// payment is stored as cancelled. Returns the payment, whatever its state.
    ///
    /// # Errors
    /// If the storage fails.
    async fn cancel_payment(
        &self,
        id: &Identifier,
        uid: &Identifier,
        amount: Amount,
        now: UnixTime,
    ) -> Result<Record, Self::Error>;

    /// Assigns a payment and its order to this user, if they belong to no user any more: an erased
    /// user has come back.
    ///
    /// # Errors
    /// If the storage fails.
    async fn adopt(&self, id: &Identifier, uid: &Identifier) -> Result<(), Self::Error>;

    /// Keeps the transaction of a payment that is neither paid nor cancelled here, although Pi
    /// reports it as cancelled. From then on, [`Store::cancel_payment`] does not change it.
    ///
    /// # Errors
    /// If the storage fails.
    async fn keep_transaction(
        &self,
        id: &Identifier,
        txid: &TxId,
        now: UnixTime,
    ) -> Result<(), Self::Error>;

    /// Up to `limit` payments that the scheduled run must read now. A payment is due
    /// [`FIRST_LOOK`](super::FIRST_LOOK) after its last step, and again after each pause of
    /// [`pause_after`](super::pause_after). It counts as read when it is returned.
    ///
    /// Users take turns, one payment each, so that one user's many payments do not delay another's.
    /// A user's turn comes when one of their payments is due, but not within
    /// [`FIRST_PAUSE`](super::FIRST_PAUSE) of their last turn. The user who has waited longest
    /// comes first, with the payment that has been due longest. Each payment of an erased user has
    /// its own turns.
    ///
    /// # Errors
    /// If the storage fails.
    async fn unfinished(&self, limit: u32, now: UnixTime) -> Result<Vec<Due>, Self::Error>;

    /// Makes payments due again that a run had no time to read.
    ///
    /// # Errors
    /// If the storage fails.
    async fn give_back(&self, ids: &[Identifier], now: UnixTime) -> Result<(), Self::Error>;

    /// After the last read of a payment, excludes it from [`Store::unfinished`] until its user
    /// takes a step with it. If they have taken one since that read, this changes nothing.
    ///
    /// # Errors
    /// If the storage fails.
    async fn give_up(&self, id: &Identifier) -> Result<(), Self::Error>;

    /// Keeps the code of each payment's last failure, for a person.
    ///
    /// # Errors
    /// If the storage fails.
    async fn keep_problems(
        &self,
        problems: &[(Identifier, &'static str)],
    ) -> Result<(), Self::Error>;

    /// Deletes rows that nobody needs any more, up to `limit` of each kind, the oldest first:
    /// orders without any payment after [`ORDER_KEPT`](super::ORDER_KEPT), cancelled payments
    /// without a transaction after [`CANCELLED_KEPT`](super::CANCELLED_KEPT) together with their
    /// orders, claimed ads after [`AD_KEPT`](super::AD_KEPT). Paid orders and their payments stay
    /// forever. Returns the number of rows.
    ///
    /// # Errors
    /// If the storage fails.
    async fn sweep(&self, now: UnixTime, limit: u32) -> Result<usize, Self::Error>;

    /// Assigns an ad to the first user who claims it. Returns the user that has it.
    ///
    /// # Errors
    /// If the storage fails.
    async fn claim_ad(
        &self,
        id: &Identifier,
        uid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<Identifier>, Self::Error>;

    /// The user that claimed an ad, if any did. The inner `None` stands for an erased user.
    ///
    /// # Errors
    /// If the storage fails.
    async fn ad_owner(&self, id: &Identifier) -> Result<Option<Option<Identifier>>, Self::Error>;
}
