//! The way to Pi: `fetch` without redirects, with one deadline for headers and body, and a size limit.

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::stream;
use crate::pi::{DEADLINE_SECONDS, MAX_BODY_BYTES, Transport, Unreachable};

/// Cloudflare's `fetch`.
#[derive(Debug)]
pub(super) struct Fetch;

/// The headers of Pi's answers that somebody reads.
const READ_HEADERS: [&str; 2] = ["content-type", "retry-after"];

impl Transport for Fetch {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Unreachable> {
        let deadline = web_sys::AbortSignal::timeout_with_u32(DEADLINE_SECONDS * 1000);
        let answer = exchange(&request, &deadline).await;
        answer.unwrap_or(Err(if deadline.aborted() {
            Unreachable::Deadline
        } else {
            Unreachable::Connection
        }))
    }
}

/// The outer error is whatever JavaScript threw; its text may hold the request, and is dropped.
async fn exchange(
    request: &Request<Vec<u8>>,
    deadline: &web_sys::AbortSignal,
) -> Result<Result<Response<Vec<u8>>, Unreachable>, JsValue> {
    let headers = web_sys::Headers::new()?;
    for (name, value) in request.headers() {
        headers.append(name.as_str(), value.to_str().unwrap_or_default())?;
    }
    let init = web_sys::RequestInit::new();
    init.set_method(request.method().as_str());
    init.set_headers(&headers);
    // Followed, a redirect would carry the access token to wherever it points.
    init.set_redirect(web_sys::RequestRedirect::Manual);
    init.set_signal(Some(deadline));
    if !request.body().is_empty() {
        init.set_body(&js_sys::Uint8Array::from(request.body().as_slice()));
    }
    let scope: web_sys::WorkerGlobalScope = js_sys::global().unchecked_into();
    let url = request.uri().to_string();
    let answer: web_sys::Response =
        JsFuture::from(scope.fetch_with_str_and_init(&url, &init)).await?.unchecked_into();

    let mut response = Response::new(Vec::new());
    *response.status_mut() =
        StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    for name in READ_HEADERS {
        if let Some(value) =
            answer.headers().get(name)?.and_then(|text| HeaderValue::from_str(&text).ok())
        {
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    if let Some(body) = answer.body() {
        // Pi says why it refuses in JSON. Other error pages nobody reads: they may be of any size.
        let is_json = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
        let is_read =
            response.status().is_success() || (response.status().is_client_error() && is_json);
        let limit = if is_read { MAX_BODY_BYTES + 1 } else { 0 };
        // Counted while it is read: a length header can be absent, and a compressed body can be a bomb.
        *response.body_mut() = stream::read_to(body, limit).await?;
    }
    let is_whole = response.body().len() <= MAX_BODY_BYTES;
    Ok(if is_whole { Ok(response) } else { Err(Unreachable::TooLarge) })
}
