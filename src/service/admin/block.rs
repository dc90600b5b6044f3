//! The routes with which an operator blocks a user and lets a user sign in again.
//!
//! A block is about a uid. At Pi, a person has a new uid after withdrawing the consent and giving
//! it again, so a determined person can walk around a block.

use http::{Request, Response};
use serde::Deserialize;

use super::{
    deeds::{Deed, Deeds as _},
    object::Object,
    operator::{self, Admitted},
};
use crate::{
    audit::Action,
    service::{
        app::{App, Entropy, Ports},
        body,
        error::Error,
    },
};

/// A sentence or two: it is for the operator who reads it next year.
const MAX_REASON_CHARACTERS: usize = 200;

#[derive(Deserialize)]
struct BlockBody {
    reason: String,
}

/// `POST /admin/users/{uid}/block`: 204. Revokes all sessions of the user, and refuses the user's
/// sign-ins from now on. A repeat replaces the reason.
///
/// 1. Checks the uid: 404.
/// 2. Reads the reason: 400, 408, 413, 415.
/// 3. Blocks the user: 404, 503.
pub(in crate::service) async fn block<P: Ports>(
    app: &App<'_, P>,
    admitted: &Admitted<'_>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let uid = operator::user_of(app, uid)?;
    // (2)
    let BlockBody { reason } = body::json(request, body::MAX_BYTES)?;
    if !body::is_line(&reason, MAX_REASON_CHARACTERS) {
        return Err(Error::InvalidRequest(
            "reason is not one line of 1 to 200 characters. Say why you block this user.",
        ));
    }
    // (3)
    let entry = admitted
        .entry(Action::UserBlocked, Some(uid.as_str()), entropy)
        .with_detail(Object::new().text("reason", &reason).end());
    operator::done(app.store.act(Deed::Block(&uid, &reason), &entry, app.now()).await?)
}

/// `POST /admin/users/{uid}/unblock`: 204, or 404. The user can sign in again.
pub(in crate::service) async fn unblock<P: Ports>(
    app: &App<'_, P>,
    admitted: &Admitted<'_>,
    entropy: Entropy,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let uid = operator::user_of(app, uid)?;
    let entry = admitted.entry(Action::UserUnblocked, Some(uid.as_str()), entropy);
    operator::done(app.store.act(Deed::Unblock(&uid), &entry, app.now()).await?)
}
