// Writes a request as a command line for curl.

// A shell takes everything between single quotes as it is, except a single quote.
const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Without them, the request would be another one. The browser's own headers say nothing. */
const HEADERS = ["authorization", "content-type", "if-match", "idempotency-key"];

/** @param {{ method: string, url: string, headers: Headers, body: string }} request */
export function curl({ method, url, headers, body }) {
  const parts = ["curl -i"];
  if (method !== "GET") parts.push(`-X ${method}`);
  parts.push(quote(url));
  for (const name of HEADERS) {
    const value = headers.get(name);
    if (value !== null) parts.push(`-H ${quote(`${name}: ${value}`)}`);
  }
  if (body) parts.push(`-d ${quote(body)}`);
  return parts.join(" ");
}

/**
 * Whether curl can send the same request. A proof of the browser's key is worth one request only,
 * and no script can read the cookie.
 *
 * @param {{ headers: Headers, credentials: string }} request
 */
export const isRepeatable = ({ headers, credentials }) => !headers.has("dpop") && credentials !== "include";
