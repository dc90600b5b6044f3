//! Bodies: JSON in, within limits and without twins; JSON out.

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::json;

/// An access token may have 4 KiB; Pi's whole AuthResult fits beside it.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// The app's own data for a user: a save game, settings. A row of D1 could hold 2 MB.
const MAX_DATA_BYTES: usize = 64 * 1024;

/// The most bytes that the route at this path takes. An edge stops reading one byte after it.
#[must_use]
pub fn limit(path: &str) -> usize {
    if path == "/me/data" { MAX_DATA_BYTES } else { MAX_BODY_BYTES }
}

/// Reads a JSON object: (1) type 415, (2) size 413, (3) content 400.
pub(super) fn read<'a, T: Deserialize<'a>>(request: &'a Request<Vec<u8>>) -> Result<T, Error> {
    // (1)
    if !is_json(request.headers()) {
        return Err(Error::UnsupportedMediaType);
    }
    // (2) By the announced length first: an edge may leave unread what is announced as too long.
    let limit = limit(request.uri().path());
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.is_some_and(|text| text.parse().map_or(true, |length: usize| length > limit))
        || request.body().len() > limit
    {
        return Err(Error::BodyTooLarge);
    }
    // (3)
    json::object(request.body()).map_err(|error| {
        Error::InvalidRequest(match error {
            json::Error::Malformed => "The body is not well-formed JSON in UTF-8.",
            json::Error::Duplicate => "The body names a member twice.",
            json::Error::Shape => "The body is not a JSON object with the members of this route.",
        })
    })
}

/// `application/json`, in UTF-8 if it says, and not compressed. A form post of another site cannot have it.
fn is_json(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let content_type = text(header::CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    parts.next() == Some("application/json")
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
