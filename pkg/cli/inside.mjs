// `doctor URL` with an operator's credential: what only the Worker knows about itself.

/** @import { Admin } from "./admin.mjs" */
/** @import { Report } from "./report.mjs" */

import { outcomeOf } from "./overview.mjs";
import { safe } from "./terminal.mjs";

/** The secrets without which the Worker does not answer, and one that only some apps need. */
const NEEDED = ["SESSION_KEYS", "REFRESH_SECRET"];
const FOR_PAYMENTS = "PI_API_KEY";

/** @typedef {Record<string, any>} Row */

/**
 * @param {Report} report
 * @param {Admin} admin
 */
export async function checkInside(report, admin) {
  const { needs = [], run } = await admin.get("/admin/overview");
  const { secrets = [], schema = {} } = await admin.get("/admin/settings");
  const { keys = [] } = await admin.get("/admin/keys");
  for (const { level, text, command } of needs) {
    const say = level === "urgent" ? report.error : report.warning;
    say(safe(command ? `${text} Run: ${command}` : text));
  }
  // The sentences of the Worker come first. These are for what it has not said.
  const isSaid = (/** @type {string} */ kind) => needs.some((/** @type {Row} */ need) => need.kind === kind);
  if (schema.missing?.length > 0 && !isSaid("migration_missing")) {
    report.error(safe(`The database lacks ${schema.missing.join(", ")}. Run: npx wrangler d1 migrations apply DB --remote`));
  }
  const missing = secrets.filter((/** @type {Row} */ { isSet }) => !isSet).map((/** @type {Row} */ { name }) => name);
  for (const name of NEEDED.filter((name) => missing.includes(name))) report.error(`The secret ${name} is missing. Run: npx wrangler secret put ${name}`);
  if (missing.includes(FOR_PAYMENTS) && !isSaid("setting_missing")) report.warning(`The secret ${FOR_PAYMENTS} is missing, so users cannot pay. Run: npx wrangler secret put ${FOR_PAYMENTS}`);
  const waiting = keys.find((/** @type {Row} */ { state }) => state === "next");
  if (waiting) report.note(safe(`The next signing key ${waiting.kid} waits${waiting.since ? ` since ${waiting.since}` : ""}. Ten minutes after it was published, run: npx pioneer-session keys rotate`));
  if (run) report.note(safe(`The scheduled event last ran at ${run.at}: ${outcomeOf(run)}.`));
  else if (!isSaid("run_missing") && !isSaid("migration_missing")) report.warning("The scheduled event has never run. Check triggers.crons in the configuration.");
}
