//! Orders, payments, ads and notifications on the host: the service, a simulated Pi with its books, and its faults.
#![cfg(feature = "simulator")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::num::NonZeroU32;

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
use support::*;

/// A bench that sells coffee, and Alice at it.
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

/// The payment that the browser makes of an order.
fn pay_for(app: &TestApp, persona: &str, order: &Value) -> String {
    let amount = Amount::parse(order["amount"].as_str().unwrap()).unwrap();
    create(app, persona, amount, order["metadata"].clone())
}

fn create(app: &TestApp, persona: &str, amount: Amount, metadata: Value) -> String {
    let mut ledger = app.transport.simulator.ledger.borrow_mut();
    ledger.create(persona, amount, "memo", metadata, at(0)).unwrap()
}

/// The user signs: gives the transaction's id.
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

/// Refused, and nothing has moved: neither here nor at Pi.
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

#[test]
fn an_order_is_approved_paid_and_a_purchase() {
    let (app, token) = shop();
    let products = call(&app, &request("GET", "/products", &[], ""));
    let coffee = json!({ "id": "coffee", "name": "A cup of coffee", "amount": "3.14" });
    assert_eq!((products.status, &products.json()["products"][0]), (200, &coffee));

    let order = order_of(&app, &token, "coffee");
    let id = order["orderId"].as_str().unwrap();
    assert_eq!(order["metadata"], json!({ "orderId": id }));
    assert_eq!((&order["amount"], &order["memo"]), (&json!("3.14"), &json!("A cup of coffee")));
    let payment = pay_for(&app, "sim-alice", &order);

    let approved = call(&app, &step(&token, &payment, "approve"));
    let expected =
        json!({ "paymentId": payment, "orderId": id, "state": "approved", "amount": "3.14" });
    assert_eq!((approved.status, approved.json()), (200, expected.clone()));
    // The SDK asks again every ten seconds: the same answer, and Pi is left alone.
    let again = call(&app, &step(&token, &payment, "approve"));
    assert_eq!((again.json(), again.sent), (expected, 0));

    let txid = sign(&app, &payment);
    let paid = call(&app, &complete(&token, &payment, &txid));
    let expected = json!({ "paymentId": payment, "orderId": id, "state": "paid", "amount": "3.14", "txid": txid });
    assert_eq!((paid.status, paid.json()), (200, expected.clone()));
    let again = call(&app, &complete(&token, &payment, &txid.to_ascii_uppercase()));
    assert_eq!((again.json(), again.sent), (expected.clone(), 0));
    for other in ["approve", "recover"] {
        let again = call(&app, &step(&token, &payment, other));
        assert_eq!((again.json(), again.sent), (expected.clone(), 0), "{other}");
    }
    assert_eq!((asked(&app, "/approve"), asked(&app, "/complete")), (1, 1));

    let me = call(&app, &with_token("GET", "/me", &token)).json();
    let purchase = json!({
        "orderId": id, "productId": "coffee", "paymentId": payment, "amount": "3.14", "txid": txid,
        "paidAt": "2025-10-09T08:53:20Z",
    });
    assert_eq!(me["purchases"], json!([purchase]));
    let list = call(&app, &with_token("GET", "/payments", &token)).json();
    assert_eq!(list, json!({ "payments": [expected] }));
    let shown = call(&app, &with_token("GET", &format!("/orders/{id}"), &token)).json();
    assert_eq!((&shown["state"], &shown["paymentId"]), (&json!("paid"), &json!(payment)));
    let seen = call(&app, &backend("GET", &format!("/users/{ALICE}/payments"))).json();
    assert_eq!(seen, list);
    stands(&app, &step(&token, &payment, "cancel"), 409, "order_already_paid");
    // Bodyless posts carry no content type; the one with a body does.
    for sent in app.transport.simulator.requests.borrow().iter() {
        let has_type = sent.headers().contains_key("content-type");
        assert_eq!(has_type, !sent.body().is_empty(), "{}", sent.uri());
        if sent.uri().path().starts_with("/v2/payments") {
            assert_eq!(sent.headers()["authorization"], format!("Key {SERVER_API_KEY}"));
        }
    }
}

#[test]
fn somebody_elses_payment_is_nobody_elses_business() {
    let (app, alice) = shop();
    let bob = call(&app, &sign_in("sim-bob")).token();
    let order = order_of(&app, &alice, "coffee");
    let payment = pay_for(&app, "sim-alice", &order);
    for name in ["approve", "cancel", "recover"] {
        stands(&app, &step(&bob, &payment, name), 403, "payment_not_yours");
    }
    call(&app, &step(&alice, &payment, "approve"));
    let txid = sign(&app, &payment);
    for name in ["approve", "cancel", "recover"] {
        let reply = stands(&app, &step(&bob, &payment, name), 403, "payment_not_yours");
        assert_eq!(reply.sent, 0, "Pi is not asked about it");
    }
    stands(&app, &complete(&bob, &payment, &txid), 403, "payment_not_yours");
    let id = order["orderId"].as_str().unwrap();
    stands(&app, &with_token("GET", &format!("/orders/{id}"), &bob), 404, "order_not_found");
    assert_eq!(call(&app, &with_token("GET", "/payments", &bob)).json()["payments"], json!([]));
    // Bob pays for Alice's order: not hers to give, nor his to take.
    let his = pay_for(&app, "sim-bob", &order);
    stands(&app, &step(&bob, &his, "approve"), 422, "payment_mismatch");
    assert_eq!(asked(&app, &format!("{his}/approve")), 0);
}

#[test]
fn a_payment_that_is_not_what_was_ordered_is_never_approved() {
    let (app, token) = shop();
    let order = order_of(&app, &token, "coffee");
    let price = Amount::from_stroops(31_400_000);
    let detail = |payment: &str, word: &str| {
        let reply = stands(&app, &step(&token, payment, "approve"), 422, "payment_mismatch");
        assert!(reply.body.contains(word), "{}", reply.body);
    };
    let make = |amount, metadata| create(&app, "sim-alice", amount, metadata);
    for stroops in [1, 31_399_999, 31_400_001] {
        let payment = make(Amount::from_stroops(stroops), order["metadata"].clone());
        detail(&payment, "amount");
    }
    let foreign = order_of(&app, &call(&app, &sign_in("sim-bob")).token(), "coffee");
    for metadata in [
        json!({ "order": 1 }),
        json!({ "orderId": 7 }),
        json!({ "orderId": "unknown" }),
        json!({ "orderId": "../x" }),
        json!({ "orderId": ["a"] }),
        foreign["metadata"].clone(),
        // By this name, serde_json marks text that is to be parsed later.
        json!({ "$serde_json::private::RawValue": order["metadata"].to_string() }),
    ] {
        detail(&make(price, metadata), "orderId");
    }
    let change = |change: fn(&mut pioneer_session::simulator::Payment)| {
        let payment = make(price, order["metadata"].clone());
        let mut ledger = app.transport.simulator.ledger.borrow_mut();
        change(ledger.find(&payment, at(0)).unwrap());
        payment
    };
    detail(&change(|payment| payment.network = "Pi Network"), "network");
    detail(&change(|payment| payment.direction = "app_to_user"), "direction");
    let cancelled = change(|payment| payment.is_user_cancelled = true);
    stands(&app, &step(&token, &cancelled, "approve"), 409, "payment_cancelled");
    let other_app = change(|payment| payment.app_id = "another-app".into());
    stands(&app, &step(&token, &other_app, "approve"), 404, "payment_not_found");
    for id in ["unknown", "..%2Fme", "a%2Fcancel%3F", "a.b", &"x".repeat(129)] {
        let reply = stands(&app, &step(&token, id, "approve"), 404, "payment_not_found");
        assert!(reply.sent == 0 || id == "unknown", "an id goes into no URL unchecked");
    }
    assert_eq!(asked(&app, "/approve"), 0, "Pi was never asked to approve");
    // The order itself is untouched by all of it.
    let payment = pay_for(&app, "sim-alice", &order);
    assert_eq!(call(&app, &step(&token, &payment, "approve")).status, 200);
}

