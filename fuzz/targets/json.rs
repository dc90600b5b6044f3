//! Parses any bytes as JSON. The result must be that of serde_json, except that duplicate names are
//! refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pioneer_session::json::{Error, object, object_text, parse};
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    // serde_json gives this name a meaning; a unit test of `json` covers it.
    if data.windows(8).any(|name| name == b"$serde_j") {
        return;
    }
    let theirs = serde_json::from_slice::<Value>(data).ok();
    let is_object = theirs.as_ref().is_some_and(Value::is_object);
    match parse(data) {
        Ok(value) => {
            assert_eq!(value.read::<Value>().ok(), theirs);
            assert_eq!(object_text(data).is_ok(), is_object);
            assert_eq!(object::<Value>(data).is_ok(), is_object);
        }
        Err(Error::Duplicate) => assert!(object_text(data).is_err()),
        Err(_) => assert_eq!(theirs, None),
    }
});
