//! Finishes payments that a crash, a lost answer or a closed tab left between two steps. The clock
//! runs it, for a few payments at a time.

use super::{
    app::{App, Ports},
    error::Error,
    settlement::Settlement,
};
use crate::{
    identifier::Identifier,
    payment::{Due, Ordered, Record, State, Store as _, check},
};

/// One day, in seconds. A user hardly resumes a payment of yesterday, and while it is open, Pi may
/// prevent them from making another one.
const ABANDONED_AFTER: u32 = 24 * 3600;

/// Seconds after which a run begins no further payment. The slowest payment takes 30 more: four
/// requests to Pi of five seconds each, and ten for the one that completes. The runtime drops a job
/// after 300.
const RUN_TIME: i64 = 150;

/// The outcome of a run, for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Payments that are paid.
    pub paid: u32,
    /// Payments that are cancelled.
    pub cancelled: u32,
    /// Payments that still wait for their user.
    pub waiting: u32,
    /// Payments that could not be read now, or that cannot be finished, each with the reason's
    /// code. A payment that fails in every run needs a person.
    pub failed: Vec<(Identifier, &'static str)>,
    /// Payments that no run reads again, each with the reason's code. They need a person, unless
    /// their user comes back.
    pub given_up: Vec<(Identifier, &'static str)>,
}

/// Takes payments without recent progress, reads Pi's record of each, and completes or cancels it
/// if Pi's record allows.
///
/// # Errors
/// [`Error::Misconfigured`] if payments are due and there is no key, and
/// [`Error::StorageUnavailable`].
pub async fn reconcile<P: Ports>(app: &App<'_, P>) -> Result<Reconciled, Error> {
    let (mut reconciled, began) = (Reconciled::default(), app.now());
    let found = app.store.unfinished(app.settings.reconcile_limit, began).await?;
    // An app without payments needs no key.
    if let Err(setting) = app.settings.server_api_key()
        && !found.is_empty()
    {
        give_back(app, found).await;
        return Err(setting.into());
    }
    let mut due = found.into_iter();
    while app.now().since(began) < RUN_TIME
        && let Some(Due { record, is_last }) = due.next()
    {
        let settlement = Settlement::new(app, &record.id)?;
        let outcome = settle(&settlement, &record).await;
        let code = match outcome {
            Ok(Outcome::Paid) => {
                reconciled.paid = reconciled.paid.saturating_add(1);
                continue;
            }
            Ok(Outcome::Cancelled) => {
                reconciled.cancelled = reconciled.cancelled.saturating_add(1);
                continue;
            }
            Ok(Outcome::Waits(code)) => code,
            Err(ref error) => error.code().name(),
        };
        if is_last && app.store.give_up(&record.id).await.is_ok() {
            reconciled.given_up.push((record.id, code));
        } else if outcome.is_ok() {
            reconciled.waiting = reconciled.waiting.saturating_add(1);
        } else {
            reconciled.failed.push((record.id, code));
        }
    }
    give_back(app, due).await;
    // For the operator only: the run goes on without it.
    for problems in [&reconciled.failed, &reconciled.given_up] {
        if !problems.is_empty() {
            let _ = app.store.keep_problems(problems).await;
        }
    }
    Ok(reconciled)
}

/// Leaves these payments to the next run. If the storage fails, they wait for as long as if this
/// run had read them.
async fn give_back<P: Ports>(app: &App<'_, P>, due: impl IntoIterator<Item = Due>) {
    let ids: Vec<Identifier> = due.into_iter().map(|due| due.record.id).collect();
    if !ids.is_empty() {
        let _ = app.store.give_back(&ids, app.now()).await;
    }
}

/// The outcome for one payment.
pub(super) enum Outcome {
    Paid,
    Cancelled,
    /// It is still open. The code says for what it waits.
    Waits(&'static str),
}

/// The user has not paid.
const NOT_PAID: &str = "not_paid";
/// Pi has not found the transaction on the chain. The code is Pi's.
const NOT_VERIFIED: &str = "not_verified";

/// Completes or cancels one payment if Pi's record allows, for the clock and for an operator.
///
/// The payment passed its checks when it was stored, and neither it nor its order can have changed
/// since, unless somebody else wrote them. The checks are therefore repeated.
pub(super) async fn settle<P: Ports>(
    settlement: &Settlement<'_, '_, P>,
    record: &Record,
) -> Result<Outcome, Error> {
    // If Pi does not know the payment, it stays open: with another app's key, Pi knows none.
    let payment = settlement.read(settlement.id).await?;
    if record.uid.as_ref().is_some_and(|uid| *uid != payment.uid) {
        return Err(Error::PaymentNotYours);
    }
    let Some(transaction) = payment.transaction.clone() else {
        // Pi itself ends a payment that was never approved, within a minute. The user may still pay
        // an approved one.
        if payment.is_cancelled || record.created_at.plus(ABANDONED_AFTER) < settlement.app.now() {
            return Ok(outcome(&settlement.cancel_unpaid(&payment).await?));
        }
        if payment.is_approved {
            settlement.store_approval().await?;
        }
        return Ok(Outcome::Waits(NOT_PAID));
    };
    if !transaction.is_verified && !payment.is_completed {
        return Ok(Outcome::Waits(NOT_VERIFIED));
    }
    if payment.is_cancelled {
        // Pi does not complete a payment that it has cancelled, so a person must settle it.
        return Ok(outcome(&settlement.cancel_unpaid(&payment).await?));
    }
    let found = match &record.order_id {
        Some(id) => settlement.app.store.order(id).await?,
        None => None,
    };
    // The order of an erased user has no user any more. Their payment is completed nevertheless.
    let order = found.map(|Ordered { mut order, .. }| {
        order.uid = order.uid.or_else(|| Some(payment.uid.clone()));
        order
    });
    check(&payment, order.as_ref(), &settlement.app.settings.pi_network)
        .map_err(Error::PaymentMismatch)?;
    Ok(outcome(&settlement.finish(payment, &transaction.txid).await?))
}

fn outcome(record: &Record) -> Outcome {
    match record.state {
        State::Paid => Outcome::Paid,
        State::Cancelled => Outcome::Cancelled,
        State::Recorded | State::Approved => Outcome::Waits(NOT_PAID),
    }
}
