//! A user, and a user's record, as every route shows them.

use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Error, body};
use crate::{
    payment::{Order, Record},
    pi::TxId,
    session::{Data, User},
};

/// A user as every route shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserJson<'a> {
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    scopes: &'a [String],
    first_seen_at: String,
    last_seen_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_new: Option<bool>,
}

impl<'a> UserJson<'a> {
    pub(super) fn new(user: &'a User, is_new: Option<bool>) -> Self {
        Self {
            uid: user.uid.as_str(),
            username: user.username.as_deref(),
            scopes: &user.scopes,
            first_seen_at: user.first_seen_at.to_rfc3339(),
            last_seen_at: user.last_seen_at.to_rfc3339(),
            is_new,
        }
    }
}

#[derive(Serialize)]
struct RecordJson<'a> {
    user: UserJson<'a>,
    purchases: Vec<PurchaseJson<'a>>,
    data: &'a RawValue,
}

/// What the user has bought and paid: what the app delivers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PurchaseJson<'a> {
    order_id: &'a str,
    product_id: &'a str,
    payment_id: &'a str,
    amount: String,
    txid: Option<&'a str>,
    paid_at: String,
}

/// 200 with the user, the purchases and the data, `{}` when there is none yet.
pub(super) fn record(
    user: &User,
    purchases: &[(Order, Record)],
    data: Option<Data>,
) -> Result<Response<Vec<u8>>, Error> {
    let data = RawValue::from_string(data.map_or_else(|| "{}".to_owned(), |data| data.text))
        .map_err(|_| Error::Internal("the stored data is not JSON"))?;
    let purchases = purchases.iter().map(|(order, payment)| PurchaseJson {
        order_id: order.id.as_str(),
        product_id: order.product_id.as_str(),
        payment_id: payment.id.as_str(),
        amount: payment.amount.to_string(),
        txid: payment.txid.as_ref().map(TxId::as_str),
        paid_at: payment.updated_at.to_rfc3339(),
    });
    let purchases = purchases.collect();
    let user = UserJson::new(user, None);
    Ok(body::json(StatusCode::OK, &RecordJson { user, purchases, data: &data }))
}
