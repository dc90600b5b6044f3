// Reads a window of the revocation feed, as a verifier does but without its checks.

/** The fingerprint of a session id, in hexadecimal. */
export const fingerprintOf = (sid) => Buffer.from(sid.padStart(12, "A").slice(-12), "base64url").subarray(1).toString("hex");

/** A document of the feed: its token, the claims, the fingerprints, and whether it names a session. */
export function readFeed(bytes) {
  const document = Buffer.from(bytes);
  const end = document.indexOf("\n");
  const token = document.subarray(0, end).toString();
  const names = [];
  for (let at = end + 1; at < document.length; at += 8) names.push(document.subarray(at, at + 8).toString("hex"));
  const named = new Set(names);
  return { token, ...JSON.parse(Buffer.from(token.split(".")[1], "base64url")), names, has: (sid) => named.has(fingerprintOf(sid)) };
}

/** Calls `read` for the feed until the Worker has read the revocations after this moment: it keeps
 * them for five seconds. */
export async function freshFeed(read) {
  const second = Math.floor(Date.now() / 1000);
  for (;;) {
    const response = await read();
    const bytes = await response.arrayBuffer();
    // On a busy machine, a feed of very many sessions can exceed the deadline of the database.
    const feed = response.status === 503 ? undefined : readFeed(bytes);
    if (feed?.iat > second) return feed;
    await new Promise((done) => setTimeout(done, 250));
  }
}
