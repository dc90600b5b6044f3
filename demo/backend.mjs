// A backend of the demo's own: it answers the page's GET /profile, and verifies the session by
// itself, as your backend would. It runs in Node, beside the Worker.

import { createServer } from "node:http";
import { createVerifier } from "pioneer-session";
import { refusal, sessionFrom } from "pioneer-session/fetch";

/** A revoked session is refused here after at most this long. The default, 15, is long to watch. */
const POLL_SECONDS = 5;

/** The browser asks for permission once in this time, instead of before each request. */
const PREFLIGHT_SECONDS = 600;

/**
 * Serves on 127.0.0.1. Rejects if the port is in use. The Worker may start later: until it answers,
 * /profile is 503.
 *
 * @param {object} options
 * @param {number} options.port
 * @param {string} options.issuer the Worker's SESSION_ISSUER
 * @param {string} options.audience the Worker's SESSION_AUDIENCE
 * @param {string} options.origin the page's origin, the only one whose scripts may read the answers
 * @param {typeof globalThis.fetch} [options.fetch]
 * @returns {Promise<{ close(): Promise<void> }>}
 */
export async function serve({ port, issuer, audience, origin, fetch = globalThis.fetch }) {
  // The page shows this number: a request with a session does not change it.
  let requestsToWorker = 0;
  const counted = (url, init) => {
    requestsToWorker += 1;
    return fetch(url, init);
  };

  let making;
  /** The only verifier. A failed attempt to make it is repeated by the next request. */
  function verifier() {
    const options = { issuer, audience, revocations: { pollSeconds: POLL_SECONDS }, fetch: counted };
    making ??= createVerifier(options).then(
      (made) => made.warm(), // or the first request would take twenty times as long
      (error) => {
        making = undefined;
        throw error;
      },
    );
    return making;
  }

  async function profile(request) {
    try {
      const { uid, username } = await sessionFrom(request, await verifier());
      return Response.json({ uid, username });
    } catch (error) {
      return refusal(error); // 401, or 503 while there are no keys
    }
  }

  /** The answer to /profile, with its time and its requests to the Worker for the page to show. */
  async function measured(request) {
    const before = requestsToWorker;
    const begun = performance.now();
    const response = await profile(request);
    const headers = new Headers(response.headers);
    headers.set("verified-in-ms", (performance.now() - begun).toFixed(2));
    headers.set("requests-to-worker", String(requestsToWorker - before));
    headers.set("cache-control", "no-store");
    return new Response(response.body, { status: response.status, headers });
  }

  async function answer(incoming) {
    if (incoming.url?.split("?")[0] !== "/profile") return problem(404, "not_found", "This backend has only GET /profile.");
    if (incoming.method === "OPTIONS") return preflight();
    if (incoming.method !== "GET") return problem(405, "method_not_allowed", "Use GET.", { allow: "GET" });
    const headers = new Headers();
    for (const [name, values] of Object.entries(incoming.headersDistinct)) {
      for (const value of values ?? []) headers.append(name, value);
    }
    return measured(new Request(`http://127.0.0.1:${port}/profile`, { headers }));
  }

  /** Only the page's origin gets the permissions. */
  function permissions(incoming) {
    const all = { vary: "origin" };
    if (incoming.headers.origin !== origin) return all;
    return { ...all, "access-control-allow-origin": origin, "access-control-expose-headers": "verified-in-ms, requests-to-worker, www-authenticate" };
  }

  const server = createServer(async (incoming, outgoing) => {
    // An unexpected error must not end the process. Its text may repeat a part of the request.
    const response = await answer(incoming).catch(() => problem(500, "internal_error", "The demo's backend has failed."));
    outgoing.writeHead(response.status, { ...Object.fromEntries(response.headers), ...permissions(incoming) });
    outgoing.end(Buffer.from(await response.arrayBuffer()));
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(undefined));
  });
  verifier().catch(() => {}); // fetches the keys now, so that the first request finds them

  return {
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await (await making?.catch(() => undefined))?.close();
    },
  };
}

const preflight = () =>
  new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-methods": "GET",
      "access-control-allow-headers": "authorization",
      "access-control-max-age": String(PREFLIGHT_SECONDS),
    },
  });

/** @param {Record<string, string>} [headers] */
const problem = (status, code, detail, headers = {}) =>
  Response.json({ type: "about:blank", status, code, detail }, { status, headers: { ...headers, "content-type": "application/problem+json" } });
