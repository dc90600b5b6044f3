//! Whole flows on the host: the service, a simulated Pi, and a store that can be made to fail.
#![cfg(feature = "simulator")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::collections::BTreeMap;

use http::{HeaderValue, Request, Response};
use pioneer_session::{
    dpop::Proof,
    jwt::{self, KeySet, Revocations},
    service::{self, Signer as _},
    session::Store as _,
    simulator::PERSONAS,
    time::UnixTime,
};
use serde_json::{Value, json};
use support::*;

// --- Flows ---------------------------------------------------------------------------------------

#[test]
fn signing_in_opens_every_route_and_signing_out_closes_them() {
    let app = test_app();
    let signed_in = call(&app, &sign_in("sim-alice"));
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    let token = signed_in.token();
    let user = json!({
        "uid": ALICE, "username": "alice_pioneer",
        "scopes": ["payments", "platform", "username"],
        "firstSeenAt": "2025-10-09T08:53:20Z", "lastSeenAt": "2025-10-09T08:53:20Z",
    });
    let mut new_user = user.clone();
    new_user["isNew"] = true.into();
    let expected = json!({
        "sessionToken": token, "tokenType": "Bearer", "expiresIn": 600,
        "expiresAt": "2025-10-09T09:03:20Z", "user": new_user,
        "refreshToken": signed_in.refresh(), "refreshExpiresAt": "2025-10-16T08:53:20Z",
    });
    assert_eq!(signed_in.json(), expected);

    // What a backend sees of it, from the public keys alone.
    let jwks = call(&app, &request("GET", "/.well-known/jwks.json", &[], ""));
    assert_eq!(jwks.header("content-type"), Some("application/jwk-set+json"));
    assert!(!jwks.body.contains(SEED) && !jwks.body.contains("\"d\""));
    let keys = KeySet::from_jwks(jwks.body.as_bytes()).unwrap();
    let now = UnixTime::from_seconds(NOW).unwrap();
    let held = jwt::verify(token.as_bytes(), &keys, &app.settings.policy, now).unwrap().claims;
    assert_eq!(held.sub.as_str(), ALICE);
    assert!(held.app_bound);
    assert_eq!(held.scope, "payments platform username");

    let session = call(&app, &with_token("GET", "/session", &token));
    let expected = json!({
        "sid": held.sid.as_str(), "uid": ALICE, "user": user,
        "issuedAt": "2025-10-09T08:53:20Z", "expiresAt": "2025-10-09T09:03:20Z",
    });
    assert_eq!((session.status, session.json()), (200, expected));
    let me = call(&app, &with_token("GET", "/me", &token));
    assert_eq!(me.status, 200);
    assert_eq!((&me.json()["user"], &me.json()["data"]), (&user, &json!({})));

    // Signing out ends this session and no other.
    let other = call(&app, &sign_in("sim-alice"));
    assert_eq!(other.json()["user"]["isNew"], false);
    let gone = call(&app, &with_token("DELETE", "/session", &token));
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
    for (method, path) in [
        ("GET", "/session"),
        ("DELETE", "/session"),
        ("GET", "/me"),
        ("GET", "/me/data"),
        ("DELETE", "/me"),
    ] {
        refused(&app, &with_token(method, path, &token), 401, "session_revoked");
    }
    refused(&app, &put(&token, "{}", None), 401, "session_revoked");
    assert_eq!(call(&app, &with_token("GET", "/session", &other.token())).status, 200);

    // Erasing ends the rest, and forgets.
    assert_eq!(call(&app, &with_token("DELETE", "/me", &other.token())).status, 204);
    refused(&app, &backend("GET", &format!("/users/{ALICE}")), 404, "not_found");
    refused(&app, &with_token("GET", "/session", &other.token()), 401, "session_revoked");
}

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
    // Another user has data of their own.
    let bob = call(&app, &sign_in("sim-bob")).token();
    assert_eq!(call(&app, &with_token("GET", "/me/data", &bob)).body, "{}");
    // The same user signing in again finds it.
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
    // The first write, and one that replaces it: each again, as it was sent.
    let first = done(r#"{"level":1}"#, None);
    assert_eq!(done(r#"{"level":1}"#, None), first);
    let second = done(r#"{"level":2}"#, Some(&first));
    assert_eq!(done(r#"{"level":2}"#, Some(&first)), second);
    assert_eq!(read(), r#"{"level":2}"#);
    // When another write came between, it is not done any more.
    let third = done(r#"{"level":3}"#, Some(&second));
    refused(&app, &put(&token, r#"{"level":2}"#, Some(&first)), 412, "precondition_failed");
    refused(&app, &put(&token, r#"{"level":1}"#, None), 428, "precondition_required");
    // The same object, spelt otherwise, is another content.
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
    // Every reference leads somewhere.
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
fn b3_a_page_that_may_call_may_send_any_header_and_read_the_ones_it_needs() {
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
    // As browsers write it: what tracing adds to a request, and our own.
    let traced = "authorization,baggage,content-type,dpop,idempotency-key,if-match,if-none-match,\
        sentry-trace,traceparent,tracestate,x-datadog-trace-id";
    assert_eq!(granted(&[traced]).unwrap(), traced);
    assert_eq!(granted(&["DPoP, x_y"]).unwrap(), "DPoP, x_y");
    assert_eq!(granted(&[]), None);
    // Only names of headers come back, and only so many.
    for bad in ["a:b", "a\"", "(a)", "a;b", "a/b", "a\tb", "a=b", "<a>", "?"] {
        assert_eq!(granted(&[bad]), None, "{bad}");
        assert_eq!(granted(&[&format!("dpop,{bad}")]), None, "{bad}");
    }
    assert_eq!(granted(&[&"a".repeat(1024)]).unwrap().len(), 1024);
    assert_eq!(granted(&[&"a".repeat(1025)]), None);
    // Nobody else is granted anything.
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
fn b3_the_log_and_the_answer_help_whoever_listed_the_wrong_origin() {
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
    // It is an attacker's text: no quote, no line, no control sequence and no end of it.
    let (reason, _) = refused_for(b"https://\"\\\xe2\x80\xae\t\xff[2J");
    assert!(reason.contains("the origin https://???????[2J is"), "{reason}");
    let (reason, _) = refused_for(&[b'a'; 5000]);
    assert!(reason.len() < 330, "{}", reason.len());
}

#[test]
fn a8_what_is_no_route_method_type_or_body_is_refused() {
    let app = test_app();
    for path in ["/", "/session/", "/Session", "/sessionz", "/me/", "/me/data/x", "//me", "/.env"] {
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
    ] {
        for method in methods {
            let reply = refused(&app, &request(method, path, &[], "{}"), 405, "method_not_allowed");
            let allow = reply.header("allow").unwrap();
            assert!(allow.contains("GET") && !allow.split(", ").any(|other| other == method));
        }
    }
    // B4: what a form, or a page without a preflight, can send.
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
    // 413, by what comes and by what is announced.
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
fn a8_i3_a_hundred_sign_ins_of_one_uid_are_one_user() {
    let app = test_app();
    let mut new = 0;
    let mut sids = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let reply = call(&app, &sign_in("sim-alice"));
        new += usize::from(reply.json()["user"]["isNew"] == true);
        let session = call(&app, &with_token("GET", "/session", &reply.token()));
        sids.insert(session.json()["sid"].as_str().unwrap().to_owned());
    }
    assert_eq!((new, sids.len(), app.store.memory.counts().0), (1, 100, 1));
}

// --- Identity ------------------------------------------------------------------------------------

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
fn i2_a_token_for_another_app_is_refused() {
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
fn i4_valid_until_is_believed_or_not_understood() {
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

#[test]
fn i6_only_the_plain_shape_is_a_uid() {
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
fn i7_twins_in_pis_answer_are_refused() {
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

// --- The upstream --------------------------------------------------------------------------------

#[test]
fn u1_what_is_no_token_is_not_sent() {
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
fn u4_u8_an_answer_that_is_no_user_is_refused_and_not_shown() {
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
fn i5_a_name_for_display_decides_over_nothing() {
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
    // What cannot be stored or shown is left out, and its owner is in.
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
    // Pairs are characters, and an escaped backslash is no escape.
    assert_eq!(signed_in(br#""\ud83d\ude42""#).as_deref(), Some("🙂"));
    assert_eq!(signed_in(br#""\\ud800""#).as_deref(), Some("\\ud800"));
    // The log says so, and does not say the name.
    let body = r#"{"uid":"a","username":"canary\n"}"#;
    let json = Response::builder().header("content-type", "application/json");
    app.transport.prepared.replace(Some(json.body(body.into()).unwrap()));
    let response = block_on(service::handle(&app, &sign_in("sim-alice"), entropy()));
    let record = response.extensions().get::<service::LogEntry>().unwrap();
    assert!(record.reason.as_ref().unwrap().contains("left out"), "{record:?}");
    assert!(!format!("{record:?}").contains("canary"));
    // The name that was known before goes with it.
    assert_eq!(signed_in(b"\"alice\"").as_deref(), Some("alice"));
    assert_eq!(signed_in(b"7"), None);
}

#[test]
fn i5_a_scope_that_a_token_cannot_hold_is_not_granted_and_refuses_nobody() {
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
fn u2_u5_u6_u7_every_persona_has_its_answer() {
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

// --- Credentials, storage, settings --------------------------------------------------------------

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
    // S6: Pi's own token is no session; nor is a session of another issuer or audience.
    refused(&app, &with_token("GET", "/session", "sim-alice"), 401, "session_invalid");
    for change in [("SESSION_ISSUER", "https://other.example"), ("SESSION_AUDIENCE", "other")] {
        let foreign = call(&test_app_with(&[change]), &sign_in("sim-alice")).token();
        refused(&app, &with_token("GET", "/session", &foreign), 401, "session_invalid");
    }
    // A session that another store holds is none of ours, though its token holds.
    let elsewhere = call(&test_app(), &sign_in("sim-alice")).token();
    refused(&app, &with_token("GET", "/session", &elsewhere), 401, "session_revoked");
}

#[test]
fn s1_sessions_are_listed_and_ended_apart_and_together() {
    let app = test_app();
    let [here, there, third] =
        [0, 1, 2].map(|later| call_at(&app, &sign_in("sim-alice"), NOW + later).token());
    let bob = call(&app, &sign_in("sim-bob")).token();
    let list = |token: &str| call(&app, &with_token("GET", "/sessions", token));
    let sessions = list(&here).json()["sessions"].as_array().unwrap().clone();
    assert_eq!(sessions.len(), 3);
    assert_eq!(sessions[2]["current"], json!(true));
    assert_eq!(sessions[0]["current"], json!(false));
    assert_eq!(sessions[2]["createdAt"], json!("2025-10-09T08:53:20Z"));
    let sid = |token: &str| {
        let shown = call(&app, &with_token("GET", "/session", token)).json();
        shown["sid"].as_str().unwrap().to_owned()
    };
    let end = |token: &str, sid: &str| with_token("DELETE", &format!("/sessions/{sid}"), token);

    // Neither another user's, nor none at all.
    for unknown in [sid(&bob).as_str(), "unknown", "", "a/b", "%00"] {
        refused(&app, &end(&here, unknown), 404, "not_found");
    }
    let there_sid = sid(&there);
    refused(&app, &end(&here, &format!("x/{there_sid}")), 404, "not_found");
    assert_eq!(call(&app, &with_token("GET", "/session", &there)).status, 200);
    assert_eq!(call(&app, &end(&here, &there_sid)).status, 204);
    refused(&app, &with_token("GET", "/session", &there), 401, "session_revoked");
    refused(&app, &with_token("GET", "/sessions", &there), 401, "session_revoked");
    refused(&app, &end(&here, &there_sid), 404, "not_found");
    refused(&app, &end(&there, &sid(&here)), 401, "session_revoked");
    refused(&app, &with_token("DELETE", "/sessions", &there), 401, "session_revoked");

    assert_eq!(call(&app, &with_token("DELETE", "/sessions", &here)).status, 204);
    for token in [&here, &third] {
        refused(&app, &with_token("GET", "/session", token), 401, "session_revoked");
    }
    assert_eq!(call(&app, &with_token("GET", "/session", &bob)).status, 200);
    refused(&app, &with_token("PUT", "/sessions", &bob), 405, "method_not_allowed");
}

#[test]
fn s2_one_session_too_many_ends_the_oldest() {
    let app = test_app_with(&[("MAX_SESSIONS_PER_USER", "2")]);
    let [first, second, third] =
        [0, 1, 2].map(|later| call_at(&app, &sign_in("sim-alice"), NOW + later).token());
    let status = |token: &str| call_at(&app, &with_token("GET", "/session", token), NOW + 3).status;
    assert_eq!([status(&first), status(&second), status(&third)], [401, 200, 200]);
    for bad in ["0", "101", "-1", "many", "1.5"] {
        let wrong = settings(&[("MAX_SESSIONS_PER_USER", bad)]).unwrap_err();
        assert_eq!(wrong.setting, "MAX_SESSIONS_PER_USER");
    }
}

#[test]
fn s3_a_refresh_token_is_good_once_and_gives_the_same_again_until_the_next_is_used() {
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

    // The answer was lost: the same again, byte for byte, but for the seconds that are left.
    for later in [300, 312, 420] {
        let again = call_at(&app, &refresh(&first.refresh()), NOW + later);
        assert_eq!((again.token(), again.refresh()), (second.token(), second.refresh()));
        assert_eq!(again.json()["expiresIn"], 900 - later);
    }
    let devices = call_at(&app, &with_token("GET", "/sessions", &second.token()), NOW + 420);
    assert_eq!(devices.json()["sessions"][0]["lastSeenAt"], "2025-10-09T08:58:20Z");

    // Later, two have it: nobody keeps the session.
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
fn s3_whoever_comes_first_a_stolen_refresh_token_ends_the_session() {
    for thief_goes_on in [true, false] {
        let app = test_app();
        let first = call(&app, &sign_in("sim-alice")).refresh();
        let second = call_at(&app, &refresh(&first), NOW + 1).refresh();
        // The one before the last is reuse at once; the last, after the grace.
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
fn s3_a_client_that_names_its_refresh_gets_the_lost_answer_however_late() {
    let app = test_app();
    let named = |token: &str, key: &str| with_header(refresh(token), "idempotency-key", key);
    let first = call(&app, &sign_in("sim-alice"));
    let second = call_at(&app, &named(&first.refresh(), "renewal-1"), NOW + 300);
    assert_eq!(second.status, 200, "{second:?}");
    let again = call_at(&app, &named(&first.refresh(), "renewal-1"), NOW + 80_000);
    assert_eq!((again.status, again.refresh()), (200, second.refresh()));
    assert_eq!(again.json()["expiresIn"], 600, "its token has expired, so there is a new one");
    // It is not a second life: once the successor is used, the token is dead for everybody.
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
fn a_sign_in_that_is_repeated_with_its_key_begins_one_session() {
    let app = test_app();
    let named = |token: &str| with_header(sign_in(token), "idempotency-key", "sign-in-1");
    let first = call(&app, &named("sim-alice"));
    let again = call_at(&app, &named("sim-alice"), NOW + 20);
    assert_eq!(
        (again.status, again.token(), again.refresh()),
        (200, first.token(), first.refresh())
    );
    assert_eq!(again.json()["user"]["isNew"], true);
    assert_eq!(again.json()["expiresIn"], 580);
    assert_eq!(app.store.memory.counts(), (1, 1));
    // Another user's key is another key; so is one whose session is in use, or over, or bound.
    assert_ne!(claims(&app, &call(&app, &named("sim-bob"))).sid, claims(&app, &first).sid);
    let key = BrowserKey::new(1);
    let bound = with_header(bound_sign_in("sim-alice", &key), "idempotency-key", "sign-in-1");
    let bound = call(&app, &bound);
    assert_eq!(bound.status, 200);
    refused(&app, &refresh(&bound.refresh()), 401, "invalid_dpop_proof");
    let refreshed = call_at(&app, &refresh(&first.refresh()), NOW + 21);
    let new = call_at(&app, &named("sim-alice"), NOW + 22);
    assert_eq!((new.status, &new.json()["user"]["isNew"]), (200, &json!(false)));
    assert_ne!(claims(&app, &new).sid, claims(&app, &first).sid);
    assert_eq!(
        call_at(&app, &with_token("GET", "/session", &refreshed.token()), NOW + 23).status,
        200
    );
    for ended in [&first, &new] {
        call_at(&app, &with_token("DELETE", "/session", &ended.token()), NOW + 24);
    }
    let after = call_at(&app, &named("sim-alice"), NOW + 25);
    assert_eq!(after.status, 200);
    assert_eq!(call_at(&app, &with_token("GET", "/session", &after.token()), NOW + 26).status, 200);
}

// --- Refresh tokens that are bound to a key (RFC 9449) -------------------------------------------

#[test]
fn s3_a_bound_refresh_token_works_with_its_key_however_late_and_often() {
    let app = test_app();
    let key = BrowserKey::new(1);
    let first = call(&app, &bound_sign_in("sim-alice", &key));
    assert_eq!(first.status, 200, "{first:?}");
    let second = call_at(&app, &proven_refresh(&first.refresh(), &key.proof(NOW + 300)), NOW + 300);
    assert_eq!((second.status, second.sent), (200, 0), "{second:?}");
    assert_ne!(second.refresh(), first.refresh());
    // Five tabs with the old token, late: all get what the session has.
    for later in [301, 350, 899] {
        let again = proven_refresh(&first.refresh(), &key.proof(NOW + later));
        let again = call_at(&app, &again, NOW + later);
        assert_eq!((again.token(), again.refresh()), (second.token(), second.refresh()));
        assert_eq!(again.json()["expiresIn"], 900 - later);
    }
    let mut tokens = vec![first.refresh(), second.refresh()];
    for step in 1..6 {
        let now = NOW + 300 + 600 * step;
        let oldest = call_at(&app, &proven_refresh(&tokens[0], &key.proof(now)), now);
        assert_eq!((oldest.status, &oldest.json()["expiresIn"]), (200, &json!(600)));
        tokens.push(oldest.refresh());
    }
    let now = NOW + 4000;
    for token in &tokens {
        let answer = call_at(&app, &proven_refresh(token, &key.proof(now)), now);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[test]
fn s3_a_bound_refresh_token_is_useless_without_its_key() {
    let app = test_app();
    let (key, thief) = (BrowserKey::new(1), BrowserKey::new(2));
    let first = call(&app, &bound_sign_in("sim-alice", &key));
    let stolen = first.refresh();
    for attempt in [
        refresh(&stolen),
        proven_refresh(&stolen, &thief.proof(NOW)),
        // The owner's public key with the thief's signature.
        proven_refresh(&stolen, &thief.changed(NOW, |header, _| header["jwk"] = key.jwk())),
    ] {
        refused(&app, &attempt, 401, "invalid_dpop_proof");
    }
    let reply =
        block_on(service::handle(&app, &proven_refresh(&stolen, &thief.proof(NOW)), entropy()));
    let reason = reply.extensions().get::<service::LogEntry>().unwrap().reason.clone().unwrap();
    assert!(reason.contains("another key") && reason.contains(claims(&app, &first).sid.as_str()));
    assert!(!reason.contains(&stolen));
    // The owner is undisturbed.
    let owner = call(&app, &proven_refresh(&stolen, &key.proof(NOW)));
    assert_eq!(owner.status, 200, "{owner:?}");
    assert_eq!(call(&app, &with_token("GET", "/session", &first.token())).status, 200);
    // The reverse: a proof for a session without a key.
    let plain = call(&app, &sign_in("sim-bob"));
    refused(&app, &proven_refresh(&plain.refresh(), &key.proof(NOW)), 401, "invalid_dpop_proof");
    assert_eq!(call(&app, &refresh(&plain.refresh())).status, 200);
    // A thief's requests count apart from the owner's.
    let app = test_app();
    app.limiter.limit.set(30);
    let first = call(&app, &bound_sign_in("sim-alice", &key));
    for _ in 0..100 {
        call(&app, &refresh(&first.refresh()));
        call(&app, &proven_refresh(&first.refresh(), &thief.proof(NOW)));
    }
    let counted = call(&app, &refresh(&first.refresh()));
    assert_eq!(counted.code(), "rate_limited");
    assert_eq!(call(&app, &proven_refresh(&first.refresh(), &key.proof(NOW))).status, 200);
}

#[test]
fn s3_a_proof_is_for_one_request_just_now() {
    let app = test_app();
    let key = BrowserKey::new(1);
    let first = call(&app, &bound_sign_in("sim-alice", &key));
    let token = first.refresh();
    let private = json!(base64url(&[1; 32]));
    type Change<'a> = Box<dyn Fn(&mut Value, &mut Value) + 'a>;
    let header = |name: &'static str, value: Value| -> Change<'_> {
        Box::new(move |header: &mut Value, _: &mut Value| header[name] = value.clone())
    };
    let claim = |name: &'static str, value: Value| -> Change<'_> {
        Box::new(move |_: &mut Value, claims: &mut Value| claims[name] = value.clone())
    };
    let member = |name: &'static str, value: Value| -> Change<'_> {
        Box::new(move |header: &mut Value, _: &mut Value| header["jwk"][name] = value.clone())
    };
    for (at, change) in [
        header("typ", json!("JWT")),
        header("typ", json!("DPOP+JWT")),
        header("typ", json!(null)),
        header("alg", json!("none")),
        header("alg", json!("EdDSA")),
        header("alg", json!("RS256")),
        header("alg", json!("HS256")),
        header("crit", json!([])),
        header("crit", json!(["b64"])),
        header("jwk", json!(null)),
        header("jwk", json!("key")),
        member("d", private),
        member("kty", json!("OKP")),
        member("kty", json!("oct")),
        member("crv", json!("P-384")),
        member("crv", json!("secp256k1")),
        member("x", json!("")),
        member("x", json!("AA")),
        // A point that is not on the curve, and the one at infinity.
        member("y", json!(base64url(&[7; 32]))),
        member("x", json!(base64url(&[0; 32]))),
        claim("htm", json!("GET")),
        claim("htm", json!("post")),
        claim("htu", json!("https://id.example/session")),
        claim("htu", json!("https://evil.example/session/refresh")),
        claim("htu", json!("http://id.example/session/refresh")),
        claim("htu", json!("https://id.example/session/refresh?a")),
        claim("htu", json!("/session/refresh")),
        claim("jti", json!("")),
        claim("jti", json!(1)),
        claim("jti", json!("a b")),
        claim("jti", json!("x".repeat(65))),
        claim("jti", json!(null)),
        claim("iat", json!("now")),
        claim("iat", json!(null)),
        claim("iat", json!(NOW as f64 + 0.5)),
        claim("nonce", json!(1)),
    ]
    .iter()
    .enumerate()
    {
        let proof = key.changed(NOW, change);
        let refusal = refused(&app, &proven_refresh(&token, &proof), 401, "invalid_dpop_proof");
        assert!(refusal.header("www-authenticate").unwrap().starts_with("DPoP "), "{at}");
    }
    let good = key.proof(NOW);
    let parts: Vec<&str> = good.split('.').collect();
    let twin = key.signed(
        &json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.jwk() }).to_string(),
        &format!(r#"{{"htm":"GET","htm":"POST","htu":"https://id.example/session/refresh","iat":{NOW},"jti":"a"}}"#),
    );
    for bad in [
        "",
        ".",
        "..",
        "a.b.c",
        &twin,
        &format!("{}.{}", parts[0], parts[1]),
        &format!("{}.{}.", parts[0], parts[1]),
        &format!("{good}A"),
        &format!("{good}="),
        &format!(" {good}").replace(' ', "."),
        &format!("{}.{}.{}", parts[1], parts[0], parts[2]),
        &format!("{}.{}.{}", parts[0], parts[1], base64url(&[0; 64])),
        &"x".repeat(5000),
        &format!("{good}, {good}"),
    ] {
        refused(&app, &proven_refresh(&token, bad), 401, "invalid_dpop_proof");
    }
    let both = with_header(proven_refresh(&token, &key.proof(NOW)), "dpop", &key.proof(NOW));
    refused(&app, &both, 401, "invalid_dpop_proof");
    // Stale, or from the future, by the issuer's time: the answer brings a nonce, which serves instead.
    for wrong in [NOW - 7200, NOW - 61, NOW + 11, NOW + 7200, -1, i64::MIN, i64::MAX] {
        let reply =
            refused(&app, &proven_refresh(&token, &key.proof(wrong)), 401, "use_dpop_nonce");
        let nonce = reply.header("dpop-nonce").unwrap().to_owned();
        let with = |nonce: &str| {
            let nonce = json!(nonce);
            key.changed(wrong, |_, claims| claims["nonce"] = nonce)
        };
        for other in ["", "nonce", &nonce[1..], &nonce.replace('A', "B")] {
            refused(&app, &proven_refresh(&token, &with(other)), 401, "use_dpop_nonce");
        }
        let late = call_at(&app, &proven_refresh(&token, &with(&nonce)), NOW + 61);
        assert_eq!(late.code(), "use_dpop_nonce");
        assert_eq!(call(&app, &proven_refresh(&token, &with(&nonce))).status, 200);
    }
    for right in [NOW - 60, NOW, NOW + 10] {
        assert_eq!(call(&app, &proven_refresh(&token, &key.proof(right))).status, 200);
    }
    // Once.
    let used = key.proof(NOW);
    assert_eq!(call(&app, &proven_refresh(&token, &used)).status, 200);
    refused(&app, &proven_refresh(&token, &used), 401, "invalid_dpop_proof");
    assert_eq!(call(&app, &with_token("GET", "/session", &first.token())).status, 200);
    // What names no key is none.
    for jkt in ["", "a", "a b", &key.thumbprint()[1..], &format!("{}A", key.thumbprint())] {
        let body = json!({ "accessToken": "sim-alice", "dpopJkt": jkt }).to_string();
        refused(&app, &post(&body), 400, "invalid_request");
    }
    refused(&app, &post(r#"{"accessToken":"sim-alice","dpopJkt":null}"#), 400, "invalid_request");
}

#[test]
fn the_example_of_rfc_9449_is_a_proof() {
    // Section 4.1; its key's thumbprint is that of section 6.1.
    let text = concat!(
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNo",
        "UklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERW",
        "clUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh",
        "0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8",
        "v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg",
    );
    let proof = Proof::read(text.as_bytes(), "POST", "https://server.example.com/token").unwrap();
    assert_eq!(proof.thumbprint().as_str(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    assert_eq!(proof.jti.as_str(), "-BwC3ESc6acc2lTc");
    let app = test_app();
    let holds = |signature| block_on(app.signer.verifies(&proof.key, proof.signed, &signature));
    assert_eq!(holds(proof.signature), Some(true));
    let mut other = proof.signature;
    other[0] ^= 1;
    assert_eq!(holds(other), Some(false));
    assert!(Proof::read(text.as_bytes(), "GET", "https://server.example.com/token").is_none());
}

#[test]
fn s4_refreshing_keeps_a_session_to_its_limits() {
    let limits = [("SESSION_TTL", "60"), ("REFRESH_IDLE_TTL", "100"), ("REFRESH_MAX_TTL", "250")];
    let app = test_app_with(&limits);
    let first = call(&app, &sign_in("sim-alice")).refresh();
    assert_eq!(call_at(&app, &refresh(&first), NOW + 100).code(), "refresh_rejected");
    let second = call_at(&app, &refresh(&first), NOW + 99);
    assert_eq!(second.json()["refreshExpiresAt"], "2025-10-09T08:56:39Z");
    // No longer than the session may live from its beginning, the session token included.
    let third = call_at(&app, &refresh(&second.refresh()), NOW + 198);
    assert_eq!(third.json()["refreshExpiresAt"], "2025-10-09T08:57:30Z");
    assert_eq!(third.json()["expiresIn"], 52);
    assert_eq!(call_at(&app, &refresh(&third.refresh()), NOW + 250).code(), "refresh_rejected");
    let last = call_at(&app, &refresh(&third.refresh()), NOW + 249);
    assert_eq!((last.status, &last.json()["expiresIn"]), (200, &json!(1)));
    assert_eq!(call_at(&app, &refresh(&last.refresh()), NOW + 250).code(), "refresh_rejected");
}

#[test]
fn i2_a_session_from_before_the_app_was_bound_is_not_refreshed() {
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
    // I5: nor may a hostile page.
    let mut hostile = refresh(&mine);
    hostile.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    refused(&app, &hostile, 403, "origin_not_allowed");
    // S1: signed out, it is dead at once; another device's is not.
    let elsewhere = call(&app, &sign_in("sim-alice")).refresh();
    assert_eq!(call(&app, &with_token("DELETE", "/session", &token)).status, 204);
    refused(&app, &refresh(&mine), 401, "refresh_rejected");
    assert_eq!(call(&app, &refresh(&elsewhere)).status, 200);
}

/// The feed, verified as a backend would.
fn feed(app: &TestApp, now: i64) -> Revocations {
    let reply = call_at(app, &request("GET", "/revocations", &[], ""), now);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/jwt")));
    let now = UnixTime::from_seconds(now).unwrap();
    let (keys, policy) = (app.settings.keys.all(), &app.settings.policy);
    assert!(jwt::verify(reply.body.as_bytes(), keys, policy, now).is_err(), "T7: no session token");
    Revocations::verify(reply.body.as_bytes(), keys, policy, now).unwrap()
}

#[test]
fn s1_s2_the_feed_names_what_has_ended_for_as_long_as_a_token_lives() {
    let app = test_app_with(&[("MAX_SESSIONS_PER_USER", "2")]);
    let at = |later: i64| call_at(&app, &sign_in("sim-alice"), NOW + later);
    let empty = feed(&app, NOW);
    assert_eq!((empty.epoch, empty.sids.len(), empty.users.len()), (UnixTime::MIN, 0, 0));

    // Signed out; one too many; a stolen one; erased.
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

    // R11: gone from the feed once no verifier accepts its token: after its lifetime and twice the largest tolerance.
    assert_eq!(feed(&app, NOW + 719).sids.len(), 4);
    assert_eq!(feed(&app, NOW + 720).sids.len(), 3);
    assert_eq!(feed(&app, NOW + 900).sids.len(), 0);
}

#[test]
fn s2_a_backend_ends_all_sessions_of_a_user_and_of_everyone_to_the_second() {
    let app = test_app();
    let at = |token: &str, later: i64| call_at(&app, &sign_in(token), NOW + later);
    let (before, same, bob) = (at("sim-alice", 0), at("sim-alice", 5), at("sim-bob", 5));
    let revoke = backend("POST", &format!("/users/{ALICE}/revoke"));
    let reply = call_at(&app, &revoke, NOW + 5);
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    // In the second of the revocation, and after it.
    let (then, later) = (at("sim-alice", 5), at("sim-alice", 6));

    let is_live = |feed: &Revocations, reply: &Reply| {
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
    let found = feed(&app, NOW + 7);
    assert_eq!(found.epoch.seconds(), NOW + 6);
    let all = [&before, &bob, &then, &later, &fresh];
    assert_eq!(all.map(|reply| is_live(&found, reply)), [false, false, false, false, true]);
    assert_eq!(call_at(&app, &refresh(&bob.refresh()), NOW + 7).code(), "refresh_rejected");
}

#[test]
fn the_feed_is_one_and_the_same_until_something_changes_or_a_minute_passes() {
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
    assert_eq!(ask(&etag, start + 60).status, 200, "newly signed");
    let token = call_at(&app, &sign_in("sim-alice"), start).token();
    assert_eq!(ask(&etag, start + 1).status, 304, "a sign-in ends nothing");
    call_at(&app, &with_token("DELETE", "/session", &token), start + 1);
    assert_eq!(ask(&etag, start + 1).status, 200);
}

#[test]
fn a3_backends_prove_themselves_and_nobody_else_gets_in() {
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
    // A backend is no user.
    refused(&app, &backend("GET", "/session"), 401, "session_invalid");
    // Without any, nobody is let in, and the operator is told.
    let none = test_app_with(&[("BACKEND_CREDENTIALS", "")]);
    let reply = refused(&none, &backend("GET", &user), 500, "misconfigured");
    assert!(reply.body.contains("BACKEND_CREDENTIALS"));
    let empty = test_app_with(&[("BACKEND_CREDENTIALS", "{}")]);
    refused(&empty, &backend("GET", &user), 401, "backend_rejected");
}

#[test]
fn introspection_says_what_a_live_token_says_and_nothing_of_another() {
    let app = test_app();
    let signed_in = call(&app, &sign_in("sim-alice"));
    let token = signed_in.token();
    // The token is in the request's body, as RFC 7662 has it, and nowhere else.
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

#[test]
fn k1_the_issuer_is_a_setting_and_no_header_changes_it() {
    let app = test_app();
    let headers = [
        ("content-type", "application/json"),
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "host=evil.example"),
    ];
    let mut request = request("POST", "/session", &headers, r#"{"accessToken":"sim-alice"}"#);
    *request.uri_mut() = "https://evil.example/session".parse().unwrap();
    let signed_in = call(&app, &request);
    assert_eq!(claims(&app, &signed_in).iss, "https://id.example");
    let mut again = refresh(&signed_in.refresh());
    *again.uri_mut() = "https://evil.example/session/refresh".parse().unwrap();
    assert_eq!(claims(&app, &call(&app, &again)).iss, "https://id.example");
    let mut origin = sign_in("sim-alice");
    *origin.uri_mut() = "https://evil.example/session".parse().unwrap();
    origin.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    refused(&app, &origin, 403, "origin_not_allowed");
}

/// The same request, from this address, whatever else it claims.
fn from(mut request: Request<Vec<u8>>, address: &str) -> Request<Vec<u8>> {
    request.headers_mut().insert("cf-connecting-ip", address.parse().unwrap());
    request.headers_mut().insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
    request
}

/// Refused by a limit before Pi is asked.
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
    let expected = [
        "SIGN_IN_LIMIT ip:192.0.2.1",
        &format!("USER_SIGN_IN_LIMIT {ALICE}"),
        &format!("REFRESH_LIMIT {}", shown["sid"].as_str().unwrap()),
        "SIGN_IN_LIMIT refresh ip:192.0.2.1",
        &format!("WRITE_LIMIT {ALICE}"),
        "READ_LIMIT ip:192.0.2.1",
        "READ_LIMIT ip:192.0.2.1",
        &format!("WRITE_LIMIT {ALICE}"),
    ];
    assert_eq!(*app.limiter.keys.borrow(), expected, "and nothing else is counted");
}

#[test]
fn a1_above_its_limit_an_attempt_is_refused_before_it_costs_anything() {
    let app = test_app();
    let alice = call(&app, &from(sign_in("sim-alice"), "192.0.2.1"));
    app.limiter.limit.set(1);
    limited(&app, &from(sign_in("sim-bob"), "192.0.2.1"));
    assert_eq!(call(&app, &from(sign_in("sim-bob"), "192.0.2.2")).status, 200);
    // R3: the user's own limit holds from everywhere, and writes nothing.
    let before = app.store.memory.counts();
    let reply = call(&app, &from(sign_in("sim-alice"), "192.0.2.3"));
    assert_eq!((reply.status, reply.code().as_str()), (429, "rate_limited"));
    assert_eq!(app.store.memory.counts(), before);
    // Clients without an address share one bucket.
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
fn r5_a_neighbours_junk_keeps_nobody_from_refreshing_or_signing_in() {
    let app = test_app();
    let alice = call(&app, &from(sign_in("sim-alice"), "192.0.2.1"));
    app.limiter.limit.set(300);
    for number in 0..300 {
        let reply = call(&app, &from(refresh(&format!("junk-{number}")), "192.0.2.1"));
        assert_eq!((reply.status, reply.code().as_str()), (401, "refresh_rejected"));
        // Malformed ones ask nobody anything.
        assert_eq!(call(&app, &from(post("nonsense"), "192.0.2.1")).status, 400);
    }
    limited(&app, &from(refresh("junk"), "192.0.2.1"));
    assert_eq!(call(&app, &from(refresh(&alice.refresh()), "192.0.2.1")).status, 200);
    assert_eq!(call(&app, &from(sign_in("sim-bob"), "192.0.2.1")).status, 200);
}

#[test]
fn b7_a_credential_that_cannot_be_read_is_one_all_the_same() {
    let app = with_cookies();
    let signed_in = call(&app, &sign_in("sim-alice"));
    let cookie = format!("__Host-pi_session={}", signed_in.token());
    let ask = |headers: &[(&str, &str)]| call(&app, &request("GET", "/session", headers, ""));
    assert_eq!(ask(&[("cookie", &cookie)]).status, 200);
    let unreadable = service::UNREADABLE;
    let unreadable = ("authorization", unreadable.to_str().unwrap());
    assert_eq!(ask(&[("cookie", &cookie), unreadable]).code(), "ambiguous_credentials");
    // RFC 9110 §11.4: spaces alone stand between the scheme and the token.
    let bearer = |space: &str| format!("Bearer{space}{}", signed_in.token());
    assert_eq!(ask(&[("authorization", &bearer("  "))]).status, 200);
    for space in [" \t", " \t "] {
        assert_eq!(ask(&[("authorization", &bearer(space))]).code(), "session_invalid");
    }
    // A second cookie of the name counts, whatever is in it; and only plain spaces are around a value.
    let mut twice = request("GET", "/session", &[("cookie", &cookie)], "");
    let other = HeaderValue::from_bytes(b"__Host-pi_session=\xff").unwrap();
    twice.headers_mut().append("cookie", other);
    assert_eq!(call(&app, &twice).code(), "ambiguous_credentials");
    let mut wide = request("GET", "/session", &[], "");
    let value = HeaderValue::from_bytes(format!("{cookie}\u{a0}").as_bytes()).unwrap();
    wide.headers_mut().append("cookie", value);
    assert_eq!(call(&app, &wide).code(), "session_invalid");
}

#[test]
fn r5_visitors_who_are_not_signed_in_do_not_lock_each_other_out() {
    let app = with_cookies();
    let headers = [("origin", "https://id.example")];
    let bare = || from(request("POST", "/session/refresh", &headers, ""), "192.0.2.1");
    app.limiter.limit.set(3);
    for _ in 0..10 {
        assert_eq!(call(&app, &bare()).code(), "refresh_rejected");
    }
}

// --- Time ----------------------------------------------------------------------------------------

#[test]
fn r14_a_session_begins_when_pi_has_answered() {
    let app = test_app();
    app.transport.takes.set(4);
    let signed_in = call(&app, &sign_in("sim-alice"));
    let held = claims(&app, &signed_in);
    assert_eq!((held.iat.seconds(), held.auth_time.seconds()), (NOW + 4, NOW + 4));
    // One that all sessions are ended before, although its request began earlier.
    app.clock.0.set(at(NOW + 10));
    assert_eq!(block_on(app.store.memory.revoke_everyone(at(NOW + 12))), Ok(()));
    let during = call_at(&app, &sign_in("sim-alice"), NOW + 10);
    assert_eq!(claims(&app, &during).iat.seconds(), NOW + 14);
    assert!(!feed(&app, NOW + 15).revokes(&claims(&app, &during)));
}

/// As when another isolate's clock is ahead, or all sessions are ended between the signature and the row.
#[test]
fn r14_a_sign_in_that_is_overtaken_begins_after_what_overtook_it() {
    let app = test_app();
    block_on(app.store.memory.revoke_everyone(at(NOW + 3))).unwrap();
    let signed_in = call(&app, &sign_in("sim-alice"));
    assert_eq!(signed_in.status, 200);
    assert_eq!(claims(&app, &signed_in).iat.seconds(), NOW + 3);
    assert_eq!(signed_in.json()["user"]["isNew"], true);
    let feed = feed(&app, NOW + 4);
    assert!(!feed.revokes(&claims(&app, &signed_in)), "the Worker and its feed agree");
    assert_eq!(
        call_at(&app, &with_token("GET", "/session", &signed_in.token()), NOW + 4).status,
        200
    );
}

#[test]
fn r18_a_session_of_another_app_ends_at_its_refresh() {
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

// --- Bodies that an edge reads -------------------------------------------------------------------

#[test]
fn r16_no_byte_of_a_body_is_taken_for_who_has_no_credential() {
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
    // What was left unread is refused by the credential, and not by what is missing.
    refused(&app, &nobody("PUT", "/me/data"), 401, "session_invalid");
    refused(&app, &nobody("POST", "/notifications"), 401, "backend_rejected");
}

#[test]
fn r2_a_body_that_came_too_slowly_changes_nothing() {
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

// --- Cookies -------------------------------------------------------------------------------------

fn cookies(reply: &Reply) -> Vec<&str> {
    let values = reply.headers.get_all("set-cookie").iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

fn with_cookies() -> TestApp {
    test_app_with(&[("SESSION_COOKIE", "on")])
}

const CLEARED: [&str; 4] = [
    "__Host-pi_session=; Path=/; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=0",
    "__Host-pi_session=; Path=/; Secure; HttpOnly; SameSite=None; Max-Age=0",
    "__Host-pi_refresh=; Path=/; Secure; HttpOnly; SameSite=None; Partitioned; Max-Age=0",
    "__Host-pi_refresh=; Path=/; Secure; HttpOnly; SameSite=None; Max-Age=0",
];

#[test]
fn b1_s5_the_cookies_are_exactly_these_and_sign_out_leaves_none() {
    let app = with_cookies();
    let signed_in = call(&app, &sign_in("sim-alice"));
    let (token, refresh_token) = (signed_in.token(), signed_in.refresh());
    let attributes = "Path=/; Secure; HttpOnly; SameSite=None; Partitioned";
    // The unpartitioned one goes first: to a browser that does not know `Partitioned`, both lines name one cookie.
    let expected = [
        CLEARED[1].to_owned(),
        format!("__Host-pi_session={token}; {attributes}; Max-Age=600"),
        CLEARED[3].to_owned(),
        format!("__Host-pi_refresh={refresh_token}; {attributes}; Max-Age=604800"),
    ];
    assert_eq!(cookies(&signed_in), expected);
    assert!(expected.iter().all(|cookie| cookie.len() < 4096));

    let jar = format!("__Host-pi_session={token}; __Host-pi_refresh={refresh_token}");
    let with_jar = |method: &str, path: &str, jar: &str| {
        request(method, path, &[("cookie", jar), ("origin", ORIGIN)], "")
    };
    assert_eq!(call(&app, &with_jar("GET", "/session", &jar)).status, 200);
    // Without a body, or with an empty object, the cookie is the refresh token.
    let refreshed = call_at(&app, &with_jar("POST", "/session/refresh", &jar), NOW + 5);
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    assert_eq!(cookies(&refreshed).len(), 4);
    let json = [("cookie", jar.as_str()), ("origin", ORIGIN), ("content-type", "application/json")];
    let empty = request("POST", "/session/refresh", &json, "{}");
    assert_eq!(call_at(&app, &empty, NOW + 6).refresh(), refreshed.refresh());
    let body = format!(r#"{{"refreshToken":"{refresh_token}"}}"#);
    let two = request("POST", "/session/refresh", &json, &body);
    refused(&app, &two, 400, "ambiguous_credentials");
    refused(&app, &with_jar("POST", "/session/refresh", "a=b"), 401, "refresh_rejected");

    // S5: another sign-in in this browser ends the session that it had.
    let mut again = sign_in("sim-bob");
    again.headers_mut().extend(with_jar("POST", "/", &jar).headers().clone());
    let bob = call_at(&app, &again, NOW + 7);
    assert_eq!(bob.status, 200);
    let old = call_at(&app, &with_token("GET", "/session", &refreshed.token()), NOW + 7);
    assert_eq!(old.code(), "session_revoked");

    // Signing out works also when only the refresh cookie is left, and every ending takes the cookies.
    let left = format!("__Host-pi_refresh={}", bob.refresh());
    let out = call_at(&app, &with_jar("DELETE", "/session", &left), NOW + 1000);
    assert_eq!((out.status, cookies(&out).as_slice()), (204, &CLEARED[..]));
    let rejected = call_at(&app, &with_jar("POST", "/session/refresh", &left), NOW + 1000);
    assert_eq!(rejected.code(), "refresh_rejected");
    assert_eq!(cookies(&rejected), CLEARED);
    let broken = call(&app, &sign_in("sim-bob"));
    let jar = format!("__Host-pi_session=x.y.z; __Host-pi_refresh={}", broken.refresh());
    let out = call(&app, &with_jar("DELETE", "/session", &jar));
    assert_eq!(
        (out.status, cookies(&out).as_slice()),
        (204, &CLEARED[..]),
        "of a key that is gone"
    );
    for path in ["/session", "/sessions", "/sessions/{sid}", "/me"] {
        let signed_in = call(&app, &sign_in("sim-alice"));
        let path = path.replace("{sid}", claims(&app, &signed_in).sid.as_str());
        let jar = format!("__Host-pi_session={}", signed_in.token());
        let gone = call(&app, &with_jar("DELETE", &path, &jar));
        assert_eq!((gone.status, cookies(&gone).as_slice()), (204, &CLEARED[..]), "{path}");
    }
}

/// The cookies that a browser keeps of our replies, and what it sends. One that knows `Partitioned` keeps the partitioned
/// cookie of a name apart from the other.
#[derive(Default)]
struct Jar {
    partitions: bool,
    kept: BTreeMap<(String, bool), String>,
}

impl Jar {
    fn take(&mut self, reply: &Reply) {
        for cookie in cookies(reply) {
            let (name, rest) = cookie.split_once('=').unwrap();
            let (value, attributes) = rest.split_once(';').unwrap();
            let key = (name.to_owned(), self.partitions && attributes.contains("Partitioned"));
            if attributes.ends_with("Max-Age=0") {
                self.kept.remove(&key);
            } else {
                self.kept.insert(key, value.to_owned());
            }
        }
    }

    fn ask(&mut self, app: &TestApp, method: &str, path: &str, now: i64) -> Reply {
        let pairs = self.kept.iter().map(|((name, _), value)| format!("{name}={value}"));
        let pairs = pairs.collect::<Vec<_>>().join("; ");
        let headers = [("cookie", pairs.as_str()), ("origin", ORIGIN)];
        let reply = call_at(app, &request(method, path, &headers, ""), now);
        self.take(&reply);
        reply
    }
}

#[test]
fn b7_a_browser_that_learns_to_partition_cookies_stays_signed_in() {
    for partitions in [false, true] {
        for learns in ["/session/refresh", "/session"] {
            let app = with_cookies();
            let mut jar = Jar::default();
            jar.take(&call(&app, &sign_in("sim-alice")));
            assert_eq!(jar.kept.len(), 2);
            // Its update: from now on, a partitioned cookie is another one.
            jar.partitions = partitions;
            assert_eq!(jar.ask(&app, "GET", "/session", NOW + 1).status, 200);
            if learns == "/session" {
                jar.take(&call_at(&app, &sign_in("sim-bob"), NOW + 2));
            } else {
                assert_eq!(jar.ask(&app, "POST", learns, NOW + 2).status, 200);
            }
            assert_eq!(jar.kept.len(), 2, "{:?}", jar.kept.keys());
            assert!(jar.kept.keys().all(|(_, partitioned)| *partitioned == partitions));
            for later in [3, 700, 1400] {
                assert_eq!(jar.ask(&app, "POST", "/session/refresh", NOW + later).status, 200);
                assert_eq!(jar.ask(&app, "GET", "/session", NOW + later).status, 200);
            }
            assert_eq!(jar.ask(&app, "DELETE", "/session", NOW + 1401).status, 204);
            assert_eq!(jar.kept.len(), 0);
        }
    }
}

#[test]
fn b2_b7_one_cookie_of_exactly_this_name_and_nothing_beside_it() {
    let app = with_cookies();
    let signed_in = call(&app, &sign_in("sim-alice"));
    let token = signed_in.token();
    let get = |cookie: &str| request("GET", "/session", &[("cookie", cookie)], "");
    let mine = format!("__Host-pi_session={token}");
    for good in [mine.clone(), format!("a=b; {mine}; c=d"), format!("a;{mine}")] {
        assert_eq!(call(&app, &get(&good)).status, 200, "{good}");
    }
    for other in [
        format!("pi_session={token}"),
        format!("__host-pi_session={token}"),
        format!("__HOST-PI_SESSION={token}"),
        format!("__Secure-pi_session={token}"),
        format!("={mine}"),
        format!("__Host-pi_session.0={token}"),
        format!("__Host-pi_session{token}"),
        format!("__Host-pi_refresh={token}"),
        "a=b".into(),
    ] {
        refused(&app, &get(&other), 401, "session_missing");
    }
    refused(&app, &get("__Host-pi_session=x"), 401, "session_invalid");
    refused(&app, &get(&format!("{mine}; {mine}")), 400, "ambiguous_credentials");
    refused(&app, &get(&format!("{mine}; __Host-pi_session=x")), 400, "ambiguous_credentials");
    let two = request("GET", "/session", &[("cookie", &mine), ("cookie", &mine)], "");
    refused(&app, &two, 400, "ambiguous_credentials");
    let bearer = format!("Bearer {token}");
    let left = format!("__Host-pi_refresh={}", signed_in.refresh());
    for cookie in [&mine, &left] {
        let both = [("cookie", cookie.as_str()), ("authorization", bearer.as_str())];
        refused(&app, &request("GET", "/session", &both, ""), 400, "ambiguous_credentials");
    }
    // Two of one name, as a browser keeps them that partitions some: they go, and the next sign-in works.
    for (method, path) in [("GET", "/me"), ("POST", "/session"), ("POST", "/session/refresh")] {
        let twins = format!("{mine}; {mine}");
        let headers =
            [("cookie", twins.as_str()), ("origin", ORIGIN), ("content-type", "application/json")];
        let twins = request(method, path, &headers, r#"{"accessToken":"sim-alice"}"#);
        let reply = refused(&app, &twins, 400, "ambiguous_credentials");
        assert_eq!((cookies(&reply).as_slice(), reply.sent), (&CLEARED[..], 0), "{path}");
    }
    // Off, there are no cookies at all.
    let off = test_app();
    let answer = call(&off, &sign_in("sim-alice"));
    assert_eq!(cookies(&answer), [""; 0]);
    let mine = format!("__Host-pi_session={}", answer.token());
    refused(&off, &get(&mine), 401, "session_missing");
}

#[test]
fn b3_b4_another_site_cannot_use_the_cookies() {
    let app = with_cookies();
    let signed_in = call(&app, &sign_in("sim-alice"));
    let (token, refresh_token) = (signed_in.token(), signed_in.refresh());
    let jar = format!("__Host-pi_session={token}; __Host-pi_refresh={refresh_token}");
    let with = |method: &str, path: &str, more: &[(&str, &str)]| {
        request(method, path, &[&[("cookie", jar.as_str())], more].concat(), "")
    };
    for (method, path) in [
        ("POST", "/session"),
        ("POST", "/session/refresh"),
        ("DELETE", "/session"),
        ("DELETE", "/sessions"),
        ("PUT", "/me/data"),
        ("DELETE", "/me"),
    ] {
        for more in [
            &[][..],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "cross-site")],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
        ] {
            refused(&app, &with(method, path, more), 403, "origin_not_allowed");
        }
    }
    // A page elsewhere that links or embeds; and one that may call, in an iframe of another site.
    let elsewhere = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    refused(&app, &with("GET", "/me", &elsewhere), 403, "origin_not_allowed");
    let same_origin = [("sec-fetch-site", "same-origin")];
    assert_eq!(call(&app, &with("GET", "/me", &same_origin)).status, 200);
    let ours = [("sec-fetch-site", "cross-site"), ("origin", ORIGIN)];
    let reply = call(&app, &with("GET", "/me", &ours));
    assert_eq!(reply.status, 200);
    // With credentials for this origin alone, and in this mode alone.
    assert_eq!(reply.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
    let none = call(&app, &with("GET", "/me", &[]));
    assert_eq!(none.header("access-control-allow-credentials"), None);
    let off = call(&test_app(), &request("OPTIONS", "/session", &[("origin", ORIGIN)], ""));
    assert_eq!(off.header("access-control-allow-credentials"), None);
    assert_eq!(call(&app, &with("DELETE", "/session", &ours)).status, 204);
}

#[test]
fn s4_a_session_token_ends_by_itself() {
    let app = test_app();
    let token = call(&app, &sign_in("sim-alice")).token();
    assert_eq!(call_at(&app, &with_token("GET", "/session", &token), NOW + 599).status, 200);
    for later in [600, 604, 605, 3600, 86_400] {
        let reply = call_at(&app, &with_token("GET", "/session", &token), NOW + later);
        assert_eq!((reply.status, reply.code().as_str()), (401, "session_expired"));
    }
    let early = call_at(&app, &with_token("GET", "/session", &token), NOW - 3600);
    assert_eq!((early.status, early.code().as_str()), (401, "session_invalid"));
    assert_eq!(call(&app, &with_token("GET", "/session", &token)).status, 200);

    let short = test_app_with(&[("SESSION_TTL", "60")]);
    let reply = call(&short, &sign_in("sim-alice"));
    assert_eq!(
        (&reply.json()["expiresIn"], &reply.json()["expiresAt"]),
        (&json!(60), &json!("2025-10-09T08:54:20Z"))
    );
}

#[test]
fn r21_s7_without_a_signature_no_session_begins_and_no_refresh_is_lost() {
    let app = test_app();
    let token = call(&app, &sign_in("sim-alice")).refresh();
    for request in [sign_in("sim-bob"), request("GET", "/revocations", &[], ""), refresh(&token)] {
        app.signer.failures.set(1);
        refused(&app, &request, 500, "internal");
    }
    // Spent, and within the grace: the same token gets what it should have got.
    assert_eq!(call(&app, &refresh(&token)).status, 200);
}

#[test]
fn s7_a_store_that_fails_is_said_to_fail() {
    let app = test_app();
    let signed_in = call(&app, &sign_in("sim-alice"));
    let token = signed_in.token();
    for request in [
        sign_in("sim-bob"),
        with_token("GET", "/session", &token),
        with_token("DELETE", "/session", &token),
        with_token("GET", "/me", &token),
        with_token("GET", "/me/data", &token),
        put(&token, "{}", None),
        with_token("DELETE", "/me", &token),
        with_token("GET", "/sessions", &token),
        refresh(&signed_in.refresh()),
        request("GET", "/revocations", &[], ""),
        backend("GET", &format!("/users/{ALICE}")),
        backend("POST", &format!("/users/{ALICE}/revoke")),
        backend("POST", "/revoke-all"),
        introspect(&token),
    ] {
        let before = app.store.memory.counts();
        app.store.fails.set(true);
        let reply = call(&app, &request);
        app.store.fails.set(false);
        assert_eq!((reply.status, reply.code().as_str()), (503, "storage_unavailable"));
        assert!(!reply.body.contains("SQLITE") && !reply.body.contains("sessionToken"));
        assert_eq!(app.store.memory.counts(), before);
        assert_eq!(call(&app, &with_token("GET", "/session", &token)).status, 200);
    }
    // What needs no store works without one.
    app.store.fails.set(true);
    assert_eq!(call(&app, &request("GET", "/health", &[], "")).status, 200);
    assert_eq!(call(&app, &request("GET", "/.well-known/jwks.json", &[], "")).status, 200);
    assert_eq!(call(&app, &sign_in("sim-revoked")).code(), "access_token_rejected");
}

#[test]
fn r13_a5_no_worker_signs_with_a_key_that_others_know() {
    let set = |d: &str, x: &str, kid: &str| {
        format!(
            r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","d":"{d}","x":"{x}","kid":"{kid}","state":"active"}}]}}"#
        )
    };
    // RFC 8037 A.1; 32 zeros; the bytes from 0, and from 1.
    for keys in [
        set(
            "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        ),
        set(
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik",
            "9ZP03Nu8GrXPAUkbKNxHOKBzxPX83SShgFkRNK-f2lw",
        ),
        set(
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
            "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg",
            "1IG2tMH7J2wbJZnOf8LJzQitKf7LMvoAElsuDMVM54Y",
        ),
        set(
            "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA",
            "ebVWLo_mVPlAeLES6KmLp5AfhTrmlb7X4OORC60ElmQ",
            "WWpn_pfHui9YKR4CZtQsDGMu7_Gch2zYChfSvnxgtPk",
        ),
    ] {
        let wrong = settings(&[("SESSION_KEYS", &keys)]).unwrap_err();
        assert_eq!(wrong.setting, "SESSION_KEYS");
        assert!(wrong.problem.contains("others know"), "{wrong}");
        let development = [("SESSION_KEYS", keys.as_str()), ("ENVIRONMENT", "development")];
        assert!(settings(&development).is_ok(), "for trials");
    }
}

#[test]
fn a5_a_wrong_setting_is_named_and_never_shown() {
    let two = KEYS.replace("]}", r#",{"kty":"hunter2"}]}"#);
    let short = KEYS.replace(SEED, "hunter2");
    let none = KEYS.replace("active", "next");
    let cases: Vec<(&'static str, &str)> = vec![
        ("SESSION_ISSUER", ""),
        ("SESSION_ISSUER", " "),
        ("SESSION_ISSUER", "hunter2"),
        ("SESSION_ISSUER", "http://hunter2.example"),
        ("SESSION_ISSUER", "https://hunter2.example/"),
        ("SESSION_ISSUER", "https://hunter2.example:443"),
        ("SESSION_ISSUER", "https://Hunter2.example"),
        ("SESSION_AUDIENCE", ""),
        ("SESSION_TTL", "59"),
        ("SESSION_TTL", "3601"),
        ("SESSION_TTL", "-600"),
        ("SESSION_TTL", "600.5"),
        ("SESSION_TTL", "hunter2"),
        ("ALLOWED_ORIGINS", "*"),
        ("ALLOWED_ORIGINS", "https://app.example,https://hunter2.example/path"),
        ("ALLOWED_ORIGINS", "http://hunter2.example"),
        ("ENVIRONMENT", "hunter2"),
        ("ENVIRONMENT", "Development"),
        ("PI_API_BASE", "https://hunter2.example"),
        ("PI_API_BASE", "http://api.minepi.com"),
        ("PI_API_BASE", "http://localhost:8788"),
        ("PI_API_BASE", "https://api.minepi.com@hunter2.example"),
        ("SESSION_KEYS", ""),
        ("SESSION_KEYS", "hunter2"),
        ("SESSION_KEYS", r#"{"keys":[]}"#),
        ("SESSION_KEYS", &two),
        ("SESSION_KEYS", &short),
        ("SESSION_KEYS", &none),
        ("REFRESH_SECRET", ""),
        ("REFRESH_SECRET", "hunter2"),
        ("REFRESH_SECRET", "aHVudGVyMi1odW50ZXIyLWh1bnRlcjItaHVudGVyMg=="),
        ("REFRESH_SECRET", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("REFRESH_IDLE_TTL", "599"),
        ("REFRESH_IDLE_TTL", "2592001"),
        ("REFRESH_MAX_TTL", "31536001"),
        ("REFRESH_MAX_TTL", "hunter2"),
        ("BACKEND_CREDENTIALS", "hunter2"),
        ("BACKEND_CREDENTIALS", r#"["hunter2"]"#),
        ("BACKEND_CREDENTIALS", r#"{"api":"hunter2"}"#),
        ("SESSION_COOKIE", "true"),
        ("RATE_LIMITS", "off"),
        ("RATE_LIMITS", "hunter2"),
    ];
    for (setting, value) in cases {
        let wrong = settings(&[(setting, value)]).expect_err(setting);
        assert_eq!(wrong.setting, setting, "{value}");
        for (method, path) in [
            ("POST", "/session"),
            ("GET", "/session"),
            ("GET", "/me"),
            ("OPTIONS", "/session"),
            ("GET", "/.well-known/jwks.json"),
            ("GET", "/none"),
            ("POST", "/health"),
        ] {
            let request = request(method, path, &[("origin", ORIGIN)], "{}");
            let reply = checked(&request, service::misconfigured(&wrong, &request, entropy()));
            assert_eq!((reply.status, reply.code().as_str()), (500, "misconfigured"));
            assert!(reply.json()["detail"].as_str().unwrap().contains(setting));
            for secret in ["hunter2", "Hunter2", SEED] {
                assert!(!reply.body.contains(secret), "{}", reply.body);
            }
        }
        for method in ["GET", "HEAD"] {
            let health = request(method, "/health", &[], "");
            let reply = checked(&health, service::misconfigured(&wrong, &health, entropy()));
            assert_eq!(reply.status, 200);
        }
    }
}

#[test]
fn u3_another_upstream_is_for_development() {
    let local = ("PI_API_BASE", "http://127.0.0.1:8788");
    assert!(settings(&[local]).is_err());
    let app = test_app_with(&[local, ("ENVIRONMENT", "development")]);
    assert_eq!(call(&app, &sign_in("sim-alice")).status, 200);
    let requests = app.transport.simulator.requests.borrow();
    assert_eq!(requests[0].uri(), "http://127.0.0.1:8788/v2/me");
    // The settings do not print their keys.
    assert!(!format!("{:?}", app.settings).contains(SEED));
}
