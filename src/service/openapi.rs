//! `GET /openapi.json`: all of this, as OpenAPI 3.1 describes it.

use http::{HeaderMap, HeaderValue, Response};

use super::{Error, body};

const DOCUMENT: &str = include_str!("openapi.json");

/// It changes with a deployment alone.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// 200, or 304 when the client has it.
pub(super) async fn document(headers: &HeaderMap) -> Result<Response<Vec<u8>>, Error> {
    let etag = body::etag(DOCUMENT.as_bytes());
    body::cacheable(headers, &etag, CACHE_CONTROL, "application/json", async || {
        Ok(DOCUMENT.to_owned())
    })
    .await
}
