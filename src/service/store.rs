//! The store as the service uses it: the stores of sessions and of payments, and the questions that
//! concern both. Each of these is one call, because every call to a remote store is a wait.

use super::{
    admin::{deeds::Deeds, records::Records},
    tally::Counted,
};
use crate::{
    identifier::Identifier,
    payment::{self, Order, Ordered, Product, Record},
    session::{self, Data, Error, User},
    time::UnixTime,
};

/// Everything that is stored about a user, for the user or the app's own backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: User,
    /// The app's own data for this user.
    pub data: Option<Data>,
    /// The paid orders with their payments, the newest first.
    pub purchases: Vec<(Order, Record)>,
}

/// An order to be made.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// The id of the order.
    pub id: &'a Identifier,
    /// The product, as the client names it.
    pub product_id: &'a str,
}

/// The outcome of placing an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// The order: a new one, or the one that the same draft made before.
    Done(Box<Ordered>),
    /// The product is not for sale.
    NotSold,
    /// The id belongs to an order of another product, or of a user who was erased since.
    IdTaken,
}

impl Placed {
    /// The outcome for a user, if this order is now stored with the draft's id.
    #[must_use]
    pub fn of(
        found: Option<Ordered>,
        draft: &Draft<'_>,
        uid: &Identifier,
        is_product_sold: bool,
    ) -> Self {
        let same = found.filter(|Ordered { order, .. }| {
            order.uid.as_ref() == Some(uid) && order.product_id.as_str() == draft.product_id
        });
        match same {
            Some(ordered) => Self::Done(Box::new(ordered)),
            None if is_product_sold => Self::IdTaken,
            // The product may have been withdrawn since the order whose answer was lost.
            None => Self::NotSold,
        }
    }
}

/// What the marks say before the hour's numbers are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// When they were last made.
    pub rolled_up_at: Option<UnixTime>,
    /// How many users and live sessions there were.
    pub rows: u64,
}

/// The stored numbers. The store also counts each sign-in, in the call that begins the session.
#[allow(async_fn_in_trait, reason = "Workers and tests are single-threaded; no Send is needed")]
pub trait Counts {
    /// Adds numbers to those that are stored for the same hours.
    ///
    /// # Errors
    /// If the storage fails.
    async fn add_counts(&self, counted: &[Counted]) -> Result<(), Error>;

    /// Stores that the clock ran at this time, and how that went. Returns what the marks say.
    ///
    /// # Errors
    /// If the storage fails.
    async fn mark_run(&self, outcome: &str, now: UnixTime) -> Result<Marks, Error>;

    /// Makes the numbers of the days from `since` on, if it is given: of paid orders from the
    /// payments, and of everything from the hours. Deletes hours and days that were kept for long
    /// enough.
    ///
    /// # Errors
    /// If the storage fails.
    async fn roll_up(&self, since: Option<UnixTime>, now: UnixTime) -> Result<(), Error>;

    /// Deletes entries of the audit that were kept for long enough.
    ///
    /// # Errors
    /// If the storage fails.
    async fn forget_entries(&self, now: UnixTime) -> Result<(), Error>;

    /// Counts the users and the live sessions, and if `with_active`, the users who were active
    /// yesterday.
    ///
    /// # Errors
    /// If the storage fails.
    async fn take_stock(&self, with_active: bool, now: UnixTime) -> Result<(), Error>;
}

/// Everything that is stored: users and sessions, orders and payments, numbers, and the audit.
///
/// The default of each method is its specification. A store in memory uses it; a remote store
/// replaces it with one call that does the same. Where a method takes a session, `None` says that
/// the session is not live; then nothing was written.
#[allow(async_fn_in_trait, reason = "Workers and tests are single-threaded; no Send is needed")]
pub trait Store: session::Store + payment::Store<Error = Error> + Counts + Deeds + Records {
    /// The account of the session's user.
    ///
    /// # Errors
    /// If the storage fails, as with all of these.
    async fn account(&self, sid: &Identifier, now: UnixTime) -> Result<Option<Account>, Error> {
        let Some((user, data)) = self.record(sid, now).await? else { return Ok(None) };
        let purchases = self.purchases(&user.uid).await?;
        Ok(Some(Account { user, data, purchases }))
    }

    /// The account of a user. `None` if there is no such user.
    ///
    /// # Errors
    /// If the storage fails.
    async fn account_of_user(&self, uid: &Identifier) -> Result<Option<Account>, Error> {
        let Some((user, data)) = self.record_of_user(uid).await? else { return Ok(None) };
        let purchases = self.purchases(uid).await?;
        Ok(Some(Account { user, data, purchases }))
    }

    /// The session's user, and the order of any user with this id.
    ///
    /// # Errors
    /// If the storage fails.
    async fn user_and_order(
        &self,
        sid: &Identifier,
        id: Option<&Identifier>,
        now: UnixTime,
    ) -> Result<Option<(Identifier, Option<Ordered>)>, Error> {
        let Some(user) = self.user(sid, now).await? else { return Ok(None) };
        let found = match id {
            Some(id) => self.order(id).await?,
            None => None,
        };
        Ok(Some((user.uid, found)))
    }

    /// The session's user, and the payment of any user with this id.
    ///
    /// # Errors
    /// If the storage fails.
    async fn user_and_payment(
        &self,
        sid: &Identifier,
        id: Option<&Identifier>,
        now: UnixTime,
    ) -> Result<Option<(Identifier, Option<Record>)>, Error> {
        let Some(user) = self.user(sid, now).await? else { return Ok(None) };
        let found = match id {
            Some(id) => self.payment(id).await?,
            None => None,
        };
        Ok(Some((user.uid, found)))
    }

    /// The session's user, and the user that claimed an ad: see [`payment::Store::ad_owner`].
    ///
    /// # Errors
    /// If the storage fails.
    async fn user_and_ad_owner(
        &self,
        sid: &Identifier,
        id: Option<&Identifier>,
        now: UnixTime,
    ) -> Result<Option<(Identifier, Option<Option<Identifier>>)>, Error> {
        let Some(user) = self.user(sid, now).await? else { return Ok(None) };
        let found = match id {
            Some(id) => self.ad_owner(id).await?,
            None => None,
        };
        Ok(Some((user.uid, found)))
    }

    /// The payments of the session's user, the newest first.
    ///
    /// # Errors
    /// If the storage fails.
    async fn own_payments(
        &self,
        sid: &Identifier,
        now: UnixTime,
    ) -> Result<Option<Vec<Record>>, Error> {
        let Some(user) = self.user(sid, now).await? else { return Ok(None) };
        Ok(Some(self.payments(&user.uid).await?))
    }

    /// Stores an order of the session's user at the current price, as
    /// [`payment::Store::keep_order`] does, unless there is one with the draft's id.
    ///
    /// # Errors
    /// If the storage fails.
    async fn place_order(
        &self,
        sid: &Identifier,
        draft: &Draft<'_>,
        now: UnixTime,
    ) -> Result<Option<Placed>, Error> {
        let Some(User { uid, .. }) = self.user(sid, now).await? else { return Ok(None) };
        let products = self.products().await?;
        let product = products.into_iter().find(|sold| sold.id.as_str() == draft.product_id);
        let is_sold = product.is_some();
        if let Some(Product { id: product_id, name: memo, amount }) = product {
            let (id, uid) = (draft.id.clone(), Some(uid.clone()));
            let order = Order { id, uid, product_id, amount, memo, created_at: now };
            self.keep_order(&order).await?;
        }
        let found = self.order(draft.id).await?;
        Ok(Some(Placed::of(found, draft, &uid, is_sold)))
    }
}
