//! The revocation feed: the tokens that were revoked before they expired, in signed windows.
//!
//! The issuer numbers revocations in the order in which they happened. A [`Window`] names the
//! sessions revoked after one number, its `from`, and up to another, its `to`. The window from 0 is
//! the whole feed. A verifier takes the whole once; then each poll takes only the difference.
//!
//! ```text
//! token LF fingerprint fingerprint …
//! ```
//!
//! A window is a signed token with the form and the keys of a session token, and the `typ`
//! `pi-revocations+jwt` in its header, so neither can be used as the other. The fingerprints of the
//! sessions follow a line feed, 8 bytes each, and the token contains their SHA-256. In the token
//! itself, they would take almost twice as many bytes.
//!
//! Everything in a window stays true, so a verifier only ever adds to its [`Revocations`]. A window
//! that is repeated, or older than another, takes nothing back.
//!
//! Not here: revoking sessions, and fetching.

use std::collections::{BTreeMap, BinaryHeap};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Claims, Error, KeySet, MAX_LIFETIME, Policy, SigningInput, SigningKey, compact};
use crate::{identifier::Identifier, json, time::UnixTime};

/// Seconds for which a window is valid after its issuer read the revocations. An attacker who
/// serves an old window again hides only the revocations of that time. Verifiers poll far more
/// often.
pub const FEED_LIFETIME: u32 = 300;

/// Seconds by which a window may be ahead of the verifier's clock, at least. This is more than for
/// a token, because nothing can be verified without a feed. The time for which revoked sessions are
/// named includes it (`session::KEPT_SECONDS`).
const EARLY: u32 = 30;

/// The largest window: 120,000 fingerprints are 1 MB, and 20,000 users with the longest ids 4 MB.
pub const MAX_FEED_BYTES: usize = 6 * 1024 * 1024;

/// The bytes of a fingerprint.
pub const FINGERPRINT_BYTES: usize = 8;

/// The characters of a session id from which its fingerprint is made: they encode 9 bytes.
pub const FINGERPRINT_CHARACTERS: usize = 12;

/// Seconds for which fingerprints collect in one sorted list before the next list begins. A token
/// is looked up in each list, and a list is dropped as a whole: at the longest lifetime of tokens,
/// there are about sixty.
const LIST_SECONDS: u32 = 60;

/// The fingerprint of a session: the last 8 of the 9 bytes that the last 12 characters of its id
/// encode in base64url. The issuer's ids are random there, so of 100,000 revoked sessions, one has
/// the fingerprint of another session with a probability of 10^-14. Such a session is refreshed
/// once: [`Revocations::revokes`] accepts tokens that were issued after the named ones.
///
/// No hash is computed, because an issuer makes up to 120,000 fingerprints in one request.
#[must_use]
pub fn fingerprint(sid: &Identifier) -> u64 {
    let text = sid.as_str().as_bytes();
    let last = text.get(text.len().saturating_sub(FINGERPRINT_CHARACTERS)..).unwrap_or_default();
    // The first bits of more than 64 are shifted out.
    last.iter().fold(0, |bits, &character| (bits << 6) | u64::from(digit(character)))
}

/// The value of a character in base64url (RFC 4648 §5), which is the alphabet of an [`Identifier`].
const fn digit(character: u8) -> u8 {
    match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'-' => 62,
        _ => 63,
    }
}

/// The claims of a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Issuer, as in the tokens.
    pub iss: String,
    /// Audience, as in the tokens.
    pub aud: String,
    /// When the issuer read the revocations.
    pub iat: UnixTime,
    /// Until when a fetched window is valid.
    pub exp: UnixTime,
    /// All tokens that were issued before this time are revoked.
    pub epoch: UnixTime,
    /// For each user that the window names, the time before which tokens are revoked.
    pub users: BTreeMap<Identifier, UnixTime>,
    /// The number after which the window begins.
    pub from: u64,
    /// The number of the last revocation that the issuer knows.
    pub to: u64,
    /// No token of the named sessions was issued later.
    pub last_iat: UnixTime,
    /// No token of the named sessions expires later.
    pub last_exp: UnixTime,
    /// SHA-256 of the fingerprints, in base64url.
    pub sids_sha256: String,
}

impl Window {
    /// The value of `sids_sha256` for these fingerprints.
    #[must_use]
    pub fn digest(fingerprints: &[u8]) -> String {
        BASE64URL.encode(Sha256::digest(fingerprints))
    }

    /// The text that the key must sign.
    ///
    /// # Errors
    /// [`Error::TooLong`] if the token would be longer than [`MAX_FEED_BYTES`].
    pub fn signing_input(&self, key: &SigningKey) -> Result<SigningInput, Error> {
        let payload = serde_json::to_vec(self).map_err(|_| Error::Claims)?;
        SigningInput::new(key.public().feed_header(), &payload, MAX_FEED_BYTES)
    }

    /// The document of a signed window.
    #[must_use]
    pub fn document(token: String, fingerprints: &[u8]) -> Vec<u8> {
        let mut document = token.into_bytes();
        document.reserve_exact(1 + fingerprints.len());
        document.push(b'\n');
        document.extend_from_slice(fingerprints);
        document
    }

