//! Routes, methods, bodies, and the public documents.

use super::*;

#[test]
fn the_keys_are_cacheable() {
    let app = test_app();
    let get = |tags: &str| {
        let headers = [("if-none-match", tags)];
        call(&app, &request("GET", "/.well-known/jwks.json", &headers, ""))
    };
    let jwks = get("\"other\"");
    assert_eq!(jwks.status, 200);
    let etag = jwks.header("etag").unwrap();
    for tags in [etag, "*", &format!("W/{etag}"), &format!("\"other\", {etag}")] {
        let known = get(tags);
        assert_eq!((known.status, known.body.as_str()), (304, ""), "{tags}");
        assert_eq!(known.header("etag"), Some(etag));
    }
}

#[test]
fn the_openapi_document_has_every_route_and_method_and_no_other() {
    let app = test_app();
    let reply = call(&app, &request("GET", "/openapi.json", &[], ""));
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let document = reply.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let paths = document["paths"].as_object().unwrap();
    for (path, item) in paths {
        let (before, after) = path.split_once('{').unwrap_or((path, ""));
        let rest = after.split_once('}').map_or("", |(_, rest)| rest);
        let concrete = if after.is_empty() { path.clone() } else { format!("{before}x{rest}") };
        let options = call(&app, &request("OPTIONS", &concrete, &[], ""));
        assert_eq!(options.status, 204, "{path}");
        let allowed = options.header("allow").unwrap().split(", ");
        let allowed = allowed.filter(|name| !matches!(*name, "HEAD" | "OPTIONS"));
        let mut allowed: Vec<String> = allowed.map(str::to_ascii_lowercase).collect();
        allowed.sort_unstable();
        let named = item.as_object().unwrap().keys().filter(|name| *name != "parameters");
        assert_eq!(named.cloned().collect::<Vec<_>>(), allowed, "{path}");
    }
    // Every reference has a target.
    for part in reply.body.split("\"$ref\": \"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    let etag = reply.header("etag").unwrap();
    let known = request("GET", "/openapi.json", &[("if-none-match", etag)], "");
    assert_eq!(call(&app, &known).status, 304);
}

#[test]
fn a8_head_options_and_health() {
    let app = test_app();
    let token = call(&app, &sign_in("sim-alice")).token();
    let health = call(&app, &request("GET", "/health", &[], ""));
    let expected = json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") });
    assert_eq!((health.status, health.json()), (200, expected));
    for path in ["/session", "/me", "/me/data", "/.well-known/jwks.json", "/health"] {
        let get = call(&app, &with_token("GET", path, &token));
        let head = call(&app, &with_token("HEAD", path, &token));
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert_eq!(head.header("etag"), get.header("etag"));
        assert_eq!(head.header("content-type"), get.header("content-type"));
        let options = call(&app, &request("OPTIONS", path, &[("origin", ORIGIN)], ""));
        assert_eq!((options.status, options.body.as_str()), (204, ""));
        let methods = options.header("allow").unwrap();
        assert!(methods.contains("GET, HEAD") && methods.contains("OPTIONS"));
        assert_eq!(options.header("access-control-allow-methods"), Some(methods));
        assert_eq!(options.header("access-control-allow-origin"), Some(ORIGIN));
    }
    assert_eq!(call(&app, &request("HEAD", "/session", &[], "")).status, 401);
}

#[test]
fn a8_an_unknown_route_or_method_and_a_bad_type_or_body_are_rejected() {
    let app = test_app();
    for path in ["/session/", "/Session", "/sessionz", "/me/", "/me/data/x", "//me", "/.env"] {
        for method in ["GET", "POST", "OPTIONS"] {
            refused(&app, &request(method, path, &[], ""), 404, "not_found");
        }
    }
    for (path, methods) in [
        ("/session", vec!["PUT", "PATCH", "TRACE", "get", "BREW"]),
        ("/me", vec!["POST", "PUT", "PATCH"]),
        ("/me/data", vec!["POST", "DELETE", "PATCH"]),
        ("/.well-known/jwks.json", vec!["POST", "PUT", "DELETE"]),
        ("/health", vec!["POST", "DELETE"]),
        ("/", vec!["POST", "DELETE"]),
    ] {
        for method in methods {
            let reply = refused(&app, &request(method, path, &[], "{}"), 405, "method_not_allowed");
            let allow = reply.header("allow").unwrap();
            assert!(allow.contains("GET") && !allow.split(", ").any(|other| other == method));
        }
    }
    // B4: the requests that a form, or a page without a preflight, can send.
    let body = r#"{"accessToken":"sim-alice"}"#;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
        "text/json",
        "application/jsonx",
        "application/json, text/plain",
        "application/json; charset=latin1",
        "application/problem+json",
    ] {
        let request = request("POST", "/session", &[("content-type", kind)], body);
        assert_eq!(refused(&app, &request, 415, "unsupported_media_type").sent, 0, "{kind}");
    }
    refused(&app, &request("POST", "/session", &[], body), 415, "unsupported_media_type");
    let json = ("content-type", "application/json");
    for more in [json, ("content-type", "text/plain"), ("content-encoding", "gzip")] {
        let request = request("POST", "/session", &[json, more], body);
        refused(&app, &request, 415, "unsupported_media_type");
    }
    for kind in ["application/json;charset=UTF-8", "Application/JSON; charset=\"utf-8\""] {
        let request = request("POST", "/session", &[("content-type", kind)], body);
        assert_eq!(call(&app, &request).status, 200, "{kind}");
    }
    // 413, by the actual and by the announced length.
    let long = |length: usize| format!("{body}{}", " ".repeat(length - body.len()));
    assert_eq!(call(&app, &post(&long(16_384))).status, 200);
    assert_eq!(refused(&app, &post(&long(16_385)), 413, "body_too_large").sent, 0);
    for announced in ["16385", "99999999999999999999999", "-1"] {
        let headers = [json, ("content-length", announced)];
        let request = request("POST", "/session", &headers, body);
        assert_eq!(refused(&app, &request, 413, "body_too_large").sent, 0);
    }
    for bad in [
        "",
        " ",
        "{}",
        "[]",
        "null",
        r#"["sim-alice"]"#,
        r#""sim-alice""#,
        "accessToken=sim-alice",
        r#"{"accessToken":null}"#,
        r#"{"accessToken":1}"#,
        r#"{"accessToken":["sim-alice"]}"#,
        r#"{"accesstoken":"sim-alice"}"#,
        r#"{"access_token":"sim-alice"}"#,
        r#"{"accessToken":"sim-alice"}x"#,
        r#"{"accessToken":"sim-alice",}"#,
        r#"{"accessToken":"sim-alice","accessToken":"sim-bob"}"#,
        r#"{"accessToken":"sim-alice","access\u0054oken":"sim-alice"}"#,
        r#"{"accessToken":"sim-alice","user":{"uid":"a","uid":"b"}}"#,
        "\u{feff}{\"accessToken\":\"sim-alice\"}",
    ] {
        assert_eq!(refused(&app, &post(bad), 400, "invalid_request").sent, 0, "{bad}");
    }
    let mut not_utf8 = post("");
    *not_utf8.body_mut() = b"{\"accessToken\":\"\xff\"}".to_vec();
    refused(&app, &not_utf8, 400, "invalid_request");
}

