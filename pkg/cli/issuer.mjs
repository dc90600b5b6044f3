// SESSION_ISSUER in a wrangler configuration: whether it is set, and how `deploy` sets it.

/** @import { Configuration } from "./wrangler.mjs" */

import { chmodSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { Problem } from "./problem.mjs";

/**
 * Whether an origin is one of the names that nobody can own (RFC 2606 §3), as templates have it.
 *
 * @param {string} issuer
 */
export const isPlaceholder = (issuer) => /^https?:\/\/(.+\.)?example\.(com|net|org)(:|$)/.test(issuer);

/**
 * Writes the issuer into the configuration, and changes no other byte: a formatter would move the
 * comments.
 *
 * @param {Configuration} configuration
 * @param {string} issuer an origin
 * @param {string | undefined} env
 */
export function saveIssuer({ configPath }, issuer, env) {
  const text = readFileSync(configPath, "utf8");
  // A TOML file has `SESSION_ISSUER = "…"`, a JSON file `"SESSION_ISSUER": "…"`.
  const lines = [...text.matchAll(/^([ \t]*(?:"SESSION_ISSUER"[ \t]*:|SESSION_ISSUER[ \t]*=)[ \t]*")([^"\\\r\n]*)"/gm)];
  const [line] = lines;
  // With several environments, the line does not tell to which one it belongs.
  if (!line || lines.length > 1 || env !== undefined) {
    throw new Problem(`The Worker is deployed. Set SESSION_ISSUER to ${issuer} in ${configPath}, then run \`npx pioneer-session deploy\` again.`);
  }
  const [, before = "", value = ""] = line;
  const start = line.index + before.length;
  replace(configPath, text.slice(0, start) + issuer + text.slice(start + value.length));
}

/**
 * Replaces a file in one step: a full disk must not cut the configuration off.
 *
 * @param {string} path
 * @param {string} text
 */
function replace(path, text) {
  const temporary = `${path}.new`;
  try {
    writeFileSync(temporary, text, { flush: true });
    chmodSync(temporary, statSync(path).mode);
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}
