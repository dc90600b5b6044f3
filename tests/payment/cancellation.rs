//! Payments that Pi cancelled, with and without a transaction.

use super::*;

#[test]
fn r10_a_cancelled_payment_with_a_verified_transaction_is_kept_for_a_person() {
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
            // A payment that is approved here is answered from the store.
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
        let needs = call(&app, &with_token("GET", "/admin/overview", VIEWER)).json();
        let kinds: Vec<&Value> =
            needs["needs"].as_array().unwrap().iter().map(|need| &need["kind"]).collect();
        assert!(kinds.contains(&&json!("payments_contradictory")), "{kinds:?}");
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
    // Pi reports something else.
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
