//! Identifiers, times, amounts, transaction ids and access tokens.

use super::*;

/// Year, month and day of a day since 1970, computed differently than in the crate (Hinnant,
/// "chrono-compatible low-level date algorithms").
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

/// Reads the stroops from the text of a JSON number, digit by digit. Returns `None` for a fraction
/// of a stroop.
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
    fn a_written_amount_parses_back(stroops in 0_u64..1 << 53, zeros in 0_usize..12) {
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
            // A number with many digits or an exponent may be rejected although it is an amount.
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
