//! `/payments`: the steps of a payment, each for the signed-in user and an order of theirs.
//! [`super::settlement`] takes the steps.

use http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    answer,
    app::{App, Ports},
    body, credential,
    error::Error,
    limit::Limit,
    settlement::Settlement,
};
use crate::{
    identifier::Identifier,
    payment::{Record, State, Store as _},
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

#[derive(Serialize)]
struct PaymentListJson<'a> {
    payments: Vec<PaymentJson<'a>>,
}

/// A payment as every route shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PaymentJson<'a> {
    payment_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<&'a str>,
    state: &'static str,
    amount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    txid: Option<&'a str>,
}

impl<'a> PaymentJson<'a> {
    fn new(record: &'a Record) -> Self {
        Self {
            payment_id: record.id.as_str(),
            order_id: record.order_id.as_ref().map(Identifier::as_str),
            state: record.state.name(),
            amount: record.amount.to_string(),
            // A stored transaction that paid for nothing is for the operator. A page must not take
            // it for a payment.
            txid: record.txid.as_ref().filter(|_| record.state == State::Paid).map(TxId::as_str),
        }
    }
}

/// `GET /payments`: 200 with the user's own payments, the newest first.
pub(super) async fn list<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let user = credential::user(app, request).await?;
    list_of(app, &user.uid).await
}

/// 200 with a user's payments that Pi has approved, or that were cancelled.
pub(super) async fn list_of<P: Ports>(
    app: &App<'_, P>,
    uid: &Identifier,
) -> Result<Response<Vec<u8>>, Error> {
    let payments = app.store.payments(uid).await?;
    let shown = payments.iter().filter(|record| record.state != State::Recorded);
    let payments = shown.map(PaymentJson::new).collect();
    Ok(answer::json(StatusCode::OK, &PaymentListJson { payments }))
}

/// `POST /payments/{paymentId}/…`: 200 with the payment after the step.
///
/// 1. Finds the user of the live session and counts the step: 401, 429.
/// 2. Reads the transaction of a completion: 400, 408, 413, 415.
/// 3. Takes the step: see [`Settlement`].
pub(super) async fn take<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    id: &str,
    step: Step,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let uid = credential::limited_user(app, request, Limit::Payments).await?.uid;
    let id = Identifier::parse(id.to_owned()).ok_or(Error::PaymentNotFound)?;
    let settlement = Settlement::new(app, &id)?;
    let record = match step {
        Step::Approve => settlement.approve(&uid).await?,
        Step::Complete => {
            // (2)
            let CompleteBody { txid } = body::json(request, body::MAX_BYTES)?;
            let txid = TxId::parse(&txid).ok_or(Error::InvalidRequest(
                "txid is not 64 hexadecimal digits. Send the txid that Pi's SDK passed to the page.",
            ))?;
            // (3)
            settlement.complete(&uid, &txid).await?
        }
        Step::Cancel => settlement.cancel(&uid).await?,
        Step::Recover => settlement.recover(&uid).await?,
    };
    Ok(answer::json(StatusCode::OK, &PaymentJson::new(&record)))
}
