//! The app's own JSON object for a user, and the version tag that keeps two devices from overwriting
//! each other.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use sha2::{Digest, Sha256};

/// A JSON object as text, with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The text as it was written.
    pub text: String,
    /// Names this content: 22 characters of base64url.
    pub version: String,
}

impl Data {
    /// Tags a text by what it contains, so that equal contents have equal versions, even when the value
    /// was erased and written again.
    #[must_use]
    pub fn new(text: String) -> Self {
        let mut version = BASE64URL.encode(Sha256::digest(text.as_bytes()));
        // 132 bits: two contents of one user will not meet by chance.
        version.truncate(22);
        Self { text, version }
    }
}

/// What must be there for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing: this is the first value.
    Nothing,
    /// Any value.
    Something,
    /// A value of one of these versions.
    Version(Vec<String>),
}

impl Expected {
    /// Whether a current version satisfies this.
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
