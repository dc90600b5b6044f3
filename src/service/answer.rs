//! Writes responses: JSON, no content, and documents that a client may cache.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A response with this value as JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Vec<u8>> {
    // The values are structs of strings, numbers and checked JSON, which always serialize.
    let mut response = json_text(serde_json::to_vec(value).unwrap_or_default());
    *response.status_mut() = status;
    response
}

/// 200 with a text that is JSON already.
pub(super) fn json_text(text: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(text);
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// 204.
pub(super) fn no_content() -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Marks a response that, apart from the request's id, depends on its request and the settings
/// only: on no time, storage or limit. While the settings stay the same, an edge may repeat it for
/// an equal request, with another id. The response carries the mark as an extension.
#[derive(Clone, Copy, Debug)]
pub struct Repeatable;

/// The response, marked as [`Repeatable`].
pub(super) fn repeatable(mut response: Response<Vec<u8>>) -> Response<Vec<u8>> {
    response.extensions_mut().insert(Repeatable);
    response
}

/// The entity tag of this content.
pub(super) fn etag(content: &[u8]) -> String {
    format!("\"{}\"", BASE64URL.encode(Sha256::digest(content)))
}

/// The `ETag` header with this entity tag.
pub(super) fn etag_header(etag: &str) -> Option<(HeaderName, HeaderValue)> {
    header_of(header::ETAG, etag)
}

/// None for a value that no header can carry.
fn header_of(name: HeaderName, value: &str) -> Option<(HeaderName, HeaderValue)> {
    HeaderValue::from_str(value).ok().map(|value| (name, value))
}

/// Whether the client has the content with this entity tag: [RFC 9110] §13.1.2, a list that is
/// compared weakly.
///
/// [RFC 9110]: https://www.rfc-editor.org/rfc/rfc9110
pub(super) fn is_known(request: &HeaderMap, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    known.is_some_and(|list| {
        list.split(',').any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
    })
}

/// The headers of a document that clients may cache.
pub(super) struct Caching<'a> {
    pub(super) etag: &'a str,
    /// Seconds for which any cache may keep it.
    pub(super) max_age: u32,
    pub(super) media_type: &'static str,
}

/// 200 with the body, or 304 without one.
pub(super) fn cacheable(
    Caching { etag, max_age, media_type }: Caching<'_>,
    body: Option<Vec<u8>>,
) -> Response<Vec<u8>> {
    let status = if body.is_some() { StatusCode::OK } else { StatusCode::NOT_MODIFIED };
    let mut response = Response::new(body.unwrap_or_default());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.extend(header_of(header::CACHE_CONTROL, &format!("public, max-age={max_age}")));
    headers.extend(etag_header(etag));
    response
}
