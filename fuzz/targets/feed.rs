//! Verifies any bytes as a window of the revocation feed, and as the payload of a window with a
//! valid signature, without fingerprints and with one.
#![no_main]

mod issuer;

use issuer::{FEED_HEADER, keys, now, policy, signed};
use libfuzzer_sys::fuzz_target;
use pioneer_session::jwt::{Revocations, Window, verify};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let policy = policy();
    let token = signed(&FEED_HEADER, data);
    let windows = [b"".as_slice(), b"8 bytes."].map(|bytes| Window::document(token.clone(), bytes));
    for document in [data, &windows[0], &windows[1]] {
        assert!(verify(document, keys(), &policy, now()).is_err());
        let Ok((held, names)) = Window::verify(document, keys(), &policy, now()) else { continue };
        assert!((1..=300).contains(&held.exp.since(held.iat)) && held.from <= held.to);
        let mut known = Revocations::default();
        let is_first = held.from == 0;
        assert_eq!(known.add(held.clone(), names.clone()).is_ok(), is_first);
        assert_eq!(known.position(), if is_first { held.to } else { 0 });
        if document == data {
            continue;
        }
        let Ok(Value::Object(said)) = serde_json::from_slice(data) else {
            panic!("a payload that is no object");
        };
        let Ok(Value::Object(read)) = serde_json::to_value(&held) else {
            panic!("a window that is no object");
        };
        for (name, value) in &read {
            assert_eq!(said.get(name), Some(value));
        }
    }
});
