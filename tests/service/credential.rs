//! Credentials in the `Authorization` header.

use super::*;

#[test]
fn b7_one_credential_in_one_header() {
    let app = test_app();
    let token = call(&app, &sign_in("sim-alice")).token();
    let bearer = format!("Bearer {token}");
    let auth = |value: &str| request("GET", "/session", &[("authorization", value)], "");
    for good in [&bearer, &format!("bearer {token}"), &format!("BEARER  {token}")] {
        assert_eq!(call(&app, &auth(good)).status, 200, "{good}");
    }
    let two = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    refused(&app, &request("GET", "/session", &two, ""), 400, "ambiguous_credentials");
    let joined = format!("{bearer}, {bearer}");
    refused(&app, &auth(&joined), 400, "ambiguous_credentials");
    for none in ["", "Bearer", "Basic YTpi", &token, &format!("Bearer\t{token}"), "Bearertoken"] {
        let reply = refused(&app, &auth(none), 401, "session_missing");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    let query = request("GET", &format!("/session?access_token={token}"), &[], "");
    refused(&app, &query, 401, "session_missing");
    let cookie = format!("__Host-pi_session={token}");
    let cookie = request("GET", "/session", &[("cookie", &cookie)], "");
    refused(&app, &cookie, 401, "session_missing");
    for bad in [&token[..token.len() - 1], "a.b.c", &format!("{token}=")] {
        for (method, path) in [
            ("GET", "/session"),
            ("DELETE", "/session"),
            ("GET", "/me"),
            ("DELETE", "/me"),
            ("GET", "/me/data"),
        ] {
            let reply = refused(&app, &with_token(method, path, bad), 401, "session_invalid");
            let told = reply.header("www-authenticate");
            assert_eq!(told, Some(r#"Bearer error="invalid_token""#));
        }
        refused(&app, &put(bad, "{}", None), 401, "session_invalid");
    }
    // S6: Pi's own token is not a session token, and neither is one of another issuer or audience.
    refused(&app, &with_token("GET", "/session", "sim-alice"), 401, "session_invalid");
    for change in [("SESSION_ISSUER", "https://other.example"), ("SESSION_AUDIENCE", "other")] {
        let foreign = call(&test_app_with(&[change]), &sign_in("sim-alice")).token();
        refused(&app, &with_token("GET", "/session", &foreign), 401, "session_invalid");
    }
    // A session of another store does not exist here, although its token is valid.
    let elsewhere = call(&test_app(), &sign_in("sim-alice")).token();
    refused(&app, &with_token("GET", "/session", &elsewhere), 401, "session_revoked");
}

#[test]
fn b7_an_unreadable_credential_counts_as_a_credential() {
    let app = with_cookies();
    let signed_in = call(&app, &sign_in("sim-alice"));
    let cookie = format!("__Host-pi_session={}", signed_in.token());
    let ask = |headers: &[(&str, &str)]| call(&app, &request("GET", "/session", headers, ""));
    assert_eq!(ask(&[("cookie", &cookie)]).status, 200);
    let unreadable = service::UNREADABLE;
    let unreadable = ("authorization", unreadable.to_str().unwrap());
    assert_eq!(ask(&[("cookie", &cookie), unreadable]).code(), "ambiguous_credentials");
    // RFC 9110 §11.4: only spaces are between the scheme and the token.
    let bearer = |space: &str| format!("Bearer{space}{}", signed_in.token());
    assert_eq!(ask(&[("authorization", &bearer("  "))]).status, 200);
    for space in [" \t", " \t "] {
        assert_eq!(ask(&[("authorization", &bearer(space))]).code(), "session_invalid");
    }
    // A second cookie with the name counts, whatever its content; and only plain spaces surround a
    // value.
    let mut twice = request("GET", "/session", &[("cookie", &cookie)], "");
    let other = HeaderValue::from_bytes(b"__Host-pi_session=\xff").unwrap();
    twice.headers_mut().append("cookie", other);
    assert_eq!(call(&app, &twice).code(), "ambiguous_credentials");
    let mut wide = request("GET", "/session", &[], "");
    let value = HeaderValue::from_bytes(format!("{cookie}\u{a0}").as_bytes()).unwrap();
    wide.headers_mut().append("cookie", value);
    assert_eq!(call(&app, &wide).code(), "session_invalid");
}
