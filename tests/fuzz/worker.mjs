// Fuzzes the built Worker in real workerd, with a real D1 and the simulated Pi (inside.mjs).

import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { newKey } from "../../pkg/cli/keys.mjs";
import { root } from "../../scripts/paths.mjs";
import { startSimulator } from "../support/workers.mjs";
import { ALLOWED_ORIGINS, Random } from "./grammar.mjs";

const BATCH = 1000; // requests with the same sessions; each batch starts new ones
const ISSUER = "https://id.example";
const SHOWN = 20;

/** The codes of the Worker that docs/errors.md documents, by status. */
export function documentedCodes() {
  const codes = {};
  const page = readFileSync(`${root}/docs/errors.md`, "utf8");
  for (const [, code, status] of page.matchAll(/^## `([a-z_]+)`\n\nReported by the Worker \((\d{3})\)/gm)) {
    (codes[status] ??= []).push(code);
  }
  return codes;
}

function add(sums, verdicts) {
  for (const [name, count] of Object.entries(verdicts)) sums[name] = (sums[name] ?? 0) + count;
}

/** Tries `count` inputs. Returns the number of each verdict, and every trap and wrong verdict. */
export async function fuzzWorker({ count, seed, say = () => {} }) {
  const random = new Random(seed);
  const simulator = await startSimulator();
  const [key, otherKey] = [newKey(), generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" })];
  const credential = randomBytes(32).toString("base64url");
  const worker = new Miniflare(convertV4MiniflareOptions({
    modulesRoot: root,
    modules: [
      { type: "ESModule", path: `${root}/inside.mjs`, contents: readFileSync(`${root}/tests/fuzz/inside.mjs`, "utf8") },
      { type: "ESModule", path: `${root}/index.js`, contents: readFileSync(`${root}/build/index.js`, "utf8") },
      { type: "CompiledWasm", path: `${root}/index_bg.wasm`, contents: readFileSync(`${root}/build/index_bg.wasm`) },
      { type: "ESModule", path: `${root}/tests/fuzz/grammar.mjs` },
    ],
    compatibilityDate: readFileSync(`${root}/wrangler.toml`, "utf8").match(/compatibility_date = "(.+)"/)[1],
    d1Databases: { DB: "fuzz" },
    handleStructuredLogs: () => {},
    bindings: {
      ENVIRONMENT: "development",
      SESSION_ISSUER: ISSUER,
      SESSION_AUDIENCE: "fuzz-app",
      SESSION_TTL: "600",
      SESSION_COOKIE: "on",
      SESSION_KEYS: JSON.stringify({ keys: [key] }),
      REFRESH_SECRET: randomBytes(32).toString("base64url"),
      MAX_SESSIONS_PER_USER: "100",
      ALLOWED_ORIGINS: ALLOWED_ORIGINS.join(","),
      RATE_LIMITS: "off",
      PI_API_BASE: simulator.url,
      PI_APP_ID: "simulated-app",
      PI_API_KEY: "simulated-server-api-key",
      PI_NETWORK: "Pi Testnet",
      BACKEND_CREDENTIALS: JSON.stringify({ fuzz: createHash("sha256").update(credential).digest("hex") }),
    },
  }));
  const result = { inputs: 0, verdicts: {}, unsendable: 0, traps: 0, wrong: 0, shown: [] };
  try {
    const url = await worker.ready;
    const health = () => fetch(new URL("/health", url)).then(({ status }) => status);
    await fetch(new URL("/products", url)); // sets the development database up
    const database = await worker.getD1Database("DB");
    await database.prepare("INSERT INTO products (id, name, amount_stroops) VALUES ('coffee', 'Coffee', 31400000)").run();
    const codes = documentedCodes();
    const began = performance.now();
    while (result.inputs < count) {
      const body = JSON.stringify({ count: Math.min(BATCH, count - result.inputs), seed: random.int(2 ** 32), key, otherKey, credential, codes });
      const response = await fetch(new URL("/fuzz", url), { method: "POST", body });
      if (response.status !== 200) throw new Error(`a batch failed: ${await response.text()}`);
      const batch = await response.json();
      for (const name of ["inputs", "unsendable", "traps", "wrong"]) result[name] += batch[name];
      add(result.verdicts, batch.verdicts);
      result.shown = [...result.shown, ...batch.shown].slice(0, SHOWN);
      // Otherwise the revocation feed grows with every batch, and each request for it gets slower.
      await database.batch(["DELETE FROM sessions", "DELETE FROM orders"].map((sql) => database.prepare(sql)));
      result.seconds = (performance.now() - began) / 1000;
      say(result);
    }
    // The Worker still works, over a socket too.
    if ((await health()) !== 200) result.shown.unshift("no good answer after the run"), result.wrong++;
  } finally {
    await worker.dispose();
    await simulator.close();
  }
  return result;
}
