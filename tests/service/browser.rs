//! Origins and CORS.

use super::*;

#[test]
fn b3_an_allowed_page_may_send_any_header_and_read_the_ones_it_needs() {
    let app = test_app();
    let preflight = |origin: &str, names: &[&str]| {
        let mut request = request("OPTIONS", "/session", &[("origin", origin)], "");
        for names in names {
            let name = "access-control-request-headers";
            request.headers_mut().append(name, names.parse().unwrap());
        }
        call(&app, &request)
    };
    let granted = |names: &[&str]| {
        let reply = preflight(ORIGIN, names);
        assert_eq!(reply.status, 204);
        let vary = reply.headers.get_all("vary").iter().map(|value| value.to_str().unwrap());
        assert_eq!(vary.collect::<Vec<_>>(), ["Access-Control-Request-Headers", "Origin"]);
        reply.header("access-control-allow-headers").map(str::to_owned)
    };
    // As browsers write them: headers of tracing libraries, and those of the service.
    let traced = "authorization,baggage,content-type,dpop,idempotency-key,if-match,if-none-match,\
        sentry-trace,traceparent,tracestate,x-datadog-trace-id";
    assert_eq!(granted(&[traced]).unwrap(), traced);
    assert_eq!(granted(&["DPoP, x_y"]).unwrap(), "DPoP, x_y");
    assert_eq!(granted(&[]), None);
    // Only names of headers are granted, and only so many.
    for bad in ["a:b", "a\"", "(a)", "a;b", "a/b", "a\tb", "a=b", "<a>", "?"] {
        assert_eq!(granted(&[bad]), None, "{bad}");
        assert_eq!(granted(&[&format!("dpop,{bad}")]), None, "{bad}");
    }
    assert_eq!(granted(&[&"a".repeat(1024)]).unwrap().len(), 1024);
    assert_eq!(granted(&[&"a".repeat(1025)]), None);
    // No other origin is granted anything.
    for origin in ["https://evil.example", "null"] {
        let reply = preflight(origin, &["dpop"]);
        assert_eq!((reply.status, reply.code().as_str()), (403, "origin_not_allowed"));
        assert_eq!(reply.header("access-control-allow-headers"), None);
    }
    let names = [("access-control-request-headers", "dpop")];
    let bare = call(&app, &request("OPTIONS", "/session", &names, ""));
    assert_eq!((bare.status, bare.header("access-control-allow-headers")), (204, None));

    let reply = call(&app, &request("GET", "/health", &[("origin", ORIGIN)], ""));
    let exposed = reply.header("access-control-expose-headers").unwrap();
    let exposed: Vec<&str> = exposed.split(", ").collect();
    assert_eq!(exposed, ["dpop-nonce", "etag", "retry-after", "x-request-id"]);
}

#[test]
fn b3_the_log_and_the_answer_help_to_correct_the_list_of_origins() {
    let app = test_app();
    let refused_for = |origin: &[u8]| {
        let mut request = request("GET", "/products", &[], "");
        request.headers_mut().append("origin", HeaderValue::from_bytes(origin).unwrap());
        let response = block_on(service::handle(&app, &request, entropy()));
        let record = response.extensions().get::<service::LogEntry>().unwrap().clone();
        let reply = checked(&request, response);
        assert_eq!((reply.status, reply.code().as_str()), (403, "origin_not_allowed"));
        (record.reason.unwrap(), reply.body)
    };
    let (reason, body) = refused_for(b"https://www.app.example");
    assert_eq!(reason, "the origin https://www.app.example is not in ALLOWED_ORIGINS");
    assert!(body.contains("ALLOWED_ORIGINS") && body.contains("pinet.com"), "{body}");
    assert!(!body.contains("app.example"), "the answer echoes nothing");
    // The text comes from an attacker: the log has no quote, no line break, no control sequence,
    // and a limit.
    let (reason, _) = refused_for(b"https://\"\\\xe2\x80\xae\t\xff[2J");
    assert!(reason.contains("the origin https://???????[2J is"), "{reason}");
    let (reason, _) = refused_for(&[b'a'; 5000]);
    assert!(reason.len() < 330, "{}", reason.len());
}

#[test]
fn i5_b3_only_listed_origins_may_call() {
    let app = test_app();
    let json = ("content-type", "application/json");
    let body = r#"{"accessToken":"sim-alice"}"#;
    for origin in [
        "null",
        "",
        "https://evil.example",
        "https://app.example.evil.example",
        "http://app.example",
        "https://evil-app.example",
        "https://APP.example",
        "https://app.example:443",
        "https://app.example.",
        "https://app.example/",
        "https://app.example, https://evil.example",
        "*",
        "http://id.example",
    ] {
        let post = request("POST", "/session", &[json, ("origin", origin)], body);
        let reply = refused(&app, &post, 403, "origin_not_allowed");
        assert_eq!(reply.sent, 0, "{origin}");
        for header in reply.headers.keys() {
            assert!(!header.as_str().starts_with("access-control"), "{origin}: {header}");
        }
        for (method, path) in [("GET", "/me"), ("OPTIONS", "/session"), ("GET", "/health")] {
            let other = request(method, path, &[("origin", origin)], "");
            refused(&app, &other, 403, "origin_not_allowed");
        }
    }
    let two = [json, ("origin", ORIGIN), ("origin", ORIGIN)];
    refused(&app, &request("POST", "/session", &two, body), 403, "origin_not_allowed");
    for origin in [ORIGIN, "https://sandbox.minepi.com", "https://id.example"] {
        let reply = call(&app, &request("POST", "/session", &[json, ("origin", origin)], body));
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
        assert_eq!(reply.header("access-control-allow-credentials"), None);
        // Errors, too, or no page could read them.
        let error = refused(
            &app,
            &request("GET", "/me", &[("origin", origin)], ""),
            401,
            "session_missing",
        );
        assert_eq!(error.header("access-control-allow-origin"), Some(origin));
    }
}
