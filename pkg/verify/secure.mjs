// Decides whether a connection is safe from others on the network: https, or http on this machine.

/** @param {{ protocol: string, hostname: string }} url */
export const isSecure = ({ protocol, hostname }) =>
  protocol === "https:" || (protocol === "http:" && ["localhost", "127.0.0.1", "[::1]"].includes(hostname));
