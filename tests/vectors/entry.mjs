// A Worker that verifies the signatures of test vectors with verdict.rs, or signs the vectors with
// a seed as our Worker does.

import { echo, echoRows, initSync, verdict } from "worker/glue";
import module from "./index_bg.wasm";
import { importKey, polling, sign } from "worker/host";
import { head, outcomes, read, statements, text } from "worker/wire";

initSync({ module });

const bytes = (hex) => Uint8Array.fromHex(hex);
const encoder = new TextEncoder();

function signature({ seed, message }) {
  const job = {};
  polling(job);
  sign(importKey(bytes(seed)), bytes(message));
  return job.promise.then((made) => made.toHex());
}

function answer(asked) {
  if ("seed" in asked) return signature(asked);
  if ("fields" in asked) {
    const [fields, body] = read(echo(encoder.encode(head(asked.fields) + asked.body)));
    return [fields, text(body ?? new Uint8Array())];
  }
  if ("results" in asked) return statements(echoRows(encoder.encode(outcomes(asked.results))));
  return verdict(bytes(asked.key), bytes(asked.message), bytes(asked.signature));
}

export default {
  async fetch(request) {
    const asked = await request.json();
    return Response.json(await Promise.all(asked.map(answer)));
  },
};
