//! Requests to the service.

use super::*;

/// A service where Alice has a session and data. Each thread keeps one, because one takes a
/// megabyte.
struct Signed {
    app: TestApp,
    token: String,
    etag: String,
}

fn signed_in(cookies: &str) -> Signed {
    let app = test_app_with(&[("SESSION_COOKIE", cookies)]);
    let token = call(&app, &sign_in("sim-alice")).token();
    let written = call(&app, &put(&token, "{\"level\":1}", None));
    let etag = written.header("etag").unwrap().to_owned();
    Signed { app, token, etag }
}

fn header_values() -> impl Strategy<Value = Vec<u8>> {
    // `http` accepts every byte but control characters.
    vec(prop_oneof![0x20_u8..0x7f, 0x80_u8..=0xff, select(b",;=\" .".to_vec())], 0..40)
}

const PATHS: &[&str] = &[
    "/session",
    "/session/refresh",
    "/sessions",
    "/sessions/x",
    "/me",
    "/me/data",
    "/.well-known/jwks.json",
    "/products",
    "/orders",
    "/orders/x",
    "/payments",
    "/payments/x/approve",
    "/payments/x/complete",
    "/payments/x/cancel",
    "/payments/x/recover",
    "/ads/x/claim",
    "/revocations",
    "/introspect",
    "/users/x",
    "/users/x/payments",
    "/users/x/revoke",
    "/notifications",
    "/revoke-all",
    "/openapi.json",
    "/health",
    "/",
];

