//! Requests to Pi at a sign-in, and every kind of answer.

use super::*;

#[test]
fn u1_an_invalid_access_token_is_not_sent() {
    let app = test_app();
    for token in [
        "",
        "=",
        "===",
        " ",
        "sim-alice ",
        " sim-alice",
        "sim alice",
        "sim-alice\r\nX-Evil: 1",
        "sim-alice\n",
        "sim\0alice",
        "sim\talice",
        "sim-alicé",
        "sim,alice",
        "sim=alice",
        "\"sim\"",
        "Bearer sim-alice",
        "sim-alice\u{200b}",
        &"a".repeat(4097),
    ] {
        assert_eq!(refused(&app, &sign_in(token), 400, "invalid_request").sent, 0, "{token:?}");
    }
    for token in ["a", "AZaz09-._~+/==", &"a".repeat(4096)] {
        assert_eq!(refused(&app, &sign_in(token), 401, "access_token_rejected").sent, 1);
    }
}

#[test]
fn u4_u8_an_answer_that_is_not_a_user_is_rejected_and_not_shown() {
    let app = test_app_with(&[("PI_APP_ID", "")]);
    let good = r#"{"uid":"a","secret":"upstream-canary"}"#;
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (content_type, body) in [
        ("text/html", good.as_bytes()),
        ("text/plain", good.as_bytes()),
        ("", good.as_bytes()),
        ("application/json; charset=latin1", good.as_bytes()),
        ("application/jsonp", good.as_bytes()),
        ("application/json", b""),
        ("application/json", b"[]"),
        ("application/json", b"\"upstream-canary\""),
        ("application/json", b"null"),
        ("application/json", b"[\"a\",null,null,null]"),
        ("application/json", b"{\"uid\":\"upstream-canary"),
        ("application/json", b"\xef\xbb\xbf{\"uid\":\"a\"}"),
        ("application/json", b"\x1f\x8b\x08\x00"),
        ("application/json", &utf16),
        ("application/json", b"{\"error\":\"upstream-canary\"}"),
        ("application/json", b"{\"uid\":\"\xff\"}"),
        ("application/json", b"{\"uid\":\"a\",\"credentials\":{\"scopes\":\"payments\"}}"),
        ("application/json", b"{\"uid\":\"a\",\"credentials\":[]}x"),
    ] {
        let reply = answered(&app, 200, content_type, body);
        let shown = String::from_utf8_lossy(body);
        assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_invalid"), "{shown}");
        assert!(!reply.body.contains("canary"), "{}", reply.body);
    }
    for content_type in
        ["application/json", "Application/JSON;charset=UTF-8", "application/pi+json"]
    {
        let reply = answered(&app, 200, content_type, good);
        assert_eq!(reply.status, 200, "{content_type}");
        assert!(!reply.body.contains("canary"), "{}", reply.body);
    }
}

