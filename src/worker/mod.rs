//! The Cloudflare edge: requests in, responses out, the clock, randomness, bindings and the log. What the
//! service does is in `service`.
//!
//! It takes and gives `web_sys` types: the `worker` crate's own would copy every header and turn unknown
//! methods into GET.

mod config;
mod d1;
mod fetch;
mod limiter;
mod migrations;
mod stream;

use http::Response;
use serde::Serialize;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use worker::{console_error, console_log, console_warn, event};

use crate::{
    service::{self, Ambient, App, Entropy, Environment, Reconciled, Record},
    time::UnixTime,
};

#[event(fetch)]
async fn fetch(
    request: web_sys::Request,
    env: worker::Env,
    _context: worker::Context,
) -> worker::Result<web_sys::Response> {
    let method = request.method();
    let (request, ambient) = (read(&request).await, ambient()?);
    let response = match config::bindings(&env) {
        Ok((settings, database)) => {
            config::warn_once(settings, &env);
            if settings.environment == Environment::Development {
                migrations::apply(&database).await;
            }
            let (store, limiter) = (d1::D1Store::new(database), limiter::Binding::new(&env));
            let app = App { settings, store, transport: fetch::Fetch, limiter };
            service::handle(&app, &request, ambient).await
        }
        Err(setting) => service::misconfigured(&setting, &request, ambient),
    };
    log(&method, &response);
    Ok(write(&response))
}

/// Every few minutes (`crons` in wrangler.toml): finishes payments that were left between two steps.
#[event(scheduled)]
async fn scheduled(
    _event: worker::ScheduledEvent,
    env: worker::Env,
    _context: worker::ScheduleContext,
) {
    let Ok((settings, database)) = config::bindings(&env) else {
        return warn("payments were not looked after: a setting is missing or malformed");
    };
    let Ok(Ambient { now, .. }) = ambient() else { return };
    if settings.environment == Environment::Development {
        migrations::apply(&database).await;
    }
    let (store, limiter) = (d1::D1Store::new(database), limiter::Binding::new(&env));
    let app = App { settings, store, transport: fetch::Fetch, limiter };
    match service::reconcile(&app, now).await {
        Ok(Reconciled { paid, cancelled, waiting, failed }) => console_log!(
            "{}",
            serde_json::json!({ "level": "info", "message": "reconciled",
                "paid": paid, "cancelled": cancelled, "waiting": waiting,
                "failed": failed.iter().map(|(id, code)| format!("{id} {code}")).collect::<Vec<_>>() })
        ),
        Err(error) => warn(&format!("payments were not looked after: {}", error.code())),
    }
}

fn ambient() -> worker::Result<Ambient> {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 fit")]
    let seconds = (js_sys::Date::now() / 1000.0) as i64;
    let now = UnixTime::from_seconds(seconds).ok_or("the clock is outside 1970 to 9999")?;
    let mut bytes = [0; Entropy::BYTES];
    getrandom::fill(&mut bytes).map_err(|_| "no randomness")?;
    Ok(Ambient { now, entropy: Entropy::new(&bytes) })
}

#[wasm_bindgen(module = "/src/worker/bridge.js")]
extern "C" {
    fn head(request: &web_sys::Request) -> String;
    fn respond(status: u16, headers: &str, body: &str) -> web_sys::Response;
}

/// The request with its body, of which no more is read than the route takes, and one byte.
async fn read(request: &web_sys::Request) -> http::Request<Vec<u8>> {
    let mut read = http::Request::new(Vec::new());
    let head = head(request);
    let mut lines = head.split('\n');
    // What the `http` crate cannot hold is no request of ours, and ends as an unknown route or method.
    *read.method_mut() =
        lines.next().and_then(|method| method.parse().ok()).unwrap_or(http::Method::TRACE);
    *read.uri_mut() = lines.next().and_then(|url| url.parse().ok()).unwrap_or_default();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if let (Ok(name), Ok(value)) =
            (name.parse::<http::HeaderName>(), http::HeaderValue::from_str(value))
        {
            read.headers_mut().append(name, value);
        }
    }
    let limit = service::body_limit(read.uri().path());
    let announced = read.headers().get("content-length").and_then(|value| value.to_str().ok());
    let announced = announced.map(|text| text.parse::<usize>().unwrap_or(usize::MAX));
    if matches!(*read.method(), http::Method::GET | http::Method::HEAD) {
        return read;
    }
    let Some(stream) = request.body() else { return read };
    // A body that breaks off counts as empty, which no route takes for JSON.
    *read.body_mut() = match announced {
        // Left unread; the service refuses it by its header.
        Some(length) if length > limit => Vec::new(),
        // The runtime holds the body to its announced length, so it may come in one piece.
        Some(_) => whole(request).await.unwrap_or_default(),
        None => stream::read_to(stream, limit.saturating_add(1)).await.unwrap_or_default(),
    };
    read
}

async fn whole(request: &web_sys::Request) -> Result<Vec<u8>, JsValue> {
    Ok(js_sys::Uint8Array::new(&JsFuture::from(request.array_buffer()?).await?).to_vec())
}

/// The response as the runtime takes it. Its body is JSON or a token, and so text.
fn write(response: &Response<Vec<u8>>) -> web_sys::Response {
    let mut headers = String::with_capacity(512);
    for (name, value) in response.headers() {
        let separator = if headers.is_empty() { "" } else { "\n" };
        headers.extend([separator, name.as_str(), ":", value.to_str().unwrap_or_default()]);
    }
    let body = core::str::from_utf8(response.body()).unwrap_or_default();
    respond(response.status().as_u16(), &headers, body)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    level: &'static str,
    message: &'static str,
    request_id: &'a str,
    method: &'a str,
    route: &'static str,
    status: u16,
    code: Option<&'static str>,
    reason: Option<&'a str>,
}

/// One line of JSON a request. All of it is ours: no URL, header or body of the request is in it.
fn log(method: &str, response: &Response<Vec<u8>>) {
    let Some(record) = response.extensions().get::<Record>() else { return };
    let method = method.parse::<http::Method>().ok().filter(is_standard);
    let status = response.status().as_u16();
    let level = match (status, record.code) {
        (500.., _) => "error",
        // Somebody may have another's refresh token.
        (_, Some("refresh_reused")) => "warn",
        _ => "info",
    };
    let line = Line {
        level,
        message: "request",
        request_id: &record.request_id,
        method: method.as_ref().map_or("other", http::Method::as_str),
        route: record.route,
        status,
        code: record.code,
        reason: record.reason.as_deref(),
    };
    let line = serde_json::to_string(&line).unwrap_or_default();
    match level {
        "error" => console_error!("{line}"),
        "warn" => console_warn!("{line}"),
        _ => console_log!("{line}"),
    }
}

fn is_standard(method: &http::Method) -> bool {
    use http::Method as M;
    [M::GET, M::HEAD, M::POST, M::PUT, M::PATCH, M::DELETE, M::OPTIONS].contains(method)
}

/// A warning, as a line of JSON.
fn warn(message: &str) {
    console_warn!("{}", serde_json::json!({ "level": "warn", "message": message }));
}
