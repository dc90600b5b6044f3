//! Deletes rows that nobody needs any more, in batches that take some milliseconds of the database
//! each. The clock runs it. docs/storage.md lists every table that grows, and when its rows are
//! deleted.

use super::{
    admin::deeds::Deeds as _,
    app::{App, Ports},
    error::Error,
    settings::DEFAULT_RECONCILE_LIMIT,
};
use crate::{payment, session, time::UnixTime};

/// How many rows of a kind one batch deletes. With their indexes, that is about as much work for
/// the database as a hundred requests.
pub(super) const BATCH_ROWS: u32 = 500;

/// Deletes old sessions, orders, payments and ads. In turns, it removes the names of erased users
/// from the rows that stay, or deletes old entries of the audit. On a free plan it runs one batch.
/// On a paid plan it runs one for each seven payments of a run, because that plan allows twenty
/// times as many statements. Returns the number of rows.
///
/// # Errors
/// [`Error::StorageUnavailable`].
pub async fn sweep<P: Ports>(app: &App<'_, P>) -> Result<usize, Error> {
    let batches = (app.settings.reconcile_limit / DEFAULT_RECONCILE_LIMIT).max(1);
    let mut rows: usize = 0;
    for _ in 0..batches {
        let sessions = session::Store::sweep(&app.store, app.now(), BATCH_ROWS).await?;
        let payments = payment::Store::sweep(&app.store, app.now(), BATCH_ROWS).await?;
        // A run has statements for one of the two only.
        let has_more = if is_turn_of_audit(app.now()) {
            app.store.sweep_audit(app.now(), BATCH_ROWS).await? >= BATCH_ROWS as usize
        } else {
            session::Store::forget(&app.store, BATCH_ROWS).await?
        };
        rows = rows.saturating_add(sessions).saturating_add(payments);
        if sessions.max(payments) < BATCH_ROWS as usize && !has_more {
            break;
        }
    }
    Ok(rows)
}

/// Whether the run at this time deletes entries of the audit. Multiples of the golden ratio come to
/// both halves, whatever the time between two runs is.
fn is_turn_of_audit(now: UnixTime) -> bool {
    const RUN_SECONDS: u64 = 300;
    const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15; // 2^64 divided by it
    let run = u64::try_from(now.seconds()).unwrap_or(0) / RUN_SECONDS;
    run.wrapping_mul(GOLDEN_RATIO) >> 63 == 1
}
