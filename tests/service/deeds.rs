//! The deeds of operators and backends about users and sessions, and their entries in the audit.

use super::*;

fn body(credential: &str, method: &str, path: &str, body: &Value) -> Request<Vec<u8>> {
    let bearer = format!("Bearer {credential}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    request(method, path, &headers, &body.to_string())
}

fn token_of(app: &TestApp) -> String {
    let reply = call(app, &with_token("POST", "/admin/session", OWNER));
    reply.json()["operatorToken"].as_str().unwrap().to_owned()
}

/// The entries, the oldest first, without their numbers, times and request ids.
pub fn audit(app: &TestApp) -> Vec<Value> {
    let reply = call(app, &with_token("GET", "/admin/audit?limit=100", VIEWER));
    let mut entries = reply.json()["entries"].as_array().unwrap().clone();
    entries.reverse();
    for entry in &mut entries {
        let entry = entry.as_object_mut().unwrap();
        for member in ["id", "at", "requestId"] {
            assert!(entry.remove(member).is_some(), "{member}");
        }
    }
    entries
}

fn user_path(rest: &str) -> String {
    format!("/admin/users/{ALICE}{rest}")
}

fn uid() -> Identifier {
    ALICE.to_owned().try_into().unwrap()
}

#[test]
fn an_owner_revokes_one_session_those_of_a_user_and_all() {
    let app = test_app();
    let sids = || [0, 1].map(|_| call(&app, &sign_in("sim-alice")));
    let is_live = |reply: &Reply| call(&app, &with_token("GET", "/session", &reply.token())).status;
    let [first, second] = sids();
    let bob = call(&app, &sign_in("sim-bob"));
    let sid = claims(&app, &first).sid;
    let one = with_token("DELETE", &format!("/admin/sessions/{sid}"), &token_of(&app));
    let reply = call(&app, &one);
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    assert_eq!([is_live(&first), is_live(&second)], [401, 200]);
    refused(&app, &one, 404, "not_found");
    let revoke = with_token("POST", &user_path("/revoke"), OWNER);
    assert_eq!(call(&app, &revoke).status, 204);
    assert_eq!([is_live(&second), is_live(&bob)], [401, 200]);
    assert_eq!(call(&app, &refresh(&second.refresh())).code(), "refresh_rejected");
    for id in ["nobody", "%00", "a%2Fb", "__proto__%22"] {
        refused(
            &app,
            &with_token("POST", &format!("/admin/users/{id}/revoke"), OWNER),
            404,
            "not_found",
        );
        refused(
            &app,
            &with_token("DELETE", &format!("/admin/sessions/{id}"), OWNER),
            404,
            "not_found",
        );
    }
    let all = |confirm: &Value| call(&app, &body(OWNER, "POST", "/admin/revoke-all", confirm));
    for confirm in [json!({}), json!({ "confirm": "App" }), json!({ "confirm": "" })] {
        let reply = all(&confirm);
        assert_eq!((reply.status, reply.code().as_str()), (422, "confirmation_required"));
    }
    assert_eq!(all(&json!({ "confirm": null })).code(), "invalid_request");
    assert_eq!(is_live(&bob), 200);
    assert_eq!(all(&json!({ "confirm": "app" })).status, 204);
    assert_eq!(is_live(&bob), 401);
    let entry = |via: &str, action: &str| json!({ "actor": "alice", "via": via, "action": action });
    let mut expected = [
        entry("console", "session.ended"),
        entry("cli", "user.sessions_ended"),
        entry("cli", "everyone.sessions_ended"),
    ];
    expected[0]["target"] = json!(ALICE);
    expected[0]["detail"] = json!({ "sid": sid.as_str() });
    expected[1]["target"] = json!(ALICE);
    assert_eq!(audit(&app), expected);
}

#[test]
fn a_deed_of_a_backend_has_an_entry_with_its_name() {
    let app = test_app();
    call(&app, &sign_in("sim-alice"));
    assert_eq!(call(&app, &backend("POST", &format!("/users/{ALICE}/revoke"))).status, 204);
    assert_eq!(call(&app, &backend("POST", "/users/nobody/revoke")).status, 204);
    assert_eq!(call(&app, &backend("POST", "/revoke-all")).status, 204);
    let message = json!({ "title": "a", "body": "b", "userUid": ALICE, "subroute": "/" });
    let stranger = json!({ "title": "a", "body": "b", "userUid": "nobody", "subroute": "/" });
    let notifications = json!({ "notifications": [message, message, stranger] });
    let reply = call(&app, &body(CREDENTIAL, "POST", "/notifications", &notifications));
    assert_eq!(reply.status, 200, "{reply:?}");
    // Pi's answer is lost, so nobody knows whether this one was delivered.
    let lost = http::Response::builder().status(201).header("content-type", "text/html");
    app.transport.prepared.replace(Some(lost.body("<html>".into()).unwrap()));
    let one = json!({ "notifications": [message] });
    assert_eq!(call(&app, &body(CREDENTIAL, "POST", "/notifications", &one)).status, 200);
    let of = |action: &str| json!({ "actor": "api", "via": "backend", "action": action });
    let mut expected = [
        of("user.sessions_ended"),
        of("everyone.sessions_ended"),
        of("notifications.asked"),
        of("notifications.sent"),
        of("notifications.asked"),
        of("notifications.sent"),
    ];
    expected[0]["target"] = json!(ALICE);
    expected[2]["detail"] = json!({ "requested": 3 });
    expected[3]["detail"] = json!({ "requested": 3, "delivered": 2, "unconfirmed": 0 });
    expected[4]["detail"] = json!({ "requested": 1 });
    expected[5]["detail"] = json!({ "requested": 1, "delivered": 0, "unconfirmed": 1 });
    assert_eq!(audit(&app), expected, "nobody has no entry");
    // Without the first entry, Pi is not asked. What was sent cannot be taken back.
    for (calls, status, sent) in [(0, 503, 0), (1, 200, 1)] {
        app.store.fails_after.set(Some(calls));
        let reply = call(&app, &body(CREDENTIAL, "POST", "/notifications", &notifications));
        app.store.fails.set(false);
        assert_eq!((reply.status, reply.sent), (status, sent));
    }
}

#[test]
fn the_entry_leads_to_the_line_in_the_log() {
    let app = test_app();
    call(&app, &sign_in("sim-alice"));
    let request = with_token("POST", &user_path("/revoke"), OWNER);
    let response = block_on(service::handle(&app, &request, entropy()));
    let entry = response.extensions().get::<service::LogEntry>().unwrap();
    assert_eq!(entry.event.name(), "operator.sessions_ended");
    assert_eq!(entry.facts.operator.as_deref(), Some("alice"));
    let stored = app.store.stored.borrow().audit.last().unwrap().clone();
    assert_eq!((stored.request_id, stored.at), (entry.request_id.clone(), app.clock.0.get()));
}

#[test]
fn a_blocked_user_has_no_session_and_gets_none() {
    let app = test_app();
    let session = call(&app, &sign_in("sim-alice"));
    let block = |reason: &Value| {
        call(&app, &body(OWNER, "POST", &user_path("/block"), &json!({ "reason": reason })))
    };
    let hostile = "<script>alert(1)</script> \u{202e}evil \"\\ __proto__ 🥧";
    assert_eq!(block(&json!(hostile)).status, 204);
    assert_eq!(call(&app, &with_token("GET", "/session", &session.token())).status, 401);
    assert_eq!(call(&app, &refresh(&session.refresh())).code(), "refresh_rejected");
    for _ in 0..2 {
        let reply = refused(&app, &sign_in("sim-alice"), 403, "user_blocked");
        assert!(!reply.body.contains("script"), "the user does not read the reason");
    }
    let keyed = with_header(sign_in("sim-alice"), "idempotency-key", "again-and-again-1");
    refused(&app, &keyed, 403, "user_blocked");
    let shown = call(&app, &with_token("GET", &user_path(""), VIEWER)).json();
    assert_eq!(shown["user"]["blockedReason"], hostile, "as text");
    assert_eq!(shown["user"]["blockedAt"], "2025-10-09T08:53:20Z");
    // Again, with another reason.
    assert_eq!(block(&json!("Sells accounts.")).status, 204);
    let long = "x".repeat(200);
    assert_eq!(block(&json!(long)).status, 204);
    let before = audit(&app);
    for reason in ["", "  ", &format!("{long}x"), "two\nlines", "\u{0}", "\u{2028}a"] {
        assert_eq!(block(&json!(reason)).code(), "invalid_request", "{reason:?}");
    }
    for reason in [json!(null), json!(1), json!({ "__proto__": 1 })] {
        assert_eq!(block(&reason).code(), "invalid_request", "{reason:?}");
    }
    assert_eq!(audit(&app), before);
    assert_eq!(before[0]["detail"], json!({ "reason": hostile }));
    assert_eq!(before[1]["detail"], json!({ "reason": "Sells accounts." }));
    let unblock = with_token("POST", &user_path("/unblock"), OWNER);
    assert_eq!(call(&app, &unblock).status, 204);
    assert_eq!(call(&app, &sign_in("sim-alice")).status, 200);
    let unknown = "/admin/users/nobody";
    refused(&app, &with_token("POST", &format!("{unknown}/unblock"), OWNER), 404, "not_found");
    let block = body(OWNER, "POST", &format!("{unknown}/block"), &json!({ "reason": "a" }));
    refused(&app, &block, 404, "not_found");
}

#[test]
fn an_erasure_must_be_confirmed_and_can_be_repeated() {
    let app = test_app();
    let session = call(&app, &sign_in("sim-alice"));
    let erase = |query: &str| with_token("DELETE", &user_path(query), OWNER);
    for query in ["", "?confirm=", "?confirm=alice", "?Confirm=1", &format!("?confirm={ALICE}x")] {
        refused(&app, &erase(query), 422, "confirmation_required");
    }
    let twice = format!("?confirm={ALICE}&confirm={ALICE}");
    refused(&app, &erase(&twice), 400, "invalid_request");
    let unknown = with_token("DELETE", "/admin/users/nobody?confirm=nobody", OWNER);
    refused(&app, &unknown, 404, "not_found");
    assert_eq!(audit(&app), Vec::<Value>::new());
    let confirmed = erase(&format!("?confirm={ALICE}"));
    for _ in 0..2 {
        assert_eq!(call(&app, &confirmed).status, 204);
    }
    assert_eq!(app.store.memory.blocked(&uid()), None);
    refused(&app, &with_token("GET", &user_path(""), VIEWER), 404, "not_found");
    assert_eq!(call(&app, &with_token("GET", "/session", &session.token())).status, 401);
    assert!(feed(&app, NOW + 6).revokes(&claims(&app, &session)), "verifiers know it");
    let entry = json!({ "actor": "alice", "via": "cli", "action": "user.erased", "target": ALICE });
    assert_eq!(audit(&app), [entry]);
    assert_eq!(call(&app, &sign_in("sim-alice")).json()["user"]["isNew"], true);
}

#[test]
fn a_look_at_data_has_an_entry_or_is_refused() {
    let app = test_app();
    let token = call(&app, &sign_in("sim-alice")).token();
    let data = with_token("GET", &user_path("/data"), OWNER);
    assert_eq!(call(&app, &data).body, "{}");
    let text = r#"{"__proto__":{"a":1},"n":1.50,"s":"<script>\u202e"}"#;
    assert_eq!(call(&app, &put(&token, text, None)).status, 204);
    assert_eq!(call(&app, &data).body, text, "as the client wrote it");
    let export = call(&app, &with_token("GET", &user_path("/export"), OWNER));
    assert!(export.body.contains(text), "{}", export.body);
    let export = export.json();
    let members: Vec<&String> = export.as_object().unwrap().keys().collect();
    assert_eq!(members, ["ads", "audit", "data", "orders", "payments", "sessions", "user"]);
    assert_eq!(export["user"]["uid"], ALICE);
    assert_eq!(export["sessions"][0]["isLive"], true);
    assert_eq!(export["audit"].as_array().unwrap().len(), 2);
    let actions: Vec<Value> = audit(&app).iter().map(|entry| entry["action"].clone()).collect();
    assert_eq!(actions, ["user.data_read", "user.data_read", "user.exported"]);
    for path in ["/admin/users/nobody/data", "/admin/users/nobody/export"] {
        refused(&app, &with_token("GET", path, OWNER), 404, "not_found");
    }
    assert_eq!(audit(&app).len(), 3);
}

#[test]
fn an_export_has_ended_sessions_and_what_was_done_to_them() {
    let app = test_app();
    let [ended, live] = [0, 1].map(|_| call(&app, &sign_in("sim-alice")));
    let sid = claims(&app, &ended).sid;
    call(&app, &with_token("DELETE", &format!("/admin/sessions/{sid}"), OWNER));
    let export = call(&app, &with_token("GET", &user_path("/export"), OWNER)).json();
    let mut sessions: Vec<Value> = export["sessions"].as_array().unwrap().clone();
    sessions.sort_by_key(|session| session["isLive"].as_bool());
    let of = |index: usize| (sessions[index]["sid"].clone(), sessions[index]["isLive"].clone());
    let live_sid = claims(&app, &live).sid;
    assert_eq!(of(0), (json!(sid.as_str()), json!(false)));
    assert_eq!(of(1), (json!(live_sid.as_str()), json!(true)));
    let entry = &export["audit"][0];
    assert_eq!(entry["detail"], json!({ "sid": sid.as_str() }));
    let path = format!("/admin/audit?target={ALICE}");
    let entries = call(&app, &with_token("GET", &path, VIEWER)).json()["entries"].clone();
    let actions: Vec<&Value> =
        entries.as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["user.exported", "session.ended"]);
}

