//! The operators of the service (`OPERATOR_CREDENTIALS`): people with a name, a role and a
//! credential, of which only the hash is known here.

use crate::{
    identifier::Identifier,
    json::{self, Value},
    jwt::Role,
    service::credential_hash::CredentialHash,
};

/// A person who operates the service.
#[derive(Debug)]
pub(in crate::service) struct Operator {
    pub(in crate::service) name: Identifier,
    pub(in crate::service) role: Role,
    hash: CredentialHash,
}

impl Operator {
    /// Names the operator's credential in a token, which is then valid only while the setting has
    /// that credential.
    pub(in crate::service) fn credential_id(&self) -> String {
        self.hash.first_half()
    }
}

/// All operators.
#[derive(Debug)]
pub(in crate::service) struct Operators(Vec<Operator>);

impl Operators {
    /// Reads `{"name":{"sha256":"<64 hex digits>","role":"viewer" or "owner"}, …}`. Two names
    /// cannot have one credential, because a credential names its operator.
    pub(in crate::service) fn read(text: &str) -> Option<Self> {
        let Value::Object(entries) = json::parse(text.as_bytes()).ok()? else { return None };
        let entries = entries.into_members().into_iter().map(|(name, entry)| {
            let Value::Object(mut entry) = entry else { return None };
            let Value::String(sha256) = entry.take("sha256")? else { return None };
            let operator = Operator {
                name: Identifier::parse(name)?,
                role: entry.take("role")?.read().ok()?,
                hash: CredentialHash::from_hex(&sha256)?,
            };
            entry.into_members().is_empty().then_some(operator)
        });
        let operators: Vec<Operator> = entries.collect::<Option<_>>()?;
        let is_alone =
            |one: &Operator| operators.iter().filter(|other| other.hash == one.hash).count() == 1;
        operators.iter().all(is_alone).then_some(Self(operators))
    }

    /// The operator with this credential. Every hash is compared, each in the same time wherever it
    /// differs.
    pub(in crate::service) fn with_credential(&self, credential: &[u8]) -> Option<&Operator> {
        let hash = CredentialHash::of(credential);
        self.0.iter().fold(None, |found, operator| {
            if operator.hash.equals(&hash).into() { Some(operator) } else { found }
        })
    }

    /// The operator with this name.
    pub(in crate::service) fn with_name(&self, name: &Identifier) -> Option<&Operator> {
        self.0.iter().find(|operator| operator.name == *name)
    }
}
