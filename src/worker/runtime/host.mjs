// What the Worker asks of JavaScript: a request's body, an exchange with Pi, a batch of D1, a signature, a count of
// attempts. Each call only begins something; the job that is being polled waits for it (entry.mjs), and gets bytes.
//
// An exchange and a batch cross the border between JavaScript and wasm as one text each way. Header by header, statement
// by statement, the crossings cost more than all that is done with them.

// How long what answers within milliseconds may take. After that it does not work, and whoever waits must know.
const BODY_MS = 20_000; // 64 KiB over a slow mobile network take ten seconds
const DATABASE_MS = 5_000; // as long as for Pi
const LIMITER_MS = 1_000; // it counts in the memory of its location
const SIGNATURE_MS = 5_000;

let polled; // the job that is being polled

/** Lets the polled job wait for a promise, but no longer than this (`inTime` in entry.mjs). */
function wait(promise, milliseconds) {
  polled.promise = promise;
  polled.left = milliseconds;
}

/** Says which job is polled next. Where it waits, `job.promise` is for what. */
export function polling(job) {
  polled = job;
}

/** The request's body, of which no more is read than `limit` bytes. */
export function body(limit, isAnnounced) {
  const { request } = polled;
  // From a client, the runtime holds a body to its announced length, so that it may come in one piece.
  wait(isAnnounced ? whole(request) : readTo(request.body, limit), BODY_MS);
}

/** `text` has method, URL and headers, a line each, then an empty line and the body. Gives status, content type and
 * Retry-After, a line each, and no more than `limit` bytes and one of the body. */
export function exchange(text, deadline, limit) {
  // It has its own deadline, which ends the exchange as well.
  wait(ask(text, AbortSignal.timeout(deadline), limit), 2 * deadline);
}

async function ask(text, signal, limit) {
  const end = text.indexOf("\n\n");
  const [method, url, ...lines] = text.slice(0, end).split("\n");
  const headers = Object.fromEntries(lines.map(pair));
  try {
    // Followed, a redirect would carry the access token to wherever it points.
    const answer = await fetch(url, { __proto__: null, method, headers, body: text.slice(end + 2) || undefined, redirect: "manual", signal });
    const type = answer.headers.get("content-type") ?? "";
    const retryAfter = answer.ok ? "" : (answer.headers.get("retry-after") ?? "");
    const head = `${answer.status}\n${type}\n${retryAfter}\n`;
    // Pi says why it refuses in JSON. Other error pages nobody reads: they may be of any size.
    const isRead = answer.ok || (answer.status >= 400 && answer.status < 500 && type.startsWith("application/json"));
    if (!isRead) {
      answer.body?.cancel().catch(() => {});
      return [head, NOTHING];
    }
    // Without an honest length it is counted while it is read: a compressed body can be a bomb.
    const isSmall = Number(answer.headers.get("content-length") ?? Infinity) <= limit && !answer.headers.has("content-encoding");
    return [head, await (isSmall ? whole(answer) : readTo(answer.body, limit + 1))];
  } catch {
    // What JavaScript says of it may hold the request.
    throw new Error(signal.aborted ? "deadline" : "connection");
  }
}

/** `text` is a JSON array of statements: SQL and parameters, or address and length of the SQL and parameters. D1 runs them
 * as one transaction. Gives, for each, the number of rows that it changed, the names of its columns, and the rows that it
 * found. */
export function batch(database, text) {
  wait(run(database, JSON.parse(text), polled), DATABASE_MS);
}

async function run(database, statements, job) {
  const prepared = statements.map(([sql, ...rest]) => {
    if (typeof sql === "string") return database.prepare(sql).bind(...rest);
    const [length, ...parameters] = rest;
    return constant(database, job, sql, length).bind(...parameters);
  });
  const outcomes = prepared.length === 1 ? [await prepared[0].all()] : await database.batch(prepared);
  return JSON.stringify(outcomes.map(outcome));
}

function outcome({ meta, results }) {
  const rows = results ?? [];
  return [meta.changes ?? 0, Object.keys(rows[0] ?? {}), rows.map((row) => Object.values(row))];
}

/** What is prepared of the SQL texts among the wasm's constants, by their places, for one database. */
const kept = { database: undefined, statements: new Map() };

function constant(database, job, address, length) {
  if (kept.database !== database) Object.assign(kept, { database, statements: new Map() });
  const place = address * 65_536 + length; // one text may be the beginning of another
  let statement = kept.statements.get(place);
  if (statement === undefined) {
    statement = database.prepare(job.text(address, length));
    kept.statements.set(place, statement);
  }
  return statement;
}

/** RFC 8410 §7: an Ed25519 private key in PKCS #8, up to its 32 bytes. */
const PKCS8_HEAD = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/** A promise of the Ed25519 key of this seed, which cannot be read out again. */
export function importKey(seed) {
  const key = crypto.subtle.importKey("pkcs8", Uint8Array.of(...PKCS8_HEAD, ...seed), "Ed25519", false, ["sign"]);
  key.catch(() => {}); // whoever signs with it is told
  return key;
}

/** The signature of the message, which is copied: it lies in the wasm's memory. */
export function sign(key, message) {
  wait(signature(key, message.slice()), SIGNATURE_MS);
}

const signature = async (key, message) => new Uint8Array(await crypto.subtle.sign("Ed25519", await key, message));

/** Whether the message has this ES256 signature (RFC 7518 §3.4) of a key that is given as a point. All are copied. */
export function verify(key, message, signature) {
  wait(holds(key.slice(), message.slice(), signature.slice()), SIGNATURE_MS);
}

async function holds(point, message, signature) {
  let key;
  try {
    key = await crypto.subtle.importKey("raw", point, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
  } catch {
    return "no"; // the point is not on the curve
  }
  return (await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, signature, message)) ? "yes" : "no";
}

/** Whether one more attempt of this key is admitted. */
export function count(limiter, key) {
  wait(admits(limiter, key), LIMITER_MS);
}

const admits = async (limiter, key) => ((await limiter.limit({ key })).success ? "yes" : "no");

const NOTHING = new Uint8Array();

const whole = async (message) => new Uint8Array(await message.arrayBuffer());

/** The first bytes of the stream, `limit` at most. What comes after is not waited for, and takes no memory. */
async function readTo(stream, limit) {
  if (stream === null) return NOTHING;
  const reader = stream.getReader();
  const chunks = [];
  let length = 0;
  while (length < limit) {
    const { value, done } = await reader.read();
    if (done) break;
    const chunk = value.subarray(0, limit - length);
    chunks.push(chunk);
    length += chunk.length;
  }
  // Fire and forget: what the other side makes of it is not our concern.
  if (length === limit) reader.cancel().catch(() => {});
  if (chunks.length === 1) return chunks[0];
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** `name:value` as a pair. */
export function pair(line) {
  const colon = line.indexOf(":");
  return [line.slice(0, colon), line.slice(colon + 1)];
}
