//! The log: the event and the facts of each operation, and what its settings leave out.

use super::*;
use service::{Event, LogEntry, OPERATIONS, Operation};

/// The log's entry of the request.
fn entry(app: &TestApp, request: &Request<Vec<u8>>) -> LogEntry {
    let response = block_on(service::handle(app, request, entropy()));
    let entry = response.extensions().get::<LogEntry>().unwrap().clone();
    checked(request, response);
    entry
}

/// The event and the facts, each written as `name=value`.
fn said(app: &TestApp, request: &Request<Vec<u8>>) -> String {
    let LogEntry { event, facts, .. } = entry(app, request);
    let ids = [
        ("uid", facts.uid),
        ("sid", facts.sid),
        ("orderId", facts.order_id),
        ("paymentId", facts.payment_id),
        ("adId", facts.ad_id),
    ];
    let ids = ids.into_iter().filter_map(|(name, id)| Some(format!("{name}={}", id?)));
    let flags = [("isNew", facts.is_new), ("appBound", facts.app_bound)];
    let flags = flags.into_iter().filter_map(|(name, is)| Some(format!("{name}={}", is?)));
    let backend = facts.backend.map(|name| format!("backend={name}"));
    let words: Vec<String> = ids.chain(flags).chain(backend).collect();
    format!("{} {}", event.name(), words.join(" ")).trim_end().to_owned()
}

#[test]
fn each_request_is_logged_with_its_event_and_the_ids_that_it_is_about() {
    let app = test_app();
    let first = call(&app, &sign_in("sim-alice"));
    let (token, sid) = (first.token(), claims(&app, &first).sid);
    let other = claims(&app, &call(&app, &sign_in("sim-alice"))).sid;
    let uid = ALICE;
    let me = format!("uid={uid} sid={sid}");
    let read = format!("request.served {me}");
    let user = format!("/users/{uid}");
    for (request, expected) in [
        (with_token("GET", "/session", &token), read.clone()),
        (with_token("HEAD", "/session", &token), read.clone()),
        (with_token("GET", "/sessions", &token), read.clone()),
        (with_token("GET", "/me", &token), read.clone()),
        (put(&token, "{}", None), format!("data.replaced {me}")),
        (put(&token, "[1]", None), format!("request.refused {me}")),
        (
            with_token("POST", "/payments/p-1/approve", &token),
            format!("payment.failed {me} paymentId=p-1"),
        ),
        (with_token("POST", "/payments/p.1/approve", &token), format!("payment.failed {me}")),
        (with_token("POST", "/ads/ad-1/claim", &token), format!("request.refused {me} adId=ad-1")),
        (
            with_token("DELETE", &format!("/sessions/{other}"), &token),
            format!("session.ended uid={uid} sid={other}"),
        ),
        (backend("GET", &user), format!("backend.read uid={uid} backend=api")),
        (backend("GET", "/users/no.body"), "request.refused backend=api".to_owned()),
        (introspect(&token), format!("backend.introspected {me} backend=api")),
        (introspect("forged"), "backend.introspected backend=api".to_owned()),
        (with_token("GET", &user, "another"), "credential.refused".to_owned()),
        (with_token("GET", "/session", "forged"), "credential.refused".to_owned()),
        (with_token("POST", "/payments/p-1/approve", "forged"), "credential.refused".to_owned()),
        (refresh("forged"), "credential.refused".to_owned()),
        (refresh(&first.refresh()), format!("session.refreshed {me} isNew=false appBound=true")),
        (with_token("DELETE", "/session", &token), format!("session.ended {me}")),
        (with_token("GET", "/session", &token), format!("credential.refused {me}")),
        (
            backend("POST", &format!("{user}/revoke")),
            format!("backend.revoked uid={uid} backend=api"),
        ),
        (backend("POST", "/revoke-all"), "backend.revoked_all backend=api".to_owned()),
        (sign_in("sim-expired"), "session.refused".to_owned()),
        (request("GET", "/", &[("origin", "https://a.dev")], ""), "origin.refused".to_owned()),
        (request("GET", "/", &[], ""), "request.served".to_owned()),
        (request("GET", "/products", &[], ""), "request.served".to_owned()),
        (request("GET", "/nowhere", &[], ""), "request.refused".to_owned()),
        (request("GET", "/revocations", &[], ""), "poll.served".to_owned()),
        (request("GET", "/.well-known/jwks.json", &[], ""), "poll.served".to_owned()),
        (request("GET", "/openapi.json", &[], ""), "poll.served".to_owned()),
        (request("HEAD", "/health", &[], ""), "poll.served".to_owned()),
        (request("OPTIONS", "/me", &[("origin", ORIGIN)], ""), "poll.served".to_owned()),
        (request("POST", "/health", &[], ""), "request.refused".to_owned()),
    ] {
        assert_eq!(said(&app, &request), expected, "{} {}", request.method(), request.uri());
    }
    let carol = said(&app, &sign_in("sim-no-username"));
    assert!(
        carol.starts_with("session.opened uid=") && carol.ends_with("isNew=true appBound=true"),
        "{carol}"
    );
    app.store.fails.set(true);
    assert_eq!(said(&app, &sign_in("sim-alice")), format!("storage.failed uid={uid}"));
}

