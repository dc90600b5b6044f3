//! The Server API Key, with which the app identifies itself, and Pi's codes for a refusal.

use core::fmt;

use crate::secret::Secret;

/// The app's key. It goes into one header of requests to Pi, and nowhere else.
#[derive(Debug)]
pub struct ServerApiKey(Secret);

/// Pi's keys have 64 characters. This leaves room on both sides.
const LENGTH: core::ops::RangeInclusive<usize> = 8..=256;

impl ServerApiKey {
    /// The key, if the text has the form of one. The placeholder of a template does not.
    #[must_use]
    pub fn new(text: Secret) -> Option<Self> {
        let key = text.expose();
        let plain = key.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"'".contains(&byte));
        let lower = key.to_ascii_lowercase();
        // Only at the beginning: a random key may have any of them inside.
        let words = ["your", "my_", "my-", "change", "placeholder", "xxxx", "pi_api_key"];
        let is_placeholder = words.iter().any(|word| lower.starts_with(word));
        (LENGTH.contains(&key.len()) && plain && !is_placeholder).then_some(Self(text))
    }

    /// The value of the header.
    pub(super) fn authorization(&self) -> String {
        format!("Key {}", self.0.expose())
    }
}

/// Pi's own code for a refusal, such as `payment_not_found`. Unknown codes are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(String);

/// The longest known code has 27.
const MAX_CODE: usize = 64;

impl Refusal {
    /// The code, if the text has the form of one and does not contain the key that was sent to Pi.
    pub(super) fn new(code: String, key: &ServerApiKey) -> Option<Self> {
        let is_code = (1..=MAX_CODE).contains(&code.len())
            && code
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit());
        (is_code && !code.contains(key.0.expose())).then_some(Self(code))
    }

    /// The text: lower-case letters, digits and underscores.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Refusal, ServerApiKey};
    use crate::secret::Secret;

    fn key(text: &str) -> Option<ServerApiKey> {
        ServerApiKey::new(Secret::new(text.into()))
    }

    #[test]
    fn what_a_template_leaves_is_no_key() {
        let long = "k".repeat(257);
        for bad in [
            "",
            "short",
            "YOUR_PI_API_KEY_GOES_HERE",
            "<put the key from the portal here>",
            "xxxxxxxxxxxxxxxxxxxxxxxx",
            "key with\nline break in it",
            &long,
        ] {
            assert!(key(bad).is_none(), "{bad}");
        }
        assert!(key("k0123456789abcdefghijk0123456789abcdefghij").is_some());
    }

    #[test]
    fn a_code_is_pis_word_and_never_the_key() {
        let key = key("k0123456789abcdefghijk0123456789abcdefghij").unwrap();
        let code = |text: &str| Refusal::new(text.into(), &key);
        assert_eq!(code("some_new_code").unwrap().as_str(), "some_new_code");
        for bad in
            ["", "A sentence.", "k0123456789abcdefghijk0123456789abcdefghij", "é", &"x".repeat(65)]
        {
            assert!(code(bad).is_none(), "{bad}");
        }
    }
}
