// A port of loopback on which nobody listens, for servers that must be told theirs.

import { createServer } from "node:net";

export async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}
