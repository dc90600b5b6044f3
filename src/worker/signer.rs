//! Signing with the platform's Ed25519: native, constant in time, and three times as fast as any in wasm.

use wasm_bindgen::JsValue;

use super::{bridge, job::Wait};
use crate::service::Signer;

/// A promise of the active key as a `CryptoKey`, which cannot be read out.
pub(super) struct WebCrypto<'a>(pub(super) &'a JsValue);

impl Signer for WebCrypto<'_> {
    async fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        bridge::sign(self.0, message);
        Wait.await.ok()?.try_into().ok()
    }
}
