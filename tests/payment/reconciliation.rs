//! The scheduled run: reconciling payments, and deleting old rows.

use super::*;

#[test]
fn the_clock_finishes_payments_that_were_left_between_two_steps() {
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
    // Pi acted, and the Worker stopped before it could write.
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

    // Paid on the chain but not completed; cancelled at Pi; still open; never approved.
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

    // An unreadable payment does not delay the others, and is counted.
    let first = pay_for(&app, "sim-alice", &order());
    call(&app, &step(&token, &first, "approve"));
    sign(&app, &first);
    fails(&app, Step::Get, FaultKind::Html500, 1, Some(1));
    let failed = vec![(first.clone().try_into().unwrap(), "upstream_unavailable")];
    let problem = || app.store.payments.problem(&first.clone().try_into().unwrap());
    assert_eq!(problem(), None);
    assert_eq!(reconcile(1000), Reconciled { failed, ..Reconciled::default() });
    assert_eq!(problem(), Some("upstream_unavailable"));
    assert_eq!(reconcile(1300), Reconciled { paid: 1, ..Reconciled::default() });
    // Pi's 404 ends nothing: with another app's key, Pi knows none of them.
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
    // Approved at Pi, and the Worker stopped: the user may pay.
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
    // The payment of an erased user is finished, and belongs to nobody.
    let last = pay_for(&app, "sim-alice", &order());
    call(&app, &step(&token, &last, "approve"));
    sign(&app, &last);
    call(&app, &with_token("DELETE", "/me", &token));
    assert_eq!(reconcile(1000), Reconciled { paid: 1, ..Reconciled::default() });
    let seen = call(&app, &backend("GET", &format!("/users/{ALICE}/payments"))).json();
    assert_eq!(seen["payments"], json!([]));
    // The key of another app.
    assert!(block_on(service::reconcile(&test_app_with(&[("PI_API_KEY", "")]))).is_ok());
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
        block_on(app.store.payments.record_payment(&id, &claim_of(&order), at(-1000))).unwrap();
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

fn reconcile_at(app: &TestApp, later: i64) -> Reconciled {
    app.transport.simulator.now.set(at(later));
    app.clock.0.set(at(later));
    block_on(service::reconcile(app)).unwrap()
}

#[test]
fn r9_a_payment_is_given_up_and_still_completed_when_its_user_comes_back() {
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
fn r9_a_run_ends_by_time_and_leaves_the_rest_to_the_next_run() {
    let (app, alice) = shop();
    let bob = call(&app, &sign_in("sim-bob")).token();
    let carol = call(&app, &sign_in("sim-no-username")).token();
    for (persona, token) in [("sim-alice", &alice), ("sim-bob", &bob), ("sim-no-username", &carol)]
    {
        let payment = approved(&app, persona, token);
        sign(&app, &payment);
    }
    // Each payment takes two requests: a read and a completion.
    app.transport.takes.set(75);
    assert_eq!(reconcile_at(&app, 1000).paid, 1, "none begins after 150 seconds");
    app.transport.takes.set(0);
    assert_eq!(reconcile_at(&app, 1300).paid, 2, "the rest was not looked at, and is due");
}

#[test]
fn r9_a_run_has_as_many_payments_as_the_plan_allows() {
    for (changes, expected) in
        [(vec![], 7), (vec![("RECONCILE_LIMIT", "1")], 1), (vec![("RECONCILE_LIMIT", "100")], 20)]
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
            block_on(app.store.payments.record_payment(&id, &claim_of(&order), at(0))).unwrap();
        }
        assert_eq!(reconcile_at(&app, 1000).failed.len(), expected);
    }
    for bad in ["0", "101", "-1", "seven", "1.5"] {
        let wrong = settings(&[("RECONCILE_LIMIT", bad)]).unwrap_err();
        assert_eq!(wrong.setting, "RECONCILE_LIMIT");
    }
}

#[test]
fn r9_without_a_key_no_payment_loses_its_turn() {
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
fn r6_the_clock_deletes_old_rows_in_batches() {
    for (reconcile_limit, expected) in [("7", 500), ("13", 500), ("100", 700)] {
        let changes = [("RECONCILE_LIMIT", reconcile_limit)];
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
