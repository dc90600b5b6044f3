//! `/sessions`: lists the sessions of a user, and revokes one of them or all.

use http::{Request, Response, StatusCode};
use serde::Serialize;

use super::{
    answer,
    app::{App, Ports},
    cookie,
    credential::{claims, live},
    error::Error,
};
use crate::{
    identifier::Identifier,
    session::{Ended, Store as _},
};

#[derive(Serialize)]
struct SessionListJson<'a> {
    sessions: Vec<ListedSessionJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedSessionJson<'a> {
    sid: &'a str,
    current: bool,
    created_at: String,
    /// The time of its last session token.
    last_seen_at: String,
    expires_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
}

/// `GET /sessions`: 200 with the user's live sessions, the newest first.
pub(super) async fn list<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let claims = claims(app, request)?;
    let sid = &claims.sid;
    let sessions = app.store.sessions(sid, app.now()).await?;
    let sessions = live(app, &claims, (!sessions.is_empty()).then_some(sessions))?;
    let sessions = sessions.iter().map(|session| ListedSessionJson {
        sid: session.sid.as_str(),
        current: session.sid == *sid,
        created_at: session.created_at.to_rfc3339(),
        last_seen_at: session.last_seen_at.to_rfc3339(),
        expires_at: session.expires_at.to_rfc3339(),
        user_agent: session.device.user_agent.as_deref(),
        country: session.device.country.as_deref(),
    });
    Ok(answer::json(StatusCode::OK, &SessionListJson { sessions: sessions.collect() }))
}

/// `DELETE /sessions`: 204. Revokes all sessions of the user, this one included.
pub(super) async fn revoke_all<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let claims = claims(app, request)?;
    let is_done = app.store.revoke_all(&claims.sid, app.now()).await?;
    live(app, &claims, is_done.then_some(()))?;
    Ok(cookie::cleared(app.settings, answer::no_content()))
}

/// `DELETE /sessions/{sid}`: 204, or 404 if the user has no live session with this id.
pub(super) async fn revoke_one<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    other: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let claims = claims(app, request)?;
    let sid = &claims.sid;
    let other = Identifier::parse(other.to_owned()).ok_or(Error::NotFound)?;
    app.note(|facts| facts.sid = Some(other.clone()));
    match app.store.revoke_other(sid, &other, app.now()).await? {
        Ended::Done if other == *sid => Ok(cookie::cleared(app.settings, answer::no_content())),
        Ended::Done => Ok(answer::no_content()),
        Ended::Unknown => Err(Error::NotFound),
        Ended::SessionEnded => live(app, &claims, None),
    }
}
