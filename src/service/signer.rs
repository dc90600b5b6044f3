//! Signing what the service issues with the active key, and checking the signatures of its clients.

use super::{App, Error, Ports};
use crate::{
    dpop,
    jwt::{self, SigningInput},
};

/// Signs with the active key and checks signatures: the platform, which has native code for both.
#[allow(async_fn_in_trait, reason = "Workers and tests are single-threaded; no Send is needed")]
pub trait Signer {
    /// The Ed25519 signature of this message, made in constant time; none when the platform does not sign.
    async fn sign(&self, message: &[u8]) -> Option<[u8; 64]>;

    /// Whether the message has this ES256 signature of this key ([RFC 7518] §3.4); none when the platform does not say. A point
    /// that is not on the curve is no key.
    ///
    /// [RFC 7518]: https://www.rfc-editor.org/rfc/rfc7518
    async fn verifies(
        &self,
        key: &dpop::PublicKey,
        message: &[u8],
        signature: &[u8; 64],
    ) -> Option<bool>;
}

/// The signed token of an input that was made for the active key.
///
/// # Errors
/// [`Error::Internal`].
pub(super) async fn sign<P: Ports>(
    app: &App<'_, P>,
    input: Result<SigningInput, jwt::Error>,
) -> Result<String, Error> {
    let input =
        input.map_err(|_| Error::Internal("what is to be signed is over its size limit"))?;
    let signature = app.signer.sign(input.as_bytes()).await;
    Ok(input.signed(&signature.ok_or(Error::Internal("the platform did not sign"))?))
}
