// The loaded run with broken answers, for minutes: FAULTS_SECONDS, FAULTS_USERS and FAULTS_SEED change it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const seconds = Number(process.env.FAULTS_SECONDS ?? 180);
const users = Number(process.env.FAULTS_USERS ?? 60);
const seed = Number(process.env.FAULTS_SEED ?? Math.floor(Math.random() * 2 ** 32));

test(`${users} users for ${seconds} seconds, seed ${seed}: nothing is out of place, no verdict is wrong, and the Worker's memory stays`, { timeout: (seconds + 300) * 1000 }, async () => {
  const { memory, ...figures } = await load({ seconds, users, seed });
  console.log(JSON.stringify({ ...figures, memory }, null, 2));
  assert.deepEqual([figures.outOfPlace, figures.wrongVerdicts], [[], []]);
  // The heap is measured after a collection, and the wasm's memory never shrinks: what both take after the first third is what
  // they need. What workerd takes in all is printed only: with it run Miniflare and its D1, whose share grows without faults too.
  assert.ok(memory.heapLast <= memory.heapFirst * 1.5 + 1, `heap: ${memory.heapFirst} MB, then ${memory.heapLast} MB`);
  assert.ok(memory.wasmLast <= memory.wasmFirst * 1.5 + 1, `wasm: ${memory.wasmFirst} MB, then ${memory.wasmLast} MB`);
});
