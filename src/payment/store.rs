//! Where products, orders and payments are kept: the contract. [`super::MemoryStore`] is its reference
//! implementation. After a failure, nothing of what was asked has been written, unless the answer was lost or too late.

use super::{Order, Product, Record};
use crate::{
    identifier::Identifier,
    pi::{Amount, TxId},
    time::UnixTime,
};

/// An order, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The order.
    pub order: Order,
    /// Its live payment.
    pub payment: Option<Record>,
    /// Whether its product is still sold.
    pub is_sold: bool,
}

/// A payment that the scheduled run looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The payment.
    pub record: Record,
    /// Whether this is the last look.
    pub is_last: bool,
}

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

    /// Keeps an order, unless there is one with its id, which stays as it is. Says whether it is new. Of the user's orders
    /// without any payment, only the newest [`MAX_OPEN_ORDERS`](super::MAX_OPEN_ORDERS) stay.
    ///
    /// # Errors
    /// When the storage fails.
    async fn keep_order(&self, order: &Order) -> Result<bool, Self::Error>;

    /// An order, with its live payment, and whether its product is still sold.
    ///
    /// # Errors
    /// When the storage fails.
    async fn order(&self, id: &Identifier) -> Result<Option<Ordered>, Self::Error>;

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

    /// Writes a payment down before anything is done for it, unless its order has another one that lives. A payment that is
    /// there and lives is due anew, since its user has taken a step with it.
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

    /// A payment that is not paid, and of which no transaction is kept, is cancelled. One that is not known is written down
    /// as cancelled.
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

    /// Keeps the transaction of a payment that is neither paid nor cancelled here, although Pi says that it is cancelled.
    /// From then on, [`Store::cancel_payment`] leaves it alone.
    ///
    /// # Errors
    /// When the storage fails.
    async fn keep_transaction(&self, id: &Identifier, txid: &TxId) -> Result<(), Self::Error>;

    /// Up to `limit` payments at which the scheduled run must look now. A payment is due [`FIRST_LOOK`](super::FIRST_LOOK)
    /// after its last step, and again after each pause of [`pause_after`](super::pause_after); it counts as looked at
    /// when it is returned.
    ///
    /// Users take turns, one payment each, so that one user's many payments do not delay another's. A user's turn comes
    /// when one of their payments is due, and not within [`FIRST_PAUSE`](super::FIRST_PAUSE) of their last turn. The
    /// user who has waited longest comes first, with the payment that has been due longest. The payment of an erased
    /// user has turns of its own.
    ///
    /// # Errors
    /// When the storage fails.
    async fn unfinished(&self, limit: u32, now: UnixTime) -> Result<Vec<Due>, Self::Error>;

    /// Takes back the look at payments for which the run had no time left: they are due now.
    ///
    /// # Errors
    /// When the storage fails.
    async fn give_back(&self, ids: &[Identifier], now: UnixTime) -> Result<(), Self::Error>;

    /// After its last look, never returns the payment from [`Store::unfinished`] again, unless its user takes a step with
    /// it. If they have taken one since that look, this changes nothing.
    ///
    /// # Errors
    /// When the storage fails.
    async fn give_up(&self, id: &Identifier) -> Result<(), Self::Error>;

    /// Deletes rows that nobody needs any more, up to `limit` of each kind, the oldest first: orders without any payment
    /// after [`ORDER_KEPT`](super::ORDER_KEPT), cancelled payments without a transaction after
    /// [`CANCELLED_KEPT`](super::CANCELLED_KEPT) together with their orders, claimed ads after
    /// [`AD_KEPT`](super::AD_KEPT). Paid orders and their payments stay for ever. Returns the number of rows.
    ///
    /// # Errors
    /// When the storage fails.
    async fn sweep(&self, now: UnixTime, limit: u32) -> Result<usize, Self::Error>;

    /// Gives an ad to the first user who claims it. Returns whose it is.
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
