//! The app's own JSON object for a user, and the version tag that keeps two devices from
//! overwriting each other.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use sha2::{Digest, Sha256};

/// A JSON object as text, with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The text as the client wrote it.
    pub text: String,
    /// The name of this content: 22 characters of base64url.
    pub version: String,
}

impl Data {
    /// The version derives from the text, so equal contents have equal versions, even if the value
    /// was erased and written again.
    #[must_use]
    pub fn new(text: String) -> Self {
        let mut version = BASE64URL.encode(Sha256::digest(text.as_bytes()));
        // 132 bits, so two contents of one user do not get the same version by chance.
        version.truncate(22);
        Self { text, version }
    }
}

/// The stored value that a write expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// No value: this is the first one.
    Nothing,
    /// Any value.
    Something,
    /// A value with one of these versions.
    Version(Vec<String>),
}

impl Expected {
    /// Whether a current version is the expected one.
    #[must_use]
    pub fn admits(&self, current: Option<&str>) -> bool {
        match (self, current) {
            (Self::Nothing, found) => found.is_none(),
            (Self::Something, found) => found.is_some(),
            (Self::Version(versions), Some(found)) => {
                versions.iter().any(|version| version == found)
            }
            (Self::Version(_), None) => false,
        }
    }
}
