// The secrets to search for, in every form in which they could leak.

/** The forms of one secret. Base64 has three, because a secret can begin at any byte of a group
 * of three. */
function formsOf(secret) {
  const bytes = Buffer.from(secret);
  const forms = { plain: secret, hex: bytes.toString("hex"), "upper hex": bytes.toString("hex").toUpperCase() };
  for (const [i, skipped] of [[0, 0], [1, 2], [2, 3]]) {
    // The neighbouring bytes change the characters at both edges, so those are left out.
    const encoded = Buffer.concat([Buffer.alloc(i), bytes]).toString("base64").replace(/=+$/, "");
    const inner = encoded.slice(skipped, -2);
    forms[`base64, at ${i}`] = inner;
    forms[`base64url, at ${i}`] = inner.replaceAll("+", "-").replaceAll("/", "_");
  }
  if (/^[A-Za-z0-9_-]{42,}$/.test(secret)) {
    const decoded = Buffer.from(secret, "base64url");
    Object.assign(forms, { "hex of its bytes": decoded.toString("hex"), "upper hex of its bytes": decoded.toString("hex").toUpperCase(), "base64 of its bytes": decoded.toString("base64").replace(/=+$/, ""), "its bytes": decoded });
  }
  return forms;
}

/** The shortest secret. The search would find shorter ones by chance. */
const SHORTEST = 16;

/** A set of secrets, and the search for them. */
export class Markers {
  #needles = new Map(); // bytes in Latin-1, to their name
  #names = new Set();

  /** Records a secret under a name. */
  add(name, secret) {
    if (typeof secret !== "string" || secret.length < SHORTEST) throw new Error(`${name} is too short to search for`);
    this.#names.add(`${name} ${secret}`);
    for (const [form, needle] of Object.entries(formsOf(secret))) this.#needles.set(Buffer.from(needle).toString("latin1"), `${name} (${form})`);
  }

  /** Records a session token. Its signature or its payload already counts as a leak. */
  addToken(name, token) {
    this.add(`${name}, its signature`, token.split(".")[2]);
    this.add(`${name}, its payload`, token.split(".")[1]);
  }

  get count() {
    return this.#names.size;
  }

  get forms() {
    return this.#needles.size;
  }

  /** Every needle, with its name. For the self-check. */
  get needles() {
    return [...this.#needles];
  }

  /** The names of the secrets that are in this text or in these bytes. */
  search(haystack) {
    const text = Buffer.from(haystack).toString("latin1");
    const found = [];
    for (const [needle, name] of this.#needles) if (text.includes(needle)) found.push(name);
    return found;
  }
}
