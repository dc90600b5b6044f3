//! The claims of a session token: typed parsing, and the checks against a policy and a time. A
//! claim with a wrong type is an error, never a default.

use serde::{Deserialize, Serialize};

use super::Error;
use crate::{identifier::Identifier, json, time::UnixTime};

/// The longest lifetime of a token, in seconds. A signed token cannot be taken back, so it must
/// expire soon.
pub const MAX_LIFETIME: u32 = 3600;

/// The claims of a session ([RFC 7519] §4 where registered there).
///
/// Parsing ignores other claims, but requires them to be well-formed.
///
/// [RFC 7519]: https://www.rfc-editor.org/rfc/rfc7519
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: an origin, compared byte for byte.
    pub iss: String,
    /// Audience: one string, never a list.
    pub aud: String,
    /// Subject: the uid from Pi's `/v2/me`.
    pub sub: Identifier,
    /// Session id.
    pub sid: Identifier,
    /// Issued at, seconds since 1970.
    pub iat: UnixTime,
    /// Expires at, seconds since 1970; at most [`MAX_LIFETIME`] after `iat`.
    pub exp: UnixTime,
    /// Not valid before, seconds since 1970. Checked if present; never written.
    #[serde(default, deserialize_with = "json::present", skip_serializing)]
    pub nbf: Option<UnixTime>,
    /// When the Pioneer signed in with Pi, seconds since 1970.
    pub auth_time: UnixTime,
    /// The token's own unique id.
    pub jti: Identifier,
    /// The scopes that the Pioneer granted, space separated.
    pub scope: String,
    /// The username, for display and never as a key.
    #[serde(default, deserialize_with = "json::present", skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
    /// Whether Pi confirmed that the access token was issued for this app.
    #[serde(default)]
    pub app_bound: bool,
}

/// The requirements of a verifier.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The one issuer, compared byte for byte.
    pub issuer: String,
    /// The one audience, compared byte for byte.
    pub audience: String,
    /// Seconds by which the clocks of issuer and verifier may differ.
    pub clock_tolerance: u32,
}

impl Policy {
    /// Enough for clocks that NTP adjusts.
    pub const DEFAULT_CLOCK_TOLERANCE: u32 = 5;
    /// More than this would double the shortest lifetimes.
    pub const MAX_CLOCK_TOLERANCE: u32 = 60;

    /// Checks the claims of every signed text: `iss`, `aud`, `iat`, which may be `early` seconds
    /// ahead, and `exp`, in this order.
    pub(super) fn check(
        &self,
        early: u32,
        iss: &str,
        aud: &str,
        iat: UnixTime,
        exp: UnixTime,
        now: UnixTime,
    ) -> Result<(), Error> {
        if iss != self.issuer {
            return Err(Error::Issuer);
        }
        if aud != self.audience {
            return Err(Error::Audience);
        }
        if iat > now.plus(early) {
            return Err(Error::NotYetValid);
        }
        // RFC 7519 §4.1.4: the current time must be before `exp`.
        if now >= exp.plus(self.clock_tolerance) { Err(Error::Expired) } else { Ok(()) }
    }
}

impl Claims {
    /// Reads a payload: UTF-8, one object, no duplicate names, exact types.
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Error> {
        json::object(payload).map_err(|_| Error::Claims)
    }

    /// Checks the claims: lifetime, `iss`, `aud`, `iat`, `exp`, `nbf`, in this order.
    pub(super) fn check(&self, policy: &Policy, now: UnixTime) -> Result<(), Error> {
        let lifetime = self.exp.since(self.iat);
        if !(1..=i64::from(MAX_LIFETIME)).contains(&lifetime) {
            return Err(Error::Claims);
        }
        let tolerance = policy.clock_tolerance;
        policy.check(tolerance, &self.iss, &self.aud, self.iat, self.exp, now)?;
        let latest = now.plus(policy.clock_tolerance);
        if self.nbf.is_some_and(|nbf| nbf > latest) { Err(Error::NotYetValid) } else { Ok(()) }
    }
}
