//! The session token: a profile of JSON Web Tokens so narrow that there is nothing to negotiate.
//!
//! | part | what is accepted |
//! |---|---|
//! | form | JWS compact serialisation ([RFC 7515] §7.1), at most [`MAX_TOKEN_BYTES`] |
//! | header | byte for byte `{"alg":"EdDSA","kid":"<thumbprint>","typ":"pi-session+jwt"}` |
//! | signature | Ed25519 ([RFC 8032], [RFC 8037]), strict: canonical S and R, no small-order point |
//! | payload | one JSON object ([`claims`]), no duplicate names, exact types |
//!
//! A verifier compares the encoded header with the headers of the keys it knows. So no header is
//! parsed, no algorithm is chosen, and `none`, `jwk`, `jku`, `x5u`, `crit` and `b64` are all the same
//! thing: another header. This follows [RFC 8725].
//!
//! [`Revocations`] are signed the same way, with another `typ`.
//!
//! Not here: the clock, randomness, fetching keys. They are arguments. Signing itself is left to whoever has the
//! fastest sound Ed25519: it is [`SigningKey::sign`], or the platform's own.
//!
//! [RFC 7515]: https://www.rfc-editor.org/rfc/rfc7515
//! [RFC 8032]: https://www.rfc-editor.org/rfc/rfc8032
//! [RFC 8037]: https://www.rfc-editor.org/rfc/rfc8037
//! [RFC 8725]: https://www.rfc-editor.org/rfc/rfc8725

mod cache;
mod claims;
mod compact;
mod ed25519;
mod error;
mod key;
mod revocation;
mod table;

pub use claims::{Claims, MAX_LIFETIME, Policy};
pub use compact::{MAX_TOKEN_BYTES, SigningInput};
pub use ed25519::PublicKey;
pub use error::{Error, KeyError};
pub use key::{KeySet, SigningKey, SigningKeys, VerifyingKey};
pub use revocation::{FEED_LIFETIME, MAX_FEED_BYTES, Revocations};

use crate::time::UnixTime;

/// A token that held, and the payload that it carried, byte for byte.
#[derive(Debug)]
pub struct Verified {
    /// The claims, parsed and checked.
    pub claims: Claims,
    /// The JSON text of the payload: valid UTF-8, one object, no duplicate names.
    pub payload: Vec<u8>,
}

/// What the key must sign to make a token of the claims. The same claims and key give the same token.
///
/// # Errors
/// [`Error::TooLong`] when the token would be over [`MAX_TOKEN_BYTES`].
pub fn signing_input(claims: &Claims, key: &SigningKey) -> Result<SigningInput, Error> {
    let payload = serde_json::to_vec(claims).map_err(|_| Error::Claims)?;
    SigningInput::new(key.public().header(), &payload, MAX_TOKEN_BYTES)
}

/// Verifies a token, in this order: length, shape, header, base64url, signature, JSON, claims.
///
/// `now` is read once by the caller, so that one verification sees one time.
///
/// # Errors
/// The first [`Error`] in that order.
pub fn verify(
    token: &[u8],
    keys: &KeySet,
    policy: &Policy,
    now: UnixTime,
) -> Result<Verified, Error> {
    let parts = compact::split(token, MAX_TOKEN_BYTES)?;
    let key = keys.with_header(parts.header).ok_or(Error::UnknownKey)?;
    let (payload, signature) = parts.decode()?;
    if !key.verifies(parts.signed, &signature) {
        return Err(Error::Signature);
    }
    let claims = Claims::parse(&payload)?;
    claims.check(policy, now)?;
    Ok(Verified { claims, payload })
}
