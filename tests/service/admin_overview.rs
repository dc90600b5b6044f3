//! The overview, the settings and the keys, as operators read them.

use super::{admin_lists::READS, *};
use pioneer_session::{
    payment::{Order, Store as _},
    pi::{Amount, TxId},
    service::{Limit, Mark, Number},
};

/// 2025-10-09T08:53:20Z is a Thursday. Its hour began 53:20 before.
const HOUR: i64 = NOW - 3200;
const DAY: i64 = HOUR - 8 * 3600;

fn number(at_seconds: i64, name: &str, label: &str, n: u64, total: u64) -> Number {
    Number { at: at(at_seconds), name: name.into(), label: label.into(), n, total }
}

fn mark(name: &str, at_seconds: i64, value: &str) -> Mark {
    Mark { name: name.into(), at: at(at_seconds), value: value.into() }
}

const RAN: &str = r#"{"paid":1,"cancelled":0,"waiting":2,"failed":3,"givenUp":4}"#;

/// An app whose clock runs, with nothing that needs anybody.
fn healthy() -> TestApp {
    let app = test_app();
    app.store.stored.borrow_mut().marks = vec![mark("run", NOW - 100, RAN)];
    app
}

fn overview(app: &TestApp, range: &str) -> Value {
    let reply = call(app, &with_token("GET", &format!("/admin/overview?range={range}"), VIEWER));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

fn needs(app: &TestApp) -> Vec<(String, String)> {
    let shown = overview(app, "24h");
    let needs = shown["needs"].as_array().unwrap();
    let text = |need: &Value, name: &str| need[name].as_str().unwrap().to_owned();
    let levels: Vec<String> = needs.iter().map(|need| text(need, "level")).collect();
    assert!(levels.is_sorted_by_key(|level| level != "urgent"), "the urgent first: {levels:?}");
    for need in needs {
        assert!(text(need, "text").ends_with('.') && text(need, "text").len() < 250, "{need}");
    }
    needs.iter().map(|need| (text(need, "kind"), text(need, "text"))).collect()
}

fn kinds(app: &TestApp) -> Vec<String> {
    needs(app).into_iter().map(|(kind, _)| kind).collect()
}

fn pay(app: &TestApp, id: &str, amount: &str, now: i64) {
    let identifier = |text: String| Identifier::parse(text).unwrap();
    let order = Order {
        id: identifier(format!("order-{id}")),
        uid: Some(identifier("anna".into())),
        product_id: identifier("coffee".into()),
        amount: Amount::parse(amount).unwrap(),
        memo: "A cup".into(),
        created_at: at(now),
    };
    let (payments, id) = (&app.store.payments, identifier(id.into()));
    sound(block_on(payments.keep_order(&order))).unwrap();
    sound(block_on(payments.record_payment(&id, &claim_of(&order), at(now)))).unwrap();
    let hex: String = id.as_str().bytes().map(|byte| format!("{byte:02x}")).collect();
    let txid = TxId::parse(&format!("{hex:0>64}")).unwrap();
    sound(block_on(payments.pay(&id, &txid, at(now)))).unwrap();
}

#[test]
fn on_the_first_day_every_number_is_zero_and_only_the_clock_is_missed() {
    let app = test_app();
    let shown = overview(&app, "24h");
    let nothing = json!({
        "since": "2025-10-09T00:00:00Z", "signIns": 0, "newUsers": 0, "refreshes": 0,
        "paid": { "count": 0, "amount": "0" }, "refused": [], "pi": { "calls": 0, "failed": 0 },
        "d1": { "rowsRead": 0, "rowsWritten": 0, "shareRead": 0.0, "shareWritten": 0.0 },
    });
    assert_eq!(shown["today"], nothing);
    assert_eq!(shown["stock"], json!({}));
    assert!(shown.get("weekAgo").is_none() && shown.get("run").is_none());
    let service = json!({
        "issuer": "https://id.example", "audience": "app", "version": env!("CARGO_PKG_VERSION"),
        "network": "Pi Testnet", "environment": "production", "counts": true,
    });
    assert_eq!((&shown["service"], &shown["at"]), (&service, &json!("2025-10-09T08:53:20Z")));
    assert_eq!(shown["operator"], json!({ "name": "bob", "role": "viewer" }));
    assert_eq!(kinds(&app), ["run_missing"]);
    assert_eq!(kinds(&healthy()), [""; 0]);
}

#[test]
fn the_numbers_of_today_and_of_a_week_ago_are_the_stored_ones() {
    let app = healthy();
    let week = 7 * 86_400;
    app.store.stored.borrow_mut().hours = vec![
        number(HOUR, "sign_in", "new", 3, 0),
        number(DAY, "sign_in", "returning", 9, 0),
        number(DAY - 3600, "sign_in", "new", 1000, 0),
        number(HOUR, "refresh", "", 40, 0),
        number(HOUR, "refused", "session_expired", 7, 0),
        number(DAY, "refused", "session_expired", 64, 0),
        number(HOUR, "refused", "rate_limited", 71, 0),
        number(HOUR, "refused", "not_found", 80, 0),
        number(HOUR, "pi", "ok.200", 400, 40_000),
        number(HOUR, "pi", "ok.800", 29, 20_000),
        number(HOUR, "pi", "failed.over", 2, 9_999),
        number(HOUR, "d1", "read", 50, 1_000),
        number(HOUR, "d1", "written", 50, 200),
        number(HOUR, "made_by_a_later_version", "x", 1, 1),
        number(HOUR - week, "sign_in", "new", 2, 0),
        number(DAY - week, "paid", "", 2, 5),
        number(HOUR + 3600 - week, "sign_in", "new", 500, 0),
        number(DAY - 3600 - week, "sign_in", "new", 500, 0),
    ];
    app.store.stored.borrow_mut().marks.extend([
        mark("users", HOUR, "5"),
        mark("live_sessions", HOUR, "7"),
        mark("roll_up", HOUR, ""),
    ]);
    app.store.stored.borrow_mut().days = vec![
        number(DAY - 86_400, "active_user", "", 4, 0),
        number(DAY - 2 * 86_400, "active_user", "", 9, 0),
    ];
    let shown = overview(&app, "24h");
    let today = json!({
        "since": "2025-10-09T00:00:00Z", "signIns": 12, "newUsers": 3, "refreshes": 40,
        "paid": { "count": 0, "amount": "0" },
        "refused": [
            { "code": "not_found", "count": 80 }, { "code": "rate_limited", "count": 71 },
            { "code": "session_expired", "count": 71 },
        ],
        "pi": { "calls": 431, "failed": 2, "halfUnderMs": 200, "most95UnderMs": 800 },
        "d1": { "rowsRead": 1000, "rowsWritten": 200, "shareRead": 0.0002, "shareWritten": 0.002 },
    });
    assert_eq!(shown["today"], today);
    let earlier = &shown["weekAgo"];
    assert_eq!(
        (&earlier["signIns"], &earlier["since"]),
        (&json!(2), &json!("2025-10-02T00:00:00Z"))
    );
    assert_eq!(earlier["paid"], json!({ "count": 2, "amount": "0.0000005" }));
    let time = at(HOUR).to_rfc3339();
    let stock = json!({
        "users": { "count": 5, "at": time }, "liveSessions": { "count": 7, "at": time },
        "activeYesterday": { "count": 4 },
    });
    assert_eq!(shown["stock"], stock);
    let run: Value = serde_json::from_str(RAN).unwrap();
    assert_eq!(shown["run"], json!({ "at": at(NOW - 100).to_rfc3339(), "outcome": run }));
}

#[test]
fn a_series_has_every_point_of_its_range() {
    let app = healthy();
    {
        let mut stored = app.store.stored.borrow_mut();
        stored.hours = vec![
            number(HOUR, "sign_in", "new", 1, 0),
            number(HOUR - 23 * 3600, "sign_in", "returning", 2, 0),
            number(HOUR - 24 * 3600, "sign_in", "returning", 4, 0),
            number(HOUR - 167 * 3600, "pi", "refused.100", 8, 80),
            number(HOUR - 168 * 3600, "sign_in", "returning", 16, 0),
            number(DAY, "refused", "not_found", 32, 0),
        ];
        stored.days = vec![
            number(DAY, "sign_in", "new", 999, 0),
            number(DAY - 86_400, "sign_in", "new", 5, 0),
            number(DAY - 86_400, "paid", "", 2, 10_000_000),
            number(DAY - 29 * 86_400, "sign_in", "new", 6, 0),
            number(DAY - 30 * 86_400, "sign_in", "new", 7, 0),
            number(DAY - 89 * 86_400, "sign_in", "new", 8, 0),
            number(DAY - 90 * 86_400, "sign_in", "new", 9, 0),
        ];
    }
    for (range, unit, first, points, step) in [
        ("24h", "hour", HOUR - 23 * 3600, 24, 3600),
        ("7d", "hour", HOUR - 167 * 3600, 168, 3600),
        ("30d", "day", DAY - 29 * 86_400, 30, 86_400),
        ("90d", "day", DAY - 89 * 86_400, 90, 86_400),
    ] {
        let series = overview(&app, range)["series"].clone();
        assert_eq!(series["unit"], unit);
        let found = series["points"].as_array().unwrap();
        let times: Vec<i64> = (0..points).map(|point| first + point * step).collect();
        let shown: Vec<Value> = found.iter().map(|point| point["at"].clone()).collect();
        assert_eq!(
            shown,
            times.iter().map(|time| json!(at(*time).to_rfc3339())).collect::<Vec<_>>()
        );
        let sum = |member: &str| -> u64 {
            found.iter().map(|point| point[member].as_u64().unwrap()).sum()
        };
        let expected = match range {
            "24h" => (1, 2),
            "7d" => (1, 6),
            "30d" => (1 + 5 + 6, 0),
            _ => (1 + 5 + 6 + 7 + 8, 0),
        };
        assert_eq!((sum("newUsers"), sum("returning")), expected, "{range}");
        assert_eq!(found.last().unwrap()["newUsers"], 1, "today is made of its hours");
        let today = found.iter().find(|point| point["refused"] == json!({ "not_found": 32 }));
        assert!(today.is_some(), "{range}");
        if range == "7d" {
            assert_eq!(found[0]["pi"], json!({ "calls": 8, "failed": 0, "ms": 80 }));
        }
        if unit == "day" {
            let yesterday = &found[found.len() - 2];
            assert_eq!(yesterday["paid"], json!({ "count": 2, "amount": "1" }));
        }
    }
    let empty = json!({
        "at": at(HOUR - 3600).to_rfc3339(), "newUsers": 0, "returning": 0, "refused": {},
        "paid": { "count": 0, "amount": "0" }, "pi": { "calls": 0, "failed": 0, "ms": 0 },
    });
    assert_eq!(overview(&app, "24h")["series"]["points"][22], empty);
}

#[test]
fn paid_orders_are_exact_before_and_after_a_roll_up() {
    let app = healthy();
    for (id, amount, now) in [
        ("p-1", "3.14", NOW - 1),
        ("p-2", "0.0000001", HOUR),
        ("p-3", "10", HOUR - 1),
        ("p-4", "100", DAY),
        ("p-5", "1000", DAY - 1),
    ] {
        pay(&app, id, amount, now);
    }
    let paid = |app: &TestApp| overview(app, "24h")["today"]["paid"].clone();
    assert_eq!(paid(&app), json!({ "count": 4, "amount": "113.1400001" }));
    // The clock has made the numbers of the earlier hours, and half of this one.
    {
        let mut stored = app.store.stored.borrow_mut();
        stored.marks.push(mark("roll_up", NOW - 600, ""));
        stored.hours = vec![
            number(DAY, "paid", "", 1, 1_000_000_000),
            number(HOUR - 3600, "paid", "", 1, 100_000_000),
            number(HOUR, "paid", "", 1, 1),
        ];
    }
    assert_eq!(paid(&app), json!({ "count": 4, "amount": "113.1400001" }));
}

#[test]
fn every_need_is_found_and_named() {
    let app = healthy();
    let with_hours = |hours: Vec<Number>| {
        app.store.stored.borrow_mut().hours = hours;
        kinds(&app)
    };
    // Pi: few calls say nothing, and a fifth of many says enough, in this hour or the last one.
    for (hour, calls, failed, is_needed) in [
        (HOUR, 15, 4, false),
        (HOUR, 16, 4, true),
        (HOUR - 3600, 16, 4, true),
        (HOUR - 7200, 0, 99, false),
        (HOUR, 97, 24, false),
    ] {
        let hours = vec![
            number(hour, "pi", "ok.100", calls, 0),
            number(hour, "pi", "failed.over", failed, 0),
        ];
        let expected: &[&str] = if is_needed { &["pi_failing"] } else { &[] };
        assert_eq!(with_hours(hours), expected, "{calls} {failed}");
    }
    assert_eq!(
        with_hours(vec![number(DAY, "refused", "refresh_reused", 1, 0)]),
        ["refresh_reused"]
    );
    assert_eq!(with_hours(vec![number(DAY - 3600, "refused", "refresh_reused", 1, 0)]), [""; 0]);
    let rows = |read, written| {
        vec![number(DAY, "d1", "read", 1, read), number(HOUR, "d1", "written", 1, written)]
    };
    assert_eq!(with_hours(rows(3_999_999, 79_999)), [""; 0]);
    assert_eq!(with_hours(rows(4_000_000, 80_000)), ["plan_used", "plan_used"]);
    with_hours(Vec::new());

    for (ran_at, value, kind) in [
        (NOW - 900, RAN, None),
        (NOW - 901, RAN, Some("run_missing")),
        (NOW - 100, r#"{"code":"storage_unavailable"}"#, Some("run_failed")),
    ] {
        app.store.stored.borrow_mut().marks = vec![mark("run", ran_at, value)];
        assert_eq!(kinds(&app), kind.into_iter().collect::<Vec<_>>());
    }
    assert!(needs(&app)[0].1.contains("storage_unavailable"));
    app.store.stored.borrow_mut().marks = vec![mark("run", NOW, RAN)];

    app.limiter.unbound.replace(vec![Limit::SignIns, Limit::Reads]);
    let (kind, text) = needs(&app).remove(0);
    assert!(kind == "limits_missing" && text.contains("SIGN_IN_LIMIT, READ_LIMIT."), "{text}");
}

#[test]
fn stuck_payments_are_counted_with_the_oldest_and_the_most_frequent_problem() {
    let app = healthy();
    let identifier = |text: String| Identifier::parse(text).unwrap();
    let add = |number: i64, now: i64| {
        let order = Order {
            id: identifier(format!("order-{number}")),
            uid: Some(identifier("anna".into())),
            product_id: identifier("coffee".into()),
            amount: Amount::parse("1").unwrap(),
            memo: String::new(),
            created_at: at(now),
        };
        let id = identifier(format!("payment-{number}"));
        sound(block_on(app.store.payments.keep_order(&order))).unwrap();
        sound(block_on(app.store.payments.record_payment(&id, &claim_of(&order), at(now))))
            .unwrap();
        id
    };
    add(0, NOW - 3600);
    assert_eq!(kinds(&app), [""; 0], "an hour is not over");
    let problems = ["pi_refused", "not_paid", "pi_refused"];
    let ids: Vec<_> = (1..4).map(|number| add(number, NOW - 3600 - number)).collect();
    let problems: Vec<_> = ids.into_iter().zip(problems).collect();
    sound(block_on(app.store.payments.keep_problems(&problems))).unwrap();
    let expected = "3 payments are stuck, the oldest since 2025-10-09T07:53:17Z. The most frequent problem is pi_refused.";
    assert_eq!(needs(&app), [("payments_stuck".to_owned(), expected.to_owned())]);
    let need = overview(&app, "24h")["needs"][0].clone();
    assert_eq!((&need["count"], &need["since"]), (&json!(3), &json!("2025-10-09T07:53:17Z")));
    // Pi has cancelled a payment although it has verified the transaction.
    let (cancelled, txid) = (add(9, NOW), TxId::parse(&"ab".repeat(32)).unwrap());
    assert_eq!(kinds(&app), ["payments_stuck"]);
    sound(block_on(app.store.payments.keep_transaction(&cancelled, &txid, at(NOW)))).unwrap();
    let (kind, text) = needs(&app)[1].clone();
    assert_eq!(kind, "payments_contradictory");
    assert!(text.starts_with("1 payment was cancelled at Pi although the user had paid"), "{text}");
    // Weeks later, the scheduled run stops reading the oldest one.
    let mut now = NOW;
    while let Some(due) = sound(block_on(app.store.payments.unfinished(7, at(now)))).unwrap().pop()
    {
        if due.is_last {
            sound(block_on(app.store.payments.give_up(&due.record.id))).unwrap();
            break;
        }
        now += 86_400;
    }
    let found = needs(&app);
    let of =
        |kind: &str| found.iter().find(|(other, _)| other == kind).map(|(_, text)| text.as_str());
    assert!(
        of("payments_stuck").is_some_and(|text| text.starts_with("2 payments are")),
        "{found:?}"
    );
    assert!(of("payments_given_up").is_some_and(|text| text.starts_with("1 payment was given up")));
    for number in 10..70 {
        add(number, NOW - 4000);
    }
    let text = needs(&app).remove(0).1;
    assert!(text.starts_with("More than 50 payments are stuck"), "{text}");
}

#[test]
fn an_old_key_and_missing_settings_are_named_in_production() {
    let with_since =
        |since: &str| KEYS.replace(r#""state""#, &format!(r#""since":{since},"state""#));
    let old = at(NOW - 90 * 86_400).to_rfc3339();
    let young = at(NOW - 90 * 86_400 + 1).to_rfc3339();
    for (since, is_old) in [
        (json!(old), true),
        (json!(young), false),
        (json!("yesterday"), false),
        (json!(7), false),
        (Value::Null, false),
        (json!(at(NOW + 86_400).to_rfc3339()), false),
    ] {
        let app = test_app_with(&[("SESSION_KEYS", &with_since(&since.to_string()))]);
        assert_eq!(kinds(&app).contains(&"key_old".to_owned()), is_old, "{since}");
    }
    let app = test_app_with(&[("SESSION_KEYS", &with_since(&json!(old).to_string()))]);
    let shown = overview(&app, "24h");
    let need = shown["needs"].as_array().unwrap().last().unwrap();
    assert_eq!(need["text"], "The signing key is 90 days old. Replace it.");
    assert!(need["command"].as_str().unwrap().starts_with("npx pioneer-session keys rotate"));

    let unset = [("PI_API_KEY", ""), ("PI_APP_ID", "")];
    assert_eq!(
        kinds(&test_app_with(&unset)),
        ["run_missing", "setting_missing", "setting_missing"]
    );
    // A deployment for operators only settles payments, and signs no user in.
    let admin = [unset.as_slice(), &[("SERVES", "admin")]].concat();
    assert_eq!(kinds(&test_app_with(&admin)), ["run_missing", "setting_missing"]);
    let text = overview(&test_app_with(&admin), "24h")["needs"][1]["text"].to_string();
    assert!(text.contains("no payment can be settled here"), "{text}");
    assert_eq!(kinds(&test_app_with(&[("COUNTS", "off")])), ["run_missing", "counts_off"]);
    let development = [unset.as_slice(), &[("ENVIRONMENT", "development")]].concat();
    assert_eq!(kinds(&test_app_with(&development)), ["run_missing"]);
}

#[test]
fn a_database_without_a_migration_is_named_and_has_no_figures() {
    let app = healthy();
    app.store.stored.borrow_mut().missing = vec!["0009_operators.sql"];
    let shown = overview(&app, "24h");
    assert!(shown.get("today").is_some(), "what can be read is shown");
    app.store.stored.borrow_mut().lacks_tables = true;
    let shown = overview(&app, "24h");
    let expected = json!([{
        "kind": "migration_missing", "level": "urgent",
        "text": "The database lacks 0009_operators.sql. Apply the migrations.",
        "command": "npx wrangler d1 migrations apply DB --remote",
    }]);
    assert_eq!(shown["needs"], expected);
    for member in ["today", "weekAgo", "stock", "run", "series"] {
        assert!(shown.get(member).is_none(), "{member}");
    }
    // The migrations are there, but somebody has dropped a table.
    app.store.stored.borrow_mut().missing.clear();
    assert_eq!(kinds(&app), ["migration_missing"]);
}

#[test]
fn without_counts_there_are_no_figures_rather_than_zeros_and_all_else_is_shown() {
    let app = test_app_with(&[("COUNTS", "off")]);
    let time = at(NOW - 100).to_rfc3339();
    app.store.stored.borrow_mut().marks =
        vec![mark("run", NOW - 100, RAN), mark("users", NOW, "5")];
    // Counted earlier, when the setting was on.
    app.store.stored.borrow_mut().hours = vec![number(HOUR, "sign_in", "new", 3, 0)];
    let identifier = |text: &str| Identifier::parse(text.to_owned()).unwrap();
    let order = Order {
        id: identifier("order"),
        uid: Some(identifier("anna")),
        product_id: identifier("coffee"),
        amount: Amount::parse("1").unwrap(),
        memo: String::new(),
        created_at: at(NOW - 3601),
    };
    sound(block_on(app.store.payments.keep_order(&order))).unwrap();
    let (payments, id, claim) = (&app.store.payments, identifier("payment"), claim_of(&order));
    sound(block_on(payments.record_payment(&id, &claim, at(NOW - 3601)))).unwrap();
    let shown = overview(&app, "24h");
    assert_eq!(shown["service"]["counts"], false);
    for member in ["today", "weekAgo", "stock", "series"] {
        assert!(shown.get(member).is_none(), "{member}");
    }
    let run: Value = serde_json::from_str(RAN).unwrap();
    assert_eq!(shown["run"], json!({ "at": time, "outcome": run }));
    assert_eq!(kinds(&app), ["payments_stuck", "counts_off"]);
}

#[test]
fn the_settings_are_those_in_force_and_every_setting_is_among_them() {
    let app = test_app_with(&[
        ("SESSION_TTL", "60"),
        ("PI_APP_ID", ""),
        ("ALLOWED_ORIGINS", "https://b.example , https://a.example"),
    ]);
    app.limiter.unbound.replace(vec![Limit::Ads]);
    app.store.stored.borrow_mut().missing = vec!["0009_operators.sql"];
    let shown = call(&app, &with_token("GET", "/admin/settings", VIEWER)).json();
    let list = |member: &str| shown[member].as_array().unwrap().clone();
    let name = |row: &Value| row["name"].as_str().unwrap().to_owned();
    // Every name that the settings are read by, and no other.
    let asked = std::cell::RefCell::new(Vec::new());
    let _ = service::Settings::read(|name| {
        asked.borrow_mut().push(name.to_owned());
        let base = [
            ("SESSION_ISSUER", "https://id.example"),
            ("SESSION_AUDIENCE", "app"),
            ("SESSION_KEYS", KEYS),
            ("REFRESH_SECRET", REFRESH_SECRET),
        ];
        Ok(base.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned()))
    });
    let mut asked = asked.into_inner();
    let mut named: Vec<String> =
        list("settings").iter().chain(&list("secrets")).map(name).collect();
    asked.sort();
    named.sort();
    asked.dedup();
    assert_eq!(named, asked);
    let value = |name: &str| {
        list("settings").into_iter().find(|row| row["name"] == name).unwrap().get("value").cloned()
    };
    for (name, expected) in [
        ("SESSION_TTL", Some("60")),
        ("REFRESH_IDLE_TTL", Some("604800")),
        ("PI_APP_ID", None),
        ("ALLOWED_ORIGINS", Some("https://b.example,https://a.example")),
        ("SERVES", Some("all")),
        ("ENVIRONMENT", Some("production")),
        ("RATE_LIMITS", Some("on")),
        ("SESSION_COOKIE", Some("off")),
    ] {
        assert_eq!(value(name), expected.map(|text| json!(text)), "{name}");
    }
    let unset: Vec<String> = ["secrets", "bindings"]
        .iter()
        .flat_map(|member| list(member))
        .filter(|row| row["isSet"] == false)
        .map(|row| name(&row))
        .collect();
    assert_eq!(unset, ["SESSION_KEYS_NEXT", "AD_LIMIT"]);
    assert_eq!(list("bindings").len(), 1 + Limit::ALL.len());
    let schema =
        json!({ "newest": "0010_contradictory_payments.sql", "missing": ["0009_operators.sql"] });
    assert_eq!((&shown["schema"], &shown["version"]), (&schema, &json!(env!("CARGO_PKG_VERSION"))));
}

/// A second key, of which only the public half is here.
const NEXT: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519",
    "x":"7cpX1e1RNxjvbvMZULpv73V7H8q4ALte1Fmgw6IjfKw",
    "kid":"GSFPFdfQX1Md-25zEXaxYxtvRdFGcYt6Qq9jKAwzfn4","state":"next","since":"2025-10-08T08:53:21Z"}]}"#;

