//! Verifies any bytes as a token, and as the payload of a token with a valid signature.
#![no_main]

mod issuer;

use issuer::{ISSUER, TOKEN_HEADER, keys, now, policy, signed};
use libfuzzer_sys::fuzz_target;
use pioneer_session::jwt::{Window, verify};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let policy = policy();
    for token in [data, signed(&TOKEN_HEADER, data).as_bytes()] {
        let verdict = verify(token, keys(), &policy, now());
        // The issuer caches tokens, and must return the same claims for a cached one.
        let again = [0, 1].map(|_| ISSUER.verify(token, &policy, now()).ok());
        assert!(Window::verify(token, keys(), &policy, now()).is_err());
        let Ok(held) = verdict else {
            assert_eq!(again, [None, None]);
            continue;
        };
        assert_eq!(again, [Some(held.claims.clone()), Some(held.claims.clone())]);
        // The token has one spelling, and the claims are those of its payload.
        assert_eq!(signed(&TOKEN_HEADER, &held.payload).as_bytes(), token);
        let Ok(Value::Object(said)) = serde_json::from_slice(&held.payload) else {
            panic!("a payload that is no object");
        };
        let Ok(Value::Object(read)) = serde_json::to_value(&held.claims) else {
            panic!("claims that are no object");
        };
        for (name, value) in &read {
            let is_default = name == "app_bound" && value == false && !said.contains_key(name);
            assert!(is_default || said.get(name) == Some(value), "{name}");
        }
        let seconds = |name: &str| said[name].as_i64().expect("whole seconds");
        assert!((1..=3600).contains(&(seconds("exp") - seconds("iat"))));
        assert!(seconds("exp") + 5 > now().seconds() && seconds("iat") <= now().seconds() + 5);
    }
});
