//! Tokens that were verified a short while ago, so that the same token need not be verified again: that is the larger
//! part of a session check.
//!
//! It belongs to one set of keys and ends with it. What policy and time say is asked anew each time. Not here: whether the
//! session has ended, which only the store knows.

use core::fmt;
use std::sync::Mutex;

use subtle::ConstantTimeEq;

use super::Claims;

/// As many people as may be active at one place within the life of a token. Two megabytes with tokens of the usual length,
/// twelve with the longest, of an isolate's 128.
const PLACES: usize = 2048;

/// A token that was verified, and its claims.
type Verified = (Box<[u8]>, Claims);

/// Tokens that one set of keys has verified.
#[derive(Default)]
pub(super) struct Cache(Mutex<Vec<Option<Verified>>>);

impl Cache {
    /// The claims of this token, if it is remembered.
    pub(super) fn recall(&self, token: &[u8]) -> Option<Claims> {
        let places = self.0.lock().ok()?;
        let (known, claims) = places.get(place(token))?.as_ref()?;
        // The whole token, and in constant time: how long it takes must not tell how much of a guess is right.
        bool::from(known.ct_eq(token)).then(|| claims.clone())
    }

    /// Remembers a token that was verified, in the place of another.
    pub(super) fn keep(&self, token: &[u8], claims: &Claims) {
        let Ok(mut places) = self.0.lock() else { return };
        places.resize(PLACES, None);
        if let Some(kept) = places.get_mut(place(token)) {
            *kept = Some((token.into(), claims.clone()));
        }
    }
}

/// Tokens are credentials, and never printed.
impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Cache")
    }
}

/// By two characters of the signature's R, which is random; S, at the end, is below 2^253, and its last characters vary
/// little. Whoever picks them gets nowhere: what was not verified is not kept, and what is not found is verified.
fn place(token: &[u8]) -> usize {
    let picked = token.len().checked_sub(50).and_then(|at| token.get(at..at + 2));
    picked.unwrap_or_default().iter().fold(0, |sum, &byte| sum * 67 + usize::from(byte)) % PLACES
}
