//! Finishing what a crash, a lost answer or a closed tab left between two steps: run by the clock, a few at a time.

use super::{
    App, Error, Ports,
    payment::{Desk, at_pi, key},
};
use crate::{
    identifier::Identifier,
    payment::{Due, Ordered, Record, State, Store as _, check},
};

/// One day, in seconds. A user hardly goes on with a payment of yesterday, and while it is open, Pi may keep them from
/// making another one.
const ABANDONED_AFTER: u32 = 24 * 3600;

/// Seconds after which a run begins with no other payment. The slowest one takes 30 more, for five requests to Pi with five
/// seconds each and ten for the one that completes, and a job is dropped after 300.
const RUN_TIME: i64 = 150;

/// What a run did, to be logged and counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Payments that are paid.
    pub paid: u32,
    /// Payments that are cancelled.
    pub cancelled: u32,
    /// Payments that still wait for their user.
    pub waiting: u32,
    /// Payments of which nothing could be learnt now, or that cannot be finished, each with the reason's code. One that
    /// comes again and again needs a person.
    pub failed: Vec<(Identifier, &'static str)>,
    /// Payments that no run looks at again, each with the reason's code. They need a person, unless their user comes back.
    pub given_up: Vec<(Identifier, &'static str)>,
}

/// Takes payments that have stood still, reads what Pi has of each, and brings it to its end if it has one.
///
/// # Errors
/// When there is no key, or the storage fails.
pub async fn reconcile<P: Ports>(app: &App<'_, P>) -> Result<Reconciled, Error> {
    let (mut reconciled, began) = (Reconciled::default(), app.now());
    let found = app.store.unfinished(app.settings.payments_per_run, began).await?;
    // Without payments, an app needs no key.
    if let Err(error) = key(app)
        && !found.is_empty()
    {
        give_back(app, found).await;
        return Err(error);
    }
    let mut due = found.into_iter();
    while app.now().since(began) < RUN_TIME
        && let Some(Due { record, is_last }) = due.next()
    {
        let desk = Desk { app, payments: at_pi(app)?, id: &record.id };
        let outcome = settle(&desk, &record).await;
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
            Err(ref error) => error.code(),
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
    Ok(reconciled)
}

/// Has the next run look at these payments. If the storage fails, they wait for as long as if this run had looked at them.
async fn give_back<P: Ports>(app: &App<'_, P>, due: impl IntoIterator<Item = Due>) {
    let ids: Vec<Identifier> = due.into_iter().map(|due| due.record.id).collect();
    if !ids.is_empty() {
        let _ = app.store.give_back(&ids, app.now()).await;
    }
}

/// What became of a payment.
enum Outcome {
    Paid,
    Cancelled,
    /// It is open, with the code of what it waits for.
    Waits(&'static str),
}

/// Its user has not paid.
const NOT_PAID: &str = "not_paid";
/// Pi has not found the transaction on the chain; the code is Pi's.
const NOT_VERIFIED: &str = "not_verified";

/// Its checks held when it was written down, and neither Pi's payment nor the order can have changed since, unless
/// somebody else wrote them; so they are made again.
async fn settle<P: Ports>(desk: &Desk<'_, '_, P>, record: &Record) -> Result<Outcome, Error> {
    // That Pi does not know it ends nothing: asked with another app's key, Pi knows none of them.
    let payment = desk.read(desk.id).await?;
    if record.uid.as_ref().is_some_and(|uid| *uid != payment.uid) {
        return Err(Error::PaymentNotYours);
    }
    let Some(transaction) = payment.transaction.clone() else {
        // Pi itself ends what was never approved, within a minute; what was approved, its user may still pay.
        if payment.is_cancelled || record.created_at.plus(ABANDONED_AFTER) < desk.app.now() {
            return Ok(outcome(&desk.call_off(&payment).await?));
        }
        if payment.is_approved {
            desk.app.store.approve_payment(desk.id, desk.app.now()).await?;
        }
        return Ok(Outcome::Waits(NOT_PAID));
    };
    if !transaction.is_verified && !payment.is_completed {
        return Ok(Outcome::Waits(NOT_VERIFIED));
    }
    if payment.is_cancelled {
        // Pi does not complete what it has cancelled, so a person must look at it.
        return Ok(outcome(&desk.call_off(&payment).await?));
    }
    let found = match &record.order_id {
        Some(id) => desk.app.store.order(id).await?,
        None => None,
    };
    // An erased user's order has no user any more; what they have paid is taken all the same.
    let order = found.map(|Ordered { mut order, .. }| {
        order.uid = order.uid.or_else(|| Some(payment.uid.clone()));
        order
    });
    check(&payment, order.as_ref(), &desk.app.settings.pi_network)
        .map_err(Error::PaymentMismatch)?;
    Ok(outcome(&desk.finish(payment, &transaction.txid).await?))
}

fn outcome(record: &Record) -> Outcome {
    match record.state {
        State::Paid => Outcome::Paid,
        State::Cancelled => Outcome::Cancelled,
        State::Recorded | State::Approved => Outcome::Waits(NOT_PAID),
    }
}
