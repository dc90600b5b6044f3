//! The deeds of operators and backends, each stored together with its entry in the audit.

use crate::{
    audit::Entry,
    identifier::Identifier,
    payment::{self, Offer, Product},
    pi::{Amount, TxId},
    session::{self, Error},
    time::UnixTime,
};

/// A change of something that is stored.
#[derive(Clone, Copy, Debug)]
pub enum Deed<'a> {
    /// Revokes a live session.
    RevokeSession(&'a Identifier),
    /// Revokes all sessions of a user.
    RevokeUser(&'a Identifier),
    /// Revokes all sessions of all users.
    RevokeEveryone,
    /// Blocks a user, for this reason.
    Block(&'a Identifier, &'a str),
    /// Lets a user sign in again.
    Unblock(&'a Identifier),
    /// Erases a user: see [`session::Store::erase_user`] for the limit.
    Erase(&'a Identifier, u32),
    /// Adds a product.
    AddProduct(&'a Product),
    /// Replaces an offer by another one with the same id.
    ChangeOffer(&'a Offer, &'a Offer),
    /// Stores that Pi has approved a payment.
    ApprovePayment(&'a Identifier),
    /// Stores that a payment is paid with a transaction.
    Pay(&'a Identifier, &'a TxId),
    /// Stores the transaction of a payment that is not paid.
    KeepTransaction(&'a Identifier, &'a TxId),
    /// Stores that a payment of this user and this amount is cancelled.
    CancelPayment(&'a Identifier, &'a Identifier, Amount),
}

/// The deeds, and the audit. Each call happens completely or not at all.
///
/// The default of a method is its specification: see [`crate::service::Store`].
#[allow(async_fn_in_trait, reason = "Workers and tests are single-threaded; no Send is needed")]
pub trait Deeds: session::Store + payment::Store<Error = Error> {
    /// Stores an entry about something that changes nothing in this store, such as a look at data.
    ///
    /// # Errors
    /// If the storage fails.
    async fn keep_entry(&self, entry: &Entry, now: UnixTime) -> Result<(), Error>;

    /// Does the deed and stores its entry, both or neither. Without a change, there is no entry.
    /// Returns whether there was one.
    ///
    /// # Errors
    /// If the storage fails.
    async fn act(&self, deed: Deed<'_>, entry: &Entry, now: UnixTime) -> Result<bool, Error> {
        let is_done = match deed {
            Deed::RevokeSession(sid) => self.revoke(sid, now).await?,
            Deed::RevokeUser(uid) => self.revoke_user(uid, now).await?,
            Deed::RevokeEveryone => {
                self.revoke_everyone(now).await?;
                true
            }
            Deed::Block(uid, reason) => self.block(uid, reason, now).await?,
            Deed::Unblock(uid) => self.unblock(uid).await?,
            Deed::Erase(uid, limit) => self.erase_user(uid, limit, now).await?,
            Deed::AddProduct(product) => self.add_product(product).await?,
            Deed::ChangeOffer(from, to) => self.change_offer(from, to).await?,
            Deed::ApprovePayment(id)
            | Deed::Pay(id, _)
            | Deed::KeepTransaction(id, _)
            | Deed::CancelPayment(id, ..) => {
                let state = |record: payment::Record| (record.state, record.txid);
                let before = self.payment(id).await?.map(state);
                match deed {
                    Deed::KeepTransaction(_, txid) => self.keep_transaction(id, txid, now).await?,
                    Deed::Pay(_, txid) => drop(self.pay(id, txid, now).await?),
                    Deed::CancelPayment(_, uid, amount) => {
                        drop(self.cancel_payment(id, uid, amount, now).await?);
                    }
                    _ => drop(self.approve_payment(id, now).await?),
                }
                before != self.payment(id).await?.map(state)
            }
        };
        if is_done {
            self.keep_entry(entry, now).await?;
        }
        Ok(is_done)
    }

    /// Whether a user with this id was erased, by the user's own row, which may stay for a while,
    /// or by an entry of the audit.
    ///
    /// # Errors
    /// If the storage fails.
    async fn was_erased(&self, uid: &Identifier) -> Result<bool, Error>;
}
