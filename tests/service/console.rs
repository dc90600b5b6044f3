//! The page for operators: its headers, and the names of its files. The texts are the edge's.

use super::*;
use pioneer_session::service::ConsoleFile;

/// The file that the edge sends with the response.
fn sent(method: &str, path: &str) -> Option<String> {
    let response =
        block_on(service::handle(&test_app(), &request(method, path, &[], ""), entropy()));
    response.extensions().get::<ConsoleFile>().map(|ConsoleFile(name)| name.clone())
}

#[test]
fn b4_the_page_loads_and_calls_this_worker_only_and_cannot_be_framed() {
    let app = test_app();
    for cookie in ["", "__Host-pi_session=x; __Host-pi_session=y"] {
        let page = call(&app, &request("GET", "/console", &[("cookie", cookie)], ""));
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        assert_eq!(page.header("cache-control"), Some("no-store"));
        let policy = page.header("content-security-policy").unwrap();
        assert_eq!(
            policy,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
             connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'"
        );
        for (name, value) in [
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(page.header(name), Some(value), "{name}");
        }
        let features = page.header("permissions-policy").unwrap();
        assert!(features.split(", ").all(|feature| feature.ends_with("=()")), "{features}");
        assert!(features.contains("payment=()"));
        assert_eq!(page.header("set-cookie"), None);
    }
}

#[test]
fn the_files_of_the_page_are_kept_and_no_other_name_is_a_file() {
    let app = test_app();
    let file = call(&app, &request("GET", &format!("/console/{CONSOLE_FILE}"), &[], ""));
    assert_eq!(
        (file.status, file.header("content-type")),
        (200, Some("text/javascript; charset=utf-8"))
    );
    assert_eq!(file.header("cache-control"), Some("public, max-age=31536000, immutable"));
    for name in [
        "",
        "index.html",
        "main-0124.js",
        "main-0123.css",
        "main-0123",
        "constructor",
        "..%2Fx.js",
        ".js",
    ] {
        let unknown = call(&app, &request("GET", &format!("/console/{name}"), &[], ""));
        assert_eq!(unknown.code(), "not_found", "{name}");
        assert_eq!(unknown.header("cache-control"), Some("no-store"), "{name}");
        assert!(!unknown.header("content-security-policy").unwrap().contains("'self'"), "{name}");
    }
    assert_eq!(call(&app, &request("GET", "/console/", &[], "")).status, 404);
}

#[test]
fn the_edge_sends_a_file_except_with_head() {
    assert_eq!(sent("GET", "/console").as_deref(), Some("index.html"));
    assert_eq!(sent("GET", "/console/main-0123.js").as_deref(), Some(CONSOLE_FILE));
    for method in ["HEAD", "OPTIONS", "POST"] {
        assert_eq!(sent(method, "/console"), None, "{method}");
    }
    assert_eq!(sent("GET", "/console/other.js"), None);
    let head = call(&test_app(), &request("HEAD", "/console", &[], ""));
    assert_eq!((head.status, head.header("cache-control")), (200, Some("no-store")));
}
