//! The credentials of the app's own backends (`BACKEND_CREDENTIALS`). Only their hashes are known
//! here.

use std::collections::BTreeMap;

use subtle::Choice;

use super::credential_hash::CredentialHash;
use crate::json;

/// The hashes of the credentials, by the names of the backends.
#[derive(Debug)]
pub(super) struct Credentials(BTreeMap<String, CredentialHash>);

impl Credentials {
    /// Reads `{"name":"<64 hex digits>", …}`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let hashes: BTreeMap<String, String> = json::object(text.as_bytes()).ok()?;
        let hashes =
            hashes.into_iter().map(|(name, hash)| Some((name, CredentialHash::from_hex(&hash)?)));
        Some(Self(hashes.collect::<Option<_>>()?))
    }

    /// Whether the credential is one of these. The comparison takes the same time whichever hash
    /// matches and wherever one differs.
    pub(super) fn admit(&self, credential: &[u8]) -> bool {
        let hash = CredentialHash::of(credential);
        let is_any =
            self.0.values().fold(Choice::from(0), |found, known| found | known.equals(&hash));
        is_any.into()
    }
}
