//! Operators: who is one, for how long, and from where.

use super::*;

const OTHER_KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519",
    "x":"7cpX1e1RNxjvbvMZULpv73V7H8q4ALte1Fmgw6IjfKw",
    "d":"ycU7Nc3yYu9-kmaPCrYETE7vO6dqzsTDiv7a7rT2qeY",
    "kid":"GSFPFdfQX1Md-25zEXaxYxtvRdFGcYt6Qq9jKAwzfn4","state":"active"}]}"#;
const PATH: &str = "/admin/session";

fn operator_token(app: &TestApp, credential: &str) -> String {
    let reply = call(app, &with_token("POST", PATH, credential));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["operatorToken"].as_str().unwrap().to_owned()
}

fn show(app: &TestApp, token: &str, now: i64) -> Reply {
    call_at(app, &with_token("GET", PATH, token), now)
}

#[test]
fn an_operator_exchanges_the_credential_for_a_token_of_an_hour() {
    let app = test_app();
    // Neither the database nor Pi has to work.
    app.store.fails.set(true);
    let reply = call(&app, &with_token("POST", PATH, OWNER));
    let token = reply.json()["operatorToken"].as_str().unwrap().to_owned();
    let expected =
        json!({ "operatorToken": token, "expiresIn": 3600, "name": "alice", "role": "owner" });
    assert_eq!((reply.status, reply.json(), reply.sent), (200, expected, 0));

    let shown = json!({ "name": "alice", "role": "owner", "expiresAt": "2025-10-09T09:53:20Z" });
    for later in [0, 3599] {
        let reply = show(&app, &token, NOW + later);
        assert_eq!((reply.status, reply.json()), (200, shown.clone()));
    }
    assert_eq!(show(&app, &token, NOW + 3600).code(), "operator_rejected");
    // The credential itself is as good, and does not expire.
    let viewer = show(&app, VIEWER, NOW + 10_000);
    assert_eq!(viewer.json(), json!({ "name": "bob", "role": "viewer" }));
    let head = call(&app, &with_token("HEAD", PATH, VIEWER));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let options = call(&app, &request("OPTIONS", PATH, &[], ""));
    assert_eq!(options.header("allow"), Some("POST, GET, HEAD, OPTIONS"));
    assert_eq!(call(&app, &with_token("DELETE", PATH, OWNER)).code(), "method_not_allowed");
}

/// Everything that does not admit an operator, with a name for each.
fn rejected(app: &TestApp) -> Vec<(&'static str, String)> {
    let foreign = |name: &str, value: &str| operator_token(&test_app_with(&[(name, value)]), OWNER);
    let session = call(app, &sign_in("sim-alice")).token();
    let feed = call(app, &request("GET", "/revocations", &[], "")).bytes;
    let feed = feed.split(|&byte| byte == b'\n').next().unwrap();
    let token = operator_token(app, OWNER);
    let hash = OPERATORS.split('"').nth(5).unwrap();
    vec![
        ("nothing", String::new()),
        ("a wrong credential", "credential-of-an-owner ".into()),
        ("a part of a credential", OWNER[1..].into()),
        ("a hash", hash.into()),
        ("a name", "alice".into()),
        ("a backend's credential", CREDENTIAL.into()),
        ("a session token", session),
        ("a window of the feed", String::from_utf8(feed.to_vec()).unwrap()),
        ("a proof", BrowserKey::new(1).proof(NOW)),
        ("a token with another signature", format!("{}A", &token[..token.len() - 1])),
        ("of another issuer", foreign("SESSION_ISSUER", "https://other.example")),
        ("of another audience", foreign("SESSION_AUDIENCE", "other")),
        ("of another key", foreign("SESSION_KEYS", OTHER_KEYS)),
        ("of another name", foreign("OPERATOR_CREDENTIALS", &OPERATORS.replace("alice", "carol"))),
        ("of another role", foreign("OPERATOR_CREDENTIALS", &OPERATORS.replace("owner", "viewer"))),
    ]
}

