// Shortens requests and answers, for display: long texts, long lists, and every token.

/** A line of the panel. A session token is ten times as long. */
const TEXT_CHARACTERS = 44;
const ITEMS = 3;

const isToken = (text) => /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/.test(text);

/** @param {string} text */
function shortText(text) {
  const kept = isToken(text) ? 10 : TEXT_CHARACTERS;
  return text.length > TEXT_CHARACTERS ? `${text.slice(0, kept)}… (${text.length} characters)` : text;
}

/** @returns {any} */
export function shorten(value) {
  if (typeof value === "string") return shortText(value);
  if (Array.isArray(value)) {
    const items = value.slice(0, ITEMS).map(shorten);
    return value.length > ITEMS ? [...items, `… ${value.length - ITEMS} more`] : items;
  }
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shorten(member)]));
  }
  return value;
}
