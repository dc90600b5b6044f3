//! The functions of the wasm that `pkg/` calls. The public functions of the npm package are in
//! `pkg/`.
//!
//! Verifying crosses the boundary once, with two numbers: JavaScript writes the token into a buffer
//! in wasm memory, and the call returns the length of the payload, which is then in the buffer, or
//! the index of an error. Setting up is rare, and uses ordinary values.

use js_sys::Error as JsError;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{
    jwt::{self, KeySet, MAX_TOKEN_BYTES, Policy, Revocations, Verified, Window},
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

/// A policy, the current keys, and the buffer.
#[wasm_bindgen]
#[derive(Debug)]
pub struct RawVerifier {
    policy: Policy,
    keys: KeySet,
    /// The revocations that are known.
    revocations: Revocations,
    buffer: Vec<u8>,
}

#[wasm_bindgen]
impl RawVerifier {
    /// Makes a verifier from the required issuer and audience, the clock tolerance in seconds, and
    /// the text of a JWKS.
    ///
    /// # Errors
    /// An `Error` whose message describes the problem with the keys.
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
        Ok(Self { policy, keys: keys(jwks)?, revocations: Revocations::default(), buffer })
    }

    /// Replaces all keys. If the new ones have an error, it replaces none.
    ///
    /// # Errors
    /// An `Error` whose message describes the problem with the keys.
    #[wasm_bindgen(js_name = setKeys)]
    pub fn set_keys(&mut self, jwks: &str) -> Result<(), JsError> {
        let mut new = keys(jwks)?;
        new.inherit(&self.keys);
        self.keys = new;
        Ok(())
    }

    /// Adds a window of the revocation feed. Returns the time at which it expires, in seconds since
    /// 1970.
    ///
    /// # Errors
    /// An `Error` whose message is the code of the problem. Then nothing was added.
    #[wasm_bindgen(js_name = addRevocations)]
    pub fn add_revocations(&mut self, document: &[u8], now: f64) -> Result<f64, JsError> {
        let error = |error: jwt::Error| JsError::new(error.code());
        let now = moment(now).ok_or_else(|| error(jwt::Error::NotYetValid))?;
        let (window, fingerprints) =
            Window::verify(document, &self.keys, &self.policy, now).map_err(error)?;
        #[expect(clippy::cast_precision_loss, reason = "seconds until the year 9999 are exact")]
        let expires_at = window.exp.seconds() as f64;
        self.revocations.add(window, fingerprints).map_err(error)?;
        Ok(expires_at)
    }

    /// The number of the last revocation that is known: the next window begins after it. 0 if none
    /// is known.
    #[must_use]
    pub fn position(&self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds until the year 9999 are exact"
        )]
        let position = self.revocations.position() as f64;
        position
    }

    /// Prepares the keys now. Without this call, a key is prepared after it has verified a few
    /// tokens.
    pub fn warm(&self) {
        self.keys.warm();
    }

    /// The address in wasm memory of the buffer of 4096 bytes. It does not change while the
    /// verifier lives.
    #[must_use]
    pub fn buffer(&self) -> usize {
        self.buffer.as_ptr().addr()
    }

    /// Verifies the first `length` bytes of the buffer at `now`, seconds since 1970.
    ///
    /// Returns the length of the payload, which is then at the start of the buffer; or, for the
    /// error with index i, the number -1 - i.
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
        if self.revocations.revokes(&claims) {
            return Err(jwt::Error::Revoked);
        }
        // The buffer has room: a payload is shorter than its token.
        let room = self.buffer.get_mut(..payload.len()).ok_or(jwt::Error::TooLong)?;
        room.copy_from_slice(&payload);
        Ok(payload.len())
    }
}

/// JavaScript's seconds since 1970, rounded down to whole seconds.
fn moment(seconds: f64) -> Option<UnixTime> {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and NaN becomes 0")]
    UnixTime::from_seconds(seconds as i64)
}

fn keys(jwks: &str) -> Result<KeySet, JsError> {
    KeySet::from_jwks(jwks.as_bytes()).map_err(|error| JsError::new(&error.to_string()))
}
