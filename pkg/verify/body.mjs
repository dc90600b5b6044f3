// Reads the body of an answer, up to a limit, so that no server can fill the memory.

/** @import { FetchedResponse } from "pioneer-session" */

/**
 * The bytes of the body. Reading stops after more than `maxBytes`; then `isWhole` is false.
 *
 * @param {FetchedResponse} response
 * @param {number} maxBytes
 * @returns {Promise<{ bytes: Uint8Array, isWhole: boolean }>}
 */
export async function readBody(response, maxBytes) {
  if (typeof response.body?.getReader !== "function") {
    // There is no body, or the caller's fetch has returned another kind of stream.
    const bytes = new Uint8Array(await response.arrayBuffer());
    return { bytes, isWhole: bytes.length <= maxBytes };
  }
  const chunks = [];
  let length = 0;
  for (const reader = response.body.getReader(); length <= maxBytes; ) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    chunks.push(value);
    if (length > maxBytes) await reader.cancel();
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return { bytes, isWhole: length <= maxBytes };
}
