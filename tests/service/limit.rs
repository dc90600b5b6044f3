//! Rate limits.

use super::*;

/// The same request from this address, whatever its other headers say.
fn from(mut request: Request<Vec<u8>>, address: &str) -> Request<Vec<u8>> {
    request.headers_mut().insert("cf-connecting-ip", address.parse().unwrap());
    request.headers_mut().insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
    request
}

/// The request is rejected by a limit before Pi is asked.
#[track_caller]
fn limited(app: &TestApp, request: &Request<Vec<u8>>) {
    let reply = call(app, request);
    assert_eq!((reply.status, reply.code().as_str(), reply.sent), (429, "rate_limited", 0));
    assert_eq!(reply.header("retry-after"), Some("60"));
}

#[test]
fn a1_each_attempt_is_counted_by_what_it_has_proven() {
    let app = test_app();
    let signed_in = call(&app, &from(sign_in("sim-alice"), "192.0.2.1"));
    let refreshed = call(&app, &from(refresh(&signed_in.refresh()), "192.0.2.1"));
    assert_eq!(refreshed.status, 200);
    let token = refreshed.token();
    let shown = call(&app, &with_token("GET", "/session", &token)).json();
    call(&app, &from(refresh("x"), "192.0.2.1"));
    call(&app, &put(&token, "{}", None));
    call(&app, &from(request("GET", "/products", &[], ""), "192.0.2.1"));
    call(&app, &from(request("GET", "/revocations", &[], ""), "192.0.2.1"));
    call(&app, &with_token("DELETE", "/me", &token));
    // The database says whether a session is live after it was counted. So the sessions of a user
    // are counted separately: a thief of a revoked token uses up its own limit only.
    let of_session = format!("WRITE_LIMIT {}", shown["sid"].as_str().unwrap());
    let expected = [
        "SIGN_IN_LIMIT ip:192.0.2.1",
        &format!("USER_SIGN_IN_LIMIT {ALICE}"),
        &format!("REFRESH_LIMIT {}", shown["sid"].as_str().unwrap()),
        "SIGN_IN_LIMIT refresh ip:192.0.2.1",
        &of_session,
        "READ_LIMIT ip:192.0.2.1",
        "READ_LIMIT ip:192.0.2.1",
        &of_session,
    ];
    assert_eq!(*app.limiter.keys.borrow(), expected, "and nothing else is counted");
}

#[test]
fn a1_above_its_limit_an_attempt_is_rejected_before_it_costs_anything() {
    let app = test_app();
    let alice = call(&app, &from(sign_in("sim-alice"), "192.0.2.1"));
    app.limiter.limit.set(1);
    limited(&app, &from(sign_in("sim-bob"), "192.0.2.1"));
    assert_eq!(call(&app, &from(sign_in("sim-bob"), "192.0.2.2")).status, 200);
    // R3: the user's own limit counts from every address, and writes nothing.
    let before = app.store.memory.counts();
    let reply = call(&app, &from(sign_in("sim-alice"), "192.0.2.3"));
    assert_eq!((reply.status, reply.code().as_str()), (429, "rate_limited"));
    assert_eq!(app.store.memory.counts(), before);
    // Clients without an address share one key.
    assert_eq!(call(&app, &sign_in("sim-no-username")).status, 200);
    limited(&app, &sign_in("sim-no-username"));

    let first = call(&app, &refresh(&alice.refresh()));
    assert_eq!(first.status, 200);
    limited(&app, &refresh(&first.refresh()));
    let data = put(&first.token(), "{}", None);
    assert_eq!(call(&app, &data).status, 204);
    limited(&app, &data);
    limited(&app, &with_token("DELETE", "/me", &first.token()));
    for path in ["/products", "/revocations"] {
        let read = from(request("GET", path, &[], ""), &format!("192.0.2.{}", path.len()));
        assert_eq!(call(&app, &read).status, 200);
        limited(&app, &read);
    }

    let off = test_app_with(&[("RATE_LIMITS", "off"), ("ENVIRONMENT", "development")]);
    off.limiter.limit.set(0);
    assert_eq!(call(&off, &sign_in("sim-alice")).status, 200);
}

#[test]
fn r5_guesses_from_an_address_do_not_lock_its_other_users_out() {
    let app = test_app();
    let alice = call(&app, &from(sign_in("sim-alice"), "192.0.2.1"));
    app.limiter.limit.set(300);
    for number in 0..300 {
        let reply = call(&app, &from(refresh(&format!("junk-{number}")), "192.0.2.1"));
        assert_eq!((reply.status, reply.code().as_str()), (401, "refresh_rejected"));
        // A malformed request causes no request to Pi.
        assert_eq!(call(&app, &from(post("nonsense"), "192.0.2.1")).status, 400);
    }
    limited(&app, &from(refresh("junk"), "192.0.2.1"));
    assert_eq!(call(&app, &from(refresh(&alice.refresh()), "192.0.2.1")).status, 200);
    assert_eq!(call(&app, &from(sign_in("sim-bob"), "192.0.2.1")).status, 200);
}

#[test]
fn r5_visitors_without_a_session_do_not_lock_each_other_out() {
    let app = with_cookies();
    let headers = [("origin", "https://id.example")];
    let bare = || from(request("POST", "/session/refresh", &headers, ""), "192.0.2.1");
    app.limiter.limit.set(3);
    for _ in 0..10 {
        assert_eq!(call(&app, &bare()).code(), "refresh_rejected");
    }
}
