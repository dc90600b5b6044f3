//! The user and the app of an access token.

use super::*;

#[test]
fn i1_posted_user_is_ignored() {
    let app = test_app();
    let bob = "b0b00000-0000-4000-8000-000000000002";
    for user in [json!({ "uid": bob, "username": "bob_pioneer" }), json!(null), json!(bob)] {
        let body = json!({ "accessToken": "sim-alice", "user": user, "uid": bob, "sub": bob });
        let reply = call(&app, &post(&body.to_string()));
        assert_eq!(reply.status, 200);
        assert_eq!(reply.json()["user"]["uid"], ALICE);
        assert_eq!(reply.json()["user"]["username"], "alice_pioneer");
        let session = call(&app, &with_token("GET", "/session", &reply.token()));
        assert_eq!(session.json()["uid"], ALICE);
    }
    assert_eq!(app.store.memory.counts().0, 1);
}

#[test]
fn i2_a_token_for_another_app_is_rejected() {
    let app = test_app();
    for token in ["sim-other-app", "sim-app-id-number", "sim-app-id-absent"] {
        let reply = call(&app, &sign_in(token));
        assert_eq!((reply.status, reply.code().as_str()), (403, "wrong_app"), "{token}");
        assert_eq!(app.store.memory.counts(), (0, 0));
    }
    for app_id in ["null", r#""""#, r#""Simulated-app""#, r#""simulated-app ""#, "314"] {
        let body = format!(r#"{{"uid":"a","app_id":{app_id}}}"#);
        assert_eq!(answered(&app, 200, "application/json", body).code(), "wrong_app", "{app_id}");
    }
    for app_id in ["true", "{}", r#"["simulated-app"]"#, "1.5", "-1"] {
        let body = format!(r#"{{"uid":"a","app_id":{app_id}}}"#);
        let reply = answered(&app, 200, "application/json", body);
        assert_eq!(reply.code(), "upstream_invalid", "{app_id}");
    }
}

#[test]
fn i2_app_ids_are_compared_as_text() {
    let app = test_app_with(&[("PI_APP_ID", "314")]);
    assert_eq!(call(&app, &sign_in("sim-app-id-number")).status, 200);
    assert_eq!(
        answered(&app, 200, "application/json", r#"{"uid":"a","app_id":"314"}"#).status,
        200
    );
    assert_eq!(call(&app, &sign_in("sim-alice")).code(), "wrong_app");
    assert_eq!(call(&app, &sign_in("sim-app-id-absent")).code(), "wrong_app");
}

#[test]
fn i2_without_an_app_id_sessions_say_that_they_are_not_bound() {
    let app = test_app_with(&[("PI_APP_ID", " ")]);
    for token in ["sim-alice", "sim-other-app", "sim-app-id-number", "sim-app-id-absent"] {
        let token = call(&app, &sign_in(token)).token();
        let now = UnixTime::from_seconds(NOW).unwrap();
        let (keys, policy) = (app.settings.keys.all(), &app.settings.policy);
        assert!(!jwt::verify(token.as_bytes(), keys, policy, now).unwrap().claims.app_bound);
    }
    // The two Alices share a username, and nothing else.
    assert_eq!(app.store.memory.counts().0, 4);
}

#[test]
fn i4_valid_until_is_obeyed_or_rejected() {
    let app = test_app_with(&[("PI_APP_ID", "")]);
    for (valid_until, status) in [
        (format!(r#"{{"timestamp":{}}}"#, NOW + 1), 200),
        (format!(r#"{{"timestamp":{}.5}}"#, NOW + 1), 200),
        (r#"{"timestamp":253402300799}"#.into(), 200),
        (format!(r#"{{"timestamp":{NOW}}}"#), 401),
        (format!(r#"{{"timestamp":{}}}"#, NOW - 1), 401),
        (r#"{"timestamp":0}"#.into(), 401),
        (r#"{"timestamp":-1}"#.into(), 401),
        (format!(r#"{{"timestamp":{}000}}"#, NOW + 60), 502),
        (format!(r#"{{"timestamp":"{}"}}"#, NOW + 60), 502),
        (r#"{"timestamp":null}"#.into(), 502),
        (r#"{"timestamp":1e400}"#.into(), 502),
        (r#"{"timestamp":1e300}"#.into(), 502),
        (r#"{"timestamp":99999999999999999999}"#.into(), 502),
        (r#"{"iso8601":"2030-01-01T00:00:00Z"}"#.into(), 502),
        ("{}".into(), 502),
        (r#""never""#.into(), 502),
        ("1".into(), 502),
    ] {
        let body =
            format!(r#"{{"uid":"a","credentials":{{"scopes":[],"valid_until":{valid_until}}}}}"#);
        let reply = answered(&app, 200, "application/json", body);
        assert_eq!(reply.status, status, "{valid_until}");
        match status {
            401 => assert_eq!(reply.code(), "access_token_rejected"),
            502 => assert_eq!(reply.code(), "upstream_invalid"),
            _ => {}
        }
    }
}

#[test]
fn i6_a_uid_has_the_plain_form() {
    let app = test_app_with(&[("PI_APP_ID", "")]);
    let long = format!("\"{}\"", "x".repeat(129));
    for uid in [
        r#""""#,
        &long,
        r#"" ""#,
        r#""a b""#,
        r#""a\u0000""#,
        r#""a\r\n""#,
        r#""../a""#,
        r#""a/b""#,
        r#""'; DROP TABLE users""#,
        r#""🙂""#,
        r#""\u202ea""#,
        r#""\u00e9""#,
        r#""e\u0301""#,
        "1",
        r#"["a"]"#,
        r#"{"uid":"a"}"#,
        "null",
        "true",
        r#""\ud800""#,
    ] {
        let reply = answered(&app, 200, "application/json", format!(r#"{{"uid":{uid}}}"#));
        assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_invalid"), "{uid}");
    }
    assert_eq!(answered(&app, 200, "application/json", "{}").code(), "upstream_invalid");
    let before = app.store.memory.counts().0;
    for uid in ["abc", "ABC", "__proto__", "-", &"x".repeat(128)] {
        let reply = answered(&app, 200, "application/json", json!({ "uid": uid }).to_string());
        assert_eq!((reply.status, &reply.json()["user"]["isNew"]), (200, &json!(true)), "{uid}");
    }
    assert_eq!(app.store.memory.counts().0, before + 5, "two that differ in case are two");
}

#[test]
fn i7_duplicate_names_in_pis_answer_are_rejected() {
    let app = test_app_with(&[("PI_APP_ID", "")]);
    for body in [
        r#"{"uid":"a","uid":"b"}"#,
        r#"{"uid":"a","uid":"a"}"#,
        r#"{"uid":"a","\u0075id":"b"}"#,
        r#"{"uid":"a","app_id":"1","app_id":"2"}"#,
        r#"{"uid":"a","x":{"y":1,"y":2}}"#,
        r#"{"uid":"a","credentials":{"scopes":[],"scopes":["payments"]}}"#,
    ] {
        let reply = answered(&app, 200, "application/json", body);
        assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_invalid"), "{body}");
    }
}
