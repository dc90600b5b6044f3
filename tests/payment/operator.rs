//! Operators and money: settling and cancelling payments, and changing prices.

use super::*;
use pioneer_session::payment::Offer;

fn admin(credential: &str, method: &str, path: &str, body: &Value) -> Request<Vec<u8>> {
    with_body(method, &format!("/admin/{path}"), credential, body)
}

fn owner(app: &TestApp, method: &str, path: &str) -> Reply {
    call(app, &admin(OWNER, method, path, &json!({})))
}

/// The action, the target and the detail of each entry, the oldest first.
fn audit(app: &TestApp) -> Vec<(String, String, Value)> {
    let stored = app.store.stored.borrow();
    let entries = stored.audit.iter().map(|entry| {
        let detail =
            entry.detail.as_deref().map_or(Value::Null, |it| serde_json::from_str(it).unwrap());
        (entry.action.clone(), entry.target.clone().unwrap(), detail)
    });
    entries.collect()
}

fn settled(payment: &str, before: &str, after: &str) -> (String, String, Value) {
    let detail = json!({ "before": before, "after": after });
    ("payment.settled".into(), payment.into(), detail)
}

/// The entry before Pi is asked for this step.
fn asked(payment: &str, step: &str) -> (String, String, Value) {
    ("payment.asked".into(), payment.into(), json!({ "step": step }))
}

#[test]
fn an_owner_settles_a_payment_as_the_clock_does() {
    let (app, token) = shop();
    // The user has paid, and the page was closed.
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    call(&app, &step(&token, &payment, "approve"));
    let path = format!("payments/{payment}/settle");
    let waits = owner(&app, "POST", &path);
    assert_eq!((waits.status, &waits.json()["state"]), (200, &json!("approved")));
    let txid = sign(&app, &payment);
    let paid = owner(&app, "POST", &path);
    assert_eq!(paid.status, 200, "{paid:?}");
    assert_eq!((&paid.json()["state"], &paid.json()["txid"]), (&json!("paid"), &json!(txid)));
    let again = owner(&app, "POST", &path);
    assert_eq!((again.json(), again.sent), (paid.json(), 0));
    let me = call(&app, &with_token("GET", "/me", &token)).json();
    assert_eq!(me["purchases"].as_array().unwrap().len(), 1, "once");
    let cancel = owner(&app, "POST", &format!("payments/{payment}/cancel"));
    assert_eq!(cancel.code(), "payment_has_transaction");
    let mut expected = vec![
        settled(&payment, "approved", "approved"),
        asked(&payment, "complete"),
        settled(&payment, "approved", "paid"),
        settled(&payment, "paid", "paid"),
    ];
    let detail = json!({ "before": "paid", "after": "paid", "problem": "payment_has_transaction" });
    expected.push(("payment.cancelled".into(), payment, detail));
    assert_eq!(audit(&app), expected);
}

#[test]
fn an_owner_settles_what_pi_approved_or_cancelled_and_an_approval_was_lost() {
    let (app, token) = shop();
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    // Pi approves, and the Worker stops before it can write.
    fails(&app, Step::Approve, FaultKind::Html500, 1, None);
    assert_eq!(call(&app, &step(&token, &payment, "approve")).status, 503);
    app.transport.simulator.ledger.borrow_mut().approve("simulated-app", &payment, at(0)).unwrap();
    let path = format!("payments/{payment}/settle");
    let approved = owner(&app, "POST", &path);
    assert_eq!((approved.status, &approved.json()["state"]), (200, &json!("approved")));
    app.transport.simulator.ledger.borrow_mut().cancel_by_user(&payment, at(0)).unwrap();
    assert_eq!(owner(&app, "POST", &path).json()["state"], "cancelled");
    assert_eq!(owner(&app, "POST", &path).json()["state"], "cancelled");
    assert_eq!(
        audit(&app),
        [
            settled(&payment, "recorded", "approved"),
            settled(&payment, "approved", "cancelled"),
            settled(&payment, "cancelled", "cancelled"),
        ]
    );
}

