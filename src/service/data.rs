//! `/me`: the signed-in user's own record, and the app's data for this user.

use http::{HeaderMap, HeaderValue, Request, Response, header};

use super::{
    App, Error, Ports, body, cookie,
    credential::claims,
    limit::{self, Limit},
    sweep::PIECE,
    user,
};
use crate::{
    payment::Store as _,
    session::{Data, Erased, Expected, Store as _, Written},
};

/// `GET /me`: 200 with the user and the data, `{}` when there is none yet.
pub(super) async fn show<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let sid = claims(app, request)?.sid;
    let (user, data) = app.store.record(&sid, app.now()).await?.ok_or(Error::SessionRevoked)?;
    let purchases = app.store.purchases(&user.uid).await?;
    user::record(&user, &purchases, data)
}

/// `GET /me/data`: 200 with the object and its `ETag`; `{}` and no `ETag` when there is none yet.
pub(super) async fn show_data<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let sid = claims(app, request)?.sid;
    let (_, data) = app.store.record(&sid, app.now()).await?.ok_or(Error::SessionRevoked)?;
    let (text, version) =
        data.map_or_else(|| ("{}".to_owned(), None), |data| (data.text, Some(data.version)));
    let mut response = Response::new(text.into_bytes());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().extend(version.and_then(|version| etag(&version)));
    Ok(response)
}

/// `PUT /me/data`: 204 with the new `ETag`.
///
/// 1. Checks the session token: 401. Counts the user's writes: 429.
/// 2. Reads the object and what it expects to replace: 400, 413, 415.
/// 3. Replaces it in one step: 412, 428, or 401 when the session has ended. A write that was done before is done: 204, so
///    that a client that lost the answer can repeat the request.
pub(super) async fn write_data<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let claims = claims(app, request)?;
    limit::by_owner(app, Limit::Writes, &claims.sub).await?;
    // (2) Kept as it was written, so that no number loses digits.
    let text = body::read_text(request)?;
    let data = Data::new(text.to_owned());
    let expected = expected(request.headers())?;
    // (3)
    match app.store.write(&claims.sid, &data, &expected, app.now()).await? {
        Written::Done => {
            let mut response = body::none();
            response.headers_mut().extend(etag(&data.version));
            Ok(response)
        }
        Written::Conflict if expected == Expected::Nothing => Err(Error::PreconditionRequired),
        Written::Conflict => Err(Error::PreconditionFailed),
        Written::SessionEnded => Err(Error::SessionRevoked),
    }
}

/// `DELETE /me`: 204. The user, the data and the sessions are gone.
///
/// 1. Checks the session token: 401. Counts the user's writes: 429.
/// 2. Erases the user, in one step: 401 when the session has ended, 503.
/// 3. Takes the user's name from more orders, payments and ads, if there are very many, in pieces. What is left after some
///    of them, or after a failure, is for the clock ([`super::sweep`]).
pub(super) async fn erase<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let claims = claims(app, request)?;
    limit::by_owner(app, Limit::Writes, &claims.sub).await?;
    // (2)
    let mut has_more = match app.store.erase(&claims.sid, PIECE, app.now()).await? {
        Erased::Done => false,
        Erased::Partly => true,
        Erased::SessionEnded => return Err(Error::SessionRevoked),
    };
    // (3)
    for _ in 0..PIECES {
        has_more = has_more && matches!(app.store.forget(PIECE).await, Ok(true));
    }
    Ok(cookie::cleared(app.settings, body::none()))
}

/// Cloudflare's free plan allows fifty statements a request, and a piece has four.
const PIECES: u32 = 5;

fn etag(version: &str) -> Option<(header::HeaderName, HeaderValue)> {
    HeaderValue::from_str(&format!("\"{version}\"")).ok().map(|value| (header::ETAG, value))
}

/// `If-Match` (RFC 9110 §13.1.1): absent, `*`, or tags.
///
/// Proxies that compress make a strong tag weak (`W/"…"`), Cloudflare's edge among them. A version names
/// its content byte for byte, so the weak spelling of one is taken for it.
fn expected(headers: &HeaderMap) -> Result<Expected, Error> {
    let mut versions = Vec::new();
    for value in headers.get_all(header::IF_MATCH) {
        let list = value
            .to_str()
            .map_err(|_| Error::InvalidRequest("If-Match is not a list of entity tags."))?;
        if list.trim() == "*" {
            return Ok(Expected::Something);
        }
        versions.extend(list.split(',').map(|tag| version(tag).unwrap_or_default()));
    }
    Ok(if versions.is_empty() { Expected::Nothing } else { Expected::Version(versions) })
}

/// The version in one entity tag, if it is a quoted one. No stored version is empty, so that an
/// unquoted tag, taken as the empty version, matches nothing.
fn version(tag: &str) -> Option<String> {
    let tag = tag.trim();
    let quoted = tag.strip_prefix("W/").unwrap_or(tag);
    Some(quoted.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}
