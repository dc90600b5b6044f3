//! `GET /.well-known/jwks.json`: the public keys, for every verifier.

use http::{HeaderMap, Response};

use super::{
    answer::{self, Caching},
    error::Error,
    settings::{Jwks, Settings},
};

/// Five minutes: the time for which a verifier may still trust a removed key, or not yet know a new
/// one.
const MAX_AGE: u32 = 300;

/// `GET /.well-known/jwks.json`: 200 with the public keys of every state, or 304 if the client has
/// them.
pub(super) async fn jwks(
    settings: &Settings,
    headers: &HeaderMap,
) -> Result<Response<Vec<u8>>, Error> {
    let Jwks { text, etag } = &settings.jwks;
    let caching = Caching { etag, max_age: MAX_AGE, media_type: "application/jwk-set+json" };
    let text = (!answer::is_known(headers, etag)).then(|| text.clone().into_bytes());
    Ok(answer::repeatable(answer::cacheable(caching, text)))
}