#[test]
fn a3_nothing_but_an_operators_own_credential_or_token_is_accepted() {
    let app = test_app();
    let words = |reply: &Reply| reply.body.split(r#""requestId""#).next().unwrap().to_owned();
    let bare = refused(&app, &request("GET", PATH, &[], ""), 401, "operator_rejected");
    let challenge = Some(r#"Bearer error="invalid_token""#);
    for (name, bearer) in rejected(&app) {
        for method in ["GET", "POST"] {
            let request = with_token(method, PATH, &bearer);
            let reply = refused(&app, &request, 401, "operator_rejected");
            assert_eq!(words(&reply), words(&bare), "{name}");
            assert_eq!(reply.header("www-authenticate"), challenge, "{name}");
        }
    }
    let bearer = format!("Bearer {OWNER}");
    let two = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    refused(&app, &request("GET", PATH, &two, ""), 400, "ambiguous_credentials");
    for elsewhere in [
        request("POST", &format!("{PATH}?credential={OWNER}"), &[], ""),
        request("POST", PATH, &[("content-type", "application/x-www-form-urlencoded")], &bearer),
        request("POST", PATH, &[("authorization", &format!("Basic {OWNER}"))], ""),
    ] {
        refused(&app, &elsewhere, 401, "operator_rejected");
    }
    // A token is not exchanged for the next one, or it would never expire.
    let token = operator_token(&app, OWNER);
    refused(&app, &with_token("POST", PATH, &token), 401, "operator_rejected");
}

#[test]
fn a3_a_token_ends_with_the_name_the_role_and_the_credential_that_it_was_made_for() {
    let token = operator_token(&test_app(), OWNER);
    let now_with = |operators: &str| {
        let app = test_app_with(&[("OPERATOR_CREDENTIALS", operators)]);
        show(&app, &token, NOW).status
    };
    assert_eq!(now_with(OPERATORS), 200);
    let credential = &OPERATORS[OPERATORS.find("51d9").unwrap()..][..64];
    let changed = OPERATORS.replace(credential, &"0".repeat(64));
    let renamed = OPERATORS.replacen("alice", "carol", 1);
    for operators in [&changed, &renamed, &OPERATORS.replace("owner", "viewer"), "{}"] {
        assert_eq!(now_with(operators), 401, "{operators}");
    }
}

#[test]
fn a3_an_operators_token_is_no_other_credential() {
    let app = test_app_with(&[("SESSION_COOKIE", "on")]);
    let token = operator_token(&app, OWNER);
    for credential in [token.as_str(), OWNER] {
        refused(&app, &with_token("GET", "/session", credential), 401, "session_invalid");
        refused(&app, &with_token("DELETE", "/me", credential), 401, "session_invalid");
        refused(&app, &with_token("POST", "/revoke-all", credential), 401, "backend_rejected");
        refused(&app, &refresh(credential), 401, "refresh_rejected");
        assert_eq!(call(&app, &sign_in(credential)).code(), "access_token_rejected");
        assert_eq!(call(&app, &introspect(credential)).json(), json!({ "active": false }));
        let cookie = format!("__Host-pi_session={credential}");
        let cookie = request("GET", "/session", &[("cookie", &cookie)], "");
        refused(&app, &cookie, 401, "session_invalid");
        let session = call(&app, &sign_in("sim-bob"));
        let proven = proven_refresh(&session.refresh(), credential);
        refused(&app, &proven, 401, "invalid_dpop_proof");
    }
    let (keys, policy) = (app.settings.keys.all(), &app.settings.policy);
    let window = Window::verify(format!("{token}\n").as_bytes(), keys, policy, at(NOW));
    assert_eq!(window.map(drop), Err(jwt::Error::UnknownKey));
}

/// The answer, and the route in the log.
fn routed(app: &TestApp, method: &str, path: &str) -> (u16, &'static str) {
    let request = with_token(method, path, OWNER);
    let response = block_on(service::handle(app, &request, entropy()));
    let route = response.extensions().get::<service::LogEntry>().unwrap().route;
    (checked(&request, response).status, route)
}

#[test]
fn without_operators_their_routes_are_as_unknown_as_any_other_path() {
    for app in [
        test_app_with(&[("OPERATOR_CREDENTIALS", "")]),
        test_app_with(&[("SERVES", "app")]),
        test_app_with(&[("SERVES", "app"), ("OPERATOR_CREDENTIALS", "")]),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
            for path in
                [PATH, "/admin/overview", "/admin/", "/admin", "/console", "/console/main-0123.js"]
            {
                assert_eq!(routed(&app, method, path), (404, "unknown"), "{method} {path}");
            }
        }
        assert_eq!(routed(&app, "GET", "/products").0, 200);
        let listed = request("GET", PATH, &[("origin", ORIGIN)], "");
        assert_eq!(call(&app, &listed).code(), "not_found");
    }
}

#[test]
fn a_deployment_for_operators_serves_nothing_else_but_its_health() {
    let app = test_app_with(&[("SERVES", "admin")]);
    let operations = service::OPERATIONS.iter();
    for operation in operations {
        let path = operation.path.replace(['{', '}'], "");
        let expected = match path.as_str() {
            "/health" => "/health",
            path if path.starts_with("/admin/") || path.starts_with("/console") => operation.path,
            _ => "unknown",
        };
        let (status, route) = routed(&app, operation.method, &path);
        assert_eq!(route, expected, "{}", operation.id);
        // No user and no payment has the name that stands in the path, and no request has a body
        // or a confirmation.
        let statuses = match expected {
            "unknown" => 404..=404,
            _ if operation.max_bytes > 0 => 415..=415,
            _ if operation.id == "eraseUser" => 422..=422,
            path if path == operation.path.replace(['{', '}'], "") => 200..=200,
            _ => 404..=404,
        };
        assert!(statuses.contains(&status), "{}: {status}", operation.id);
    }
    let request = sign_in("sim-alice");
    assert_eq!(service::body_limit(&app, &request), 0, "no body is read");
    assert_eq!(call(&app, &request).sent, 0);
    let closed = test_app_with(&[("SERVES", "admin"), ("OPERATOR_CREDENTIALS", "")]);
    assert_eq!(routed(&closed, "GET", PATH), (404, "unknown"));
    assert_eq!(routed(&closed, "GET", "/health"), (200, "/health"));
}

#[test]
fn b3_only_a_page_of_the_issuer_acts_for_an_operator() {
    let app = test_app();
    let bearer = format!("Bearer {OWNER}");
    let from = |method: &str, origin: &str| {
        let headers = [("authorization", bearer.as_str()), ("origin", origin)];
        call(&app, &request(method, PATH, &headers, ""))
    };
    let allowed = "access-control-allow-origin";
    for method in ["GET", "POST", "OPTIONS"] {
        let own = from(method, "https://id.example");
        assert_eq!(own.header(allowed), Some("https://id.example"));
        assert!(own.status < 300, "{own:?}");
        for origin in [ORIGIN, "https://sandbox.minepi.com", "https://evil.example", "null"] {
            let reply = from(method, origin);
            assert_eq!((reply.status, reply.code().as_str()), (403, "origin_not_allowed"));
            assert_eq!(reply.header(allowed), None);
            assert_eq!(reply.header("access-control-allow-headers"), None);
        }
    }
    // A listed page may call every other route.
    let listed = request("GET", "/health", &[("origin", ORIGIN)], "");
    assert_eq!(call(&app, &listed).header(allowed), Some(ORIGIN));
    let reply = from("GET", ORIGIN);
    assert!(reply.body.contains("routes of operators") && !reply.body.contains("app.example"));
}

#[test]
fn b7_no_cookie_speaks_for_an_operator_or_against_one() {
    let app = test_app_with(&[("SESSION_COOKIE", "on")]);
    let session = call(&app, &sign_in("sim-alice")).token();
    let token = operator_token(&app, OWNER);
    let with_cookies = |method: &str, cookie: &str, bearer: Option<&str>| {
        let bearer = bearer.map(|text| format!("Bearer {text}"));
        let mut headers = vec![("cookie", cookie)];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        call(&app, &request(method, PATH, &headers, ""))
    };
    let one = format!("__Host-pi_session={session}");
    let two = format!("{one}; __Host-pi_session=x");
    for cookie in [&one, &two] {
        assert_eq!(with_cookies("GET", cookie, Some(&token)).status, 200);
        assert_eq!(with_cookies("POST", cookie, Some(OWNER)).status, 200);
    }
    for value in [&token, OWNER, &session] {
        for name in ["__Host-pi_session", "__Host-pi_refresh", "operator"] {
            for method in ["GET", "POST"] {
                let reply = with_cookies(method, &format!("{name}={value}"), None);
                assert_eq!((reply.status, reply.code().as_str()), (401, "operator_rejected"));
            }
        }
    }
}

#[test]
fn a1_wrong_credentials_count_by_address_and_the_right_one_by_name() {
    let app = test_app();
    let from = |credential: &str, address: &str| {
        let request = with_token("POST", PATH, credential);
        call(&app, &with_header(request, "cf-connecting-ip", address))
    };
    app.limiter.limit.set(2);
    let before = app.store.memory.counts();
    for _ in 0..2 {
        assert_eq!(from("wrong", "192.0.2.1").status, 401);
        assert_eq!(from(OWNER, "192.0.2.1").status, 200);
    }
    for _ in 0..10 {
        let reply = from("wrong", "192.0.2.1");
        assert_eq!((reply.status, reply.code().as_str()), (429, "rate_limited"));
    }
    assert_eq!(from("wrong", "192.0.2.2").status, 401);
    // The flood locks nobody out; only the sign-ins of this operator are too many.
    assert_eq!(from(VIEWER, "192.0.2.1").status, 200);
    assert_eq!(from(OWNER, "192.0.2.3").code(), "rate_limited");
    assert_eq!(app.store.memory.counts(), before, "nothing is written");
    let keys = app.limiter.keys.borrow();
    for key in ["SIGN_IN_LIMIT operator ip:192.0.2.1", "USER_SIGN_IN_LIMIT operator alice"] {
        assert!(keys.iter().any(|other| other == key), "{keys:?}");
    }
    assert!(!keys.iter().any(|key| key.contains("credential")), "{keys:?}");
}

#[test]
fn a1_wrong_credentials_are_limited_at_every_route_and_good_ones_never() {
    let app = test_app();
    let before = app.store.memory.counts();
    let read = |credential: &str, address: &str| {
        let request = with_token("GET", PATH, credential);
        call(&app, &with_header(request, "cf-connecting-ip", address)).status
    };
    let token = operator_token(&app, OWNER);
    app.limiter.limit.set(300);
    app.limiter.keys.borrow_mut().clear();
    for attempt in 0..10_000 {
        let expected = if attempt < 300 { 401 } else { 429 };
        assert_eq!(read("wrong", "192.0.2.1"), expected, "{attempt}");
        // The limiter of the tests compares all keys, which would take minutes.
        app.limiter.keys.borrow_mut().truncate(300);
    }
    assert_eq!(read("", "192.0.2.1"), 429, "no credential is a wrong one");
    assert_eq!(read("wrong", "192.0.2.2"), 401, "each address has a limit of its own");
    let counted = app.limiter.keys.borrow().len();
    for _ in 0..1000 {
        assert_eq!(read(&token, "192.0.2.1"), 200);
        assert_eq!(read(VIEWER, "192.0.2.1"), 200);
    }
    assert_eq!(app.limiter.keys.borrow().len(), counted, "a good credential is not counted");
    assert_eq!(app.store.memory.counts(), before, "nothing is written");
}
