// The calls of the wasm into JavaScript: a request's body, an exchange with Pi, a batch of D1, a
// signature, a count of attempts. Each call only begins something, and sets the promise that
// `entry.mjs` awaits for the job; host.rs is the other half.

import { DEADLINE, head, outcomes, pairs, read, statements, yes } from "./wire.mjs";

// How long each call may take. After that, the job is polled with the failure, and its caller gets
// an answer.
const BODY_MS = 20_000; // 64 KiB over a slow mobile network take ten seconds
const DATABASE_MS = 5_000; // as long as for Pi
const LIMITER_MS = 1_000; // it counts in the memory of its location
const SIGNATURE_MS = 5_000;

let polled; // the job that is being polled

/** Lets the polled job wait for a promise, at most this long (`inTime` in entry.mjs). */
function wait(promise, milliseconds) {
  polled.promise = promise;
  polled.left = milliseconds;
}

/** Sets the job that is polled next. If it waits, it waits for `job.promise`. */
export function polling(job) {
  polled = job;
}

/** Logs a line, which is an object in JSON (log.rs). */
export const log = (method, line) => console[method](line);

/** Reads the request's body, at most `limit` bytes of it. */
export function body(limit, isAnnounced) {
  const { request } = polled;
  // The runtime limits a client's body to its announced length, so it can be read in one piece.
  wait(isAnnounced ? whole(request) : readTo(request.body, limit), BODY_MS);
}

/** Sends a message with method, URL and headers as fields. The answer is a message with status,
 * content type and Retry-After as fields, and at most `limit` bytes and one of the body. */
export function exchange(message, deadline, limit) {
  // The signal has the deadline, and cancels the exchange as well.
  wait(ask(read(message), AbortSignal.timeout(deadline), limit), 2 * deadline);
}

async function ask([[method, url, ...headers], body], signal, limit) {
  try {
    // If it followed a redirect, it would send the access token to the redirect's target.
    const options = { __proto__: null, method, headers: Object.fromEntries(pairs(headers)), body: body ?? undefined, redirect: "manual", signal };
    const answer = await fetch(url, options);
    const type = answer.headers.get("content-type") ?? "";
    const retryAfter = answer.ok ? "" : (answer.headers.get("retry-after") ?? "");
    const fields = head([String(answer.status), type, retryAfter]);
    // Pi sends its reason for a refusal in JSON. Nothing reads other error pages, and they may be
    // of any size.
    const isRead = answer.ok || (answer.status >= 400 && answer.status < 500 && type.startsWith("application/json"));
    if (!isRead) {
      answer.body?.cancel().catch(() => {});
      return [fields, NOTHING];
    }
    // Without a length that can be trusted, it is counted while it is read: a compressed body can
    // be a bomb.
    const isSmall = Number(answer.headers.get("content-length") ?? Infinity) <= limit && !answer.headers.has("content-encoding");
    return [fields, await (isSmall ? whole(answer) : readTo(answer.body, limit + 1))];
  } catch {
    // JavaScript's own message may contain the request.
    throw new Error(signal.aborted ? DEADLINE : "connection");
  }
}

/** Runs a batch of statements in D1 as one transaction. The answer is their outcomes. */
export function batch(database, text) {
  wait(run(database, statements(text), polled), DATABASE_MS);
}

async function run(database, batch, job) {
  const prepared = batch.map(({ sql, address, length, parameters }) => {
    const statement = sql === undefined ? constant(database, job, address, length) : database.prepare(sql);
    return statement.bind(...parameters);
  });
  return outcomes(prepared.length === 1 ? [await prepared[0].all()] : await database.batch(prepared));
}

/** The prepared statements of the SQL texts among the wasm's constants, by their places, for one
 * database. */
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

/** A promise of the Ed25519 key with this seed. The key cannot be exported. */
export function importKey(seed) {
  const key = crypto.subtle.importKey("pkcs8", Uint8Array.of(...PKCS8_HEAD, ...seed), "Ed25519", false, ["sign"]);
  key.catch(() => {}); // each signature with the key fails with this error
  return key;
}

/** Signs the message. It is copied, because it is in the wasm's memory. */
export function sign(key, message) {
  wait(signature(key, message.slice()), SIGNATURE_MS);
}

const signature = async (key, message) => new Uint8Array(await crypto.subtle.sign("Ed25519", await key, message));

/** Checks the ES256 signature (RFC 7518 §3.4) of the message by the key of a point. All three are
 * copied. */
export function verify(key, message, signature) {
  wait(verifies(key.slice(), message.slice(), signature.slice()), SIGNATURE_MS);
}

async function verifies(point, message, signature) {
  let key;
  try {
    key = await crypto.subtle.importKey("raw", point, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
  } catch {
    return yes(false); // the point is not on the curve
  }
  return yes(await crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, signature, message));
}

/** Counts one more attempt with this key. The answer is whether the limiter admits it. */
export function count(limiter, key) {
  wait(admits(limiter, key), LIMITER_MS);
}

const admits = async (limiter, key) => yes((await limiter.limit({ key })).success);

const NOTHING = new Uint8Array();

const whole = async (message) => new Uint8Array(await message.arrayBuffer());

/** The first bytes of the stream, at most `limit`. The rest is not awaited, and takes no memory. */
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
  // The stream is not needed any more, so a failure to cancel it changes nothing.
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
