// Strict JSON, as the Worker reads it: an object that names no member twice, at any depth. Of two twins JSON.parse
// takes the last, so it would find sound what the Worker refuses.

const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;

/** The object that the text is, or undefined. */
export function parseObject(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // the error would quote the text
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) return undefined;
  const open = [];
  let previous;
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === "{" || token === "[") open.push(new Set());
    if (token === "}" || token === "]") open.pop();
    if (token === ":") {
      const name = JSON.parse(previous);
      if (open.at(-1).has(name)) return undefined;
      open.at(-1).add(name);
    }
    previous = token;
  }
  return value;
}