#[test]
fn a2_keys_are_shown_with_their_public_half_only() {
    let keys = KEYS.replace(r#""state""#, r#""since":"2025-09-09T08:53:20Z","state""#);
    let app = test_app_with(&[("SESSION_KEYS", &keys), ("SESSION_KEYS_NEXT", NEXT)]);
    let reply = call(&app, &with_token("GET", "/admin/keys", VIEWER));
    let jwks = call(&app, &request("GET", "/.well-known/jwks.json", &[], "")).json();
    let expected = json!({ "keys": [
        { "kid": jwks["keys"][0]["kid"], "state": "active", "since": "2025-09-09T08:53:20Z",
          "ageDays": 30, "jwk": jwks["keys"][0] },
        { "kid": jwks["keys"][1]["kid"], "state": "next", "since": "2025-10-08T08:53:21Z",
          "ageDays": 0, "jwk": jwks["keys"][1] },
    ] });
    assert_eq!((reply.status, reply.json()), (200, expected));
    let plain = call(&test_app(), &with_token("GET", "/admin/keys", VIEWER)).json();
    assert!(plain["keys"][0].get("since").is_none() && plain["keys"][0].get("ageDays").is_none());
}

#[test]
fn a2_no_answer_to_an_operator_has_the_text_of_a_secret() {
    let app = test_app_with(&[("SESSION_KEYS_NEXT", NEXT)]);
    let session = call(&app, &sign_in("sim-alice"));
    let token = call(&app, &with_token("POST", "/admin/session", OWNER));
    let token = token.json()["operatorToken"].as_str().unwrap().to_owned();
    let hashes = [BACKENDS, OPERATORS].into_iter().flat_map(|setting| setting.split('"'));
    let hashes = hashes.filter(|part| part.len() == 64).map(str::to_owned);
    let mut secrets: Vec<String> = hashes.collect();
    assert_eq!(secrets.len(), 4);
    secrets.extend(
        [
            SEED,
            REFRESH_SECRET,
            pioneer_session::simulator::SERVER_API_KEY,
            CREDENTIAL,
            OWNER,
            VIEWER,
            token.as_str(),
        ]
        .map(str::to_owned),
    );
    secrets.extend([session.token(), session.refresh()]);
    let paths = READS.iter().map(|path| path.replace("anna", ALICE));
    for path in paths.filter(|path| !path.contains("payment-2")) {
        let reply = call(&app, &with_token("GET", &path, VIEWER));
        assert_eq!(reply.status, 200, "{path}");
        for secret in &secrets {
            assert!(!reply.body.contains(secret.as_str()), "{path}");
        }
    }
}
