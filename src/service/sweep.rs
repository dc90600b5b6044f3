//! Clearing away what has ended, run by the clock, in pieces that hold the database for some milliseconds each. What grows,
//! and who clears it when, SECURITY.md lists.

use super::{App, Error, Ports, me::PIECE};
use crate::session::Store as _;

/// Pieces of a run: three statements each, of the fifty that Cloudflare's free plan allows, most of which are for payments.
/// Twice the 288 runs of a day clear 288,000 sessions, and sign-ins clear twenty each.
const PIECES: u32 = 2;

/// Drops sessions that have ended, and takes the names of erased users from what stays.
///
/// # Errors
/// When the storage fails.
pub async fn sweep<P: Ports>(app: &App<'_, P>) -> Result<(), Error> {
    for _ in 0..PIECES {
        if !app.store.sweep(PIECE, app.now()).await? {
            break;
        }
    }
    app.store.forget(PIECE).await?;
    Ok(())
}
