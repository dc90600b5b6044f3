//! The credentials of the app's own backends (`BACKEND_CREDENTIALS`). Only their hashes are known
//! here.

use std::collections::BTreeMap;

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

    /// The name of the backend with this credential, if there is one. All hashes are compared, each
    /// in the same time wherever it differs.
    pub(super) fn admit(&self, credential: &[u8]) -> Option<&str> {
        let hash = CredentialHash::of(credential);
        self.0.iter().fold(None, |found, (name, known)| {
            if known.equals(&hash).into() { Some(name.as_str()) } else { found }
        })
    }
}
