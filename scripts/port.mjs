// Finds free ports on loopback, for servers that need a port number in their settings.

import { randomInt } from "node:crypto";
import { createServer } from "node:net";

// The system gives ports above 32767 (Linux; 49151 elsewhere) to outgoing connections and to
// servers that ask for any port. A port of that range could be taken between the choice and its
// use. Browsers and `fetch` refuse some ports up to 10080.
const LOWEST = 20_000;
const END = 32_768;

export const isFree = (port) =>
  new Promise((done) => {
    const server = createServer().once("error", () => done(false));
    server.listen(port, "127.0.0.1", () => server.close(() => done(true)));
  });

/** The ports that this process has got: a server that is about to listen does not have its port yet. */
const given = new Set();

/** Returns the first of `count` neighbouring ports that are all free. */
export async function freePort(count = 1) {
  for (let tries = 0; tries < 100; tries++) {
    const port = randomInt(LOWEST, END - count);
    const ports = Array.from({ length: count }, (_, distance) => port + distance);
    if (ports.some((one) => given.has(one))) continue;
    for (const one of ports) given.add(one);
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return port;
  }
  throw new Error(`Found no ${count} free ports from ${LOWEST} to ${END - 1} on 127.0.0.1.`);
}
