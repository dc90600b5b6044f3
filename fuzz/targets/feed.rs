//! Verifies any bytes as a revocation feed, and as the payload of a feed with a valid signature.
#![no_main]

mod issuer;

use issuer::{FEED_HEADER, keys, now, policy, signed};
use libfuzzer_sys::fuzz_target;
use pioneer_session::jwt::{Revocations, verify};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let policy = policy();
    for feed in [data, signed(&FEED_HEADER, data).as_bytes()] {
        assert!(verify(feed, keys(), &policy, now()).is_err());
        let Ok(held) = Revocations::verify(feed, keys(), &policy, now()) else { continue };
        assert!(held.sids.is_sorted());
        assert!((1..=300).contains(&held.exp.since(held.iat)));
        if feed == data {
            continue;
        }
        let Ok(Value::Object(said)) = serde_json::from_slice(data) else {
            panic!("a payload that is no object");
        };
        let Ok(Value::Object(read)) = serde_json::to_value(&held) else {
            panic!("a feed that is no object");
        };
        for (name, value) in read.iter().filter(|(name, _)| *name != "sids") {
            assert_eq!(said.get(name), Some(value));
        }
        assert_eq!(said["sids"].as_array().map(Vec::len), Some(held.sids.len()));
    }
});
