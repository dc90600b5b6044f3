//! The refresh token: opaque to its holder, and derived, so nothing secret is stored.
//!
//! It is base64url of an HMAC-SHA-256 ([RFC 2104]), of the number of earlier refreshes of the
//! session, and of the session's id. Each use raises that number, so a token is good for one use.
//! Because it is derived, a client that lost the successor of a token can get the same one again.
//!
//! [RFC 2104]: https://www.rfc-editor.org/rfc/rfc2104

use core::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{identifier::Identifier, secret::Secret};

/// Seconds for which a spent token of a session without a key returns the same successor, if the
/// successor was not used yet. Two minutes cover a client on a slow network that waits ten seconds
/// for each lost answer, and a phone that changes networks. A later thief is detected at the next
/// refresh.
pub const GRACE_SECONDS: u32 = 120;

/// The same for two clients of which one sends an `Idempotency-Key`. Its own repeats have no limit,
/// so another client is a tab that refreshed at the same moment, or a thief.
pub const RACE_SECONDS: u32 = 10;

/// As strong as the hash ([RFC 2104] §3).
///
/// [RFC 2104]: https://www.rfc-editor.org/rfc/rfc2104
const MIN_KEY_BYTES: usize = 32;

/// Separates these codes from every other use of the secret, now or later.
const PURPOSE: &[u8] = b"pioneer-session refresh token\n";

const CODE_BYTES: usize = 32;
const COUNT_BYTES: usize = 4;

/// The key from which refresh tokens derive. `Debug` prints nothing of it.
#[derive(Clone)]
pub struct RefreshKey(Hmac<Sha256>);

/// The content of a refresh token whose code is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session.
    pub sid: Identifier,
    /// How often the session had been refreshed when the token was issued.
    pub refreshes: u32,
}

impl RefreshKey {
    /// Reads the secret: 32 bytes or more, in base64url without padding.
    #[must_use]
    pub fn read(secret: &Secret) -> Option<Self> {
        let bytes = Base64UrlUnpadded::decode_vec(secret.expose()).ok()?;
        // A placeholder repeats one byte.
        let is_strong =
            bytes.len() >= MIN_KEY_BYTES && bytes.iter().any(|byte| Some(byte) != bytes.first());
        if is_strong { Hmac::new_from_slice(&bytes).ok().map(Self) } else { None }
    }

    /// The token's text.
    #[must_use]
    pub fn issue(&self, token: &RefreshToken) -> String {
        let code = self.code(token).finalize().into_bytes();
        let mut bytes = code.to_vec();
        bytes.extend(token.refreshes.to_be_bytes());
        bytes.extend(token.sid.as_str().as_bytes());
        Base64UrlUnpadded::encode_string(&bytes)
    }

    /// The content of the token, if this key made it. The codes are compared in constant time.
    #[must_use]
    pub fn accept(&self, text: &Secret) -> Option<RefreshToken> {
        let bytes = Base64UrlUnpadded::decode_vec(text.expose()).ok()?;
        let (code, rest) = bytes.split_at_checked(CODE_BYTES)?;
        let (count, sid) = rest.split_at_checked(COUNT_BYTES)?;
        let token = RefreshToken {
            sid: Identifier::parse(String::from_utf8(sid.to_vec()).ok()?)?,
            refreshes: u32::from_be_bytes(count.try_into().ok()?),
        };
        self.code(&token).verify_slice(code).ok()?;
        Some(token)
    }

    fn code(&self, token: &RefreshToken) -> Hmac<Sha256> {
        let mut code = self.0.clone();
        code.update(PURPOSE);
        // The length is fixed, so no two tokens are the same message.
        code.update(&token.refreshes.to_be_bytes());
        code.update(token.sid.as_str().as_bytes());
        code
    }
}

impl fmt::Debug for RefreshKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::{RefreshKey, RefreshToken};
    use crate::{identifier::Identifier, secret::Secret};

    fn key(text: &str) -> Option<RefreshKey> {
        RefreshKey::read(&Secret::new(text.into()))
    }

    fn token(sid: &str, refreshes: u32) -> RefreshToken {
        RefreshToken { sid: Identifier::parse(sid.into()).unwrap(), refreshes }
    }

    #[test]
    fn a_weak_secret_is_none() {
        for weak in
            ["", "c2hvcnQ", &"A".repeat(43), &"q".repeat(42), "not base64url, but rather long"]
        {
            assert!(key(weak).is_none(), "{weak}");
        }
        assert!(key("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").is_some());
    }

    #[test]
    fn s6_only_its_own_tokens_hold_in_their_one_spelling() {
        let ours = key("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let text = ours.issue(&token("some-session", 7));
        assert_eq!(ours.issue(&token("some-session", 7)), text);
        assert_eq!(ours.accept(&Secret::new(text.clone())), Some(token("some-session", 7)));
        let other = key("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(other.accept(&Secret::new(text.clone())), None);

        for at in 0..text.len() {
            for letter in ["A", "B", "=", " ", "+", "."] {
                let mut changed = text.clone();
                changed.replace_range(at..=at, letter);
                let held = ours.accept(&Secret::new(changed.clone()));
                assert!(held.is_none() || changed == text, "{changed}");
            }
            assert_eq!(ours.accept(&Secret::new(text[..at].into())), None);
        }
        for more in ["A", "=", "AAAA", ".", "\n"] {
            assert_eq!(ours.accept(&Secret::new(format!("{text}{more}"))), None);
        }
    }
}
