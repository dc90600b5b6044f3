//! The users, as operators see them: `/admin/users` and the routes below it.

use http::{Request, Response};

use super::{
    list::{List, Query, is_searchable},
    object::{Array, Object, quoted},
    operator::user_of,
    payments,
    records::{Position, Records as _, UserRow, Which},
};
use crate::{
    identifier::Identifier,
    service::{
        answer,
        app::{App, Ports},
        error::Error,
    },
    session::Session,
};

/// `GET /admin/users`: 200 with a page of users. With `q`, first the user with this uid, then those
/// whose name begins with it.
///
/// 1. Reads the query: 400.
/// 2. Reads the page: 503 `storage_unavailable`.
pub(in crate::service) async fn list<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let query = Query::of(request.uri());
    let q = query.one("q")?;
    let text = q.as_deref().unwrap_or_default();
    let list = List::read(app.settings, &query, &["users", text])?;
    // (2)
    let page = list.page();
    if text.is_empty() {
        let users = app.store.newest_users(page).await?;
        return Ok(list.answer("users", &users, user, by_age));
    }
    let mut users = Vec::new();
    if is_searchable(text) {
        let uid = Identifier::parse(text.to_owned());
        if let Some(uid) = uid.as_ref().filter(|_| list.is_first()) {
            users.extend(app.store.user_row(uid).await?);
        }
        users.extend(app.store.users_named(text, uid.as_ref(), page).await?);
    }
    // After the user with this uid, the names begin.
    let position = |row: &UserRow| match &row.user.username {
        Some(name) if row.user.uid.as_str() != text => {
            Position { number: 0, id: row.user.uid.to_string(), name: name.clone() }
        }
        _ => Position { name: text.to_owned(), ..Position::default() },
    };
    Ok(list.answer("users", &users, user, position))
}

fn by_age(UserRow { user, .. }: &UserRow) -> Position {
    let number = u64::try_from(user.first_seen_at.seconds()).unwrap_or(0);
    Position { number, id: user.uid.to_string(), name: String::new() }
}

/// `GET /admin/users/{uid}`: 200 with the user and the size of the data; 404.
pub(in crate::service) async fn show<P: Ports>(
    app: &App<'_, P>,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let (_, row) = find(app, uid).await?;
    let mut object = Object::new();
    object.raw("user", &user(&row));
    if let Some((bytes, version)) = row.data {
        let data = Object::new().number("bytes", bytes).text("version", &version).end();
        object.raw("data", &data);
    }
    Ok(answer::json_text(object.end().into_bytes()))
}

/// `GET /admin/users/{uid}/sessions`: 200 with the live sessions; 404.
pub(in crate::service) async fn sessions<P: Ports>(
    app: &App<'_, P>,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let (uid, _) = find(app, uid).await?;
    let sessions = app.store.sessions_of(&uid, app.now()).await?;
    let answer = Object::new().raw("sessions", &Array::of(&sessions, session)).end();
    Ok(answer::json_text(answer.into_bytes()))
}

/// `GET /admin/users/{uid}/payments`: 200 with a page of the user's payments; 404.
pub(in crate::service) async fn payments<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let (uid, _) = find(app, uid).await?;
    let query = Query::of(request.uri());
    let list = List::read(app.settings, &query, &["payments of", uid.as_str()])?;
    payments::page(app, &list, Which::Of(&uid)).await
}

/// The user whom the path names: 404.
async fn find<P: Ports>(app: &App<'_, P>, uid: &str) -> Result<(Identifier, UserRow), Error> {
    let uid = user_of(app, uid)?;
    let row = app.store.user_row(&uid).await?.ok_or(Error::NotFound)?;
    Ok((uid, row))
}

/// A user as every route of operators shows it.
pub(in crate::service) fn user(row: &UserRow) -> String {
    let UserRow { user, sign_ins, blocked_at, blocked_reason, .. } = row;
    let mut object = Object::new();
    object
        .text("uid", user.uid.as_str())
        .maybe("username", user.username.as_deref())
        .raw("scopes", &Array::of(&user.scopes, |scope| quoted(scope)))
        .time("firstSeenAt", user.first_seen_at)
        .time("lastSeenAt", user.last_seen_at)
        .number("signIns", *sign_ins)
        .time("blockedAt", *blocked_at)
        .maybe("blockedReason", blocked_reason.as_deref())
        .end()
}

/// A session as every route of operators shows it.
pub(in crate::service) fn session(session: &Session) -> String {
    members_of(session).end()
}

/// The same, for a route that adds a member.
pub(super) fn members_of(session: &Session) -> Object {
    let mut object = Object::new();
    object
        .text("sid", session.sid.as_str())
        .time("createdAt", session.created_at)
        .time("lastSeenAt", session.last_seen_at)
        .time("expiresAt", session.expires_at)
        .maybe("userAgent", session.device.user_agent.as_deref())
        .maybe("country", session.device.country.as_deref());
    object
}
