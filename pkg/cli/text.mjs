// The text of a setting, as the Worker reads it.

/**
 * Without the spaces around it. The Worker trims Unicode's White_Space; JavaScript's trim() differs
 * from it in two characters (U+0085 and U+FEFF).
 *
 * @param {string} text
 */
export const trim = (text) => text.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, "");

/**
 * The name that somebody most likely meant: at most two letters differ. Undefined without one.
 *
 * @param {string} word
 * @param {string[]} names
 */
export function nearest(word, names) {
  const [found] = names.map((name) => ({ name, distance: distance(word.toUpperCase(), name.toUpperCase()) })).sort((a, b) => a.distance - b.distance);
  return found && found.distance <= MAX_DISTANCE ? found.name : undefined;
}

const MAX_DISTANCE = 2; // a letter too many, and two that changed places

/**
 * The Levenshtein distance.
 *
 * @param {string} a
 * @param {string} b
 */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) next.push(Math.min((row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1, (row[j] ?? 0) + (letter === other ? 0 : 1)));
    row = next;
  }
  return row[b.length] ?? 0;
}
