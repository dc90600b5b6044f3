//! Approving, completing, cancelling and recovering a payment.

use super::*;

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
    // The SDK asks again every ten seconds: the same answer, without a request to Pi.
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
    // A post without a body has no content type; one with a body has.
    for sent in app.transport.simulator.requests.borrow().iter() {
        let has_type = sent.headers().contains_key("content-type");
        assert_eq!(has_type, !sent.body().is_empty(), "{}", sent.uri());
        if sent.uri().path().starts_with("/v2/payments") {
            assert_eq!(sent.headers()["authorization"], format!("Key {SERVER_API_KEY}"));
        }
    }
}

#[test]
fn a_payment_belongs_to_its_user_only() {
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
    // Bob pays for Alice's order: she cannot give it, and he cannot take it.
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
        // serde_json marks text that it parses later with this name.
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
    // The order itself is unchanged.
    let payment = pay_for(&app, "sim-alice", &order);
    assert_eq!(call(&app, &step(&token, &payment, "approve")).status, 200);
}

#[test]
fn each_order_payment_and_transaction_pays_once() {
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
    // One transaction for two payments; and an unknown transaction.
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
    // On the chain, but not verified by Pi.
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
fn an_open_payment_is_cancelled_or_recovered() {
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

    // Never seen here, and without an order: cancelled all the same, so that it blocks nobody.
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
fn s7_a_failing_store_moves_no_payment() {
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
fn an_order_is_not_held_by_a_payment_that_pi_has_cancelled() {
    let (app, token) = shop();
    let order = order_of(&app, &token, "coffee");
    let first = pay_for(&app, "sim-alice", &order);
    fails(&app, Step::Approve, FaultKind::Html500, 1, Some(1));
    assert_eq!(call(&app, &step(&token, &first, "approve")).code(), "upstream_unavailable");
    let id = order["orderId"].as_str().unwrap();
    let shown = call(&app, &with_token("GET", &format!("/orders/{id}"), &token)).json();
    assert_eq!((&shown["state"], shown.get("paymentId")), (&json!("open"), None));
    // The next payment: Pi has cancelled the first, because a user can have one open payment.
    let second = pay_for(&app, "sim-alice", &order);
    assert_eq!(call(&app, &step(&token, &second, "approve")).status, 200);
    let list = call(&app, &with_token("GET", "/payments", &token)).json();
    let list = list["payments"].as_array().unwrap();
    let states: Vec<&str> = list.iter().map(|shown| shown["state"].as_str().unwrap()).collect();
    assert!(states.len() == 2 && states.contains(&"cancelled") && states.contains(&"approved"));
    assert_eq!(call(&app, &step(&token, &first, "approve")).code(), "payment_cancelled");
}

#[test]
fn an_erased_user_who_comes_back_finds_the_payment_again() {
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
fn a_payment_of_2022_and_an_invalid_payment_buy_nothing() {
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
fn unused_members_of_a_payment_decide_nothing() {
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
fn the_log_names_the_payment_and_the_result_of_each_step() {
    let (app, token) = shop();
    let said = |request: &Request<Vec<u8>>| {
        let response = block_on(service::handle(&app, request, entropy()));
        let entry = response.extensions().get::<service::LogEntry>().unwrap().clone();
        let ids = [entry.facts.order_id, entry.facts.payment_id];
        (entry.event.name(), ids.map(|id| id.map(|id| id.to_string())))
    };
    let made = with_body("POST", "/orders", &token, &json!({ "productId": "coffee" }));
    let (event, [order_id, payment_id]) = said(&made);
    assert_eq!((event, order_id.is_some(), payment_id), ("order.made", true, None));
    let order = || order_of(&app, &token, "coffee");
    let id = |text: &Value| Some(text.as_str().unwrap().to_owned());
    // Pays, and leaves one payment to its recovery.
    for is_recovered in [false, true] {
        let order = order();
        let payment = pay_for(&app, "sim-alice", &order);
        let ids = [id(&order["orderId"]), Some(payment.clone())];
        assert_eq!(said(&step(&token, &payment, "approve")), ("payment.approved", ids.clone()));
        let txid = sign(&app, &payment);
        let request = match is_recovered {
            true => step(&token, &payment, "recover"),
            false => complete(&token, &payment, &txid),
        };
        assert_eq!(said(&request), ("payment.paid", ids));
        let failed = ("payment.failed", [None, Some(payment.clone())]);
        assert_eq!(said(&step(&token, &payment, "cancel")), failed);
    }
    for how in ["cancel", "recover"] {
        let payment = approved(&app, "sim-alice", &token);
        let (event, [_, payment_id]) = said(&step(&token, &payment, how));
        assert_eq!((event, payment_id), ("payment.cancelled", Some(payment)), "{how}");
    }
}
