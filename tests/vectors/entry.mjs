// A Worker that says of each of the vectors it is sent whether the signature holds (verdict.rs), or signs those that have a
// seed, as ours does.

import { initSync, verdict } from "worker/glue";
import module from "./index_bg.wasm";
import { importKey, polling, sign } from "worker/bridge";

initSync({ module });

const bytes = (hex) => Uint8Array.fromHex(hex);

function signature({ seed, message }) {
  const job = {};
  polling(job);
  sign(importKey(bytes(seed)), bytes(message));
  return job.promise.then((made) => made.toHex());
}

export default {
  async fetch(request) {
    const vectors = await request.json();
    return Response.json(await Promise.all(vectors.map((vector) => {
      if ("seed" in vector) return signature(vector);
      return verdict(bytes(vector.key), bytes(vector.message), bytes(vector.signature));
    })));
  },
};
