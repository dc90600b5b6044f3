// A proxy between the Worker and the simulated Pi, on real sockets, that breaks a request as its
// header `x-fault` says: either before Pi, so that Pi never gets the request, or after Pi has
// acted, so that the answer is lost or wrong.

import { once } from "node:events";
import { createServer, request as send } from "node:http";
import { gzipSync } from "node:zlib";

const JSON_TYPE = { "content-type": "application/json; charset=utf-8" };
const BOMB = gzipSync(Buffer.alloc(200 * 1024 * 1024, " "), { level: 9 });

/** Answers instead of Pi's, by the name of the fault. Pi gets no request. */
const INSTEAD = {
  reset: (response) => response.destroy(),
  hang: () => {},
  drip: (response) => {
    response.writeHead(200, JSON_TYPE);
    const timer = setInterval(() => response.write(" "), 1000);
    response.on("close", () => clearInterval(timer));
  },
  redirect: (response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
  html: (response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>Maintenance</html>"),
  "wrong-object": (response) => response.writeHead(200, JSON_TYPE).end('{"hello":"world"}'),
  huge: (response) => {
    response.writeHead(200, JSON_TYPE);
    const timer = setInterval(() => response.write(Buffer.alloc(64 * 1024, " ")), 1);
    response.on("close", () => clearInterval(timer));
  },
  bomb: (response) => response.writeHead(200, { ...JSON_TYPE, "content-encoding": "gzip" }).end(BOMB),
  401: (response) => response.writeHead(401).end(),
  403: (response) => response.writeHead(403, JSON_TYPE).end("{}"),
  404: (response) => response.writeHead(404, JSON_TYPE).end('{"error":"payment_not_found"}'),
  409: (response) => response.writeHead(409, JSON_TYPE).end('{"error":"conflict"}'),
  429: (response) => response.writeHead(429).end(),
  "429-later": (response) => response.writeHead(429, { "retry-after": "7" }).end(),
  500: (response) => response.writeHead(500, { "content-type": "text/html" }).end("<html>We're sorry</html>"),
};

/** Changes to Pi's answer, by the name of the fault. Pi has acted. */
const AFTER = {
  "reset-after": (response) => response.destroy(),
  "hang-after": () => {},
  "500-after": (response) => response.writeHead(500, { "content-type": "text/html" }).end("<html>We're sorry</html>"),
  "reset-in-body": (response, answer, body) => {
    response.writeHead(answer.statusCode, { ...answer.headers, "content-length": body.length });
    response.write(body.subarray(0, body.length / 2), () => setTimeout(() => response.destroy(), 20));
  },
  truncated: (response, answer, body) => response.writeHead(answer.statusCode, JSON_TYPE).end(body.subarray(0, body.length / 2)),
  "another-id": (response, answer, body) => {
    const dto = JSON.parse(body);
    if (dto.identifier) dto.identifier = "another-id";
    response.writeHead(answer.statusCode, JSON_TYPE).end(JSON.stringify(dto));
  },
  // Also a payment with a verified transaction, which the simulated Pi does not cancel.
  cancelled: (response, answer, body) => {
    const dto = JSON.parse(body);
    dto.status.user_cancelled = true;
    response.writeHead(answer.statusCode, JSON_TYPE).end(JSON.stringify(dto));
  },
};

/** The names of the faults before and after Pi acts. */
export const before = Object.keys(INSTEAD);
export const after = Object.keys(AFTER);

/** Starts the proxy. It calls `stopped` when a request reaches the stop that a test has set. */
export async function startPiProxy(target) {
  const proxy = { stopped: () => {}, requests: 0 };
  const server = createServer((request, response) => {
    const { method, url, headers: { "x-fault": fault, ...headers } } = request;
    if (url === "/stop") return proxy.stopped();
    proxy.requests += 1;
    if (fault === "stop-before") return proxy.stopped();
    if (INSTEAD[fault]) return INSTEAD[fault](response);
    const onward = send(new URL(url, target), { method, headers: { ...headers, host: new URL(target).host } }, async (answer) => {
      const body = Buffer.concat(await answer.toArray());
      if (fault === "stop-after") return proxy.stopped();
      if (AFTER[fault]) return AFTER[fault](response, answer, body);
      response.writeHead(answer.statusCode, answer.headers).end(body);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  proxy.close = () => {
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  };
  return proxy;
}
