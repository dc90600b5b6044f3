// A fake Pi on a real socket, as friendly or as hostile as a test needs.

import { createServer } from "node:http";

export const JSON_TYPE = { "content-type": "application/json; charset=utf-8" };

/** A valid UserDTO. */
export function user(members = {}) {
  return {
    uid: "a11ce000-0000-4000-8000-000000000001",
    username: "alice_pioneer",
    app_id: "test-app",
    credentials: { scopes: ["username", "platform"], valid_until: { timestamp: Math.floor(Date.now() / 1000) + 3600 } },
    ...members,
  };
}

/** Starts it on loopback. `answers[token]` is a function (request, response), or a value to
 * send. */
export async function startFakePi(answers) {
  const requests = [];
  const server = createServer((request, response) => {
    requests.push({ method: request.method, url: request.url, headers: request.headers });
    const token = request.headers.authorization?.replace(/^Bearer /, "");
    const answer = answers[token];
    if (typeof answer === "function") answer(request, response);
    else if (answer) response.writeHead(200, JSON_TYPE).end(JSON.stringify(answer));
    else response.writeHead(401).end();
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
