//! Signing what the service issues, with the active key.

use super::{App, Error, Ports};
use crate::jwt::{self, SigningInput};

/// Signs with the active key, by Ed25519 and in constant time: the platform, where it has native code for that.
#[allow(async_fn_in_trait, reason = "Workers and tests are single-threaded; no Send is needed")]
pub trait Signer {
    /// The signature of this message; none when the platform does not sign.
    async fn sign(&self, message: &[u8]) -> Option<[u8; 64]>;
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
