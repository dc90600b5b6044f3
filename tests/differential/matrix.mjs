// Makes the differential matrix, as data and as a document, from the verdicts of all columns.

import { cases } from "./cases.mjs";

/** The text of one cell. It says more than the verdict where the reason matters. */
function cell(row, index, column, verdicts) {
  if (row.only && verdicts[index] === undefined) return "n.a.: no EdDSA";
  if (row.edge && column.clock === "system") return "n.a.: reads the clock itself";
  const { verdict, reason } = verdicts[index];
  if (verdict !== "refuses") return verdict;
  if (row.sameReasonAs) {
    const plain = verdicts[cases.findIndex(({ key }) => key === row.sameReasonAs)];
    if (plain.reason !== reason) return "refuses, because of the claims";
  }
  if (row.echoes && reason?.includes(row.echoes)) return "refuses, and names the right value";
  return verdict;
}

/** Throws if a column does not do what any verifier does: then its adapter is wrong, not the
 * library. */
export function checkAdapter(name, { verdicts }) {
  for (const [key, wanted] of [["good", "accepts"], ["otherKey", "accepts"], ["expired", "refuses"], ["changed", "refuses"], ["forged", "refuses"], ["audience", "refuses"], ["issuer", "refuses"]]) {
    const index = cases.findIndex((row) => row.key === key);
    const { verdict, reason } = verdicts[index];
    if (verdict !== wanted) throw new Error(`The adapter of ${name} is wrong: it ${verdict} this token: ${cases[index].name} ${reason ?? ""}`);
  }
}

/** The cells of one column, in the order of the cases. */
export const cells = (column) => cases.map((row, index) => cell(row, index, column, column.verdicts));

/** The data to commit. Nothing in it differs from run to run. */
export function makeMatrix(judged, runtimes) {
  const columns = Object.entries(judged).map(([name, { version, options, clock }]) => ({ name, version, options, clock }));
  const all = Object.fromEntries(Object.entries(judged).map(([name, column]) => [name, cells(column)]));
  const rows = cases.map(({ id, name, kind, rule }, index) => ({
    id, name, kind, ...(rule && { rule }), cells: Object.fromEntries(columns.map((column) => [column.name, all[column.name][index]])),
  }));
  return { runtimes, columns, rows };
}

const KINDS = {
  "must-accept": ["Valid tokens", "The standards call these tokens valid. A verifier that refuses one is too strict for some issuers."],
  rfc: ["Tokens that a standard requires to refuse", "The column \"clause\" names the standard."],
  profile: [
    "Tokens that only a stricter profile refuses",
    "No standard requires this. Only the owner of the key can make such a token, or it is another spelling of a good one. Accepting one is not a vulnerability, and many rows follow from the claims of this project's tokens only.",
  ],
};

export const refuses = (text) => text.startsWith("refuses");
const accepts = (text) => text === "accepts";
const accident = (text) => text.startsWith("throws");
const applies = (text) => !text.startsWith("n.a.");

/** Whether a cell does what the kind of its row asks for. */
export const isAsWanted = (kind, text) => !applies(text) || (kind === "must-accept" ? accepts(text) : refuses(text));

const line = (parts) => `| ${parts.join(" | ")} |`;

function table(head, rows) {
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

const escape = (value) => value.replaceAll("|", "\\|").replaceAll("_", "\\_").replaceAll("*", "\\*");

/** The matrix as Markdown. */
export function render({ runtimes, columns, rows }) {
  const names = columns.map(({ name }) => name);
  const of = (kind) => rows.filter((row) => row.kind === kind);
  const count = (name, kind, condition) => {
    const texts = of(kind).map((row) => row.cells[name]).filter(applies);
    return `${texts.filter(condition).length} of ${texts.length}`;
  };
  const anyOf = (name) => rows.filter((row) => accident(row.cells[name])).length;
  const out = [
    "# A comparison of token verifiers",
    "",
    "`npm run differential` writes this page, and `npm run differential -- --check` compares it with a new run. Do not edit it.",
    "",
    "Each library runs with its strictest options, listed below. A token with a wrong claim or header is signed with the right key, so that the",
    "signature does not decide; a forged token says so in its name. The ids are those of the project's attack cases: T for the form of tokens,",
    "C for claims, E for Ed25519. G marks valid tokens without an attack.",
    "",
    `The libraries ran on ${Object.entries(runtimes).map(([name, version]) => `${name} ${version}`).join(", ")}.`,
    "",
    "## Summary",
    "",
    table(
      ["verifier", "version", "valid tokens refused", "accepted against a standard", "accepted against our profile only", "errors of another type"],
      columns.map(({ name, version }) => [
        name, version, count(name, "must-accept", (text) => !accepts(text)), count(name, "rfc", accepts), count(name, "profile", accepts), String(anyOf(name)),
      ]),
    ),
    "",
    "## Valid tokens that pioneer-session refuses",
    "",
    "It compares the header byte for byte and accepts each claim in only one form. So it refuses these valid tokens, which its own issuer never signs:",
    "",
    ...of("must-accept").filter((row) => !accepts(row.cells["pioneer-session"])).map((row) => `- ${row.id}: ${escape(row.name)}`),
    "",
    "## Options",
    "",
    table(["verifier", "options"], columns.map(({ name, options }) => [name, escape(options)])),
    "",
  ];
  for (const [kind, [title, text]] of Object.entries(KINDS)) {
    const rule = kind === "rfc" ? ["clause"] : [];
    out.push(`## ${title}`, "", text, "", "`+` accepts. `-` refuses. `!` throws an error of another type than the library's own. `/` does not apply. **Bold** differs from the heading.", "");
    out.push(table(["id", "token", ...rule, ...names], of(kind).map((row) => [row.id, escape(row.name), ...rule.map(() => row.rule), ...names.map((name) => sign(kind, row.cells[name]))])));
    out.push("", ...notes(of(kind), names));
  }
  return `${out.join("\n").trimEnd()}\n`;
}

function sign(kind, text) {
  if (!applies(text)) return "/";
  if (accident(text)) return "**!**";
  const mark = accepts(text) ? "+" : "-";
  return isAsWanted(kind, text) ? mark : `**${mark}**`;
}

/** Lists details that the signs cannot show. */
function notes(rows, names) {
  const told = rows.flatMap((row) => names.filter((name) => !["accepts", "refuses"].includes(row.cells[name]) && applies(row.cells[name]))
    .map((name) => `- ${row.id}, ${escape(row.name)} ${name} ${row.cells[name]}.`));
  const absent = new Map();
  for (const row of rows) for (const name of names) if (!applies(row.cells[name])) absent.set(`- ${name}: ${row.cells[name].slice("n.a.: ".length)}.`, true);
  return [
    ...(told.length > 0 ? ["In detail:", "", ...told, ""] : []),
    ...(absent.size > 0 ? ["Where a row does not apply:", "", ...absent.keys(), ""] : []),
  ];
}
