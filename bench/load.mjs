// Load over keep-alive connections, one request at a time on each. It uses plain sockets, because
// on a machine with few cores a slow client would measure itself.

import { connect } from "node:net";

const HEAD_END = Buffer.from("\r\n\r\n");
const LAST_CHUNK = Buffer.from("\r\n0\r\n\r\n");

/** The number of bytes of the first answer, or undefined until it is complete. */
function answerLength(bytes) {
  const end = bytes.indexOf(HEAD_END);
  if (end < 0) return undefined;
  const head = bytes.latin1Slice(0, end).toLowerCase();
  const length = /\r\ncontent-length: *(\d+)/.exec(head)?.[1];
  if (length !== undefined) {
    const whole = end + 4 + Number(length);
    return bytes.length >= whole ? whole : undefined;
  }
  if (!head.includes("\r\ntransfer-encoding: chunked")) throw new Error("an answer without a length");
  const last = bytes.indexOf(LAST_CHUNK, end + 2);
  return last < 0 ? undefined : last + LAST_CHUNK.length;
}

function connection(port, next, status, done) {
  return new Promise((finish, fail) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    const wanted = `HTTP/1.1 ${status} `;
    let [bytes, sent] = [undefined, 0];
    const send = () => {
      const request = next();
      if (request === undefined) return socket.end();
      sent = performance.now();
      socket.write(request, "latin1");
    };
    socket.on("connect", send);
    socket.on("data", (data) => {
      try {
        bytes = bytes ? Buffer.concat([bytes, data]) : data;
        const length = answerLength(bytes);
        if (length === undefined) return;
        if (length !== bytes.length) throw new Error("more than one answer");
        const first = bytes.latin1Slice(0, wanted.length);
        if (first !== wanted) throw new Error(`an unexpected answer: ${bytes.latin1Slice(0, 400)}`);
        bytes = undefined;
        done(performance.now() - sent);
        send();
      } catch (error) {
        socket.destroy(error);
      }
    });
    socket.on("error", fail);
    socket.on("close", finish);
  });
}

/** Sends requests for `seconds`. Returns the latencies and the actual duration, in ms.
 * `request(n)` is the text of the nth. */
export async function load({ port, connections, seconds, request, status }) {
  const latencies = [];
  const began = performance.now();
  const end = began + seconds * 1000;
  const next = () => (performance.now() < end ? request() : undefined);
  await Promise.all(Array.from({ length: connections }, () => connection(port, next, status, (ms) => latencies.push(ms))));
  return { latencies, seconds: (performance.now() - began) / 1000 };
}

/** Sends `count` requests, one after the other. */
export async function sequence({ port, count, request, status }) {
  const latencies = [];
  let left = count;
  await connection(port, () => (left-- > 0 ? request() : undefined), status, (ms) => latencies.push(ms));
  return latencies;
}

/** The text of a request. */
export function render(method, path, { headers = {}, body = "" } = {}) {
  const lines = Object.entries({ Host: "127.0.0.1", "User-Agent": "bench/1", ...headers, ...(body && { "Content-Type": "application/json", "Content-Length": body.length }) });
  return `${method} ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`;
}
