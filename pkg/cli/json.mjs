// Strict JSON, as the Worker reads it: an object without duplicate member names, at any depth.
// JSON.parse takes the last of two, so it would accept objects that the Worker refuses.

const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;

/**
 * Parses a JSON object. Returns undefined for any other text.
 *
 * @param {string} text
 * @returns {Record<string, any> | undefined}
 */
export function parseObject(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // the error would quote the text
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) return undefined;
  // The Worker also refuses numbers beyond a double, and lone surrogates.
  if (!isSound(value)) return undefined;
  /** @type {Set<string>[]} */
  const open = [];
  let previous = "";
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === "{" || token === "[") open.push(new Set());
    if (token === "}" || token === "]") open.pop();
    if (token === ":") {
      const name = JSON.parse(previous);
      if (open.at(-1)?.has(name)) return undefined;
      open.at(-1)?.add(name);
    }
    previous = token;
  }
  return value;
}

/**
 * @param {unknown} value
 * @returns {boolean}
 */
function isSound(value) {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value === "string") return value.isWellFormed();
  return value === null || typeof value !== "object" || Object.entries(value).flat().every(isSound);
}
