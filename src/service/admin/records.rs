//! What operators read: the questions to the store, and the rows of its answers. No question
//! changes anything.

use crate::{
    identifier::Identifier,
    payment::{Order, Product, Record},
    session::{Error, Session, User},
    time::UnixTime,
};

/// Where a list continues: after the row with these values. A list by time uses `number`, a list by
/// name uses `name`; `id` decides between rows that have the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// A time in seconds, or the number of an entry.
    pub number: u64,
    /// The id of the row.
    pub id: String,
    /// The username.
    pub name: String,
}

/// A part of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// It begins after this row; without one, at the beginning of the list.
    pub after: Option<&'a Position>,
    /// The most rows.
    pub rows: u32,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// The user.
    pub user: User,
    /// How many sign-ins there were.
    pub sign_ins: u64,
    /// When an operator blocked the user.
    pub blocked_at: Option<UnixTime>,
    /// Why.
    pub blocked_reason: Option<String>,
    /// The length in bytes and the entity tag of the app's data, if there is any and it was asked
    /// for.
    pub data: Option<(u64, String)>,
}

/// A payment, with the facts of its order and its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentRow {
    /// The payment. It has no uid if the user was erased.
    pub record: Record,
    /// The user's name.
    pub username: Option<String>,
    /// Its order, if there is one.
    pub order: Option<OrderRow>,
    /// When Pi approved it, if that is known.
    pub approved_at: Option<UnixTime>,
    /// How often the scheduled run has checked it since its last step.
    pub checks: u32,
    /// When it is checked next.
    pub next_check_at: Option<UnixTime>,
    /// The code of the last failure.
    pub problem: Option<String>,
}

/// The order of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// The product.
    pub product_id: Identifier,
    /// The price, in stroops.
    pub stroops: u64,
    /// The text that the payer reads.
    pub memo: String,
    /// When the order was made.
    pub created_at: UnixTime,
}

/// Which payments a list has, and in which order.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// All, the newest first.
    All,
    /// Those that are neither paid nor cancelled, the newest first.
    Unfinished,
    /// Those of [`Which::Unfinished`] that are older than this time, the oldest first.
    Stuck(UnixTime),
    /// The paid ones, the last paid first.
    Paid,
    /// The cancelled ones, the last cancelled first.
    Cancelled,
    /// Those whose own id, order or transaction this is, the newest first.
    Named(&'a str),
    /// Those of a user, the last changed first.
    Of(&'a Identifier),
}

impl Which<'_> {
    /// The position of a payment in the list.
    #[must_use]
    pub fn position(self, Record { id, created_at, updated_at, .. }: &Record) -> Position {
        let time = match self {
            Self::All | Self::Unfinished | Self::Stuck(_) | Self::Named(_) => created_at,
            Self::Paid | Self::Cancelled | Self::Of(_) => updated_at,
        };
        let number = u64::try_from(time.seconds()).unwrap_or(0);
        Position { number, id: id.to_string(), name: String::new() }
    }
}

/// An entry of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number. A later entry has a higher one.
    pub id: u64,
    /// When it happened.
    pub at: UnixTime,
    /// The operator or backend.
    pub actor: String,
    /// `console`, `cli` or `backend`.
    pub via: String,
    /// What was done.
    pub action: String,
    /// To what: an id.
    pub target: Option<String>,
    /// A JSON object.
    pub detail: Option<String>,
    /// The id of the request in the log.
    pub request_id: String,
}

/// The entries that a list has.
#[derive(Clone, Copy, Debug)]
pub enum Entries<'a> {
    /// All.
    All,
    /// Those of this operator or backend.
    By(&'a str),
    /// Those about this id, or about a payment of this user.
    About(&'a str),
    /// Those of this action.
    Of(&'a str),
}

/// The migrations of the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// The newest one that this version knows.
    pub newest: &'static str,
    /// Those that were not applied.
    pub missing: Vec<&'static str>,
}

/// The times whose numbers are read.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// Earlier hours, from the first to the last.
    pub earlier: (UnixTime, UnixTime),
    /// The first of the hours until now, which are all later.
    pub hours_since: UnixTime,
    /// The first of the days, if days are read.
    pub days_since: Option<UnixTime>,
    /// The day before today.
    pub yesterday: UnixTime,
    /// Unfinished payments that are older than this time are stuck.
    pub stuck_before: UnixTime,
    /// Since when the transactions of cancelled payments are read.
    pub contradictory_since: UnixTime,
}

/// The most stuck payments that are counted.
pub const MAX_STUCK: u32 = 50;

/// The most paid orders since the last roll-up that are counted.
pub const MAX_LIVE_PAID: u32 = 1000;