proptest! {
    #![proptest_config(cases(160))]

    /// `call` checks the headers and the problem document of every reply.
    #[test]
    fn any_request_is_answered_and_opens_no_session_without_a_credential(
        method in select(vec!["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "QUERY"]),
        path in prop_oneof![select(PATHS.to_vec()).prop_map(str::to_owned), "/[a-z/%.]{0,20}(\\?[a-z=&]{0,10})?"],
        headers in vec((select(vec!["authorization", "cookie", "origin", "content-type", "content-length", "content-encoding", "if-match", "if-none-match", "sec-fetch-site", "user-agent", "cf-connecting-ip", "cf-ipcountry"]), header_values()), 0..5),
        body in prop_oneof![vec(any::<u8>(), 0..64), jsons().prop_map(|json| json.to_text(7).into_bytes())],
        cookies: bool,
    ) {
        thread_local! {
            static BENCHES: [TestApp; 2] = [test_app_with(&[]), test_app_with(&[("SESSION_COOKIE", "on")])];
        }
        let mut request = Request::builder().method(method).uri(format!("https://id.example{path}"));
        for (name, value) in &headers {
            request = request.header(*name, value.as_slice());
        }
        if headers.iter().all(|(name, _)| *name != "content-type") {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(body).unwrap();
        BENCHES.with(|benches| {
            let reply = call(&benches[usize::from(cookies)], &request);
            let is_public = ["/.well-known/jwks.json", "/products", "/revocations", "/openapi.json", "/health", "/"].contains(&request.uri().path());
            prop_assert!(reply.status >= 400 || method == "OPTIONS" || is_public, "{:?}", reply);
            prop_assert!(reply.status != 500, "{:?}", reply);
            prop_assert_eq!(reply.sent, 0);
            Ok(())
        })?;
    }

    #[test]
    fn b3_a_bearer_token_is_accepted_in_any_case_of_its_scheme_and_in_no_other_spelling(
        upper in vec(any::<bool>(), 6), spaces in 1..4_usize, at: prop::sample::Index, byte in 0x21_u8..0x7f, more in "[!-~]{1,3}",
    ) {
        thread_local! { static SIGNED: Signed = signed_in("off"); }
        SIGNED.with(|Signed { app, token, .. }| {
            let scheme: String = "bearer".chars().zip(upper).map(|(letter, upper)| if upper { letter.to_ascii_uppercase() } else { letter }).collect();
            let status = |value: &str| call(app, &request("GET", "/session", &[("authorization", value)], "")).status;
            prop_assert_eq!(status(&format!("{scheme}{}{token}", " ".repeat(spaces))), 200);
            let joined = status(&format!("{scheme}{token}"));
            let longer = status(&format!("{scheme} {token}{more}"));
            let prefixed = status(&format!("{more}{scheme} {token}"));
            prop_assert!(joined == 401 && longer >= 400 && prefixed >= 400);
            let mut changed = token.clone().into_bytes();
            let index = at.index(changed.len());
            changed[index] = byte;
            let changed = String::from_utf8(changed).unwrap();
            let verdict = status(&format!("Bearer {changed}"));
            prop_assert!(changed == *token || verdict >= 400);
            let twice = [("authorization", format!("Bearer {token}")), ("authorization", format!("Bearer {changed}"))];
            let twice: Vec<(&str, &str)> = twice.iter().map(|(name, value)| (*name, value.as_str())).collect();
            prop_assert_eq!(call(app, &request("GET", "/session", &twice, "")).status, 400);
            Ok(())
        })?;
    }

    #[test]
    fn b4_a_session_cookie_is_found_among_any_others_and_two_are_none(
        others in vec(("[a-zA-Z_-]{1,20}", "[!#-+\\--:<-~]{0,20}"), 0..4), at in 0..5_usize, spaces in select(vec!["", " ", "  "]), second in texts(),
    ) {
        thread_local! { static SIGNED: Signed = signed_in("on"); }
        SIGNED.with(|Signed { app, token, .. }| {
            let mut pairs: Vec<String> = others.iter().map(|(name, value)| format!("{name}={value}")).collect();
            pairs.insert(at.min(pairs.len()), format!("__Host-pi_session={token}"));
            let show = |pairs: &[String]| call(app, &request("GET", "/session", &[("cookie", &pairs.join(&format!(";{spaces}")))], ""));
            prop_assert_eq!(show(&pairs).status, 200);
            let second: String = second.chars().filter(|letter| !letter.is_control() && *letter != ';').collect();
            pairs.push(format!("__Host-pi_session={second}"));
            prop_assert_eq!(show(&pairs).status, 400);
            Ok(())
        })?;
    }

    #[test]
    fn data_is_replaced_when_if_match_names_its_version_and_only_then(
        others in vec("[!#-+\\--~]{0,22}", 0..4), has: bool, weak: bool, at in 0..5_usize, space in select(vec!["", " ", "\t"]), apart: bool,
    ) {
        thread_local! { static SIGNED: Signed = signed_in("off"); }
        SIGNED.with(|Signed { app, token, etag }| {
            let mut tags: Vec<String> = others.iter().map(|tag| format!("\"{tag}\"")).collect();
            if has {
                tags.insert(at.min(tags.len()), format!("{}{etag}", if weak { "W/" } else { "" }));
            }
            let bearer = format!("Bearer {token}");
            let mut headers = vec![("authorization", bearer.clone()), ("content-type", "application/json".to_owned())];
            if apart {
                headers.extend(tags.iter().map(|tag| ("if-match", tag.clone())));
            } else if !tags.is_empty() {
                headers.push(("if-match", tags.join(&format!("{space},{space}"))));
            }
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let status = call(app, &request("PUT", "/me/data", &headers, "{\"level\":2}")).status;
            // Restores the data for the next case: its version names the content.
            prop_assert_eq!(call(app, &put(token, "{\"level\":1}", Some("*"))).status, 204);
            prop_assert_eq!(status, if has { 204 } else if tags.is_empty() { 428 } else { 412 });
            Ok(())
        })?;
    }

    #[test]
    fn data_is_kept_byte_for_byte_or_refused(tree in jsons(), choice: u64) {
        thread_local! { static SIGNED: Signed = signed_in("off"); }
        SIGNED.with(|Signed { app, token, .. }| {
            let text = tree.to_text(choice);
            let is_sound = theirs_is_object(text.as_bytes()) && !tree.has_duplicates();
            let reply = call(app, &put(token, &text, Some("*")));
            prop_assert_eq!(reply.status, if is_sound { 204 } else { 400 });
            if is_sound {
                let shown = call(app, &with_token("GET", "/me/data", token));
                prop_assert_eq!(&shown.body, text.trim());
                prop_assert_eq!(shown.header("etag"), reply.header("etag"));
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_form_has_its_token_once_at_any_position(others in vec(("[a-z_]{1,8}", "[a-z0-9%+.]{0,12}"), 0..4), at in 0..5_usize, escaped: bool, second in "[a-z]{0,4}") {
        thread_local! { static SIGNED: Signed = signed_in("off"); }
        SIGNED.with(|Signed { app, token, .. }| {
            let spelled = if escaped { token.replace('.', "%2e").replace('-', "%2D") } else { token.clone() };
            let mut pairs: Vec<String> = others.iter().filter(|(name, _)| name != "token").map(|(name, value)| format!("{name}={value}")).collect();
            pairs.insert(at.min(pairs.len()), format!("token={spelled}"));
            let bearer = format!("Bearer {CREDENTIAL}");
            let headers = [("authorization", bearer.as_str()), ("content-type", "application/x-www-form-urlencoded")];
            let post = |pairs: &[String]| call(app, &request("POST", "/introspect", &headers, &pairs.join("&")));
            prop_assert_eq!(&post(&pairs).json()["active"], &json!(true));
            pairs.push(format!("t%6fken={second}"));
            prop_assert_eq!(post(&pairs).status, 400);
            Ok(())
        })?;
    }

    #[test]
    fn a_sign_in_reads_the_access_token_once_at_any_position(more in jsons(), choice: u64, after: bool, charset in select(vec!["", "; charset=utf-8", ";charset=\"UTF-8\"", "; charset=latin1", ", text/plain"])) {
        thread_local! { static APP: TestApp = test_app(); }
        APP.with(|app| {
            let member = "\"accessToken\":\"sim-alice\"";
            let other = format!("\"user\":{}", more.to_text(choice));
            let body = if after { format!("{{{other},{member}}}") } else { format!("{{{member},{other}}}") };
            let is_sound = oracle(body.as_bytes()).is_some() && !more.has_duplicates();
            let send = |content_type: &str, body: &str| call(app, &request("POST", "/session", &[("content-type", content_type)], body)).status;
            prop_assert_eq!(send("application/json", &body), if is_sound { 200 } else { 400 });
            let twice = format!("{{{member},{other},\"access\\u0054oken\":\"sim-bob\"}}");
            prop_assert_eq!(send("application/json", &twice), 400);
            let is_utf8 = !charset.contains("latin1") && !charset.contains("text");
            prop_assert_eq!(send(&format!("application/json{charset}"), "{\"accessToken\":\"sim-alice\"}"), if is_utf8 { 200 } else { 415 });
            Ok(())
        })?;
    }

    #[test]
    fn b3_only_the_origins_that_are_listed_may_call_and_byte_for_byte(origin in prop_oneof![header_values(), Just(ORIGIN.into()), Just(b"https://id.example".to_vec())], at: prop::sample::Index, byte in 0x21_u8..0x7f) {
        thread_local! { static APP: TestApp = test_app(); }
        APP.with(|app| {
            let status = |origin: &[u8]| {
                let request = Request::builder().uri("https://id.example/health").header("origin", origin);
                call(app, &request.body(Vec::new()).unwrap()).status
            };
            let allowed = [ORIGIN.as_bytes(), b"https://sandbox.minepi.com", b"https://id.example"];
            prop_assert_eq!(status(&origin), if allowed.contains(&origin.as_slice()) { 200 } else { 403 });
            let mut changed = ORIGIN.as_bytes().to_vec();
            let index = at.index(changed.len());
            changed[index] = byte;
            prop_assert_eq!(status(&changed), if allowed.contains(&changed.as_slice()) { 200 } else { 403 });
            Ok(())
        })?;
    }
}
