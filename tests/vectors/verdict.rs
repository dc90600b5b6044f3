//! Whether a signature holds, by both ways of verifying, as the Worker is compiled: for `tests/vectors/vectors.test.mjs` to ask
//! inside of workerd.

use pioneer_session::jwt::PublicKey;
use wasm_bindgen::prelude::wasm_bindgen;

/// Bit 0: without prepared tables; bit 1: with them. A key that is refused verifies nothing.
#[wasm_bindgen]
#[must_use]
pub fn verdict(key: &[u8], message: &[u8], signature: &[u8]) -> u8 {
    let verifies = |is_warm: bool| {
        let key = PublicKey::new(key.try_into().ok()?)?;
        if is_warm {
            key.warm();
        }
        Some(key.verifies(message, signature.try_into().ok()?))
    };
    let [plain, warm] = [false, true].map(|is_warm| u8::from(verifies(is_warm) == Some(true)));
    plain | warm << 1
}
