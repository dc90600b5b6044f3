//! Headers: other algorithms, keys and members.

use super::*;

#[test]
fn t1_t3_other_algorithms_are_other_headers() {
    for alg in [
        r#""none""#,
        r#""None""#,
        r#""nOnE""#,
        r#""""#,
        "1",
        "null",
        r#""HS256""#,
        r#""ES256""#,
        r#""RS256""#,
        r#""Ed448""#,
        r#""eddsa""#,
        r#""EDDSA""#,
        r#""ed25519""#,
        r#""ED25519""#,
        r#""Ed25519ph""#,
        r#"["EdDSA"]"#,
        r#"["EdDSA","Ed25519"]"#,
        r#""EdDSA ""#,
        r#"" EdDSA""#,
        r#""EdDSA","alg":"Ed25519""#,
        r#""Ed25519","alg":"EdDSA""#,
    ] {
        let header = format!(r#"{{"alg":{alg},"kid":"{KID}","typ":"pi-session+jwt"}}"#);
        header_refused(&header);
        refused(format!("{}.{}.", b64(&header), b64(payload())), Error::Malformed);
    }
    header_refused(format!(r#"{{"kid":"{KID}","typ":"pi-session+jwt"}}"#));
    for header in headers() {
        // A right header, without a signature or with an empty one.
        let signed = format!("{}.{}", b64(header), b64(payload()));
        refused(format!("{signed}."), Error::Malformed);
        refused(&signed, Error::Malformed);
        refused(format!("{signed}.{}", "A".repeat(86)), Error::Signature);
    }
}

#[test]
fn t3_both_names_of_ed25519_are_accepted_for_each_key() {
    for alg in ["", r#","alg":"EdDSA""#, r#","alg":"Ed25519""#] {
        let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}","kid":"{KID}"{alg}}}"#);
        let (_, x, kid) = other_key();
        let other = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"{kid}"}}"#);
        let keys = format!(r#"{{"keys":[{other},{jwk}]}}"#);
        let keys = KeySet::from_jwks(keys.as_bytes()).unwrap();
        for token in tokens() {
            let held = jwt::verify(token.as_bytes(), &keys, &policy(), at(NOW)).unwrap();
            assert_eq!(held.claims, claims());
        }
    }
    // The issuer still publishes and writes the older name.
    assert!(keys().to_jwks().contains(r#""alg":"EdDSA""#));
    assert_eq!(b64(header()), tokens()[0].split('.').next().unwrap());
}

#[test]
fn t3_a_token_has_only_the_name_that_was_signed() {
    let [older, newer] = tokens();
    for (token, header) in [(older, &headers()[1]), (newer, &headers()[0])] {
        let rest = &token[token.find('.').unwrap()..];
        refused(format!("{}{rest}", b64(header)), Error::Signature);
    }
}

#[test]
fn t3_t7_a_feed_has_either_name_and_its_own_type() {
    let window = Window {
        iss: "https://id.example".into(),
        aud: "app".into(),
        iat: at(NOW),
        exp: at(NOW + 60),
        epoch: at(0),
        users: [].into(),
        from: 0,
        to: 1,
        last_iat: at(NOW),
        last_exp: at(NOW),
        sids_sha256: Window::digest(&[]),
    };
    let verify = |header: &str| {
        let token = signed(header, serde_json::to_vec(&window).unwrap());
        Window::verify(&Window::document(token, &[]), &keys(), &policy(), at(NOW))
    };
    for header in headers() {
        assert_eq!(verify(&header).unwrap_err(), Error::UnknownKey, "a session's type");
        let header = header.replace("pi-session", "pi-revocations");
        assert_eq!(verify(&header).unwrap(), (window.clone(), vec![]));
        for wrong in [header.replace(',', ", "), header.replace("Ed", "ed")] {
            assert_eq!(verify(&wrong).unwrap_err(), Error::UnknownKey, "{wrong}");
        }
        refused(signed(header, payload()), Error::UnknownKey);
    }
}

#[test]
fn t2_an_hmac_keyed_with_the_public_key_is_no_signature() {
    // HMAC-SHA-256 by hand (RFC 2104), for each form of the public key.
    let hmac = |key: &[u8], text: &[u8]| {
        let mut block = [0; 64];
        if key.len() > 64 {
            block[..32].copy_from_slice(&Sha256::digest(key));
        } else {
            block[..key.len()].copy_from_slice(key);
        }
        let inner = Sha256::digest([&block.map(|byte| byte ^ 0x36)[..], text].concat());
        Sha256::digest([&block.map(|byte| byte ^ 0x5c)[..], &inner[..]].concat())
    };
    let spki = [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..], &unb64(X)].concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        base64ct::Base64::encode_string(&spki)
    );
    for key in [unb64(X), X.into(), spki, pem.clone().into(), format!(" {pem}").into(), vec![]] {
        let [older, newer] = headers();
        for header in [r#"{"alg":"HS256","typ":"JWT"}"#.to_owned(), older, newer] {
            let signed = format!("{}.{}", b64(header), b64(payload()));
            let mac = hmac(&key, signed.as_bytes());
            refused(format!("{signed}.{}", b64(mac)), Error::Malformed);
        }
        for header in headers() {
            let signed = format!("{}.{}", b64(header), b64(payload()));
            let twice = hmac(&key, signed.as_bytes()).repeat(2);
            refused(format!("{signed}.{}", b64(twice)), Error::Signature);
        }
    }
}

#[test]
fn t4_t15_only_the_exact_header_of_a_known_key() {
    let (_, _, other) = other_key();
    let long = "k".repeat(2000);
    for kid in [
        "",
        "../../etc/passwd",
        "' OR 1=1 --",
        "__proto__",
        "constructor",
        "hasOwnProperty",
        &other,
        &KID.to_lowercase(),
        &KID.replace('_', "%5F"),
        &KID[1..],
        &format!("{KID} "),
        &long,
    ] {
        header_refused(format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"pi-session+jwt"}}"#));
    }
    for header in [
        r#"{"alg":"EdDSA","typ":"pi-session+jwt"}"#.to_owned(),
        format!(r#"{{"alg":"EdDSA","kid":["{KID}"],"typ":"pi-session+jwt"}}"#),
        r#"{"alg":"EdDSA","kid":1,"typ":"pi-session+jwt"}"#.to_owned(),
        r#"{"alg":"EdDSA","kid":null,"typ":"pi-session+jwt"}"#.to_owned(),
        // T15: equal as JSON, but another text.
        format!(r#"{{"kid":"{KID}","alg":"EdDSA","typ":"pi-session+jwt"}}"#),
        format!(r#"{{"alg": "EdDSA","kid":"{KID}","typ":"pi-session+jwt"}}"#),
        format!(r#"{{"\u0061lg":"EdDSA","kid":"{KID}","typ":"pi-session+jwt"}}"#),
        format!(r#"{{"typ":"pi-session+jwt","kid":"{KID}","alg":"EdDSA"}}"#),
        format!(r#"{{"alg":"EdDSA","typ":"pi-session+jwt","kid":"{KID}"}}"#),
        format!("{}\n", header()),
        format!("\u{feff}{}", header()),
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
    ] {
        header_refused(header);
    }
}

#[test]
fn t5_t6_t7_t8_no_header_member_is_more_than_another_header() {
    for member in [
        &format!(r#""jwk":{{"kty":"OKP","crv":"Ed25519","x":"{X}"}}"#),
        r#""jku":"https://evil.example/jwks.json""#,
        r#""x5u":"https://evil.example/x""#,
        r#""x5c":["AA"]"#,
        r#""x5t":"AA""#,
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""crit":["b64","b64"],"b64":true"#,
        r#""crit":"b64""#,
        r#""b64":false"#,
        r#""crit":["b64"],"b64":false"#,
        // T8: a duplicate name.
        r#""alg":"EdDSA""#,
        r#""alg":"Ed25519""#,
        r#""\u0061lg":"none""#,
    ] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"{KID}","typ":"pi-session+jwt",{member}}}"#);
        header_refused(header);
    }
    for typ in [
        r#""JWT""#,
        r#""at+jwt""#,
        r#""pi-revocations+jwt""#,
        r#""pi-refresh+jwt""#,
        "null",
        r#"["pi-session+jwt"]"#,
        r#""application/pi-session+jwt""#,
        r#""PI-SESSION+JWT""#,
    ] {
        header_refused(format!(r#"{{"alg":"EdDSA","kid":"{KID}","typ":{typ}}}"#));
    }
    header_refused(format!(r#"{{"alg":"EdDSA","kid":"{KID}"}}"#));
}
