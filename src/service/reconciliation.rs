//! Finishing what a crash, a lost answer or a closed tab left between two steps: run by the clock, a few at a time.

use super::{
    App, Error, Ports,
    payment::{Desk, at_pi},
};
use crate::{
    identifier::Identifier,
    payment::{Record, State, Store as _, check},
};

/// A payment that has not moved for so long is nobody's present step any more, seconds.
const UNFINISHED_AFTER: u32 = 120;

/// Nobody goes on with a payment of yesterday; and while it is open, Pi may keep its user from making another payment. Seconds.
const ABANDONED_AFTER: u32 = 24 * 3600;

/// Each asks Pi up to five times and D1 up to seven, and Cloudflare's free plan allows fifty of each. The next run takes
/// the next ones.
const PAYMENTS_A_RUN: u32 = 7;

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
}

/// Takes payments that have stood still, reads what Pi has of each, and brings it to its end if it has one.
///
/// # Errors
/// When there is no key, or the storage fails.
pub async fn reconcile<P: Ports>(app: &App<'_, P>) -> Result<Reconciled, Error> {
    let (mut reconciled, now) = (Reconciled::default(), app.now());
    for record in app.store.unfinished(now.minus(UNFINISHED_AFTER), PAYMENTS_A_RUN, now).await? {
        let desk = Desk { app, payments: at_pi(app)?, id: &record.id };
        let count = match settle(&desk, &record).await {
            Ok(State::Paid) => &mut reconciled.paid,
            Ok(State::Cancelled) => &mut reconciled.cancelled,
            Ok(State::Recorded | State::Approved) => &mut reconciled.waiting,
            Err(error) => {
                reconciled.failed.push((record.id, error.code()));
                continue;
            }
        };
        *count = count.saturating_add(1);
    }
    Ok(reconciled)
}

/// Its checks held when it was written down, and neither Pi's payment nor the order can have changed since, unless
/// somebody else wrote them; so they are made again.
async fn settle<P: Ports>(desk: &Desk<'_, '_, P>, record: &Record) -> Result<State, Error> {
    // That Pi does not know it ends nothing: asked with another app's key, Pi knows none of them.
    let payment = desk.payments.get(desk.id).await?;
    if payment.is_cancelled {
        return Ok(desk.call_off(&payment).await?.state);
    }
    let order = match &record.order_id {
        Some(id) => desk.app.store.order(id).await?.map(|(order, _)| order),
        None => None,
    };
    let Some(transaction) = payment.transaction.clone() else {
        // Pi itself ends what was never approved, within a minute; what was approved, its user may still pay.
        if record.created_at.plus(ABANDONED_AFTER) < desk.app.now() {
            return Ok(desk.call_off(&payment).await?.state);
        }
        if payment.is_approved {
            desk.app.store.approve_payment(desk.id, desk.app.now()).await?;
        }
        return Ok(record.state);
    };
    // An erased user's order has no user any more; what they have paid is taken all the same.
    let order = order.map(|mut order| {
        order.uid = order.uid.or_else(|| Some(payment.uid.clone()));
        order
    });
    check(&payment, order.as_ref(), &desk.app.settings.pi_network)
        .map_err(Error::PaymentMismatch)?;
    if !transaction.is_verified && !payment.is_completed {
        return Ok(record.state);
    }
    Ok(desk.finish(payment, &transaction.txid).await?.state)
}
