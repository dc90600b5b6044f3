// One crossing each way: what the Worker reads of a request, as one text, and a response made of one. Header by header,
// crossing the border between JavaScript and wasm costs more than all that is done with them.

/** Those that somebody reads; several of one name come joined with commas. */
const HEADERS = [
  "authorization", "cf-connecting-ip", "cf-ipcountry", "content-encoding", "content-length", "content-type", "cookie",
  "if-match", "if-none-match", "origin", "sec-fetch-site", "user-agent",
];

/** Method, URL and headers, a line each. No value can hold a line break. */
export function head({ method, url, headers }) {
  let text = `${method}\n${url}`;
  for (const name of HEADERS) {
    const value = headers.get(name);
    if (value !== null) text += `\n${name}:${value}`;
  }
  return text;
}

/** `headers` are lines of `name:value`; an empty body is none at all, as 204 and 304 need it. */
export function respond(status, headers, body) {
  const pairs = [];
  for (const line of headers.split("\n")) {
    const colon = line.indexOf(":");
    pairs.push([line.slice(0, colon), line.slice(colon + 1)]);
  }
  return new Response(body.length === 0 ? null : body, { status, headers: pairs });
}
