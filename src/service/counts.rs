//! The numbers for the operator: what a process counts and writes, and the clock's part: when it
//! last ran and how that went, and once an hour the numbers of the days.

use super::{
    app::{App, Ports},
    error::Error,
    log::Spent,
    reconciliation::Reconciled,
    store::Counts as _,
    tally::{Count, Counted, HOURS_KEPT, Sum},
};
use crate::{session, time::UnixTime};

/// One day, in seconds.
const DAY: u32 = 24 * 3600;

/// Up to so many users and sessions are counted every hour, and more of them once a day. Counting
/// reads each row: 10,000 an hour are 5 % of the rows that a free plan may read in a day.
const MANY_ROWS: u64 = 10_000;

impl<P: Ports> App<'_, P> {
    /// Counts events, unless `COUNTS` is off.
    pub fn count(&self, what: Count, sum: Sum) {
        if self.settings.counts {
            self.memory.tally.borrow_mut().add(what, sum, self.now());
        }
    }

    /// Counts a request that was refused, by its code.
    pub(super) fn count_refusal<T>(&self, answer: &Result<T, Error>) {
        if let Err(error) = answer {
            self.count(Count::Refused(error.code()), Sum { n: 1, total: 0 });
        }
    }

    /// Counts the calls of a request or of a scheduled run, at its end: to Pi by their kinds, and
    /// to the database by the rows that it bills. The writes of the numbers themselves are not
    /// counted, or each would cause the next.
    pub fn count_spent(&self, spent: &Spent) {
        for (call, (n, milliseconds)) in spent.pi.kinds() {
            self.count(Count::Pi(call), Sum { n: n.into(), total: milliseconds.into() });
        }
        let Spent { d1_calls, rows_read, rows_written, .. } = *spent;
        for (what, rows) in [(Count::D1Read, rows_read), (Count::D1Written, rows_written)] {
            if rows > 0 {
                self.count(what, Sum { n: d1_calls.into(), total: rows.into() });
            }
        }
    }

    /// Whether [`write_counts`] is due.
    #[must_use]
    pub fn has_counts_due(&self) -> bool {
        self.memory.tally.borrow().is_due(self.now())
    }
}

/// Writes the numbers that the process has counted, if that is due. If the storage fails, they are
/// kept for the next time. If only its answer is lost, they are written again then.
///
/// # Errors
/// If the storage fails.
pub async fn write_counts<P: Ports>(app: &App<'_, P>) -> Result<(), session::Error> {
    let taken = app.memory.tally.borrow_mut().take(app.now());
    write(app, taken).await
}

/// The same, also if it is not due: an operator wants to read them, and looks once a minute. If it
/// fails, the numbers are kept, and the operator reads those of the last write.
pub(super) async fn write_all<P: Ports>(app: &App<'_, P>) {
    let taken = app.memory.tally.borrow_mut().take_all(app.now());
    let _ = write(app, taken).await;
}

async fn write<P: Ports>(
    app: &App<'_, P>,
    taken: Option<Vec<Counted>>,
) -> Result<(), session::Error> {
    let Some(counted) = taken else { return Ok(()) };
    let written = app.store.add_counts(&counted).await;
    if written.is_err() {
        app.memory.tally.borrow_mut().take_back(counted);
    }
    written
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
    if last >= now.hour() {
        return Ok(false);
    }
    if !app.settings.counts {
        app.store.roll_up(None, now).await?;
        app.store.forget_entries(now).await?;
        return Ok(true);
    }
    // Yesterday again, because the last run was before its end; and no day whose hours may be gone.
    let since = last.day().minus(DAY).max(now.day().minus(HOURS_KEPT - DAY));
    app.store.roll_up(Some(since), now).await?;
    let is_first_of_day = last < now.day();
    if is_first_of_day || marks.rows < MANY_ROWS {
        // A call of its own: with very many rows it may fail, and the numbers above are made.
        app.store.take_stock(is_first_of_day, now).await?;
    }
    app.store.forget_entries(now).await?;
    Ok(true)
}
