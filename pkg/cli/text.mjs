// The text of a setting, as the Worker reads it.

/**
 * Without the spaces around it. The Worker trims Unicode's White_Space; JavaScript's trim() differs
 * from it in two characters (U+0085 and U+FEFF).
 *
 * @param {string} text
 */
export const trim = (text) => text.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, "");
