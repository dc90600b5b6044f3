// Checks the addresses in options, from which documents are fetched.

import { invalidOptions } from "./errors.mjs";
import { isSecure } from "./secure.mjs";

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
