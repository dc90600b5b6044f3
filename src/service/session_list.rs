//! `/sessions`: where a user is signed in, and ending sessions one by one and all together.

use http::{Request, Response, StatusCode};
use serde::Serialize;

use super::{App, Error, Ports, body, cookie, credential::claims};
use crate::{
    identifier::Identifier,
    session::{Ended, Store as _},
};

#[derive(Serialize)]
struct ListAnswer<'a> {
    sessions: Vec<ListedSession<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedSession<'a> {
    sid: &'a str,
    current: bool,
    created_at: String,
    /// When it last got a session token.
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
    let sid = claims(app, request)?.sid;
    let sessions = app.store.sessions(&sid, app.now()).await?;
    if sessions.is_empty() {
        return Err(Error::SessionRevoked);
    }
    let sessions = sessions.iter().map(|session| ListedSession {
        sid: session.sid.as_str(),
        current: session.sid == sid,
        created_at: session.created_at.to_rfc3339(),
        last_seen_at: session.last_seen_at.to_rfc3339(),
        expires_at: session.expires_at.to_rfc3339(),
        user_agent: session.device.user_agent.as_deref(),
        country: session.device.country.as_deref(),
    });
    Ok(body::json(StatusCode::OK, &ListAnswer { sessions: sessions.collect() }))
}

/// `DELETE /sessions`: 204. The user is signed out everywhere, here as well.
pub(super) async fn sign_out_everywhere<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let sid = claims(app, request)?.sid;
    if app.store.revoke_all(&sid, app.now()).await? {
        Ok(cookie::cleared(app.settings, body::none()))
    } else {
        Err(Error::SessionRevoked)
    }
}

/// `DELETE /sessions/{sid}`: 204, or 404 when the user has no such live session.
pub(super) async fn end_one<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    other: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let sid = claims(app, request)?.sid;
    let other = Identifier::parse(other.to_owned()).ok_or(Error::NotFound)?;
    match app.store.revoke_other(&sid, &other, app.now()).await? {
        Ended::Done if other == sid => Ok(cookie::cleared(app.settings, body::none())),
        Ended::Done => Ok(body::none()),
        Ended::Unknown => Err(Error::NotFound),
        Ended::SessionEnded => Err(Error::SessionRevoked),
    }
}
