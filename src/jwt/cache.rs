//! A cache of verified tokens. Verification is the larger part of a session check, and a cached
//! token is not verified again.
//!
//! A cache belongs to one set of keys, and is dropped with it. Policy and time are checked each
//! time. Not here: whether the session was revoked, which only the store knows.

use core::fmt;
use std::sync::Mutex;

use subtle::ConstantTimeEq;

use super::Claims;

/// As many users as may be active at one place within the lifetime of a token. They take two
/// megabytes with tokens of the usual length, and twelve with the longest, of an isolate's 128.
const PLACES: usize = 2048;

/// A verified token, and its claims.
type Verified = (Box<[u8]>, Claims);

/// Tokens that one set of keys has verified.
#[derive(Default)]
pub(super) struct Cache(Mutex<Vec<Option<Verified>>>);

impl Cache {
    /// The claims of this token, if it is cached.
    pub(super) fn recall(&self, token: &[u8]) -> Option<Claims> {
        let places = self.0.lock().ok()?;
        let (known, claims) = places.get(place(token))?.as_ref()?;
        // The whole token is compared in constant time, so that the time does not reveal how much
        // of a guess is right.
        bool::from(known.ct_eq(token)).then(|| claims.clone())
    }

    /// Stores a verified token, instead of another one.
    pub(super) fn keep(&self, token: &[u8], claims: &Claims) {
        let Ok(mut places) = self.0.lock() else { return };
        places.resize(PLACES, None);
        if let Some(kept) = places.get_mut(place(token)) {
            *kept = Some((token.into(), claims.clone()));
        }
    }
}

/// Tokens are credentials, and are never printed.
impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Cache")
    }
}

/// The place of a token, from two characters of the signature's R, which is random. S, at the end,
/// is below 2^253, so its last characters vary little. An attacker who chooses them gains nothing:
/// only verified tokens are stored, and any other token is verified.
fn place(token: &[u8]) -> usize {
    let picked = token.len().checked_sub(50).and_then(|at| token.get(at..at + 2));
    picked.unwrap_or_default().iter().fold(0, |sum, &byte| sum * 67 + usize::from(byte)) % PLACES
}
