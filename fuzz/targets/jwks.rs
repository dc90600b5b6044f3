//! Reads any bytes as a key set, public and private. An accepted set must be the same after writing
//! and reading it again.
#![no_main]

use http as _;
use libfuzzer_sys::fuzz_target;
use pioneer_session::{
    jwt::{KeySet, SigningKeys},
    secret::Secret,
};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    if let Ok(keys) = KeySet::from_jwks(data) {
        let text = keys.to_jwks();
        let again = KeySet::from_jwks(text.as_bytes()).expect("its own text");
        assert_eq!(again.to_jwks(), text);
        let said: Value = serde_json::from_slice(data).expect("JSON");
        let said = said["keys"].as_array().expect("a list of keys");
        assert!(said.iter().all(|key| key.get("d").is_none_or(Value::is_null)));
        let written: Value = serde_json::from_str(&text).expect("JSON");
        for key in written["keys"].as_array().expect("a list of keys") {
            assert!(said.iter().any(|said| said["x"] == key["x"] && said["kid"] == key["kid"]));
        }
    }
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(keys) = SigningKeys::from_jwks(&Secret::new(text.to_owned())) {
        let public = keys.all().to_jwks();
        assert!(KeySet::from_jwks(public.as_bytes()).is_ok());
        assert!(public.contains(keys.active().public().kid()));
    }
});
