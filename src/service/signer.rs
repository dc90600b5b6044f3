//! The port that signs tokens with the active key, and checks the signatures of clients.

use crate::dpop;

/// Signs with the active key and checks signatures. The platform does both in native code.
#[allow(async_fn_in_trait, reason = "Workers and tests are single-threaded; no Send is needed")]
pub trait Signer {
    /// The Ed25519 signature of this message, made in constant time; none if the platform fails.
    async fn sign(&self, message: &[u8]) -> Option<[u8; 64]>;

    /// Whether this is the ES256 signature of this message by this key ([RFC 7518] §3.4); none if
    /// the platform fails. A point that is not on the curve is not a valid key.
    ///
    /// [RFC 7518]: https://www.rfc-editor.org/rfc/rfc7518
    async fn verifies(
        &self,
        key: &dpop::PublicKey,
        message: &[u8],
        signature: &[u8; 64],
    ) -> Option<bool>;
}
