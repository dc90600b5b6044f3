//! The payments, as operators see them: `/admin/payments` and one of them with its timeline.

use http::{Request, Response};

use super::{
    list::{List, Query, is_searchable},
    object::{Array, Object},
    records::{OrderRow, PaymentRow, Records as _, Which},
};
use crate::{
    identifier::Identifier,
    payment::{State, pause_after},
    pi::{Amount, TxId},
    service::{
        answer,
        app::{App, Ports},
        error::Error,
    },
    time::UnixTime,
};

/// One hour, in seconds. Pi's SDK asks for the next step within minutes, and the scheduled run has
/// checked the payment four times since.
pub(super) const STUCK_AFTER: u32 = 3600;

/// `GET /admin/payments`: 200 with a page of payments.
///
/// 1. Reads the query: 400.
/// 2. Reads the page: 503 `storage_unavailable`.
pub(in crate::service) async fn list<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let query = Query::of(request.uri());
    let [state, stuck, q] = [query.one("state")?, query.one("stuck")?, query.one("q")?];
    let which = match (state.as_deref(), stuck.as_deref(), q.as_deref()) {
        (None, None, None | Some("")) => Which::All,
        (None, None, Some(text)) => Which::Named(text),
        (None, Some("true"), None) => Which::Stuck(app.now().minus(STUCK_AFTER)),
        (Some("unfinished"), None, None) => Which::Unfinished,
        (Some("paid"), None, None) => Which::Paid,
        (Some("cancelled"), None, None) => Which::Cancelled,
        _ => {
            return Err(Error::InvalidRequest(
                "The payments cannot be chosen like this. Send one of state (unfinished, paid or cancelled), stuck=true and q, or none.",
            ));
        }
    };
    let scope = [&state, &stuck, &q].map(|member| member.as_deref().unwrap_or_default());
    let list = List::read(app.settings, &query, &[&["payments"], scope.as_slice()].concat())?;
    // (2)
    page(app, &list, which).await
}

/// 200 with a page of payments.
pub(super) async fn page<P: Ports>(
    app: &App<'_, P>,
    list: &List<'_>,
    which: Which<'_>,
) -> Result<Response<Vec<u8>>, Error> {
    let rows = match which {
        Which::Named(text) if !is_searchable(text) => Vec::new(),
        which => app.store.payment_rows(which, list.page()).await?,
    };
    let now = app.now();
    let position = |row: &PaymentRow| which.position(&row.record);
    Ok(list.answer("payments", &rows, |row| payment(row, now), position))
}

/// `GET /admin/payments/{id}`: 200 with the payment, its order and its timeline; 404.
pub(in crate::service) async fn show<P: Ports>(
    app: &App<'_, P>,
    id: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let id = Identifier::parse(id.to_owned()).ok_or(Error::NotFound)?;
    app.note(|facts| facts.payment_id = Some(id.clone()));
    let row = app.store.payment_row(&id).await?.ok_or(Error::NotFound)?;
    let now = app.now();
    let mut object = Object::new();
    object.raw("payment", &payment(&row, now));
    if let (Some(id), Some(order)) = (&row.record.order_id, &row.order) {
        let mut json = Object::new();
        json.text("orderId", id.as_str())
            .text("productId", order.product_id.as_str())
            .amount("amount", Amount::from_stroops(order.stroops))
            .text("memo", &order.memo)
            .time("createdAt", order.created_at);
        object.raw("order", &json.end());
    }
    object.raw("timeline", &timeline(&row, now));
    Ok(answer::json_text(object.end().into_bytes()))
}

/// The known events of a payment, in the only order in which they can happen.
fn timeline(row: &PaymentRow, now: UnixTime) -> String {
    let PaymentRow { record, order, approved_at, checks, next_check_at, .. } = row;
    let ended = match record.state {
        State::Paid => Some("paid"),
        State::Cancelled => Some("cancelled"),
        State::Recorded | State::Approved => None,
    };
    // The next check says when the last one was, until it is due.
    let checked_at = next_check_at
        .filter(|at| *at > now && *checks > 0)
        .map(|at| at.minus(pause_after(checks.saturating_sub(1))));
    let events = [
        order.as_ref().map(|order| (order.created_at, "ordered")),
        Some((record.created_at, "recorded")),
        approved_at.map(|at| (at, "approved")),
        checked_at.map(|at| (at, "checked")),
        ended.map(|event| (record.updated_at, event)),
    ];
    let mut array = Array::new();
    for (at, event) in events.into_iter().flatten() {
        array.push(&Object::new().time("at", at).text("event", event).end());
    }
    array.end()
}

/// A payment as every route of operators shows it.
pub(in crate::service) fn payment(row: &PaymentRow, now: UnixTime) -> String {
    let PaymentRow { record, username, order, approved_at, checks, next_check_at, problem } = row;
    let is_stuck = !record.state.is_final() && record.created_at < now.minus(STUCK_AFTER);
    let order = order.as_ref();
    let mut object = Object::new();
    object
        .text("paymentId", record.id.as_str())
        .maybe("orderId", record.order_id.as_ref().map(Identifier::as_str))
        .maybe("uid", record.uid.as_ref().map(Identifier::as_str))
        .maybe("username", username.as_deref())
        .maybe("productId", order.map(|order| order.product_id.as_str()))
        .text("state", record.state.name())
        .amount("amount", record.amount)
        .maybe("memo", order.map(|OrderRow { memo, .. }| memo.as_str()))
        .maybe("txid", record.txid.as_ref().map(TxId::as_str))
        .time("createdAt", record.created_at)
        .time("approvedAt", *approved_at)
        .time("updatedAt", record.updated_at)
        .number("checks", u64::from(*checks))
        .time("nextCheckAt", *next_check_at)
        .maybe("problem", problem.as_deref())
        .flag("isStuck", is_stuck)
        .end()
}
