//! The issuer of the fuzzed tokens. It has the test key of RFC 8037 A.1 and signs any payload.
#![allow(dead_code, reason = "each target uses its part")]

use std::sync::LazyLock;

use http as _;
use pioneer_session::{
    jwt::{self, KeySet, Policy, SigningKeys, Window},
    secret::Secret,
    time::UnixTime,
};
use serde_json as _;

const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519",
    "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","state":"active"}]}"#;

pub static ISSUER: LazyLock<SigningKeys> =
    LazyLock::new(|| SigningKeys::from_jwks(&Secret::new(KEYS.into())).expect("sound keys"));

pub fn keys() -> &'static KeySet {
    ISSUER.all()
}

pub fn now() -> UnixTime {
    UnixTime::from_seconds(1_760_000_000).expect("a time")
}

pub fn policy() -> Policy {
    Policy { issuer: "https://id.example".into(), audience: "app".into(), clock_tolerance: 5 }
}

/// The encoded header of tokens or of feeds, copied from one that the crate has signed.
fn header_of(text: String) -> String {
    text.split('.').next().unwrap_or_default().to_owned()
}

pub static FEED_HEADER: LazyLock<String> = LazyLock::new(|| {
    let Policy { issuer, audience, .. } = policy();
    let (iat, exp, epoch) = (now(), now().plus(60), UnixTime::MIN);
    let window = Window {
        iss: issuer,
        aud: audience,
        iat,
        exp,
        epoch,
        users: std::collections::BTreeMap::new(),
        from: 0,
        to: 0,
        last_iat: UnixTime::MIN,
        last_exp: UnixTime::MIN,
        sids_sha256: Window::digest(&[]),
    };
    let input = window.signing_input(ISSUER.active()).expect("a small feed");
    header_of(String::from_utf8_lossy(input.as_bytes()).into_owned())
});

pub static TOKEN_HEADER: LazyLock<String> = LazyLock::new(|| {
    let claims = r#"{"iss":"a","aud":"b","sub":"c","sid":"d","iat":1,"exp":2,"auth_time":1,"jti":"e","scope":""}"#;
    let claims: jwt::Claims = serde_json::from_str(claims).expect("claims");
    let input = jwt::signing_input(&claims, ISSUER.active()).expect("a short token");
    header_of(String::from_utf8_lossy(input.as_bytes()).into_owned())
});

/// A token or a feed with this payload and a valid signature.
pub fn signed(header: &str, payload: &[u8]) -> String {
    let input = format!("{header}.{}", base64url(payload));
    let signature = ISSUER.active().sign(input.as_bytes());
    format!("{input}.{}", base64url(&signature))
}

/// RFC 4648 §5 without padding, written independently of the crate.
pub fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..=chunk.len() {
            let digit = bits >> (18 - 6 * place) & 63;
            text.push(char::from(ALPHABET[digit as usize]));
        }
    }
    text
}
