//! The log: one line of JSON for each request, each scheduled run, and each warning.

use http::{Method, Response};
use serde::Serialize;
use worker::{console_error, console_log, console_warn};

use crate::{
    identifier::Identifier,
    service::{LogEntry, Reconciled},
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestLine<'a> {
    level: &'static str,
    message: &'static str,
    request_id: &'a str,
    method: &'a str,
    route: &'static str,
    status: u16,
    code: Option<&'static str>,
    reason: Option<&'a str>,
}

/// The line of a request, and the console's method for it: `entry.mjs` logs it with the response.
/// It has no URL, body or header of the request, except an origin that was refused.
pub(super) fn request(method: &Method, response: &Response<Vec<u8>>) -> (&'static str, String) {
    let status = response.status().as_u16();
    let record = response.extensions().get::<LogEntry>();
    let code = record.and_then(|record| record.code);
    let reason = record.and_then(|record| record.reason.as_deref());
    let (console, level) = match (status, code) {
        (500.., _) => ("error", "error"),
        // The refresh token may be in the hands of another person.
        (_, Some("refresh_reused")) => ("warn", "warn"),
        (_, Some("invalid_dpop_proof")) if reason.is_some() => ("warn", "warn"),
        // If there is a reason, only a person can settle the payment.
        (_, Some("payment_has_transaction")) if reason.is_some() => ("warn", "warn"),
        // Pi does not know the payment. If the key is another app's, nobody can pay.
        (_, Some("payment_not_found")) if reason.is_some() => ("warn", "warn"),
        // The request succeeded, but something in it needs an operator.
        (_, None) if reason.is_some() => ("warn", "warn"),
        _ => ("log", "info"),
    };
    let line = RequestLine {
        level,
        message: "request",
        request_id: record.map_or("", |record| &record.request_id),
        method: if is_standard(method) { method.as_str() } else { "other" },
        route: record.map_or("", |record| record.route),
        status,
        code,
        reason,
    };
    (console, json(&line))
}

fn is_standard(method: &Method) -> bool {
    use Method as M;
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

/// One payment may be missing at Pi. If several are, the key is more likely wrong.
const SEVERAL: usize = 3;

/// Logs the result of a reconciliation, at a level that alerts an operator if a person must act.
pub(super) fn reconciled(reconciled: &Reconciled) {
    let Reconciled { paid, cancelled, waiting, failed, given_up } = reconciled;
    let named = |payments: &[(Identifier, &str)]| {
        payments.iter().map(|(id, code)| format!("{id} {code}")).collect::<Vec<_>>()
    };
    let level = match (failed.as_slice(), given_up.as_slice()) {
        (_, [_, ..]) => "error",
        ([_, ..], _) => "warn",
        _ => "info",
    };
    let line = json(&ReconciledLine {
        level,
        message: "reconciled",
        paid: *paid,
        cancelled: *cancelled,
        waiting: *waiting,
        failed: named(failed),
        given_up: named(given_up),
    });
    match level {
        "error" => console_error!("{line}"),
        "warn" => console_warn!("{line}"),
        _ => console_log!("{line}"),
    }
    let unknown = failed.iter().chain(given_up).filter(|(_, code)| *code == "payment_not_found");
    if *paid == 0 && unknown.count() >= SEVERAL {
        warn(
            "Pi does not know several payments that it approved. Check PI_API_KEY: it may belong to another Pi app or network.",
        );
    }
}

#[derive(Serialize)]
struct SweptLine {
    level: &'static str,
    message: &'static str,
    rows: usize,
}

/// Logs how many expired rows were deleted, if any were.
pub(super) fn swept(rows: usize) {
    if rows > 0 {
        console_log!("{}", json(&SweptLine { level: "info", message: "swept", rows }));
    }
}

#[derive(Serialize)]
struct WarningLine<'a> {
    level: &'static str,
    message: &'a str,
}

/// Logs a warning.
pub(super) fn warn(message: &str) {
    console_warn!("{}", json(&WarningLine { level: "warn", message }));
}

/// A line as text. These types can always be written.
fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line).unwrap_or_default()
}
