//! The Cloudflare edge: requests in, responses out, bindings and the log. What the service does is in `service`.
//!
//! `entry.mjs` is the module that the runtime knows. It calls [`begin`] with a request, awaits what the job waits for
//! ([`job`], [`bridge`]), and makes the response of what is put out at the end. The `worker` crate's event handlers would
//! do the same with a promise, two closures and a micro-task for everything that waits, and its types would copy every
//! header and turn unknown methods into GET.

mod bridge;
pub mod config;
mod d1;
mod fetch;
pub mod job;
mod limiter;
mod migrations;
mod signer;

use std::{cell::RefCell, marker::PhantomData, rc::Rc};

use http::{Response, header};
use serde::Serialize;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::{console_error, console_log, console_warn};

use self::{
    config::Bindings,
    d1::D1Store,
    job::{Job, Wait},
};
use crate::{
    identifier::Identifier,
    service::{self, App, Entropy, Environment, LogEntry, Ports, Reconciled, TooSlow},
};

/// Begins to answer a request. The input has [`Entropy::BYTES`] random bytes, then method, URL and headers, a line each.
/// Gives how the job stands; when it is done, its answer has been put out.
#[wasm_bindgen]
pub fn begin(id: u32, length: usize, milliseconds: f64) -> u8 {
    // Taken now: while the body is awaited, a request with other bindings may begin.
    let bindings = config::bindings();
    let job = incoming(length)
        .map(|(entropy, request)| -> Job { Box::pin(answer(request, entropy, bindings)) });
    job::begin(id, milliseconds, job)
}

/// Puts out the answer to a request whose job was stopped; the input is that of [`begin`].
#[wasm_bindgen]
pub fn stopped(length: usize) {
    // What another job has put out must not become this one's.
    job::put(Vec::new());
    if let Some((entropy, request)) = incoming(length) {
        let bindings = config::bindings();
        let settings = bindings.as_ref().as_ref().ok().map(|bindings| &bindings.settings);
        let response = service::internal("the job was stopped", &request, entropy, settings);
        job::put(write(request.method(), &response));
    }
}

/// Every few minutes (`crons` in wrangler.toml): finishes payments that were left between two steps, and clears away what has
/// ended. Gives how the job stands.
#[wasm_bindgen]
pub fn schedule(id: u32, milliseconds: f64) -> u8 {
    job::begin(id, milliseconds, Some(Box::pin(reconcile())))
}

/// The request of the input, without its body.
fn incoming(length: usize) -> Option<(Entropy, http::Request<Vec<u8>>)> {
    let input = job::take(length);
    let (entropy, head) = input.split_first_chunk()?;
    Some((Entropy::new(entropy), parse(core::str::from_utf8(head).ok()?)))
}

async fn answer(mut request: http::Request<Vec<u8>>, entropy: Entropy, bindings: Rc<config::Read>) {
    let response = match &*bindings {
        Ok(bindings) => {
            let app = app(bindings).await;
            let limit = service::body_limit(&app, &request);
            read_body(&mut request, limit).await;
            service::handle(&app, &request, entropy).await
        }
        Err(setting) => service::misconfigured(setting, &request, entropy),
    };
    job::put(write(request.method(), &response));
}

async fn reconcile() {
    let bindings = config::bindings();
    let Ok(bindings) = &*bindings else {
        return warn("payments were not reconciled: a setting is missing or malformed");
    };
    let app = app(bindings).await;
    match service::reconcile(&app).await {
        Ok(reconciled) => report(&reconciled),
        Err(error) => warn(&format!("payments were not reconciled: {}", error.code())),
    }
    // Whatever became of the payments, the tables must not grow without end.
    match service::sweep(&app).await {
        Ok(0) => {}
        Ok(rows) => {
            let line = SweptLine { level: "info", message: "swept", rows };
            console_log!("{}", serde_json::to_string(&line).unwrap_or_default());
        }
        Err(error) => warn(&format!("old rows were not deleted: {}", error.code())),
    }
}

