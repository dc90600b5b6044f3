//! Orders, payments, ads and notifications from outside: the service, the simulated Pi with its
//! ledger, and its faults.

mod ad;
mod cancellation;
mod key;
mod limit;
mod notification;
mod operator;
mod order;
mod payout;
mod reconciliation;
mod step;

use crate::support::*;
use http::Request;
use pioneer_session::{
    identifier::Identifier,
    payment::{Product, State, Store as _},
    pi::{self, Amount},
    service::{self, Reconciled},
    simulator::{AdStatus, Fault, FaultKind, SERVER_API_KEY, Step},
    time::UnixTime,
};
use serde_json::{Value, json};
use std::num::NonZeroU32;

/// A service that sells coffee, and Alice's session token.
fn shop() -> (TestApp, String) {
    let app = test_app();
    let product = |id: &str, stroops| Product {
        id: id.to_owned().try_into().unwrap(),
        name: format!("A cup of {id}"),
        amount: Amount::from_stroops(stroops),
    };
    *app.store.payments.products.borrow_mut() =
        vec![product("coffee", 31_400_000), product("salt", 1)];
    let token = call(&app, &sign_in("sim-alice")).token();
    (app, token)
}

fn at(later: i64) -> UnixTime {
    UnixTime::from_seconds(NOW + later).unwrap()
}

fn with_body(method: &str, path: &str, token: &str, body: &Value) -> Request<Vec<u8>> {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    request(method, path, &headers, &body.to_string())
}

fn order_of(app: &TestApp, token: &str, product: &str) -> Value {
    let reply = call(app, &with_body("POST", "/orders", token, &json!({ "productId": product })));
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()
}

/// The payment that the browser makes for an order.
fn pay_for(app: &TestApp, persona: &str, order: &Value) -> String {
    let amount = Amount::parse(order["amount"].as_str().unwrap()).unwrap();
    create(app, persona, amount, order["metadata"].clone())
}

fn create(app: &TestApp, persona: &str, amount: Amount, metadata: Value) -> String {
    let mut ledger = app.transport.simulator.ledger.borrow_mut();
    ledger.create(persona, amount, "memo", metadata, at(0)).unwrap()
}

/// The user signs. Returns the transaction's id.
fn sign(app: &TestApp, payment: &str) -> String {
    app.transport.simulator.ledger.borrow_mut().pay(payment, at(0)).unwrap()
}

fn step(token: &str, payment: &str, step: &str) -> Request<Vec<u8>> {
    with_body("POST", &format!("/payments/{payment}/{step}"), token, &json!({}))
}

fn complete(token: &str, payment: &str, txid: &str) -> Request<Vec<u8>> {
    with_body("POST", &format!("/payments/{payment}/complete"), token, &json!({ "txid": txid }))
}

fn fails(app: &TestApp, step: Step, kind: FaultKind, every: u32, times: Option<u32>) {
    let fault = Fault { step, kind, every: NonZeroU32::new(every).unwrap(), times };
    app.transport.simulator.faults.borrow_mut().add(fault);
}

/// How many requests of this kind went to Pi.
fn asked(app: &TestApp, end: &str) -> usize {
    let requests = app.transport.simulator.requests.borrow();
    requests.iter().filter(|request| request.uri().path().ends_with(end)).count()
}

/// The request is rejected, and nothing has changed, neither here nor at Pi.
#[track_caller]
fn stands(app: &TestApp, request: &Request<Vec<u8>>, status: u16, code: &str) -> Reply {
    let books = || {
        let at_pi = format!("{:?}", app.transport.simulator.ledger.borrow().payments);
        (app.store.payments.counts(), at_pi)
    };
    let before = books();
    let reply = call(app, request);
    assert_eq!((reply.status, reply.code().as_str()), (status, code), "{reply:?}");
    assert_eq!(books(), before);
    reply
}

/// A payment of this persona that Pi and the store have approved.
fn approved(app: &TestApp, persona: &str, token: &str) -> String {
    let payment = pay_for(app, persona, &order_of(app, token, "coffee"));
    assert_eq!(call(app, &step(token, &payment, "approve")).status, 200);
    payment
}

/// How many requests other than GET went to Pi for payments.
fn posted(app: &TestApp) -> usize {
    let requests = app.transport.simulator.requests.borrow();
    let payments = requests.iter().filter(|sent| sent.uri().path().starts_with("/v2/payments"));
    payments.filter(|sent| sent.method() == "POST").count()
}
