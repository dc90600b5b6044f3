// A fake Pi in a separate process: GET /v2/me accepts every access token "user-<n>". Prints its
// port.

import { createServer } from "node:http";

const server = createServer((request, response) => {
  const number = request.headers.authorization?.match(/^Bearer user-(\d+)$/)?.[1];
  if (request.url !== "/v2/me" || number === undefined) return response.writeHead(401).end();
  const timestamp = Math.floor(Date.now() / 1000) + 3600;
  const user = {
    uid: `a11ce000-0000-4000-8000-${number.padStart(12, "0")}`,
    username: `pioneer_${number}`,
    app_id: "bench-app",
    credentials: { scopes: ["username", "payments"], valid_until: { timestamp } },
  };
  // With a length, as Rails and Express send it.
  const text = JSON.stringify(user);
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(text) }).end(text);
});
server.keepAliveTimeout = 0;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.on("disconnect", () => process.exit());
