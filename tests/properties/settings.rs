//! Settings.

use super::*;

/// Whether a browser would write this origin: a scheme, a host, and a port without leading zeros
/// unless it is the default.
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

const NAMES: [&str; 19] = [
    "ENVIRONMENT",
    "SESSION_ISSUER",
    "SESSION_AUDIENCE",
    "ALLOWED_ORIGINS",
    "PI_APP_ID",
    "PI_API_KEY",
    "PI_NETWORK",
    "SESSION_KEYS",
    "SESSION_KEYS_NEXT",
    "REFRESH_SECRET",
    "BACKEND_CREDENTIALS",
    "OPERATOR_CREDENTIALS",
    "SERVES",
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
    fn any_text_is_a_valid_setting_or_the_error_names_it(
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
