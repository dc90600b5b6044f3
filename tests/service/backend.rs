//! Backends, and the feed of revoked sessions.

use super::*;

#[test]
fn s1_s2_the_feed_names_a_revoked_session_while_its_token_is_unexpired() {
    let app = test_app_with(&[("MAX_SESSIONS_PER_USER", "2")]);
    let at = |later: i64| call_at(&app, &sign_in("sim-alice"), NOW + later);
    let empty = feed(&app, NOW);
    assert_eq!((empty.epoch, empty.sids.len(), empty.users.len()), (UnixTime::MIN, 0, 0));

    // Signed out; one session too many; a stolen token; erased.
    let out = at(0);
    call(&app, &with_token("DELETE", "/session", &out.token()));
    let (oldest, second, third) = (at(1), at(2), at(3));
    let next = call_at(&app, &refresh(&second.refresh()), NOW + 4);
    call_at(&app, &refresh(&next.refresh()), NOW + 4);
    call_at(&app, &refresh(&second.refresh()), NOW + 20);
    let bob = call_at(&app, &sign_in("sim-bob"), NOW + 20);
    call_at(&app, &with_token("DELETE", "/me", &bob.token()), NOW + 21);
    let found = feed(&app, NOW + 21);
    for ended in [&out, &oldest, &second, &bob] {
        assert!(found.revokes(&claims(&app, ended)));
    }
    assert!(!found.revokes(&claims(&app, &third)));
    assert_eq!((found.sids.len(), found.users.len()), (4, 0), "an erased user is not named");

    // R11: the feed no longer names a session once no verifier accepts its token, which is after
    // its lifetime and twice the largest tolerance.
    assert_eq!(feed(&app, NOW + 714).sids.len(), 4);
    assert_eq!(feed(&app, NOW + 720).sids.len(), 3);
    assert_eq!(feed(&app, NOW + 900).sids.len(), 0);
}

#[test]
fn s2_a_backend_revokes_all_sessions_of_a_user_and_of_everyone() {
    let app = test_app();
    let at = |token: &str, later: i64| call_at(&app, &sign_in(token), NOW + later);
    let (before, same, bob) = (at("sim-alice", 0), at("sim-alice", 5), at("sim-bob", 5));
    let revoke = backend("POST", &format!("/users/{ALICE}/revoke"));
    let reply = call_at(&app, &revoke, NOW + 5);
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    // In the second of the revocation, and after it.
    let (then, later) = (at("sim-alice", 5), at("sim-alice", 6));

    let is_live = |feed: &Feed, reply: &Reply| {
        let online = call_at(&app, &with_token("GET", "/session", &reply.token()), NOW + 6);
        let offline = !feed.revokes(&claims(&app, reply));
        assert_eq!(online.status == 200, offline, "the feed says what the Worker says");
        offline
    };
    let found = feed(&app, NOW + 6);
    assert_eq!((found.sids.len(), found.users.len()), (1, 1), "as few as need be");
    let all = [&before, &same, &bob, &then, &later];
    assert_eq!(all.map(|reply| is_live(&found, reply)), [false, false, true, true, true]);
    for ended in [&before, &same] {
        assert_eq!(call_at(&app, &refresh(&ended.refresh()), NOW + 6).code(), "refresh_rejected");
    }
    assert_eq!(call(&app, &backend("POST", "/users/nobody/revoke")).status, 204);

    assert_eq!(call_at(&app, &backend("POST", "/revoke-all"), NOW + 6).status, 204);
    let fresh = at("sim-alice", 6);
    // The process keeps the feed for five seconds.
    let found = feed(&app, NOW + 11);
    assert_eq!(found.epoch.seconds(), NOW + 6);
    let all = [&before, &bob, &then, &later, &fresh];
    assert_eq!(all.map(|reply| is_live(&found, reply)), [false, false, false, false, true]);
    assert_eq!(call_at(&app, &refresh(&bob.refresh()), NOW + 7).code(), "refresh_rejected");
}

#[test]
fn the_feed_keeps_its_tag_until_something_changes_or_a_minute_passes() {
    let app = test_app();
    let start = NOW - NOW % 60;
    let ask = |tag: &str, now: i64| {
        call_at(&app, &request("GET", "/revocations", &[("if-none-match", tag)], ""), now)
    };
    let first = ask("", start);
    let etag = first.header("etag").unwrap().to_owned();
    assert!(etag.starts_with("W/\""));
    for tag in [etag.as_str(), &etag[2..], "*"] {
        let known = ask(tag, start + 59);
        assert_eq!((known.status, known.body.as_str()), (304, ""));
        assert_eq!(known.header("etag"), Some(etag.as_str()));
    }
    assert_eq!(ask(&etag, start + 64).status, 200, "newly signed");
    let token = call_at(&app, &sign_in("sim-alice"), start).token();
    assert_eq!(ask(&etag, start + 1).status, 304, "a sign-in ends nothing");
    call_at(&app, &with_token("DELETE", "/session", &token), start + 1);
    assert_eq!(ask(&etag, start + 5).status, 304, "the process keeps the feed for five seconds");
    assert_eq!(ask(&etag, start + 6).status, 200);
}

