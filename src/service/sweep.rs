//! Deletes rows that nobody needs any more, in batches that take some milliseconds of the database
//! each. The clock runs it. docs/storage.md lists every table that grows, and when its rows are
//! deleted.

use super::{
    app::{App, Ports},
    error::Error,
    settings::DEFAULT_RECONCILE_LIMIT,
};
use crate::{payment, session};

/// How many rows of a kind one batch deletes. With their indexes, that is about as much work for
/// the database as a hundred requests.
pub(super) const BATCH_ROWS: u32 = 500;

/// Deletes old sessions, orders, payments and ads, and removes the names of erased users from the
/// rows that stay. On a free plan it runs one batch. On a paid plan it runs one for each seven
/// payments of a run, because that plan allows twenty times as many statements. Returns the number
/// of rows.
///
/// # Errors
/// [`Error::StorageUnavailable`].
pub async fn sweep<P: Ports>(app: &App<'_, P>) -> Result<usize, Error> {
    let batches = (app.settings.reconcile_limit / DEFAULT_RECONCILE_LIMIT).max(1);
    let mut rows: usize = 0;
    for _ in 0..batches {
        let sessions = session::Store::sweep(&app.store, app.now(), BATCH_ROWS).await?;
        let payments = payment::Store::sweep(&app.store, app.now(), BATCH_ROWS).await?;
        let has_more = session::Store::forget(&app.store, BATCH_ROWS).await?;
        rows = rows.saturating_add(sessions).saturating_add(payments);
        if sessions.max(payments) < BATCH_ROWS as usize && !has_more {
            break;
        }
    }
    Ok(rows)
}
