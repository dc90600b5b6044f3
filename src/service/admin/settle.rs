//! The routes with which an operator finishes a payment: has it compared with Pi's record and
//! completed or cancelled, as the clock does, or has it cancelled.

use http::{Response, StatusCode};

use super::operator::Admitted;
use crate::{
    audit::Action,
    identifier::Identifier,
    payment::{Record, State, Store as _},
    service::{
        answer,
        app::{App, Entropy, Ports},
        error::Error,
        payment_list::PaymentJson,
        reconciliation,
        settlement::{Audited, Settlement},
    },
};

/// The steps, by the last part of their paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::service) enum Step {
    Settle,
    Cancel,
}

/// `POST /admin/payments/{paymentId}/settle` and `…/cancel`: 200 with the payment after the step.
///
/// 1. Reads the stored payment: 404 `not_found`.
/// 2. Takes the step, which asks Pi: 403, 404 `payment_not_found`, 409, 422, 502, 503, 504. Before
///    Pi is asked to change something, an entry of the audit says so. A change of the payment is
///    stored together with another entry.
/// 3. If nothing has changed, stores only that entry. It has the code of a failure.
pub(in crate::service) async fn take<P: Ports>(
    app: &App<'_, P>,
    admitted: &Admitted<'_>,
    entropy: Entropy,
    id: &str,
    step: Step,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let id = Identifier::parse(id.to_owned()).ok_or(Error::NotFound)?;
    app.note(|facts| facts.payment_id = Some(id.clone()));
    let stored = app.store.payment(&id).await?.ok_or(Error::NotFound)?;
    app.note(|facts| {
        facts.order_id.clone_from(&stored.order_id);
        facts.uid.clone_from(&stored.uid);
    });
    let action = match step {
        Step::Settle => Action::PaymentSettled,
        Step::Cancel => Action::PaymentCancelled,
    };
    let entry = admitted.entry(action, Some(id.as_str()), entropy);
    let audited = Audited::new(entry, stored.state);
    let settlement = Settlement::new(app, &id)?.audited(&audited);
    // (2)
    let outcome = finish(&settlement, &stored, step).await;
    // (3)
    let failed = outcome.as_ref().err().map(Error::code);
    let record = app.store.payment(&id).await?.ok_or(Error::NotFound)?;
    audited.keep_unchanged(&app.store, record.state, failed, app.now()).await?;
    outcome?;
    Ok(answer::json(StatusCode::OK, &PaymentJson::new(&record)))
}

async fn finish<P: Ports>(
    settlement: &Settlement<'_, '_, P>,
    stored: &Record,
    step: Step,
) -> Result<(), Error> {
    match (stored.state, step) {
        (State::Paid, Step::Settle) => Ok(()),
        (State::Paid, Step::Cancel) => Err(Error::PaymentHasTransaction),
        // A transaction may have come after the cancellation.
        (State::Cancelled, _) => {
            settlement.reject_transaction(&settlement.read(settlement.id).await?).await
        }
        (_, Step::Settle) => reconciliation::settle(settlement, stored).await.map(drop),
        (_, Step::Cancel) => {
            let payment = settlement.read(settlement.id).await?;
            settlement.cancel_unpaid(&payment).await.map(drop)
        }
    }
}
