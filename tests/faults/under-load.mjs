// Runs the Worker under load with broken calls for minutes. FAULTS_SECONDS, FAULTS_USERS and
// FAULTS_SEED configure it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const seconds = Number(process.env.FAULTS_SECONDS ?? 180);
const users = Number(process.env.FAULTS_USERS ?? 60);
const seed = Number(process.env.FAULTS_SEED ?? Math.floor(Math.random() * 2 ** 32));

test(`${users} users for ${seconds} seconds, seed ${seed}: the tables are consistent, every answer is right, and the Worker's memory does not grow`, { timeout: (seconds + 300) * 1000 }, async () => {
  const { memory, ...figures } = await load({ seconds, users, seed });
  console.log(JSON.stringify({ ...figures, memory }, null, 2));
  assert.deepEqual([figures.outOfPlace, figures.wrongVerdicts], [[], []]);
  // The heap is measured after a garbage collection, and the wasm's memory never shrinks, so their
  // sizes after the first third show the need. The total of workerd is only printed: it includes
  // Miniflare and D1, whose share grows without faults too.
  assert.ok(memory.heapLast <= memory.heapFirst * 1.5 + 1, `heap: ${memory.heapFirst} MB, then ${memory.heapLast} MB`);
  assert.ok(memory.wasmLast <= memory.wasmFirst * 1.5 + 1, `wasm: ${memory.wasmFirst} MB, then ${memory.wasmLast} MB`);
});