#[test]
fn i5_a_name_for_display_decides_nothing() {
    let app = test_app_with(&[("PI_APP_ID", "")]);
    let signed_in = |username: &[u8]| {
        let body = [b"{\"uid\":\"a\",\"username\":", username, b"}"].concat();
        let reply = answered(&app, 200, "application/json", body);
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(username));
        let held = claims(&app, &reply).preferred_username;
        let shown =
            reply.json()["user"].get("username").map(|name| name.as_str().unwrap().to_owned());
        assert_eq!(held, shown);
        let me = call(&app, &with_token("GET", "/me", &reply.token())).json();
        assert_eq!(me["user"].get("username").map(|name| name.as_str().unwrap().to_owned()), shown);
        shown
    };
    let quoted = |name: &str| serde_json::to_vec(name).unwrap();
    for name in ["alice", "Ålice 🙂", "🙂🙂🙂", "a\u{202e}b", "'\"<\\", &"x".repeat(128)] {
        assert_eq!(signed_in(&quoted(name)).as_deref(), Some(name));
    }
    // A name that cannot be stored or shown is left out, and its owner can sign in.
    for name in [
        "a\nb",
        "\u{0}",
        "\u{7f}",
        "\u{85}",
        &"🙂".repeat(64),
        &"x".repeat(129),
        &"x".repeat(60_000),
    ] {
        assert_eq!(signed_in(&quoted(name)), None, "{name:?}");
    }
    for name in [
        &br#""\ud800""#[..],
        br#""a\uD83D""#,
        br#""\udfffb""#,
        br#""\ud83d\ud83d\ude42""#,
        br#""\ud83dx\ude42""#,
        br#""\\\ud800""#,
        b"\"\xff\"",
        b"\"\xed\xa0\x80\"",
        b"1",
        b"true",
        b"{}",
        b"[\"a\"]",
        b"null",
    ] {
        assert_eq!(signed_in(name), None, "{}", String::from_utf8_lossy(name));
    }
    // Surrogate pairs are characters, and an escaped backslash is no escape.
    assert_eq!(signed_in(br#""\ud83d\ude42""#).as_deref(), Some("🙂"));
    assert_eq!(signed_in(br#""\\ud800""#).as_deref(), Some("\\ud800"));
    // The log reports it, without the name.
    let body = r#"{"uid":"a","username":"canary\n"}"#;
    let json = Response::builder().header("content-type", "application/json");
    app.transport.prepared.replace(Some(json.body(body.into()).unwrap()));
    let response = block_on(service::handle(&app, &sign_in("sim-alice"), entropy()));
    let record = response.extensions().get::<service::LogEntry>().unwrap();
    assert!(record.reason.as_ref().unwrap().contains("left out"), "{record:?}");
    assert!(!format!("{record:?}").contains("canary"));
    // The earlier name is removed with it.
    assert_eq!(signed_in(b"\"alice\"").as_deref(), Some("alice"));
    assert_eq!(signed_in(b"7"), None);
}

#[test]
fn i5_a_scope_that_does_not_fit_a_token_is_left_out_and_the_sign_in_succeeds() {
    let app = test_app_with(&[("PI_APP_ID", "")]);
    let scopes = |scopes: &str| {
        let body = format!(r#"{{"uid":"a","credentials":{{"scopes":{scopes}}}}}"#);
        let reply = answered(&app, 200, "application/json", body);
        assert_eq!(reply.status, 200, "{scopes}");
        claims(&app, &reply).scope
    };
    assert_eq!(
        scopes(r#"["username","a b","","payments","a\"","\ud800","a\\"]"#),
        "username payments"
    );
    assert_eq!(
        scopes(&json!(["username", "x".repeat(33), "x".repeat(32)]).to_string()),
        format!("username {}", "x".repeat(32))
    );
    let many: Vec<String> = (0..40).map(|number| format!("s{number}")).collect();
    assert_eq!(scopes(&json!(many).to_string()), many[..32].join(" "));
}

#[test]
fn u8_no_header_of_pi_reaches_the_client() {
    let app = test_app();
    for status in [200, 302, 401, 404, 500] {
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .header("set-cookie", "upstream=canary")
            .header("location", "https://canary.example")
            .header("x-upstream", "canary");
        let body = b"{\"uid\":\"a\",\"app_id\":\"simulated-app\",\"error\":\"canary\"}".to_vec();
        app.transport.prepared.replace(Some(response.body(body).unwrap()));
        let reply = call(&app, &sign_in("sim-alice"));
        assert!(!format!("{reply:?}").contains("canary"), "{reply:?}");
    }
}

#[test]
fn u2_u5_u6_u7_every_persona_has_an_answer() {
    let expected = [
        ("sim-alice", 200, ""),
        ("sim-bob", 200, ""),
        ("sim-no-username", 200, ""),
        ("sim-other-app", 403, "wrong_app"),
        ("sim-app-id-number", 403, "wrong_app"),
        ("sim-app-id-absent", 403, "wrong_app"),
        ("sim-expired", 401, "access_token_rejected"),
        ("sim-revoked", 401, "access_token_rejected"),
        ("sim-401-json", 401, "access_token_rejected"),
        ("sim-403", 401, "access_token_rejected"),
        ("sim-404", 502, "upstream_invalid"),
        ("sim-429", 503, "upstream_unavailable"),
        ("sim-500-html", 503, "upstream_unavailable"),
        ("sim-200-html", 502, "upstream_invalid"),
        ("sim-200-error", 502, "upstream_invalid"),
        ("sim-truncated", 502, "upstream_invalid"),
        ("sim-duplicate", 502, "upstream_invalid"),
        ("sim-slow", 504, "upstream_timeout"),
        ("sim-broken", 503, "upstream_unavailable"),
        ("sim-huge", 502, "upstream_invalid"),
        ("sim-redirect", 502, "upstream_invalid"),
    ];
    for persona in PERSONAS {
        let row = expected.iter().find(|(token, ..)| *token == persona.token);
        let (token, status, code) = row.unwrap_or_else(|| panic!("{} is not here", persona.token));
        let app = test_app();
        if *status == 200 {
            let reply = call(&app, &sign_in(token));
            assert_eq!((reply.status, reply.sent), (200, 1), "{token}");
            assert_eq!(app.store.memory.counts(), (1, 1));
            continue;
        }
        let reply = refused(&app, &sign_in(token), *status, code);
        assert_eq!(reply.sent, 1, "{token}: asked once, and nowhere else");
        for upstream in ["sorry", "Maintenance", "unknown_error", "unauthorized", "a11ce"] {
            assert!(!reply.body.contains(upstream), "{token}: {}", reply.body);
        }
    }
    let unnamed = call(&test_app(), &sign_in("sim-no-username")).json();
    assert_eq!(unnamed["user"].get("username"), None);
}

#[test]
fn u7_retry_after_is_passed_on_within_an_hour() {
    let app = test_app();
    assert_eq!(call(&app, &sign_in("sim-429")).header("retry-after"), Some("7"));
    assert_eq!(call(&app, &sign_in("sim-500-html")).header("retry-after"), Some("2"));
    for (given, told) in [
        ("1", "1"),
        ("0", "1"),
        ("3600", "3600"),
        ("86400", "3600"),
        ("-1", "2"),
        ("soon", "2"),
        ("99999999999", "2"),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "2"),
    ] {
        for status in [429, 503] {
            let response = Response::builder().status(status).header("retry-after", given);
            app.transport.prepared.replace(Some(response.body(Vec::new()).unwrap()));
            let reply = refused(&app, &sign_in("sim-alice"), 503, "upstream_unavailable");
            assert_eq!(reply.header("retry-after"), Some(told), "{given}");
        }
    }
    for status in [201, 204, 206, 300, 301, 303, 304, 307, 308, 400, 402, 410, 418, 451, 600, 999] {
        let reply = answered(&app, status, "application/json", r#"{"uid":"a"}"#);
        assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_invalid"), "{status}");
    }
}

#[test]
fn u9_the_request_to_pi_is_exactly_this() {
    let app = test_app();
    let headers = [
        ("content-type", "application/json"),
        ("cookie", "a=b"),
        ("x-forwarded-host", "evil.example"),
        ("host", "evil.example"),
        ("user-agent", "browser"),
        ("origin", ORIGIN),
        ("authorization", "Bearer of-the-caller"),
        ("accept-language", "de"),
    ];
    let body = r#"{"accessToken":"sim-alice","base":"https://evil.example"}"#;
    assert_eq!(
        call(&app, &request("POST", "/session?base=//evil.example", &headers, body)).status,
        200
    );
    let requests = app.transport.simulator.requests.borrow();
    let [sent] = &requests[..] else { panic!("{} requests", requests.len()) };
    assert_eq!(sent.method(), "GET");
    assert_eq!(sent.uri(), "https://api.minepi.com/v2/me");
    assert!(sent.body().is_empty());
    let mut headers: Vec<_> = sent
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    headers.sort_unstable();
    let agent = concat!("pioneer-session/", env!("CARGO_PKG_VERSION"));
    let expected = [
        ("accept", "application/json"),
        ("authorization", "Bearer sim-alice"),
        ("user-agent", agent),
    ];
    assert_eq!(headers, expected);
}