/// Every deed and every look of an owner, as a request with this credential.
fn deeds(app: &TestApp, credential: &str) -> Vec<Request<Vec<u8>>> {
    let sid = app.store.memory.live_sessions(&uid(), app.clock.0.get())[0].sid.to_string();
    let of_owners =
        service::OPERATIONS.iter().filter(|operation| operation.caller == service::Caller::Owner);
    let requests: Vec<_> = of_owners
        .map(|operation| {
            let path = operation.path.replace("{uid}", ALICE).replace("{sid}", &sid);
            let path = path.replace("{productId}", "coffee").replace("{paymentId}", "x");
            let query = if operation.id == "eraseUser" {
                format!("?confirm={ALICE}")
            } else {
                String::new()
            };
            let all = json!({
                "confirm": "app", "reason": "a", "id": "tea", "name": "Tea", "amount": "1"
            });
            body(credential, operation.method, &(path + &query), &all)
        })
        .collect();
    assert!(requests.len() == 12, "{}", requests.len());
    requests
}

#[test]
fn a3_a_viewer_and_everybody_else_may_not_act() {
    let app = test_app();
    let session = call(&app, &sign_in("sim-alice"));
    let window = call(&app, &request("GET", "/revocations", &[], "")).body;
    let feed = window.lines().next().unwrap().to_owned();
    for request in deeds(&app, VIEWER) {
        refused(&app, &request, 403, "operator_forbidden");
        assert_eq!(service::body_limit(&app, &request), 0, "the body stays unread");
    }
    assert!(app.has_counts_due(), "refusals are counted");
    // The four kinds of token: only the operator's own is accepted.
    for credential in [&session.token(), &feed, &session.refresh(), CREDENTIAL, "x"] {
        for request in deeds(&app, credential) {
            refused(&app, &request, 401, "operator_rejected");
        }
    }
    for path in ["/users/x/revoke", "/revoke-all"] {
        refused(&app, &with_token("POST", path, &token_of(&app)), 401, "backend_rejected");
    }
    refused(&app, &with_token("DELETE", "/me", &token_of(&app)), 401, "session_invalid");
    assert_eq!(audit(&app), Vec::<Value>::new());
    assert_eq!(call(&app, &with_token("GET", "/session", &session.token())).status, 200);
}