    /// Verifies a document, in the order of [`super::verify`]. Returns the window and its
    /// fingerprints.
    ///
    /// # Errors
    /// The first [`Error`] in that order.
    pub fn verify(
        document: &[u8],
        keys: &KeySet,
        policy: &Policy,
        now: UnixTime,
    ) -> Result<(Self, Vec<u64>), Error> {
        if document.len() > MAX_FEED_BYTES {
            return Err(Error::TooLong);
        }
        let end = document.iter().position(|&byte| byte == b'\n').ok_or(Error::Malformed)?;
        let (token, rest) = document.split_at(end);
        let parts = compact::split(token, MAX_FEED_BYTES)?;
        let key = keys.with_feed_header(parts.header).ok_or(Error::UnknownKey)?;
        let window: Self = json::object(&key.payload(&parts)?).map_err(|_| Error::Claims)?;
        let fingerprints = rest.get(1..).unwrap_or_default();
        let (chunks, left_over) = fingerprints.as_chunks::<FINGERPRINT_BYTES>();
        let is_whole = left_over.is_empty() && window.sids_sha256 == Self::digest(fingerprints);
        let lifetime = window.exp.since(window.iat);
        if !is_whole
            || window.from > window.to
            || !(1..=i64::from(FEED_LIFETIME)).contains(&lifetime)
        {
            return Err(Error::Claims);
        }
        let early = policy.clock_tolerance.max(EARLY);
        policy.check(early, &window.iss, &window.aud, window.iat, window.exp, now)?;
        Ok((window, chunks.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect()))
    }
}

/// Sorts in place. The standard sort would be 3 KB of the package's wasm.
fn sorted(fingerprints: Vec<u64>) -> Vec<u64> {
    BinaryHeap::from(fingerprints).into_sorted_vec()
}

/// Sessions that were revoked at about the same time.
#[derive(Debug)]
struct Named {
    /// When the first window of the list was read.
    since: UnixTime,
    is_whole: bool,
    last_iat: UnixTime,
    last_exp: UnixTime,
    /// In order, for the search.
    fingerprints: Vec<u64>,
}

/// What a verifier knows of the feed.
#[derive(Debug, Default)]
pub struct Revocations {
    position: u64,
    epoch: Option<UnixTime>,
    users: BTreeMap<Identifier, UnixTime>,
    named: Vec<Named>,
}

impl Revocations {
    /// The number of the last revocation that is known. The next window must not begin after it.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Adds a window. Sessions whose tokens have all expired are forgotten.
    ///
    /// # Errors
    /// [`Error::Gap`] if a window before this one is missing. Then nothing was added.
    pub fn add(&mut self, window: Window, mut fingerprints: Vec<u64>) -> Result<(), Error> {
        let Window { iat, epoch, users, from, to, last_iat, last_exp, .. } = window;
        if from > self.position {
            return Err(Error::Gap);
        }
        self.epoch = self.epoch.max(Some(epoch));
        for (uid, moment) in users {
            let known = self.users.entry(uid).or_insert(moment);
            *known = moment.max(*known);
        }
        self.position = to.max(self.position);
        // By the issuer's clock: this machine's may be wrong, and may be set back later.
        let is_current = |moment: UnixTime| moment.plus(2 * Policy::MAX_CLOCK_TOLERANCE) > iat;
        self.users.retain(|_, moment| is_current(moment.plus(MAX_LIFETIME)));
        self.named.retain(|named| is_current(named.last_exp));
        if fingerprints.is_empty() {
            return Ok(());
        }
        // Whole feeds are joined with each other only, because sorting one takes milliseconds.
        let is_whole = from == 0;
        let is_joined =
            |list: &&mut Named| list.is_whole == is_whole && list.since.plus(LIST_SECONDS) > iat;
        if let Some(list) = self.named.iter_mut().rfind(is_joined) {
            list.last_iat = last_iat.max(list.last_iat);
            list.last_exp = last_exp.max(list.last_exp);
            list.fingerprints.append(&mut fingerprints);
            list.fingerprints = sorted(std::mem::take(&mut list.fingerprints));
            list.fingerprints.dedup();
        } else {
            let fingerprints = sorted(fingerprints);
            self.named.push(Named { since: iat, is_whole, last_iat, last_exp, fingerprints });
        }
        Ok(())
    }

    /// Whether the token with these claims is revoked.
    #[must_use]
    pub fn revokes(&self, claims: &Claims) -> bool {
        let fingerprint = fingerprint(&claims.sid);
        Some(claims.iat) < self.epoch
            || self.users.get(&claims.sub).is_some_and(|moment| claims.iat < *moment)
            || self.named.iter().any(|named| {
                claims.iat <= named.last_iat
                    && named.fingerprints.binary_search(&fingerprint).is_ok()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::{BTreeMap, LIST_SECONDS, Revocations, Window};
    use crate::time::UnixTime;

    fn window(seconds: u32, from: u64, to: u64) -> Window {
        let iat = UnixTime::from_seconds(1_000_000).unwrap().plus(seconds);
        Window {
            iss: String::new(),
            aud: String::new(),
            iat,
            exp: iat.plus(300),
            epoch: UnixTime::MIN,
            users: BTreeMap::new(),
            from,
            to,
            last_iat: iat,
            last_exp: iat.plus(600),
            sids_sha256: String::new(),
        }
    }

    #[test]
    fn windows_of_the_same_minute_are_one_list_and_lists_are_forgotten() {
        let mut revocations = Revocations::default();
        for second in (0..3_600).step_by(15) {
            let number = u64::from(second);
            revocations.add(window(second, 0, number + 1), vec![1, number]).unwrap();
            revocations.add(window(second, number + 1, number + 2), vec![number]).unwrap();
            // The tokens of a list expire within 600 seconds and the clocks' tolerance.
            let most = 2 * (720 / LIST_SECONDS as usize + 2);
            assert!(revocations.named.len() <= most, "{}", revocations.named.len());
        }
    }
}
