//! The session token: a profile of JSON Web Tokens so narrow that there is nothing to negotiate.
//!
//! | part | what is accepted |
//! |---|---|
//! | form | JWS compact serialisation ([RFC 7515] §7.1), at most [`MAX_TOKEN_BYTES`] |
//! | header | byte for byte `{"alg":"EdDSA","kid":"<thumbprint>","typ":"pi-session+jwt"}` |
//! | | or the same with `"alg":"Ed25519"`, the newer name of [RFC 9864] |
//! | signature | Ed25519 ([RFC 8032], [RFC 8037]), strict: canonical S and R, no small-order point |
//! | payload | one JSON object ([`claims`]), no duplicate names, exact types |
//!
//! A verifier compares the encoded header with the two headers of each of its keys. Both names of
//! the algorithm mean Ed25519; the issuer writes `EdDSA`. A verifier parses no header and chooses
//! no algorithm, so `none`, `jwk`, `jku`, `x5u`, `crit` and `b64` are all just another
//! header. This follows [RFC 8725].
//!
//! The [`Window`]s of the revocation feed and the tokens of operators ([`OperatorClaims`]) are
//! signed the same way, each with another `typ`.
//!
//! Not here: the clock, randomness, fetching keys. They are arguments. A caller may sign with
//! [`SigningKey::sign`], or with a faster Ed25519 of its platform.
//!
//! [RFC 7515]: https://www.rfc-editor.org/rfc/rfc7515
//! [RFC 8032]: https://www.rfc-editor.org/rfc/rfc8032
//! [RFC 8037]: https://www.rfc-editor.org/rfc/rfc8037
//! [RFC 8725]: https://www.rfc-editor.org/rfc/rfc8725
//! [RFC 9864]: https://www.rfc-editor.org/rfc/rfc9864

mod cache;
mod claims;
mod compact;
mod ed25519;
mod error;
mod guessable;
mod key;
mod operator;
mod revocation;
mod table;

pub use claims::{Claims, MAX_LIFETIME, Policy};
pub use compact::{MAX_TOKEN_BYTES, SigningInput};
pub use ed25519::PublicKey;
pub use error::{Error, KeyError};
pub use key::{KeySet, SigningKey, SigningKeys, VerifyingKey};
pub use operator::{OperatorClaims, Role};
pub use revocation::{
    FEED_LIFETIME, FINGERPRINT_BYTES, FINGERPRINT_CHARACTERS, MAX_FEED_BYTES, Revocations, Window,
    fingerprint,
};

use crate::time::UnixTime;

/// A valid token, and its payload, byte for byte.
#[derive(Debug)]
pub struct Verified {
    /// The claims, parsed and checked.
    pub claims: Claims,
    /// The JSON text of the payload: valid UTF-8, one object, no duplicate names.
    pub payload: Vec<u8>,
}

/// The text that the key must sign to make a token of the claims. The same claims and key make the
/// same token.
///
/// # Errors
/// [`Error::TooLong`] if the token would be longer than [`MAX_TOKEN_BYTES`].
pub fn signing_input(claims: &Claims, key: &SigningKey) -> Result<SigningInput, Error> {
    let payload = serde_json::to_vec(claims).map_err(|_| Error::Claims)?;
    SigningInput::new(key.public().header(), &payload, MAX_TOKEN_BYTES)
}

/// Verifies a token, in this order: length, shape, header, base64url, signature, JSON, claims.
///
/// The caller reads `now` once, so that one verification uses one time.
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
    let payload = key.payload(&parts)?;
    let claims = Claims::parse(&payload)?;
    claims.check(policy, now)?;
    Ok(Verified { claims, payload })
}
