//! Claims: their types, and the checks against a policy and a time.

use super::*;

#[test]
fn t8_duplicate_claims_are_rejected_even_if_equal() {
    let base = payload();
    let open = base.strip_suffix('}').unwrap();
    for twin in [
        r#""sub":"uid-1""#,
        r#""sub":"uid-2""#,
        r#""su\u0062":"uid-2""#,
        r#""exp":9999999999"#,
        r#""\u0065xp":1760000600"#,
        r#""other":1,"other":1"#,
        r#""deep":{"a":{"b":1,"b":2}}"#,
        r#""deep":[{"b":1,"\u0062":2}]"#,
    ] {
        claims_refused(format!("{open},{twin}}}"), Error::Claims);
    }
    // One member in another spelling, once.
    let spelled = base.replace(r#""sub""#, r#""su\u0062""#);
    assert_eq!(verify_at(signed(header(), spelled), NOW), Ok(()));
}

#[test]
fn t12_t13_t14_the_payload_is_one_json_object_in_utf8() {
    let base = payload();
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    claims_refused(with("deep", deep(1000)), Error::Claims);
    assert_eq!(verify_at(signed(header(), with("deep", deep(100))), NOW), Ok(()));
    for text in [
        "[]",
        "\"x\"",
        "1",
        "null",
        "true",
        " ",
        "{}",
        "{",
        &format!("{base}x"),
        &format!("[{base}]"),
        &format!("{base}{base}"),
        &format!("{base}//"),
        &format!("/**/{base}"),
        &format!("\u{feff}{base}"),
        &with("n", "NaN"),
        &with("n", "01"),
        &with("n", "+1"),
        &with("n", "1e400"),
        &with("n", "Infinity"),
        &with("n", "undefined"),
        &with("n", "'a'"),
        &with("n", r#""\ud800""#),
        &with("n", r#""\udc00\ud800""#),
        &with("n", "\"\u{0}\""),
        &with("n", "\"\n\""),
        &with("n", r#""\x41""#),
        &base.replace(':', "="),
        // An array in the order of the claims is not the object.
        r#"["https://id.example","app","u","s",1760000000,1760000600,1760000000,"j","s"]"#,
    ] {
        claims_refused(text, Error::Claims);
    }
    refused(signed(header(), ""), Error::Malformed);
    for bad in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        let mut bytes = with("n", r#""?""#).into_bytes();
        let at = bytes.iter().position(|&byte| byte == b'?').unwrap();
        bytes.splice(at..=at, bad.iter().copied());
        claims_refused(bytes, Error::Claims);
    }
    // Names of prototypes are names; other claims of any shape are ignored.
    for name in ["__proto__", "constructor", "toJSON"] {
        assert_eq!(verify_at(signed(header(), with(name, r#"{"sub":"x"}"#)), NOW), Ok(()));
    }
    assert_eq!(verify_at(signed(header(), format!(" \r\n\t{base} ")), NOW), Ok(()));
}

/// Values that are not times.
const NOT_TIMES: &[&str] = &[
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\"1760000600\"",
    "[1760000600]",
    "1e400",
    "-1e400",
    "1e308",
    "1e303",
    "-1",
    "-0",
    "1760000600.0",
    "1760000600.5",
    "1.7600006e9",
    "9007199254740993",
    "9223372036854775808",
    "18446744073709551616",
    "253402300800",
    "1760000600000",
    "NaN",
    "01",
];

#[test]
fn c1_exp_is_a_plain_integer_within_an_hour_of_iat() {
    for value in NOT_TIMES {
        claims_refused(with("exp", *value), Error::Claims);
    }
    claims_refused(without("exp"), Error::Claims);
    // Impossible lifetimes.
    for exp in [0, 1, NOW - 1, NOW, NOW + 3601, 9_999_999_999] {
        claims_refused(with("exp", exp.to_string()), Error::Claims);
    }
    for exp in [NOW + 1, NOW + 3600] {
        assert_eq!(verify_at(signed(header(), with("exp", exp.to_string())), NOW), Ok(()));
    }
    let token = signed(header(), payload());
    for (now, result) in [
        (NOW + 599, Ok(())),
        (NOW + 600, Ok(())),
        (NOW + 604, Ok(())),
        (NOW + 605, Err(Error::Expired)),
        (NOW + 86_400, Err(Error::Expired)),
        (253_402_300_799, Err(Error::Expired)),
    ] {
        assert_eq!(verify_at(&token, now), result, "{now}");
    }
}

#[test]
fn c1_c7_the_tolerance_is_the_one_of_the_policy() {
    let token = signed(header(), payload());
    for tolerance in [0, 5, 60] {
        let policy = Policy { clock_tolerance: tolerance, ..policy() };
        let verify = |now| jwt::verify(token.as_bytes(), &keys(), &policy, at(now)).map(|_| ());
        let tolerance = i64::from(tolerance);
        assert_eq!(verify(NOW - tolerance - 1), Err(Error::NotYetValid));
        assert_eq!(verify(NOW - tolerance), Ok(()));
        assert_eq!(verify(NOW + 599 + tolerance), Ok(()));
        assert_eq!(verify(NOW + 600 + tolerance), Err(Error::Expired));
        // The clock jumps back: each call uses its own time.
        assert_eq!(verify(NOW), Ok(()));
    }
    for day in [-86_400, 86_400] {
        assert!(verify_at(&token, NOW + day).is_err());
    }
    assert_eq!(verify_at(&token, 0), Err(Error::NotYetValid));
}

#[test]
fn c2_nbf_is_checked_if_present() {
    for value in NOT_TIMES {
        claims_refused(with("nbf", *value), Error::Claims);
    }
    for (nbf, result) in [
        (0, Ok(())),
        (NOW, Ok(())),
        (NOW + 5, Ok(())),
        (NOW + 6, Err(Error::NotYetValid)),
        (NOW + 3600, Err(Error::NotYetValid)),
        (253_402_300_799, Err(Error::NotYetValid)),
    ] {
        let token = signed(header(), with("nbf", nbf.to_string()));
        assert_eq!(verify_at(token, NOW), result, "{nbf}");
    }
}

#[test]
fn c3_iat_is_required_and_not_ahead() {
    for value in NOT_TIMES {
        claims_refused(with("iat", *value), Error::Claims);
        claims_refused(with("auth_time", *value), Error::Claims);
    }
    claims_refused(without("iat"), Error::Claims);
    claims_refused(without("auth_time"), Error::Claims);
    let issued = |iat: i64| {
        let mut members = members();
        members.retain(|(name, _)| !matches!(*name, "iat" | "exp"));
        members.extend([("iat", iat.to_string()), ("exp", (iat + 600).to_string())]);
        verify_at(signed(header(), written(&members)), NOW)
    };
    assert_eq!(issued(NOW + 5), Ok(()));
    assert_eq!(issued(NOW + 6), Err(Error::NotYetValid));
    assert_eq!(issued(NOW + 3600), Err(Error::NotYetValid));
    assert_eq!(issued(NOW - 604), Ok(()));
    assert_eq!(issued(NOW - 605), Err(Error::Expired));
    assert_eq!(issued(0), Err(Error::Expired));
}

#[test]
fn c4_c5_issuer_and_audience_are_exact() {
    for name in ["iss", "aud"] {
        claims_refused(without(name), Error::Claims);
        for value in
            ["null", "1", "true", "[]", "{}", r#"["app"]"#, r#"["app","evil"]"#, r#"["app",1]"#]
        {
            claims_refused(with(name, value), Error::Claims);
        }
    }
    let many = format!("[{}]", vec![r#""app""#; 300].join(","));
    claims_refused(with("aud", many), Error::Claims);
    for aud in ["", "ap", "app2", "App", "app/", " app", "app ", "app\\u0000", "\\u0430pp", "*"] {
        claims_refused(with("aud", format!("\"{aud}\"")), Error::Audience);
    }
    for iss in [
        "",
        "https://id.example/",
        "http://id.example",
        "https://ID.example",
        "https://id.example:443",
        "https://id.example.evil.example",
        "https://\\u0456d.example",
        "id.example",
    ] {
        claims_refused(with("iss", format!("\"{iss}\"")), Error::Issuer);
    }
    // An escape is a spelling, not another text.
    assert_eq!(verify_at(signed(header(), with("aud", r#""\u0061pp""#)), NOW), Ok(()));
}

#[test]
fn c6_ids_have_the_form_of_ids_and_other_claims_their_types() {
    let long = format!("\"{}\"", "x".repeat(129));
    for name in ["sub", "sid", "jti"] {
        claims_refused(without(name), Error::Claims);
        for value in [
            "null",
            "1",
            "true",
            "[]",
            "{}",
            r#"["a"]"#,
            r#""""#,
            r#"" ""#,
            r#""a b""#,
            r#""é""#,
            r#""a\u0000""#,
            r#""a\r\n""#,
            r#""../a""#,
            &long,
        ] {
            claims_refused(with(name, value), Error::Claims);
        }
        let longest = format!("\"{}\"", "x".repeat(128));
        assert_eq!(verify_at(signed(header(), with(name, longest)), NOW), Ok(()));
    }
    claims_refused(without("scope"), Error::Claims);
    for value in ["null", "1", "[]", r#"["payments"]"#, "{}"] {
        claims_refused(with("scope", value), Error::Claims);
        claims_refused(with("preferred_username", value), Error::Claims);
    }
    for value in ["null", "1", "0", r#""true""#, "[]"] {
        claims_refused(with("app_bound", value), Error::Claims);
    }
    // An absent claim is reported as absent only.
    let token = signed(header(), without("app_bound"));
    let held = jwt::verify(token.as_bytes(), &keys(), &policy(), at(NOW)).unwrap();
    assert!(!held.claims.app_bound);
    assert_eq!(verify_at(signed(header(), without("preferred_username")), NOW), Ok(()));
}

#[test]
fn c8_the_signature_comes_before_the_claims() {
    let (d, x, kid) = other_key();
    for payload in [with("exp", "1"), with("iss", r#""evil""#), with("sub", "1"), "no".into()] {
        for header in headers() {
            let mut token = signed(header, &payload).into_bytes();
            let at = token.len() - 40;
            token[at] = if token[at] == b'A' { b'B' } else { b'A' };
            refused(token, Error::Signature);
        }
    }
    // Signed by another valid key with the header of this one; and by a key that the verifier does
    // not know.
    for header in headers() {
        let signed = format!("{}.{}", b64(header), b64(payload()));
        let other = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let signature = b64(other.sign(signed.as_bytes()).to_bytes());
        refused(format!("{signed}.{signature}"), Error::Signature);
    }
    let unknown = signing_keys(&[private(&d, &x, &kid, "active")]).unwrap();
    refused(sign(&claims(), unknown.active()).unwrap(), Error::UnknownKey);
    // The order among the claims: lifetime, iss, aud, times.
    let all_wrong = r#"{"iss":"evil","aud":"evil","sub":"u","sid":"s","iat":0,"exp":1,"auth_time":0,
        "jti":"j","scope":""}"#;
    claims_refused(all_wrong, Error::Issuer);
    claims_refused(all_wrong.replacen("evil", "https://id.example", 1), Error::Audience);
    claims_refused(all_wrong.replacen("\"exp\":1", "\"exp\":3601", 1), Error::Claims);
    for error in [Error::Issuer, Error::Audience] {
        assert!(!error.to_string().contains("id.example"), "echoes the policy");
    }
}
