//! The routes with which an operator revokes sessions: one, all of a user, or all of everybody.

use http::{Request, Response};
use serde::Deserialize;

use super::{
    deeds::{Deed, Deeds as _},
    object::Object,
    operator::{self, Admitted},
};
use crate::{
    audit::Action,
    identifier::Identifier,
    json,
    service::{
        answer,
        app::{App, Entropy, Ports},
        body,
        error::Error,
    },
    session::Store as _,
};

/// `DELETE /admin/sessions/{sid}`: 204, or 404 if there is no live session with this id.
pub(in crate::service) async fn session<P: Ports>(
    app: &App<'_, P>,
    admitted: &Admitted<'_>,
    entropy: Entropy,
    sid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let sid = Identifier::parse(sid.to_owned()).ok_or(Error::NotFound)?;
    let user = app.store.user(&sid, app.now()).await?.ok_or(Error::NotFound)?;
    app.note(|facts| (facts.sid, facts.uid) = (Some(sid.clone()), Some(user.uid.clone())));
    let entry = admitted
        .entry(Action::SessionEnded, Some(user.uid.as_str()), entropy)
        .with_detail(Object::new().text("sid", sid.as_str()).end());
    operator::done(app.store.act(Deed::RevokeSession(&sid), &entry, app.now()).await?)
}

/// `POST /admin/users/{uid}/revoke`: 204, or 404. Revokes all sessions of the user.
pub(in crate::service) async fn user<P: Ports>(
    app: &App<'_, P>,
    admitted: &Admitted<'_>,
    entropy: Entropy,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let uid = operator::user_of(app, uid)?;
    let entry = admitted.entry(Action::UserSessionsEnded, Some(uid.as_str()), entropy);
    operator::done(app.store.act(Deed::RevokeUser(&uid), &entry, app.now()).await?)
}

#[derive(Deserialize)]
struct EveryoneBody {
    #[serde(default, deserialize_with = "json::present")]
    confirm: Option<String>,
}

/// `POST /admin/revoke-all`: 204. Revokes all sessions of all users.
///
/// 1. Reads the confirmation, which is the audience of this deployment: 400, 408, 413, 415, 422. An
///    operator of several deployments then cannot mistake one for another.
/// 2. Revokes: 503.
pub(in crate::service) async fn everyone<P: Ports>(
    app: &App<'_, P>,
    admitted: &Admitted<'_>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let EveryoneBody { confirm } = body::json(request, body::MAX_BYTES)?;
    if confirm.as_ref() != Some(&app.settings.policy.audience) {
        return Err(Error::ConfirmationRequired);
    }
    // (2)
    let entry = admitted.entry(Action::EveryoneSessionsEnded, None, entropy);
    app.store.act(Deed::RevokeEveryone, &entry, app.now()).await?;
    Ok(answer::no_content())
}
