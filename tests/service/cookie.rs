//! Sessions in cookies.

use super::*;

fn cookies(reply: &Reply) -> Vec<&str> {
    let values = reply.headers.get_all("set-cookie").iter();
    values.map(|value| value.to_str().unwrap()).collect()
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
    // The unpartitioned cookie is removed first: to a browser that does not know `Partitioned`,
    // both lines name one cookie.
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

    // S5: another sign-in in this browser revokes its earlier session.
    let mut again = sign_in("sim-bob");
    again.headers_mut().extend(with_jar("POST", "/", &jar).headers().clone());
    let bob = call_at(&app, &again, NOW + 7);
    assert_eq!(bob.status, 200);
    let old = call_at(&app, &with_token("GET", "/session", &refreshed.token()), NOW + 7);
    assert_eq!(old.code(), "session_revoked");

    // Signing out also works with only the refresh cookie, and every revocation removes the
    // cookies.
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

/// The cookies that a browser keeps and sends. A browser that knows `Partitioned` separates the
/// partitioned cookie of a name from the other one.
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
            // The browser's update: from now on, a partitioned cookie is another one.
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
fn b2_b7_only_one_cookie_with_exactly_this_name_is_accepted() {
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
    // Two cookies with one name, as a browser keeps them that partitions some: both are removed,
    // and the next sign-in works.
    for (method, path) in [("GET", "/me"), ("POST", "/session"), ("POST", "/session/refresh")] {
        let duplicates = format!("{mine}; {mine}");
        let headers = [
            ("cookie", duplicates.as_str()),
            ("origin", ORIGIN),
            ("content-type", "application/json"),
        ];
        let duplicates = request(method, path, &headers, r#"{"accessToken":"sim-alice"}"#);
        let reply = refused(&app, &duplicates, 400, "ambiguous_credentials");
        assert_eq!((cookies(&reply).as_slice(), reply.sent), (&CLEARED[..], 0), "{path}");
    }
    // With SESSION_COOKIE off, there are no cookies at all.
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
    // A page of another site that links or embeds; and an allowed page in an iframe of another
    // site.
    let elsewhere = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    refused(&app, &with("GET", "/me", &elsewhere), 403, "origin_not_allowed");
    let same_origin = [("sec-fetch-site", "same-origin")];
    assert_eq!(call(&app, &with("GET", "/me", &same_origin)).status, 200);
    let ours = [("sec-fetch-site", "cross-site"), ("origin", ORIGIN)];
    let reply = call(&app, &with("GET", "/me", &ours));
    assert_eq!(reply.status, 200);
    // Credentials are allowed for this origin only, and in this mode only.
    assert_eq!(reply.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
    let none = call(&app, &with("GET", "/me", &[]));
    assert_eq!(none.header("access-control-allow-credentials"), None);
    let off = call(&test_app(), &request("OPTIONS", "/session", &[("origin", ORIGIN)], ""));
    assert_eq!(off.header("access-control-allow-credentials"), None);
    assert_eq!(call(&app, &with("DELETE", "/session", &ours)).status, 204);
}