#[test]
fn r16_without_a_credential_no_byte_of_a_body_is_read() {
    let app = test_app();
    let token = call(&app, &sign_in("sim-alice")).token();
    let user = |method: &str, path: &str| with_token(method, path, &token);
    let nobody = |method: &str, path: &str| with_token(method, path, "x");
    let stranger = |path: &str| {
        let headers = [("content-type", "application/json"), ("origin", "https://evil.example")];
        request("POST", path, &headers, "")
    };
    for (request, bytes) in [
        (request("POST", "/session", &[], ""), 16),
        (request("POST", "/session/refresh", &[], ""), 16),
        (stranger("/session"), 0),
        (stranger("/session/refresh"), 0),
        (user("PUT", "/me/data"), 64),
        (nobody("PUT", "/me/data"), 0),
        (user("POST", "/orders"), 16),
        (nobody("POST", "/orders"), 0),
        (user("POST", "/payments/p/complete"), 16),
        (nobody("POST", "/payments/p/complete"), 0),
        (user("POST", "/payments/p/approve"), 0),
        (backend("POST", "/notifications"), 256),
        (nobody("POST", "/notifications"), 0),
        (backend("POST", "/introspect"), 16),
        (nobody("POST", "/introspect"), 0),
        (backend("POST", "/revoke-all"), 0),
        (user("DELETE", "/me"), 0),
        (user("GET", "/me/data"), 0),
        (request("POST", "/nowhere", &[], ""), 0),
    ] {
        let limit = service::body_limit(&app, &request);
        assert_eq!(limit, bytes * 1024, "{} {}", request.method(), request.uri());
    }
    // A request whose body was left unread is rejected for its credential, and not for its body.
    refused(&app, &nobody("PUT", "/me/data"), 401, "session_invalid");
    refused(&app, &nobody("POST", "/notifications"), 401, "backend_rejected");
}

#[test]
fn r2_a_body_that_arrived_too_slowly_changes_nothing() {
    let app = test_app();
    let signed_in = call(&app, &sign_in("sim-alice"));
    let slow = |mut request: Request<Vec<u8>>| {
        request.extensions_mut().insert(service::TooSlow);
        request
    };
    for request in [
        sign_in("sim-alice"),
        refresh(&signed_in.refresh()),
        put(&signed_in.token(), "{}", None),
        introspect(&signed_in.token()),
    ] {
        refused(&app, &slow(request), 408, "request_timeout");
    }
    assert_eq!(call(&app, &refresh(&signed_in.refresh())).status, 200, "not spent");
}

#[test]
fn each_handler_accepts_as_many_bytes_as_the_table_of_routes_says() {
    let app = test_app();
    let token = call(&app, &sign_in("sim-alice")).token();
    for operation in service::OPERATIONS.iter().filter(|operation| operation.max_bytes > 0) {
        let credential = match operation.caller {
            service::Caller::Backend => CREDENTIAL,
            service::Caller::Operator | service::Caller::Owner => OWNER,
            service::Caller::Session | service::Caller::Anyone => &token,
        };
        let bearer = format!("Bearer {credential}");
        let is_form = operation.id == "introspect";
        let kind = if is_form { "application/x-www-form-urlencoded" } else { "application/json" };
        let path = operation.path.replace(['{', '}'], "");
        let announcing = |bytes: usize| {
            let length = bytes.to_string();
            let headers =
                [("authorization", &*bearer), ("content-type", kind), ("content-length", &length)];
            call(&app, &request(operation.method, &path, &headers, "")).status
        };
        assert_eq!(announcing(operation.max_bytes + 1), 413, "{}", operation.id);
        assert_eq!(announcing(operation.max_bytes), 400, "{}", operation.id);
    }
}
