// `overview`: how the service is, and what needs its operator. The Worker has made the sentences
// and the figures; this file arranges them.

/** @import { AdminOptions } from "./admin.mjs" */

import { Admin, print } from "./admin.mjs";
import { Misuse } from "./problem.mjs";
import { printRows, safe } from "./terminal.mjs";

const RANGES = ["24h", "7d", "30d", "90d"];

/** @typedef {Record<string, any>} Figures */

/**
 * `overview`
 *
 * @param {AdminOptions & { range?: string }} options
 */
export async function overview({ range, ...options }) {
  if (range !== undefined && !RANGES.includes(range)) throw new Misuse(`--range must be ${RANGES.slice(0, -1).join(", ")} or ${RANGES.at(-1)}.`);
  const answer = await Admin.of(options).get("/admin/overview", { range });
  print(options, answer, () => show(answer));
}

const UNCOUNTED = "No figures: COUNTS is off. Set it to on to have them.";

/** @param {Figures} answer */
function show({ service = {}, operator = {}, needs = [], today, weekAgo = {}, stock = {}, run, at }) {
  const { audience, issuer, version, network, environment } = service;
  console.log(safe([audience, issuer, version, network, ...(environment === "production" ? [] : [environment]), `${operator.name} (${operator.role})`].join(" · ")));
  console.log("\nNeeds you");
  if (needs.length === 0) console.log("  nothing");
  for (const { level, text, command } of needs) {
    console.log(`  ${safe(level)}: ${safe(text)}`);
    if (command) console.log(`    ${safe(command)}`);
  }
  if (today) {
    console.log(`\nToday (UTC) until ${safe(at)}, in parentheses a week ago`);
    printRows(tiles(today, weekAgo), "  ");
  }
  if (service.counts === false) console.log(`\n${UNCOUNTED}`);
  /** @type {[string, Figures | undefined][]} */
  const figures = [["users", stock.users], ["live sessions", stock.liveSessions], ["active yesterday", stock.activeYesterday]];
  if (figures.some(([, figure]) => figure)) console.log("\nIn all");
  for (const [name, figure] of figures) if (figure) console.log(`  ${name}: ${safe(figure.count)}${figure.at ? `, as of ${safe(figure.at)}` : ""}`);
  // Without a migration, nobody knows.
  if (run || !needs.some((/** @type {Figures} */ { kind }) => kind === "migration_missing")) console.log(`\nLast scheduled run: ${run ? `${safe(run.at)}, ${safe(outcomeOf(run))}` : "never"}`);
}

/**
 * The outcome of a scheduled run in words.
 *
 * @param {Figures} run
 */
export const outcomeOf = ({ outcome = {} }) => Object.entries(outcome).map(([name, value]) => `${name} ${value}`).join(", ") || "without an outcome";

/**
 * The figures of today, each with that of a week ago.
 *
 * @param {Figures} today
 * @param {Figures} weekAgo
 */
function tiles(today, weekAgo) {
  /** @type {(name: string, figure: (figures: Figures) => unknown, more?: string) => unknown[]} */
  const row = (name, figure, more = "") => {
    const before = figure(weekAgo);
    return [name, `${figure(today) ?? 0}${before === undefined ? "" : ` (${before})`}${more && ` ${more}`}`];
  };
  const refused = (/** @type {Figures} */ { refused }) => refused?.reduce((/** @type {number} */ sum, /** @type {Figures} */ { count }) => sum + count, 0);
  const codes = (today.refused ?? []).map((/** @type {Figures} */ { code, count }) => `${code} ${count}`).join(", ");
  const { pi = {}, d1 = {} } = today;
  const times = [
    [pi.halfUnderMs, "half"],
    [pi.most95UnderMs, "95 in 100"],
  ].filter(([bound]) => bound !== undefined);
  const speed = times.map(([bound, part]) => `, ${part} within ${bound} ms`).join("");
  return [
    row("sign-ins", ({ signIns }) => signIns),
    row("new users", ({ newUsers }) => newUsers),
    row("refreshes", ({ refreshes }) => refreshes),
    row("paid orders", ({ paid }) => paid?.count),
    row("paid Pi", ({ paid }) => paid?.amount),
    row("refused", refused, codes),
    row("calls to Pi", ({ pi }) => pi?.calls, `${pi.failed ?? 0} failed${speed}`),
    row("rows read", ({ d1 }) => d1?.rowsRead, share(d1.shareRead)),
    row("rows written", ({ d1 }) => d1?.rowsWritten, share(d1.shareWritten)),
  ];
}

/** @param {number | undefined} part */
const share = (part) => (typeof part === "number" ? `${(part * 100).toFixed(1)} % of the free plan's` : "");
