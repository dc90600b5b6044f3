//! Payments from the app to a user, which the service never touches.

use super::*;

/// A payment from the app to Alice, on its way to her.
fn pay_out(app: &TestApp) -> String {
    let amount = Amount::from_stroops(500_000_000);
    let mut ledger = app.transport.simulator.ledger.borrow_mut();
    ledger.pay_out("sim-alice", amount, "Prize", json!({ "prize": 1 }), at(0)).unwrap()
}

#[test]
fn r1_the_receiver_of_a_payment_cannot_cancel_or_recover_it() {
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
    // If it was cancelled, has a transaction or was completed, it is still no payment of the user.
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
    // A payment that is stored as the user's turns out to be one of the app.
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
        // Removes it, so that the next one can be made.
        let mut ledger = app.transport.simulator.ledger.borrow_mut();
        ledger.find(&payment, at(0)).unwrap().direction = "user_to_app";
        drop(ledger);
        call(&app, &step(&token, &payment, "cancel"));
    }
}
