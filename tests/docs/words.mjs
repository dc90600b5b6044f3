// Words that the project does not use, each with the word to use instead, because a reader without
// our history misunderstands them or has to translate them.

/**
 * `avoid` is a regular expression without regard to case, in which a space also stands for the end
 * of a line of a comment. `bad` and `good` are a sentence that it must find, and one that it must
 * leave.
 */
export const WORDS = [
  { avoid: "\\btwins\\b", use: "duplicates, duplicate names", bad: "JSON without twins", good: "JSON without duplicate names" },
  { avoid: "\\bmend(s|ed|ing)?\\b", use: "fix", bad: "The newest version is mended.", good: "We recommend the newest version." },
  { avoid: "\\bcall(s|ed|ing)? off\\b", use: "cancel", bad: "The payment is called off.", good: "The function is called often." },
  { avoid: "\\bholes?\\b", use: "vulnerability", bad: "Report a hole.", good: "Read the whole body." },
  { avoid: "\\bwho(so)?ever\\b", use: "anyone, the caller, a verifier", bad: "Whoever has the key may sign.", good: "Anyone who has the key can sign." },
  { avoid: "\\bone's own\\b", use: "the user's own", bad: "one of one's own sessions", good: "one of the user's own sessions" },
  { avoid: "\\bto be had\\b", use: "is not installed, is not available", bad: "wrangler is not to be had here.", good: "It had to be installed." },
  { avoid: "\\blooked after\\b", use: "reconciled", bad: "Payments are looked after.", good: "It looked at the payments after that." },
  { avoid: "\\bthe books\\b", use: "the migrations table", bad: "a row in the books", good: "a row in the bookshop's table" },
  { avoid: "\\bin the place of\\b", use: "instead of", bad: "in the place of Pi", good: "instead of Pi" },
  { avoid: "\\bof this (id|name)\\b", use: "with this id, with this name", bad: "no product of this id", good: "no product with this id" },
  { avoid: "\\bsome (seconds|minutes|hours|days)\\b", use: "a few seconds", bad: "Try again in some seconds.", good: "Try again in a few seconds." },
  { avoid: "\\bfrom before\\b", use: "earlier, an earlier one", bad: "a payment from before", good: "read it from the row before" },
  { avoid: "(?<!\\b(left|leaves?|leaving|let|const) )\\balone\\b(?!\\.\\w|\\))", use: "only", bad: "for this machine alone", good: "the issuer is left alone" },
  { avoid: "\\bat once\\b", use: "immediately, at the same time", bad: "It stops at once.", good: "It stops immediately." },
  { avoid: "\\bbelongs? into\\b", use: "must be in", bad: "Secrets do not belong into it.", good: "It belongs to the app." },
  { avoid: "\\b(is|are|was|were|be) told\\b", use: "is called with, is notified, reads", bad: "The other tabs are told.", good: "It can be tolerated." },
  { avoid: "\\bgiven too much\\b", use: "too many arguments", bad: "`x` was given too much.", good: "`x` was given too many names." },
  { avoid: "(?:\\/\\/[\\/!]?|\\*|#) ?Gives\\b", use: "Returns", bad: "/// Gives the token.", good: "/// Returns the token." },
  { avoid: "\\bgives (a|an|the|what)\\b(?! \\w+ up\\b)", use: "returns", bad: "It packs, and gives the path.", good: "It gives a payment up after a day." },
  { avoid: "\\b(tokens?|signatures?|proofs?|keys?|limits?) (still )?holds?\\b", use: "is valid, applies", bad: "whether the signature holds", good: "no log line holds a token" },
  { avoid: "\\bends? (a|all|any|another|both|each|every|her|his|its|my|one|the|their|this|your)( \\w+)? sessions?\\b", use: "revokes", bad: "204; ends all sessions of the user", good: "The page ends there; all sessions stay." },
  { avoid: "\\bsessions? (\\S+ )?(is|are|was|were|been) ended\\b", use: "was revoked", bad: "The session was ended.", good: "The session has expired." },
  { avoid: ", for (it|they|he|she|there|nobody|somebody|anybody|what|then) \\w", use: ", because", bad: "It waits, for there is time.", good: "It waits, for a second." },
  { avoid: ", for (a|an|the|its|their) \\w+ (is|are|was|has|have|may|can|cannot|must|does|would)\\b", use: ", because", bad: "Refused, for a user can have one.", good: "It stays, for a user of the app." },
];

/** The list as CONTRIBUTING.md shows it. */
export const TABLE = ["| instead of | write |", "|---|---|", ...WORDS.map(({ bad, use }) => `| ${bad.replaceAll("|", "\\|")} | ${use} |`)].join("\n");

/**
 * A space between words, which may be the end of a line and the beginning of the next in a comment.
 */
const GAP = "\\s+(?:(?:\\/\\/[\\/!]?|\\*|#|--|>)\\s*)?";

/** The places in a text that use such a word. */
export function avoided(text) {
  return WORDS.flatMap(({ avoid, use }) =>
    [...text.matchAll(new RegExp(avoid.replaceAll(/ (?!\?)/g, GAP), "gi"))].map(({ 0: found, index }) => ({
      line: text.slice(0, index).split("\n").length,
      found: found.replace(/\s+/g, " "),
      use,
    })),
  );
}
