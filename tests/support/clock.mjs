// Waits, for tests whose steps depend on the clock or on work that ends a little later.

import { setTimeout as sleep } from "node:timers/promises";

/** Waits for the next period of the clock if less than `spare` seconds of this one are left. Both
 * in seconds: a limiter counts by the minute, and the numbers for the operator by the hour. */
export async function calm(period, spare) {
  const left = period - ((Date.now() / 1000) % period);
  if (left < spare) await sleep(left * 1000 + 100);
}

/** Waits until `holds()` returns something true, and returns that. After ten seconds, returns
 * whatever it then returns: the test's own assertion says what is missing. The log, for example,
 * arrives after the answer. */
export async function eventually(holds) {
  let result = await holds();
  for (let tries = 0; tries < 200 && !result; tries++) {
    await sleep(50);
    result = await holds();
  }
  return result;
}
