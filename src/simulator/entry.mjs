// The simulated Pi as a Worker: the answers of the wasm over HTTP, the script that a page loads
// instead of https://sdk.minepi.com/pi-sdk.js, and the page instead of
// https://accounts.pinet.com/oauth/authorize. "worker/glue" is what wasm-bindgen makes
// (scripts/build.mjs).

import { answer, begin, initSync, personas } from "worker/glue";
import module from "./index_bg.wasm";
import page from "./authorize.html" with { type: "text" };
import pageScript from "./authorize.js" with { type: "text" };
import { problem } from "./authorization.mjs";
import sdk from "./sdk.js" with { type: "text" };

initSync({ module });

// Later than any deadline of the service, and sooner than a developer gives up.
const LATE_MS = 30_000;

// No markup from a request runs on the page, and no other page may show it in a frame.
const POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT = "text/javascript; charset=utf-8";

/** Pages of any origin may load the script and ask for the personas. */
const respond = (body, status, headers) => new Response(body, { status, headers: { "access-control-allow-origin": "*", ...headers } });

/** The files, and the answers that need no state; undefined for all others. */
function document(url) {
  switch (url.pathname) {
    case "/sdk.js":
      return respond(sdk, 200, { "content-type": SCRIPT });
    case "/simulator/personas":
      return respond(personas(), 200, { "content-type": "application/json" });
    case "/oauth/authorize.js":
      return respond(pageScript, 200, { "content-type": SCRIPT });
    case "/oauth/authorize": {
      const wrong = problem(url);
      const text = wrong ? `<!doctype html><title>Simulated Pi: development only</title><p>${wrong}</p>` : page;
      return respond(text, wrong ? 400 : 200, { "content-type": "text/html; charset=utf-8", "content-security-policy": POLICY, "referrer-policy": "no-referrer" });
    }
    default:
      return undefined;
  }
}

/** The parts of a request that the wasm reads. They can be stored. */
async function read(request) {
  const { headers, method, url } = request;
  const [authorization, contentType] = [headers.get("authorization"), headers.get("content-type")].map((value) => value ?? undefined);
  return [method, new URL(url).pathname, authorization, contentType, new Uint8Array(await request.arrayBuffer()), Date.now()];
}

async function reply(answered) {
  if (answered === undefined) return respond(null, 400, {});
  if (answered === "late") {
    await new Promise((done) => setTimeout(done, LATE_MS));
    return respond("{}", 200, { "content-type": "application/json" });
  }
  // A Worker cannot close a connection. An error becomes a closed connection.
  if (answered === "broken") throw new Error("the connection breaks");
  const [status, headers, body] = answered;
  // 204 must have no body at all, not even an empty one.
  return respond(body.length > 0 ? body : null, status, Object.fromEntries(headers));
}

/**
 * One Pi that outlives the process: it stores each request that changes something, and answers all
 * of them again at the start. Without this class in its configuration, the Worker remembers as long
 * as its isolate lives.
 */
export class SimulatedPi {
  #storage;
  #count = 0;
  /** Faults count reads, too. */
  #hasFaults = false;

  constructor(context) {
    this.#storage = context.storage;
    context.blockConcurrencyWhile(() => this.#restore());
  }

  async #restore() {
    const seed = (await this.#storage.get("seed")) ?? Date.now();
    await this.#storage.put("seed", seed);
    begin(seed);
    for (const question of (await this.#storage.list({ prefix: "request " })).values()) {
      this.#answer(question);
      this.#count += 1;
    }
  }

  #answer(question) {
    const [method, path] = question;
    if (path === "/simulator/faults") this.#hasFaults = method === "POST";
    return answer(...question);
  }

  async fetch(request) {
    const question = await read(request);
    const [method, path] = question;
    const changes = method !== "OPTIONS" && path !== "/v2/me" && (method !== "GET" || this.#hasFaults);
    if (changes) this.#storage.put(`request ${String(this.#count++).padStart(9, "0")}`, question);
    return reply(this.#answer(question));
  }
}

let hasBegun = false;

export default {
  async fetch(request, env) {
    const found = request.method === "GET" ? document(new URL(request.url)) : undefined;
    if (found) return found;
    if (env?.PI) return env.PI.get(env.PI.idFromName("pi")).fetch(request);
    if (!hasBegun) begin(Date.now());
    hasBegun = true;
    return reply(answer(...(await read(request))));
  },
};
