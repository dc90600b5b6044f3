//! The numbers for the operator: what a process counts, when it writes, and what the clock makes.

use super::*;
use pioneer_session::service::{
    Counts as _, Marks, PiCalls, Reconciled, Spent, Sum, keep_counts, write_counts,
};

fn write(app: &TestApp, now: i64) -> bool {
    app.clock.0.set(at(now));
    block_on(write_counts(app)).is_ok()
}

fn n(app: &TestApp, name: &str, label: &str) -> u64 {
    let numbers = app.store.numbers.borrow();
    numbers.iter().filter(|((_, a, b), _)| (*a, *b) == (name, label)).map(|(_, sum)| sum.n).sum()
}

#[test]
fn refusals_and_refreshes_are_counted_and_nothing_else() {
    let app = test_app();
    let session = call(&app, &sign_in("sim-alice"));
    assert!(!app.has_counts_due(), "a sign-in is counted by the store");
    assert_eq!(call(&app, &with_token("GET", "/session", &session.token())).status, 200);
    assert_eq!(call(&app, &request("OPTIONS", "/session/refresh", &[], "")).status, 204);
    assert!(!app.has_counts_due());
    assert_eq!(call(&app, &refresh(&session.refresh())).status, 200);
    assert!(app.has_counts_due());
    for _ in 0..2 {
        assert_eq!(call(&app, &with_token("GET", "/session", "e30.e30.e30")).status, 401);
    }
    assert_eq!(call(&app, &with_token("GET", "/nowhere", "x")).status, 404);
    assert!(write(&app, NOW));
    let expected =
        [(("refresh", ""), 1), (("refused", "not_found"), 1), (("refused", "session_invalid"), 2)];
    let hour = NOW - NOW % 3600;
    let expected = expected
        .into_iter()
        .map(|((name, label), n)| ((hour, name, label), Sum { n, total: 0 }))
        .collect::<Numbers>();
    assert_eq!(*app.store.numbers.borrow(), expected);
    assert!(!app.has_counts_due(), "there is nothing new");
}

#[test]
fn calls_of_pi_and_rows_of_the_database_are_counted_at_the_end() {
    let app = test_app();
    app.count_spent(&Spent { total_ms: 7, d1_ms: 5, ..Spent::default() });
    assert!(!app.has_counts_due(), "there was no call");
    let mut pi = PiCalls::default();
    for (status, milliseconds) in [(Some(200), 90), (Some(200), 101), (Some(404), 80), (None, 5000)]
    {
        pi.add(status, milliseconds);
    }
    for rows_written in [3, 0] {
        app.count_spent(&Spent {
            pi,
            d1_calls: 2,
            rows_read: 10,
            rows_written,
            ..Spent::default()
        });
    }
    assert!(write(&app, NOW));
    let hour = NOW - NOW % 3600;
    let expected = [
        (("pi", "ok.100"), 2, 180),
        (("pi", "ok.200"), 2, 202),
        (("pi", "refused.100"), 2, 160),
        (("pi", "failed.over"), 2, 10_000),
        (("d1", "read"), 4, 20),
        (("d1", "written"), 2, 3),
    ];
    let expected = expected
        .into_iter()
        .map(|((name, label), n, total)| ((hour, name, label), Sum { n, total }))
        .collect::<Numbers>();
    assert_eq!(*app.store.numbers.borrow(), expected);
}

#[test]
fn a_failed_write_keeps_the_numbers_for_the_next_time() {
    let app = test_app();
    app.store.fails.set(true);
    assert_eq!(call(&app, &request("GET", "/products", &[], "")).status, 503);
    assert!(!write(&app, NOW));
    app.store.fails.set(false);
    assert!(write(&app, NOW + 299), "it is not due, so nothing can fail");
    assert_eq!(n(&app, "refused", "storage_unavailable"), 0);
    assert!(write(&app, NOW + 300));
    assert!(write(&app, NOW + 600));
    assert_eq!(n(&app, "refused", "storage_unavailable"), 1);
}

#[test]
fn without_counts_nothing_is_counted() {
    let app = test_app_with(&[("COUNTS", "off")]);
    assert_eq!(call(&app, &request("GET", "/nowhere", &[], "")).status, 404);
    assert!(!app.has_counts_due());
    // The run is marked. Once an hour, what is old is deleted; no number is made.
    let run = || block_on(keep_counts(&app, &Ok(Reconciled::default()))).unwrap();
    assert!(run());
    assert_eq!(app.store.calls.take()[1..], ["roll_up nothing", "forget_entries"]);
    assert!(!run());
    assert_eq!(app.store.calls.borrow().len(), 1);
    assert!(app.store.numbers.borrow().is_empty());
}

#[test]
fn the_clock_makes_the_numbers_once_an_hour_and_catches_up() {
    let app = test_app();
    let run = |now: i64, rows: u64| {
        app.clock.0.set(at(now));
        app.store.marks.set(Marks { rows, ..app.store.marks.get() });
        let has_made = block_on(keep_counts(&app, &Ok(Reconciled::default()))).unwrap();
        let calls = app.store.calls.take();
        assert!(calls[0].starts_with("mark_run {\"paid\":0,"), "{calls:?}");
        assert_eq!(has_made, calls.len() > 1);
        calls[1..].join(", ")
    };
    let day = |days: i64| at(NOW - NOW % 86_400 + days * 86_400).to_rfc3339();
    // The first run ever, in the hour of NOW, which is 08:53:20.
    assert_eq!(run(NOW, 0), format!("roll_up {}, take_stock true, forget_entries", day(-7)));
    assert_eq!(run(NOW + 300, 0), "");
    let hour = NOW + 3600;
    assert_eq!(run(hour, 9_999), format!("roll_up {}, take_stock false, forget_entries", day(-1)));
    assert_eq!(
        run(hour + 3600, 10_000),
        format!("roll_up {}, forget_entries", day(-1)),
        "too many rows"
    );
    let tomorrow = NOW + 86_400;
    assert_eq!(
        run(tomorrow, 10_000),
        format!("roll_up {}, take_stock true, forget_entries", day(-1))
    );
    assert_eq!(run(tomorrow + 3600, 10_000), format!("roll_up {}, forget_entries", day(0)));
    assert_eq!(
        run(tomorrow + 4 * 86_400, 0),
        format!("roll_up {}, take_stock true, forget_entries", day(0))
    );
    assert_eq!(
        run(tomorrow + 40 * 86_400, 0),
        format!("roll_up {}, take_stock true, forget_entries", day(34))
    );
}

#[test]
fn a_run_that_failed_is_marked_with_its_code() {
    let app = test_app();
    let failure = Err(service::Error::Internal("the test"));
    assert!(block_on(keep_counts(&app, &failure)).is_ok());
    assert_eq!(app.store.calls.borrow()[0], "mark_run {\"code\":\"internal\"}");
    app.store.fails.set(true);
    assert!(block_on(keep_counts(&app, &failure)).is_err());
    assert!(block_on(app.store.roll_up(Some(at(0)), at(NOW))).is_err());
}