#[test]
fn b3_no_form_cookie_or_foreign_page_acts_for_an_owner() {
    let app = test_app_with(&[("SESSION_COOKIE", "on")]);
    call(&app, &sign_in("sim-alice"));
    for request in deeds(&app, OWNER) {
        // A page of a listed origin, and one of any other.
        for origin in [ORIGIN, "https://evil.example", "null"] {
            let foreign = with_header(request.clone(), "origin", origin);
            refused(&app, &foreign, 403, "origin_not_allowed");
        }
        // A cookie is no credential here.
        let mut cookie = request.clone();
        cookie.headers_mut().remove("authorization");
        let cookie = with_header(cookie, "cookie", &format!("__Host-session={OWNER}"));
        refused(&app, &cookie, 401, "operator_rejected");
    }
    for kind in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"] {
        for path in [user_path("/block"), "/admin/revoke-all".into(), "/admin/products".into()] {
            let mut form = body(OWNER, "POST", &path, &json!({ "confirm": "app", "reason": "a" }));
            form.headers_mut().insert("content-type", kind.parse().unwrap());
            refused(&app, &form, 415, "unsupported_media_type");
        }
    }
    assert_eq!(audit(&app), Vec::<Value>::new());
}

#[test]
fn if_the_store_fails_nothing_is_done() {
    let app = test_app();
    let session = call(&app, &sign_in("sim-alice"));
    let requests = deeds(&app, OWNER);
    app.store.fails.set(true);
    for request in &requests {
        let reply = call(&app, request);
        assert_eq!(reply.code(), "storage_unavailable", "{request:?}");
    }
    app.store.fails.set(false);
    assert_eq!(call(&app, &with_token("GET", "/session", &session.token())).status, 200);
    assert_eq!(audit(&app), Vec::<Value>::new());
}
