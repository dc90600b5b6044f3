//! conformance.json, which verifiers in other languages test themselves with: our verdict on each
//! token and each feed is the file's.

use std::path::Path;

use base64ct::{Base64, Encoding};
use pioneer_session::jwt::{Revocations, Window};
use serde::Deserialize;

use super::{Error, KeySet, Policy, at, jwt};

#[derive(Deserialize)]
struct Conformance {
    settings: Settings,
    jwks: serde_json::Value,
    tokens: Vec<Case>,
    feeds: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    issuer: String,
    audience: String,
    now: i64,
    clock_tolerance: u32,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    verdict: String,
    #[serde(alias = "token", alias = "feed")]
    text: String,
}

#[test]
fn our_verdicts_are_those_of_conformance_json() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pkg/conformance.json");
    let file: Conformance = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let keys = KeySet::from_jwks(file.jwks.to_string().as_bytes()).unwrap();
    let Settings { issuer, audience, now, clock_tolerance } = file.settings;
    let policy = Policy { issuer, audience, clock_tolerance };
    let now = at(now);
    let read = |text: &str| {
        let document = Base64::decode_vec(text).unwrap();
        let (window, fingerprints) = Window::verify(&document, &keys, &policy, now)?;
        let mut revocations = Revocations::default();
        revocations.add(window, fingerprints).map(|()| revocations)
    };
    let current = read(&file.feeds[0].text).unwrap();
    let verify = |text: &str| {
        let verified = jwt::verify(text.as_bytes(), &keys, &policy, now)?;
        if current.revokes(&verified.claims) { Err(Error::Revoked) } else { Ok(()) }
    };
    let word = |found: Result<(), Error>| found.err().map_or("valid", Error::code);
    for Case { name, verdict, text } in &file.tokens {
        assert_eq!(word(verify(text)), verdict, "{name}");
    }
    for Case { name, verdict, text } in &file.feeds {
        assert_eq!(word(read(text).map(drop)), verdict, "{name}");
    }
}