/// Logs what a run did. What needs a person stands at a level at which an operator is alerted.
fn report(reconciled: &Reconciled) {
    let Reconciled { paid, cancelled, waiting, failed, given_up } = reconciled;
    let named = |payments: &[(Identifier, &str)]| {
        payments.iter().map(|(id, code)| format!("{id} {code}")).collect::<Vec<_>>()
    };
    let level = match (failed.as_slice(), given_up.as_slice()) {
        (_, [_, ..]) => "error",
        ([_, ..], _) => "warn",
        _ => "info",
    };
    let line = ReconciledLine {
        level,
        message: "reconciled",
        paid: *paid,
        cancelled: *cancelled,
        waiting: *waiting,
        failed: named(failed),
        given_up: named(given_up),
    };
    let line = serde_json::to_string(&line).unwrap_or_default();
    match level {
        "error" => console_error!("{line}"),
        "warn" => console_warn!("{line}"),
        _ => console_log!("{line}"),
    }
    let unknown = failed.iter().chain(given_up).filter(|(_, code)| *code == "payment_not_found");
    if *paid == 0 && unknown.count() >= SEVERAL {
        warn(
            "Pi does not know several payments that it has approved: PI_API_KEY may belong to another Pi app or network",
        );
    }
}

/// One payment may be gone at Pi. Several at once are not.
const SEVERAL: usize = 3;

/// Cloudflare's side of the ports.
struct Cloudflare<'a>(PhantomData<&'a Bindings>);

impl<'a> Ports for Cloudflare<'a> {
    type Clock = job::Clock;
    type Store = D1Store<'a>;
    type Transport = fetch::Fetch;
    type Limiter = limiter::Limiter<'a>;
    type Signer = signer::WebCrypto<'a>;
}

async fn app(bindings: &Bindings) -> App<'_, Cloudflare<'_>> {
    let Bindings { settings, database, limiters, key, is_set_up } = bindings;
    let (store, limiter) = (D1Store::new(database), limiter::Limiter(limiters));
    if settings.environment == Environment::Development {
        migrations::apply(&store, is_set_up).await;
    }
    App {
        settings,
        clock: job::Clock,
        store,
        transport: fetch::Fetch,
        limiter,
        signer: signer::WebCrypto(key),
    }
}

/// Method, URL and headers, a line each.
fn parse(head: &str) -> http::Request<Vec<u8>> {
    let mut request = http::Request::new(Vec::new());
    let mut lines = head.split('\n');
    // What the `http` crate cannot hold is no request of ours, and ends as an unknown route or method.
    *request.method_mut() =
        lines.next().and_then(|method| method.parse().ok()).unwrap_or(http::Method::TRACE);
    *request.uri_mut() = lines.next().and_then(|url| url.parse().ok()).unwrap_or_default();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        // Left out, a header that cannot be held would pass for one that was not sent.
        let value = http::HeaderValue::from_bytes(value.as_bytes()).unwrap_or(service::UNREADABLE);
        if let Ok(name) = name.parse::<http::HeaderName>() {
            request.headers_mut().append(name, value);
        }
    }
    request
}

/// Reads the body, but no more than `limit` and one byte; nothing of one that is not taken.
async fn read_body(request: &mut http::Request<Vec<u8>>, limit: usize) {
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.map(|text| text.parse::<usize>().unwrap_or(usize::MAX));
    // What is announced as too long is left unread; the service refuses it by its header.
    if limit == 0 || announced.is_some_and(|length| length > limit) {
        return;
    }
    bridge::body(limit.saturating_add(1), announced.is_some());
    *request.body_mut() = Wait.await.unwrap_or_else(|reason| {
        if reason == "deadline" {
            request.extensions_mut().insert(TooSlow);
        }
        // A body that breaks off must not pass for an empty one, which cookies let refresh: this is no JSON, either.
        b"\0".to_vec()
    });
}

/// Headers that many responses have alike: `entry.mjs` makes them once.
const SHARED: [header::HeaderName; 12] = [
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
    header::CACHE_CONTROL,
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_TYPE,
    header::REFERRER_POLICY,
    header::STRICT_TRANSPORT_SECURITY,
    header::VARY,
    header::WWW_AUTHENTICATE,
    header::X_CONTENT_TYPE_OPTIONS,
    header::HeaderName::from_static("cross-origin-resource-policy"),
];

