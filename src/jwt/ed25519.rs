//! Ed25519 ([RFC 8032]) over dalek's public API: strict verification, deterministic signing. The
//! encoding of keys is in `key`.
//!
//! [RFC 8032]: https://www.rfc-editor.org/rfc/rfc8032

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// The public key with these bytes, if they are the canonical encoding of a point of large order.
///
/// A small-order key would accept one signature for every message.
pub(super) fn public_key(bytes: &[u8; 32]) -> Option<VerifyingKey> {
    let key = VerifyingKey::from_bytes(bytes).ok()?;
    let canonical = key.to_edwards().compress().as_bytes() == bytes;
    (canonical && !key.is_weak()).then_some(key)
}

/// Whether the signature holds, refusing what RFC 8032 leaves open: S and R must be canonical, and
/// neither R nor the key of small order.
pub(super) fn verifies(key: &VerifyingKey, message: &[u8], signature: &[u8; 64]) -> bool {
    key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
}

/// Signs in constant time, without randomness.
pub(super) fn sign(key: &SigningKey, message: &[u8]) -> [u8; 64] {
    key.sign(message).to_bytes()
}
