// Generates tokens and requests for fuzzing: valid ones, and many ways to spoil them. The same seed
// makes the same choices. It runs in Node and inside workerd. Its own rules say which inputs must
// be refused, so it checks the Rust independently.

import { Buffer } from "node:buffer";
import { createPrivateKey, sign } from "node:crypto";

/** A generator of numbers that a seed determines (mulberry32). */
export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to `below` - 1. */
  int(below) {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  }

  /** True once in this many calls, on average. */
  once(times) {
    return this.int(times) === 0;
  }

  pick(list) {
    return list[this.int(list.length)];
  }

  text(alphabet, length) {
    let text = "";
    while (text.length < length) text += alphabet[this.int(alphabet.length)];
    return text;
  }
}

const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const ODD = ["\0", "\n", "\r\n", " ", "\t", "\"", "\\", ",", ";", "=", ".", "..", "%2e", "%", "/", "+", "\x7f", "\x80", "\xa0", "\xff", "é", "\u0130", "\u202e", "\ufeff", "\ufffd", "🙂", "\ud800"];

/** Changes one or some places of a text. */
export function spoil(random, text) {
  const at = random.int(text.length + 1);
  const [before, after] = [text.slice(0, at), text.slice(at)];
  switch (random.int(9)) {
    case 0: return before + random.pick(ODD) + after;
    case 1: return before + random.pick(ODD) + after.slice(1);
    case 2: return before + after.slice(1 + random.int(4)); // shorter
    case 3: return before; // cut
    case 4: return before + random.text(BASE64URL, 1) + after.slice(1);
    case 5: return before + String.fromCharCode((after.charCodeAt(0) || 0) ^ (1 << random.int(7))) + after.slice(1); // one bit
    case 6: return before + before.slice(-8) + after; // repeats a piece
    case 7: return random.once(2) ? text.toUpperCase() : text.toLowerCase();
    default: return random.once(2) ? random.pick(ODD) + text : text + random.pick(ODD);
  }
}

// --- JSON ----------------------------------------------------------------------------------------

const NUMBERS = [
  "0", "-0", "1", "-1", "1.0", "1e0", "1E+2", "0.5", "3.14", "1e-7", "1e308", "-1e308", "2147483648", "4294967296", "9007199254740991", "9007199254740993",
  "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551615", "18446744073709551616", "253402300799", "253402300800", "100000000000000000000000000000000000000000",
];
const STRINGS = ["\"\"", "\"a\"", "\"0\"", "\"true\"", "\"a b\"", "\"\\u0000\"", "\"\\n\"", "\"é\"", "\"\\ud83d\\ude42\"", "\"__proto__\"", "\"../x\"", "\"'--\"", `"${"x".repeat(128)}"`, `"${"x".repeat(129)}"`];
/** Inside an array, the first three could make a well-formed text again: `[` and `]` around
 * nothing are an array. */
const FRAGMENTS = 3;
const MALFORMED = ["", "[", "]", "nul", "True", "NaN", "Infinity", "01", "+1", ".5", "1.", "1e", "1e400", "-1e400", "0x1", "'a'", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\x\"", "\"\n\"", "\"\0\"", "[1,]", "{\"a\":1,}", "{a:1}", "{", "1 2", "/**/1", "\ufeff1", "{\"a\":1,\"a\":1}", "{\"a\":1,\"\\u0061\":2}", "[{\"b\":{\"c\":1,\"c\":1}}]"];

/** The text of a JSON value. If `isBad`, a strict reader must refuse every text that contains
 * it. */
export function value(random, depth = 0) {
  const kind = random.int(depth > 3 ? 6 : 10);
  if (kind < 2) return { text: random.pick(NUMBERS), isBad: false };
  if (kind < 4) return { text: random.pick(STRINGS), isBad: false };
  if (kind === 4) return { text: random.pick(["null", "true", "false", "[]", "{}", "[null]"]), isBad: false };
  if (kind === 5) {
    if (!random.once(4)) return { text: random.pick(NUMBERS), isBad: false };
    if (!random.once(20)) return { text: random.pick(depth === 0 ? MALFORMED : MALFORMED.slice(FRAGMENTS)), isBad: true };
    return { text: `${"[".repeat(300)}${"]".repeat(300)}`, isBad: true };
  }
  const inner = Array.from({ length: random.int(4) }, () => value(random, depth + 1));
  const isBad = inner.some((one) => one.isBad);
  if (kind < 8) return { text: `[${inner.map((one) => one.text).join(random.pick([",", " , "]))}]`, isBad };
  return { text: `{${inner.map((one, i) => `"m${i}":${one.text}`).join(",")}}`, isBad };
}

