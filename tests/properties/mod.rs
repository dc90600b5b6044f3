//! Properties of every parser, tried on generated inputs. No parser panics, and an accepted text has one spelling.
//!
//! Each run draws new inputs; `PROPTEST_RNG_SEED` repeats a run. If a property fails, add the input as a plain test.
#![cfg(all(feature = "simulator", not(target_arch = "wasm32")))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::{collections::BTreeMap, sync::LazyLock};

use base64ct::{Base64UrlUnpadded, Encoding};
use http::{Request, Response};
use pioneer_session::{
    dpop::Proof,
    identifier::Identifier,
    json::{self, Error},
    jwt::{self, Claims, KeySet, MAX_LIFETIME, Policy, Revocations, SigningKey, SigningKeys},
    pi::{self, AccessToken, Amount, Notification, Payments, ServerApiKey, Transport, TxId},
    secret::Secret,
    service::Signer as _,
    session::{RefreshKey, RefreshToken},
    simulator::SERVER_API_KEY,
    time::UnixTime,
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};
use support::*;

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

// --- JSON ----------------------------------------------------------------------------------------

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

proptest! {
    #![proptest_config(cases(384))]

    #[test]
    fn t8_json_is_read_as_serde_json_reads_it_unless_a_name_occurs_twice(tree in jsons(), choice: u64) {
        let text = tree.to_text(choice);
        let expected = oracle(text.as_bytes());
        match json::parse(text.as_bytes()) {
            Ok(value) => {
                prop_assert!(!tree.has_duplicates(), "{}", text);
                prop_assert_eq!(value.read::<Value>().ok(), expected);
            }
            Err(Error::Duplicate) => prop_assert!(tree.has_duplicates(), "{}", text),
            // A number beyond a double.
            Err(_) => prop_assert_eq!(expected, None),
        }
    }

    #[test]
    fn t12_a_damaged_json_text_is_accepted_only_where_serde_json_accepts_it(
        tree in jsons(), choice: u64, at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
    ) {
        let mut bytes = tree.to_text(choice).into_bytes();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        for text in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            let (ours, theirs) = (json::parse(text), oracle(text));
            match ours {
                Ok(value) => prop_assert_eq!(value.read::<Value>().ok(), theirs),
                Err(Error::Malformed) => prop_assert_eq!(theirs, None),
                Err(_) => {}
            }
            let is_object = json::parse(text).is_ok() && theirs_is_object(text);
            prop_assert_eq!(json::object_text(text).is_ok(), is_object);
            prop_assert_eq!(json::object::<BTreeMap<String, Value>>(text).is_ok(), is_object);
        }
    }

    #[test]
    fn json_of_any_depth_is_read_or_refused_as_by_serde_json(depth in 0_usize..400, kind in 0..3) {
        let (open, close) = [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")][usize::try_from(kind).unwrap()];
        let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        prop_assert_eq!(json::parse(text.as_bytes()).is_ok(), oracle(text.as_bytes()).is_some());
    }

    #[test]
    fn the_text_of_a_member_is_the_text_that_was_written(
        before in vec(("[a-z]{1,3}", numbers()), 0..4), number in numbers(), escaped: bool,
    ) {
        let name = if escaped { "\\u0061mount" } else { "amount" };
        let mut members: Vec<String> =
            before.iter().enumerate().map(|(i, (name, value))| format!("\"{name}{i}\":{value}")).collect();
        members.push(format!("\"{name}\" : {number} "));
        members.rotate_right(before.len() / 2);
        let text = format!("{{{}}}", members.join(","));
        prop_assert_eq!(json::text_of(text.as_bytes(), "amount"), Some(number.as_str()));
        prop_assert_eq!(json::text_of(text.as_bytes(), "other"), None);
    }

    #[test]
    fn the_text_of_an_object_is_what_stands_between_the_spaces(tree in jsons(), choice: u64) {
        let text = tree.to_text(choice);
        if let Ok(object) = json::object_text(text.as_bytes()) {
            prop_assert_eq!(object, text.trim());
            prop_assert_eq!(json::parse(object.as_bytes()), json::parse(text.as_bytes()));
        }
    }
}

fn theirs_is_object(text: &[u8]) -> bool {
    oracle(text).is_some_and(|value| value.is_object())
}

// --- Identifiers, times, amounts -----------------------------------------------------------------

/// Year, month and day of a day since 1970, computed differently than in the crate (Hinnant, "chrono-compatible low-level
/// date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Reads the stroops from the text of a JSON number, digit by digit. Returns `None` for a fraction of a stroop.
fn stroops(text: &str) -> Option<String> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let shift = exponent.parse::<i64>().unwrap() + 7 - i64::try_from(fraction.len()).unwrap();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some("0".into());
    }
    if shift >= 0 {
        return Some(format!("{digits}{}", "0".repeat(usize::try_from(shift).unwrap())));
    }
    let cut = digits.len().checked_sub(usize::try_from(-shift).unwrap())?;
    let (kept, lost) = digits.split_at(cut);
    (!kept.is_empty() && lost.bytes().all(|digit| digit == b'0')).then(|| kept.to_owned())
}

