//! `GET /openapi.json`: the OpenAPI 3.1 document of all routes. `tests/openapi` writes it from the
//! table in [`super::route`].

use http::{HeaderMap, Response};

use super::{
    answer::{self, Caching},
    error::Error,
};

const DOCUMENT: &str = include_str!("openapi.json");

/// Five minutes. The document changes only with a deployment.
const MAX_AGE: u32 = 300;

/// `GET /openapi.json`: 200, or 304 if the client has it.
pub(super) async fn document(headers: &HeaderMap) -> Result<Response<Vec<u8>>, Error> {
    let etag = answer::etag(DOCUMENT.as_bytes());
    let caching = Caching { etag: &etag, max_age: MAX_AGE, media_type: "application/json" };
    let text = (!answer::is_known(headers, &etag)).then(|| DOCUMENT.as_bytes().to_vec());
    Ok(answer::repeatable(answer::cacheable(caching, text)))
}
