//! Requests to Pi: `fetch` without redirects, with one deadline for headers and body, and a size
//! limit.

use http::{HeaderValue, Request, Response, StatusCode, header};

use super::runtime::{
    host::{self, Failure},
    job,
    wire::{self, Fields, Message},
};
use crate::pi::{Deadline, MAX_BODY_BYTES, Transport, Unreachable};

/// Cloudflare's `fetch`.
#[derive(Debug)]
pub(super) struct Fetch;

impl Transport for Fetch {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Unreachable> {
        let Deadline(seconds) = request.extensions().get().copied().unwrap_or(Deadline::SHORT);
        let message = write(&request);
        let answer = host::exchange(&message, seconds * 1000, MAX_BODY_BYTES).await;
        let response = match answer {
            Ok(answer) => read(&answer).ok_or(Unreachable::Connection),
            Err(Failure::Deadline) => Err(Unreachable::Deadline),
            Err(Failure::Thrown(_)) => Err(Unreachable::Connection),
        };
        job::note_pi(response.as_ref().ok().map(|response| response.status().as_u16()));
        let response = response?;
        if response.body().len() > MAX_BODY_BYTES {
            return Err(Unreachable::TooLarge);
        }
        Ok(response)
    }
}

/// Writes method, URL, and the names and values of headers as fields.
fn write(request: &Request<Vec<u8>>) -> Vec<u8> {
    let mut fields = Fields::default();
    fields.push(request.method().as_str().as_bytes());
    fields.push(request.uri().to_string().as_bytes());
    for (name, value) in request.headers() {
        fields.push(name.as_str().as_bytes());
        fields.push(value.as_bytes());
    }
    fields.with_body(request.body())
}

/// Reads a response with status, content type and Retry-After as fields.
fn read(answer: &[u8]) -> Option<Response<Vec<u8>>> {
    let Message { fields, body } = wire::read(answer)?;
    let [status, content_type, retry_after] = fields.as_slice() else { return None };
    let mut response = Response::new(body.to_vec());
    *response.status_mut() = StatusCode::from_bytes(status).ok()?;
    for (name, value) in [(header::CONTENT_TYPE, content_type), (header::RETRY_AFTER, retry_after)]
    {
        let value = HeaderValue::from_bytes(value);
        if let Some(value) = value.ok().filter(|value| !value.is_empty()) {
            response.headers_mut().insert(name, value);
        }
    }
    Some(response)
}