#[test]
fn an_owner_cancels_only_a_payment_without_a_transaction() {
    let (app, token) = shop();
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    call(&app, &step(&token, &payment, "approve"));
    let path = format!("payments/{payment}/cancel");
    // A failure of Pi changes nothing, and is in the audit.
    fails(&app, Step::Get, FaultKind::Html500, 1, Some(1));
    assert_eq!(owner(&app, "POST", &path).code(), "upstream_unavailable");
    assert_eq!(owner(&app, "POST", &path).json()["state"], "cancelled");
    assert_eq!(owner(&app, "POST", &path).json()["state"], "cancelled");
    let signed = pay_for(&app, "sim-alice", &order_of(&app, &token, "salt"));
    call(&app, &step(&token, &signed, "approve"));
    sign(&app, &signed);
    let reply = owner(&app, "POST", &format!("payments/{signed}/cancel"));
    assert_eq!((reply.status, reply.code().as_str()), (409, "payment_has_transaction"));
    let details: Vec<Value> = audit(&app).into_iter().map(|(.., detail)| detail).collect();
    let of = |before: &str, after: &str| json!({ "before": before, "after": after });
    let mut expected = [
        of("approved", "approved"),
        json!({ "step": "cancel" }),
        of("approved", "cancelled"),
        of("cancelled", "cancelled"),
        of("approved", "approved"),
    ];
    expected[0]["problem"] = json!("upstream_unavailable");
    expected[4]["problem"] = json!("payment_has_transaction");
    assert_eq!(details, expected);
    for id in ["nothing", "%00", "a%2Fb"] {
        for step in ["settle", "cancel"] {
            let reply = owner(&app, "POST", &format!("payments/{id}/{step}"));
            assert_eq!((reply.status, reply.code().as_str()), (404, "not_found"), "{id}");
        }
    }
    assert_eq!(audit(&app).len(), 5);
}

#[test]
fn the_audit_says_who_had_pi_asked_although_the_outcome_was_lost() {
    // An order is read before a payment is completed.
    for (step, reads, is_paid) in [("settle", 2, true), ("cancel", 1, false)] {
        let (app, token) = shop();
        let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
        call(&app, &super::step(&token, &payment, "approve"));
        if is_paid {
            sign(&app, &payment);
        }
        let at_pi = || {
            let mut ledger = app.transport.simulator.ledger.borrow_mut();
            let payment = ledger.find(&payment, at(0)).unwrap();
            (payment.is_completed, payment.is_cancelled)
        };
        let fail_after = |calls| {
            app.store.fails_after.set(Some(calls));
            let reply = owner(&app, "POST", &format!("payments/{payment}/{step}"));
            app.store.fails.set(false);
            assert_eq!((reply.status, reply.code().as_str()), (503, "storage_unavailable"));
        };
        fail_after(reads);
        assert_eq!((audit(&app), at_pi()), (vec![], (false, false)), "no entry, no request");
        fail_after(reads + 1);
        let asked = asked(&payment, if is_paid { "complete" } else { "cancel" });
        assert_eq!((audit(&app), at_pi()), (vec![asked], (is_paid, !is_paid)));
    }
}

#[test]
fn s8_the_audit_finds_the_payments_of_a_user_until_the_erasure() {
    let (app, token) = shop();
    let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
    call(&app, &step(&token, &payment, "approve"));
    owner(&app, "POST", &format!("payments/{payment}/settle"));
    let entries = |target: &str| {
        let path = format!("/admin/audit?target={target}");
        let reply = call(&app, &with_token("GET", &path, VIEWER));
        (reply.json()["entries"].as_array().unwrap().len(), reply.body.contains(ALICE))
    };
    assert_eq!([entries(ALICE), entries(&payment)], [(1, false), (1, false)]);
    assert_eq!(call(&app, &with_token("DELETE", "/me", &token)).status, 204);
    assert_eq!([entries(ALICE), entries(&payment)], [(0, false), (1, false)]);
}

#[test]
fn a_payment_in_flight_of_an_erased_user_is_finished_without_a_name() {
    for by_clock in [true, false] {
        let (app, token) = shop();
        let payment = pay_for(&app, "sim-alice", &order_of(&app, &token, "coffee"));
        call(&app, &step(&token, &payment, "approve"));
        sign(&app, &payment);
        let path = format!("users/{ALICE}?confirm={ALICE}");
        for _ in 0..2 {
            assert_eq!(owner(&app, "DELETE", &path).status, 204);
        }
        if by_clock {
            app.clock.0.set(at(200));
            assert_eq!(block_on(service::reconcile(&app)).unwrap().paid, 1);
        } else {
            assert_eq!(
                owner(&app, "POST", &format!("payments/{payment}/settle")).json()["state"],
                "paid"
            );
        }
        let id: Identifier = payment.try_into().unwrap();
        let record = block_on(app.store.payment(&id)).unwrap().unwrap();
        assert_eq!((record.state, record.uid), (State::Paid, None));
    }
}