proptest! {
    #![proptest_config(cases(384))]

    #[test]
    fn i6_an_identifier_is_its_text_and_has_one_spelling(text in prop_oneof![texts(), "[A-Za-z0-9_-]{0,140}"]) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let fits = (1..=128).contains(&text.len()) && text.bytes().all(plain);
        let found = Identifier::parse(text.clone());
        prop_assert_eq!(found.is_some(), fits);
        if let Some(found) = found {
            prop_assert_eq!(found.as_str(), &text);
            prop_assert_eq!(found.to_string(), text);
            let written = serde_json::to_vec(&found).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Identifier>(&written).unwrap(), found);
        }
    }

    #[test]
    fn a_time_is_written_as_its_calendar_says(seconds: i64, inside in times(), step: u32) {
        let in_range = (0..=UnixTime::MAX.seconds()).contains(&seconds);
        prop_assert_eq!(UnixTime::from_seconds(seconds).is_some(), in_range);
        let (days, rest) = (inside.seconds().div_euclid(86_400), inside.seconds().rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        let expected = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
        prop_assert_eq!(inside.to_rfc3339(), expected);
        prop_assert!(inside.plus(step) >= inside && inside.minus(step) <= inside);
        if inside.plus(step) < UnixTime::MAX {
            prop_assert_eq!(inside.plus(step).since(inside), i64::from(step));
        }
    }

    #[test]
    fn only_a_plain_integer_is_a_time(text in prop_oneof![numbers(), texts().prop_map(|text| json!(text).to_string())]) {
        let read = serde_json::from_str::<UnixTime>(&text).ok();
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let expected = text.parse().ok().filter(|_| is_plain).and_then(UnixTime::from_seconds);
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn an_amount_that_is_written_parses_back(stroops in 0_u64..1 << 53, zeros in 0_usize..12) {
        let amount = Amount::from_stroops(stroops);
        let text = amount.to_string();
        prop_assert_eq!(Amount::parse(&text), Some(amount));
        let point = if text.contains('.') { "" } else { "." };
        let longer = format!("{text}{point}0{}", "0".repeat(zeros));
        prop_assert_eq!(Amount::parse(&longer), Some(amount));
        prop_assert_eq!(Amount::parse(&format!("{stroops}e-7")), Some(amount));
        prop_assert_eq!(Amount::parse(&format!("{stroops}000E-10")), Some(amount));
    }

    #[test]
    fn the_amount_in_a_json_number_is_exact_or_none(number in numbers()) {
        let found = Amount::parse(&number).map(|amount| amount.stroops().to_string());
        let exact = if number.starts_with('-') { None } else { stroops(&number) };
        let exact = exact.filter(|digits| digits.parse::<u64>().is_ok_and(|stroops| stroops < 1 << 53));
        match found {
            Some(found) => prop_assert_eq!(Some(found), exact),
            // A number with many digits or an exponent may be refused although it is an amount.
            None => prop_assert!(exact.is_none() || number.len() > 20 || number.contains(['e', 'E']), "{}", number),
        }
    }

    #[test]
    fn any_text_is_an_amount_in_its_own_spelling_or_none(text in prop_oneof![texts(), "[0-9.eE+-]{0,48}"]) {
        if let Some(amount) = Amount::parse(&text) {
            prop_assert_eq!(Amount::parse(&amount.to_string()), Some(amount));
        }
    }

    #[test]
    fn a_transaction_id_and_an_access_token_have_one_spelling(text in prop_oneof![texts(), "[0-9a-fA-F]{64}", "[A-Za-z0-9._~+/=-]{0,40}"]) {
        if let Some(txid) = TxId::parse(&text) {
            prop_assert_eq!(txid.as_str(), text.to_ascii_lowercase());
            prop_assert_eq!(TxId::parse(txid.as_str()), Some(txid));
        }
        let is_token = AccessToken::parse(Secret::new(text.clone())).is_some();
        let plain = text.trim_end_matches('=');
        let fits = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
        prop_assert_eq!(is_token, fits);
    }
}

// --- Answers of Pi -------------------------------------------------------------------------------

/// Pi, with one answer to everything.
struct Answering(u16, Vec<u8>);

impl Transport for Answering {
    async fn send(&self, _: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, pi::Unreachable> {
        let response =
            Response::builder().status(self.0).header("content-type", "application/json");
        Ok(response.body(self.1.clone()).unwrap())
    }
}

fn api_key() -> ServerApiKey {
    ServerApiKey::new(Secret::new(SERVER_API_KEY.into())).unwrap()
}

fn id(text: &str) -> Identifier {
    Identifier::parse(text.into()).unwrap()
}

/// Reads payment-1 from a Pi that gives this answer to every request.
fn payment_of(status: u16, body: &[u8]) -> Result<pi::Payment, pi::Error> {
    let (transport, key) = (Answering(status, body.to_vec()), api_key());
    let payments = Payments { transport: &transport, base: "https://pi.example", key: &key };
    block_on(payments.get(&id("payment-1")))
}

fn me_of(body: &[u8]) -> Result<pi::User, pi::Error> {
    let token = AccessToken::parse(Secret::new("some-token".into())).unwrap();
    let now = UnixTime::from_seconds(NOW).unwrap();
    block_on(pi::me(&Answering(200, body.to_vec()), "https://pi.example", &token, || now))
}

fn ad_of(status: u16, body: &[u8]) -> Result<bool, pi::Error> {
    let transport = Answering(status, body.to_vec());
    block_on(pi::is_ad_granted(&transport, "https://pi.example", &api_key(), &id("ad-1")))
}

fn notified_by(status: u16, body: &[u8]) -> Result<Vec<Identifier>, pi::Error> {
    let notification = Notification {
        title: "title".into(),
        body: "body".into(),
        user_uid: id("uid-1"),
        subroute: "/".into(),
    };
    let transport = Answering(status, body.to_vec());
    block_on(pi::notify(&transport, "https://pi.example", &api_key(), &[notification]))
}

/// The members as an object, rotated by so many places.
fn rotated(members: &[(&str, String)], by: usize) -> String {
    let mut members: Vec<String> =
        members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let count = members.len().max(1);
    members.rotate_left(by % count);
    format!("{{{}}}", members.join(","))
}

/// A PaymentDTO, and the payment in it.
fn payment_dtos() -> impl Strategy<Value = (Vec<(&'static str, String)>, pi::Payment)> {
    let flags = (any::<[Option<bool>; 4]>(), any::<Option<bool>>());
    let transaction = prop::option::of(("[0-9a-f]{64}", any::<Option<bool>>()));
    let order = prop::option::of(identifiers());
    (identifiers(), 0_u64..1 << 53, order, flags, transaction, texts()).prop_map(
        |(
            uid,
            stroops,
            order_id,
            ([approved, completed, cancelled, by_user], outgoing),
            transaction,
            more,
        )| {
            let amount = Amount::from_stroops(stroops);
            let direction = outgoing.map(|out| if out { "user_to_app" } else { "app_to_user" });
            let metadata = order_id.as_ref().map(|id| json!({ "orderId": id, "more": more }));
            let status = json!({
                "developer_approved": approved, "developer_completed": completed,
                "cancelled": cancelled, "user_cancelled": by_user, "transaction_verified": true,
            });
            let dto = transaction
                .as_ref()
                .map(|(txid, verified)| json!({ "txid": txid, "verified": verified }));
            let members = vec![
                ("identifier", json!("payment-1").to_string()),
                ("user_uid", json!(uid).to_string()),
                ("amount", amount.to_string()),
                ("memo", json!(more).to_string()),
                ("metadata", json!(metadata).to_string()),
                ("direction", json!(direction).to_string()),
                ("network", json!("Pi Testnet").to_string()),
                ("status", status.to_string()),
                ("transaction", json!(dto).to_string()),
                ("__proto__", "{}".to_owned()),
            ];
            let is = |flag: Option<bool>| flag == Some(true);
            let payment = pi::Payment {
                id: id("payment-1"),
                uid,
                amount,
                order_id,
                is_user_to_app: outgoing,
                network: Some("Pi Testnet".into()),
                is_approved: is(approved),
                is_completed: is(completed),
                is_cancelled: is(cancelled) || is(by_user),
                transaction: transaction.map(|(txid, verified)| pi::Transaction {
                    txid: TxId::parse(&txid).unwrap(),
                    is_verified: is(verified),
                }),
            };
            (members, payment)
        },
    )
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn a_payment_is_what_its_members_say_in_any_order((members, expected) in payment_dtos(), by: usize, twice: prop::sample::Index) {
        let text = rotated(&members, by);
        prop_assert_eq!(payment_of(200, text.as_bytes()), Ok(expected));
        let mut doubled = members.clone();
        doubled.push(members[twice.index(members.len())].clone());
        prop_assert!(payment_of(200, rotated(&doubled, by).as_bytes()).is_err());
    }

    #[test]
    fn a_damaged_answer_about_a_payment_is_refused_or_is_of_this_payment(
        (members, _) in payment_dtos(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
    ) {
        let mut bytes = rotated(&members, 0).into_bytes();
        prop_assert!(payment_of(200, &bytes[..cut.index(bytes.len())]).is_err(), "it breaks off");
        let index = at.index(bytes.len());
        bytes[index] = byte;
        if let Ok(payment) = payment_of(200, &bytes) {
            prop_assert_eq!(payment.id, id("payment-1"));
            prop_assert!(oracle(String::from_utf8_lossy(&bytes).as_bytes()).is_some());
        }
    }

    #[test]
    fn a_name_in_any_code_units_lets_its_owner_in(
        units in vec(prop_oneof![any::<u16>(), 0xD800_u16..0xE000, 0x20_u16..0x7F], 0..24),
    ) {
        let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
        let user = me_of(format!(r#"{{"uid":"u","username":"{escaped}"}}"#).as_bytes()).unwrap();
        let is_shown = |name: &String| name.len() <= 128 && !name.chars().any(|c| c.is_control() || c == '\u{fffd}');
        let expected = String::from_utf16(&units).ok().filter(is_shown);
        prop_assert_eq!((user.is_curtailed, &user.username), (expected.is_none(), &expected));
    }

    #[test]
    fn any_json_is_an_answer_of_pi_or_refused(tree in jsons(), choice: u64, status in select(vec![200_u16, 201, 400, 401, 403, 404, 409, 422, 429, 500, 503])) {
        let body = tree.to_text(choice);
        let body = body.as_bytes();
        // No value of this grammar has all required members.
        prop_assert!(payment_of(status, body).is_err());
        prop_assert!(me_of(body).is_err());
        prop_assert!(ad_of(status, body).is_err());
        prop_assert!(notified_by(status, body).is_err());
    }

    #[test]
    fn a_user_is_what_the_members_say_in_any_order(
        uid in identifiers(), username in prop::option::of("[a-z0-9_é]{0,40}"), scopes in vec("[!#-\\[\\]-~]{1,32}", 0..32),
        later in 1_i64..1_000_000_000, fraction: bool, number: bool, by: usize, at: prop::sample::Index, byte: u8,
    ) {
        let until = format!("{}{}", NOW + later, if fraction { ".5" } else { "" });
        let credentials = format!("{{\"scopes\":{},\"valid_until\":{{\"timestamp\":{until},\"iso8601\":\"?\"}}}}", json!(scopes));
        let app_id = if number { "17" } else { "\"17\"" };
        let members = [
            ("uid", json!(uid).to_string()),
            ("username", json!(username).to_string()),
            ("credentials", credentials),
            ("app_id", app_id.to_owned()),
            ("roles", "[]".to_owned()),
        ];
        let text = rotated(&members, by);
        let expected = pi::User { uid, username, scopes, is_curtailed: false, app_id: Some("17".into()) };
        prop_assert_eq!(me_of(text.as_bytes()), Ok(expected));
        let mut bytes = text.into_bytes();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        prop_assert!(me_of(&bytes).is_err() || oracle(String::from_utf8_lossy(&bytes).as_bytes()).is_some());
    }

    #[test]
    fn a_refusal_is_pis_code_or_nothing(text in prop_oneof![texts(), "[a-z0-9_]{1,70}", Just(SERVER_API_KEY.to_owned())], status in select(vec![400_u16, 401, 403, 409, 422])) {
        let body = json!({ "error": text, "error_message": text }).to_string();
        let is_code = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit());
        match payment_of(status, body.as_bytes()) {
            Err(pi::Error::Declined(Some(code))) => {
                prop_assert!(is_code);
                prop_assert_eq!(code.as_str(), &text);
            }
            Err(pi::Error::Declined(None) | pi::Error::KeyRefused) => prop_assert!(!is_code, "{}", text),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn an_ad_is_granted_by_one_word_only(said in prop_oneof![prop::option::of(texts()), Just(Some("granted".to_owned()))], other in identifiers()) {
        let body = |id: &str| json!({ "identifier": id, "mediator_ack_status": said, "mediator_granted_at": null }).to_string();
        prop_assert_eq!(ad_of(200, body("ad-1").as_bytes()), Ok(said.as_deref() == Some("granted")));
        if other.as_str() != "ad-1" {
            prop_assert!(ad_of(200, body(other.as_str()).as_bytes()).is_err());
        }
    }

    #[test]
    fn notifications_reached_the_users_that_are_named(uids in vec(identifiers(), 0..8), more in jsons(), choice: u64, damaged in vec(texts(), 1..3)) {
        let delivered = |uids: Vec<Value>| {
            let each: Vec<Value> = uids.iter().map(|uid| json!({ "user_uid": uid, "title": "t" })).collect();
            format!("{{\"more\":{},\"delivered_notifications\":{}}}", more.to_text(choice), json!(each))
        };
        let answer = delivered(uids.iter().map(|uid| json!(uid)).collect());
        if more.has_duplicates() || oracle(answer.as_bytes()).is_none() {
            prop_assert!(notified_by(200, answer.as_bytes()).is_err());
        } else {
            prop_assert_eq!(notified_by(200, answer.as_bytes()), Ok(uids));
        }
        let is_sound = damaged.iter().all(|text| Identifier::parse(text.clone()).is_some());
        let plain = json!({ "delivered_notifications": damaged.iter().map(|uid| json!({ "user_uid": uid })).collect::<Vec<_>>() });
        prop_assert_eq!(notified_by(200, plain.to_string().as_bytes()).is_ok(), is_sound);
    }
}

// --- Tokens, feeds, keys -------------------------------------------------------------------------

static KEYS_OF_ISSUER: LazyLock<SigningKeys> =
    LazyLock::new(|| SigningKeys::from_jwks(&Secret::new(KEYS.into())).unwrap());

fn key() -> &'static SigningKey {
    KEYS_OF_ISSUER.active()
}

fn public() -> KeySet {
    KEYS_OF_ISSUER.all().clone()
}

fn policy() -> Policy {
    Policy { issuer: "https://id.example".into(), audience: "app".into(), clock_tolerance: 5 }
}

fn claim_sets() -> impl Strategy<Value = Claims> {
    let ids = (identifiers(), identifiers(), identifiers());
    let moments = (0..=UnixTime::MAX.seconds() - 3600, 1..=MAX_LIFETIME, times());
    (ids, moments, "[a-z ]{0,60}", prop::option::of("\\PC{0,40}"), any::<bool>()).prop_map(
        |((sub, sid, jti), (iat, lifetime, auth_time), scope, preferred_username, app_bound)| {
            let iat = UnixTime::from_seconds(iat).unwrap();
            Claims {
                iss: "https://id.example".into(),
                aud: "app".into(),
                sub,
                sid,
                iat,
                exp: iat.plus(lifetime),
                nbf: None,
                auth_time,
                jti,
                scope,
                preferred_username,
                app_bound,
            }
        },
    )
}

fn signed(payload: &str, header: &str) -> String {
    let input = format!("{header}.{}", Base64UrlUnpadded::encode_string(payload.as_bytes()));
    let signature = key().sign(input.as_bytes());
    format!("{input}.{}", Base64UrlUnpadded::encode_string(&signature))
}

/// The header in a token or a feed of ours.
fn header_of(token: &str) -> &str {
    token.split('.').next().unwrap()
}

fn token_of(claims: &Claims) -> String {
    let input = jwt::signing_input(claims, key()).unwrap();
    let signature = key().sign(input.as_bytes());
    input.signed(&signature)
}

fn feed_of(feed: &Revocations) -> String {
    let input = feed.signing_input(key()).unwrap();
    let signature = key().sign(input.as_bytes());
    input.signed(&signature)
}

/// Other spellings of the same token. A verifier must refuse all of them.
fn respelled(token: &str) -> Vec<String> {
    let standard = token.replace('-', "+").replace('_', "/");
    let parts: Vec<&str> = token.split('.').collect();
    let last_bits = |part: &str| {
        // The next character of the alphabet has the same leading bits where the last ones are unused.
        let mut part = part.to_owned();
        let last = part.pop().unwrap();
        part.push(char::from(u8::try_from(u32::from(last)).unwrap() ^ 1));
        part
    };
    vec![
        standard,
        format!("{token}="),
        format!("{token}=="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}=.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], last_bits(parts[2])),
        format!("{}.{}.{}", parts[0], last_bits(parts[1]), parts[2]),
        format!("{}.{}.{}", parts[1], parts[0], parts[2]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
    ]
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn a_token_says_its_claims_and_another_spelling_of_it_says_nothing(
        claims in claim_sets(), at: prop::sample::Index, byte: u8, bit in 0..8_u32,
    ) {
        let token = token_of(&claims);
        let (now, keys, policy) = (claims.iat, public(), policy());
        let held = jwt::verify(token.as_bytes(), &keys, &policy, now).unwrap();
        prop_assert_eq!(&held.claims, &claims);
        prop_assert_eq!(signed(core::str::from_utf8(&held.payload).unwrap(), header_of(&token)), token.clone());

        let index = at.index(token.len());
        for changed in [byte, token.as_bytes()[index] ^ (1 << bit)] {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = changed;
            let verdict = jwt::verify(&bytes, &keys, &policy, now);
            prop_assert!(verdict.is_err() || bytes == token.as_bytes());
            prop_assert!(Revocations::verify(&bytes, &keys, &policy, now).is_err());
        }
        for other in respelled(&token) {
            prop_assert!(other == token || jwt::verify(other.as_bytes(), &keys, &policy, now).is_err(), "{}", other);
            // The issuer remembers the token, and no other spelling of it.
            prop_assert!(KEYS_OF_ISSUER.verify(token.as_bytes(), &policy, now).is_ok());
            prop_assert!(other == token || KEYS_OF_ISSUER.verify(other.as_bytes(), &policy, now).is_err());
        }
    }

    #[test]
    fn any_bytes_are_no_token(bytes in prop_oneof![vec(any::<u8>(), 0..4100), "[A-Za-z0-9_.-]{0,400}".prop_map(String::into_bytes)]) {
        let now = UnixTime::from_seconds(NOW).unwrap();
        prop_assert!(jwt::verify(&bytes, &public(), &policy(), now).is_err());
        prop_assert!(Revocations::verify(&bytes, &public(), &policy(), now).is_err());
        prop_assert!(KeySet::from_jwks(&bytes).is_err());
    }

    #[test]
    fn the_order_of_claims_does_not_matter_and_one_that_occurs_twice_is_refused(claims in claim_sets(), by: usize, more in jsons(), choice: u64) {
        let token = token_of(&claims);
        let Value::Object(members) = serde_json::to_value(&claims).unwrap() else { unreachable!() };
        let mut members: Vec<(&str, String)> = members.iter().map(|(name, value)| (name.as_str(), value.to_string())).collect();
        members.push(("more", more.to_text(choice)));
        let payload = rotated(&members, by);
        let verdict = |payload: &str| jwt::verify(signed(payload, header_of(&token)).as_bytes(), &public(), &policy(), claims.iat);
        let is_sound = !more.has_duplicates() && oracle(payload.as_bytes()).is_some();
        let fits = signed(&payload, header_of(&token)).len() <= jwt::MAX_TOKEN_BYTES;
        match verdict(&payload) {
            Ok(held) => {
                prop_assert!(is_sound && fits);
                prop_assert_eq!(&held.claims, &claims);
            }
            Err(error) => prop_assert!(!is_sound || !fits, "{:?}", error),
        }
        members.push(members[by % members.len()].clone());
        prop_assert!(verdict(&rotated(&members, by)).is_err());
    }

    #[test]
    fn t9_a_claim_of_another_type_is_never_a_default(claims in claim_sets(), name in select(vec!["iss", "aud", "sub", "sid", "iat", "exp", "nbf", "auth_time", "jti", "scope", "preferred_username", "app_bound"]), value in jsons(), choice: u64) {
        let token = token_of(&claims);
        let Value::Object(members) = serde_json::to_value(&claims).unwrap() else { unreachable!() };
        let text = value.to_text(choice);
        let mut members: Vec<(&str, String)> = members
            .iter()
            .filter(|(other, _)| *other != name)
            .map(|(name, value)| (name.as_str(), value.to_string()))
            .collect();
        members.push((name, text.clone()));
        let token = signed(&rotated(&members, 0), header_of(&token));
        let Ok(held) = jwt::verify(token.as_bytes(), &public(), &policy(), claims.iat) else { return Ok(()) };
        // An accepted claim must have exactly the value that was written.
        let Value::Object(mut written) = serde_json::to_value(&held.claims).unwrap() else { unreachable!() };
        if name != "nbf" {
            prop_assert_eq!(written.remove(name), oracle(text.as_bytes()));
        }
    }

    #[test]
    fn a_feed_says_what_was_signed_and_no_changed_one_holds(
        sids in vec(identifiers(), 0..6), users in prop::collection::btree_map(identifiers(), times(), 0..6),
        (iat, epoch) in (0..=UnixTime::MAX.seconds() - 3600, times()), lifetime in 1..=jwt::FEED_LIFETIME,
        at: prop::sample::Index, byte: u8, claims in claim_sets(),
    ) {
        let iat = UnixTime::from_seconds(iat).unwrap();
        let policy = policy();
        let mut feed = Revocations { iss: policy.issuer.clone(), aud: policy.audience.clone(), iat, exp: iat.plus(lifetime), epoch, sids, users };
        let text = feed_of(&feed);
        feed.sids.sort_unstable();
        let held = Revocations::verify(text.as_bytes(), &public(), &policy, iat).unwrap();
        prop_assert_eq!(&held, &feed);
        prop_assert!(jwt::verify(text.as_bytes(), &public(), &policy, iat).is_err());
        let expected = claims.iat < feed.epoch
            || feed.users.get(&claims.sub).is_some_and(|since| claims.iat < *since)
            || feed.sids.contains(&claims.sid);
        prop_assert_eq!(held.revokes(&claims), expected);

        let mut bytes = text.clone().into_bytes();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        prop_assert!(bytes == text.as_bytes() || Revocations::verify(&bytes, &public(), &policy, iat).is_err());
        for other in respelled(&text) {
            prop_assert!(other == text || Revocations::verify(other.as_bytes(), &public(), &policy, iat).is_err());
        }
    }

    #[test]
    fn a_set_of_keys_is_the_same_in_any_order_and_a_changed_one_is_refused_or_the_same(by: usize, seed: [u8; 32], at: prop::sample::Index, byte: u8) {
        let other = ed25519_dalek::SigningKey::from_bytes(&seed);
        let x = Base64UrlUnpadded::encode_string(other.verifying_key().as_bytes());
        let members = |kid: &str| [
            ("kty", json!("OKP").to_string()), ("crv", json!("Ed25519").to_string()), ("x", json!(x).to_string()),
            ("kid", json!(kid).to_string()), ("alg", json!("EdDSA").to_string()), ("use", json!("sig").to_string()),
        ];
        let thumbprint = {
            use sha2::{Digest, Sha256};
            Base64UrlUnpadded::encode_string(&Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)))
        };
        let set = |by: usize| format!("{{\"keys\":[{}]}}", rotated(&members(&thumbprint), by));
        let keys = KeySet::from_jwks(set(0).as_bytes()).unwrap();
        prop_assert_eq!(KeySet::from_jwks(set(by).as_bytes()).unwrap().to_jwks(), keys.to_jwks());
        prop_assert_eq!(KeySet::from_jwks(keys.to_jwks().as_bytes()).unwrap().to_jwks(), keys.to_jwks());
        let mut bytes = set(by).into_bytes();
        let index = at.index(bytes.len());
        bytes[index] = byte;
        if let Ok(changed) = KeySet::from_jwks(&bytes) {
            prop_assert_eq!(changed.to_jwks(), keys.to_jwks());
        }
    }

    #[test]
    fn s6_a_refresh_token_says_whose_it_is_and_no_changed_one_holds(sid in identifiers(), refreshes: u32, at: prop::sample::Index, byte in 0_u8..128, secret: [u8; 32]) {
        let ours = RefreshKey::read(&Secret::new(REFRESH_SECRET.into())).unwrap();
        let token = RefreshToken { sid, refreshes };
        let text = ours.issue(&token);
        prop_assert_eq!(ours.accept(&Secret::new(text.clone())), Some(token));
        let mut changed = text.clone().into_bytes();
        let index = at.index(changed.len());
        changed[index] = byte;
        let changed = String::from_utf8(changed).unwrap();
        prop_assert!(changed == text || ours.accept(&Secret::new(changed)).is_none());
        prop_assert!(ours.accept(&Secret::new(text[..index].to_owned())).is_none());
        if let Some(theirs) = RefreshKey::read(&Secret::new(Base64UrlUnpadded::encode_string(&secret))) {
            prop_assert!(theirs.accept(&Secret::new(text)).is_none());
        }
    }

    #[test]
    fn s3_a_proof_is_what_was_signed_and_no_changed_one_is_accepted(seed in 1_u8..=254, iat in -10_000_000_000_i64..10_000_000_000, at: prop::sample::Index, byte in 0_u8..128) {
        let key = BrowserKey::new(seed);
        let text = key.proof(iat);
        let url = "https://id.example/session/refresh";
        let proof = Proof::read(text.as_bytes(), "POST", url).unwrap();
        prop_assert_eq!(proof.thumbprint().as_str(), key.thumbprint());
        let app = test_app();
        let holds = |proof: &Proof<'_>| block_on(app.signer.verifies(&proof.key, proof.signed, &proof.signature));
        prop_assert_eq!(holds(&proof), Some(true));
        let mut changed = text.clone().into_bytes();
        let index = at.index(changed.len());
        changed[index] = byte;
        if changed != text.as_bytes() && let Some(other) = Proof::read(&changed, "POST", url) {
            prop_assert!(holds(&other) == Some(false));
        }
    }

    #[test]
    fn any_text_is_no_proof(text in prop_oneof![texts(), "[A-Za-z0-9_.-]{0,200}"], header in texts(), claims in texts()) {
        let url = "https://id.example/session/refresh";
        prop_assert!(Proof::read(text.as_bytes(), "POST", url).is_none());
        let text = [header, claims].map(|part| base64url(part.as_bytes())).join(".") + "." + &base64url(&[7; 64]);
        prop_assert!(Proof::read(text.as_bytes(), "POST", url).is_none());
    }

    #[test]
    fn any_text_is_no_refresh_token(text in prop_oneof![texts(), "[A-Za-z0-9_-]{0,200}"]) {
        let ours = RefreshKey::read(&Secret::new(REFRESH_SECRET.into())).unwrap();
        prop_assert!(ours.accept(&Secret::new(text)).is_none());
    }
}

// --- Settings ------------------------------------------------------------------------------------

/// Whether a browser would write this origin: a scheme, a host, and a port without leading zeros unless it is the default.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let end_of_host = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[end_of_host..].split_once(':') {
        Some((host, port)) => (&authority[..end_of_host + host.len()], Some(port)),
        None => (authority, None),
    };
    let is_default = matches!((scheme, port), ("http", Some("80")) | ("https", Some("443")));
    matches!(scheme, "http" | "https")
        && !host.is_empty()
        && port
            .is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number.to_string() == port))
        && !is_default
}

