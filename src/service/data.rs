//! `/me/data`: the app's own JSON object for the signed-in user. The entity tags of [RFC 9110] keep
//! one device from overwriting the changes of another.
//!
//! [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};

use super::{
    answer,
    app::{App, Ports},
    attempts, body,
    credential::{claims, live},
    error::Error,
    limit::Limit,
};
use crate::session::{Data, Expected, Store as _, Written};

/// Room for a saved game or settings. A row of D1 could hold 2 MB.
pub(super) const MAX_BYTES: usize = 64 * 1024;

/// `GET /me/data`: 200 with the object and its `ETag`; `{}` without an `ETag` while there is none.
pub(super) async fn show<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    let claims = claims(app, request)?;
    let record = app.store.record(&claims.sid, app.now()).await?;
    let (_, data) = live(app, &claims, record)?;
    let (text, version) =
        data.map_or_else(|| ("{}".to_owned(), None), |data| (data.text, Some(data.version)));
    let mut response = answer::json_text(text.into_bytes());
    response.headers_mut().extend(version.and_then(|version| etag(&version)));
    Ok(response)
}

/// `PUT /me/data`: 204 with the new `ETag`.
///
/// 1. Checks the session token: 401. Counts the session's writes: 429.
/// 2. Reads the object and the version that it replaces: 400, 408, 413, 415.
/// 3. Replaces it in one step: 412, 428, or 401 if the session was revoked. A repeat of a write
///    that succeeded succeeds as well: a client that lost the answer can repeat the request.
pub(super) async fn replace<P: Ports>(
    app: &App<'_, P>,
    request: &Request<Vec<u8>>,
) -> Result<Response<Vec<u8>>, Error> {
    // (1)
    let claims = claims(app, request)?;
    attempts::by_owner(app, Limit::Writes, &claims.sid).await?;
    // (2) The text is stored as the client wrote it, so that no number loses digits.
    let text = body::json_text(request, MAX_BYTES)?;
    let data = Data::new(text.to_owned());
    let expected = expected(request.headers())?;
    // (3)
    match app.store.write(&claims.sid, &data, &expected, app.now()).await? {
        Written::Done => {
            let mut response = answer::no_content();
            response.headers_mut().extend(etag(&data.version));
            Ok(response)
        }
        Written::Conflict if expected == Expected::Nothing => Err(Error::PreconditionRequired),
        Written::Conflict => Err(Error::PreconditionFailed),
        Written::SessionEnded => live(app, &claims, None),
    }
}

fn etag(version: &str) -> Option<(HeaderName, HeaderValue)> {
    answer::etag_header(&format!("\"{version}\""))
}

/// `If-Match` (RFC 9110 §13.1.1): absent, `*`, or a list of entity tags.
///
/// Proxies that compress, Cloudflare's edge among them, make a strong tag weak (`W/"…"`). A version
/// names its content byte for byte, so the weak spelling of a tag counts as the tag itself.
fn expected(headers: &HeaderMap) -> Result<Expected, Error> {
    let mut versions = Vec::new();
    for value in headers.get_all(header::IF_MATCH) {
        let list = value.to_str().map_err(|_| {
            Error::InvalidRequest(
                "If-Match is not a list of entity tags. Send the ETag of GET /me/data.",
            )
        })?;
        if list.trim() == "*" {
            return Ok(Expected::Something);
        }
        versions.extend(list.split(',').map(|tag| version(tag).unwrap_or_default()));
    }
    Ok(if versions.is_empty() { Expected::Nothing } else { Expected::Version(versions) })
}

/// The version in one quoted entity tag. No stored version is empty. An unquoted tag counts as the
/// empty version, so it matches nothing.
fn version(tag: &str) -> Option<String> {
    let tag = tag.trim();
    let quoted = tag.strip_prefix("W/").unwrap_or(tag);
    Some(quoted.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}
