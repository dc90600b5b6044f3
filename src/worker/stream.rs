//! Reading a stream up to a limit: what comes after it is not waited for, and takes no memory.

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// The first bytes of the stream, `limit` at most. The rest is cancelled.
pub(super) async fn read_to(
    stream: web_sys::ReadableStream,
    limit: usize,
) -> Result<Vec<u8>, JsValue> {
    let reader: web_sys::ReadableStreamDefaultReader = stream.get_reader().unchecked_into();
    let mut bytes = Vec::new();
    while bytes.len() < limit {
        let step = JsFuture::from(reader.read()).await?;
        if Reflect::get(&step, &"done".into())?.is_truthy() {
            return Ok(bytes);
        }
        let chunk: Uint8Array = Reflect::get(&step, &"value".into())?.dyn_into()?;
        let room = u32::try_from(limit - bytes.len()).unwrap_or(u32::MAX);
        bytes.extend(chunk.subarray(0, chunk.length().min(room)).to_vec());
    }
    // Fire and forget: the peer's reaction to being cut off is not our concern.
    let _ = reader.cancel();
    Ok(bytes)
}