#[test]
fn each_order_payment_and_transaction_is_spent_once() {
    let (app, token) = shop();
    let order = order_of(&app, &token, "coffee");
    let first = pay_for(&app, "sim-alice", &order);
    assert_eq!(call(&app, &step(&token, &first, "approve")).status, 200);
    let txid = sign(&app, &first);
    // A second payment for the order, approved or paid.
    let twin = {
        let mut ledger = app.transport.simulator.ledger.borrow_mut();
        let mut twin = ledger.find(&first, at(0)).unwrap().clone();
        (twin.id, twin.transaction, twin.is_approved) = ("twin".repeat(7), None, false);
        ledger.payments.push(twin.clone());
        twin.id
    };
    stands(&app, &step(&token, &twin, "approve"), 409, "order_already_paid");
    assert_eq!(call(&app, &complete(&token, &first, &txid)).status, 200);
    stands(&app, &step(&token, &twin, "approve"), 409, "order_already_paid");
    stands(&app, &complete(&token, &twin, &txid), 409, "order_already_paid");
    // One transaction for two payments; and a transaction of nobody.
    let second = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    assert_eq!(call(&app, &step(&token, &second, "approve")).status, 200);
    let other = sign(&app, &second);
    stands(&app, &complete(&token, &second, &txid), 422, "txid_mismatch");
    stands(&app, &complete(&token, &second, &"0".repeat(64)), 422, "txid_mismatch");
    stands(&app, &complete(&token, &first, &other), 422, "txid_mismatch");
    for txid in ["", "x", &"g".repeat(64), &"a".repeat(65)] {
        stands(&app, &complete(&token, &second, txid), 400, "invalid_request");
    }
    assert_eq!(call(&app, &complete(&token, &second, &other)).status, 200);
    let me = call(&app, &with_token("GET", "/me", &token)).json();
    assert_eq!(me["purchases"].as_array().unwrap().len(), 2);
}

#[test]
fn i_paid_without_paying_is_not_paid() {
    let (app, token) = shop();
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    call(&app, &step(&token, &payment, "approve"));
    let reply = call(&app, &complete(&token, &payment, &"a".repeat(64)));
    assert_eq!((reply.status, reply.code().as_str()), (502, "pi_refused"), "{reply:?}");
    assert_eq!(reply.json()["piError"], "verification_failed");
    let shown = call(&app, &with_token("GET", "/payments", &token)).json();
    assert_eq!(shown["payments"][0]["state"], "approved");
    // On the chain, and not found in order by Pi.
    let txid = sign(&app, &payment);
    let verified = |is_verified| {
        let mut ledger = app.transport.simulator.ledger.borrow_mut();
        ledger.find(&payment, at(0)).unwrap().transaction.as_mut().unwrap().is_verified =
            is_verified;
    };
    verified(false);
    assert_eq!(call(&app, &complete(&token, &payment, &txid)).code(), "pi_refused");
    // Completed, says Pi, but not with what is on the chain.
    let id = call(&app, &with_token("GET", "/payments", &token)).json()["payments"][0]["orderId"]
        .clone();
    let odd = json!({
        "identifier": payment, "user_uid": ALICE, "amount": 31_400_000.0 / 1e7, "metadata": { "orderId": id },
        "direction": "user_to_app", "network": "Pi Testnet",
        "status": { "developer_approved": true, "developer_completed": true },
        "transaction": { "txid": txid, "verified": false },
    });
    let answer = http::Response::builder().status(200).header("content-type", "application/json");
    app.transport.prepared.replace(Some(answer.body(odd.to_string().into_bytes()).unwrap()));
    assert_eq!(call(&app, &complete(&token, &payment, &txid)).code(), "upstream_invalid");
    verified(true);
    assert_eq!(call(&app, &complete(&token, &payment, &txid)).status, 200);
}

#[test]
fn what_is_left_open_is_cancelled_or_recovered() {
    let (app, token) = shop();
    let order = order_of(&app, &token, "coffee");
    let payment = pay_for(&app, "sim-alice", &order);
    call(&app, &step(&token, &payment, "approve"));
    let cancelled = call(&app, &step(&token, &payment, "cancel"));
    let expected = json!({
        "paymentId": payment, "orderId": order["orderId"], "state": "cancelled", "amount": "3.14",
    });
    assert_eq!((cancelled.status, cancelled.json()), (200, expected));
    let again = call(&app, &step(&token, &payment, "cancel"));
    assert_eq!((again.json(), again.sent), (cancelled.json(), 0));
    assert_eq!(call(&app, &step(&token, &payment, "recover")).json(), cancelled.json());
    stands(&app, &step(&token, &payment, "approve"), 409, "payment_cancelled");
    stands(&app, &complete(&token, &payment, &"a".repeat(64)), 409, "payment_cancelled");

    // The order is open again. The user pays this time, and the tab closes.
    let payment = pay_for(&app, "sim-alice", &order);
    call(&app, &step(&token, &payment, "approve"));
    let txid = sign(&app, &payment);
    stands(&app, &step(&token, &payment, "cancel"), 409, "payment_has_transaction");
    let recovered = call(&app, &step(&token, &payment, "recover"));
    assert_eq!((recovered.status, &recovered.json()["state"]), (200, &json!("paid")));
    assert_eq!(recovered.json()["txid"], txid);

    // Never seen here, and without an order: called off all the same, so that it blocks nobody.
    let stray = create(&app, "sim-alice", Amount::from_stroops(5), json!({ "x": 1 }));
    let off = call(&app, &step(&token, &stray, "recover"));
    assert_eq!(
        off.json(),
        json!({ "paymentId": stray, "state": "cancelled", "amount": "0.0000005" })
    );
}

#[test]
fn a_lost_answer_is_looked_up_and_a_step_never_sent_twice_blindly() {
    for kind in [FaultKind::LoseAnswer, FaultKind::LoseAnswerHtml500, FaultKind::Slow] {
        let (app, token) = shop();
        let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
        fails(&app, Step::Approve, kind, 1, Some(1));
        assert_eq!(call(&app, &step(&token, &payment, "approve")).status, 200, "{kind:?}");
        let txid = sign(&app, &payment);
        fails(&app, Step::Complete, kind, 1, Some(1));
        let paid = call(&app, &complete(&token, &payment, &txid));
        assert_eq!((paid.status, &paid.json()["state"]), (200, &json!("paid")), "{kind:?}");
        assert_eq!((asked(&app, "/approve"), asked(&app, "/complete")), (1, 1));
    }
    // The step has not happened: said so, and nothing counts.
    for (kind, status, code) in [
        (FaultKind::Html500, 503, "upstream_unavailable"),
        (FaultKind::TooManyRequests, 503, "upstream_unavailable"),
        (FaultKind::Break, 503, "upstream_unavailable"),
    ] {
        let (app, token) = shop();
        let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
        fails(&app, Step::Approve, kind, 1, Some(1));
        let reply = call(&app, &step(&token, &payment, "approve"));
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{kind:?}");
        assert_eq!(
            call(&app, &step(&token, &payment, "approve")).status,
            200,
            "the next try works"
        );
    }
    // A reading is tried once more when the connection breaks, and only then.
    let (app, token) = shop();
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    fails(&app, Step::Get, FaultKind::Break, 1, Some(1));
    assert_eq!(call(&app, &step(&token, &payment, "approve")).status, 200);
    // Every third answer is lost after Pi has acted: the flow still ends paid, once.
    let (app, token) = shop();
    fails(&app, Step::Any, FaultKind::LoseAnswer, 3, None);
    for _ in 0..5 {
        let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
        let until = |request: Request<Vec<u8>>| {
            (0..9).map(|_| call(&app, &request)).find(|reply| reply.status == 200).expect("an end")
        };
        until(step(&token, &payment, "approve"));
        let txid = sign(&app, &payment);
        assert_eq!(until(complete(&token, &payment, &txid)).json()["state"], "paid");
    }
    let me = call(&app, &with_token("GET", "/me", &token)).json();
    assert_eq!(me["purchases"].as_array().unwrap().len(), 5);
}

