//! Clearing away what has ended, run by the clock, in pieces that hold the database for some milliseconds each. What grows,
//! and who clears it when, SECURITY.md lists.

use super::{App, Error, Ports, settings::DEFAULT_PAYMENTS_PER_RUN};
use crate::{payment, session};

/// How many rows of a kind one call clears. With the indexes of a row, that is about as much work as a hundred requests.
pub(super) const PIECE: u32 = 500;

/// Deletes sessions, orders, payments and ads that nobody needs any more, and takes the names of erased users from what
/// stays: one piece on a free plan, and one for each seven payments of a run on a paid one, which allows twenty times as
/// many statements. Returns the number of rows.
///
/// # Errors
/// When the storage fails.
pub async fn sweep<P: Ports>(app: &App<'_, P>) -> Result<usize, Error> {
    let pieces = (app.settings.payments_per_run / DEFAULT_PAYMENTS_PER_RUN).max(1);
    let mut rows: usize = 0;
    for _ in 0..pieces {
        let sessions = session::Store::sweep(&app.store, app.now(), PIECE).await?;
        let payments = payment::Store::sweep(&app.store, app.now(), PIECE).await?;
        let has_more = session::Store::forget(&app.store, PIECE).await?;
        rows = rows.saturating_add(sessions).saturating_add(payments);
        if sessions.max(payments) < PIECE as usize && !has_more {
            break;
        }
    }
    Ok(rows)
}
