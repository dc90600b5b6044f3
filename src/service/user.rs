//! `/me`: the signed-in user's own record, and erasing it. Also here: the JSON of a user and of a
//! record, which every route writes alike.

use http::{Request, Response, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    answer,
    app::{App, Ports},
    attempts, cookie,
    credential::{claims, live},
    error::Error,
    limit::Limit,
    store::{Account, Store as _},
    sweep,
};
use crate::{
    pi::TxId,
    session::{Erased, Store as _, User},
};

/// How many further batches an erasure clears within its request. Cloudflare's free plan allows
/// fifty statements in a request, and a batch has four.
const BATCHES: u32 = 5;

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

/// A paid order: the app delivers it.
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

/// 200 with the user, the purchases and the data, which is `{}` while there is none.
pub(super) fn record(account: Account) -> Result<Response<Vec<u8>>, Error> {
    let Account { user, data, purchases } = account;
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
    let user = UserJson::new(&user, None);
    Ok(answer::json(StatusCode::OK, &RecordJson { user, purchases, data: &data }))
}

/// `GET /me`: 200 with the user's record.
pub(super) async fn show<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let claims = claims(app, request)?;
    let account = app.store.account(&claims.sid, app.now()).await?;
    record(live(app, &claims, account)?)
}

/// `DELETE /me`: 204. The user, the data and the sessions are erased.
///
/// 1. Checks the session token: 401. Counts the session's writes: 429.
/// 2. Erases the user in one step: 401 if the session was revoked, 503.
/// 3. Removes the user's name from further orders, payments and ads, in batches, if there are very
///    many. [`super::sweep()`] does the rest, and all of it after a failure.
pub(super) async fn erase<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let claims = claims(app, request)?;
    attempts::by_owner(app, Limit::Writes, &claims.sid).await?;
    // (2)
    let has_more = match app.store.erase(&claims.sid, sweep::BATCH_ROWS, app.now()).await? {
        Erased::Done => false,
        Erased::Partly => true,
        Erased::SessionEnded => return live(app, &claims, None),
    };
    // (3)
    forget_rest(app, has_more).await;
    Ok(cookie::cleared(app.settings, answer::no_content()))
}

/// After an erasure, removes names of erased users from further rows.
pub(super) async fn forget_rest<P: Ports>(app: &App<'_, P>, mut has_more: bool) {
    for _ in 0..BATCHES {
        has_more = has_more && matches!(app.store.forget(sweep::BATCH_ROWS).await, Ok(true));
    }
}
