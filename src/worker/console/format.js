// Writes times and numbers for a reader. Amounts of Pi stay the text that they are.

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const DAY_UTC = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });
const DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const NUMBER = new Intl.NumberFormat();
const PERCENT = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });

export const number = (value) => NUMBER.format(value);
export const percent = (value) => PERCENT.format(value);
export const clock = (date) => CLOCK.format(date);
export const day = (date) => DAY.format(date);
export const dayUtc = (date) => DAY_UTC.format(date);
export const pi = (amount) => `${amount}\u00a0π`;

/** A moment in local time, shorter the nearer it is. */
export function moment(date, now = new Date()) {
  if (date.toDateString() === now.toDateString()) return clock(date);
  if (date.getFullYear() === now.getFullYear()) return `${day(date)}, ${clock(date)}`;
  return DATE.format(date);
}

/** @type {[string, number][]} */
const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
];

/** How long ago or until: "5 hours". */
export function span(milliseconds) {
  for (const [unit, length] of UNITS) {
    const count = Math.floor(Math.abs(milliseconds) / length);
    if (count > 0) return `${count} ${unit}${count === 1 ? "" : "s"}`;
  }
  return "less than a minute";
}

const BYTES = 1000;

export const size = (bytes) => (bytes < BYTES ? `${bytes} bytes` : `${number(Math.round(bytes / 100) / 10)} KB`);

/** The beginning of a long id. The whole is in the title, and in the address of its drawer. */
export const short = (id) => (id.length > 14 ? `${id.slice(0, 12)}…` : id);
