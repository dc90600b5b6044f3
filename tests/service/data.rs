//! `/me/data`.

use super::*;

#[test]
fn data_is_kept_as_it_was_written_and_not_overwritten_unseen() {
    let app = test_app();
    let token = call(&app, &sign_in("sim-alice")).token();
    let read = || call(&app, &with_token("GET", "/me/data", &token));
    let empty = read();
    assert_eq!((empty.status, empty.body.as_str(), empty.header("etag")), (200, "{}", None));

    refused(&app, &put(&token, "{}", Some("\"x\"")), 412, "precondition_failed");
    refused(&app, &put(&token, "{}", Some("*")), 412, "precondition_failed");
    let first = r#"{"level":1.10,"big":12345678901234567890123,"ü":"\u0041"}"#;
    let written = call(&app, &put(&token, first, None));
    assert_eq!(written.status, 204);
    let etag = written.header("etag").unwrap().to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"'));
    let found = read();
    assert_eq!((found.body.as_str(), found.header("etag")), (first, Some(etag.as_str())));
    assert_eq!(found.header("content-type"), Some("application/json"));
    let me = call(&app, &with_token("GET", "/me", &token));
    assert!(me.body.contains(first), "{}", me.body);

    refused(&app, &put(&token, "{}", None), 428, "precondition_required");
    for stale in ["\"stale\"", "\"\"", "W/\"stale\"", ",", &etag.replace('"', "")] {
        refused(&app, &put(&token, "{}", Some(stale)), 412, "precondition_failed");
    }
    let second = call(&app, &put(&token, r#"{"level":2}"#, Some(&format!("\"x\", W/{etag}"))));
    assert_eq!(second.status, 204);
    refused(&app, &put(&token, "{}", Some(&etag)), 412, "precondition_failed");
    assert_eq!(call(&app, &put(&token, first, Some("*"))).header("etag"), Some(etag.as_str()));

    for body in ["[]", "1", "null", "", "{", r#"{"a":1,"a":2}"#, r#"{"a":{"b":1,"\u0062":2}}"#] {
        refused(&app, &put(&token, body, Some("*")), 400, "invalid_request");
    }
    assert_eq!(read().body, first);
    // Another user has other data.
    let bob = call(&app, &sign_in("sim-bob")).token();
    assert_eq!(call(&app, &with_token("GET", "/me/data", &bob)).body, "{}");
    // The same user finds it after another sign-in.
    let again = call(&app, &sign_in("sim-alice")).token();
    assert_eq!(call(&app, &with_token("GET", "/me/data", &again)).body, first);
}

#[test]
fn a_write_whose_answer_was_lost_can_be_repeated() {
    let app = test_app();
    let token = call(&app, &sign_in("sim-alice")).token();
    let done = |body: &str, tags: Option<&str>| {
        let reply = call(&app, &put(&token, body, tags));
        assert_eq!(reply.status, 204, "{body} {tags:?}");
        reply.header("etag").unwrap().to_owned()
    };
    let read = || call(&app, &with_token("GET", "/me/data", &token)).body;
    // The first write, and one that replaces it: each is repeated as it was sent.
    let first = done(r#"{"level":1}"#, None);
    assert_eq!(done(r#"{"level":1}"#, None), first);
    let second = done(r#"{"level":2}"#, Some(&first));
    assert_eq!(done(r#"{"level":2}"#, Some(&first)), second);
    assert_eq!(read(), r#"{"level":2}"#);
    // After another write in between, the repeat is rejected.
    let third = done(r#"{"level":3}"#, Some(&second));
    refused(&app, &put(&token, r#"{"level":2}"#, Some(&first)), 412, "precondition_failed");
    refused(&app, &put(&token, r#"{"level":1}"#, None), 428, "precondition_required");
    // The same object in another spelling is another content.
    refused(&app, &put(&token, r#"{ "level":3}"#, Some(&second)), 412, "precondition_failed");
    assert_eq!((read().as_str(), done(r#"{"level":3}"#, Some(&second))), (r#"{"level":3}"#, third));
    assert_eq!(call(&app, &with_token("DELETE", "/session", &token)).status, 204);
    refused(&app, &put(&token, r#"{"level":3}"#, Some(&second)), 401, "session_revoked");
}

#[test]
fn a8_data_may_have_64_kib() {
    let app = test_app();
    let token = call(&app, &sign_in("sim-alice")).token();
    let object = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
    assert_eq!(call(&app, &put(&token, &object(65_536), None)).status, 204);
    refused(&app, &put(&token, &object(65_537), Some("*")), 413, "body_too_large");
}