const NAMES: [&str; 16] = [
    "ENVIRONMENT",
    "SESSION_ISSUER",
    "SESSION_AUDIENCE",
    "ALLOWED_ORIGINS",
    "PI_APP_ID",
    "PI_API_KEY",
    "PI_NETWORK",
    "SESSION_KEYS",
    "REFRESH_SECRET",
    "BACKEND_CREDENTIALS",
    "SESSION_TTL",
    "REFRESH_MAX_TTL",
    "REFRESH_IDLE_TTL",
    "MAX_SESSIONS_PER_USER",
    "SESSION_COOKIE",
    "PI_API_BASE",
];

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn any_text_is_a_setting_or_is_named_as_the_one_that_is_wrong(
        name in select(NAMES.to_vec()),
        text in prop_oneof![texts(), "[0-9+-]{0,12}", jsons().prop_map(|json| json.to_text(1)), "https?://[a-z0-9.:@/\\[\\]-]{0,24}"],
    ) {
        match settings(&[(name, &text), ("ENVIRONMENT", "development")]) {
            Ok(settings) => {
                prop_assert!((60..=3600).contains(&settings.lifetimes.token));
                prop_assert!(settings.lifetimes.token <= settings.lifetimes.idle && settings.lifetimes.idle <= settings.lifetimes.max);
                prop_assert!((1..=100).contains(&settings.max_sessions));
            }
            Err(wrong) => {
                prop_assert!(wrong.setting == name || name == "ENVIRONMENT" || wrong.setting.starts_with("REFRESH"), "{:?}", wrong);
                // A setting may be a secret, so the error must not repeat its value.
                prop_assert!(text.trim().len() < 12 || !wrong.to_string().contains(text.trim()));
            }
        }
    }

    #[test]
    fn u3_an_origin_that_is_accepted_is_one_that_a_browser_writes(
        scheme in select(vec!["http", "https", "HTTPS", "ws", "file", ""]),
        host in prop_oneof!["[a-z0-9-]{1,8}(\\.[a-z0-9-]{1,8}){0,2}", select(vec!["127.0.0.1", "[::1]", "[::", "", ".", "a.", "A.example", "é.example", "a@b"]).prop_map(str::to_owned)],
        port in prop_oneof![Just(String::new()), "(:[1-9][0-9]{0,3})?", select(vec![":80", ":443", ":0", ":65535", ":", ":080", ":00", ":65536", ":a"]).prop_map(str::to_owned)],
        rest in select(vec!["", "", "", "/", "?", "#", "/a", " ", "\\"]),
    ) {
        let text = format!("{scheme}://{host}{port}{rest}");
        for name in ["SESSION_ISSUER", "ALLOWED_ORIGINS"] {
            let read = settings(&[(name, &text), ("ENVIRONMENT", "development")]);
            prop_assert!(read.is_err() || is_origin(text.trim()), "{}", text);
        }
        prop_assert!(settings(&[("PI_API_BASE", &text)]).is_err() || text.trim().starts_with("https://api.minepi.com"));
    }

    #[test]
    fn backends_are_names_with_64_hex_digits(digits in "[0-9a-fA-FgG]{62,66}", more in jsons(), choice: u64) {
        let read = |text: &str| settings(&[("BACKEND_CREDENTIALS", text)]).is_ok();
        let is_hash = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        prop_assert_eq!(read(&json!({ "api": digits }).to_string()), is_hash);
        let doubled = format!("{{\"api\":\"{0}\",\"api\":\"{0}\"}}", "0".repeat(64));
        prop_assert!(!read(&doubled));
        let with_more = format!("{{\"api\":\"{}\",\"more\":{}}}", "0".repeat(64), more.to_text(choice));
        prop_assert!(!read(&with_more));
    }
}

