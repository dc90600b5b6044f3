//! The clock's part of the numbers for the operator: when it last ran and how that went, and once
//! an hour the numbers of the days.

use super::{
    app::{App, Ports},
    error::Error,
    reconciliation::Reconciled,
    tally::Counted,
};
use crate::{session, time::UnixTime};

/// One day, in seconds.
const DAY: u32 = 24 * 3600;

/// How long the numbers of an hour are kept, in seconds: a week, and the day that has begun.
pub const HOURS_KEPT: u32 = 8 * DAY;

/// How long the numbers of a day are kept, in seconds: a year, and a month to compare with.
pub const DAYS_KEPT: u32 = 400 * DAY;

/// Up to so many users and sessions are counted every hour, and more of them once a day. Counting
/// reads each row: 10,000 an hour are 5 % of the rows that a free plan may read in a day.
const MANY_ROWS: u64 = 10_000;

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
    async fn add_counts(&self, counted: &[Counted]) -> Result<(), session::Error>;

    /// Stores that the clock ran at this time, and how that went. Returns what the marks say.
    ///
    /// # Errors
    /// If the storage fails.
    async fn mark_run(&self, outcome: &str, now: UnixTime) -> Result<Marks, session::Error>;

    /// Makes the numbers of the days from `since` on: of paid orders from the payments, and of
    /// everything from the hours. Deletes hours and days that were kept for long enough.
    ///
    /// # Errors
    /// If the storage fails.
    async fn roll_up(&self, since: UnixTime, now: UnixTime) -> Result<(), session::Error>;

    /// Counts the users and the live sessions, and if `with_active`, the users who were active
    /// yesterday.
    ///
    /// # Errors
    /// If the storage fails.
    async fn take_stock(&self, with_active: bool, now: UnixTime) -> Result<(), session::Error>;
}

/// Stores when the clock ran and how its payments went. In the first run of an hour, makes the
/// numbers of the last days. Returns whether it did.
///
/// The numbers of a day are replaced, not added to, so this can be repeated. If the clock stood
/// still for days, the next run makes their numbers, too.
///
/// # Errors
/// If the storage fails.
pub async fn keep_counts<P: Ports>(
    app: &App<'_, P>,
    outcome: &Result<Reconciled, Error>,
) -> Result<bool, session::Error> {
    let now = app.now();
    // JSON, of numbers and codes only.
    let text = match outcome {
        Ok(Reconciled { paid, cancelled, waiting, failed, given_up }) => format!(
            r#"{{"paid":{paid},"cancelled":{cancelled},"waiting":{waiting},"failed":{},"givenUp":{}}}"#,
            failed.len(),
            given_up.len()
        ),
        Err(error) => format!(r#"{{"code":"{}"}}"#, error.code()),
    };
    let marks = app.store.mark_run(&text, now).await?;
    let last = marks.rolled_up_at.unwrap_or(UnixTime::MIN);
    if !app.settings.counts || last >= now.hour() {
        return Ok(false);
    }
    // Yesterday again, because the last run was before its end; and no day whose hours may be gone.
    let since = last.day().minus(DAY).max(now.day().minus(HOURS_KEPT - DAY));
    app.store.roll_up(since, now).await?;
    let is_first_of_day = last < now.day();
    if is_first_of_day || marks.rows < MANY_ROWS {
        // A call of its own: with very many rows it may fail, and the numbers above are made.
        app.store.take_stock(is_first_of_day, now).await?;
    }
    Ok(true)
}
