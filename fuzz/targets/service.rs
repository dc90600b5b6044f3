//! Sends requests, one after the other, to the whole service with its store in memory and the
//! simulated Pi.
//!
//! An input is text: a line with method and path, a line for each header, an empty line and the
//! body. A line `%%` begins the next request. Words such as `$token` are replaced with values that
//! a fuzzer cannot guess.
#![no_main]

#[allow(dead_code, reason = "this target needs a part of it")]
#[path = "../../tests/support/mod.rs"]
mod support;

use std::cell::RefCell;

use http::Request;
use libfuzzer_sys::fuzz_target;
use pioneer_session::{payment::Product, pi::Amount, simulator::Simulator, time::UnixTime};
use serde_json::{Value, json};
use support::*;

/// The most requests in one input: enough for every flow.
const MAX_REQUESTS: usize = 12;

/// Values from the answers so far.
#[derive(Default)]
struct Known {
    token: String,
    refresh: String,
    order: String,
    payment: String,
    txid: String,
    etag: String,
}

impl Known {
    fn fill(&self, text: &str) -> String {
        let mut text = text.replace("$token", &self.token).replace("$refresh", &self.refresh);
        text = text.replace("$order", &self.order).replace("$payment", &self.payment);
        text.replace("$txid", &self.txid)
            .replace("$etag", &self.etag)
            .replace("$backend", CREDENTIAL)
    }

    fn learn(&mut self, reply: &Reply) {
        let Ok(body) = serde_json::from_str::<Value>(&reply.body) else { return };
        for (name, known) in [
            ("sessionToken", &mut self.token),
            ("refreshToken", &mut self.refresh),
            ("orderId", &mut self.order),
        ] {
            if let Some(text) = body[name].as_str() {
                *known = text.to_owned();
            }
        }
    }
}

fn parse(text: &str) -> Option<Request<Vec<u8>>> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, path) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder().method(method).uri(format!("https://id.example{path}"));
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        request = request.header(name, value.trim());
    }
    request.body(body.into()).ok()
}

/// Whether a short word is in the place of a secret. The service fails if a log line or an answer
/// repeats a secret of the caller, and both may contain such a word for another reason.
fn has_ordinary_words(request: &Request<Vec<u8>>) -> bool {
    const SECRET: usize = 60;
    let is_ordinary = |text: &str| text.len() < SECRET && text != CREDENTIAL;
    let headers = request.headers().get_all("authorization").iter();
    let in_header = headers
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .any(|value| value.split([' ', ',']).any(|part| part.len() > 7 && is_ordinary(part)));
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let posted =
        ["accessToken", "refreshToken"].map(|name| body[name].as_str().unwrap_or_default());
    let in_body =
        posted.iter().any(|text| text.len() > 3 && is_ordinary(text) && !text.starts_with("sim-"));
    in_header || in_body
}

/// Empties the stores for the next input. Its settings stay, because reading them is slow.
fn emptied(app: &mut TestApp) {
    app.store = Faulty::default();
    app.transport.simulator = Simulator::new(UnixTime::from_seconds(NOW).expect("a time"));
    app.transport.prepared.take();
    app.limiter.keys.borrow_mut().clear();
    let id = "coffee".to_owned().try_into().expect("an identifier");
    let coffee = Product { id, name: "Coffee".into(), amount: Amount::from_stroops(31_400_000) };
    *app.store.payments.products.borrow_mut() = vec![coffee];
}

/// Creates the user's payment for the order, so that it can be approved and completed.
fn pay(app: &TestApp, known: &mut Known) {
    let (metadata, now) =
        (json!({ "orderId": known.order }), UnixTime::from_seconds(NOW).expect("a time"));
    let mut ledger = app.transport.simulator.ledger.borrow_mut();
    let created =
        ledger.create("sim-alice", Amount::from_stroops(31_400_000), "memo", metadata, now);
    known.payment = created.unwrap_or_default();
}

fuzz_target!(|data: &[u8]| {
    thread_local! {
        static BENCHES: RefCell<[TestApp; 2]> = RefCell::new([test_app(), test_app_with(&[("SESSION_COOKIE", "on")])]);
    }
    let Ok(text) = core::str::from_utf8(data) else { return };
    BENCHES.with_borrow_mut(|benches| {
        for app in benches {
            emptied(app);
            let mut known = Known::default();
            for part in text.split("\n%%\n").take(MAX_REQUESTS) {
                if part.starts_with("pay") {
                    pay(app, &mut known);
                    continue;
                }
                if part.starts_with("sign") {
                    let now = UnixTime::from_seconds(NOW).expect("a time");
                    known.txid = app
                        .transport
                        .simulator
                        .ledger
                        .borrow_mut()
                        .pay(&known.payment, now)
                        .unwrap_or_default();
                    continue;
                }
                let part = known.fill(part);
                let Some(request) = parse(&part).filter(|request| !has_ordinary_words(request))
                else {
                    continue;
                };
                // The service checks the headers and the problem document of every answer.
                let reply = call(app, &request);
                assert_ne!(reply.status, 500, "{reply:?}");
                if let Some(etag) = reply.header("etag") {
                    known.etag = etag.to_owned();
                }
                known.learn(&reply);
            }
        }
    });
});
