//! The route with which an operator erases a user, who need not be signed in.

use http::{Request, Response};

use super::{
    deeds::{Deed, Deeds as _},
    list::Query,
    operator::{self, Admitted},
};
use crate::{
    audit::Action,
    service::{
        answer,
        app::{App, Entropy, Ports},
        error::Error,
        sweep, user,
    },
};

/// `DELETE /admin/users/{uid}?confirm={uid}`: 204, also if the user was erased before. A payment
/// that is not finished stays without a name, and the clock finishes it.
///
/// 1. Checks the uid: 404.
/// 2. Compares the confirmation, which is the uid: 400, 422.
/// 3. Erases the user in one step: 404, 503.
/// 4. Removes the user's name from further orders, payments and ads, as `DELETE /me` does.
pub(in crate::service) async fn erase<P: Ports>(
    app: &App<'_, P>,
    admitted: &Admitted<'_>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let uid = operator::user_of(app, uid)?;
    // (2)
    let confirm = Query::of(request.uri()).one("confirm")?;
    if confirm.as_deref() != Some(uid.as_str()) {
        return Err(Error::ConfirmationRequired);
    }
    // (3)
    let entry = admitted.entry(Action::UserErased, Some(uid.as_str()), entropy);
    let is_done = app.store.act(Deed::Erase(&uid, sweep::BATCH_ROWS), &entry, app.now()).await?;
    if !is_done && !app.store.was_erased(&uid).await? {
        return Err(Error::NotFound);
    }
    // (4)
    user::forget_rest(app, true).await;
    Ok(answer::no_content())
}
