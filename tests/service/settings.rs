//! Settings, and the answers while one is missing or malformed.

use super::*;

#[test]
fn k1_the_issuer_is_a_setting_that_no_header_changes() {
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

#[test]
fn r13_a5_no_worker_signs_with_a_published_key() {
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
fn a5_the_error_names_a_wrong_setting_and_never_shows_it() {
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
        ("OPERATOR_CREDENTIALS", "hunter2"),
        ("OPERATOR_CREDENTIALS", r#"{"hunter2":{"sha256":"hunter2","role":"owner"}}"#),
        ("SERVES", "hunter2"),
        ("SESSION_COOKIE", "true"),
        ("RATE_LIMITS", "off"),
        ("RATE_LIMITS", "hunter2"),
        ("COUNTS", "hunter2"),
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
    // `Debug` of the settings does not print their keys.
    assert!(!format!("{:?}", app.settings).contains(SEED));
}
