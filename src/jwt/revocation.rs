//! The revocation feed: the tokens that were revoked before they expired, signed like a token.
//!
//! It has the form and the keys of a session token, and the `typ` `pi-revocations+jwt` in its
//! header, so neither can be used as the other. Not here: revoking sessions, and fetching.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Claims, Error, KeySet, Policy, SigningInput, SigningKey, compact};
use crate::{identifier::Identifier, json, time::UnixTime};

/// Seconds for which a feed is valid after it was signed. An attacker who serves an old feed again
/// hides only the revocations of that time. Verifiers fetch it far more often.
pub const FEED_LIFETIME: u32 = 300;

/// Seconds by which a feed may be ahead of the verifier's clock, at least. This is more than for a
/// token, because nothing can be verified without a feed. The time for which revoked sessions are
/// named includes it (`session::KEPT_SECONDS`).
const EARLY: u32 = 30;

/// About 200,000 revoked sessions. A verifier keeps the feed in memory.
pub const MAX_FEED_BYTES: usize = 8 * 1024 * 1024;

/// The claims of the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocations {
    /// Issuer, as in the tokens.
    pub iss: String,
    /// Audience, as in the tokens.
    pub aud: String,
    /// When the feed was made.
    pub iat: UnixTime,
    /// Until when a fetched feed is valid.
    pub exp: UnixTime,
    /// All tokens that were issued before this time are revoked.
    pub epoch: UnixTime,
    /// The revoked sessions.
    pub sids: Vec<Identifier>,
    /// For each user, the time before which tokens are revoked.
    pub users: BTreeMap<Identifier, UnixTime>,
}

impl Revocations {
    /// The text that the key must sign to make the feed.
    ///
    /// # Errors
    /// [`Error::TooLong`] if it would be longer than [`MAX_FEED_BYTES`].
    pub fn signing_input(&self, key: &SigningKey) -> Result<SigningInput, Error> {
        let payload = serde_json::to_vec(self).map_err(|_| Error::Claims)?;
        SigningInput::new(key.public().feed_header(), &payload, MAX_FEED_BYTES)
    }

    /// Verifies a feed, in the order of [`super::verify`].
    ///
    /// # Errors
    /// The first [`Error`] in that order.
    pub fn verify(
        feed: &[u8],
        keys: &KeySet,
        policy: &Policy,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let parts = compact::split(feed, MAX_FEED_BYTES)?;
        let key = keys.with_feed_header(parts.header).ok_or(Error::UnknownKey)?;
        let (payload, signature) = parts.decode()?;
        if !key.verifies(parts.signed, &signature) {
            return Err(Error::Signature);
        }
        let mut feed: Self = json::object(&payload).map_err(|_| Error::Claims)?;
        if !(1..=i64::from(FEED_LIFETIME)).contains(&feed.exp.since(feed.iat)) {
            return Err(Error::Claims);
        }
        let early = policy.clock_tolerance.max(EARLY);
        policy.check(early, &feed.iss, &feed.aud, feed.iat, feed.exp, now)?;
        // For the search below. A feed of this service has them in order already.
        feed.sids.sort_unstable();
        Ok(feed)
    }

    /// Whether the token with these claims is revoked.
    #[must_use]
    pub fn revokes(&self, claims: &Claims) -> bool {
        claims.iat < self.epoch
            || self.users.get(&claims.sub).is_some_and(|moment| claims.iat < *moment)
            || self.sids.binary_search(&claims.sid).is_ok()
    }
}
