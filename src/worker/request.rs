//! A request as `entry.mjs` writes it, and its body.

use http::{HeaderName, HeaderValue, Method, Request, Uri, header};

use super::runtime::{
    host::{self, Failure},
    wire::{self, Message},
};
use crate::service::{self, Entropy, TooSlow};

/// Reads a request without its body. `input` is a message with method, URL, and the names and
/// values of headers as fields, and [`Entropy::BYTES`] random bytes as the body.
pub(super) fn parse(input: &[u8]) -> Option<(Entropy, Request<Vec<u8>>)> {
    let Message { fields, body: entropy } = wire::read(input)?;
    let [method, url, headers @ ..] = fields.as_slice() else { return None };
    let mut request = Request::new(Vec::new());
    // A method or URL that `http` cannot hold is none of ours. It is answered as an unknown method
    // or route.
    *request.method_mut() = Method::from_bytes(method).unwrap_or(Method::TRACE);
    *request.uri_mut() = Uri::try_from(&**url).unwrap_or_default();
    for [name, value] in headers.as_chunks().0 {
        // If a value that cannot be held were left out, the header would look as if it had not been
        // sent.
        let value = HeaderValue::from_bytes(value).unwrap_or(service::UNREADABLE);
        if let Ok(name) = HeaderName::from_bytes(name) {
            request.headers_mut().append(name, value);
        }
    }
    Some((Entropy::new(entropy.try_into().ok()?), request))
}

/// Reads the body, at most `limit` bytes and one, and none of a body that the route does not take.
pub(super) async fn read_body(request: &mut Request<Vec<u8>>, limit: usize) {
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.map(|text| text.parse::<usize>().unwrap_or(usize::MAX));
    // A body whose announced length is too long is not read; the service refuses it by its header.
    if limit == 0 || announced.is_some_and(|length| length > limit) {
        return;
    }
    let body = host::body(limit.saturating_add(1), announced.is_some()).await;
    *request.body_mut() = body.unwrap_or_else(|failure| {
        if matches!(failure, Failure::Deadline) {
            request.extensions_mut().insert(TooSlow);
        }
        // A body that breaks off must not look like an empty one, with which cookies can refresh. A
        // NUL is not JSON, either.
        b"\0".to_vec()
    });
}
