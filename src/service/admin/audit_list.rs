//! `GET /admin/audit`: what operators and backends did.

use http::{Request, Response};

use super::{
    list::{List, Query, is_searchable},
    object::Object,
    records::{AuditRow, Entries, Position, Records as _},
};
use crate::service::{
    app::{App, Ports},
    error::Error,
};

/// 200 with a page of entries, the newest first.
///
/// 1. Reads the query: 400.
/// 2. Reads the page: 503 `storage_unavailable`.
pub(in crate::service) async fn list<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let query = Query::of(request.uri());
    let [actor, target, action] = [query.one("actor")?, query.one("target")?, query.one("action")?];
    let which = match (actor.as_deref(), target.as_deref(), action.as_deref()) {
        (None, None, None) => Entries::All,
        (Some(actor), None, None) => Entries::By(actor),
        (None, Some(target), None) => Entries::About(target),
        (None, None, Some(action)) => Entries::Of(action),
        _ => {
            return Err(Error::InvalidRequest(
                "The audit cannot be chosen like this. Send one of actor, target and action, or none.",
            ));
        }
    };
    let (kind, text) = match which {
        Entries::All => ("", ""),
        Entries::By(text) => ("actor", text),
        Entries::About(text) => ("target", text),
        Entries::Of(text) => ("action", text),
    };
    let list = List::read(app.settings, &query, &["audit", kind, text])?;
    // (2)
    let rows =
        if is_searchable(text) { app.store.entries(which, list.page()).await? } else { Vec::new() };
    let position = |row: &AuditRow| Position { number: row.id, ..Position::default() };
    Ok(list.answer("entries", &rows, entry, position))
}

/// An entry as every route of operators shows it.
pub(in crate::service) fn entry(row: &AuditRow) -> String {
    let mut object = Object::new();
    object
        .number("id", row.id)
        .time("at", row.at)
        .text("actor", &row.actor)
        .text("via", &row.via)
        .text("action", &row.action)
        .maybe("target", row.target.as_deref());
    if let Some(detail) = &row.detail {
        object.raw("detail", detail);
    }
    object.text("requestId", &row.request_id).end()
}
