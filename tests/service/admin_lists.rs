//! The lists that operators read: users, payments, products and the audit, their pages and their
//! search.

use super::*;
use pioneer_session::{
    payment::{Order, Product, Store as _},
    pi::{Amount, TxId},
    service::AuditRow,
    session::{Device, Session, SignIn},
};

const LISTS: [&str; 4] = [
    "/admin/users",
    "/admin/payments",
    "/admin/audit",
    "/admin/users/a11ce000-0000-4000-8000-000000000001/payments",
];

fn get(app: &TestApp, path: &str) -> Reply {
    call(app, &with_token("GET", path, VIEWER))
}

#[track_caller]
fn read(app: &TestApp, path: &str) -> Value {
    let reply = get(app, path);
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    reply.json()
}

/// Adds a user who signed in at this time.
fn add_user(app: &TestApp, uid: &str, username: Option<&str>, now: i64) {
    let id = |text: &str| Identifier::parse(text.into()).unwrap();
    let sign_in = SignIn {
        uid: id(uid),
        username: username.map(Into::into),
        scopes: vec!["payments".into(), "username".into()],
    };
    let (sid, device) = (id(&format!("s-{uid}")), Device::default());
    let lifetimes = &app.settings.lifetimes;
    let session = Session::begin(sid, id(uid), None, None, device, at(now), lifetimes);
    block_on(app.store.memory.open(&sign_in, &session, 10, None)).unwrap();
}

/// Adds a payment that was recorded at this time, and takes it to this state a minute later.
fn add_payment(app: &TestApp, id: &str, uid: &str, state: &str, now: i64) {
    let identifier = |text: String| Identifier::parse(text).unwrap();
    let (payments, uid) = (&app.store.payments, identifier(uid.into()));
    let order = Order {
        id: identifier(format!("order-{id}")),
        uid: Some(uid.clone()),
        product_id: identifier("coffee".into()),
        amount: Amount::parse("3.14").unwrap(),
        memo: "A cup of <script>".into(),
        created_at: at(now - 5),
    };
    let id = identifier(id.into());
    sound(block_on(payments.keep_order(&order))).unwrap();
    sound(block_on(payments.record_payment(&id, &claim_of(&order), at(now)))).unwrap();
    let later = at(now + 60);
    if state == "cancelled" {
        sound(block_on(payments.cancel_payment(&id, &uid, order.amount, later))).unwrap();
    } else if state != "recorded" {
        sound(block_on(payments.approve_payment(&id, later))).unwrap();
    }
    if state == "paid" {
        let txid = TxId::parse(&txid(id.as_str())).unwrap();
        sound(block_on(payments.pay(&id, &txid, at(now + 120)))).unwrap();
    }
}

/// A transaction id that is made of a text.
fn txid(text: &str) -> String {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex:0>64}")
}

/// An app with users of every kind of name.
fn crowded() -> TestApp {
    let app = test_app();
    app.store.payments.products.replace(vec![Product {
        id: "coffee".to_owned().try_into().unwrap(),
        name: "Coffee".into(),
        amount: Amount::parse("3.14").unwrap(),
    }]);
    let names = ["anna", "Anna", "ANNABEL", "an%a", "an_a", "an'a", "bob", "\u{202e}evil", "anñe"];
    for (number, name) in names.into_iter().enumerate() {
        let number = i64::try_from(number).unwrap();
        // Two at a time come in the same second.
        add_user(&app, &format!("uid-{number}"), Some(name), NOW + number / 2);
    }
    add_user(&app, "anna", Some("zed"), NOW + 100);
    add_user(&app, "nameless", None, NOW + 200);
    app
}

/// The values of a member in a list, over all of its pages.
fn all(app: &TestApp, path: &str, list: &str, member: &str, limit: usize) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), String::new());
    let separator = if path.contains('?') { '&' } else { '?' };
    loop {
        let page = read(app, &format!("{path}{separator}limit={limit}{after}"));
        let rows = page[list].as_array().unwrap();
        assert!(rows.len() <= limit);
        let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
        found.extend(rows.iter().map(|row| text(&row[member])));
        match page["next"].as_str() {
            Some(next) => {
                assert_eq!(rows.len(), limit, "a page that is not the last is full");
                after = format!("&after={next}");
            }
            None => {
                assert!(page.get("next").is_none());
                return found;
            }
        }
    }
}