#[test]
fn a_stolen_refresh_token_is_an_event_with_its_session() {
    let app = test_app();
    let first = call(&app, &sign_in("sim-alice"));
    let sid = claims(&app, &first).sid;
    let second = call(&app, &refresh(&first.refresh()));
    call(&app, &refresh(&second.refresh()));
    let stolen = entry(&app, &refresh(&first.refresh()));
    assert_eq!((stolen.event, stolen.facts.sid), (Event::RefreshReused, Some(sid)));
}

#[test]
fn the_facts_of_a_request_are_not_those_of_the_one_before() {
    let app = test_app();
    let token = call(&app, &sign_in("sim-alice")).token();
    // An edge asks for the limit before the body, and so verifies the token before.
    service::body_limit(&app, &put(&token, "{}", None));
    assert_ne!(said(&app, &put(&token, "{}", None)), "data.replaced");
    assert_eq!(said(&app, &request("GET", "/", &[], "")), "request.served");
}

#[test]
fn log_ids_leaves_out_every_id() {
    let app = test_app_with(&[("LOG_IDS", "off")]);
    let reply = call(&app, &sign_in("sim-alice"));
    for (request, expected) in [
        (with_token("GET", "/session", &reply.token()), "request.served"),
        (with_token("POST", "/payments/p-1/approve", &reply.token()), "payment.failed"),
        (refresh(&reply.refresh()), "session.refreshed isNew=false appBound=true"),
        (introspect(&reply.token()), "backend.introspected backend=api"),
    ] {
        assert_eq!(said(&app, &request), expected);
    }
    // Nor does the reason of a line name the user.
    let unbound = test_app_with(&[("LOG_IDS", "off"), ("PI_APP_ID", "")]);
    let entry = entry(&unbound, &sign_in("sim-alice"));
    let reason = entry.reason.unwrap();
    assert!(reason.contains("simulated-app") && !reason.contains("alice"), "{reason}");
}

#[test]
fn polls_are_logged_only_when_they_fail_or_when_log_polls_is_on() {
    let is_logged = |polls: &str, method: &str, path: &str| {
        let app = test_app_with(&[("LOG_POLLS", polls)]);
        entry(&app, &request(method, path, &[], "")).is_logged
    };
    for path in ["/revocations", "/.well-known/jwks.json", "/openapi.json", "/health"] {
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(!is_logged("off", method, path), "{method} {path}");
            assert!(is_logged("on", method, path), "{method} {path}");
        }
        assert!(is_logged("off", "POST", path));
    }
    assert!(is_logged("off", "GET", "/revocations?after=x"));
    assert!(is_logged("off", "GET", "/products") && is_logged("off", "GET", "/session"));
    let app = test_app();
    app.store.fails.set(true);
    assert!(entry(&app, &request("GET", "/revocations", &[], "")).is_logged);
}

#[test]
fn only_development_tells_a_browser_the_times() {
    let page = [("origin", ORIGIN)];
    for (environment, expected) in [
        ("production", (None, None)),
        ("development", (Some("pi;dur=0, db;dur=0, total;dur=0"), Some(ORIGIN))),
    ] {
        let app = test_app_with(&[("ENVIRONMENT", environment)]);
        let reply = call(&app, &request("GET", "/products", &page, ""));
        let found = (reply.header("server-timing"), reply.header("timing-allow-origin"));
        assert_eq!(found, expected, "{environment}");
        let health = call(&app, &request("GET", "/health", &page, ""));
        assert_eq!(health.header("server-timing"), None, "a repeated answer has no times");
    }
}

#[test]
fn every_operation_that_changes_something_has_an_event_of_its_own() {
    for Operation { id, method, event, .. } in OPERATIONS {
        // A recovery pays or cancels, and says which.
        let is_named = !matches!(event, Event::RequestServed | Event::PollServed);
        assert!(*method == "GET" || is_named || *id == "recoverPayment", "{id}");
    }
}

/// The rows of the first column, the second and the third of the table below this heading.
#[test]
fn the_page_about_the_log_lists_every_event() {
    let page = include_str!("../../docs/logs.md");
    let rows: Vec<String> = Event::ALL
        .iter()
        .map(|event| {
            let meaning = event.meaning().trim().replace(" ALLOWED_ORIGINS", " `ALLOWED_ORIGINS`");
            let meaning = meaning.replace(" LOG_POLLS", " `LOG_POLLS`");
            let meaning = meaning.trim_end_matches('.');
            let owasp = match event.owasp() {
                "" => String::new(),
                word => format!("`{word}`"),
            };
            format!("| `{}` | {meaning} | {owasp} |", event.name()).replace("|  |", "| |")
        })
        .collect();
    assert!(page.contains(&rows.join("\n")), "docs/logs.md must contain:\n{}", rows.join("\n"));
}
