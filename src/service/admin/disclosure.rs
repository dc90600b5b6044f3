//! The routes that show an operator what the app or this service stores about one user. Each look
//! is an entry of the audit, which is stored before the answer is sent.

use http::Response;

use super::{
    audit_list,
    deeds::Deeds as _,
    object::{Array, Object},
    operator::{self, Admitted},
    payments, people,
    records::{Entries, Page, Records as _, Which},
};
use crate::{
    audit::Action,
    identifier::Identifier,
    payment::Order,
    service::{
        answer,
        app::{App, Entropy, Ports},
        error::Error,
    },
    session::{Session, Store as _},
    time::UnixTime,
};

/// The most rows of each list of an export: about a megabyte in all, in a Worker that has 128.
const MAX_ROWS: usize = 1000;

/// `GET /admin/users/{uid}/data`: 200 with the app's JSON object for the user, `{}` while there is
/// none; or 404.
pub(in crate::service) async fn data<P: Ports>(
    app: &App<'_, P>,
    admitted: &Admitted<'_>,
    entropy: Entropy,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let uid = operator::user_of(app, uid)?;
    let (_, data) = app.store.record_of_user(&uid).await?.ok_or(Error::NotFound)?;
    let entry = admitted.entry(Action::UserDataRead, Some(uid.as_str()), entropy);
    app.store.keep_entry(&entry, app.now()).await?;
    let text = data.map_or_else(|| "{}".to_owned(), |data| data.text);
    Ok(answer::json_text(text.into_bytes()))
}

/// `GET /admin/users/{uid}/export`: 200 with everything that is stored about the user; or 404.
/// `truncated` says that a list is not complete.
///
/// 1. Checks the uid: 404.
/// 2. Reads the user, the app's data and the lists: 404, 503.
/// 3. Stores the entry of the audit, which is then not among the ones that were read: 503.
pub(in crate::service) async fn export<P: Ports>(
    app: &App<'_, P>,
    admitted: &Admitted<'_>,
    entropy: Entropy,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let uid = operator::user_of(app, uid)?;
    // (2)
    let (store, now) = (&app.store, app.now());
    let user = store.user_row(&uid).await?.ok_or(Error::NotFound)?;
    let (_, data) = store.record_of_user(&uid).await?.ok_or(Error::NotFound)?;
    // One more than is shown tells whether there are more.
    let rows = u32::try_from(MAX_ROWS + 1).unwrap_or(u32::MAX);
    let page = Page { after: None, rows };
    let sessions = store.stored_sessions_of(&uid, rows, now).await?;
    let orders = store.orders_of(&uid, rows).await?;
    let payments = store.payment_rows(Which::Of(&uid), page).await?;
    let ads = store.ads_of(&uid, rows).await?;
    let entries = store.entries(Entries::About(uid.as_str()), page).await?;
    // (3)
    let entry = admitted.entry(Action::UserExported, Some(uid.as_str()), entropy);
    store.keep_entry(&entry, app.now()).await?;
    let lengths = [sessions.len(), orders.len(), payments.len(), ads.len(), entries.len()];
    let mut object = Object::new();
    object
        .raw("user", &people::user(&user))
        .raw("sessions", &Array::of(shown(&sessions), session))
        .raw("orders", &Array::of(shown(&orders), order))
        .raw("payments", &Array::of(shown(&payments), |row| payments::payment(row, now)))
        .raw("ads", &Array::of(shown(&ads), ad))
        .raw("data", data.as_ref().map_or("{}", |data| &data.text))
        .raw("audit", &Array::of(shown(&entries), audit_list::entry));
    if lengths.into_iter().any(|length| length > MAX_ROWS) {
        object.flag("truncated", true);
    }
    Ok(answer::json_text(object.end().into_bytes()))
}

/// The rows that an export shows.
fn shown<T>(rows: &[T]) -> &[T] {
    rows.get(..MAX_ROWS).unwrap_or(rows)
}

fn session((session, is_live): &(Session, bool)) -> String {
    people::members_of(session).flag("isLive", *is_live).end()
}

fn order(order: &Order) -> String {
    let mut object = Object::new();
    object
        .text("orderId", order.id.as_str())
        .text("productId", order.product_id.as_str())
        .amount("amount", order.amount)
        .text("memo", &order.memo)
        .time("createdAt", order.created_at)
        .end()
}

fn ad((id, claimed_at): &(Identifier, UnixTime)) -> String {
    Object::new().text("adId", id.as_str()).time("claimedAt", *claimed_at).end()
}
