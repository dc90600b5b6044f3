//! Payments as `/payments` and the routes of backends show them.

use http::{Response, StatusCode};
use serde::Serialize;

use super::answer;
use crate::{
    identifier::Identifier,
    payment::{Record, State},
    pi::TxId,
};

#[derive(Serialize)]
struct PaymentListJson<'a> {
    payments: Vec<PaymentJson<'a>>,
}

/// A payment as every route shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PaymentJson<'a> {
    payment_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<&'a str>,
    state: &'static str,
    amount: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    txid: Option<&'a str>,
}

impl<'a> PaymentJson<'a> {
    pub(super) fn new(record: &'a Record) -> Self {
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

/// 200 with a user's payments that Pi has approved, or that were cancelled.
pub(super) fn list(payments: &[Record]) -> Response<Vec<u8>> {
    let shown = payments.iter().filter(|record| record.state != State::Recorded);
    let payments = shown.map(PaymentJson::new).collect();
    answer::json(StatusCode::OK, &PaymentListJson { payments })
}