#[test]
fn s7_a_store_that_fails_moves_no_payment() {
    let (app, token) = shop();
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    app.store.fails.set(true);
    for request in [
        request("GET", "/products", &[], ""),
        with_body("POST", "/orders", &token, &json!({ "productId": "coffee" })),
        with_token("GET", "/payments", &token),
        step(&token, &payment, "approve"),
        step(&token, &payment, "recover"),
        complete(&token, &payment, &"a".repeat(64)),
    ] {
        assert_eq!(stands(&app, &request, 503, "storage_unavailable").sent, 0);
    }
    app.store.fails.set(false);
    assert_eq!(call(&app, &step(&token, &payment, "approve")).status, 200);
}

#[test]
fn the_clock_finishes_what_was_left_between_two_steps() {
    let (app, token) = shop();
    let order = || order_of(&app, &token, "coffee");
    let reconcile = |later: i64| {
        app.transport.simulator.now.set(at(later));
        app.clock.0.set(at(later));
        block_on(service::reconcile(&app)).unwrap()
    };
    let state = |payment: &str| {
        let list = call(&app, &with_token("GET", "/payments", &token)).json();
        let list = list["payments"].as_array().unwrap();
        let found = list.iter().find(|shown| shown["paymentId"] == payment);
        found.map(|shown| shown["state"].as_str().unwrap().to_owned())
    };
    // Pi acted, and the Worker was gone before it could write: as if its own answers had been lost.
    let payment = pay_for(&app, "sim-alice", &order());
    call(&app, &step(&token, &payment, "approve"));
    let txid = sign(&app, &payment);
    {
        let mut ledger = app.transport.simulator.ledger.borrow_mut();
        ledger.complete("simulated-app", &payment, Some(&txid), at(0)).unwrap();
    }
    assert_eq!(state(&payment).as_deref(), Some("approved"));
    assert_eq!(reconcile(100), Reconciled::default(), "somebody may still be at it");
    assert_eq!(reconcile(121), Reconciled { paid: 1, ..Reconciled::default() });
    assert_eq!(state(&payment).as_deref(), Some("paid"));
    assert_eq!(reconcile(1000), Reconciled::default());

    // Paid on the chain, not completed; cancelled at Pi; still open; never approved.
    let paid = pay_for(&app, "sim-alice", &order());
    call(&app, &step(&token, &paid, "approve"));
    sign(&app, &paid);
    assert_eq!(reconcile(1000).paid, 1);
    let cancelled = pay_for(&app, "sim-alice", &order());
    call(&app, &step(&token, &cancelled, "approve"));
    app.transport.simulator.ledger.borrow_mut().cancel_by_user(&cancelled, at(0)).unwrap();
    assert_eq!(reconcile(1000), Reconciled { cancelled: 1, ..Reconciled::default() });
    let open = pay_for(&app, "sim-alice", &order());
    call(&app, &step(&token, &open, "approve"));
    assert_eq!(reconcile(1000), Reconciled { waiting: 1, ..Reconciled::default() });
    let waiting = Reconciled { waiting: 1, ..Reconciled::default() };
    assert_eq!(reconcile(1299), Reconciled::default(), "five minutes later");
    assert_eq!(reconcile(86_400), waiting, "within a day");
    assert_eq!(reconcile(86_400 + 599), Reconciled::default(), "ten minutes later");
    assert_eq!(reconcile(86_400 + 600), Reconciled { cancelled: 1, ..Reconciled::default() });
    assert_eq!(state(&open).as_deref(), Some("cancelled"));

    // One that cannot be read does not keep the others waiting, and is counted.
    let first = pay_for(&app, "sim-alice", &order());
    call(&app, &step(&token, &first, "approve"));
    sign(&app, &first);
    fails(&app, Step::Get, FaultKind::Html500, 1, Some(1));
    let failed = vec![(first.clone().try_into().unwrap(), "upstream_unavailable")];
    assert_eq!(reconcile(1000), Reconciled { failed, ..Reconciled::default() });
    assert_eq!(reconcile(1300), Reconciled { paid: 1, ..Reconciled::default() });
    // Pi's 404 ends nothing: with another app's key, it knows none of them.
    let hidden = pay_for(&app, "sim-alice", &order());
    call(&app, &step(&token, &hidden, "approve"));
    sign(&app, &hidden);
    let app_id = |name: &str| {
        let mut ledger = app.transport.simulator.ledger.borrow_mut();
        ledger.find(&hidden, at(0)).unwrap().app_id = name.into();
    };
    app_id("another-app");
    let failed = vec![(hidden.clone().try_into().unwrap(), "payment_not_found")];
    assert_eq!(reconcile(1000), Reconciled { failed, ..Reconciled::default() });
    assert_eq!(state(&hidden).as_deref(), Some("approved"));
    app_id("simulated-app");
    assert_eq!(reconcile(1300).paid, 1);
    // Approved at Pi, and the Worker was gone: the user may pay.
    let unseen = pay_for(&app, "sim-alice", &order());
    fails(&app, Step::Approve, FaultKind::LoseAnswer, 1, Some(1));
    fails(&app, Step::Get, FaultKind::Html500, 2, Some(1));
    assert_eq!(call(&app, &step(&token, &unseen, "approve")).status, 503);
    assert_eq!(state(&unseen), None);
    app.transport.simulator.faults.borrow_mut().clear();
    assert_eq!(reconcile(1000).waiting, 1);
    assert_eq!(state(&unseen).as_deref(), Some("approved"));
    sign(&app, &unseen);
    assert_eq!(reconcile(1300).paid, 1);
    // An erased user's payment is finished, and is nobody's.
    let last = pay_for(&app, "sim-alice", &order());
    call(&app, &step(&token, &last, "approve"));
    sign(&app, &last);
    call(&app, &with_token("DELETE", "/me", &token));
    assert_eq!(reconcile(1000), Reconciled { paid: 1, ..Reconciled::default() });
    let seen = call(&app, &backend("GET", &format!("/users/{ALICE}/payments"))).json();
    assert_eq!(seen["payments"], json!([]));
    // Another's key.
    assert!(block_on(service::reconcile(&test_app_with(&[("PI_API_KEY", "")]))).is_ok());
}

#[test]
fn an_order_is_not_held_by_a_payment_that_pi_has_cancelled() {
    let (app, token) = shop();
    let order = order_of(&app, &token, "coffee");
    let first = pay_for(&app, "sim-alice", &order);
    fails(&app, Step::Approve, FaultKind::Html500, 1, Some(1));
    assert_eq!(call(&app, &step(&token, &first, "approve")).code(), "upstream_unavailable");
    let id = order["orderId"].as_str().unwrap();
    let shown = call(&app, &with_token("GET", &format!("/orders/{id}"), &token)).json();
    assert_eq!((&shown["state"], shown.get("paymentId")), (&json!("open"), None));
    // The next one: Pi has cancelled the first, for a user can have one open payment.
    let second = pay_for(&app, "sim-alice", &order);
    assert_eq!(call(&app, &step(&token, &second, "approve")).status, 200);
    let list = call(&app, &with_token("GET", "/payments", &token)).json();
    let list = list["payments"].as_array().unwrap();
    let states: Vec<&str> = list.iter().map(|shown| shown["state"].as_str().unwrap()).collect();
    assert!(states.len() == 2 && states.contains(&"cancelled") && states.contains(&"approved"));
    assert_eq!(call(&app, &step(&token, &first, "approve")).code(), "payment_cancelled");
}

#[test]
fn who_is_erased_in_the_middle_and_comes_back_finds_the_payment_again() {
    let (app, token) = shop();
    let order = order_of(&app, &token, "coffee");
    let payment = pay_for(&app, "sim-alice", &order);
    call(&app, &step(&token, &payment, "approve"));
    let txid = sign(&app, &payment);
    call(&app, &with_token("DELETE", "/me", &token));
    let bob = call(&app, &sign_in("sim-bob")).token();
    stands(&app, &step(&bob, &payment, "recover"), 403, "payment_not_yours");
    let again = call(&app, &sign_in("sim-alice")).token();
    let paid = call(&app, &step(&again, &payment, "recover"));
    assert_eq!((paid.status, &paid.json()["txid"]), (200, &json!(txid)), "{paid:?}");
    let me = call(&app, &with_token("GET", "/me", &again)).json();
    assert_eq!(me["purchases"].as_array().unwrap().len(), 1);
}

