//! The operators of the service (`OPERATOR_CREDENTIALS`): people with a name, a role and a
//! credential, of which only the hash is known here.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::credential_hash::CredentialHash;
use crate::{identifier::Identifier, json, jwt::Role};

/// The operators, by their names.
#[derive(Debug)]
pub(super) struct Operators(BTreeMap<Identifier, Entry>);

/// What the setting has under a name.
#[derive(Debug)]
struct Entry {
    hash: CredentialHash,
    role: Role,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryJson {
    sha256: String,
    role: Role,
}

/// An operator of the setting.
#[derive(Clone, Copy)]
pub(super) struct Operator<'a> {
    pub(super) name: &'a Identifier,
    pub(super) role: Role,
    hash: &'a CredentialHash,
}

impl Operator<'_> {
    /// Names the operator's credential in a token, which is then valid only while the setting has
    /// that credential.
    pub(super) fn credential_id(&self) -> String {
        self.hash.first_half()
    }
}

impl Operators {
    /// Reads `{"name":{"sha256":"<64 hex digits>","role":"viewer" or "owner"}, …}`. Two names
    /// cannot have one credential, because a credential names its operator.
    pub(super) fn read(text: &str) -> Option<Self> {
        let entries: BTreeMap<Identifier, EntryJson> = json::object(text.as_bytes()).ok()?;
        let entries = entries.into_iter().map(|(name, EntryJson { sha256, role })| {
            Some((name, Entry { hash: CredentialHash::from_hex(&sha256)?, role }))
        });
        let entries: BTreeMap<_, _> = entries.collect::<Option<_>>()?;
        let hashes: BTreeSet<_> = entries.values().map(|entry| &entry.hash).collect();
        (hashes.len() == entries.len()).then_some(Self(entries))
    }

    /// The operator with this credential. Every hash is compared, each in the same time wherever it
    /// differs.
    pub(super) fn with_credential(&self, credential: &[u8]) -> Option<Operator<'_>> {
        let hash = CredentialHash::of(credential);
        self.all().fold(None, |found, operator| {
            if operator.hash.equals(&hash).into() { Some(operator) } else { found }
        })
    }

    /// The operator with this name.
    pub(super) fn with_name(&self, name: &Identifier) -> Option<Operator<'_>> {
        self.all().find(|operator| operator.name == name)
    }

    fn all(&self) -> impl Iterator<Item = Operator<'_>> {
        self.0.iter().map(|(name, Entry { hash, role })| Operator { name, role: *role, hash })
    }
}