/** The same string in another spelling of JSON. */
const escaped = (text) => `"${text.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")}"`;

/** Members, in order, as an object. */
const object = (members) => `{${members.map(([name, text]) => `${name.startsWith("\\") ? `"${name}"` : JSON.stringify(name)}:${text}`).join(",")}}`;

function shuffled(random, list) {
  const result = [...list];
  for (let i = result.length - 1; i > 0; i--) {
    const other = random.int(i + 1);
    [result[i], result[other]] = [result[other], result[i]];
  }
  return result;
}

// --- Tokens --------------------------------------------------------------------------------------

const TYP = "pi-session+jwt";
const MAX_SECONDS = 253_402_300_799;
const MAX_TOKEN_LENGTH = 4096;
const TOLERANCE = 5;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n; // of the group of Ed25519

const base64url = (text) => Buffer.from(text).toString("base64url");

/** Seconds between a time and every limit, so that a delay between signing and verifying changes
 * no verdict. */
const OFFSETS = [-MAX_SECONDS, -7200, -3600, -3599, -60, -30, 30, 60, 600, 3600, 7200, MAX_SECONDS];

export class Tokens {
  #random;
  #key;
  #otherKey;
  #issuer;
  #audience;
  #kid;
  #pool = [];
  #sound = new Set();

  /** Keys are private JWKs; the first is the issuer's. */
  constructor({ random, key, otherKey, issuer, audience, sid }) {
    this.#random = random;
    this.#key = createPrivateKey({ key, format: "jwk" });
    this.#otherKey = createPrivateKey({ key: otherKey, format: "jwk" });
    [this.#issuer, this.#audience, this.#kid, this.sid] = [issuer, audience, key.kid, sid];
  }

  /** The members of a valid payload. */
  #members() {
    const random = this.#random;
    const now = Math.floor(Date.now() / 1000);
    const sid = this.sid ?? random.text(BASE64URL, 22);
    const iat = now - random.int(1800);
    return [
      ["iss", JSON.stringify(this.#issuer)],
      ["aud", JSON.stringify(this.#audience)],
      ["sub", `"${random.text(BASE64URL, 1 + random.int(128))}"`],
      ["sid", `"${sid}"`],
      ["iat", String(iat)],
      ["exp", String(iat + 3600)],
      ["auth_time", String(iat - random.int(1_000_000))],
      ["jti", `"${random.text(BASE64URL, 22)}-0"`],
      ["scope", random.pick(["\"\"", "\"username\"", "\"payments username\""])],
      ...(random.once(2) ? [["preferred_username", random.pick(["\"alice\"", "\"ali\\u0063e\"", "\"é🙂\""])]] : []),
      ...(random.once(2) ? [["app_bound", random.pick(["true", "false"])]] : []),
    ];
  }

  #sign(header, payload, key = this.#key) {
    const signed = `${base64url(header)}.${base64url(payload)}`;
    return `${signed}.${sign(null, Buffer.from(signed), key).toString("base64url")}`;
  }

  get #headers() {
    return ["EdDSA", "Ed25519"].map((alg) => `{"alg":"${alg}","kid":"${this.#kid}","typ":"${TYP}"}`);
  }

  get #header() {
    return this.#random.pick(this.#headers);
  }

  /** A valid token. Some are used repeatedly, as real ones are. */
  good() {
    const at = this.#random.int(64);
    if (this.#pool[at] === undefined || this.#random.once(40)) {
      this.#pool[at] = this.#sign(this.#header, object(shuffled(this.#random, this.#members())));
      this.#sound.add(this.#pool[at]);
    }
    return this.#pool[at];
  }

  /** Whether this generator made the token, and made it valid. */
  isSound(token) {
    return this.#sound.has(token);
  }

  /** Checks the members, as they were written, against the rules in docs/http.md. */
  #isSession(members) {
    const names = members.map(([name]) => JSON.parse(`"${name.replaceAll("\"", "\\\"")}"`));
    if (new Set(names).size < names.length || members.some(([, , isBad]) => isBad)) return false;
    const texts = Object.fromEntries(members.map(([, text], i) => [`$${names[i]}`, text]));
    const string = (name) => texts[`$${name}`]?.startsWith("\"") && JSON.parse(texts[`$${name}`]);
    const whole = (name) => (/^(0|[1-9]\d*)$/.test(texts[`$${name}`] ?? "") && Number(texts[`$${name}`]) <= MAX_SECONDS ? Number(texts[`$${name}`]) : NaN);
    const absent = (name) => texts[`$${name}`] === undefined;
    const id = (name) => /^[A-Za-z0-9_-]{1,128}$/.test(string(name) || "");
    const [iat, exp, now] = [whole("iat"), whole("exp"), Date.now() / 1000];
    return string("iss") === this.#issuer && string("aud") === this.#audience && id("sub") && id("sid") && id("jti")
      && exp - iat >= 1 && exp - iat <= 3600 && iat <= now + TOLERANCE && exp + TOLERANCE > now && !Number.isNaN(whole("auth_time"))
      && (absent("nbf") || whole("nbf") <= now + TOLERANCE)
      && typeof string("scope") === "string" && (absent("preferred_username") || typeof string("preferred_username") === "string")
      && (absent("app_bound") || ["true", "false"].includes(texts.$app_bound));
  }