/// As many sets of them as `entry.mjs` keeps: a few for each allowed origin.
const MAX_SETS: usize = 256;

thread_local! {
    static SETS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The number of this set of headers, and whether it is new.
fn number(set: &[u8]) -> (usize, bool) {
    SETS.with_borrow_mut(|sets| {
        if let Some(number) = sets.iter().position(|known| known == set) {
            return (number, false);
        }
        if sets.len() == MAX_SETS {
            sets.clear();
        }
        sets.push(set.to_vec());
        (sets.len() - 1, true)
    })
}

/// The response as `entry.mjs` takes it, in five parts: status, log level, request id, and the number of its set of
/// shared headers; the log's line; the set if it is new; the response's own headers; and the body, which is JSON or a
/// token. No part can hold the NUL that ends it.
fn write(method: &http::Method, response: &Response<Vec<u8>>) -> Vec<u8> {
    let (mut shared, mut own, mut request_id) = (Vec::with_capacity(512), Vec::new(), "");
    for (name, value) in response.headers() {
        if name == "x-request-id" {
            request_id = value.to_str().unwrap_or_default();
            continue;
        }
        let lines = if SHARED.contains(name) { &mut shared } else { &mut own };
        let separator: &[u8] = if lines.is_empty() { b"" } else { b"\n" };
        for part in [separator, name.as_str().as_bytes(), b":", value.as_bytes()] {
            lines.extend_from_slice(part);
        }
    }
    let (number, is_new) = number(&shared);
    let (level, line) = log(method, response);
    let first = format!("{} {level} {request_id} {number}", response.status().as_str());
    let shared = if is_new { shared.as_slice() } else { b"" };
    [first.as_bytes(), line.as_bytes(), shared, &own, response.body()].join(&0)
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

/// One line of JSON a request, and the console's method for it. No URL, body or header of the request is in it, but for an
/// origin that was refused.
fn log(method: &http::Method, response: &Response<Vec<u8>>) -> (&'static str, String) {
    let status = response.status().as_u16();
    let record = response.extensions().get::<LogEntry>();
    let code = record.and_then(|record| record.code);
    let reason = record.and_then(|record| record.reason.as_deref());
    let (console, level) = match (status, code) {
        (500.., _) => ("error", "error"),
        // Somebody may have another's refresh token.
        (_, Some("refresh_reused")) => ("warn", "warn"),
        (_, Some("invalid_dpop_proof")) if reason.is_some() => ("warn", "warn"),
        // With a reason, only a person can settle it.
        (_, Some("payment_has_transaction")) if reason.is_some() => ("warn", "warn"),
        // Pi was asked, and does not know it: with the key of another app, nobody can pay.
        (_, Some("payment_not_found")) if reason.is_some() => ("warn", "warn"),
        // It went well, and an operator should know why it might not have.
        (_, None) if reason.is_some() => ("warn", "warn"),
        _ => ("log", "info"),
    };
    let line = Line {
        level,
        message: "request",
        request_id: record.map_or("", |record| &record.request_id),
        method: if is_standard(method) { method.as_str() } else { "other" },
        route: record.map_or("", |record| record.route),
        status,
        code,
        reason,
    };
    (console, serde_json::to_string(&line).unwrap_or_default())
}

fn is_standard(method: &http::Method) -> bool {
    use http::Method as M;
    [M::GET, M::HEAD, M::POST, M::PUT, M::PATCH, M::DELETE, M::OPTIONS].contains(method)
}

#[derive(Serialize)]
struct ReconciledLine {
    level: &'static str,
    message: &'static str,
    paid: u32,
    cancelled: u32,
    waiting: u32,
    failed: Vec<String>,
    given_up: Vec<String>,
}

#[derive(Serialize)]
struct SweptLine {
    level: &'static str,
    message: &'static str,
    rows: usize,
}

#[derive(Serialize)]
struct WarningLine<'a> {
    level: &'static str,
    message: &'a str,
}

/// A warning, as a line of JSON.
fn warn(message: &str) {
    let line = WarningLine { level: "warn", message };
    console_warn!("{}", serde_json::to_string(&line).unwrap_or_default());
}
