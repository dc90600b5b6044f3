//! Operator tokens: their one form, and that no other signed text is one.

use super::*;

const HEADER: &str = r#"{"alg":"EdDSA","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","typ":"pi-operator+jwt"}"#;

fn members() -> Vec<(&'static str, String)> {
    vec![
        ("iss", r#""https://id.example""#.into()),
        ("aud", r#""app""#.into()),
        ("sub", r#""alice""#.into()),
        ("role", r#""owner""#.into()),
        ("iat", NOW.to_string()),
        ("exp", (NOW + 3600).to_string()),
        ("cid", r#""cid-1""#.into()),
    ]
}

/// The base payload, with one member replaced or added.
fn with(name: &'static str, value: impl Into<String>) -> String {
    let mut members = members();
    members.retain(|(other, _)| *other != name);
    members.push((name, value.into()));
    written(&members)
}

fn claims() -> OperatorClaims {
    OperatorClaims {
        iss: "https://id.example".into(),
        aud: "app".into(),
        sub: Identifier::parse("alice".into()).unwrap(),
        role: Role::Owner,
        iat: at(NOW),
        exp: at(NOW + 3600),
        cid: "cid-1".into(),
    }
}

fn verify_at(token: impl AsRef<[u8]>, now: i64) -> Result<OperatorClaims, Error> {
    OperatorClaims::verify(token.as_ref(), &keys(), &policy(), at(now))
}

#[test]
fn the_issuer_makes_one_text_of_the_same_claims_and_reads_it_back() {
    let set = signing_keys(&[private(D, X, KID, "active")]).unwrap();
    let key = set.active();
    let input = claims().signing_input(key).unwrap();
    let signature = key.sign(input.as_bytes());
    let token = input.signed(&signature);
    assert_eq!(token, signed(HEADER, written(&members())));
    assert_eq!(verify_at(token, NOW), Ok(claims()));
}

#[test]
fn t7_no_signed_text_passes_for_one_of_another_kind() {
    let operator = written(&members());
    for header in [
        header(),
        HEADER.replace("pi-operator+jwt", "pi-revocations+jwt"),
        HEADER.replace("pi-operator+jwt", "PI-OPERATOR+JWT"),
        HEADER.replace("pi-operator+jwt", "JWT"),
        HEADER.replace(r#","typ":"pi-operator+jwt""#, ""),
        HEADER.replace(r#""alg":"EdDSA""#, r#""alg":"none""#),
        HEADER.replace(',', ", "),
    ] {
        let token = signed(&header, &operator);
        assert_eq!(verify_at(token, NOW), Err(Error::UnknownKey), "{header}");
    }
    // The other verifiers refuse the header before they look at the claims.
    for header in [HEADER.to_owned(), HEADER.replace("EdDSA", "Ed25519")] {
        let token = signed(&header, payload());
        refused(&token, Error::UnknownKey);
        let window = Window::verify(format!("{token}\n").as_bytes(), &keys(), &policy(), at(NOW));
        assert_eq!(window.map(drop), Err(Error::UnknownKey));
        assert_eq!(verify_at(signed(&header, &operator), NOW), Ok(claims()));
    }
}

#[test]
fn no_other_claims_and_no_other_signature_are_accepted() {
    let check = |payload: &str, error: Error| {
        assert_eq!(verify_at(signed(HEADER, payload), NOW), Err(error), "{payload}");
    };
    for (name, value) in [
        ("role", r#""admin""#),
        ("role", r#""Owner""#),
        ("role", r#"["owner"]"#),
        ("role", "1"),
        ("sub", r#""a b""#),
        ("sub", r#""""#),
        ("cid", "null"),
        ("iat", "1760000000.0"),
        ("exp", r#""1760003600""#),
        ("exp", "1760003601"),
        ("exp", "1760000000"),
        ("aud", r#"["app"]"#),
    ] {
        check(&with(name, value), Error::Claims);
    }
    for (missing, _) in members() {
        let mut members = members();
        members.retain(|(name, _)| *name != missing);
        check(&written(&members), Error::Claims);
    }
    let base = written(&members());
    check(&base.replace(r#""role""#, r#""role":"viewer","role""#), Error::Claims);
    check(&base.replace(r#""role""#, r#""rol\u0065":"viewer","role""#), Error::Claims);
    check(&with("iss", r#""https://other.example""#), Error::Issuer);
    check(&with("aud", r#""other""#), Error::Audience);

    let token = signed(HEADER, &base);
    assert_eq!(verify_at(&token, NOW - 5), Ok(claims()));
    assert_eq!(verify_at(&token, NOW - 6), Err(Error::NotYetValid));
    assert_eq!(verify_at(&token, NOW + 3604), Ok(claims()));
    assert_eq!(verify_at(&token, NOW + 3605), Err(Error::Expired));
    let other = signed(HEADER, with("role", r#""viewer""#));
    let (payload, signature) = (&other[..other.len() - 86], &token[token.len() - 86..]);
    assert_eq!(verify_at(format!("{payload}{signature}"), NOW), Err(Error::Signature));
}