#[test]
fn an_owner_adds_a_product_and_changes_it() {
    let (app, token) = shop();
    let add = |body: &Value| call(&app, &admin(OWNER, "POST", "products", body));
    let name = "<script> \u{202e}__proto__ \"tea\"";
    let tea = json!({ "id": "tea", "name": name, "amount": "2.50" });
    let reply = add(&tea);
    let shown = json!({ "id": "tea", "name": name, "amount": "2.5", "active": true });
    assert_eq!((reply.status, reply.json()), (201, shown));
    let again = add(&tea);
    assert_eq!((again.status, again.code().as_str()), (409, "product_exists"));
    let order = order_of(&app, &token, "tea");
    assert_eq!((&order["amount"], &order["memo"]), (&json!("2.5"), &json!(name)));

    let change = |body: &Value| call(&app, &admin(OWNER, "PATCH", "products/tea", body));
    let reply = change(&json!({ "amount": "900719925.4740991" }));
    assert_eq!((reply.status, &reply.json()["amount"]), (200, &json!("900719925.4740991")));
    assert_eq!(change(&json!({ "active": false })).json()["active"], false);
    let gone = call(&app, &with_body("POST", "/orders", &token, &json!({ "productId": "tea" })));
    assert_eq!(gone.code(), "product_not_found");
    let both = change(&json!({ "active": true, "amount": "0.0000001" }));
    assert_eq!(
        (&both.json()["active"], &both.json()["amount"]),
        (&json!(true), &json!("0.0000001"))
    );
    let changed = |old: Value, new: Value| {
        ("product.changed".to_owned(), "tea".to_owned(), json!({ "old": old, "new": new }))
    };
    let terms = |amount: &str, active: bool| json!({ "amount": amount, "active": active });
    let most = "900719925.4740991";
    let expected = vec![
        ("product.added".into(), "tea".into(), json!({ "name": name, "amount": "2.5" })),
        changed(terms("2.5", true), terms(most, true)),
        changed(terms(most, true), terms(most, false)),
        changed(terms(most, false), terms("0.0000001", true)),
    ];
    assert_eq!(audit(&app), expected);
}

#[test]
fn a_wrong_product_or_price_changes_nothing() {
    let (app, _) = shop();
    let offers = || {
        ["coffee", "salt", "tea"].map(|id| {
            let found: Option<Offer> =
                block_on(app.store.offer(&id.to_owned().try_into().unwrap())).unwrap();
            found
        })
    };
    let before = offers();
    let mut wrong =
        ["", "0", "0.0", "-1", "+1", "1.00000000", "0.12345678", "1e3", " 1", "1.", ".5"]
            .map(|text| json!(text))
            .to_vec();
    wrong.extend(
        ["1,5", "NaN", "0x1", "900719925.4740992", "9007199254740992", "99999999999999999999"]
            .map(|text| json!(text)),
    );
    wrong.extend([json!(2.5), json!(0), json!(9_007_199_254_740_992_u64), json!(["1"]), json!({})]);
    for amount in wrong {
        let new = json!({ "id": "tea", "name": "Tea", "amount": amount });
        for request in [
            admin(OWNER, "POST", "products", &new),
            admin(OWNER, "PATCH", "products/coffee", &json!({ "amount": amount })),
            admin(OWNER, "PATCH", "products/coffee", &json!({ "amount": amount, "active": false })),
        ] {
            let reply = call(&app, &request);
            assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_request"), "{amount}");
        }
    }
    let long = "x".repeat(101);
    for (member, value) in [
        ("name", json!("")),
        ("name", json!(" ")),
        ("name", json!("a\nb")),
        ("name", json!(long)),
        ("name", json!(null)),
        ("id", json!("")),
        ("id", json!("a b")),
        ("id", json!("é")),
        ("id", json!("x".repeat(129))),
    ] {
        let mut new = json!({ "id": "tea", "name": "Tea", "amount": "1" });
        new[member] = value;
        assert_eq!(
            call(&app, &admin(OWNER, "POST", "products", &new)).code(),
            "invalid_request",
            "{new}"
        );
    }
    for change in
        [json!({}), json!({ "active": 1 }), json!({ "active": null }), json!({ "amount": null })]
    {
        let reply = call(&app, &admin(OWNER, "PATCH", "products/coffee", &change));
        assert_eq!(reply.code(), "invalid_request", "{change}");
    }
    for id in ["tea", "%00", "__proto__"] {
        let reply = call(
            &app,
            &admin(OWNER, "PATCH", &format!("products/{id}"), &json!({ "active": true })),
        );
        assert_eq!((reply.status, reply.code().as_str()), (404, "product_not_found"), "{id}");
    }
    assert_eq!(offers(), before);
    assert_eq!(audit(&app), Vec::new());
}
