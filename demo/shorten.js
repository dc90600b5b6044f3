// Shortens requests and answers, for display: long texts, long lists, and every token.

/** Room for a sentence of the Worker. */
const TEXT_CHARACTERS = 120;
/** Enough to see that two tokens differ, and of no use to anyone who sees the screen. */
const TOKEN_CHARACTERS = 10;
/** A simulated access token, such as sim-no-username, is a name. */
const NAME_CHARACTERS = 24;
const ITEMS = 3;

/**
 * @param {any} value
 * @param {string} [name] of the member that has this value
 * @returns {any}
 */
export function shorten(value, name = "") {
  if (typeof value === "string") {
    const [most, kept] = /token$/i.test(name) ? [NAME_CHARACTERS, TOKEN_CHARACTERS] : [TEXT_CHARACTERS, TEXT_CHARACTERS];
    return value.length > most ? `${value.slice(0, kept)}… (${value.length} characters)` : value;
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
