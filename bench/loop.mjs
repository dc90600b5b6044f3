// The CPU time of a request inside workerd, without connections: `node bench/loop.mjs --before
// <folder>` compares the Worker with an earlier build in turns, and prints JSON. A loop in the
// isolate makes the requests, and answers for Pi and the database, so that little but the Worker's
// own code is measured: the difference of two builds is clearer here than under load. The CPU time
// is read from /proc, so it needs Linux.

import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { newKey } from "../pkg/cli/keys.mjs";
import { bare, prepare, settings } from "./runtime.mjs";
import { median } from "./statistics.mjs";

const { before } = parseArgs({ options: { before: { type: "string" } } }).values;
const NAMES = ["ours", ...(before ? ["before"] : [])];
const REQUESTS = { "session check": 4000, "sign-in": 1500 }; // of a round: more than half a second
const WARM_UP_ROUNDS = 3;
const ROUNDS = 15;

const LOOP = `
import worker from "./index.js";
import { around } from "./storage.mjs";
const me = JSON.stringify({ uid: "a11ce000-0000-4000-8000-000000000001", username: "pioneer_1", app_id: "bench-app", credentials: { scopes: ["username", "payments"], valid_until: { timestamp: 4000000000, iso8601: "2096-10-02T07:06:40Z" } } });
globalThis.fetch = async () => new Response(me, { headers: { "content-type": "application/json", "content-length": String(me.length) } });
const { fetch } = around(worker);
const body = '{"accessToken":"user-100"}';
const signIn = () => new Request("http://127.0.0.1:8787/session", { method: "POST", headers: { "content-type": "application/json", "content-length": String(body.length) }, body });
const context = { waitUntil() {} };
let check;
export default {
  async fetch({ url }, env) {
    const { searchParams } = new URL(url);
    if (check === undefined) {
      const { sessionToken } = await (await fetch(signIn(), env, context)).json();
      check = new Request("http://127.0.0.1:8787/session", { headers: { authorization: \`Bearer \${sessionToken}\` } });
    }
    for (let left = Number(searchParams.get("requests")); left > 0; left--) {
      const response = await fetch(searchParams.get("what") === "sign-in" ? signIn() : check, env, context);
      if (response.status !== 200) return response;
      await response.arrayBuffer();
    }
    return new Response(null, { status: 204 });
  },
};
`;

const folder = prepare({ before });
const bindings = settings({ pi: "http://127.0.0.1:1", keys: JSON.stringify({ keys: [newKey()] }), secret: randomBytes(32).toString("base64url") });
const workers = {};
try {
  for (const name of NAMES) {
    writeFileSync(`${folder}/${name}/bare.mjs`, LOOP);
    workers[name] = await bare(name, bindings);
  }
  const results = {};
  for (const [what, requests] of Object.entries(REQUESTS)) {
    const micros = Object.fromEntries(NAMES.map((name) => [name, []]));
    for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
      for (const name of round % 2 === 0 ? NAMES : NAMES.toReversed()) {
        const cpuMs = workers[name].cpuMs();
        const response = await fetch(`http://127.0.0.1:${workers[name].port}/?${new URLSearchParams({ what, requests })}`);
        if (response.status !== 204) throw new Error(`${name}, ${what}: ${response.status} ${await response.text()}`);
        if (round >= WARM_UP_ROUNDS) micros[name].push((1000 * (workers[name].cpuMs() - cpuMs)) / requests);
      }
    }
    results[what] = Object.fromEntries(NAMES.map((name) => [name, { leastMicros: Math.min(...micros[name]), medianMicros: median(micros[name]) }]));
  }
  console.log(JSON.stringify(results, null, 1));
} finally {
  for (const worker of Object.values(workers)) await worker.close();
}
