// Measures how much time has passed, also when a clock was set or the process stood still.

// Taken at the import, because test runners replace it with a fake and later restore it.
const steadyMs = globalThis.performance?.now.bind(globalThis.performance) ?? Date.now;

/** @typedef {{ wall: number, steady: number }} Moment */

/**
 * The present moment, on two clocks. A person can set the wall clock, and the steady clock may stop
 * while the machine is suspended.
 *
 * @returns {Moment}
 */
export const moment = () => ({ wall: Date.now(), steady: steadyMs() });

/** @type {Moment} */
export const NEVER = { wall: -Infinity, steady: -Infinity };

/**
 * Milliseconds since a moment, by the clock that shows more; Infinity when both clocks went
 * backwards.
 *
 * @param {Moment} since
 */
export function elapsed({ wall, steady }) {
  const passed = Math.max(Date.now() - wall, steadyMs() - steady);
  return passed >= 0 ? passed : Infinity;
}
