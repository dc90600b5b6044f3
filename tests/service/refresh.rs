//! Refresh tokens that are not bound to a key.

use super::*;

#[test]
fn s3_a_refresh_token_is_good_once_and_a_repeat_returns_the_same_successor() {
    let app = test_app();
    let first = call(&app, &sign_in("sim-alice"));
    let second = call_at(&app, &refresh(&first.refresh()), NOW + 300);
    assert_eq!((second.status, second.sent), (200, 0), "{second:?}");
    assert_ne!(second.refresh(), first.refresh());
    let answer = second.json();
    assert_eq!(answer["expiresIn"], 600);
    assert_eq!(answer["expiresAt"], "2025-10-09T09:08:20Z");
    assert_eq!(answer["refreshExpiresAt"], "2025-10-16T08:58:20Z");
    let user = (&answer["user"]["uid"], &answer["user"]["isNew"]);
    assert_eq!(user, (&json!(ALICE), &json!(false)));

    let keys = app.settings.keys.all();
    let now = UnixTime::from_seconds(NOW + 300).unwrap();
    let read = |reply: &Reply| {
        jwt::verify(reply.token().as_bytes(), keys, &app.settings.policy, now).unwrap().claims
    };
    let (old, new) = (read(&first), read(&second));
    assert_eq!((&old.sub, &old.sid, old.auth_time), (&new.sub, &new.sid, new.auth_time));
    assert_eq!((old.scope, old.app_bound), (new.scope, new.app_bound));
    assert_eq!(new.iat, now);
    assert_ne!(old.jti, new.jti);

    // The answer was lost: the same tokens again, byte for byte, except for the seconds that are
    // left.
    for later in [300, 312, 420] {
        let again = call_at(&app, &refresh(&first.refresh()), NOW + later);
        assert_eq!((again.token(), again.refresh()), (second.token(), second.refresh()));
        assert_eq!(again.json()["expiresIn"], 900 - later);
    }
    let devices = call_at(&app, &with_token("GET", "/sessions", &second.token()), NOW + 420);
    assert_eq!(devices.json()["sessions"][0]["lastSeenAt"], "2025-10-09T08:58:20Z");

    // Later, two clients have the token: neither keeps the session.
    let reused = call_at(&app, &refresh(&first.refresh()), NOW + 421);
    assert_eq!((reused.status, reused.code().as_str()), (401, "refresh_reused"));
    for token in [first.refresh(), second.refresh()] {
        let rejected = call_at(&app, &refresh(&token), NOW + 421);
        assert_eq!((rejected.status, rejected.code().as_str()), (401, "refresh_rejected"));
    }
    let gone = call_at(&app, &with_token("GET", "/session", &second.token()), NOW + 421);
    assert_eq!(gone.code(), "session_revoked");
}

#[test]
fn s3_a_stolen_refresh_token_revokes_the_session() {
    for thief_goes_on in [true, false] {
        let app = test_app();
        let first = call(&app, &sign_in("sim-alice")).refresh();
        let second = call_at(&app, &refresh(&first), NOW + 1).refresh();
        // The token before the last is reuse immediately; the last one, after the grace.
        if thief_goes_on {
            call_at(&app, &refresh(&second), NOW + 2);
        }
        let late = if thief_goes_on { NOW + 3 } else { NOW + 122 };
        let reused = call_at(&app, &refresh(&first), late);
        assert_eq!((reused.status, reused.code().as_str()), (401, "refresh_reused"));
        assert_eq!(call_at(&app, &refresh(&second), late).code(), "refresh_rejected");
    }
}

#[test]
fn s3_a_refresh_with_a_key_gets_the_lost_answer_at_any_time() {
    let app = test_app();
    let named = |token: &str, key: &str| with_header(refresh(token), "idempotency-key", key);
    let first = call(&app, &sign_in("sim-alice"));
    let second = call_at(&app, &named(&first.refresh(), "renewal-1"), NOW + 300);
    assert_eq!(second.status, 200, "{second:?}");
    let again = call_at(&app, &named(&first.refresh(), "renewal-1"), NOW + 80_000);
    assert_eq!((again.status, again.refresh()), (200, second.refresh()));
    assert_eq!(again.json()["expiresIn"], 600, "its token has expired, so there is a new one");
    // This does not prolong the token: once the successor is used, it is invalid for everybody.
    let third = call_at(&app, &named(&second.refresh(), "renewal-2"), NOW + 80_001);
    assert_eq!(third.status, 200);
    let reused = call_at(&app, &named(&first.refresh(), "renewal-1"), NOW + 80_002);
    assert_eq!((reused.status, reused.code().as_str()), (401, "refresh_reused"));
    for bad in ["", "a b", "ü", "a,b", &"x".repeat(65)] {
        refused(&app, &named(&third.refresh(), bad), 400, "invalid_request");
        refused(
            &app,
            &with_header(sign_in("sim-alice"), "idempotency-key", bad),
            400,
            "invalid_request",
        );
    }
    let twice = with_header(named(&third.refresh(), "a"), "idempotency-key", "a");
    refused(&app, &twice, 400, "invalid_request");
}

