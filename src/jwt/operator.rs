//! The operator token: it lets a person operate the service for at most an hour. It has the form
//! and the keys of a session token, and the `typ` `pi-operator+jwt`, so neither can be used as the
//! other.
//!
//! Only the issuer verifies it. The issuer also checks that the operator and the credential are
//! still in its settings, so a valid token is not enough.

use serde::{Deserialize, Serialize};

use super::{
    Error, KeySet, MAX_LIFETIME, MAX_TOKEN_BYTES, Policy, SigningInput, SigningKey, compact,
};
use crate::{identifier::Identifier, json, time::UnixTime};

const TYP: &str = "pi-operator+jwt";

/// What an operator may do. A later role may do all that an earlier one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Also acts.
    Owner,
}

/// The claims of an operator token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorClaims {
    /// Issuer, as in session tokens.
    pub iss: String,
    /// Audience, as in session tokens.
    pub aud: String,
    /// The operator's name.
    pub sub: Identifier,
    /// The operator's role when the token was issued.
    pub role: Role,
    /// Issued at, seconds since 1970.
    pub iat: UnixTime,
    /// Expires at, seconds since 1970; at most [`MAX_LIFETIME`] after `iat`.
    pub exp: UnixTime,
    /// Names the credential with which the operator signed in.
    pub cid: String,
}

impl OperatorClaims {
    /// The text that the key must sign.
    ///
    /// # Errors
    /// [`Error::TooLong`] if the token would be longer than [`MAX_TOKEN_BYTES`].
    pub fn signing_input(&self, key: &SigningKey) -> Result<SigningInput, Error> {
        let payload = serde_json::to_vec(self).map_err(|_| Error::Claims)?;
        let [header, _] = key.public().headers_of(TYP);
        SigningInput::new(&header, &payload, MAX_TOKEN_BYTES)
    }

    /// Verifies a token, in the order of [`super::verify`].
    ///
    /// # Errors
    /// The first [`Error`] in that order.
    pub fn verify(
        token: &[u8],
        keys: &KeySet,
        policy: &Policy,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let parts = compact::split(token, MAX_TOKEN_BYTES)?;
        let key = keys.with_header_of(TYP, parts.header).ok_or(Error::UnknownKey)?;
        let claims: Self = json::object(&key.payload(&parts)?).map_err(|_| Error::Claims)?;
        let lifetime = claims.exp.since(claims.iat);
        if !(1..=i64::from(MAX_LIFETIME)).contains(&lifetime) {
            return Err(Error::Claims);
        }
        let Self { iss, aud, iat, exp, .. } = &claims;
        policy.check(policy.clock_tolerance, iss, aud, *iat, *exp, now)?;
        Ok(claims)
    }
}
