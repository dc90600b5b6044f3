//! `GET /.well-known/jwks.json`: the public keys, for whoever verifies.

use base64ct::{Base64UrlUnpadded, Encoding};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use sha2::{Digest, Sha256};

use super::Settings;
use crate::jwt::SigningKeys;

/// Five minutes: how long a removed key may still be believed, and how long a new one may go unknown.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The document and its ETag, made once for the settings.
#[derive(Debug)]
pub(super) struct Document {
    text: String,
    etag: String,
}

impl Document {
    pub(super) fn new(keys: &SigningKeys) -> Self {
        let text = keys.all().to_jwks();
        let etag =
            format!("\"{}\"", Base64UrlUnpadded::encode_string(&Sha256::digest(text.as_bytes())));
        Self { text, etag }
    }
}

/// The public keys of every state: 200, or 304 when the client has them.
pub(super) fn jwks(settings: &Settings, headers: &HeaderMap) -> Response<Vec<u8>> {
    let Document { text, etag } = &settings.jwks;
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    // RFC 9110 §13.1.2: a list, compared weakly.
    let is_known = known.is_some_and(|list| {
        list.split(',')
            .any(|tag| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == etag)
    });
    let mut response = Response::new(if is_known { Vec::new() } else { text.clone().into_bytes() });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}
