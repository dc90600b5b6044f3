//! The routes that show an operator what the app or this service stores about one user. Each look
//! is an entry of the audit, which is stored before the answer is sent.

use http::{Request, Response};

use super::{deeds::Deeds as _, operator};
use crate::{
    audit::Action,
    service::{
        answer,
        app::{App, Entropy, Ports},
        error::Error,
    },
    session::Store as _,
};

/// `GET /admin/users/{uid}/data`: 200 with the app's JSON object for the user, `{}` while there is
/// none; or 404.
pub(in crate::service) async fn data<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
    entropy: Entropy,
    uid: &str,
) -> Result<Response<Vec<u8>>, Error> {
    let admitted = operator::owner(app, request)?;
    let uid = operator::user_of(app, uid)?;
    let (_, data) = app.store.record_of_user(&uid).await?.ok_or(Error::NotFound)?;
    let entry = admitted.entry(Action::UserDataRead, Some(uid.as_str()), entropy);
    app.store.keep_entry(&entry, app.now()).await?;
    let text = data.map_or_else(|| "{}".to_owned(), |data| data.text);
    Ok(answer::json_text(text.into_bytes()))
}
