// The format in which JavaScript and wasm exchange data: the other half of `wire.rs`, which
// describes it.

const ESCAPED = { "\n": "n", "\0": "0", "\x1b": "e" };
const PLAIN = Object.fromEntries(Object.entries(ESCAPED).map(([character, letter]) => [letter, character]));

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

const escape = (field) => (/[\n\0\x1b]/.test(field) ? field.replace(/[\n\0\x1b]/g, (character) => `\x1b${ESCAPED[character]}`) : field);

const unescape = (field) => field.replace(/\x1b(.)/g, (_, letter) => PLAIN[letter]);

/** The message of the error that is thrown when a deadline passes. */
export const DEADLINE = "deadline";

/** The answer to a question of yes or no. */
export const yes = (is) => (is ? "yes" : "no");

/** The text of some bytes. */
export const text = (bytes) => decoder.decode(bytes);

/** Writes the fields of a message. Its body follows them. */
export function head(fields) {
  let written = "";
  for (const field of fields) written += `${escape(field)}\n`;
  return `${written}\0`;
}

/** Reads a message: its fields, and a copy of its body, if it has one. The message itself is in the
 * wasm's memory. */
export function read(bytes) {
  const end = bytes.indexOf(0);
  const written = text(bytes.subarray(0, end));
  let fields = written.split("\n");
  fields.pop(); // after the last line feed, nothing is left
  if (written.includes("\x1b")) fields = fields.map(unescape);
  return [fields, end + 1 < bytes.length ? bytes.slice(end + 1) : null];
}

/** Fields as pairs of a name and a value. */
export function pairs(fields) {
  const made = [];
  for (let i = 0; i < fields.length; i += 2) made.push([fields[i], fields[i + 1]]);
  return made;
}

/** Reads a batch: for each statement its SQL, or the address and the length of its SQL, and its
 * parameters. */
export const statements = (batch) =>
  JSON.parse(batch).map(([sql, ...rest]) => (typeof sql === "string" ? { sql, parameters: rest } : { address: sql, length: rest[0], parameters: rest.slice(1) }));

/** Writes the outcomes of a batch: for each statement the numbers of rows that it changed, read and
 * wrote, the names of its columns, and the values of each row that it found. */
export const outcomes = (results) => JSON.stringify(results.map(outcome));

function outcome({ meta, results }) {
  const rows = results ?? [];
  return [meta.changes ?? 0, meta.rows_read ?? 0, meta.rows_written ?? 0, Object.keys(rows[0] ?? {}), rows.map((row) => Object.values(row))];
}
