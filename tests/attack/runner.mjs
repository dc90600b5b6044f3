// Runs attacks against their targets and counts how many succeed.

import { setTimeout as sleep } from "node:timers/promises";

/** The names of the targets. `source` is the text of this repository. */
export const TARGETS = ["worker", "node", "workerd", "browser", "source"];

/** The longest time for one attack on one target, in milliseconds. The slowest waits for the 20
 * seconds of a body. */
const DEADLINE_MS = 180_000;

/** One try. `accepted`: the attacker gained something, or the owner lost something. `wrong`: the
 * refusal is not the right one. */
export const attempt = (name, accepted, wrong) => ({ isControl: false, name, accepted: Boolean(accepted), wrong: wrong || undefined });

/** A valid request next to the attack. If it fails, the refusals prove nothing. */
export const control = (name, holds) => ({ isControl: true, name, holds: Boolean(holds) });

/** Runs the attack of one entry on one target. Returns the counts and the findings. */
async function runOne(entry, target, testbed) {
  const row = { id: entry.id, title: entry.title, target, tries: 0, accepted: 0, refused: 0, controls: 0, findings: [] };
  const note = (step) => {
    if (step.isControl) {
      row.controls += 1;
      if (!step.holds) row.findings.push(`the control failed: ${step.name}`);
      return;
    }
    row.tries += 1;
    if (step.accepted) {
      row.accepted += 1;
      row.findings.push(`ACCEPTED: ${step.name}`);
    } else {
      row.refused += 1;
      if (step.wrong) row.findings.push(`refused with the wrong answer: ${step.name}: ${step.wrong}`);
    }
  };
  const everything = async () => {
    for await (const step of entry.on[target](testbed)) note(step);
    for await (const step of testbed.stillWorks(target)) note(step);
  };
  const late = new AbortController();
  try {
    await Promise.race([
      everything(),
      sleep(DEADLINE_MS, undefined, { signal: late.signal }).then(() => Promise.reject(new Error(`the attack took more than ${DEADLINE_MS / 1000} s`))),
    ]);
  } catch (error) {
    row.findings.push(`the attack stopped early: ${error.stack}`);
  } finally {
    late.abort();
  }
  if (row.tries === 0) row.findings.push("nothing was tried");
  if (row.controls === 0) row.findings.push("there was no control");
  return row;
}

/** Runs every entry on its targets, if `targets` has them. `quick` skips the slow attacks. */
export async function run(entries, testbed, { targets = TARGETS, quick = false, report = () => {} } = {}) {
  const rows = [];
  for (const entry of entries) {
    for (const target of TARGETS) {
      if (!entry.on[target] || !targets.includes(target) || (quick && entry.isSlow)) continue;
      const began = performance.now();
      const row = await runOne(entry, target, testbed);
      row.milliseconds = Math.round(performance.now() - began);
      rows.push(row);
      report(row);
    }
  }
  return rows;
}
