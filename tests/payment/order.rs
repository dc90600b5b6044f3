//! Orders: repeats, age and number.

use super::*;

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
    // The same answer, also later, from another session of the user, and at another price.
    let again = ask_at(&token, "coffee", "k-1_A", 60);
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    app.store.payments.products.borrow_mut()[0].amount = Amount::from_stroops(1);
    let other_session = call(&app, &sign_in("sim-alice")).token();
    assert_eq!(ask(&other_session, "coffee", "k-1_A").body, first.body);
    assert_eq!(app.store.payments.counts(), before, "one order");
    // Another key, another user, and no key make separate orders.
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
    // A key belongs to one request, and another product is another request.
    let reply = ask(&token, "salt", "k-1_A");
    assert_eq!((reply.status, reply.code().as_str()), (422, "idempotency_key_reused"));
    assert!(!reply.body.contains("k-1_A"));
    // Once the order is paid, the repeat returns that, and makes no second order.
    let payment = pay_for(&app, "sim-alice", &first.json());
    assert_eq!(call(&app, &step(&token, &payment, "approve")).status, 200);
    let repeated = ask(&token, "coffee", "k-1_A");
    assert_eq!((id(&repeated), &repeated.json()["state"]), (id(&first), &json!("approved")));
    // The orders of an erased user belong to nobody, not even to the same person after a new
    // sign-in.
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
    // A repeat makes no order, and replaces none.
    assert_eq!(ask("7", 2), ask("7", 3));
    assert_eq!((app.store.payments.counts().0, shown(&first)), (20, 200));
    ask("last", 4);
    assert_eq!((app.store.payments.counts().0, shown(&first)), (20, 404));
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
    // The price of an hour ago is still valid. The price of a year ago is not.
    let order = order_of(&app, &token, "coffee");
    let late = pay_at(&order, 500);
    let year = 365 * 24 * 3600;
    assert_eq!(approve_at(&late, 500), (200, None, 1));
    call(&app, &step(&token, &late, "cancel"));
    // The session would have expired, so the order is made older instead.
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
        // The user may have paid a payment that Pi has approved, so its order is accepted at any
        // age.
        app.transport.simulator.ledger.borrow_mut().find(&payment, at(0)).unwrap().is_approved =
            true;
        assert_eq!(approve_at(&payment, 0), (200, None, 0));
        let txid = sign(&app, &payment);
        assert_eq!(call(&app, &complete(&token, &payment, &txid)).json()["state"], "paid");
    }
}

#[test]
fn r7_a_withdrawn_product_is_not_approved_but_completed() {
    let (app, token) = shop();
    let (coffee, salt) = (order_of(&app, &token, "coffee"), order_of(&app, &token, "salt"));
    let approved = pay_for(&app, "sim-alice", &salt);
    assert_eq!(call(&app, &step(&token, &approved, "approve")).status, 200);
    let txid = sign(&app, &approved);
    app.store.payments.products.borrow_mut().clear();
    // The SDK's next attempt gets the same answer, and an approved payment is delivered.
    assert_eq!(call(&app, &step(&token, &approved, "approve")).status, 200);
    assert_eq!(call(&app, &complete(&token, &approved, &txid)).json()["state"], "paid");
    let late = pay_for(&app, "sim-alice", &coffee);
    let reply = stands(&app, &step(&token, &late, "approve"), 409, "order_expired");
    assert_eq!(reply.sent, 1, "one reading");
    assert!(reply.body.contains("POST /orders"));
}

#[test]
fn r6_one_session_cannot_accumulate_orders() {
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
