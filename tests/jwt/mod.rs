//! The session token from outside: known answers of RFC 8037, and forgeries, correctly signed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::{Signer, Verifier};
use pioneer_session::{
    identifier::Identifier,
    jwt::{
        self, Claims, Error, KeyError, KeySet, MAX_TOKEN_BYTES, Policy, PublicKey, SigningKey,
        SigningKeys,
    },
    secret::Secret,
    time::UnixTime,
};
use sha2::{Digest, Sha256, Sha512};

/// RFC 8037, A.1 to A.4.
const D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const KID: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
const A4_SIGNED: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
const A4_SIGNATURE: &str =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

const NOW: i64 = 1_760_000_000;

fn b64(bytes: impl AsRef<[u8]>) -> String {
    Base64UrlUnpadded::encode_string(bytes.as_ref())
}

fn unb64(text: &str) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(text).unwrap()
}

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_seconds(seconds).unwrap()
}

/// Signs as the issuer does where it has no native Ed25519.
fn sign(claims: &Claims, key: &SigningKey) -> Result<String, Error> {
    let input = jwt::signing_input(claims, key)?;
    let signature = key.sign(input.as_bytes());
    Ok(input.signed(&signature))
}

fn dalek() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&unb64(D).try_into().unwrap())
}

fn thumbprint(x: &str) -> String {
    b64(Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
}

/// A sound key that is another.
fn other_key() -> (String, String, String) {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let x = b64(key.verifying_key().as_bytes());
    let kid = thumbprint(&x);
    (b64([7; 32]), x, kid)
}

fn public_jwks() -> String {
    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{X}","kid":"{KID}"}}]}}"#)
}

fn keys() -> KeySet {
    KeySet::from_jwks(public_jwks().as_bytes()).unwrap()
}

fn private(d: &str, x: &str, kid: &str, state: &str) -> String {
    format!(
        r#"{{"kty":"OKP","crv":"Ed25519","d":"{d}","x":"{x}","kid":"{kid}","state":"{state}"}}"#
    )
}

fn signing_keys(jwks: &[String]) -> Result<SigningKeys, KeyError> {
    SigningKeys::from_jwks(&Secret::new(format!(r#"{{"keys":[{}]}}"#, jwks.join(","))))
}

fn policy() -> Policy {
    Policy {
        issuer: "https://id.example".into(),
        audience: "app".into(),
        clock_tolerance: Policy::DEFAULT_CLOCK_TOLERANCE,
    }
}

fn header() -> String {
    format!(r#"{{"alg":"EdDSA","kid":"{KID}","typ":"pi-session+jwt"}}"#)
}

fn members() -> Vec<(&'static str, String)> {
    vec![
        ("iss", r#""https://id.example""#.into()),
        ("aud", r#""app""#.into()),
        ("sub", r#""uid-1""#.into()),
        ("sid", r#""sid-1""#.into()),
        ("iat", NOW.to_string()),
        ("exp", (NOW + 600).to_string()),
        ("auth_time", NOW.to_string()),
        ("jti", r#""jti-1""#.into()),
        ("scope", r#""payments username""#.into()),
        ("preferred_username", r#""alice""#.into()),
        ("app_bound", "true".into()),
    ]
}

fn written(members: &[(&str, String)]) -> String {
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
    format!("{{{}}}", members.join(","))
}

fn payload() -> String {
    written(&members())
}

/// The base payload with one member replaced or added.
fn with(name: &'static str, value: impl Into<String>) -> String {
    let mut members = members();
    members.retain(|(other, _)| *other != name);
    members.push((name, value.into()));
    written(&members)
}

fn without(name: &str) -> String {
    let mut members = members();
    members.retain(|(other, _)| *other != name);
    written(&members)
}

/// A correctly signed token of any header and payload.
fn signed(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let signed = format!("{}.{}", b64(header), b64(payload));
    let signature = dalek().sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", b64(signature))
}

fn verify_at(token: impl AsRef<[u8]>, now: i64) -> Result<(), Error> {
    jwt::verify(token.as_ref(), &keys(), &policy(), at(now)).map(drop)
}

#[track_caller]
fn refused(token: impl AsRef<[u8]>, error: Error) {
    let shown = String::from_utf8_lossy(token.as_ref()).chars().take(200).collect::<String>();
    assert_eq!(verify_at(&token, NOW), Err(error), "{shown}");
    assert_eq!(verify_at(signed(header(), payload()), NOW), Ok(()), "the next one works");
}

/// The payload is correctly signed under our own header, and refused for what it says.
#[track_caller]
fn claims_refused(payload: impl AsRef<[u8]>, error: Error) {
    refused(signed(header(), payload), error);
}

#[track_caller]
fn header_refused(header: impl AsRef<[u8]>) {
    refused(signed(header, payload()), Error::UnknownKey);
}

#[test]
fn rfc_8037_known_answers() {
    let key = dalek();
    assert_eq!(b64(key.verifying_key().as_bytes()), X);
    assert_eq!(thumbprint(X), KID);
    assert_eq!(b64(key.sign(A4_SIGNED.as_bytes()).to_bytes()), A4_SIGNATURE);
    let signature = ed25519_dalek::Signature::from_bytes(&unb64(A4_SIGNATURE).try_into().unwrap());
    assert!(key.verifying_key().verify_strict(A4_SIGNED.as_bytes(), &signature).is_ok());
    // The key set takes a `kid` only if it is the thumbprint, and says the same of what it took.
    let jwks: serde_json::Value = serde_json::from_str(&keys().to_jwks()).unwrap();
    assert_eq!(jwks["keys"][0]["kid"], KID);
    assert_eq!(jwks["keys"][0]["x"], X);
    let signing = signing_keys(&[private(D, X, KID, "active")]).unwrap();
    assert_eq!(signing.active().public().kid(), KID);
    // A.4 is correctly signed, with a header that is not ours.
    refused(format!("{A4_SIGNED}.{A4_SIGNATURE}"), Error::UnknownKey);
}

fn claims() -> Claims {
    let id = |text: &str| Identifier::parse(text.into()).unwrap();
    Claims {
        iss: "https://id.example".into(),
        aud: "app".into(),
        sub: id("uid-1"),
        sid: id("sid-1"),
        iat: at(NOW),
        exp: at(NOW + 600),
        nbf: None,
        auth_time: at(NOW),
        jti: id("jti-1"),
        scope: "payments username".into(),
        preferred_username: Some("alice".into()),
        app_bound: true,
    }
}

#[test]
fn e5_what_is_signed_verifies_and_is_always_the_same() {
    let signing = signing_keys(&[private(D, X, KID, "active")]).unwrap();
    let token = sign(&claims(), signing.active()).unwrap();
    assert_eq!(token, signed(header(), payload()), "the bytes are those of the contract");
    assert_eq!(sign(&claims(), signing.active()).unwrap(), token);
    let held = jwt::verify(token.as_bytes(), signing.all(), &policy(), at(NOW)).unwrap();
    assert_eq!(held.claims, claims());
    assert_eq!(held.payload, payload().into_bytes());

    let quiet = Claims { preferred_username: None, app_bound: false, ..claims() };
    let token = sign(&quiet, signing.active()).unwrap();
    assert!(
        !String::from_utf8(unb64(token.split('.').nth(1).unwrap())).unwrap().contains("preferred")
    );
    let held = jwt::verify(token.as_bytes(), signing.all(), &policy(), at(NOW)).unwrap();
    assert_eq!(held.claims, quiet);

    let long = Claims { scope: "x".repeat(4000), ..claims() };
    assert_eq!(sign(&long, signing.active()), Err(Error::TooLong));
    // Nor does a key print its private half.
    let printed = format!("{signing:?}");
    assert!(!printed.contains(D) && !printed.contains("157, 97, 177"), "{printed}");
}

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
        r#""Ed25519""#,
        r#""Ed448""#,
        r#""eddsa""#,
        r#"["EdDSA"]"#,
    ] {
        let header = format!(r#"{{"alg":{alg},"kid":"{KID}","typ":"pi-session+jwt"}}"#);
        header_refused(&header);
        refused(format!("{}.{}.", b64(&header), b64(payload())), Error::Malformed);
    }
    header_refused(format!(r#"{{"kid":"{KID}","typ":"pi-session+jwt"}}"#));
    // Our own header, without a signature or with an empty one.
    refused(format!("{}.{}.", b64(header()), b64(payload())), Error::Malformed);
    refused(format!("{}.{}", b64(header()), b64(payload())), Error::Malformed);
    refused(format!("{}.{}.{}", b64(header()), b64(payload()), "A".repeat(86)), Error::Signature);
}

#[test]
fn t2_an_hmac_keyed_with_the_public_key_is_no_signature() {
    // HMAC-SHA-256 by hand (RFC 2104), for each form the public key comes in.
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
        for header in [r#"{"alg":"HS256","typ":"JWT"}"#.to_owned(), header()] {
            let signed = format!("{}.{}", b64(header), b64(payload()));
            let mac = hmac(&key, signed.as_bytes());
            refused(format!("{signed}.{}", b64(mac)), Error::Malformed);
        }
        let signed = format!("{}.{}", b64(header()), b64(payload()));
        let twice = hmac(&key, signed.as_bytes()).repeat(2);
        refused(format!("{signed}.{}", b64(twice)), Error::Signature);
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
        // T15: equal as JSON, and yet another text.
        format!(r#"{{"kid":"{KID}","alg":"EdDSA","typ":"pi-session+jwt"}}"#),
        format!(r#"{{"alg": "EdDSA","kid":"{KID}","typ":"pi-session+jwt"}}"#),
        format!(r#"{{"\u0061lg":"EdDSA","kid":"{KID}","typ":"pi-session+jwt"}}"#),
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
        // T8: a twin.
        r#""alg":"EdDSA""#,
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

#[test]
fn t8_duplicate_claims_are_refused_whatever_they_say() {
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
    // One member in another spelling is that member, once.
    let spelled = base.replace(r#""sub""#, r#""su\u0062""#);
    assert_eq!(verify_at(signed(header(), spelled), NOW), Ok(()));
}

#[test]
fn t9_every_single_bit_counts() {
    let token = signed(header(), payload()).into_bytes();
    let token = &token;
    std::thread::scope(|threads| {
        for bit in 0..8 {
            threads.spawn(move || {
                for at in 0..token.len() {
                    let mut flipped = token.clone();
                    flipped[at] ^= 1 << bit;
                    assert!(verify_at(&flipped, NOW).is_err(), "byte {at}, bit {bit}");
                }
            });
        }
    });
    assert_eq!(verify_at(token, NOW), Ok(()));
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The other spellings of a last character whose lower `spare` bits say nothing.
fn respelled(text: &str, spare: u32) -> Vec<String> {
    let (stem, last) = text.split_at(text.len() - 1);
    let value = ALPHABET.iter().position(|&letter| letter == last.as_bytes()[0]).unwrap();
    let first = value >> spare << spare;
    let all = (first..first + (1 << spare)).filter(|&other| other != value);
    all.map(|other| format!("{stem}{}", char::from(ALPHABET[other]))).collect()
}

#[test]
fn t9_a_token_has_one_spelling() {
    let token = signed(header(), payload());
    let twins = respelled(&token, 4);
    assert_eq!(twins.len(), 15);
    for twin in twins {
        refused(twin, Error::Malformed);
    }
    // Stray bits at the end of the payload, signed as they stand.
    for length in 1..3 {
        let payload = format!("{}{}", payload(), " ".repeat(length));
        let spare = match payload.len() % 3 {
            1 => 4,
            2 => 2,
            _ => continue,
        };
        for twin in respelled(&b64(&payload), spare) {
            let signed = format!("{}.{twin}", b64(header()));
            let signature = b64(dalek().sign(signed.as_bytes()).to_bytes());
            refused(format!("{signed}.{signature}"), Error::Malformed);
        }
    }
}

#[test]
fn t9_other_alphabets_padding_and_spaces_are_refused() {
    let token = signed(header(), payload());
    let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    for odd in ["=", "==", "\n", " ", "\0", "\r\n", "\t", "é", "\u{200b}"] {
        refused(format!("{token}{odd}"), Error::Malformed);
        refused(format!("{head}{odd}.{body}.{signature}"), Error::UnknownKey);
        refused(format!("{odd}{token}"), Error::UnknownKey);
        // Signed as it stands, so that only the spelling is wrong.
        for at in [0, body.len() / 2, body.len()] {
            let signed = format!("{head}.{}{odd}{}", &body[..at], &body[at..]);
            let signature = b64(dalek().sign(signed.as_bytes()).to_bytes());
            refused(format!("{signed}.{signature}"), Error::Malformed);
        }
        // In the signature's place of as many characters.
        let cut = &signature[..86 - odd.len()];
        refused(format!("{head}.{body}.{cut}{odd}"), Error::Malformed);
        refused(format!("{head}.{body}.{odd}{cut}"), Error::Malformed);
    }
    let mut body = b64(payload());
    while body.len() % 4 != 1 {
        body.push('A');
    }
    let signed = format!("{head}.{body}");
    let signature = b64(dalek().sign(signed.as_bytes()).to_bytes());
    refused(format!("{signed}.{signature}"), Error::Malformed);
    for other in ["+", "/"] {
        let standard = format!("{}{other}", &token[..token.len() - 1]);
        refused(standard, Error::Malformed);
    }
}

#[test]
fn t10_three_parts_exactly() {
    let token = signed(header(), payload());
    let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    for malformed in [
        "",
        ".",
        "..",
        "...",
        head,
        signature,
        &format!("{head}.{body}"),
        &format!("{token}."),
        &format!("{token}.{signature}"),
        &format!("{head}..{signature}"),
        &format!("{head}.{body}."),
        &format!("{head}.{body}..{signature}"),
        &format!("{token}\""),
        &format!("'{token}'"),
        &format!("{token},"),
        &format!("{head}.{body}.AA.{signature}"),
        &format!("{head}.{body}.{body}.AA.{signature}"),
    ] {
        refused(malformed, Error::Malformed);
    }
    for unknown in [
        &format!(".{token}"),
        &format!(".{body}.{signature}"),
        &format!("Bearer {token}"),
        &format!("\"{token}"),
        &format!(" {token}"),
    ] {
        refused(unknown, Error::UnknownKey);
    }
    refused(format!("{token},{token}"), Error::Malformed);
    let json = format!(r#"{{"protected":"{head}","payload":"{body}","signature":"{signature}"}}"#);
    refused(json, Error::Malformed);
}

#[test]
fn t11_length_is_checked_before_all_else() {
    for length in [MAX_TOKEN_BYTES + 1, 64 << 10, 1 << 20, 16 << 20] {
        refused(vec![b'a'; length], Error::TooLong);
        refused(vec![b'.'; length], Error::TooLong);
    }
    refused(vec![b'a'; MAX_TOKEN_BYTES], Error::Malformed);
    // The longest token that fits, and the shortest that does not.
    let mut padding = String::new();
    let token = loop {
        let token = signed(header(), with("pad", format!("\"{padding}\"")));
        if token.len() + 2 > MAX_TOKEN_BYTES {
            break token;
        }
        padding.push('x');
    };
    assert!((MAX_TOKEN_BYTES - 1..=MAX_TOKEN_BYTES).contains(&token.len()));
    assert_eq!(verify_at(token, NOW), Ok(()));
    refused(signed(header(), with("pad", format!("\"{padding}xx\""))), Error::TooLong);
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

#[test]
fn t16_other_bytes_than_text_are_refused() {
    refused([0xff; 300], Error::Malformed);
    refused([0; 300], Error::Malformed);
    refused("[object Object]", Error::Malformed);
    refused("null", Error::Malformed);
    let wide: Vec<u8> =
        signed(header(), payload()).encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(verify_at(wide, NOW).is_err());
}

/// What no time may be.
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
fn c1_c7_the_tolerance_is_what_the_policy_says() {
    let token = signed(header(), payload());
    for tolerance in [0, 5, 60] {
        let policy = Policy { clock_tolerance: tolerance, ..policy() };
        let verify = |now| jwt::verify(token.as_bytes(), &keys(), &policy, at(now)).map(|_| ());
        let tolerance = i64::from(tolerance);
        assert_eq!(verify(NOW - tolerance - 1), Err(Error::NotYetValid));
        assert_eq!(verify(NOW - tolerance), Ok(()));
        assert_eq!(verify(NOW + 599 + tolerance), Ok(()));
        assert_eq!(verify(NOW + 600 + tolerance), Err(Error::Expired));
        // The clock jumps back: each call has its own time.
        assert_eq!(verify(NOW), Ok(()));
    }
    for day in [-86_400, 86_400] {
        assert!(verify_at(&token, NOW + day).is_err());
    }
    assert_eq!(verify_at(&token, 0), Err(Error::NotYetValid));
}

#[test]
fn c2_nbf_is_checked_when_it_is_there() {
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
fn c3_iat_is_there_and_not_ahead() {
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
fn c6_ids_have_the_shape_of_ids_and_the_rest_its_types() {
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
    // Absent says no more than that.
    let token = signed(header(), without("app_bound"));
    let held = jwt::verify(token.as_bytes(), &keys(), &policy(), at(NOW)).unwrap();
    assert!(!held.claims.app_bound);
    assert_eq!(verify_at(signed(header(), without("preferred_username")), NOW), Ok(()));
}

#[test]
fn c8_the_signature_comes_before_the_claims() {
    let (d, x, kid) = other_key();
    for payload in [with("exp", "1"), with("iss", r#""evil""#), with("sub", "1"), "no".into()] {
        let mut token = signed(header(), payload).into_bytes();
        let at = token.len() - 40;
        token[at] = if token[at] == b'A' { b'B' } else { b'A' };
        refused(token, Error::Signature);
    }
    // Signed by another sound key under our header; and by a key the verifier does not know.
    let signed = format!("{}.{}", b64(header()), b64(payload()));
    let other = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let signature = b64(other.sign(signed.as_bytes()).to_bytes());
    refused(format!("{signed}.{signature}"), Error::Signature);
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

#[test]
fn e3_signatures_are_canonical() {
    let signed = format!("{}.{}", b64(header()), b64(payload()));
    let signature = dalek().sign(signed.as_bytes()).to_bytes();
    let token = |signature: &[u8]| format!("{signed}.{}", b64(signature));
    // S + L, the group's order.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut more = signature;
    let mut carry = 0;
    for (byte, add) in more[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    refused(token(&more), Error::Signature);
    // R of small order: the neutral element, and its other spellings.
    for first in [[1, 0], [0, 0], [0, 0x80], [1, 0x80]] {
        let mut small = signature;
        small[..32].fill(0);
        (small[0], small[31]) = (first[0], first[1]);
        refused(token(&small), Error::Signature);
        small[32..].fill(0);
        refused(token(&small), Error::Signature);
    }
    refused(token(&[0xff; 64]), Error::Signature);
    refused(token(&signature[..63]), Error::Malformed);
    refused(token(&[&signature[..], &[0]].concat()), Error::Malformed);
    let swapped = [&signature[32..], &signature[..32]].concat();
    refused(token(&swapped), Error::Signature);
}

fn jwk(x: &str, kid: &str, more: &str) -> String {
    format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"{kid}"{more}}}"#)
}

fn import(jwks: &[String]) -> Result<(), KeyError> {
    KeySet::from_jwks(format!(r#"{{"keys":[{}]}}"#, jwks.join(",")).as_bytes()).map(|_| ())
}

#[test]
fn e3_e4_public_keys_are_checked_at_import() {
    let (_, other_x, other_kid) = other_key();
    let good = || jwk(X, KID, "");
    assert_eq!(import(&[good(), jwk(&other_x, &other_kid, "")]), Ok(()));
    for more in [
        r#","alg":"EdDSA""#,
        r#","alg":"Ed25519""#,
        r#","use":"sig""#,
        r#","key_ops":["verify"]"#,
        r#","unknown":1"#,
        r#","state":"whatever""#,
    ] {
        assert_eq!(import(&[jwk(X, KID, more)]), Ok(()), "{more}");
    }
    for more in [
        r#","alg":"ES256""#,
        r#","alg":"none""#,
        r#","use":"enc""#,
        r#","key_ops":["encrypt"]"#,
        r#","key_ops":["sign"]"#,
        r#","key_ops":[]"#,
    ] {
        assert_eq!(import(&[jwk(X, KID, more)]), Err(KeyError::NotEd25519), "{more}");
    }
    // T4: one kid, one key.
    assert_eq!(import(&[good(), good()]), Err(KeyError::DuplicateKeyId));
    let namesake = format!(r#"{{"kty":"EC","crv":"P-256","kid":"{KID}"}}"#);
    assert_eq!(import(&[good(), namesake]), Err(KeyError::DuplicateKeyId));
    for member in ["d", "k", "p", "q"] {
        let private = jwk(X, KID, &format!(r#","{member}":"{D}""#));
        assert_eq!(import(&[private]), Err(KeyError::Private), "{member}");
        let foreign = format!(r#"{{"kty":"RSA","{member}":"AA"}}"#);
        assert_eq!(import(&[good(), foreign]), Err(KeyError::Private), "{member}");
    }
    // Keys of other types are passed over, but are not a set by themselves.
    for foreign in [
        format!(r#"{{"kty":"OKP","crv":"X25519","x":"{X}","kid":"other"}}"#),
        format!(r#"{{"kty":"OKP","crv":"ed25519","x":"{X}","kid":"other"}}"#),
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{X}"}}"#),
        format!(r#"{{"kty":"OKP","x":"{X}","kid":"other"}}"#),
    ] {
        assert_eq!(import(&[foreign.clone(), good()]), Ok(()));
        assert_eq!(import(&[foreign]), Err(KeyError::Empty));
    }
    let bytes = unb64(X);
    let small_order = |first: u8, last: u8| {
        let mut point = [0; 32];
        (point[0], point[31]) = (first, last);
        b64(point)
    };
    let mut not_canonical = vec![0xff; 32];
    (not_canonical[0], not_canonical[31]) = (0xee, 0x7f);
    for x in [
        b64(&bytes[..31]),
        b64([&bytes[..], &[0]].concat()),
        format!("{X}="),
        String::new(),
        format!("{X}\\n"),
        X.replace('_', "/"),
        small_order(0, 0),
        small_order(1, 0),
        small_order(0, 0x80),
        small_order(1, 0x80),
        b64(not_canonical),
        b64([2; 32]),
        b64([0xff; 32]),
        respelled(X, 2)[0].clone(),
    ] {
        let refusal = import(&[jwk(&x, &thumbprint(&x), "")]);
        assert_eq!(refusal, Err(KeyError::Unsound), "{x}");
    }
    for kid in ["", "key-1", &other_kid, &KID[..42], &KID.to_lowercase()] {
        assert_eq!(import(&[jwk(X, kid, "")]), Err(KeyError::WrongKeyId), "{kid}");
    }
    let without_kid = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}"}}"#);
    assert_eq!(import(&[without_kid]), Err(KeyError::WrongKeyId));
    let without_x = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{KID}"}}"#);
    assert_eq!(import(&[without_x]), Err(KeyError::Unsound));
    assert_eq!(import(&[]), Err(KeyError::Empty));
    assert_eq!(import(&vec![good(); 101]), Err(KeyError::TooMany));
    for text in [
        "",
        "[]",
        "{}",
        "null",
        r#"{"keys":{}}"#,
        r#"{"keys":[1]}"#,
        r#"{"keys":[{}]}"#,
        r#"{"keys":[],"keys":[]}"#,
        &good(),
        r#"{"keys":[{"kty":1}]}"#,
        "<html>",
        &public_jwks().replace(r#""crv""#, r#""x":"A","crv""#),
    ] {
        let refusal = KeySet::from_jwks(text.as_bytes()).map(|_| ());
        assert_eq!(refusal, Err(KeyError::Malformed), "{text}");
    }
}

#[test]
fn a5_e4_signing_keys_have_one_that_is_active() {
    let (d, x, kid) = other_key();
    let ours = |state: &str| private(D, X, KID, state);
    let other = |state: &str| private(&d, &x, &kid, state);
    let read = |jwks: &[String]| signing_keys(jwks).map(|_| ());
    for jwks in [vec![ours("active"), other("retired")], vec![other("next"), ours("active")]] {
        let keys = signing_keys(&jwks).unwrap();
        assert_eq!(keys.active().public().kid(), KID);
        let public = keys.all().to_jwks();
        assert!(public.contains(KID) && public.contains(&kid), "every state is public");
        assert!(!public.contains(D) && !public.contains(&d) && !public.contains("state"));
        assert!(KeySet::from_jwks(public.as_bytes()).is_ok(), "and can be imported");
    }
    assert_eq!(read(&[ours("next")]), Err(KeyError::NotOneActive));
    assert_eq!(read(&[ours("active"), other("active")]), Err(KeyError::NotOneActive));
    assert_eq!(read(&[ours("active"), ours("retired")]), Err(KeyError::DuplicateKeyId));
    assert_eq!(read(&[ours("Active")]), Err(KeyError::State));
    assert_eq!(read(&[jwk(X, KID, &format!(r#","d":"{D}""#))]), Err(KeyError::State));
    assert_eq!(read(&[]), Err(KeyError::Empty));
    assert_eq!(read(&[private(&d, X, KID, "active")]), Err(KeyError::Unsound));
    assert_eq!(read(&[private(&D[..42], X, KID, "active")]), Err(KeyError::Unsound));
    assert_eq!(read(&[private(&format!("{D}="), X, KID, "active")]), Err(KeyError::Unsound));
    assert_eq!(read(&[private(D, X, &kid, "active")]), Err(KeyError::WrongKeyId));
    assert!(read(&[jwk(X, KID, r#","state":"active""#)]).is_err());
    let wrong = private(D, X, KID, "active").replace("Ed25519", "X25519");
    assert_eq!(read(&[wrong]), Err(KeyError::NotEd25519));
    assert!(matches!(
        SigningKeys::from_jwks(&Secret::new("hunter2".into())),
        Err(KeyError::Malformed)
    ));
}

#[test]
fn t4_a_retired_key_verifies_and_a_removed_one_does_not() {
    let (d, x, kid) = other_key();
    let before = signing_keys(&[private(&d, &x, &kid, "active")]).unwrap();
    let token = sign(&claims(), before.active()).unwrap();
    let during = [private(&d, &x, &kid, "retired"), private(D, X, KID, "active")];
    let during = signing_keys(&during).unwrap();
    let held = jwt::verify(token.as_bytes(), during.all(), &policy(), at(NOW));
    assert!(held.is_ok());
    refused(token, Error::UnknownKey);
}

#[test]
fn a_remembered_token_is_held_against_time_and_policy_each_time() {
    let signing = signing_keys(&[private(D, X, KID, "active")]).unwrap();
    let token = sign(&claims(), signing.active()).unwrap();
    let at_time = |now| signing.verify(token.as_bytes(), &policy(), at(now));
    for _ in 0..2 {
        assert_eq!(at_time(NOW), Ok(claims()));
    }
    assert_eq!(at_time(NOW + 605), Err(Error::Expired));
    assert_eq!(at_time(NOW - 6), Err(Error::NotYetValid));
    let other = Policy { audience: "other".into(), ..policy() };
    assert_eq!(signing.verify(token.as_bytes(), &other, at(NOW)), Err(Error::Audience));
    assert_eq!(at_time(NOW), Ok(claims()), "a refusal forgets nothing");
    // Nor are tokens printed.
    let printed = format!("{signing:?}");
    assert!(!printed.contains("sid-1") && !printed.contains(token.split('.').nth(1).unwrap()));
    // Other keys have another memory.
    let (d, x, kid) = other_key();
    let others = signing_keys(&[private(&d, &x, &kid, "active")]).unwrap();
    assert_eq!(others.verify(token.as_bytes(), &policy(), at(NOW)), Err(Error::UnknownKey));
}

#[test]
fn t9_what_is_like_a_remembered_token_is_verified() {
    let signing = signing_keys(&[private(D, X, KID, "active")]).unwrap();
    let token = sign(&claims(), signing.active()).unwrap().into_bytes();
    assert!(signing.verify(&token, &policy(), at(NOW)).is_ok());
    for index in 0..token.len() {
        let mut changed = token.clone();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        assert!(signing.verify(&changed, &policy(), at(NOW)).is_err(), "{index}");
        let cut = &token[..index];
        assert!(signing.verify(cut, &policy(), at(NOW)).is_err(), "{index}");
    }
    // Many tokens, more than are remembered, each of them with its own claims.
    let many: Vec<_> = (0..6000)
        .map(|number| {
            let sid = Identifier::parse(format!("sid-{number}")).unwrap();
            let claims = Claims { sid, ..claims() };
            (sign(&claims, signing.active()).unwrap(), claims)
        })
        .collect();
    for (token, claims) in many.iter().chain(many.iter().rev()) {
        assert_eq!(signing.verify(token.as_bytes(), &policy(), at(NOW)).as_ref(), Ok(claims));
    }
}

#[test]
fn e3_a_valid_signature_with_r_of_small_order_is_refused() {
    // R is the neutral element and S = k·a: the equation of RFC 8032 holds, for any message.
    let signed = format!("{}.{}", b64(header()), b64(payload()));
    let key = dalek();
    let mut signature = [0; 64];
    signature[0] = 1;
    let public = key.verifying_key();
    let hashed = [&signature[..32], public.as_bytes(), signed.as_bytes()].concat();
    let a = key.to_scalar();
    let one = a * a.invert();
    let mut k = one - one;
    for byte in Sha512::digest(hashed).iter().rev() {
        for bit in (0..8).rev() {
            k = k + k;
            if byte >> bit & 1 == 1 {
                k += one;
            }
        }
    }
    signature[32..].copy_from_slice((k * a).as_bytes());
    let lenient = ed25519_dalek::Signature::from_bytes(&signature);
    assert!(public.verify(signed.as_bytes(), &lenient).is_ok(), "others accept it");
    refused(format!("{signed}.{}", b64(signature)), Error::Signature);
}

// --- Public vectors ------------------------------------------------------------------------------

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The verdicts on a signature: without tables and with them. They must agree.
fn verdict(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (key.try_into(), signature.try_into()) else { return false };
    let Some(plain) = PublicKey::new(key) else { return false };
    let warm = PublicKey::new(key).unwrap();
    warm.warm();
    let verdicts = [plain.verifies(message, signature), warm.verifies(message, signature)];
    assert_eq!(verdicts[0], verdicts[1], "the tables decide otherwise");
    verdicts[0]
}

#[test]
fn e1_wycheproof_agrees_in_every_vector() {
    let text = include_str!("vectors/wycheproof_ed25519_test.json");
    let file: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut count = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let key = hex(group["publicKey"]["pk"].as_str().unwrap());
        for test in group["tests"].as_array().unwrap() {
            let [message, signature] = ["msg", "sig"].map(|name| hex(test[name].as_str().unwrap()));
            let expected = test["result"] == "valid";
            assert_eq!(verdict(&key, &message, &signature), expected, "{test}");
            count += 1;
        }
    }
    assert_eq!(count, 151);
}

#[test]
fn e2_of_the_odd_points_exactly_the_strict_set_is_accepted() {
    let text = include_str!("vectors/cctv_ed25519vectors.json");
    let vectors: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    let mut accepted = 0;
    for vector in &vectors {
        let [key, signature] = ["key", "sig"].map(|name| hex(vector[name].as_str().unwrap()));
        let message = vector["msg"].as_str().unwrap().as_bytes();
        // Components of low order beside one of large order are honest arithmetic; all else is refused.
        let harmless = ["low_order_component_A", "low_order_component_R"];
        let flags = vector["flags"].as_array();
        let expected =
            flags.into_iter().flatten().all(|flag| harmless.contains(&flag.as_str().unwrap()));
        assert_eq!(verdict(&key, message, &signature), expected, "{vector}");
        accepted += u32::from(expected);
    }
    assert_eq!((vectors.len(), accepted), (914, 43));
}

/// `doctor` names the same published keys as the Worker refuses.
#[test]
fn r13_the_published_keys_are_the_same_wherever_they_are_listed() {
    let root = env!("CARGO_MANIFEST_DIR");
    let listed = |path: &str, start: &str| -> Vec<String> {
        let text = std::fs::read_to_string(format!("{root}/{path}")).unwrap();
        let (_, list) = text.split_once(start).unwrap();
        let (list, _) = list.split_once(']').unwrap();
        list.split('"').skip(1).step_by(2).map(ToOwned::to_owned).collect()
    };
    let here = listed("src/jwt/key.rs", "const PUBLISHED: [&str; 6] = [");
    assert_eq!(here.len(), 6);
    assert_eq!(here, listed("pkg/cli/known-keys.mjs", "const PUBLISHED = ["));
}
