//! Bodies: JSON and forms in, within limits and without twins; JSON out, and what may be cached.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::Error;
use crate::json;

/// An access token may have 4 KiB; Pi's whole AuthResult fits beside it.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// The app's own data for a user: a save game, settings. A row of D1 could hold 2 MB.
const MAX_DATA_BYTES: usize = 64 * 1024;

/// 256 notifications of a kilobyte each, from a backend.
const MAX_NOTIFICATIONS_BYTES: usize = 256 * 1024;

/// The most bytes that the route at this path takes. An edge stops reading one byte after it.
pub(super) fn limit(path: &str) -> usize {
    match path {
        "/me/data" => MAX_DATA_BYTES,
        "/notifications" => MAX_NOTIFICATIONS_BYTES,
        _ => MAX_BODY_BYTES,
    }
}

/// An extension of a request whose body did not come in time: what there is of it is not to be used.
#[derive(Clone, Copy, Debug)]
pub struct TooSlow;

/// Reads a JSON object: (1) type 415, (2) size 413, time 408, (3) content 400.
pub(super) fn read<T: DeserializeOwned>(request: &Request<Vec<u8>>) -> Result<T, Error> {
    read_by(request, json::object)
}

/// As [`read`], the text of the object as it was written.
pub(super) fn read_text(request: &Request<Vec<u8>>) -> Result<&str, Error> {
    read_by(request, json::object_text)
}

fn read_by<'a, T>(
    request: &'a Request<Vec<u8>>,
    read: impl FnOnce(&'a [u8]) -> Result<T, json::Error>,
) -> Result<T, Error> {
    // (1)
    if !is(request.headers(), "application/json") {
        return Err(Error::UnsupportedMediaType);
    }
    // (2)
    check_size(request)?;
    // (3)
    read(request.body()).map_err(|error| {
        Error::InvalidRequest(match error {
            json::Error::Malformed => "The body is not well-formed JSON in UTF-8.",
            json::Error::Duplicate => "The body names a member twice.",
            json::Error::Shape => "The body is not a JSON object with the members of this route.",
        })
    })
}

/// Reads the one parameter of this name from a form ([RFC 6749] appendix B), in the same order.
///
/// [RFC 6749]: https://www.rfc-editor.org/rfc/rfc6749#appendix-B
pub(super) fn read_form<'a>(
    request: &'a Request<Vec<u8>>,
    name: &str,
) -> Result<Cow<'a, str>, Error> {
    if !is(request.headers(), "application/x-www-form-urlencoded") {
        return Err(Error::UnsupportedMediaType);
    }
    check_size(request)?;
    let mut values = form_urlencoded::parse(request.body()).filter(|(key, _)| key == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) => Ok(value),
        _ => Err(Error::InvalidRequest("The form must have each parameter of this route once.")),
    }
}

/// Refuses a body that is too long or came too slowly. By the announced length first: an edge may leave unread what is
/// announced as too long.
pub(super) fn check_size(request: &Request<Vec<u8>>) -> Result<(), Error> {
    let limit = limit(request.uri().path());
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let is_over = announced
        .is_some_and(|text| text.parse().map_or(true, |length: usize| length > limit))
        || request.body().len() > limit;
    if is_over {
        return Err(Error::BodyTooLarge);
    }
    if request.extensions().get::<TooSlow>().is_some() {
        return Err(Error::RequestTimeout);
    }
    Ok(())
}

/// Of this type, in UTF-8 if it says, and not compressed. A form post of another site cannot be JSON.
fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let content_type = text(header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    parts.next() == Some(media_type)
        && parts.all(|parameter| matches!(parameter, "charset=utf-8" | "charset=\"utf-8\"" | ""))
        && headers.get_all(header::CONTENT_TYPE).iter().count() == 1
        && headers.get(header::CONTENT_ENCODING).is_none_or(|coding| coding == "identity")
}

/// A response with this JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Vec<u8>> {
    // Structs of strings, numbers and checked JSON: there is nothing here that cannot be written.
    let mut response = Response::new(serde_json::to_vec(value).unwrap_or_default());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 204.
pub(super) fn none() -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// The entity tag that names this content.
pub(super) fn etag(content: &[u8]) -> String {
    format!("\"{}\"", BASE64URL.encode(Sha256::digest(content)))
}

/// 200 with the text, or 304 when the client has it: [RFC 9110] §13.1.2, a list, compared weakly.
///
/// [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110
pub(super) async fn cacheable(
    request: &HeaderMap,
    etag: &str,
    cache_control: HeaderValue,
    media_type: &'static str,
    text: impl AsyncFnOnce() -> Result<String, Error>,
) -> Result<Response<Vec<u8>>, Error> {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_known = known.is_some_and(|list| {
        list.split(',').any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
    });
    let mut response =
        Response::new(if is_known { Vec::new() } else { text().await?.into_bytes() });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, cache_control);
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    Ok(response)
}