/// The numbers that are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Of hours.
    pub hours: Vec<Number>,
    /// Of days, and of yesterday in any case.
    pub days: Vec<Number>,
    /// The paid orders of the hours since the last roll-up, its own hour included: the
    /// [`MAX_LIVE_PAID`] newest ones.
    pub paid: Vec<Number>,
    /// The marks.
    pub marks: Vec<Mark>,
    /// The oldest stuck payments, one more than [`MAX_STUCK`].
    pub stuck: Vec<Stuck>,
    /// When the transactions of payments were found that Pi has cancelled: the last [`MAX_STUCK`].
    pub contradictory: Vec<UnixTime>,
}

/// A number of an hour or a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// The first second of the hour or the day.
    pub at: UnixTime,
    /// What was counted.
    pub name: String,
    /// More exactly.
    pub label: String,
    /// How many events.
    pub n: u64,
    /// The sum of their amounts.
    pub total: u64,
}

/// What the clock stored about its last run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// `run`, `roll_up`, `users` or `live_sessions`.
    pub name: String,
    /// When it was stored.
    pub at: UnixTime,
    /// The outcome as JSON, or a number.
    pub value: String,
}

/// A payment that is stuck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// When it was recorded.
    pub since: UnixTime,
    /// The code of the last failure.
    pub problem: Option<String>,
    /// Whether no run checks it any more.
    pub is_given_up: bool,
}

/// The questions of operators.
#[allow(async_fn_in_trait, reason = "Workers and tests are single-threaded; no Send is needed")]
pub trait Records {
    /// A user who was not erased, with the size of the data.
    ///
    /// # Errors
    /// If the storage fails, as with all of these.
    async fn user_row(&self, uid: &Identifier) -> Result<Option<UserRow>, Error>;

    /// Users, those who came last first, without the size of the data.
    ///
    /// # Errors
    /// If the storage fails.
    async fn newest_users(&self, page: Page<'_>) -> Result<Vec<UserRow>, Error>;

    /// Users whose name begins with this text, by name and then by uid, without the size of the
    /// data. Letters of ASCII are equal in both cases. The user with the uid `but` is left out.
    ///
    /// # Errors
    /// If the storage fails.
    async fn users_named(
        &self,
        prefix: &str,
        but: Option<&Identifier>,
        page: Page<'_>,
    ) -> Result<Vec<UserRow>, Error>;

    /// The live sessions of a user, the newest first.
    ///
    /// # Errors
    /// If the storage fails.
    async fn sessions_of(&self, uid: &Identifier, now: UnixTime) -> Result<Vec<Session>, Error>;

    /// The newest sessions of a user that are stored, up to `rows`, each with whether it is live.
    ///
    /// # Errors
    /// If the storage fails.
    async fn stored_sessions_of(
        &self,
        uid: &Identifier,
        rows: u32,
        now: UnixTime,
    ) -> Result<Vec<(Session, bool)>, Error>;

    /// A page of payments.
    ///
    /// # Errors
    /// If the storage fails.
    async fn payment_rows(
        &self,
        which: Which<'_>,
        page: Page<'_>,
    ) -> Result<Vec<PaymentRow>, Error>;

    /// A payment.
    ///
    /// # Errors
    /// If the storage fails.
    async fn payment_row(&self, id: &Identifier) -> Result<Option<PaymentRow>, Error>;

    /// The newest orders of a user, up to `rows`.
    ///
    /// # Errors
    /// If the storage fails.
    async fn orders_of(&self, uid: &Identifier, rows: u32) -> Result<Vec<Order>, Error>;

    /// The ads that a user claimed last, up to `rows`, each with its time.
    ///
    /// # Errors
    /// If the storage fails.
    async fn ads_of(
        &self,
        uid: &Identifier,
        rows: u32,
    ) -> Result<Vec<(Identifier, UnixTime)>, Error>;

    /// All products by id, each with whether it is for sale.
    ///
    /// # Errors
    /// If the storage fails.
    async fn all_products(&self) -> Result<Vec<(Product, bool)>, Error>;

    /// A page of the audit, the newest entries first.
    ///
    /// # Errors
    /// If the storage fails.
    async fn entries(&self, which: Entries<'_>, page: Page<'_>) -> Result<Vec<AuditRow>, Error>;

    /// Which migrations are missing.
    ///
    /// # Errors
    /// If the storage fails.
    async fn schema(&self) -> Result<Schema, Error>;

    /// The numbers of a period.
    ///
    /// # Errors
    /// If the storage fails.
    async fn figures(&self, period: &Period) -> Result<Figures, Error>;
}
