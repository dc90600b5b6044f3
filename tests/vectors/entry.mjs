// A Worker that says of each of the vectors it is sent whether the signature holds (verdict.rs).

import { initSync, verdict } from "worker/glue";
import module from "./index_bg.wasm";

initSync({ module });

const bytes = (hex) => Uint8Array.fromHex(hex);

export default {
  async fetch(request) {
    const vectors = await request.json();
    return Response.json(vectors.map(({ key, message, signature }) => verdict(bytes(key), bytes(message), bytes(signature))));
  },
};