#[test]
fn s4_a_refresh_does_not_exceed_the_lifetimes() {
    let limits = [("SESSION_TTL", "60"), ("REFRESH_IDLE_TTL", "100"), ("REFRESH_MAX_TTL", "250")];
    let app = test_app_with(&limits);
    let first = call(&app, &sign_in("sim-alice")).refresh();
    assert_eq!(call_at(&app, &refresh(&first), NOW + 100).code(), "refresh_rejected");
    let second = call_at(&app, &refresh(&first), NOW + 99);
    assert_eq!(second.json()["refreshExpiresAt"], "2025-10-09T08:56:39Z");
    // The session never lives longer than its maximum, the session token included.
    let third = call_at(&app, &refresh(&second.refresh()), NOW + 198);
    assert_eq!(third.json()["refreshExpiresAt"], "2025-10-09T08:57:30Z");
    assert_eq!(third.json()["expiresIn"], 52);
    assert_eq!(call_at(&app, &refresh(&third.refresh()), NOW + 250).code(), "refresh_rejected");
    let last = call_at(&app, &refresh(&third.refresh()), NOW + 249);
    assert_eq!((last.status, &last.json()["expiresIn"]), (200, &json!(1)));
    assert_eq!(call_at(&app, &refresh(&last.refresh()), NOW + 250).code(), "refresh_rejected");
}

#[test]
fn i2_a_session_from_a_time_without_pi_app_id_is_not_refreshed() {
    let open = test_app_with(&[("PI_APP_ID", "")]);
    let signed_in = call(&open, &sign_in("sim-other-app"));
    let refreshed = call(&open, &refresh(&signed_in.refresh()));
    assert!(!claims(&open, &refreshed).app_bound);
    let bound = TestApp { settings: test_app().settings, ..open };
    assert_eq!(call(&bound, &refresh(&refreshed.refresh())).code(), "refresh_rejected");
    let gone = call(&bound, &with_token("GET", "/session", &refreshed.token()));
    assert_eq!(gone.code(), "session_revoked");
}

#[test]
fn s6_only_a_refresh_token_of_this_issuer_refreshes() {
    let app = test_app();
    let signed_in = call(&app, &sign_in("sim-alice"));
    let (token, mine) = (signed_in.token(), signed_in.refresh());
    let other = ("REFRESH_SECRET", SEED);
    let foreign = call(&test_app_with(&[other]), &sign_in("sim-alice")).refresh();
    let unknown = call(&test_app(), &sign_in("sim-alice")).refresh();
    let longer = format!("{mine}A");
    let wrong =
        [&token, "sim-alice", "", "a", &foreign, &unknown, &longer, &mine[1..], "ü", "a b", "a\0"];
    for wrong in wrong {
        refused(&app, &refresh(wrong), 401, "refresh_rejected");
    }
    refused(&app, &with_token("GET", "/session", &mine), 401, "session_invalid");
    refused(&app, &sign_in(&mine), 401, "access_token_rejected");
    let json = [("content-type", "application/json")];
    for body in ["", "{}", r#"{"refreshToken":null}"#, r#"{"refreshToken":1}"#, "[]"] {
        refused(&app, &request("POST", "/session/refresh", &json, body), 400, "invalid_request");
    }
    let twice = format!(r#"{{"refreshToken":"{mine}","refreshToken":"{mine}"}}"#);
    refused(&app, &request("POST", "/session/refresh", &json, &twice), 400, "invalid_request");
    let text = [("content-type", "text/plain")];
    let body = format!(r#"{{"refreshToken":"{mine}"}}"#);
    let text = request("POST", "/session/refresh", &text, &body);
    refused(&app, &text, 415, "unsupported_media_type");
    refused(&app, &request("GET", "/session/refresh", &[], ""), 405, "method_not_allowed");
    // I5: a hostile page cannot do it either.
    let mut hostile = refresh(&mine);
    hostile.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    refused(&app, &hostile, 403, "origin_not_allowed");
    // S1: after the sign-out, it is invalid immediately; the one of another device is not.
    let elsewhere = call(&app, &sign_in("sim-alice")).refresh();
    assert_eq!(call(&app, &with_token("DELETE", "/session", &token)).status, 204);
    refused(&app, &refresh(&mine), 401, "refresh_rejected");
    assert_eq!(call(&app, &refresh(&elsewhere)).status, 200);
}

#[test]
fn r18_a_session_of_another_app_is_revoked_at_its_refresh() {
    let first = test_app_with(&[("PI_APP_ID", "simulated-app")]);
    let signed_in = call(&first, &sign_in("sim-alice"));
    assert!(claims(&first, &signed_in).app_bound);
    // The same database, and another app.
    let second = test_app_with(&[("PI_APP_ID", "another-app")]);
    let second = TestApp { store: first.store, ..second };
    let reply = call(&second, &refresh(&signed_in.refresh()));
    assert_eq!((reply.status, reply.code().as_str()), (401, "refresh_rejected"));
    let shown = call(&second, &with_token("GET", "/session", &signed_in.token()));
    assert_eq!((shown.status, shown.code().as_str()), (401, "session_revoked"));
}
