// From which addresses documents may be fetched: https, or http on this machine.

import { invalidOptions } from "./errors.mjs";

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

/**
 * Whether the connection is safe from changes by others on the network.
 *
 * @param {{ protocol: string, hostname: string }} url
 */
export const isSecure = ({ protocol, hostname }) => protocol === "https:" || (protocol === "http:" && LOOPBACK.has(hostname));

/**
 * The URL in an option, if documents may be fetched from there.
 *
 * @param {string} text
 * @param {string} option
 */
export function documentUrl(text, option) {
  let url;
  try {
    url = new URL(text);
  } catch {
    throw invalidOptions(`${option} must be a URL such as https://session.example.com`);
  }
  if (!isSecure(url)) throw invalidOptions(`${option} must begin with https://, or with http:// on this machine only`);
  if (url.username || url.password) throw invalidOptions(`${option} must have no user name and no password`);
  return url.href;
}
