// Reads the body of an answer, up to a limit, so that an issuer cannot fill the memory.

/** @import { FetchedResponse } from "pioneer-session" */

/**
 * The bytes of the body. Throws when there are more than `maxBytes`.
 *
 * @param {FetchedResponse} response
 * @param {number} maxBytes
 * @returns {Promise<Uint8Array>}
 */
export async function bytesOf(response, maxBytes) {
  const tooLong = () => new Error(`the issuer's answer is over ${maxBytes / 1024} KiB`);
  if (typeof response.body.getReader !== "function") {
    // The caller's fetch may return another kind of stream.
    const buffer = await response.arrayBuffer();
    if (buffer.byteLength > maxBytes) throw tooLong();
    return new Uint8Array(buffer);
  }
  const chunks = [];
  let length = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > maxBytes) {
      await reader.cancel();
      throw tooLong();
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
