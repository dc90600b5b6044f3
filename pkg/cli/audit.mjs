// `audit`: what operators and backends did, and at whose data they looked.

/** @import { AdminOptions } from "./admin.mjs" */

import { Admin, print } from "./admin.mjs";
import { Misuse } from "./problem.mjs";
import { printRows } from "./terminal.mjs";

/** @typedef {{ actor?: string, target?: string, action?: string, after?: string, limit?: string }} Filters */

/**
 * `audit`
 *
 * @param {AdminOptions & Filters} options
 */
export async function audit({ actor, target, action, after, limit, ...options }) {
  if ([actor, target, action].filter((filter) => filter !== undefined).length > 1) throw new Misuse("Choose one of --actor, --target and --action.");
  const answer = await Admin.of(options).get("/admin/audit", { actor, target, action, after, limit });
  print(options, answer, () => {
    const entries = /** @type {Record<string, any>[]} */ (answer.entries);
    if (entries.length === 0) console.error("There is no such entry.");
    printRows(entries.map(({ at, actor, via, action, target, detail, requestId }) => [at, `${actor} (${via})`, action, target, requestId, ...(detail ? [JSON.stringify(detail)] : [])]));
  });
}