#[test]
fn users_are_listed_newest_first_and_every_page_continues_the_one_before() {
    let app = crowded();
    let uids = all(&app, "/admin/users", "users", "uid", 100);
    assert_eq!(uids.len(), 11);
    assert_eq!(uids[..3], ["nameless", "anna", "uid-8"]);
    assert_eq!(uids[3..5], ["uid-7", "uid-6"], "of one second, the highest uid first");
    for limit in [1, 2, 3, 10, 11] {
        assert_eq!(all(&app, "/admin/users", "users", "uid", limit), uids, "{limit}");
    }
    let expected = json!({
        "uid": "nameless", "scopes": ["payments", "username"], "signIns": 1,
        "firstSeenAt": "2025-10-09T08:56:40Z", "lastSeenAt": "2025-10-09T08:56:40Z",
    });
    assert_eq!(read(&app, "/admin/users?limit=1")["users"][0], expected);
}

#[test]
fn a_search_finds_the_uid_first_and_then_the_names_that_begin_with_the_text() {
    let app = crowded();
    let found = |q: &str| {
        let path = format!("/admin/users?q={q}");
        let whole = all(&app, &path, "users", "uid", 100);
        for limit in [1, 2, 3] {
            assert_eq!(all(&app, &path, "users", "uid", limit), whole, "{q} {limit}");
        }
        whole
    };
    assert_eq!(found("anna"), ["anna", "uid-0", "uid-1", "uid-2"]);
    assert_eq!(found("ANNAB"), ["uid-2"]);
    assert_eq!(found("uid-3"), ["uid-3"]);
    // No character has a meaning of its own.
    for (q, uids) in [
        ("%25", vec![]),
        ("_", vec![]),
        ("an%25", vec!["uid-3"]),
        ("an_", vec!["uid-4"]),
        ("an'", vec!["uid-5"]),
        ("'", vec![]),
        ("%E2%80%AEev", vec!["uid-7"]),
        ("an%C3%B1", vec!["uid-8"]),
        ("an%C3%91", vec![]),
        ("zed", vec!["anna"]),
        ("zedd", vec![]),
        ("nobody", vec![]),
    ] {
        assert_eq!(found(q), uids, "{q}");
    }
    // An empty text is no search.
    assert_eq!(found("").len(), 11);
}

#[test]
fn a_search_for_what_nobody_can_be_called_finds_nothing_and_asks_no_store() {
    let app = crowded();
    app.store.fails.set(true);
    let long = "x".repeat(50 * 1024);
    for q in ["%00", "an%00na", "a%0Ab", "a%7F", &"x".repeat(129), &long, &"%C3%BC".repeat(129)] {
        for list in ["users?q=", "payments?q=", "audit?target=", "audit?actor=", "audit?action="] {
            let reply = get(&app, &format!("/admin/{list}{q}"));
            let name = ["users", "payments", "entries"]
                .into_iter()
                .find(|name| reply.json().get(name) == Some(&json!([])));
            assert_eq!((reply.status, name.is_some()), (200, true), "{list} {q:.20}");
        }
    }
    // A lone surrogate is not UTF-8, and stands for characters that nobody's name has.
    app.store.fails.set(false);
    for q in ["%ED%A0%80", "%FF", "%C0%AF", "%E2%80%AE%E2%80%AE"] {
        assert_eq!(read(&app, &format!("/admin/users?q={q}"))["users"], json!([]), "{q}");
    }
}

#[test]
fn a_query_that_is_not_valid_is_refused() {
    let app = crowded();
    for list in LISTS {
        let list = list.replace(ALICE, "anna");
        for query in [
            "limit=0",
            "limit=101",
            "limit=-1",
            "limit=+1",
            "limit=1.0",
            "limit=",
            "limit=x",
            "limit=99999999999999999999",
            "limit=1&limit=1",
            "after=",
            "after=x",
            "after=AAAA",
            "after=%00",
            "limit=%EF%BC%91",
        ] {
            let reply = get(&app, &format!("{list}?{query}"));
            assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_request"), "{query}");
        }
        assert_eq!(get(&app, &format!("{list}?unknown=1&unknown=2&limit=1")).status, 200);
    }
    for path in [
        "users?q=a&q=a",
        "payments?state=open",
        "payments?state=",
        "payments?stuck=false",
        "payments?state=paid&state=paid",
        "payments?state=paid&stuck=true",
        "payments?q=x&stuck=true",
        "payments?q=x&state=paid",
        "audit?actor=a&target=b",
        "audit?actor=a&action=b",
        "audit?action=a&action=a",
        "overview?range=1h",
        "overview?range=",
        "overview?range=24h&range=24h",
    ] {
        let reply = get(&app, &format!("/admin/{path}"));
        assert_eq!((reply.status, reply.code().as_str()), (400, "invalid_request"), "{path}");
    }
}

