//! Properties of every parser, tried on generated inputs. No parser panics, and an accepted text
//! has one spelling.
//!
//! Each run draws new inputs; `PROPTEST_RNG_SEED` repeats a run. If a property fails, add the input
//! as a plain test.

mod answer;
mod parser;
mod request;
mod settings;
mod token;
mod value;

use std::{collections::BTreeMap, sync::LazyLock};

use crate::support::*;
use base64ct::{Base64UrlUnpadded, Encoding};
use http::{Request, Response};
use pioneer_session::{
    dpop::Proof,
    identifier::Identifier,
    json::{self, Error},
    jwt::{
        self, Claims, KeySet, MAX_LIFETIME, Policy, Revocations, SigningKey, SigningKeys, Window,
    },
    pi::{self, AccessToken, Amount, Notification, Payments, ServerApiKey, Transport, TxId},
    secret::Secret,
    service::Signer as _,
    session::{RefreshKey, RefreshToken},
    simulator::SERVER_API_KEY,
    time::UnixTime,
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

/// Runs this many cases and writes no file of regressions, because each regression becomes a test.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn identifiers() -> impl Strategy<Value = Identifier> {
    "[A-Za-z0-9_-]{1,128}".prop_map(|text| Identifier::parse(text).unwrap())
}

fn times() -> impl Strategy<Value = UnixTime> {
    (0..=UnixTime::MAX.seconds()).prop_map(|seconds| UnixTime::from_seconds(seconds).unwrap())
}

/// Any text, often with a character that parsers mishandle.
fn texts() -> impl Strategy<Value = String> {
    let odd = select(vec![
        '"',
        '\\',
        '\0',
        '\n',
        '\r',
        '\t',
        ' ',
        ',',
        ';',
        '=',
        '.',
        '/',
        '\u{7f}',
        '\u{80}',
        '\u{a0}',
        '\u{feff}',
        '\u{2028}',
        '\u{fffd}',
        '\u{10ffff}',
        'é',
    ]);
    vec(prop_oneof![any::<char>(), odd, proptest::char::range('!', '~')], 0..24)
        .prop_map(|characters| characters.into_iter().collect())
}

/// A JSON value before it is written.
#[derive(Clone, Debug)]
enum Json {
    /// Written as it is: `null`, `true`, a number.
    Plain(String),
    Text(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

fn numbers() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,21})(\\.[0-9]{1,21})?([eE][+-]?[0-9]{1,2})?"
}

fn jsons() -> impl Strategy<Value = Json> {
    let plain = prop_oneof![
        select(vec!["null", "true", "false"]).prop_map(str::to_owned),
        numbers(),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
    ];
    let leaf = prop_oneof![plain.prop_map(Json::Plain), texts().prop_map(Json::Text)];
    // Few names, so that duplicates happen.
    let name =
        prop_oneof![select(vec!["a", "b", "__proto__", ""]).prop_map(str::to_owned), texts()];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Json::Array),
            vec((name.clone(), inner), 0..6).prop_map(Json::Object),
        ]
    })
}

impl Json {
    /// Writes it, choosing spaces and spellings by the bits of `choice`.
    fn write(&self, choice: &mut u64, text: &mut String) {
        let mut draw = |of: u64| {
            *choice = choice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (*choice >> 33) % of
        };
        const SPACES: [&str; 6] = ["", "", "", " ", "\n\t", "\r "];
        text.push_str(SPACES[usize::try_from(draw(6)).unwrap()]);
        match self {
            Self::Plain(plain) => text.push_str(plain),
            Self::Text(inner) => write_text(inner, draw(4), text),
            Self::Array(elements) => {
                text.push('[');
                for (index, element) in elements.iter().enumerate() {
                    text.push_str(if index == 0 { "" } else { "," });
                    element.write(choice, text);
                }
                text.push(']');
            }
            Self::Object(members) => {
                text.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    text.push_str(if index == 0 { " " } else { "\t,\n" });
                    write_text(name, draw_from(choice, 4), text);
                    text.push(':');
                    value.write(choice, text);
                }
                text.push('}');
            }
        }
        text.push_str(SPACES[usize::try_from(draw_from(choice, 6)).unwrap()]);
    }

    fn to_text(&self, mut choice: u64) -> String {
        let mut text = String::new();
        self.write(&mut choice, &mut text);
        text
    }

    fn has_duplicates(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Text(_) => false,
            Self::Array(elements) => elements.iter().any(Self::has_duplicates),
            Self::Object(members) => {
                let names: BTreeMap<&str, ()> =
                    members.iter().map(|(name, _)| (name.as_str(), ())).collect();
                names.len() < members.len()
                    || members.iter().any(|(_, value)| value.has_duplicates())
            }
        }
    }
}

fn draw_from(choice: &mut u64, of: u64) -> u64 {
    *choice =
        choice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*choice >> 33) % of
}

/// A string literal: every fourth has each of its characters escaped.
fn write_text(inner: &str, spelling: u64, text: &mut String) {
    if spelling > 0 {
        return text.push_str(&serde_json::to_string(inner).unwrap());
    }
    text.push('"');
    for unit in inner.encode_utf16() {
        text.push_str(&format!("\\u{unit:04x}"));
    }
    text.push('"');
}

/// serde_json itself, which keeps the last of two members with the same name.
fn oracle(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok()
}

fn theirs_is_object(text: &[u8]) -> bool {
    oracle(text).is_some_and(|value| value.is_object())
}

/// The members as an object, rotated by so many places.
fn rotated(members: &[(&str, String)], by: usize) -> String {
    let mut members: Vec<String> =
        members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let count = members.len().max(1);
    members.rotate_left(by % count);
    format!("{{{}}}", members.join(","))
}
