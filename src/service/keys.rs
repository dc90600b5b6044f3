//! `GET /.well-known/jwks.json`: the public keys, for every verifier.

use http::{HeaderMap, HeaderValue, Response};

use super::{
    answer::{self, Caching},
    error::Error,
    settings::Settings,
};

/// Five minutes: the time for which a verifier may still trust a removed key, or not yet know a new
/// one.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// `GET /.well-known/jwks.json`: 200 with the public keys of every state, or 304 if the client has
/// them.
pub(super) async fn jwks(
    settings: &Settings,
    headers: &HeaderMap,
) -> Result<Response<Vec<u8>>, Error> {
    let caching = Caching {
        etag: &settings.jwks.etag,
        cache_control: CACHE_CONTROL,
        media_type: "application/jwk-set+json",
    };
    answer::cacheable(headers, caching, async || Ok(settings.jwks.text.clone())).await
}