// --- Requests ------------------------------------------------------------------------------------

/// A bench where Alice has a session and data. Each thread keeps one, because a bench takes a megabyte.
struct Signed {
    app: TestApp,
    token: String,
    etag: String,
}

fn signed_in(cookies: &str) -> Signed {
    let app = test_app_with(&[("SESSION_COOKIE", cookies)]);
    let token = call(&app, &sign_in("sim-alice")).token();
    let written = call(&app, &put(&token, "{\"level\":1}", None));
    let etag = written.header("etag").unwrap().to_owned();
    Signed { app, token, etag }
}

fn header_values() -> impl Strategy<Value = Vec<u8>> {
    // `http` accepts every byte but control characters.
    vec(prop_oneof![0x20_u8..0x7f, 0x80_u8..=0xff, select(b",;=\" .".to_vec())], 0..40)
}

const PATHS: &[&str] = &[
    "/session",
    "/session/refresh",
    "/sessions",
    "/sessions/x",
    "/me",
    "/me/data",
    "/.well-known/jwks.json",
    "/products",
    "/orders",
    "/orders/x",
    "/payments",
    "/payments/x/approve",
    "/payments/x/complete",
    "/payments/x/cancel",
    "/payments/x/recover",
    "/ads/x/claim",
    "/revocations",
    "/introspect",
    "/users/x",
    "/users/x/payments",
    "/users/x/revoke",
    "/notifications",
    "/revoke-all",
    "/openapi.json",
    "/health",
];

