//! Reads any bytes as a DPoP proof, and two lines as header and claims of one. An accepted proof
//! must have the required claims.
#![no_main]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use http as _;
use libfuzzer_sys::fuzz_target;
use pioneer_session::dpop::Proof;
use serde_json::Value;

const URL: &str = "https://id.example/session/refresh";

fuzz_target!(|data: &[u8]| {
    check(data);
    let mut lines = data.splitn(2, |&byte| byte == b'\n').map(|line| BASE64URL.encode(line));
    let (header, claims) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    check(format!("{header}.{claims}.{}", BASE64URL.encode([7; 64])).as_bytes());
});

fn check(text: &[u8]) {
    let Some(proof) = Proof::read(text, "POST", URL) else { return };
    let mut parts = text.split(|&byte| byte == b'.');
    let mut part = || {
        let bytes = BASE64URL.decode(parts.next().expect("a part")).expect("base64url");
        serde_json::from_slice::<Value>(&bytes).expect("JSON")
    };
    let (header, claims) = (part(), part());
    assert_eq!((&header["typ"], &header["alg"]), (&"dpop+jwt".into(), &"ES256".into()));
    assert_eq!((&claims["htm"], &claims["htu"]), (&"POST".into(), &URL.into()));
    assert!(claims["iat"].is_i64() && claims["jti"] == proof.jti.as_str());
    assert!(header["jwk"].get("d").is_none() && header.get("crit").is_none());
    assert_eq!(header["jwk"]["x"], BASE64URL.encode(&proof.key[1..33]));
    assert_eq!(proof.thumbprint().as_str().len(), 43);
}
