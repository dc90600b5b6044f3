//! Where products, orders and payments are kept: the contract. [`super::MemoryStore`] is its reference
//! implementation. A failure is [`Error`]: nothing of what was asked has been written.

use super::{Order, Product, Record};
use crate::{
    identifier::Identifier,
    pi::{Amount, TxId},
    time::UnixTime,
};

/// How writing a payment down went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is there, now or since before.
    Done,
    /// Its order has another payment, this one.
    OrderTaken(Record),
}

/// How marking a payment paid went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paid {
    /// It is paid with this transaction, now or since before.
    Done,
    /// The transaction has paid another payment, or another one has paid this.
    TxidTaken,
    /// It is not one that can be paid.
    NotOpen,
}

/// Products, orders, payments and claimed ads. Each call happens wholly or not at all.
#[allow(async_fn_in_trait, reason = "Workers and tests are single-threaded; no Send is needed")]
pub trait Store {
    /// What the storage fails with.
    type Error;

    /// What can be bought, by id.
    ///
    /// # Errors
    /// When the storage fails, as with all of these.
    async fn products(&self) -> Result<Vec<Product>, Self::Error>;

    /// Keeps an order.
    ///
    /// # Errors
    /// When the storage fails.
    async fn keep_order(&self, order: &Order) -> Result<(), Self::Error>;

    /// An order, and its live payment if it has one.
    ///
    /// # Errors
    /// When the storage fails.
    async fn order(&self, id: &Identifier) -> Result<Option<(Order, Option<Record>)>, Self::Error>;

    /// Paid orders of a user with their payments, the newest first.
    ///
    /// # Errors
    /// When the storage fails.
    async fn purchases(&self, uid: &Identifier) -> Result<Vec<(Order, Record)>, Self::Error>;

    /// A payment.
    ///
    /// # Errors
    /// When the storage fails.
    async fn payment(&self, id: &Identifier) -> Result<Option<Record>, Self::Error>;

    /// A user's payments, the newest first.
    ///
    /// # Errors
    /// When the storage fails.
    async fn payments(&self, uid: &Identifier) -> Result<Vec<Record>, Self::Error>;

    /// Writes a payment down before anything is done for it, unless its order has another one that lives.
    ///
    /// # Errors
    /// When the storage fails.
    async fn record_payment(
        &self,
        id: &Identifier,
        order: &Order,
        now: UnixTime,
    ) -> Result<Recorded, Self::Error>;

    /// A recorded payment is approved.
    ///
    /// # Errors
    /// When the storage fails.
    async fn approve_payment(&self, id: &Identifier, now: UnixTime) -> Result<(), Self::Error>;

    /// A recorded or approved payment is paid, and with it its order: once, in one step with its transaction.
    ///
    /// # Errors
    /// When the storage fails.
    async fn pay(&self, id: &Identifier, txid: &TxId, now: UnixTime) -> Result<Paid, Self::Error>;

    /// A payment that is not paid is called off. One that is not known is written down as such.
    ///
    /// # Errors
    /// When the storage fails.
    async fn cancel_payment(
        &self,
        id: &Identifier,
        uid: &Identifier,
        amount: Amount,
        now: UnixTime,
    ) -> Result<(), Self::Error>;

    /// A payment and its order are this user's, if they have become nobody's: an erased user has come back.
    ///
    /// # Errors
    /// When the storage fails.
    async fn adopt(&self, id: &Identifier, uid: &Identifier) -> Result<(), Self::Error>;

    /// Up to `limit` payments that have not moved since `before` and are not at their end, the longest waiting first; those
    /// that were written down over an hour ago, once an hour. They are marked as moved now, so that one
    /// that cannot be finished does not keep others waiting.
    ///
    /// # Errors
    /// When the storage fails.
    async fn unfinished(
        &self,
        before: UnixTime,
        limit: u32,
        now: UnixTime,
    ) -> Result<Vec<Record>, Self::Error>;

    /// Gives an ad to the first user who claims it, for ever. Gives back whose it is.
    ///
    /// # Errors
    /// When the storage fails.
    async fn claim_ad(
        &self,
        id: &Identifier,
        uid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<Identifier>, Self::Error>;

    /// Whose an ad is, if it was claimed; the inner `None` is an erased user.
    ///
    /// # Errors
    /// When the storage fails.
    async fn ad_owner(&self, id: &Identifier) -> Result<Option<Option<Identifier>>, Self::Error>;
}