proptest! {
    #![proptest_config(cases(160))]

    /// `call` checks the headers and the problem document of every reply.
    #[test]
    fn any_request_is_answered_and_without_a_credential_no_session_is_opened(
        method in select(vec!["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "QUERY"]),
        path in prop_oneof![select(PATHS.to_vec()).prop_map(str::to_owned), "/[a-z/%.]{0,20}(\\?[a-z=&]{0,10})?"],
        headers in vec((select(vec!["authorization", "cookie", "origin", "content-type", "content-length", "content-encoding", "if-match", "if-none-match", "sec-fetch-site", "user-agent", "cf-connecting-ip", "cf-ipcountry"]), header_values()), 0..5),
        body in prop_oneof![vec(any::<u8>(), 0..64), jsons().prop_map(|json| json.to_text(7).into_bytes())],
        cookies: bool,
    ) {
        thread_local! {
            static BENCHES: [TestApp; 2] = [test_app_with(&[]), test_app_with(&[("SESSION_COOKIE", "on")])];
        }
        let mut request = Request::builder().method(method).uri(format!("https://id.example{path}"));
        for (name, value) in &headers {
            request = request.header(*name, value.as_slice());
        }
        if headers.iter().all(|(name, _)| *name != "content-type") {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(body).unwrap();
        BENCHES.with(|benches| {
            let reply = call(&benches[usize::from(cookies)], &request);
            let is_public = ["/.well-known/jwks.json", "/products", "/revocations", "/openapi.json", "/health"].contains(&request.uri().path());
            prop_assert!(reply.status >= 400 || method == "OPTIONS" || is_public, "{:?}", reply);
            prop_assert!(reply.status != 500, "{:?}", reply);
            prop_assert_eq!(reply.sent, 0);
            Ok(())
        })?;
    }

    #[test]
    fn b3_a_bearer_token_is_accepted_in_any_case_of_its_scheme_and_in_no_other_spelling(
        upper in vec(any::<bool>(), 6), spaces in 1..4_usize, at: prop::sample::Index, byte in 0x21_u8..0x7f, more in "[!-~]{1,3}",
    ) {
        thread_local! { static SIGNED: Signed = signed_in("off"); }
        SIGNED.with(|Signed { app, token, .. }| {
            let scheme: String = "bearer".chars().zip(upper).map(|(letter, upper)| if upper { letter.to_ascii_uppercase() } else { letter }).collect();
            let status = |value: &str| call(app, &request("GET", "/session", &[("authorization", value)], "")).status;
            prop_assert_eq!(status(&format!("{scheme}{}{token}", " ".repeat(spaces))), 200);
            let joined = status(&format!("{scheme}{token}"));
            let longer = status(&format!("{scheme} {token}{more}"));
            let prefixed = status(&format!("{more}{scheme} {token}"));
            prop_assert!(joined == 401 && longer >= 400 && prefixed >= 400);
            let mut changed = token.clone().into_bytes();
            let index = at.index(changed.len());
            changed[index] = byte;
            let changed = String::from_utf8(changed).unwrap();
            let verdict = status(&format!("Bearer {changed}"));
            prop_assert!(changed == *token || verdict >= 400);
            let twice = [("authorization", format!("Bearer {token}")), ("authorization", format!("Bearer {changed}"))];
            let twice: Vec<(&str, &str)> = twice.iter().map(|(name, value)| (*name, value.as_str())).collect();
            prop_assert_eq!(call(app, &request("GET", "/session", &twice, "")).status, 400);
            Ok(())
        })?;
    }

    #[test]
    fn b4_a_session_cookie_is_found_among_any_others_and_two_are_none(
        others in vec(("[a-zA-Z_-]{1,20}", "[!#-+\\--:<-~]{0,20}"), 0..4), at in 0..5_usize, spaces in select(vec!["", " ", "  "]), second in texts(),
    ) {
        thread_local! { static SIGNED: Signed = signed_in("on"); }
        SIGNED.with(|Signed { app, token, .. }| {
            let mut pairs: Vec<String> = others.iter().map(|(name, value)| format!("{name}={value}")).collect();
            pairs.insert(at.min(pairs.len()), format!("__Host-pi_session={token}"));
            let show = |pairs: &[String]| call(app, &request("GET", "/session", &[("cookie", &pairs.join(&format!(";{spaces}")))], ""));
            prop_assert_eq!(show(&pairs).status, 200);
            let second: String = second.chars().filter(|letter| !letter.is_control() && *letter != ';').collect();
            pairs.push(format!("__Host-pi_session={second}"));
            prop_assert_eq!(show(&pairs).status, 400);
            Ok(())
        })?;
    }

    #[test]
    fn data_is_replaced_when_if_match_names_its_version_and_only_then(
        others in vec("[!#-+\\--~]{0,22}", 0..4), has: bool, weak: bool, at in 0..5_usize, space in select(vec!["", " ", "\t"]), apart: bool,
    ) {
        thread_local! { static SIGNED: Signed = signed_in("off"); }
        SIGNED.with(|Signed { app, token, etag }| {
            let mut tags: Vec<String> = others.iter().map(|tag| format!("\"{tag}\"")).collect();
            if has {
                tags.insert(at.min(tags.len()), format!("{}{etag}", if weak { "W/" } else { "" }));
            }
            let bearer = format!("Bearer {token}");
            let mut headers = vec![("authorization", bearer.clone()), ("content-type", "application/json".to_owned())];
            if apart {
                headers.extend(tags.iter().map(|tag| ("if-match", tag.clone())));
            } else if !tags.is_empty() {
                headers.push(("if-match", tags.join(&format!("{space},{space}"))));
            }
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let status = call(app, &request("PUT", "/me/data", &headers, "{\"level\":2}")).status;
            // Back, for the next case: its version names the content.
            prop_assert_eq!(call(app, &put(token, "{\"level\":1}", Some("*"))).status, 204);
            prop_assert_eq!(status, if has { 204 } else if tags.is_empty() { 428 } else { 412 });
            Ok(())
        })?;
    }

    #[test]
    fn data_is_kept_byte_for_byte_or_refused(tree in jsons(), choice: u64) {
        thread_local! { static SIGNED: Signed = signed_in("off"); }
        SIGNED.with(|Signed { app, token, .. }| {
            let text = tree.to_text(choice);
            let is_sound = theirs_is_object(text.as_bytes()) && !tree.has_duplicates();
            let reply = call(app, &put(token, &text, Some("*")));
            prop_assert_eq!(reply.status, if is_sound { 204 } else { 400 });
            if is_sound {
                let shown = call(app, &with_token("GET", "/me/data", token));
                prop_assert_eq!(&shown.body, text.trim());
                prop_assert_eq!(shown.header("etag"), reply.header("etag"));
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_form_has_its_token_once_wherever_it_stands(others in vec(("[a-z_]{1,8}", "[a-z0-9%+.]{0,12}"), 0..4), at in 0..5_usize, escaped: bool, second in "[a-z]{0,4}") {
        thread_local! { static SIGNED: Signed = signed_in("off"); }
        SIGNED.with(|Signed { app, token, .. }| {
            let spelled = if escaped { token.replace('.', "%2e").replace('-', "%2D") } else { token.clone() };
            let mut pairs: Vec<String> = others.iter().filter(|(name, _)| name != "token").map(|(name, value)| format!("{name}={value}")).collect();
            pairs.insert(at.min(pairs.len()), format!("token={spelled}"));
            let bearer = format!("Bearer {CREDENTIAL}");
            let headers = [("authorization", bearer.as_str()), ("content-type", "application/x-www-form-urlencoded")];
            let post = |pairs: &[String]| call(app, &request("POST", "/introspect", &headers, &pairs.join("&")));
            prop_assert_eq!(&post(&pairs).json()["active"], &json!(true));
            pairs.push(format!("t%6fken={second}"));
            prop_assert_eq!(post(&pairs).status, 400);
            Ok(())
        })?;
    }

    #[test]
    fn a_sign_in_takes_the_access_token_wherever_its_member_stands_and_once(more in jsons(), choice: u64, after: bool, charset in select(vec!["", "; charset=utf-8", ";charset=\"UTF-8\"", "; charset=latin1", ", text/plain"])) {
        thread_local! { static APP: TestApp = test_app(); }
        APP.with(|app| {
            let member = "\"accessToken\":\"sim-alice\"";
            let other = format!("\"user\":{}", more.to_text(choice));
            let body = if after { format!("{{{other},{member}}}") } else { format!("{{{member},{other}}}") };
            let is_sound = oracle(body.as_bytes()).is_some() && !more.has_duplicates();
            let send = |content_type: &str, body: &str| call(app, &request("POST", "/session", &[("content-type", content_type)], body)).status;
            prop_assert_eq!(send("application/json", &body), if is_sound { 200 } else { 400 });
            let twice = format!("{{{member},{other},\"access\\u0054oken\":\"sim-bob\"}}");
            prop_assert_eq!(send("application/json", &twice), 400);
            let is_utf8 = !charset.contains("latin1") && !charset.contains("text");
            prop_assert_eq!(send(&format!("application/json{charset}"), "{\"accessToken\":\"sim-alice\"}"), if is_utf8 { 200 } else { 415 });
            Ok(())
        })?;
    }

    #[test]
    fn b3_only_the_origins_that_are_listed_may_call_and_byte_for_byte(origin in prop_oneof![header_values(), Just(ORIGIN.into()), Just(b"https://id.example".to_vec())], at: prop::sample::Index, byte in 0x21_u8..0x7f) {
        thread_local! { static APP: TestApp = test_app(); }
        APP.with(|app| {
            let status = |origin: &[u8]| {
                let request = Request::builder().uri("https://id.example/health").header("origin", origin);
                call(app, &request.body(Vec::new()).unwrap()).status
            };
            let allowed = [ORIGIN.as_bytes(), b"https://sandbox.minepi.com", b"https://id.example"];
            prop_assert_eq!(status(&origin), if allowed.contains(&origin.as_slice()) { 200 } else { 403 });
            let mut changed = ORIGIN.as_bytes().to_vec();
            let index = at.index(changed.len());
            changed[index] = byte;
            prop_assert_eq!(status(&changed), if allowed.contains(&changed.as_slice()) { 200 } else { 403 });
            Ok(())
        })?;
    }
}
