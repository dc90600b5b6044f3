// Reads the Worker's log as the runtime shows it: a title, and the fields as JSON on the same line.

/** The fields of a line with its title, or undefined for a line of another program. */
export function logLine(text) {
  const start = text.indexOf('{"'); // a title may contain "{paymentId}"
  if (start < 0 || text.includes("\n")) return undefined;
  try {
    return { title: text.slice(0, start).trim(), ...JSON.parse(text.slice(start)) };
  } catch {
    return undefined;
  }
}
