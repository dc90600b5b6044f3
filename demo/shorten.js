// Shortens requests and answers, for display: long texts, long lists, and every token.

/** A line of the panel. */
const TEXT_CHARACTERS = 44;
/** Enough to see that two tokens differ, and of no use to a person who reads the screen. */
const TOKEN_CHARACTERS = 10;
const ITEMS = 3;

/**
 * @param {any} value
 * @param {string} [name] of the member that has this value
 * @returns {any}
 */
export function shorten(value, name = "") {
  if (typeof value === "string") {
    if (value.length <= TEXT_CHARACTERS) return value;
    const isSecret = /token/i.test(name);
    return `${value.slice(0, isSecret ? TOKEN_CHARACTERS : TEXT_CHARACTERS)}… (${value.length} characters)`;
  }
  if (Array.isArray(value)) {
    const items = value.slice(0, ITEMS).map((item) => shorten(item, name));
    return value.length > ITEMS ? [...items, `… ${value.length - ITEMS} more`] : items;
  }
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, shorten(member, key)]));
  }
  return value;
}
