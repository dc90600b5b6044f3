//! The way to Pi: `fetch` without redirects, with one deadline for headers and body, and a size limit.

use http::{HeaderValue, Request, Response, StatusCode, header};

use super::{bridge, job::Wait};
use crate::pi::{Deadline, MAX_BODY_BYTES, Transport, Unreachable};

/// Cloudflare's `fetch`.
#[derive(Debug)]
pub(super) struct Fetch;

impl Transport for Fetch {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Unreachable> {
        let mut text = format!("{}\n{}", request.method(), request.uri());
        for (name, value) in request.headers() {
            text.extend(["\n", name.as_str(), ":", value.to_str().unwrap_or_default()]);
        }
        text.push_str("\n\n");
        text.push_str(core::str::from_utf8(request.body()).unwrap_or_default());
        let Deadline(seconds) = request.extensions().get().copied().unwrap_or(Deadline::SHORT);
        bridge::exchange(&text, seconds * 1000, MAX_BODY_BYTES);
        let answer = Wait.await.map_err(|reason| match reason.as_str() {
            "deadline" => Unreachable::Deadline,
            _ => Unreachable::Connection,
        })?;
        let response = response(&answer).ok_or(Unreachable::Connection)?;
        if response.body().len() > MAX_BODY_BYTES {
            return Err(Unreachable::TooLarge);
        }
        Ok(response)
    }
}

/// Status, content type and Retry-After, a line each, and the body.
fn response(answer: &[u8]) -> Option<Response<Vec<u8>>> {
    let mut parts = answer.splitn(4, |&byte| byte == b'\n');
    let status = StatusCode::from_bytes(parts.next()?).ok()?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_bytes(parts.next()?)),
        (header::RETRY_AFTER, HeaderValue::from_bytes(parts.next()?)),
    ];
    let mut response = Response::new(parts.next()?.to_vec());
    *response.status_mut() = status;
    for (name, value) in headers {
        if let Some(value) = value.ok().filter(|value| !value.is_empty()) {
            response.headers_mut().insert(name, value);
        }
    }
    Some(response)
}
