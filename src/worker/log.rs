//! The log: a line for each request, each scheduled run, and each warning. A line is one text, an
//! object of flat fields in JSON. Its `message` is the title that Cloudflare's log shows. A text is
//! the cheapest argument of `console`, and Cloudflare takes its members as fields. An object is not
//! better: workerd logs one with a prototype of its own as `[object Object]`. `docs/logs.md`
//! describes the fields.

use http::{Method, Response};

use super::runtime::{host, wire::Parameter};
use crate::{
    identifier::Identifier,
    service::{Event, Facts, LogEntry, Reconciled, Spent},
};

/// The bytes of a typical line.
const TYPICAL_BYTES: usize = 512;

/// A line, and the console's method for it.
#[derive(Default)]
pub(super) struct Line {
    pub(super) console: &'static str,
    pub(super) text: String,
}

/// The fields of a line, as an object in JSON. A field without a value is left out.
struct Fields(String);

impl Fields {
    fn new(message: &str, level: &str, event: Event) -> Self {
        Self(String::with_capacity(TYPICAL_BYTES))
            .text("message", Some(message))
            .text("level", Some(level))
            .text("event", Some(event.name()))
            .text("version", Some(env!("CARGO_PKG_VERSION")))
    }

    #[inline(never)]
    fn field(mut self, name: &str, value: Option<&dyn Parameter>) -> Self {
        let Some(value) = value else { return self };
        self.0.push_str(if self.0.is_empty() { "{\"" } else { ",\"" });
        self.0.push_str(name);
        self.0.push_str("\":");
        value.write(&mut self.0);
        self
    }

    #[inline(never)]
    fn text(self, name: &str, value: Option<&str>) -> Self {
        self.field(name, value.as_ref().map(|value| value as &dyn Parameter))
    }

    #[inline(never)]
    fn flag(self, name: &str, value: Option<bool>) -> Self {
        self.field(name, value.as_ref().map(|value| value as &dyn Parameter))
    }

    #[inline(never)]
    fn number(self, name: &str, value: u32) -> Self {
        self.field(name, Some(&value))
    }

    #[inline(never)]
    fn id(self, name: &str, value: Option<&Identifier>) -> Self {
        self.text(name, value.map(Identifier::as_str))
    }

    fn facts(self, facts: &Facts) -> Self {
        self.id("uid", facts.uid.as_ref())
            .id("sid", facts.sid.as_ref())
            .id("orderId", facts.order_id.as_ref())
            .id("paymentId", facts.payment_id.as_ref())
            .id("adId", facts.ad_id.as_ref())
            .flag("isNew", facts.is_new)
            .flag("appBound", facts.app_bound)
            .text("backend", facts.backend.as_deref())
            .text("operator", facts.operator.as_deref())
    }

    /// Without a call, there is no field about it: its zero would lower every average.
    #[inline(never)]
    fn spent(self, spent: &Spent) -> Self {
        let mut fields = self.number("durationMs", spent.total_ms);
        let pi_calls = spent.pi.calls();
        if pi_calls > 0 {
            fields = fields.number("piMs", spent.pi.milliseconds()).number("piCalls", pi_calls);
        }
        if let Some(status) = spent.pi_status {
            fields = fields.number("piStatus", status.into());
        }
        if spent.d1_calls > 0 {
            fields = fields
                .number("d1Ms", spent.d1_ms)
                .number("d1Calls", spent.d1_calls)
                .number("rowsRead", spent.rows_read)
                .number("rowsWritten", spent.rows_written);
        }
        fields
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

impl Parameter for bool {
    fn write(&self, text: &mut String) {
        text.push_str(if *self { "true" } else { "false" });
    }
}

/// The line of a request, if it gets one: `entry.mjs` logs it with the response. It has no URL,
/// body or header of the request, except an origin that was refused.
pub(super) fn request(method: &Method, response: &Response<Vec<u8>>) -> Option<Line> {
    let entry = response.extensions().get::<LogEntry>().filter(|entry| entry.is_logged)?;
    let LogEntry { request_id, route, event, code, reason, facts, spent, .. } = entry;
    let (status, reason) = (response.status().as_u16(), reason.as_deref());
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
    let method = if is_standard(method) { method.as_str() } else { "other" };
    let message = [method, route, response.status().as_str()].join(" ");
    let fields = Fields::new(&message, level, *event)
        .text("requestId", Some(request_id))
        .text("method", Some(method))
        .text("route", Some(route))
        .number("status", status.into())
        .text("code", *code)
        .text("reason", reason)
        .facts(facts);
    let fields = match spent {
        Some(spent) => fields.spent(spent),
        None => fields,
    };
    Some(Line { console, text: fields.end() })
}

fn is_standard(method: &Method) -> bool {
    use Method as M;
    [M::GET, M::HEAD, M::POST, M::PUT, M::PATCH, M::DELETE, M::OPTIONS].contains(method)
}

/// One payment may be missing at Pi. If several are, the key is more likely wrong.
const SEVERAL: usize = 3;

/// Logs the numbers of a scheduled run, and each payment that failed, at a level that alerts an
/// operator.
pub(super) fn reconciled(reconciled: &Reconciled, rows: Option<usize>, spent: Spent) {
    let Reconciled { paid, cancelled, waiting, failed, given_up } = reconciled;
    let mut fields = Fields::new("scheduled run", "info", Event::ReconcileRan)
        .number("paid", *paid)
        .number("cancelled", *cancelled)
        .number("waiting", *waiting)
        .number("failed", count(failed.len()))
        .number("givenUp", count(given_up.len()));
    if let Some(rows) = rows {
        fields = fields.number("rows", count(rows));
    }
    host::log("log", &fields.spent(&spent).end());
    for (id, code) in failed {
        payment("warn", Event::PaymentFailed, id, code);
    }
    for (id, code) in given_up {
        payment("error", Event::PaymentGivenUp, id, code);
    }
    let unknown = failed.iter().chain(given_up).filter(|(_, code)| *code == "payment_not_found");
    if *paid == 0 && unknown.count() >= SEVERAL {
        warn(
            Event::SettingsWrong,
            "Pi does not know several payments that it approved. Check PI_API_KEY: it may belong to another Pi app or network.",
        );
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Logs a payment that a scheduled run could not finish.
fn payment(level: &str, event: Event, id: &Identifier, code: &str) {
    let message = [event.name(), code].join(" ");
    let fields = Fields::new(&message, level, event);
    host::log(level, &fields.id("paymentId", Some(id)).text("code", Some(code)).end());
}

/// Logs a warning, whose message says what to do.
pub(super) fn warn(event: Event, message: &str) {
    host::log("warn", &Fields::new(message, "warn", event).end());
}
