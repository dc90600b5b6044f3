//! The calls into JavaScript (`bridge.mjs`). Each begins something, for which the job then waits.

use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

#[wasm_bindgen(raw_module = "worker/bridge")]
extern "C" {
    /// Begins to read the body of the job's request, no more than `limit` bytes of it.
    pub(super) fn body(limit: usize, is_announced: bool);
    /// Begins an exchange with another server.
    pub(super) fn exchange(request: &str, deadline_milliseconds: u32, limit: usize);
    /// Begins a batch of statements.
    pub(super) fn batch(database: &JsValue, statements: &str);
    /// A promise of the Ed25519 key of this seed. Nothing waits for it here.
    #[wasm_bindgen(js_name = importKey)]
    pub(super) fn import_key(seed: &[u8]) -> JsValue;
    /// Begins to sign with a key that was imported.
    pub(super) fn sign(key: &JsValue, message: &[u8]);
    /// Begins to check an ES256 signature.
    pub(super) fn verify(key: &[u8], message: &[u8], signature: &[u8]);
    /// Begins to count one more attempt of this key.
    pub(super) fn count(limiter: &JsValue, key: &str);
}
