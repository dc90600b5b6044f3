//! The routes of the app's own backends: introspecting a token, reading a user's record, and
//! revoking sessions.

use http::{Request, Response, StatusCode};
use serde::Serialize;

use super::{
    admin::deeds::{Deed, Deeds as _},
    answer,
    app::{App, Entropy, Ports},
    body, credential,
    error::Error,
    payment_list,
    store::Store as _,
    user,
};
use crate::{
    audit::Action, identifier::Identifier, jwt::Claims, payment::Store as _, session::Store as _,
};

/// [RFC 7662] §2.2.
///
/// [RFC 7662]: https://www.rfc-editor.org/rfc/rfc7662
#[derive(Serialize)]
struct IntrospectionJson {
    active: bool,
    #[serde(flatten)]
    claims: Option<Claims>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
}

/// `POST /introspect`: 200, with the claims if the token is valid and its session is live. For any
/// other token the answer does not say why it is inactive (RFC 7662 §2.2).
///
/// 1. Checks the backend's credential: 400, 401.
/// 2. Reads the token: 400, 408, 413, 415.
/// 3. Verifies it and looks its session up: 503 `storage_unavailable`.
pub(super) async fn introspect<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    credential::backend(app, request.headers())?;
    // (2)
    let token = body::form_value(request, body::MAX_BYTES, "token")?;
    // (3)
    let claims = match credential::verified(app, token.as_bytes()) {
        Ok(claims) if app.store.user(&claims.sid, app.now()).await?.is_some() => Some(claims),
        _ => None,
    };
    let username = claims.as_ref().and_then(|claims| claims.preferred_username.clone());
    let token_type = claims.is_some().then_some("Bearer");
    let active = claims.is_some();
    Ok(answer::json(StatusCode::OK, &IntrospectionJson { active, claims, username, token_type }))
}

/// `GET /users/{uid}`: 200 with the user's record, as `GET /me` shows it; 404.
pub(super) async fn show_user<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    credential::backend(app, request.headers())?;
    let uid = parse(app, uid)?;
    user::record(app.store.account_of_user(&uid).await?.ok_or(Error::NotFound)?)
}

/// `GET /users/{uid}/payments`: 200 with the user's payments, as `GET /payments` shows them.
pub(super) async fn show_payments<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    credential::backend(app, request.headers())?;
    Ok(payment_list::list(&app.store.payments(&parse(app, uid)?).await?))
}

/// `POST /users/{uid}/revoke`: 204. Revokes all sessions of the user. A user who is unknown or was
/// erased has none.
pub(super) async fn revoke_user<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let backend = credential::backend(app, request.headers())?;
    let uid = parse(app, uid)?;
    let entry = backend.entry(Action::UserSessionsEnded, Some(&uid), entropy);
    app.store.act(Deed::RevokeUser(&uid), &entry, app.now()).await?;
    Ok(answer::no_content())
}

/// `POST /revoke-all`: 204. Revokes all sessions of all users.
pub(super) async fn revoke_everyone<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Result<Response<Vec<u8>>, Error> {
    let backend = credential::backend(app, request.headers())?;
    let entry = backend.entry(Action::EveryoneSessionsEnded, None, entropy);
    app.store.act(Deed::RevokeEveryone, &entry, app.now()).await?;
    Ok(answer::no_content())
}

/// The user whom the path names.
fn parse<P: Ports>(app: &App<'_, P>, uid: &str) -> Result<Identifier, Error> {
    let uid = Identifier::parse(uid.to_owned()).ok_or(Error::NotFound)?;
    app.note(|facts| facts.uid = Some(uid.clone()));
    Ok(uid)
}