  /** A payload with some members changed, truly signed. */
  #resigned() {
    const random = this.#random;
    const now = Math.floor(Date.now() / 1000);
    let members = this.#members();
    for (let changes = 1 + random.int(2); changes > 0; changes--) {
      const at = random.int(members.length);
      const [name, text] = members[at];
      const other = value(random);
      switch (random.int(9)) {
        case 0: members.splice(at, 1); break;
        case 1: members[at] = [name, other.text, other.isBad]; break;
        case 2: members.push([random.pick(["nbf", "more", "__proto__", "constructor", "Exp", "exp ", name]), other.text, other.isBad]); break;
        case 3: members.push([name, text]); break;
        case 4: members[at] = [name.replace(/./, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`), text, members[at][2]]; break;
        case 5: if (text.startsWith("\"")) members[at] = [name, random.once(2) ? escaped(JSON.parse(text)) : JSON.stringify(spoil(random, JSON.parse(text)).toWellFormed())]; break;
        case 6: members = members.map((member) => (["iat", "exp", "nbf"].includes(member[0]) && random.once(2) ? [member[0], String(Math.max(0, now + random.pick(OFFSETS)))] : member)); break;
        case 7: members.push(["nbf", String(Math.max(0, now + random.pick(OFFSETS)))]); break;
        default: members = shuffled(random, members);
      }
    }
    if (random.once(100)) members.push(["more", `"${"x".repeat(random.pick([2000, 2800, 4000, 100_000]))}"`]);
    const token = this.#sign(this.#header, object(members));
    let isGood = false;
    try {
      isGood = this.#isSession(members) && token.length <= MAX_TOKEN_LENGTH;
    } catch {
      // JSON.parse refuses the text of a member.
    }
    if (isGood) this.#sound.add(token);
    return { token, isGood, says: isGood ? members : undefined };
  }

  /** A header that is not, byte for byte, one of the two; truly signed. */
  #otherHeader() {
    const random = this.#random;
    const kid = JSON.stringify(this.#kid);
    const alg = random.pick(["EdDSA", "Ed25519"]);
    const header = random.pick([
      `{"alg":"none","kid":${kid},"typ":"${TYP}"}`, `{"alg":"HS256","kid":${kid},"typ":"${TYP}"}`, `{"alg":"${alg.toLowerCase()}","kid":${kid},"typ":"${TYP}"}`, `{"alg":"Ed448","kid":${kid},"typ":"${TYP}"}`,
      `{"typ":"${TYP}","kid":${kid},"alg":"${alg}"}`, `{"alg":"${alg}", "kid":${kid},"typ":"${TYP}"}`, `{"alg":"${alg}","kid":${kid},"typ":"JWT"}`,
      `{"alg":"${alg}","kid":${kid},"typ":"pi-revocations+jwt"}`, `{"alg":"${alg}","kid":${kid}}`, `{"alg":"${alg}","typ":"${TYP}"}`, "{}", "null", "",
      `{"alg":"${alg}","kid":${kid},"typ":"${TYP}","crit":["b64"],"b64":false}`, `{"alg":"${alg}","kid":${kid},"typ":"${TYP}","jku":"https://evil.example"}`,
      `{"alg":"${alg}","alg":"none","kid":${kid},"typ":"${TYP}"}`, `{"alg":"${alg}","kid":"../../etc/passwd","typ":"${TYP}"}`, spoil(random, this.#header),
    ]);
    return { token: this.#sign(header, object(this.#members())), isGood: this.#headers.includes(header) };
  }

  /** A signature that a lenient verifier would accept, or one from another key or token. */
  #otherSignature() {
    const random = this.#random;
    const [header, payload, signature] = this.good().split(".");
    const bytes = Buffer.from(signature, "base64url");
    switch (random.int(5)) {
      case 0: { // S plus the order of the group: lenient verifiers accept it
        const s = BigInt(`0x${Buffer.from(bytes.subarray(32)).reverse().toString("hex")}`) + ORDER;
        const more = Buffer.from(s.toString(16).padStart(64, "0"), "hex").reverse();
        more.copy(bytes, 32, 0, 32);
        break;
      }
      case 1: bytes.fill(0); break;
      case 2: bytes.fill(random.pick([0, 1, 0xff]), 0, 32); break;
      case 3: return { token: this.#sign(this.#header, object(this.#members()), this.#otherKey), isGood: false };
      default: return this.#judged(`${header}.${payload}.${this.good().split(".")[2]}`);
    }
    return { token: `${header}.${payload}.${bytes.toString("base64url")}`, isGood: false };
  }

  #otherSpelling() {
    const random = this.#random;
    const token = this.good();
    const parts = token.split(".");
    const at = random.int(3);
    const with_ = (part) => parts.map((other, i) => (i === at ? part : other)).join(".");
    const part = parts[at];
    return random.pick([
      () => token.replaceAll("-", "+").replaceAll("_", "/"),
      () => with_(`${part}=`), () => with_(`${part}==`), () => with_(""), () => with_(Buffer.from(part, "base64url").toString("base64")),
      () => with_(part.slice(0, -1) + BASE64URL[BASE64URL.indexOf(part.at(-1)) ^ 1]), () => with_(`${part}\n`), () => with_(`${part}A`),
      () => shuffled(random, parts).join("."), () => `${token}.${part}`, () => `${token}.`, () => `.${token}`, () => parts.slice(0, 2).join("."), () => `${parts[0]}.${parts[1]}.`,
      () => part, () => token + token, () => `Bearer ${token}`, () => ` ${token}`, () => `"${token}"`, () => Buffer.from(token).toString("base64url"),
      () => JSON.stringify({ payload: parts[1], signatures: [{ protected: parts[0], signature: parts[2] }] }),
    ])();
  }

  /** One input: a token, and whether a verifier must accept it. `says` has the members of a
   * token that was signed again. */
  next() {
    const random = this.#random;
    const kind = random.int(100);
    if (kind < 10) return { token: this.good(), isGood: true };
    if (kind < 22) return this.#resigned();
    if (kind < 26) return this.#otherHeader();
    if (kind < 32) return this.#otherSignature();
    if (kind < 50) return this.#judged(this.#otherSpelling());
    if (kind < 97) {
      let token = this.good();
      for (let changes = 1 + random.int(3); changes > 0; changes--) token = spoil(random, token);
      return this.#judged(token);
    }
    const length = random.pick([0, 1, 2, 85, 86, 87, 4095, 4096, 4097, 20_000]);
    return { token: random.text(random.pick([BASE64URL, ".", `${BASE64URL}.`, ODD]), length), isGood: false };
  }

  #judged(token) {
    return { token, isGood: this.#sound.has(token) };
  }
}

// --- Requests ------------------------------------------------------------------------------------

/** Methods that workerd accepts. */
const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "PURGE", "QUERY", "LOCK"];
const JSON_TYPE = "application/json";
const FORM_TYPE = "application/x-www-form-urlencoded";
const CONTENT_TYPES = ["", JSON_TYPE, "application/json; charset=utf-8", "application/json; charset=utf-16", "APPLICATION/JSON", "application/json, application/json", FORM_TYPE, "text/plain", "application/problem+json", "multipart/form-data; boundary=x"];
const HEADERS = {
  "authorization": ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Key abc", "bearer x,y", "DPoP x"],
  "cookie": ["", "a=b", "__Host-pi_session=", "__Host-pi_session=a; __Host-pi_session=b", "__host-pi_session=x", "__Host-pi_refresh=\"x\"", ";;;=;", "__Host-pi_session"],
  "origin": ["", "null", "https://app.example", "https://app.example/", "https://APP.example", "https://evil.example", "http://app.example", "https://app.example, https://app.example", "*"],
  "content-type": CONTENT_TYPES,
  "content-length": ["", "0", "1", "16384", "16385", "65537", "999999999999999999999", "-1", "1.5", "0x10", "1, 1", "a"],
  "content-encoding": ["identity", "gzip", "br", ""],
  "if-match": ["*", "\"\"", "\"a\"", "W/\"a\"", "a", "", ",", "\"a\", *", "*, *", "\""],
  "if-none-match": ["*", "\"a\"", "W/W/\"a\"", ""],
  "dpop": ["", "a.b.c", "x".repeat(2000), "é", "e30.e30.AA"],
  "idempotency-key": ["", "a", "a, b", "x".repeat(65), "é"],
  "sec-fetch-site": ["cross-site", "same-origin", "none"],
  "user-agent": ["", "x".repeat(5000), "é"],
  "cf-connecting-ip": ["", "192.0.2.1", "::1", "x", "192.0.2.1, 192.0.2.2"],
  "cf-ipcountry": ["DE", "XX", "de", "é", ""],
  "x-forwarded-for": ["192.0.2.1"],
  "x-http-method-override": ["DELETE"],
  "transfer-encoding": ["chunked"],
};
const IDS = ["x", "", "..", "%2e%2e", "a b", "x".repeat(129), "é", "%00", "'--", "a11ce000-0000-4000-8000-000000000001"];
const PATHS = [
  "/", "//", "/session", "/session/", "//session", "/SESSION", "/session/refresh", "/session/x", "/sessions", "/me", "/me/data", "/me/../session", "/me/%2e%2e/session", "/.well-known/jwks.json",
  "/products", "/orders", "/payments", "/revocations", "/introspect", "/notifications", "/openapi.json", "/health", "/health?a=b", "/health#x", "/favicon.ico", "/cdn-cgi/x", `/${"a".repeat(2000)}`, "/\u0000", "/é", "/%ff", "/%", "/health;x", "/*",
];
const NAMED = (id) => [`/sessions/${id}`, `/orders/${id}`, `/payments/${id}/approve`, `/payments/${id}/complete`, `/payments/${id}/cancel`, `/payments/${id}/recover`, `/payments/${id}/x`, `/ads/${id}/claim`, `/users/${id}`, `/users/${id}/payments`];
/** These requests revoke sessions. Send them only when no other request is running. */
const ENDING = [["POST", "/revoke-all"], ["DELETE", "/me"], ["DELETE", "/session"], ["DELETE", "/sessions"], ["POST", "/users/b0b00000-0000-4000-8000-000000000002/revoke"]];

export const ALLOWED_ORIGINS = ["https://app.example", "https://id.example"];
export const PERSONAS = ["sim-alice", "sim-bob", "sim-no-username"];

/** Whether the request may revoke a session. */
export const isEnding = ({ method, path }) => method === "DELETE" || path.includes("revoke");

export class Requests {
  #random;
  #tokens;

  constructor({ random, tokens }) {
    this.#random = random;
    this.#tokens = tokens;
  }

  /** A request that must succeed. `known` has the session `token`, the `refresh` token, the
   * `credential`, the `product` and the `uid`. */
  #good(known, isSpoiled) {
    const random = this.#random;
    const signed = ["authorization", random.pick(["Bearer ", "bearer ", "BEARER  "]) + known.token];
    const cookie = ["cookie", `${random.pick(["", "a=b; "])}__Host-pi_session=${known.token}`];
    const origin = random.once(2) ? [["origin", random.pick(ALLOWED_ORIGINS)]] : [];
    const backend = ["authorization", `Bearer ${known.credential}`];
    const json = ["content-type", random.pick([JSON_TYPE, "application/json; charset=utf-8", "Application/JSON"])];
    const body = (members) => JSON.stringify(members);
    const own = random.pick([signed, cookie]);
    const read = random.once(6) ? "HEAD" : "GET";
    return random.pick([
      () => ({ method: read, path: random.pick(["/health", "/products", "/.well-known/jwks.json", "/openapi.json", "/revocations"]), headers: origin, body: null }),
      () => ({ method: "OPTIONS", path: random.pick(["/me", "/session", "/orders", "/me/data"]), headers: origin, body: null }),
      () => ({ method: read, path: random.pick(["/session", "/me", "/me/data", "/sessions", "/payments"]), headers: [own, ...origin], body: null }),
      () => ({ method: read, path: random.pick(["/session", "/me"]), headers: [own, ...origin], body: null }),
      () => ({ method: "PUT", path: "/me/data", headers: [signed, json, ["if-match", "*"], ...origin], body: `{"level":${random.pick(NUMBERS)},"text":${random.pick(STRINGS)}}` }),
      () => ({ method: "POST", path: "/session", headers: [json, ...origin], body: body({ accessToken: "sim-no-username", user: { uid: "x" } }) }),
      () => ({ method: "POST", path: "/session/refresh", headers: [json, ...origin], body: body({ refreshToken: known.refresh }) }),
      () => ({ method: "POST", path: "/session/refresh", headers: [["cookie", `__Host-pi_refresh=${known.refresh}`], ["origin", ALLOWED_ORIGINS[0]]], body: null }),
      () => ({ method: "POST", path: "/orders", headers: [signed, json, ...origin], body: body({ productId: known.product }) }),
      () => ({ method: "POST", path: "/introspect", headers: [backend, ["content-type", FORM_TYPE]], body: `token=${random.pick([known.token, "x", ""])}&token_type_hint=access_token` }),
      () => ({ method: "GET", path: `/users/${known.uid}${random.pick(["", "/payments"])}`, headers: [backend], body: null }),
      // Pi limits notifications per app, so a good one may be refused.
      ...(isSpoiled ? [() => ({ method: "POST", path: "/notifications", headers: [backend, json], body: body({ notifications: [{ title: "t", body: "é", userUid: known.uid, subroute: "/" }] }) })] : []),
    ])();
  }

  #spoilBody(body, headers) {
    const random = this.#random;
    if (body instanceof Buffer) return body; // already spoiled, no longer text
    const text = body ?? "";
    switch (random.int(10)) {
      case 0: return null;
      case 1: return "";
      case 2: return value(random).text;
      case 3: return `{"accessToken":${value(random).text},"refreshToken":${value(random).text},"productId":${value(random).text},"txid":${value(random).text},"notifications":${value(random).text}}`;
      case 4: return text.replace(/^\{/, () => `{${JSON.stringify(random.pick(["accessToken", "refreshToken", "productId", "level", "notifications", "__proto__"]))}:${value(random).text},`);
      case 5: return text.replace(/:("[^"]*")/, () => `:${value(random).text}`);
      case 6: { // invalid UTF-8
        const bytes = Buffer.from(text);
        if (bytes.length > 0) bytes[random.int(bytes.length)] = random.pick([0x80, 0xc0, 0xff, 0xed]);
        return bytes;
      }
      case 7: {
        // Large bodies are slow, so they are rare.
        const size = random.pick([100, 16_384, 16_385, ...(random.once(20) ? [65_536, 65_537, 262_145] : [])]);
        return random.once(2) ? `{"a":"${"x".repeat(size)}"}` : text + " ".repeat(size);
      }
      case 8: headers.push(["content-length", random.pick(HEADERS["content-length"])]); return text;
      default: return spoil(random, text);
    }
  }

  #spoilHeaders(headers) {
    const random = this.#random;
    const at = random.int(headers.length + 1);
    const found = headers[at];
    const name = found?.[0] ?? random.pick(Object.keys(HEADERS));
    switch (random.int(5)) {
      case 0: headers.splice(at, 1); break;
      case 1: headers.push([name, random.pick(HEADERS[name] ?? [""])]); break; // may duplicate it
      case 2: if (found) found[1] = spoil(random, found[1]); break;
      case 3: if (found) found[1] = random.pick(HEADERS[name] ?? [""]); break;
      default: {
        const other = random.pick(Object.keys(HEADERS));
        headers.push([other, random.pick(HEADERS[other])]);
      }
    }
  }

  /** One input. If `isGood`, the request must succeed; otherwise `mayPass` says whether it may.
   * Good requests use the session in `known`; spoiled ones use `other`, so that they cannot
   * revoke the first. */
  next(known, other) {
    const random = this.#random;
    if (random.once(16)) return { ...this.#good(known, false), isGood: true };
    const request = this.#good(other, true);
    request.headers = request.headers.map((header) => [...header]);
    for (let changes = 1 + random.int(4); changes > 0; changes--) {
      switch (random.int(8)) {
        case 0: request.method = random.pick(METHODS); break;
        case 1: request.path = random.once(2) ? random.pick(PATHS) : random.pick(NAMED(random.pick(IDS))); break;
        case 2: request.path = spoil(random, request.path); break;
        case 3: request.body = this.#spoilBody(request.body, request.headers); break;
        case 4: case 5: { // another token
          const { token } = this.#tokens.next();
          const header = random.pick([["authorization", `Bearer ${token}`], ["cookie", `__Host-pi_session=${token}`], ["cookie", `__Host-pi_refresh=${token}`]]);
          request.headers = [...request.headers.filter(([name]) => name !== header[0]), header];
          break;
        }
        case 6: if (random.once(20)) [request.method, request.path] = random.pick(ENDING); break;
        default: this.#spoilHeaders(request.headers);
      }
    }
    if (!request.path.startsWith("/")) request.path = `/${request.path}`;
    // A client cannot send these three characters in a header. Others are sent as their bytes in
    // UTF-8.
    for (const header of request.headers) header[1] = Buffer.from(header[1].replace(/[\0\r\n]/g, "")).toString("latin1");
    return { ...request, isGood: false };
  }
}

const PUBLIC = ["/", "/health", "/products", "/.well-known/jwks.json", "/openapi.json", "/revocations"];
const BACKEND = /^\/(introspect|notifications|revoke-all|users\/)/;

/** Whether a request has the minimum that it needs to succeed. It looks at the request as the
 * runtime made it. `holds(token)` says whether a session token belongs to a live session. */
export function mayPass({ method, pathname, headers, body }, { holds, refreshTokens, credential }) {
  const origin = headers.get("origin");
  if (origin !== null && !ALLOWED_ORIGINS.includes(origin)) return false;
  if (method === "OPTIONS") return true;
  const isRead = method === "GET" || method === "HEAD";
  if (PUBLIC.includes(pathname)) return isRead;
  // The Worker does not read a header with a control character as a credential, and it accepts tabs
  // before the token.
  const bearer = /^bearer [ \t]*([!-~\x80-\xff]+)$/i.exec(headers.get("authorization") ?? "")?.[1];
  if (BACKEND.test(pathname)) return bearer === credential;
  const cookie = (name) => headers.get("cookie")?.split(";").map((pair) => pair.trim().split("=")).find(([other]) => other === name)?.[1]?.trim();
  const member = (name) => {
    try {
      return JSON.parse(Buffer.from(body ?? "").toString())[name];
    } catch {
      return undefined;
    }
  };
  const refresh = cookie("__Host-pi_refresh");
  if (pathname === "/session" && method === "POST") return PERSONAS.includes(member("accessToken"));
  if (pathname === "/session/refresh") return method === "POST" && [member("refreshToken"), refresh].some((token) => refreshTokens.has(token));
  // Signing out goes by the refresh cookie, too.
  if (pathname === "/session" && method === "DELETE" && refreshTokens.has(refresh)) return true;
  const token = bearer ?? cookie("__Host-pi_session");
  return token !== undefined && holds(token);
}
