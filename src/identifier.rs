//! [`Identifier`]: the form of every uid, session id and token id. The field that contains it says
//! which one it is.

use core::fmt;

use serde::{Deserialize, Serialize};

/// 1 to 128 characters of `A-Z a-z 0-9 _ -`.
///
/// Pi documents a uid only as "string" (UUIDs have been seen). This form excludes everything that
/// breaks databases, paths, headers or comparisons: spaces, quotes, and Unicode characters that
/// look alike. It is compared byte for byte, so ids that differ in case differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Identifier(String);

/// Other identity products allow 128 for a subject; a UUID has 36.
const MAX_LENGTH: usize = 128;

impl Identifier {
    /// The identifier with this text, if the text has the right form.
    #[must_use]
    pub fn parse(text: String) -> Option<Self> {
        let characters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let fits = !text.is_empty() && text.len() <= MAX_LENGTH && text.bytes().all(characters);
        fits.then_some(Self(text))
    }

    /// The identifier of something that belongs to this user: the first two bytes of the SHA-256 of
    /// the uid, and these random bytes, in base64url. The first bytes say where it is stored,
    /// should users ever be spread over several databases.
    #[must_use]
    pub fn from_entropy(uid: &Self, entropy: [u8; 16]) -> Self {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
        use sha2::{Digest as _, Sha256};
        let [first, second, ..] = <[u8; 32]>::from(Sha256::digest(&uid.0));
        let mut bytes = vec![first, second];
        bytes.extend(entropy);
        Self(BASE64URL.encode(bytes))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Identifier {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(text).ok_or("not 1 to 128 characters of A-Z a-z 0-9 _ -")
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Identifier;

    #[test]
    fn an_id_begins_with_two_bytes_of_its_users_hash() {
        let uid = |text: &str| Identifier::parse(text.into()).unwrap();
        // SHA-256 of "abc" begins with 0xba, 0x78 (FIPS 180-4, example).
        let id = Identifier::from_entropy(&uid("abc"), [0xff; 16]);
        assert_eq!(id.as_str(), "unj_____________________");
        assert_eq!(id.as_str().len(), 24);
        assert_ne!(Identifier::from_entropy(&uid("xyz"), [0xff; 16]), id);
    }

    #[test]
    fn i6_only_the_plain_shape_is_an_identifier() {
        for good in
            ["a", "A-_9", "a1111111-aaaa-bbbb-2222-ccccccc3333d", "__proto__", &"x".repeat(128)]
        {
            assert!(Identifier::parse(good.into()).is_some(), "{good:?}");
        }
        let long = "x".repeat(129);
        for bad in [
            "",
            " ",
            "a b",
            "a\0",
            "a\r\n",
            "../a",
            "';DROP TABLE users",
            "é",
            "🙂",
            "\u{202e}a",
            &long,
        ] {
            assert!(Identifier::parse(bad.into()).is_none(), "{bad:?}");
        }
    }
}
