//! `GET /.well-known/jwks.json`: the public keys, for whoever verifies.

use http::{HeaderMap, HeaderValue, Response};

use super::{Error, Settings, body};
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
        let etag = body::etag(text.as_bytes());
        Self { text, etag }
    }
}

/// The public keys of every state: 200, or 304 when the client has them.
pub(super) async fn jwks(
    settings: &Settings,
    headers: &HeaderMap,
) -> Result<Response<Vec<u8>>, Error> {
    let Document { text, etag } = &settings.jwks;
    let kind = "application/jwk-set+json";
    body::cacheable(headers, etag, CACHE_CONTROL, kind, async || Ok(text.clone())).await
}