#[test]
fn a3_only_a_backend_with_a_credential_gets_in() {
    let app = test_app();
    let token = call(&app, &sign_in("sim-alice")).token();
    let user = format!("/users/{ALICE}");
    let shown = call(&app, &backend("GET", &user));
    let me = call(&app, &with_token("GET", "/me", &token));
    assert_eq!((shown.status, shown.json()), (200, me.json()));
    for unknown in ["/users/nobody", "/users/", "/users/%00", "/users/a%2Fb"] {
        refused(&app, &backend("GET", unknown), 404, "not_found");
    }
    for path in ["/users", "/users/a/b", "/users/a/revoke/b", "/users/a/b/revoke"] {
        refused(&app, &backend("POST", path), 404, "not_found");
    }

    let hash = BACKENDS.split('"').nth(7).unwrap();
    let wrong =
        ["", "x", &token, hash, "other", "api", "Credential-of-a-backend", &CREDENTIAL[1..]];
    let revoke = format!("{user}/revoke");
    let routes = [
        ("GET", user.as_str()),
        ("POST", &revoke),
        ("POST", "/revoke-all"),
        ("POST", "/introspect"),
    ];
    for (method, path) in routes {
        for wrong in wrong {
            refused(&app, &with_token(method, path, wrong), 401, "backend_rejected");
        }
        refused(&app, &request(method, path, &[], ""), 401, "backend_rejected");
    }
    let bearer = format!("Bearer {CREDENTIAL}");
    let two = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    refused(&app, &request("GET", &user, &two, ""), 400, "ambiguous_credentials");
    refused(&app, &backend("GET", "/revoke-all"), 405, "method_not_allowed");
    assert_eq!(call(&app, &with_token("GET", "/session", &token)).status, 200, "nothing was ended");
    // A backend is not a user.
    refused(&app, &backend("GET", "/session"), 401, "session_invalid");
    // Without credentials, no backend is let in, and the operator gets the reason.
    let none = test_app_with(&[("BACKEND_CREDENTIALS", "")]);
    let reply = refused(&none, &backend("GET", &user), 500, "misconfigured");
    assert!(reply.body.contains("BACKEND_CREDENTIALS"));
    let empty = test_app_with(&[("BACKEND_CREDENTIALS", "{}")]);
    refused(&empty, &backend("GET", &user), 401, "backend_rejected");
}

#[test]
fn introspection_returns_the_claims_of_a_live_token_only() {
    let app = test_app();
    let signed_in = call(&app, &sign_in("sim-alice"));
    let token = signed_in.token();
    // The token is in the request's body, as RFC 7662 requires, and nowhere else.
    let reply = call(&app, &introspect(&token));
    assert_eq!(reply.status, 200);
    let found = reply.json();
    let expected = json!({
        "active": true, "iss": "https://id.example", "aud": "app", "sub": ALICE, "sid": found["sid"],
        "iat": NOW, "exp": NOW + 600, "auth_time": NOW, "jti": found["jti"],
        "scope": "payments platform username", "preferred_username": "alice_pioneer",
        "username": "alice_pioneer", "app_bound": true, "token_type": "Bearer",
    });
    assert_eq!(found, expected);
    let inactive = json!({ "active": false });
    for other in ["x", "", &signed_in.refresh(), &token[1..], &format!("{token}.a")] {
        assert_eq!(call(&app, &introspect(other)).json(), inactive);
    }
    assert_eq!(call_at(&app, &introspect(&token), NOW + 600).json(), inactive);
    call(&app, &with_token("DELETE", "/session", &token));
    assert_eq!(call(&app, &introspect(&token)).json(), inactive);

    let bearer = format!("Bearer {CREDENTIAL}");
    let post = |kind: &str, body: &str| {
        let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
        request("POST", "/introspect", &headers, body)
    };
    let form = "application/x-www-form-urlencoded";
    for body in ["", "tokens=a", "token=a&token=a", "token=a&%74oken=b"] {
        refused(&app, &post(form, body), 400, "invalid_request");
    }
    refused(&app, &post("application/json", r#"{"token":"a"}"#), 415, "unsupported_media_type");
    refused(&app, &post(form, &"a".repeat(20_000)), 413, "body_too_large");
}
