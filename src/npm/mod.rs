//! The entry points that `pkg/` calls. What a user of the npm package sees is written there.
//!
//! Verifying crosses the boundary once, with two numbers: JavaScript writes the token into a buffer in
//! wasm memory, and gets back a length (the payload now stands in the buffer) or an error's index.
//! Setting up is rare, and uses ordinary values.

use js_sys::Error as JsError;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{
    jwt::{self, KeySet, MAX_TOKEN_BYTES, Policy, Revocations, Verified},
    time::UnixTime,
};

/// The errors of a verification, in the order of their indices.
const ERRORS: [jwt::Error; 10] = [
    jwt::Error::TooLong,
    jwt::Error::Malformed,
    jwt::Error::UnknownKey,
    jwt::Error::Signature,
    jwt::Error::Claims,
    jwt::Error::Issuer,
    jwt::Error::Audience,
    jwt::Error::NotYetValid,
    jwt::Error::Expired,
    jwt::Error::Revoked,
];

/// The stable code of each error, in the order of their indices: an array of strings.
///
/// # Errors
/// None: strings can be written.
#[wasm_bindgen(js_name = errorCodes)]
pub fn error_codes() -> Result<JsValue, serde_wasm_bindgen::Error> {
    serde_wasm_bindgen::to_value(&ERRORS.map(|error| error.code()))
}

/// One policy, the keys known at the moment, and the buffer.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RawVerifier {
    policy: Policy,
    keys: KeySet,
    /// What has been taken back, as far as is known.
    revocations: Option<Revocations>,
    buffer: Vec<u8>,
}

#[wasm_bindgen]
impl RawVerifier {
    /// Takes what is required of tokens, the tolerance in seconds, and the text of a JWKS.
    ///
    /// # Errors
    /// An `Error` whose message says what is wrong with the keys.
    #[wasm_bindgen(constructor)]
    pub fn new(
        issuer: String,
        audience: String,
        clock_tolerance: u32,
        jwks: &str,
    ) -> Result<Self, JsError> {
        let clock_tolerance = clock_tolerance.min(Policy::MAX_CLOCK_TOLERANCE);
        let policy = Policy { issuer, audience, clock_tolerance };
        let buffer = vec![0; MAX_TOKEN_BYTES];
        Ok(Self { policy, keys: keys(jwks)?, revocations: None, buffer })
    }

    /// Replaces the keys, all at once or not at all.
    ///
    /// # Errors
    /// An `Error` whose message says what is wrong with the keys.
    #[wasm_bindgen(js_name = setKeys)]
    pub fn set_keys(&mut self, jwks: &str) -> Result<(), JsError> {
        let mut new = keys(jwks)?;
        new.inherit(&self.keys);
        self.keys = new;
        Ok(())
    }

    /// Replaces what is known of ended sessions with a signed feed, unless the one that is known is newer. Gives the
    /// feed's expiry, seconds since 1970.
    ///
    /// # Errors
    /// An `Error` whose message says what is wrong with the feed.
    #[wasm_bindgen(js_name = setRevocations)]
    pub fn set_revocations(&mut self, feed: &str, now: f64) -> Result<f64, JsError> {
        let error = |error: jwt::Error| JsError::new(error.code());
        let now = moment(now).ok_or_else(|| error(jwt::Error::NotYetValid))?;
        let new =
            Revocations::verify(feed.as_bytes(), &self.keys, &self.policy, now).map_err(error)?;
        if self.revocations.as_ref().is_some_and(|known| known.iat > new.iat) {
            return Err(JsError::new("the feed is older than the one that is known"));
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds until the year 9999 are exact")]
        let expires_at = new.exp.seconds() as f64;
        self.revocations = Some(new);
        Ok(expires_at)
    }

    /// Prepares the keys now; without it, a key is prepared once it has verified some tokens.
    pub fn warm(&self) {
        self.keys.warm();
    }

    /// Where in wasm memory the buffer of 4096 bytes stands, for as long as the verifier lives.
    #[must_use]
    pub fn buffer(&self) -> usize {
        self.buffer.as_ptr().addr()
    }

    /// Verifies the first `length` bytes of the buffer at `now`, seconds since 1970.
    ///
    /// Gives the payload's length, the payload then being the buffer's first bytes; or, for the error
    /// with index i, the number -1 - i.
    pub fn verify(&mut self, length: usize, now: f64) -> i32 {
        match self.check(length, now) {
            Ok(length) => i32::try_from(length).unwrap_or(i32::MAX),
            Err(error) => {
                let index = ERRORS.iter().position(|&other| other == error).unwrap_or(0);
                -1 - i32::try_from(index).unwrap_or(0)
            }
        }
    }

    fn check(&mut self, length: usize, now: f64) -> Result<usize, jwt::Error> {
        let now = moment(now).ok_or(jwt::Error::NotYetValid)?;
        let token = self.buffer.get(..length).ok_or(jwt::Error::TooLong)?;
        let Verified { claims, payload } = jwt::verify(token, &self.keys, &self.policy, now)?;
        if self.revocations.as_ref().is_some_and(|known| known.revokes(&claims)) {
            return Err(jwt::Error::Revoked);
        }
        // A payload is shorter than its token.
        let room = self.buffer.get_mut(..payload.len()).ok_or(jwt::Error::TooLong)?;
        room.copy_from_slice(&payload);
        Ok(payload.len())
    }
}

/// JavaScript's seconds since 1970, cut to whole ones.
fn moment(seconds: f64) -> Option<UnixTime> {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and NaN gives 0")]
    UnixTime::from_seconds(seconds as i64)
}

fn keys(jwks: &str) -> Result<KeySet, JsError> {
    KeySet::from_jwks(jwks.as_bytes()).map_err(|error| JsError::new(&error.to_string()))
}
