// The simulated Pi as a Worker: a second start remembers what happened in the first one.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { paths, root } from "../../scripts/paths.mjs";

const KEY = { authorization: "Key simulated-server-api-key" };
const ALICE = { authorization: "Bearer sim-alice" };

describe("the simulated Pi", () => {
  const folder = mkdtempSync(join(tmpdir(), "pioneer-session-simulator-"));
  const started = [];
  after(async () => {
    await Promise.all(started.map((pi) => pi.dispose().catch(() => {}))); // most are closed already
    rmSync(folder, { recursive: true, force: true });
  });

  async function start(persist = folder) {
    const pi = new Miniflare(convertV4MiniflareOptions({
      modulesRoot: paths.simulator,
      modules: [
        { type: "ESModule", path: `${paths.simulator}/index.js` },
        { type: "CompiledWasm", path: `${paths.simulator}/index_bg.wasm` },
      ],
      compatibilityDate: readFileSync(`${root}/wrangler.toml`, "utf8").match(/compatibility_date = "(.+)"/)[1],
      ...(persist ? { durableObjects: { PI: { className: "SimulatedPi", useSQLite: true } }, resourcePersistencePath: persist } : {}),
    }));
    started.push(pi);
    const { origin } = await pi.ready;
    const ask = async (method, path, headers = {}, body) => {
      const response = await fetch(`${origin}${path}`, { method, headers: { ...headers, ...(body ? { "content-type": "application/json" } : {}) }, body: body && JSON.stringify(body), redirect: "manual" });
      const text = await response.text();
      return { status: response.status, headers: response.headers, text, json: text.startsWith("{") ? JSON.parse(text) : undefined };
    };
    return { ask, close: () => pi.dispose() };
  }

  test("remembers payments, and the faults between them, over a restart in mid-payment", async () => {
    const first = await start();
    const { json: payment } = await first.ask("POST", "/simulator/payments", ALICE, { amount: 3.14, memo: "coffee", metadata: {} });
    assert.equal((await first.ask("POST", "/simulator/faults", {}, { step: "any", fault: "html500", every: 2 })).status, 204);
    assert.equal((await first.ask("GET", `/v2/payments/${payment.identifier}`, KEY)).status, 200);
    assert.equal((await first.ask("POST", `/v2/payments/${payment.identifier}/approve`, KEY)).status, 500, "the fault hits it");
    assert.equal((await first.ask("POST", `/v2/payments/${payment.identifier}/approve`, KEY)).status, 200);
    await first.close();

    const second = await start();
    assert.equal((await second.ask("DELETE", "/simulator/faults")).status, 204);
    const { json: known } = await second.ask("GET", `/v2/payments/${payment.identifier}`, KEY);
    assert.deepEqual([known.amount, known.status.developer_approved], [3.14, true]);
    const { json: paid } = await second.ask("POST", `/simulator/payments/${payment.identifier}/pay`, ALICE);
    await second.close();

    const third = await start();
    const { status, json } = await third.ask("POST", `/v2/payments/${payment.identifier}/complete`, KEY, { txid: paid.transaction.txid });
    assert.deepEqual([status, json.status.developer_completed], [200, true]);
    const { json: next } = await third.ask("POST", "/simulator/payments", ALICE, { amount: 1, memo: "tea", metadata: {} });
    assert.notEqual(next.identifier, payment.identifier);
    await third.close();
  });

  test("without its class, it remembers as long as it runs", async () => {
    const one = await start(null);
    const { json } = await one.ask("POST", "/simulator/payments", ALICE, { amount: 1, memo: "tea", metadata: {} });
    assert.equal((await one.ask("GET", `/v2/payments/${json.identifier}`, KEY)).status, 200);
    await one.close();
    const two = await start(null);
    assert.equal((await two.ask("GET", `/v2/payments/${json.identifier}`, KEY)).status, 404);
    await two.close();
  });

  test("answers as Pi does, whatever it is asked", async () => {
    const pi = await start(null);
    assert.deepEqual([(await pi.ask("GET", "/v2/me", ALICE)).json.username, (await pi.ask("GET", "/v2/me")).status], ["alice_pioneer", 401]);
    assert.match((await pi.ask("GET", "/sdk.js")).text, /Pi/);
    assert.equal((await pi.ask("GET", "/v2/me", { authorization: "Bearer sim-redirect" })).headers.get("location"), "https://elsewhere.example/v2/me");
    assert.equal((await pi.ask("GET", "/v2/me", { authorization: "Bearer sim-huge" })).text.length, 5_000_000);
    assert.notEqual((await pi.ask("GET", "/v2/me", { authorization: "Bearer sim-broken" }).catch(() => ({ status: 0 }))).status, 200);
    assert.equal((await pi.ask("OPTIONS", "/simulator/payments")).status, 204);
    assert.equal((await pi.ask("GET", "/nothing")).status, 404);
    assert.equal((await pi.ask("POST", "/v2/payments/%zz/approve", KEY)).status >= 400, true);
    assert.equal((await pi.ask("GET", "/v2/me", ALICE)).status, 200, "it still answers");
    await pi.close();
  });

  test("returns from Pi Sign-in only to an address that may have a token", async () => {
    const pi = await start(null);
    const page = (query) => pi.ask("GET", `/oauth/authorize?${query}`);
    const good = "response_type=token&client_id=x&redirect_uri=";
    for (const target of ["https://app.example/", "http://localhost:5173/a?b=c", "http://[::1]:1/", "http://127.0.0.1/"]) {
      const { status, headers } = await page(good + encodeURIComponent(target));
      assert.equal(status, 200, target);
      assert.match(headers.get("content-security-policy"), /default-src 'none'.*frame-ancestors 'none'/);
    }
    for (const target of ["", "javascript:alert(1)", "data:text/html,x", "http://app.example/", "https://app.example/#x", "https://user@app.example/", "//app.example", "x"]) {
      const { status, text } = await page(good + encodeURIComponent(target));
      assert.equal(status, 400, target);
      assert.ok(!text.includes("alert"), "it repeats the request");
    }
    for (const query of ["", "client_id=x&redirect_uri=https://a.example", "response_type=code&client_id=x&redirect_uri=https://a.example", "response_type=token&redirect_uri=https://a.example", `${good}https://a.example&redirect_uri=https://b.example`, `${good}https://a.example&state=1&state=2`]) {
      assert.equal((await page(query)).status, 400, query);
    }
    await pi.close();
  });
});
