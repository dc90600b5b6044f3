// Reads the Worker's log as the runtime shows it: each line is an object in JSON.

/** The fields of a line, or undefined for a line of another program. */
export function logLine(text) {
  if (!text.startsWith('{"message":') || text.includes("\n")) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
