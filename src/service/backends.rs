//! The credentials of the app's own backends (`BACKEND_CREDENTIALS`). Only their hashes are known
//! here.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::json;

/// The SHA-256 hashes of the credentials, by the names of the backends. A credential is long and
/// random, so its hash does not have to be slow.
#[derive(Debug)]
pub(super) struct Credentials(BTreeMap<String, [u8; 32]>);

impl Credentials {
    /// Reads `{"name":"<64 hex digits>", …}`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let hashes: BTreeMap<String, String> = json::object(text.as_bytes()).ok()?;
        let hashes = hashes.into_iter().map(|(name, hash)| Some((name, from_hex(&hash)?)));
        Some(Self(hashes.collect::<Option<_>>()?))
    }

    /// Whether the credential is one of these. The comparison takes the same time whichever hash
    /// matches and wherever one differs.
    pub(super) fn admit(&self, credential: &[u8]) -> bool {
        let hash: [u8; 32] = Sha256::digest(credential).into();
        let is_any =
            self.0.values().fold(Choice::from(0), |found, known| found | known.ct_eq(&hash));
        is_any.into()
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let (digits, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = digits.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    if rest.is_empty() { bytes.try_into().ok() } else { None }
}
