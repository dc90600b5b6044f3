//! The SHA-256 of a credential, as the settings contain it instead of the credential.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// A credential is long and random, so its hash does not have to be slow.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CredentialHash([u8; 32]);

impl CredentialHash {
    /// The hash of a credential.
    pub(super) fn of(credential: &[u8]) -> Self {
        Self(Sha256::digest(credential).into())
    }

    /// Reads 64 hex digits.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        let (digits, rest) = text.as_bytes().as_chunks::<2>();
        let digit =
            |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes = digits.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
        let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
        if rest.is_empty() { bytes.try_into().ok().map(Self) } else { None }
    }

    /// Whether the hashes are equal. It takes the same time wherever they differ.
    pub(super) fn equals(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }

    /// The first half in base64url: enough to tell credentials apart.
    pub(super) fn first_half(&self) -> String {
        let (half, _) = self.0.split_at(16);
        BASE64URL.encode(half)
    }
}
