//! The revocation feed: which tokens have been taken back before they expired, signed like a token.
//!
//! It has the form of a session token and the same keys, and `typ` `pi-revocations+jwt` in its header, so neither can
//! pass for the other. Not here: who ended what, and fetching.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Claims, Error, KeySet, Policy, SigningInput, SigningKey, compact};
use crate::{identifier::Identifier, json, time::UnixTime};

/// How long a feed may be believed after it was signed, seconds: an old one that is served again hides no more than
/// what was ended in that time. Verifiers ask far more often.
pub const FEED_LIFETIME: u32 = 300;

/// How far a feed may be ahead of the verifier's clock, seconds, at least: more than a token, because without a feed nothing
/// can be verified any more. For how long ended sessions are named leaves room for it (`session::KEPT_SECONDS`).
const EARLY: u32 = 30;

/// Some 200,000 ended sessions. It is kept in memory by whoever verifies.
pub const MAX_FEED_BYTES: usize = 8 * 1024 * 1024;

/// The claims of the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocations {
    /// Issuer, as in the tokens.
    pub iss: String,
    /// Audience, as in the tokens.
    pub aud: String,
    /// When it was made.
    pub iat: UnixTime,
    /// Until when it may be believed when it is fetched.
    pub exp: UnixTime,
    /// All tokens that were issued before this are revoked.
    pub epoch: UnixTime,
    /// Sessions that have ended.
    pub sids: Vec<Identifier>,
    /// Users' tokens that were issued before this are revoked.
    pub users: BTreeMap<Identifier, UnixTime>,
}

impl Revocations {
    /// What the key must sign to make the feed.
    ///
    /// # Errors
    /// [`Error::TooLong`] when it would be over [`MAX_FEED_BYTES`].
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
        // For the search below; an issuer of ours has them in order already.
        feed.sids.sort_unstable();
        Ok(feed)
    }

    /// Whether the token with these claims has been taken back.
    #[must_use]
    pub fn revokes(&self, claims: &Claims) -> bool {
        claims.iat < self.epoch
            || self.users.get(&claims.sub).is_some_and(|moment| claims.iat < *moment)
            || self.sids.binary_search(&claims.sid).is_ok()
    }
}