#[test]
fn the_key_is_missing_a_placeholder_or_refused_and_never_shown() {
    let (app, token) = shop();
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    let with = |key: &str| TestApp {
        settings: test_app_with(&[("PI_API_KEY", key)]).settings,
        ..shop().0
    };
    for (key, says) in [("", "is missing"), ("another-key-of-another-app", "was refused by Pi")] {
        let other = with(key);
        let token = call(&other, &sign_in("sim-alice")).token();
        for request in [
            step(&token, &payment, "approve"),
            step(&token, &payment, "recover"),
            with_token("POST", "/ads/some-ad/claim", &token),
        ] {
            let reply = call(&other, &request);
            assert_eq!((reply.status, reply.code().as_str()), (500, "misconfigured"), "{reply:?}");
            assert!(reply.body.contains("PI_API_KEY") && reply.body.contains(says));
            assert!(key.is_empty() || !reply.body.contains(key));
        }
        assert_eq!(call(&other, &request("GET", "/products", &[], "")).status, 200);
    }
    for placeholder in ["YOUR_API_KEY", "<key>", "changeme", "short", "a key of two words"] {
        let wrong = settings(&[("PI_API_KEY", placeholder)]).unwrap_err();
        assert_eq!(wrong.setting, "PI_API_KEY");
    }
    // Pi echoes it: neither the answer nor the log has it.
    let echo = format!(r#"{{"error":"{SERVER_API_KEY}","error_message":"{SERVER_API_KEY}"}}"#);
    let answer = http::Response::builder().status(400).header("content-type", "application/json");
    app.transport.prepared.replace(Some(answer.body(echo.into_bytes()).unwrap()));
    let reply = call(&app, &step(&token, &payment, "approve"));
    assert_eq!((reply.status, reply.code().as_str()), (502, "pi_refused"));
    assert_eq!(reply.json().get("piError"), None);
    // A 401 with a code is about the payment, not about the key.
    let refusal = br#"{"error":"missing_scope","error_message":"No."}"#.to_vec();
    let answer = http::Response::builder().status(401).header("content-type", "application/json");
    app.transport.prepared.replace(Some(answer.body(refusal).unwrap()));
    let reply = call(&app, &step(&token, &payment, "approve"));
    assert_eq!((reply.status, &reply.json()["piError"]), (502, &json!("missing_scope")));
}

#[test]
fn a_payment_of_2022_and_what_is_no_payment_buy_nothing() {
    let (app, token) = shop();
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    let answered = |status: u16, kind: &str, body: &str| {
        let answer = http::Response::builder().status(status).header("content-type", kind);
        app.transport.prepared.replace(Some(answer.body(body.into()).unwrap()));
        call(&app, &step(&token, &payment, "approve"))
    };
    let dto = |more: &str| format!(r#"{{"identifier":"{payment}","user_uid":"{ALICE}",{more}}}"#);
    let old = answered(200, "application/json", &dto(r#""amount":3.14,"metadata":{}"#));
    assert_eq!(old.code(), "payment_mismatch");
    for body in [
        "",
        "[]",
        "{}",
        &dto(r#""amount":"3.14""#),
        &dto(r#""amount":-1"#),
        &dto(r#""amount":3.14159265"#),
        &dto(r#""amount":1,"amount":2"#),
        &dto(r#""amount":1,"transaction":{"txid":"x"}"#),
        &dto(r#""amount":1"#).replace(ALICE, "not an id"),
        &dto(r#""amount":1"#).replace(&payment, "another"),
    ] {
        assert_eq!(answered(200, "application/json", body).code(), "upstream_invalid", "{body}");
    }
    assert_eq!(answered(200, "text/html", "<html>").code(), "upstream_invalid");
    assert_eq!(answered(302, "text/html", "").code(), "upstream_invalid");
    assert_eq!(answered(500, "text/html", "<html>").code(), "upstream_unavailable");
    assert_eq!(call(&app, &step(&token, &payment, "approve")).status, 200);
}

#[test]
fn what_nobody_reads_of_a_payment_decides_over_nothing() {
    let (app, token) = shop();
    let odd = [
        r#""memo":"\ud800""#,
        r#""memo":null"#,
        r#""memo":7"#,
        r#""memo":{"a":[]}"#,
        r#""from_address":7,"to_address":[]"#,
        r#""created_at":0"#,
        r#""token_canonical":{},"split_recipients":"x""#,
        r#""unheard_of":["\udfff"]"#,
        r#""metadata":{"orderId":"ORDER","note":"\ud83d","more":[1,{"a":1e300}]}"#,
        r#""status":{"developer_approved":true,"transaction_verified":"x","news":1}"#,
        r#""transaction":{"txid":"TXID","verified":true,"_link":"\udc00"}"#,
    ];
    for more in odd.map(str::to_owned).into_iter().chain([
        format!(r#""memo":"{}""#, "🙂".repeat(5000)),
        "\"memo\":\"\u{0}\u{7f}\"".replace('\0', "\\u0000"),
    ]) {
        let order = order_of(&app, &token, "coffee");
        let payment = pay_for(&app, "sim-alice", &order);
        let id = order["orderId"].as_str().unwrap();
        let more = more.replace("ORDER", id).replace("TXID", &"a".repeat(64));
        let metadata = if more.contains("metadata") {
            String::new()
        } else {
            format!(r#""metadata":{{"orderId":"{id}"}},"#)
        };
        let body = format!(
            r#"{{"identifier":"{payment}","user_uid":"{ALICE}","amount":3.14,"direction":"user_to_app","network":"Pi Testnet",{metadata}{more}}}"#
        );
        let answer = http::Response::builder().header("content-type", "application/json");
        app.transport.prepared.replace(Some(answer.body(body.clone().into_bytes()).unwrap()));
        let reply = call(&app, &step(&token, &payment, "approve"));
        assert_eq!(
            (reply.status, &reply.json()["state"]),
            (200, &json!("approved")),
            "{body} {reply:?}"
        );
        call(&app, &step(&token, &payment, "cancel"));
    }
}

#[test]
fn an_order_whose_answer_was_lost_is_the_same_order_when_it_is_asked_for_again() {
    let (app, token) = shop();
    let bob = call(&app, &sign_in("sim-bob")).token();
    let ask_at = |token: &str, product: &str, key: &str, later: i64| {
        let mut request = with_body("POST", "/orders", token, &json!({ "productId": product }));
        request.headers_mut().append("idempotency-key", key.parse().unwrap());
        call_at(&app, &request, NOW + later)
    };
    let ask = |token: &str, product: &str, key: &str| ask_at(token, product, key, 0);
    let first = ask(&token, "coffee", "k-1_A");
    assert_eq!(first.status, 201);
    let before = app.store.payments.counts();
    // The same answer, also later, from another session of the user's, and at another price.
    let again = ask_at(&token, "coffee", "k-1_A", 60);
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    app.store.payments.products.borrow_mut()[0].amount = Amount::from_stroops(1);
    let other_session = call(&app, &sign_in("sim-alice")).token();
    assert_eq!(ask(&other_session, "coffee", "k-1_A").body, first.body);
    assert_eq!(app.store.payments.counts(), before, "one order");
    // Another key, another user, and none: orders of their own.
    let id = |reply: &Reply| reply.json()["orderId"].as_str().unwrap().to_owned();
    let others = [
        id(&ask(&token, "coffee", "k-2")),
        id(&ask(&bob, "coffee", "k-1_A")),
        id(&ask(&token, "coffee", "K-1_A")),
        order_of(&app, &token, "coffee")["orderId"].as_str().unwrap().to_owned(),
        order_of(&app, &token, "coffee")["orderId"].as_str().unwrap().to_owned(),
    ];
    let all: std::collections::BTreeSet<String> = others.into_iter().chain([id(&first)]).collect();
    assert_eq!(all.len(), 6);
    // The key is one request's: another product is another request.
    let reply = ask(&token, "salt", "k-1_A");
    assert_eq!((reply.status, reply.code().as_str()), (422, "idempotency_key_reused"));
    assert!(!reply.body.contains("k-1_A"));
    // Once it is paid for, the repeat says so, and makes no second one.
    let payment = pay_for(&app, "sim-alice", &first.json());
    assert_eq!(call(&app, &step(&token, &payment, "approve")).status, 200);
    let repeated = ask(&token, "coffee", "k-1_A");
    assert_eq!((id(&repeated), &repeated.json()["state"]), (id(&first), &json!("approved")));
    // An erased user's orders are nobody's, also for the same person anew.
    assert_eq!(call(&app, &with_token("DELETE", "/me", &token)).status, 204);
    let anew = call(&app, &sign_in("sim-alice")).token();
    assert_eq!(ask(&anew, "coffee", "k-1_A").code(), "idempotency_key_reused");
    assert_eq!(ask(&anew, "coffee", "k-9").status, 201);
}

#[test]
fn a_malformed_idempotency_key_makes_no_order() {
    let (app, token) = shop();
    let with_keys = |keys: &[&[u8]]| {
        let mut request = with_body("POST", "/orders", &token, &json!({ "productId": "coffee" }));
        for key in keys {
            let key = http::HeaderValue::from_bytes(key).unwrap();
            request.headers_mut().append("idempotency-key", key);
        }
        request
    };
    let long = [b'a'; 65];
    for bad in [&b""[..], b" ", b"a b", b"\"a\"", b"a,b", b"a.b", b"\xe9", &long, b"?"] {
        stands(&app, &with_keys(&[bad]), 400, "invalid_request");
    }
    stands(&app, &with_keys(&[b"a", b"a"]), 400, "invalid_request");
    for good in [&long[..64], b"-", b"_"] {
        assert_eq!(call(&app, &with_keys(&[good])).status, 201);
    }
}

#[test]
fn a_user_with_keys_has_no_more_open_orders_than_without() {
    let (app, token) = shop();
    let ask = |key: &str, later: i64| {
        let mut request = with_body("POST", "/orders", &token, &json!({ "productId": "salt" }));
        request.headers_mut().append("idempotency-key", key.parse().unwrap());
        call_at(&app, &request, NOW + later).json()["orderId"].as_str().unwrap().to_owned()
    };
    let first = ask("first", 0);
    let shown = |id: &str| call(&app, &with_token("GET", &format!("/orders/{id}"), &token)).status;
    for number in 0..19 {
        ask(&number.to_string(), 1);
    }
    assert_eq!((app.store.payments.counts().0, shown(&first)), (20, 200));
    // A repeat makes none, and drives none away.
    assert_eq!(ask("7", 2), ask("7", 3));
    assert_eq!((app.store.payments.counts().0, shown(&first)), (20, 200));
    ask("last", 4);
    assert_eq!((app.store.payments.counts().0, shown(&first)), (20, 404));
}

#[test]
fn pi_has_ten_seconds_where_its_failure_costs_the_user_most_and_five_elsewhere() {
    let (app, token) = shop();
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    call(&app, &step(&token, &payment, "approve"));
    call(&app, &complete(&token, &payment, &sign(&app, &payment)));
    let requests = app.transport.simulator.requests.borrow();
    let asked: Vec<(&str, u32)> = requests
        .iter()
        .map(|request| {
            let pi::Deadline(seconds) = *request.extensions().get().expect("a deadline");
            (request.uri().path().rsplit('/').next().unwrap(), seconds)
        })
        .collect();
    let id = payment.as_str();
    assert_eq!(asked, [("me", 10), (id, 5), ("approve", 5), (id, 5), ("complete", 10)]);
}

#[test]
fn a_key_of_another_app_or_network_is_said_to_be_one() {
    let (app, token) = shop();
    // As Pi answers a key of its own that is another app's: it knows none of the payments.
    let approve = |payment: &str, is_known: bool| {
        if !is_known {
            let answer =
                http::Response::builder().status(404).header("content-type", "application/json");
            app.transport
                .prepared
                .replace(Some(answer.body(br#"{"error":"payment_not_found"}"#.to_vec()).unwrap()));
        }
        let request = step(&token, payment, "approve");
        let response = block_on(service::handle(&app, &request, entropy()));
        let reason = response.extensions().get::<service::LogEntry>().unwrap().reason.clone();
        (checked(&request, response), reason.unwrap_or_default())
    };
    let known = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    assert_eq!(approve(&known, true).0.status, 200);
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    let (reply, reason) = approve(&payment, false);
    assert_eq!((reply.status, reply.code().as_str()), (404, "payment_not_found"));
    assert!(reply.json()["detail"].as_str().unwrap().contains("PI_API_KEY"), "{}", reply.body);
    assert!(
        reason.contains("PI_API_KEY") && reason.contains("another Pi app or network"),
        "{reason}"
    );
    for _ in 0..2 {
        approve(&payment, false);
    }
    let (_, reason) = approve(&payment, false);
    assert!(reason.contains("the last 4 payments"), "{reason}");
    // One that Pi knows ends the count; and a text that is no id was not asked about.
    assert_eq!(approve(&payment, true).0.status, 200);
    let (reply, reason) =
        approve(&pay_for(&app, "sim-bob", &json!({ "amount": "1", "metadata": {} })), false);
    assert_eq!(reply.code(), "payment_not_found");
    assert!(!reason.contains("the last"), "{reason}");
    let (reply, reason) = approve("not.an.id", true);
    assert_eq!((reply.code().as_str(), reason.as_str()), ("payment_not_found", ""));
}

#[test]
fn an_ad_is_granted_once_and_to_the_first() {
    let (app, alice) = shop();
    let bob = call(&app, &sign_in("sim-bob")).token();
    let watch = |status, unsaid| {
        let mut ledger = app.transport.simulator.ledger.borrow_mut();
        ledger.watch("sim-alice", status, unsaid, at(0)).unwrap()
    };
    let claim = |token: &str, ad: &str| with_token("POST", &format!("/ads/{ad}/claim"), token);
    let ad = watch(Some(AdStatus::Granted), 2);
    let granted = call(&app, &claim(&alice, &ad));
    assert_eq!((granted.status, granted.json()), (200, json!({ "granted": true })));
    assert_eq!(granted.sent, 3, "`null` is asked again");
    let again = call(&app, &claim(&alice, &ad));
    assert_eq!((again.json(), again.sent), (json!({ "granted": true }), 0));
    assert_eq!(stands(&app, &claim(&bob, &ad), 409, "ad_already_claimed").sent, 0);
    for status in [Some(AdStatus::Revoked), Some(AdStatus::Failed), None] {
        stands(&app, &claim(&alice, &watch(status, 0)), 409, "ad_not_granted");
    }
    stands(&app, &claim(&alice, "unknown"), 409, "ad_not_granted");
    stands(&app, &request("POST", "/ads/x/claim", &[], ""), 401, "session_missing");
    // Erased, the claim stays, and is nobody's.
    call(&app, &with_token("DELETE", "/me", &alice));
    let alice = call(&app, &sign_in("sim-alice")).token();
    stands(&app, &claim(&alice, &ad), 409, "ad_already_claimed");
}

#[test]
fn notifications_go_out_with_the_key_and_are_reported_as_they_arrived() {
    let (app, token) = shop();
    let one = |uid: &str| json!({ "title": "Hi", "body": "There is news.", "userUid": uid, "subroute": "/news" });
    let post = |token: &str, list: Vec<Value>| {
        with_body("POST", "/notifications", token, &json!({ "notifications": list }))
    };
    let sent = call(&app, &post(CREDENTIAL, vec![one(ALICE), one("nobody-at-all")]));
    assert_eq!(sent.status, 200, "{sent:?}");
    assert_eq!(sent.json()["requested"], 2);
    assert_eq!(sent.json()["deliveredTo"][0], ALICE);
    let many = call(&app, &post(CREDENTIAL, (0..256).map(|n| one(&format!("uid-{n}"))).collect()));
    assert_eq!((many.status, &many.json()["requested"]), (200, &json!(256)));
    let over = (0..257).map(|n| one(&format!("uid-{n}"))).collect();
    for list in [
        vec![],
        over,
        vec![json!({ "title": "x" })],
        vec![json!({ "title": "", "body": "b", "userUid": "u", "subroute": "/" })],
    ] {
        stands(&app, &post(CREDENTIAL, list), 400, "invalid_request");
    }
    // A quota of Pi's is no fault of the key; and what may have gone out is not said to have failed.
    let answered = |status: u16, kind: &str, body: &str| {
        let answer = http::Response::builder().status(status).header("content-type", kind);
        app.transport.prepared.replace(Some(answer.body(body.into()).unwrap()));
        call(&app, &post(CREDENTIAL, vec![one(ALICE)]))
    };
    let quota = answered(403, "application/json", r#"{"error":"Too many for these: …"}"#);
    assert_eq!((quota.status, quota.code().as_str()), (502, "pi_refused"));
    assert_eq!(answered(401, "application/json", "{}").code(), "misconfigured");
    let unclear = answered(201, "text/html", "<html>");
    assert_eq!((unclear.status, &unclear.json()["unconfirmed"]), (200, &json!(1)));
    let outside =
        json!({ "title": "a", "body": "b", "userUid": "u", "subroute": "https://evil.example" });
    stands(&app, &post(CREDENTIAL, vec![outside]), 400, "invalid_request");
    stands(&app, &post(&token, vec![one(ALICE)]), 401, "backend_rejected");
}

/// A payment of the app to Alice, on its way to her.
fn pay_out(app: &TestApp) -> String {
    let amount = Amount::from_stroops(500_000_000);
    let mut ledger = app.transport.simulator.ledger.borrow_mut();
    ledger.pay_out("sim-alice", amount, "Prize", json!({ "prize": 1 }), at(0)).unwrap()
}

/// How many requests other than GET went to Pi for payments.
fn posted(app: &TestApp) -> usize {
    let requests = app.transport.simulator.requests.borrow();
    let payments = requests.iter().filter(|sent| sent.uri().path().starts_with("/v2/payments"));
    payments.filter(|sent| sent.method() == "POST").count()
}

#[test]
fn r1_the_receiver_of_a_payment_can_neither_cancel_nor_recover_it() {
    let (app, token) = shop();
    let payment = pay_out(&app);
    let change = |change: fn(&mut pioneer_session::simulator::Payment)| {
        change(app.transport.simulator.ledger.borrow_mut().find(&payment, at(0)).unwrap());
    };
    let refused_everywhere = || {
        let txid = "a".repeat(64);
        for request in [
            step(&token, &payment, "cancel"),
            step(&token, &payment, "recover"),
            step(&token, &payment, "approve"),
            complete(&token, &payment, &txid),
        ] {
            let reply = stands(&app, &request, 422, "payment_mismatch");
            let detail = reply.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("user_to_app") && !detail.contains("approved"), "{detail}");
        }
    };
    refused_everywhere();
    // Cancelled by somebody else, with a transaction, or completed: it is none of the user's payments either.
    change(|payment| payment.is_cancelled = true);
    refused_everywhere();
    let transaction =
        pioneer_session::simulator::Transaction { txid: "a".repeat(64), is_verified: true };
    for is_cancelled in [true, false] {
        let transaction = Some(transaction.clone());
        let mut ledger = app.transport.simulator.ledger.borrow_mut();
        let payment = ledger.find(&payment, at(0)).unwrap();
        (payment.transaction, payment.is_cancelled) = (transaction, is_cancelled);
        drop(ledger);
        refused_everywhere();
    }
    assert_eq!(posted(&app), 0, "nothing but readings reached Pi");
    let list = call(&app, &with_token("GET", "/payments", &token)).json();
    assert_eq!(list["payments"], json!([]));
}

#[test]
fn r1_a_payment_without_a_direction_is_not_cancelled_either() {
    let (app, token) = shop();
    let payment = pay_out(&app);
    let old = json!({ "identifier": payment, "user_uid": ALICE, "amount": 50, "metadata": {} });
    for name in ["cancel", "recover", "approve"] {
        let answer = http::Response::builder().header("content-type", "application/json");
        app.transport.prepared.replace(Some(answer.body(old.to_string().into()).unwrap()));
        stands(&app, &step(&token, &payment, name), 422, "payment_mismatch");
    }
    assert_eq!(posted(&app), 0);
}

#[test]
fn r1_the_scheduled_run_does_not_touch_a_payment_to_a_user() {
    let (app, token) = shop();
    // What is recorded here as the user's payment shows itself at Pi as one of the app.
    for (age, is_cancelled) in [(1000, false), (1000, true), (100_000, false)] {
        let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
        assert_eq!(call(&app, &step(&token, &payment, "approve")).status, 200);
        {
            let mut ledger = app.transport.simulator.ledger.borrow_mut();
            let changed = ledger.find(&payment, at(0)).unwrap();
            (changed.direction, changed.is_cancelled) = ("app_to_user", is_cancelled);
        }
        let before = posted(&app);
        app.transport.simulator.now.set(at(age));
        app.clock.0.set(at(age));
        let reconciled = block_on(service::reconcile(&app)).unwrap();
        let failed = vec![(payment.clone().try_into().unwrap(), "payment_mismatch")];
        assert_eq!((&reconciled.failed, reconciled.cancelled), (&failed, 0), "{age}");
        assert_eq!(posted(&app), before);
        let id = payment.clone().try_into().unwrap();
        let record = block_on(app.store.payments.payment(&id)).unwrap().unwrap();
        assert_eq!(record.state, State::Approved);
        // Out of the way of the next one.
        let mut ledger = app.transport.simulator.ledger.borrow_mut();
        ledger.find(&payment, at(0)).unwrap().direction = "user_to_app";
        drop(ledger);
        call(&app, &step(&token, &payment, "cancel"));
    }
}

#[test]
fn r7_an_old_order_is_not_approved() {
    let (app, token) = shop();
    let approve_at = |payment: &str, later: i64| {
        let before = posted(&app);
        let reply = call_at(&app, &step(&token, payment, "approve"), NOW + later);
        let code = reply.json()["code"].as_str().map(str::to_owned);
        (reply.status, code, posted(&app) - before)
    };
    let pay_at = |order: &Value, later: i64| {
        let amount = Amount::parse(order["amount"].as_str().unwrap()).unwrap();
        let mut ledger = app.transport.simulator.ledger.borrow_mut();
        ledger.create("sim-alice", amount, "memo", order["metadata"].clone(), at(later)).unwrap()
    };
    let expired = (409, Some("order_expired".to_owned()), 0);
    // The price of an hour ago still holds. The one of a year ago does not.
    let order = order_of(&app, &token, "coffee");
    let late = pay_at(&order, 500);
    let year = 365 * 24 * 3600;
    assert_eq!(approve_at(&late, 500), (200, None, 1));
    call(&app, &step(&token, &late, "cancel"));
    // The session would have ended, so the order is made older instead.
    let old = |seconds: i64| {
        let order = pioneer_session::payment::Order {
            id: format!("old-{seconds}").try_into().unwrap(),
            uid: Some(ALICE.to_owned().try_into().unwrap()),
            product_id: "coffee".to_owned().try_into().unwrap(),
            amount: Amount::from_stroops(31_400_000),
            memo: "A cup of coffee".into(),
            created_at: at(-seconds),
        };
        block_on(app.store.payments.keep_order(&order)).unwrap();
        let order = json!({ "amount": "3.14", "metadata": { "orderId": order.id.as_str() } });
        pay_at(&order, 0)
    };
    assert_eq!(approve_at(&old(3600), 0), (200, None, 1));
    for seconds in [3601, year] {
        let payment = old(seconds);
        assert_eq!(approve_at(&payment, 0), expired, "{seconds}");
        assert_eq!(
            call(&app, &with_token("GET", "/payments", &token)).json()["payments"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|shown| shown["paymentId"] == payment.as_str())
                .count(),
            0
        );
        // What Pi has approved, the user may have paid: it is taken however old.
        app.transport.simulator.ledger.borrow_mut().find(&payment, at(0)).unwrap().is_approved =
            true;
        assert_eq!(approve_at(&payment, 0), (200, None, 0));
        let txid = sign(&app, &payment);
        assert_eq!(call(&app, &complete(&token, &payment, &txid)).json()["state"], "paid");
    }
}

#[test]
fn r7_a_product_that_is_not_sold_any_more_is_not_approved_but_completed() {
    let (app, token) = shop();
    let (coffee, salt) = (order_of(&app, &token, "coffee"), order_of(&app, &token, "salt"));
    let approved = pay_for(&app, "sim-alice", &salt);
    assert_eq!(call(&app, &step(&token, &approved, "approve")).status, 200);
    let txid = sign(&app, &approved);
    app.store.payments.products.borrow_mut().clear();
    // The answer to the SDK's next try is the same, and what was approved is delivered.
    assert_eq!(call(&app, &step(&token, &approved, "approve")).status, 200);
    assert_eq!(call(&app, &complete(&token, &approved, &txid)).json()["state"], "paid");
    let late = pay_for(&app, "sim-alice", &coffee);
    let reply = stands(&app, &step(&token, &late, "approve"), 409, "order_expired");
    assert_eq!(reply.sent, 1, "one reading");
    assert!(reply.body.contains("POST /orders"));
}

#[test]
fn r9_a_thousand_abandoned_payments_do_not_delay_anothers_paid_one() {
    let (app, _) = shop();
    let bob = call(&app, &sign_in("sim-bob")).token();
    for number in 0..1000 {
        let order = pioneer_session::payment::Order {
            id: format!("order-{number}").try_into().unwrap(),
            uid: Some(ALICE.to_owned().try_into().unwrap()),
            product_id: "coffee".to_owned().try_into().unwrap(),
            amount: Amount::from_stroops(31_400_000),
            memo: "A cup of coffee".into(),
            created_at: at(-1000),
        };
        let id = create(&app, "sim-alice", order.amount, json!({ "orderId": order.id.as_str() }));
        {
            let mut ledger = app.transport.simulator.ledger.borrow_mut();
            ledger.find(&id, at(0)).unwrap().is_approved = true;
        }
        let id = id.try_into().unwrap();
        block_on(app.store.payments.keep_order(&order)).unwrap();
        block_on(app.store.payments.record_payment(&id, &order, at(-1000))).unwrap();
        block_on(app.store.payments.approve_payment(&id, at(-1000))).unwrap();
    }
    let payment = pay_for(&app, "sim-bob", &order_of(&app, &bob, "coffee"));
    assert_eq!(call(&app, &step(&bob, &payment, "approve")).status, 200);
    sign(&app, &payment);
    let mut paid = 0;
    for run in 1..=2 {
        app.transport.simulator.now.set(at(run * 300));
        app.clock.0.set(at(run * 300));
        paid += block_on(service::reconcile(&app)).unwrap().paid;
    }
    assert_eq!(paid, 1);
}

#[test]
fn r10_a_cancelled_payment_with_a_verified_transaction_is_not_written_off() {
    for by_route in [None, Some("cancel"), Some("recover"), Some("approve"), Some("complete")] {
        let (app, token) = shop();
        let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
        call(&app, &step(&token, &payment, "approve"));
        let txid = sign(&app, &payment);
        {
            let mut ledger = app.transport.simulator.ledger.borrow_mut();
            ledger.find(&payment, at(0)).unwrap().is_user_cancelled = true;
        }
        let id: Identifier = payment.clone().try_into().unwrap();
        let before = posted(&app);
        match by_route {
            // What is approved here is answered from memory, as it ever was.
            Some("approve") => {
                assert_eq!(call(&app, &step(&token, &payment, "approve")).status, 200);
            }
            Some("complete") => {
                let request = complete(&token, &payment, &txid);
                stands(&app, &request, 409, "payment_has_transaction");
            }
            Some(name) => {
                stands(&app, &step(&token, &payment, name), 409, "payment_has_transaction");
            }
            None => {}
        }
        app.transport.simulator.now.set(at(1000));
        app.clock.0.set(at(1000));
        let reconciled = block_on(service::reconcile(&app)).unwrap();
        assert_eq!(reconciled.failed, [(id.clone(), "payment_has_transaction")], "{by_route:?}");
        assert_eq!((reconciled.cancelled, reconciled.paid), (0, 0));
        let record = block_on(app.store.payments.payment(&id)).unwrap().unwrap();
        assert_eq!(record.state, State::Approved);
        assert_eq!(record.txid.unwrap().as_str(), txid, "kept for a person");
        assert_eq!(posted(&app), before, "Pi is not asked to complete what it has cancelled");
        let list = call(&app, &with_token("GET", "/payments", &token)).json();
        assert_eq!(list["payments"][0].get("txid"), None, "it has paid for nothing");
    }
}

#[test]
fn r10_a_cancelled_payment_with_an_unverified_transaction_waits() {
    let (app, token) = shop();
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    call(&app, &step(&token, &payment, "approve"));
    let txid = sign(&app, &payment);
    let change = |change: fn(&mut pioneer_session::simulator::Payment)| {
        change(app.transport.simulator.ledger.borrow_mut().find(&payment, at(0)).unwrap());
    };
    change(|payment| {
        payment.is_cancelled = true;
        payment.transaction.as_mut().unwrap().is_verified = false;
    });
    for name in ["cancel", "recover"] {
        stands(&app, &step(&token, &payment, name), 409, "payment_has_transaction");
    }
    let reconcile = |later: i64| {
        app.transport.simulator.now.set(at(later));
        app.clock.0.set(at(later));
        block_on(service::reconcile(&app)).unwrap()
    };
    let reconciled = reconcile(100_000);
    assert_eq!((reconciled.waiting, reconciled.cancelled), (1, 0));
    let id = payment.clone().try_into().unwrap();
    let record = block_on(app.store.payments.payment(&id)).unwrap().unwrap();
    assert_eq!((record.state, record.txid), (State::Approved, None));
    // Pi changes its mind.
    change(|payment| {
        payment.is_cancelled = false;
        payment.transaction.as_mut().unwrap().is_verified = true;
    });
    assert_eq!(reconcile(200_000).paid, 1);
    let record = block_on(app.store.payments.payment(&id)).unwrap().unwrap();
    assert_eq!(record.txid.unwrap().as_str(), txid);
}

#[test]
fn r10_an_order_is_not_freed_by_a_cancelled_payment_that_has_a_transaction() {
    let (app, token) = shop();
    let order = order_of(&app, &token, "coffee");
    let first = pay_for(&app, "sim-alice", &order);
    call(&app, &step(&token, &first, "approve"));
    sign(&app, &first);
    {
        let mut ledger = app.transport.simulator.ledger.borrow_mut();
        ledger.find(&first, at(0)).unwrap().is_user_cancelled = true;
    }
    let second = pay_for(&app, "sim-alice", &order);
    stands(&app, &step(&token, &second, "approve"), 409, "order_already_paid");
    assert_eq!(asked(&app, &format!("{second}/approve")), 0, "the user does not pay twice");
}

#[test]
fn r6_one_session_cannot_pile_up_orders() {
    let (app, token) = shop();
    let paid_order = order_of(&app, &token, "coffee");
    let payment = pay_for(&app, "sim-alice", &paid_order);
    call(&app, &step(&token, &payment, "approve"));
    let first = order_of(&app, &token, "coffee");
    let body = json!({ "productId": "coffee" });
    let order_at =
        |later| call_at(&app, &with_body("POST", "/orders", &token, &body), NOW + later).json();
    let orders: Vec<Value> = (1..=200).map(order_at).collect();
    assert_eq!(app.store.payments.counts(), (1 + 20, 1));
    let show = |order: &Value| {
        let id = order["orderId"].as_str().unwrap();
        call(&app, &with_token("GET", &format!("/orders/{id}"), &token)).status
    };
    assert_eq!((show(&first), show(&orders[179]), show(&orders[180])), (404, 404, 200));
    assert_eq!(show(&paid_order), 200, "one that is being paid does not make way");
}

/// A payment of this persona that Pi and the store know, approved.
fn approved(app: &TestApp, persona: &str, token: &str) -> String {
    let payment = pay_for(app, persona, &order_of(app, token, "coffee"));
    assert_eq!(call(app, &step(token, &payment, "approve")).status, 200);
    payment
}

fn reconcile_at(app: &TestApp, later: i64) -> Reconciled {
    app.transport.simulator.now.set(at(later));
    app.clock.0.set(at(later));
    block_on(service::reconcile(app)).unwrap()
}

#[test]
fn r9_a_payment_is_given_up_once_by_name_and_completed_when_its_user_comes_back() {
    let (app, token) = shop();
    let payment = approved(&app, "sim-alice", &token);
    let txid = sign(&app, &payment);
    let verified = |is_verified| {
        let mut ledger = app.transport.simulator.ledger.borrow_mut();
        ledger.find(&payment, at(0)).unwrap().transaction.as_mut().unwrap().is_verified =
            is_verified;
    };
    verified(false);
    let (mut waiting, mut given_up) = (0, Vec::new());
    for hour in 1..24 * 60 {
        let reconciled = reconcile_at(&app, hour * 3600);
        waiting += reconciled.waiting;
        given_up.extend(reconciled.given_up.into_iter().map(|found| (found, hour / 24)));
        assert_eq!((reconciled.paid, reconciled.cancelled), (0, 0));
    }
    let id: Identifier = payment.clone().try_into().unwrap();
    assert_eq!(given_up, [((id.clone(), "not_verified"), 22)]);
    assert_eq!(waiting, 29);
    verified(true);
    assert_eq!(reconcile_at(&app, 24 * 60 * 3600), Reconciled::default(), "no run looks at it");
    let again = call(&app, &sign_in("sim-alice")).token();
    let paid = call(&app, &step(&again, &payment, "recover"));
    assert_eq!((paid.status, &paid.json()["txid"]), (200, &json!(txid)), "{paid:?}");
}

#[test]
fn r9_a_run_ends_by_time_and_leaves_the_rest_to_the_next_one() {
    let (app, alice) = shop();
    let bob = call(&app, &sign_in("sim-bob")).token();
    let carol = call(&app, &sign_in("sim-no-username")).token();
    for (persona, token) in [("sim-alice", &alice), ("sim-bob", &bob), ("sim-no-username", &carol)]
    {
        let payment = approved(&app, persona, token);
        sign(&app, &payment);
    }
    // Each payment takes two requests: a reading and a completion.
    app.transport.takes.set(75);
    assert_eq!(reconcile_at(&app, 1000).paid, 1, "none begins after 150 seconds");
    app.transport.takes.set(0);
    assert_eq!(reconcile_at(&app, 1300).paid, 2, "the rest was not looked at, and is due");
}

#[test]
fn r9_a_run_has_as_many_payments_as_the_plan_allows() {
    for (changes, expected) in
        [(vec![], 7), (vec![("PAYMENTS_PER_RUN", "1")], 1), (vec![("PAYMENTS_PER_RUN", "100")], 20)]
    {
        let app = TestApp { settings: test_app_with(&changes).settings, ..shop().0 };
        for number in 0..20 {
            let order = pioneer_session::payment::Order {
                id: format!("order-{number}").try_into().unwrap(),
                uid: Some(format!("user-{number}").try_into().unwrap()),
                product_id: "coffee".to_owned().try_into().unwrap(),
                amount: Amount::from_stroops(31_400_000),
                memo: "A cup of coffee".into(),
                created_at: at(0),
            };
            let id = format!("payment-{number}").try_into().unwrap();
            block_on(app.store.payments.keep_order(&order)).unwrap();
            block_on(app.store.payments.record_payment(&id, &order, at(0))).unwrap();
        }
        assert_eq!(reconcile_at(&app, 1000).failed.len(), expected);
    }
    for bad in ["0", "101", "-1", "seven", "1.5"] {
        let wrong = settings(&[("PAYMENTS_PER_RUN", bad)]).unwrap_err();
        assert_eq!(wrong.setting, "PAYMENTS_PER_RUN");
    }
}

#[test]
fn r9_without_a_key_no_look_at_a_payment_is_lost() {
    let (app, token) = shop();
    let payment = approved(&app, "sim-alice", &token);
    sign(&app, &payment);
    let with_key = app.settings;
    let app = TestApp { settings: test_app_with(&[("PI_API_KEY", "")]).settings, ..app };
    for run in 1..100 {
        app.clock.0.set(at(run * 300));
        assert!(block_on(service::reconcile(&app)).is_err());
    }
    let app = TestApp { settings: with_key, ..app };
    assert_eq!(reconcile_at(&app, 30_000).paid, 1);
}

#[test]
fn r6_the_clock_deletes_in_pieces_what_nobody_needs() {
    for (payments_per_run, expected) in [("7", 500), ("13", 500), ("100", 700)] {
        let changes = [("PAYMENTS_PER_RUN", payments_per_run)];
        let app = TestApp { settings: test_app_with(&changes).settings, ..shop().0 };
        for number in 0..700 {
            let order = pioneer_session::payment::Order {
                id: format!("order-{number}").try_into().unwrap(),
                uid: Some(format!("user-{number}").try_into().unwrap()),
                product_id: "coffee".to_owned().try_into().unwrap(),
                amount: Amount::from_stroops(1),
                memo: "memo".into(),
                created_at: at(number),
            };
            block_on(app.store.payments.keep_order(&order)).unwrap();
        }
        app.clock.0.set(at(86_399));
        block_on(service::sweep(&app)).unwrap();
        assert_eq!(app.store.payments.counts().0, 700);
        app.clock.0.set(at(100_000));
        block_on(service::sweep(&app)).unwrap();
        assert_eq!(app.store.payments.counts().0, 700 - expected);
    }
}

#[test]
fn a1_r6_orders_steps_and_claims_are_limited_by_user_before_pi_is_asked() {
    let (app, token) = shop();
    app.limiter.limit.set(3);
    let order = || {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        request("POST", "/orders", &headers, r#"{"productId":"coffee"}"#)
    };
    let steps: [(&str, Request<Vec<u8>>); 3] = [
        ("orders", order()),
        ("steps", with_token("POST", "/payments/unknown/approve", &token)),
        ("claims", with_token("POST", "/ads/unknown/claim", &token)),
    ];
    for (name, request) in steps {
        for _ in 0..3 {
            assert_ne!(call(&app, &request).status, 429, "{name}");
        }
        let before = (app.store.memory.counts(), app.store.payments.counts());
        let reply = call(&app, &request);
        assert_eq!((reply.status, reply.code().as_str(), reply.sent), (429, "rate_limited", 0));
        assert_eq!((app.store.memory.counts(), app.store.payments.counts()), before, "{name}");
    }
    // Reading is not counted.
    for path in ["/payments", "/me", "/session"] {
        assert_eq!(call(&app, &with_token("GET", path, &token)).status, 200);
    }
}

#[test]
fn r10_a_transaction_that_comes_after_the_cancellation_is_kept_for_a_person() {
    let (app, token) = shop();
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    call(&app, &step(&token, &payment, "approve"));
    let cancelled = |is_cancelled| {
        let mut ledger = app.transport.simulator.ledger.borrow_mut();
        ledger.find(&payment, at(0)).unwrap().is_user_cancelled = is_cancelled;
    };
    // The user has signed and cancelled, and Pi has not seen the transaction yet.
    cancelled(true);
    assert_eq!(call(&app, &step(&token, &payment, "cancel")).json()["state"], "cancelled");
    assert_eq!(call(&app, &step(&token, &payment, "recover")).json()["state"], "cancelled");
    cancelled(false);
    let txid = sign(&app, &payment);
    cancelled(true);
    for request in [complete(&token, &payment, &txid), step(&token, &payment, "recover")] {
        let reply = call(&app, &request);
        assert_eq!((reply.status, reply.code().as_str()), (409, "payment_has_transaction"));
    }
    let id: Identifier = payment.clone().try_into().unwrap();
    let record = block_on(app.store.payments.payment(&id)).unwrap().unwrap();
    assert_eq!(record.txid.unwrap().as_str(), txid);
    // It buys nothing.
    assert_eq!(call(&app, &with_token("GET", "/me", &token)).json()["purchases"], json!([]));
}

#[test]
fn a1_the_token_of_an_ended_session_does_not_spend_its_users_limit() {
    let (app, token) = shop();
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    let stolen = call(&app, &sign_in("sim-alice")).token();
    call(&app, &with_token("DELETE", "/session", &stolen));
    app.limiter.limit.set(3);
    for _ in 0..10 {
        assert_eq!(call(&app, &step(&stolen, &payment, "approve")).code(), "session_revoked");
    }
    assert_eq!(call(&app, &step(&token, &payment, "approve")).status, 200);
}
