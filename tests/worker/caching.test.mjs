// What a cache in front of the Worker may keep: only what is public. An answer without a
// Cache-Control could be kept by a cache's own rules.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { unstable_readConfig as readConfiguration } from "wrangler";
import { root } from "../../scripts/paths.mjs";
import { startIssuer, startSimulator } from "../support/workers.mjs";

/** The paths whose content is the same for everybody. */
const PUBLIC = ["/.well-known/jwks.json", "/openapi.json", "/products", "/revocations"];

describe("caching", { timeout: 600_000 }, () => {
  let pi;
  let worker;
  before(async () => {
    pi = await startSimulator();
    worker = await startIssuer({ pi: pi.url, allowedOrigin: "https://app.example" });
  });
  after(async () => {
    await worker?.close();
    await pi?.close();
  });

  const ask = (method, path, token) =>
    fetch(worker.url + path, {
      method,
      headers: { origin: "https://app.example", "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
      body: ["GET", "HEAD", "OPTIONS"].includes(method) ? undefined : JSON.stringify({ accessToken: "sim-alice" }),
    });

  test("R8: each answer says whether it may be kept, and only public ones may", async () => {
    const { paths } = await (await ask("GET", "/openapi.json")).json();
    assert.deepEqual(PUBLIC.filter((path) => !(path in paths)), []);
    const kept = new Set();
    for (const path of [...Object.keys(paths), "/nowhere"]) {
      for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]) {
        // Each time a new session, because the one before may have ended itself.
        const { sessionToken } = await (await ask("POST", "/session")).json();
        for (const token of [undefined, "x", sessionToken]) {
          const response = await ask(method, path.replace(/\{\w+\}/g, "x"), token);
          await response.arrayBuffer();
          const mayBeKept = PUBLIC.includes(path) && ["GET", "HEAD"].includes(method) && response.status === 200;
          const what = `${method} ${path}: ${response.status}`;
          assert.match(response.headers.get("cache-control"), mayBeKept ? /^public, max-age=\d+$/ : /^no-store$/, what);
          // One with cookies or for another origin must not be mistaken for it.
          assert.match(response.headers.get("vary"), /\bOrigin\b/, what);
          assert.ok(!mayBeKept || response.headers.get("set-cookie") === null, what);
          if (mayBeKept) kept.add(path);
        }
      }
    }
    assert.deepEqual([...kept].sort(), PUBLIC);
  });

  test("each configuration of the Worker has the cache", () => {
    for (const file of ["wrangler.toml", "examples/worker/wrangler.jsonc"]) {
      const { cache } = readConfiguration({ config: `${root}/${file}` }, { hideWarnings: true });
      assert.equal(cache?.enabled, true, file);
    }
  });
});
