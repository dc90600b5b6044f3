//! `/payments`: the steps of a payment, each for the signed-in user and an order of theirs.
//! [`super::settlement`] takes the steps.

use http::{Request, Response, StatusCode};
use serde::Deserialize;

use super::{
    answer,
    app::{App, Ports},
    body, credential,
    error::Error,
    event::Event,
    limit::Limit,
    payment_list::{self, PaymentJson},
    settlement::Settlement,
    store::Store as _,
};
use crate::{
    identifier::Identifier,
    payment::{Record, State},
    pi::TxId,
};

/// The steps, by the last part of their paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Approve,
    Complete,
    Cancel,
    Recover,
}

#[derive(Deserialize)]
struct CompleteBody {
    txid: String,
}

/// `GET /payments`: 200 with the user's own payments, the newest first.
pub(super) async fn list<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let claims = credential::claims(app, request)?;
    let payments = app.store.own_payments(&claims.sid, app.now()).await?;
    Ok(payment_list::list(&credential::live(app, &claims, payments)?))
}

/// `POST /payments/{paymentId}/…`: 200 with the payment after the step.
///
/// 1. Reads the user of the live session and the stored payment, and counts the step: 401, 429.
/// 2. Reads the transaction of a completion: 400, 408, 413, 415.
/// 3. Takes the step: see [`Settlement`].
pub(super) async fn take<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    id: &str,
    step: Step,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let id = Identifier::parse(id.to_owned());
    let (uid, stored) =
        credential::limited_user(app, request, Limit::Payments, async |sid, now| {
            app.store.user_and_payment(sid, id.as_ref(), now).await
        })
        .await?;
    let id = id.ok_or(Error::PaymentNotFound)?;
    app.note(|facts| facts.payment_id = Some(id.clone()));
    let settlement = Settlement::new(app, &id)?;
    let record = match step {
        Step::Approve => settlement.approve(&uid, stored).await?,
        Step::Complete => {
            // (2)
            let CompleteBody { txid } = body::json(request, body::MAX_BYTES)?;
            let txid = TxId::parse(&txid).ok_or(Error::InvalidRequest(
                "txid is not 64 hexadecimal digits. Send the txid that Pi's SDK passed to the page.",
            ))?;
            // (3)
            settlement.complete(&uid, stored, &txid).await?
        }
        Step::Cancel => settlement.cancel(&uid, stored).await?,
        Step::Recover => settlement.recover(&uid, stored).await?,
    };
    app.note(|facts| {
        facts.order_id.clone_from(&record.order_id);
        facts.event = (step == Step::Recover).then(|| recovered(&record)).flatten();
    });
    Ok(answer::json(StatusCode::OK, &PaymentJson::new(&record)))
}

/// The event of a recovery, which pays or cancels.
const fn recovered(record: &Record) -> Option<Event> {
    match record.state {
        State::Paid => Some(Event::PaymentPaid),
        State::Cancelled => Some(Event::PaymentCancelled),
        State::Recorded | State::Approved => None,
    }
}
