//! The calls into JavaScript, each with its answer: `let rows = host::batch(database,
//! &statements).await?`. `host.mjs` is the other half, and has their deadlines.

use wasm_bindgen::JsValue;

pub(in crate::worker) use self::begin::{has_console_file, import_key, log};
pub(in crate::worker) use super::job::{Answer, Failure};
use super::job::{Call, Waits};

/// The functions of `host.mjs`. Each begins something, and sets the promise that `entry.mjs`
/// awaits.
mod begin {
    use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

    #[wasm_bindgen(raw_module = "worker/host")]
    extern "C" {
        pub(super) fn body(limit: usize, is_announced: bool);
        pub(super) fn exchange(request: &[u8], deadline_milliseconds: u32, limit: usize);
        pub(super) fn batch(database: &JsValue, statements: &str);
        pub(super) fn sign(key: &JsValue, message: &[u8]);
        pub(super) fn verify(key: &[u8], message: &[u8], signature: &[u8]);
        pub(super) fn count(limiter: &JsValue, key: &str);

        /// Logs a line, which is an object in JSON, by this method of the console.
        #[wasm_bindgen]
        pub(in crate::worker) fn log(console: &str, line: &str);

        /// A promise of the Ed25519 key with this seed. No job waits for it: signing does.
        #[wasm_bindgen(js_name = importKey)]
        pub(in crate::worker) fn import_key(seed: &[u8]) -> JsValue;
    }

    #[wasm_bindgen(raw_module = "worker/console")]
    extern "C" {
        /// Whether `entry.mjs` has a file of the console with this name.
        #[wasm_bindgen(js_name = hasFile)]
        pub(in crate::worker) fn has_console_file(name: &str) -> bool;
    }
}

/// Reads the body of the job's request, at most `limit` bytes of it.
pub(in crate::worker) fn body(limit: usize, is_announced: bool) -> impl Future<Output = Answer> {
    Call::new(Waits::Other, move || begin::body(limit, is_announced))
}

/// Sends a request (method, URL and headers as fields) to another server, and returns its response
/// (status, content type and Retry-After as fields), with at most `limit` bytes and one of its
/// body.
pub(in crate::worker) fn exchange(
    request: &[u8],
    deadline_milliseconds: u32,
    limit: usize,
) -> impl Future<Output = Answer> {
    Call::new(Waits::Other, move || begin::exchange(request, deadline_milliseconds, limit))
}

/// Runs a batch of statements in D1 as one transaction, and returns their outcomes.
pub(in crate::worker) fn batch(
    database: &JsValue,
    statements: &str,
) -> impl Future<Output = Answer> {
    Call::new(Waits::D1, move || begin::batch(database, statements))
}

/// Signs a message with a key of [`import_key`].
pub(in crate::worker) fn sign(key: &JsValue, message: &[u8]) -> impl Future<Output = Answer> {
    Call::new(Waits::Other, move || begin::sign(key, message))
}

/// Checks an ES256 signature. [`wire::is_yes`] reads the answer.
///
/// [`wire::is_yes`]: super::wire::is_yes
pub(in crate::worker) fn verify(
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> impl Future<Output = Answer> {
    Call::new(Waits::Other, move || begin::verify(key, message, signature))
}

/// Counts one more attempt with this key. [`wire::is_yes`] reads whether the limiter admits it.
///
/// [`wire::is_yes`]: super::wire::is_yes
pub(in crate::worker) fn count(limiter: &JsValue, key: &str) -> impl Future<Output = Answer> {
    Call::new(Waits::Other, move || begin::count(limiter, key))
}
