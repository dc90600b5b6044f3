// The module around a Worker, in workerd, that counts the calls to D1 and Pi of each request, the
// rows that D1 read and wrote for it and the time that D1 took, and reports them in a header. The
// header `x-delays` of a request says how many milliseconds away D1 and Pi are, and `x-ahead` how
// many milliseconds the Worker's clock is ahead.

import { AsyncLocalStorage } from "node:async_hooks";
import worker from "./index.js";

const requests = new AsyncLocalStorage();

/** Counts a call, and waits for as long as its answer would be on its way. */
async function travel(upstream) {
  const { counts, delays } = requests.getStore();
  counts[upstream] += 1;
  if (delays[upstream] > 0) await new Promise((done) => setTimeout(done, delays[upstream]));
}

async function storage(run) {
  await travel("d1");
  const began = performance.now();
  const outcomes = await run();
  const { counts } = requests.getStore();
  counts.d1Ms += performance.now() - began;
  for (const { meta } of outcomes) {
    counts.rowsRead += meta.rows_read;
    counts.rowsWritten += meta.rows_written;
  }
  return outcomes;
}

/** The part of D1's interface that the Workers use. */
const measured = (database) => ({
  prepare: (sql) => ({
    bind(...parameters) {
      const real = database.prepare(sql).bind(...parameters);
      const all = async () => (await storage(async () => [await real.all()]))[0];
      return { real, all, first: async () => (await all()).results[0] ?? null };
    },
  }),
  batch: (statements) => storage(() => database.batch(statements.map(({ real }) => real))),
});

const fetchOf = globalThis.fetch;
globalThis.fetch = async (url, init) => {
  await travel("pi");
  return fetchOf(url, init);
};

const { now } = Date;
Date.now = () => now() + (requests.getStore()?.aheadMs ?? 0);

let bindings;

export default {
  fetch(request, env, context) {
    // The `worker` crate recognizes a binding by the name of its class.
    bindings ??= { ...env, DB: Object.defineProperty(measured(env.DB), "constructor", { value: env.DB.constructor }) };
    const delays = JSON.parse(request.headers.get("x-delays") ?? "{}");
    const aheadMs = Number(request.headers.get("x-ahead") ?? 0);
    const counts = { d1: 0, pi: 0, rowsRead: 0, rowsWritten: 0, d1Ms: 0 };
    return requests.run({ counts, delays, aheadMs }, async () => {
      const response = await worker.fetch(request, bindings, context);
      const copy = new Response(response.body, response);
      copy.headers.set("x-counts", JSON.stringify(counts));
      return copy;
    });
  },
};