/// A cursor of the users, of a search for them, of the payments and of the audit.
fn cursors(app: &TestApp) -> Vec<(&'static str, String)> {
    let paths = [
        "/admin/users?",
        "/admin/users?q=a&",
        "/admin/payments?",
        "/admin/payments?state=paid&",
        "/admin/audit?",
        "/admin/audit?actor=alice&",
        "/admin/users/anna/payments?",
    ];
    paths
        .into_iter()
        .map(|path| {
            let next = read(app, &format!("{path}limit=1"))["next"].as_str().map(str::to_owned);
            (path, next.unwrap_or_else(|| panic!("{path} has one page")))
        })
        .collect()
}

fn audited(id: u64, actor: &str, action: &str, target: Option<&str>) -> AuditRow {
    AuditRow {
        id,
        at: at(NOW),
        actor: actor.into(),
        via: "cli".into(),
        action: action.into(),
        target: target.map(Into::into),
        detail: target.map(|_| r#"{"reason":"<b>\u202e"}"#.into()),
        request_id: "AAAAAAAAAAAAAAAA".into(),
    }
}

fn full() -> TestApp {
    let app = crowded();
    for (number, state) in ["recorded", "approved", "paid", "paid", "cancelled"].iter().enumerate()
    {
        let now = NOW - 10_000 + i64::try_from(number).unwrap();
        add_payment(&app, &format!("payment-{number}"), "anna", state, now);
    }
    app.store.stored.borrow_mut().audit = vec![
        audited(1, "alice", "user.blocked", Some("anna")),
        audited(2, "api", "everyone.sessions_ended", None),
        audited(3, "alice", "user.unblocked", Some("anna")),
    ];
    app
}

#[test]
fn a_changed_or_foreign_cursor_is_refused() {
    let app = full();
    let all = cursors(&app);
    let others = [
        test_app_with(&[("REFRESH_SECRET", "b3RoZXItc2VjcmV0LW9mLXRoZS10ZXN0cy0wMTIzNDU")]),
        test_app_with(&[("SESSION_ISSUER", "https://other.example")]),
    ];
    for (path, cursor) in &all {
        let status = |app: &TestApp, cursor: &str| {
            call(app, &with_token("GET", &format!("{path}after={cursor}"), VIEWER)).status
        };
        assert_eq!(status(&app, cursor), 200, "{path}");
        for (other, foreign) in &all {
            assert_eq!(
                status(&app, foreign),
                if other == path { 200 } else { 400 },
                "{path} {other}"
            );
        }
        for other in others.iter().filter(|_| !path.contains("/anna/")) {
            assert_eq!(status(other, cursor), 400, "{path}: another deployment");
        }
        // Every single character is covered by the code.
        for at in 0..cursor.len() {
            let old = cursor.as_bytes()[at];
            let new = if old == b'A' { "B" } else { "A" };
            let changed = format!("{}{new}{}", &cursor[..at], &cursor[at + 1..]);
            assert_eq!(status(&app, &changed), 400, "{path} {at}");
        }
        for changed in [
            &cursor[1..],
            &cursor[..cursor.len() - 1],
            &format!("{cursor}A"),
            &format!("{cursor}="),
        ] {
            assert_eq!(status(&app, changed), 400, "{path}");
        }
    }
}

#[test]
fn one_user_has_sessions_payments_and_the_size_of_the_data() {
    let app = full();
    let session = call(&app, &sign_in("sim-alice"));
    let token = session.token();
    assert_eq!(call(&app, &put(&token, r#"{"score":"ü"}"#, None)).status, 204);
    call(&app, &sign_in("sim-alice"));
    let shown = read(&app, &format!("/admin/users/{ALICE}"));
    assert_eq!(shown["user"]["signIns"], 2);
    assert_eq!(shown["user"]["username"], "alice_pioneer");
    assert_eq!(shown["data"]["bytes"], 14);
    let etag =
        call(&app, &with_token("GET", "/me/data", &token)).header("etag").unwrap().to_owned();
    assert_eq!(json!(etag.trim_matches('"')), shown["data"]["version"]);
    assert!(!shown.to_string().contains("score"), "the data itself is for owners");
    assert!(read(&app, "/admin/users/anna").get("data").is_none());

    let sessions = read(&app, &format!("/admin/users/{ALICE}/sessions"))["sessions"].clone();
    assert_eq!(sessions.as_array().unwrap().len(), 2);
    let own = call(&app, &with_token("GET", "/sessions", &token)).json();
    for (one, other) in sessions.as_array().unwrap().iter().zip(own["sessions"].as_array().unwrap())
    {
        for member in ["sid", "createdAt", "lastSeenAt", "expiresAt"] {
            assert_eq!(one[member], other[member], "{member}");
        }
    }
    let payments = all(&app, "/admin/users/anna/payments", "payments", "paymentId", 2);
    let expected = ["payment-3", "payment-2", "payment-4", "payment-1", "payment-0"];
    assert_eq!(payments, expected, "the last changed first");
    for path in ["", "/sessions", "/payments"] {
        for uid in ["nobody", "%20", "a%00", &"x".repeat(129), ".."] {
            let reply = get(&app, &format!("/admin/users/{uid}{path}"));
            assert_eq!((reply.status, reply.code().as_str()), (404, "not_found"), "{uid}{path}");
        }
    }
}

#[test]
fn payments_are_listed_by_state_and_found_by_each_of_their_ids() {
    let app = full();
    let list = |query: &str| {
        let path = format!("/admin/payments?{query}");
        let whole = all(&app, &path, "payments", "paymentId", 100);
        for limit in [1, 2] {
            assert_eq!(all(&app, &path, "payments", "paymentId", limit), whole, "{query}");
        }
        whole
    };
    assert_eq!(list("x=1"), ["payment-4", "payment-3", "payment-2", "payment-1", "payment-0"]);
    assert_eq!(list("state=unfinished"), ["payment-1", "payment-0"]);
    assert_eq!(list("stuck=true"), ["payment-0", "payment-1"]);
    assert_eq!(list("state=paid"), ["payment-3", "payment-2"]);
    assert_eq!(list("state=cancelled"), ["payment-4"]);
    for q in ["payment-2", "order-payment-2", &txid("payment-2")] {
        assert_eq!(list(&format!("q={q}")), ["payment-2"], "{q}");
    }
    for q in ["payment-", "%25", "_", "PAYMENT-2", "'", "%ED%A0%80"] {
        assert_eq!(list(&format!("q={q}")), [""; 0], "{q}");
    }
    add_payment(&app, "young", "anna", "approved", NOW - 3600);
    assert_eq!(list("stuck=true").len(), 2, "an hour is not over");
    let stuck = read(&app, "/admin/payments?stuck=true&limit=1")["payments"][0].clone();
    let expected = json!({
        "paymentId": "payment-0", "orderId": "order-payment-0", "uid": "anna", "username": "zed",
        "productId": "coffee", "state": "recorded", "amount": "3.14", "memo": "A cup of <script>",
        "createdAt": "2025-10-09T06:06:40Z", "updatedAt": "2025-10-09T06:06:40Z", "checks": 0,
        "nextCheckAt": "2025-10-09T06:08:40Z", "isStuck": true,
    });
    assert_eq!(stuck, expected);
}

#[test]
fn a_payment_has_its_order_and_what_happened_to_it_in_order() {
    let app = full();
    let events = |id: &str| {
        let shown = read(&app, &format!("/admin/payments/{id}"));
        let timeline = shown["timeline"].as_array().unwrap();
        let text = |event: &Value, name| event[name].as_str().unwrap().to_owned();
        timeline.iter().map(|event| (text(event, "event"), text(event, "at"))).collect::<Vec<_>>()
    };
    let time = |event: &str, later: i64| (event.to_owned(), at(NOW - 10_000 + later).to_rfc3339());
    let expected =
        [time("ordered", -3), time("recorded", 2), time("approved", 62), time("paid", 122)];
    assert_eq!(events("payment-2"), expected);
    assert_eq!(events("payment-4")[2], time("cancelled", 64));
    assert_eq!(events("payment-0").len(), 2);
    let shown = read(&app, "/admin/payments/payment-2");
    assert_eq!(
        (&shown["payment"]["state"], &shown["payment"]["isStuck"]),
        (&json!("paid"), &json!(false))
    );
    assert_eq!(shown["payment"]["approvedAt"], time("", 62).1);
    let order = json!({
        "orderId": "order-payment-2", "productId": "coffee", "amount": "3.14",
        "memo": "A cup of <script>", "createdAt": time("", -3).1,
    });
    assert_eq!(shown["order"], order);
    // A run checks the open ones, and fails.
    let due = sound(block_on(app.store.payments.unfinished(7, at(NOW - 60)))).unwrap();
    let problems: Vec<_> = due.iter().map(|due| (due.record.id.clone(), "pi_refused")).collect();
    sound(block_on(app.store.payments.keep_problems(&problems))).unwrap();
    let id = due[0].record.id.as_str();
    assert_eq!(events(id).last().unwrap(), &("checked".to_owned(), at(NOW - 60).to_rfc3339()));
    let payment = read(&app, &format!("/admin/payments/{id}"))["payment"].clone();
    assert_eq!((&payment["checks"], &payment["problem"]), (&json!(1), &json!("pi_refused")));
    // Once the user is erased, the payment is nobody's.
    app.store.payments.forget(&"anna".to_owned().try_into().unwrap());
    let payment = read(&app, "/admin/payments/payment-2")["payment"].clone();
    assert!(payment.get("uid").is_none() && payment.get("username").is_none(), "{payment}");
    for id in ["nothing", "%20", "a%00", &"x".repeat(129), "order-payment-2"] {
        let reply = get(&app, &format!("/admin/payments/{id}"));
        assert_eq!((reply.status, reply.code().as_str()), (404, "not_found"), "{id}");
    }
}

#[test]
fn the_audit_is_listed_newest_first_and_by_actor_target_or_action() {
    let app = full();
    let list = |query: &str| {
        let path = format!("/admin/audit?{query}");
        let whole = all(&app, &path, "entries", "id", 100);
        assert_eq!(all(&app, &path, "entries", "id", 1), whole, "{query}");
        whole
    };
    assert_eq!(list(""), ["3", "2", "1"]);
    assert_eq!(list("actor=alice"), ["3", "1"]);
    assert_eq!(list("target=anna"), ["3", "1"]);
    assert_eq!(list("action=everyone.sessions_ended"), ["2"]);
    for none in ["actor=Alice", "actor=%25", "target=", "action=user", "actor=%ED%A0%80"] {
        assert_eq!(list(none), [""; 0], "{none}");
    }
    let entry = read(&app, "/admin/audit?limit=1")["entries"][0].clone();
    let expected = json!({
        "id": 3, "at": "2025-10-09T08:53:20Z", "actor": "alice", "via": "cli",
        "action": "user.unblocked", "target": "anna", "detail": { "reason": "<b>\u{202e}" },
        "requestId": "AAAAAAAAAAAAAAAA",
    });
    assert_eq!(entry, expected);
    let entry = read(&app, "/admin/audit?actor=api")["entries"][0].clone();
    assert!(entry.get("target").is_none() && entry.get("detail").is_none());
}

#[test]
fn all_products_are_listed() {
    let app = full();
    let expected = json!({ "products": [
        { "id": "coffee", "name": "Coffee", "amount": "3.14", "active": true },
    ] });
    assert_eq!(read(&app, "/admin/products"), expected);
}

/// The paths of all routes that only read.
pub(super) const READS: [&str; 11] = [
    "/admin/overview",
    "/admin/users",
    "/admin/users/anna",
    "/admin/users/anna/sessions",
    "/admin/users/anna/payments",
    "/admin/payments",
    "/admin/payments/payment-2",
    "/admin/products",
    "/admin/settings",
    "/admin/keys",
    "/admin/audit",
];

#[test]
fn a3_nobody_but_an_operator_reads_anything() {
    let app = full();
    let session = call(&app, &sign_in("sim-alice")).token();
    let token = call(&app, &with_token("POST", "/admin/session", VIEWER));
    let token = token.json()["operatorToken"].as_str().unwrap().to_owned();
    for path in READS {
        for credential in [VIEWER, OWNER, &token] {
            assert_eq!(call(&app, &with_token("GET", path, credential)).status, 200, "{path}");
        }
        let head = call(&app, &with_token("HEAD", path, VIEWER));
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        for credential in ["", "x", CREDENTIAL, session.as_str()] {
            refused(&app, &with_token("GET", path, credential), 401, "operator_rejected");
        }
        refused(&app, &request("GET", path, &[], ""), 401, "operator_rejected");
        refused(&app, &with_token("PUT", path, OWNER), 405, "method_not_allowed");
        let page = with_header(with_token("GET", path, OWNER), "origin", ORIGIN);
        refused(&app, &page, 403, "origin_not_allowed");
        let closed = test_app_with(&[("OPERATOR_CREDENTIALS", "")]);
        assert_eq!(call(&closed, &with_token("GET", path, OWNER)).code(), "not_found");
    }
    app.store.fails.set(true);
    for path in READS.into_iter().filter(|path| *path != "/admin/keys") {
        let reply = call(&app, &with_token("GET", path, VIEWER));
        assert_eq!((reply.status, reply.code().as_str()), (503, "storage_unavailable"), "{path}");
    }
}
