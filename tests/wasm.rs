//! Inside wasm: tokens, and with the feature `npm` the boundary that `pkg/` calls.
//! `wasm-pack test --node -- --features npm` runs all of it.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs)]

use pioneer_session::{
    identifier::Identifier,
    jwt::{self, Claims, SigningKeys},
    secret::Secret,
    time::UnixTime,
};
use wasm_bindgen_test::wasm_bindgen_test;

/// The key of RFC 8037 appendix A.1, named by its thumbprint of A.3.
const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","state":"active",
    "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"}]}"#;

const NOW: i64 = 1_760_000_000;

fn keys() -> SigningKeys {
    SigningKeys::from_jwks(&Secret::new(KEYS.to_owned())).unwrap()
}

fn signed(input: Result<jwt::SigningInput, jwt::Error>) -> String {
    let input = input.unwrap();
    let signature = keys().active().sign(input.as_bytes());
    input.signed(&signature)
}

fn token() -> String {
    let moment = |offset| UnixTime::from_seconds(NOW + offset).unwrap();
    let id = |text: &str| Identifier::parse(text.to_owned()).unwrap();
    let claims = Claims {
        iss: "https://a.example".to_owned(),
        aud: "app".to_owned(),
        sub: id("uid-1"),
        sid: id("sid-1"),
        iat: moment(0),
        exp: moment(600),
        nbf: None,
        auth_time: moment(0),
        jti: id("jti-1"),
        scope: "username".to_owned(),
        preferred_username: Some("Ålice 🙂".to_owned()),
        app_bound: true,
    };
    signed(jwt::signing_input(&claims, keys().active()))
}

#[cfg(feature = "npm")]
fn feed() -> Vec<u8> {
    let moment = |offset| UnixTime::from_seconds(NOW + offset).unwrap();
    let window = jwt::Window {
        iss: "https://a.example".to_owned(),
        aud: "app".to_owned(),
        iat: moment(0),
        exp: moment(300),
        epoch: UnixTime::MIN,
        users: [].into(),
        from: 0,
        to: 7,
        last_iat: UnixTime::MIN,
        last_exp: UnixTime::MIN,
        sids_sha256: jwt::Window::digest(&[]),
    };
    jwt::Window::document(signed(window.signing_input(keys().active())), &[])
}

#[wasm_bindgen_test]
fn signing_and_verifying_agree_inside_wasm() {
    let keys = keys();
    let policy = jwt::Policy {
        issuer: "https://a.example".to_owned(),
        audience: "app".to_owned(),
        clock_tolerance: 5,
    };
    let now = UnixTime::from_seconds(NOW).unwrap();
    let verified = jwt::verify(token().as_bytes(), keys.all(), &policy, now).unwrap();
    assert_eq!(verified.claims.sub.as_str(), "uid-1");
}

/// E1, E2: the public vectors, inside wasm and by both ways of verifying.
#[wasm_bindgen_test]
fn public_vectors_agree_inside_wasm() {
    let hex = |text: &str| -> Vec<u8> {
        let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    };
    let verdict = |key: &[u8], message: &[u8], signature: &[u8]| {
        let (Ok(key), Ok(signature)) = (key.try_into(), signature.try_into()) else { return false };
        let Some(plain) = jwt::PublicKey::new(key) else { return false };
        let plain = plain.verifies(message, signature);
        let warm = jwt::PublicKey::new(key).unwrap();
        warm.warm();
        assert_eq!(warm.verifies(message, signature), plain);
        plain
    };
    let text = include_str!("vectors/wycheproof_ed25519_test.json");
    let file: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut counts = [0, 0];
    for group in file["testGroups"].as_array().unwrap() {
        let key = hex(group["publicKey"]["pk"].as_str().unwrap());
        for test in group["tests"].as_array().unwrap() {
            let [message, signature] = ["msg", "sig"].map(|name| hex(test[name].as_str().unwrap()));
            assert_eq!(verdict(&key, &message, &signature), test["result"] == "valid", "{test}");
            counts[0] += 1;
        }
    }
    let text = include_str!("vectors/cctv_ed25519vectors.json");
    for vector in serde_json::from_str::<Vec<serde_json::Value>>(text).unwrap() {
        let [key, signature] = ["key", "sig"].map(|name| hex(vector[name].as_str().unwrap()));
        counts[1] +=
            u32::from(verdict(&key, vector["msg"].as_str().unwrap().as_bytes(), &signature));
    }
    assert_eq!(counts, [151, 43]);
}

/// The test runner finds tests in public modules only.
#[cfg(feature = "npm")]
pub mod npm {
    use pioneer_session::npm::{RawVerifier, error_codes};
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::{KEYS, feed, keys, token};

    fn verifier(jwks: &str) -> Result<RawVerifier, js_sys::Error> {
        RawVerifier::new("https://a.example".to_owned(), "app".to_owned(), 5, jwks)
    }

    fn code(number: i32) -> String {
        let codes: js_sys::Array = error_codes().unwrap().into();
        codes.get(u32::try_from(-1 - number).unwrap()).as_string().unwrap()
    }

    #[wasm_bindgen_test]
    fn a_token_that_was_not_written_is_rejected_by_its_index() {
        let mut verifier = verifier(&keys().all().to_jwks()).unwrap();
        assert_eq!(code(verifier.verify(0, 0.0)), "token_malformed");
        assert_eq!(code(verifier.verify(4097, 0.0)), "token_too_long");
        assert_eq!(code(verifier.verify(usize::MAX, f64::NAN)), "token_too_long");
    }

    #[wasm_bindgen_test]
    fn a_feed_is_taken_whole_or_not_at_all() {
        let mut verifier = verifier(&keys().all().to_jwks()).unwrap();
        let (sound, now) = (feed(), 1_760_000_000.0);
        let message = |result: Result<f64, js_sys::Error>| {
            String::from(result.expect_err("refused").message())
        };
        let token = format!("{}\n", token());
        assert_eq!(message(verifier.add_revocations(b"", now)), "token_malformed");
        assert_eq!(message(verifier.add_revocations(token.as_bytes(), now)), "unknown_key");
        assert_eq!(message(verifier.add_revocations(&sound, f64::NAN)), "not_yet_valid");
        assert_eq!(message(verifier.add_revocations(&sound, 1e300)), "not_yet_valid");
        assert_eq!(verifier.position().to_bits(), 0.0_f64.to_bits());
        assert_eq!(verifier.add_revocations(&sound, now).unwrap(), now + 300.0);
        assert_eq!(verifier.position().to_bits(), 7.0_f64.to_bits());
    }

    #[wasm_bindgen_test]
    fn unsound_keys_are_errors_with_a_message() {
        let message = |result: Result<RawVerifier, js_sys::Error>| {
            String::from(result.expect_err("refused").message())
        };
        assert!(message(verifier("{}")).contains("JSON Web Keys"));
        assert!(message(verifier(KEYS)).contains("private"));
    }
}
