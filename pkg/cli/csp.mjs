// Content-Security-Policy (CSP Level 3), as far as it decides framing, scripts and requests.

/** @typedef {Map<string, string[]>} Policy the sources of each directive, by its name */

/**
 * The policies of a header, each as a map of its directives. Of duplicate directives, the first
 * counts.
 *
 * @param {string | null | undefined} header
 */
export function policiesOf(header) {
  return (header ?? "").split(",").map((policy) => {
    /** @type {Policy} */
    const directives = new Map();
    for (const text of policy.split(";")) {
      const [name = "", ...sources] = text.trim().split(/\s+/);
      const key = name.toLowerCase();
      if (key !== "" && !directives.has(key)) directives.set(key, sources);
    }
    return directives;
  });
}

/**
 * The policies in the page's own meta elements.
 *
 * @param {string} text
 */
export function written(text) {
  const elements = text.match(/<meta\s[^>]*>/gi) ?? [];
  const policies = elements.filter((element) => /\shttp-equiv\s*=\s*["']?content-security-policy["'\s/>]/i.test(element));
  return policies.flatMap((element) => policiesOf(/\scontent\s*=\s*(?:"([^"]*)"|'([^']*)')/i.exec(element)?.slice(1).find((value) => value !== undefined)));
}

/**
 * The sources of the first of these directives that the policy has.
 *
 * @param {Policy} policy
 * @param {string[]} names
 */
export const directive = (policy, ...names) => policy.get(names.find((name) => policy.has(name)) ?? "");

/**
 * Whether a list of sources has one for this URL (CSP Level 3 §6.7.2). Without a list, everything
 * is allowed.
 *
 * @param {string[] | undefined} sources
 * @param {URL} target
 * @param {URL} page
 */
export function allows(sources, target, page, isScript = false) {
  if (sources === undefined) return true;
  // The page may set its nonce on the SDK's script, which cannot be seen from here.
  if (isScript && sources.some((source) => /^'nonce-/i.test(source))) return true;
  if (isScript && sources.some((source) => /^'strict-dynamic'$/i.test(source))) return false;
  return sources.some((source) => matches(source, target, page));
}

/**
 * @param {string} source
 * @param {URL} target
 * @param {URL} page
 */
function matches(source, target, page) {
  if (source === "*") return true;
  if (/^'self'$/i.test(source)) return target.origin === page.origin;
  const upgrades = (/** @type {string} */ scheme) => scheme === target.protocol || (scheme === "http:" && target.protocol === "https:");
  if (/^[a-z][a-z0-9+.-]*:$/i.test(source)) return upgrades(source.toLowerCase());
  const parts = /^(?:([a-z][a-z0-9+.-]*:)\/\/)?(\*|(?:\*\.)?[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d+|\*))?(\/.*)?$/i.exec(source);
  if (!parts) return false;
  const [, scheme, host = "", port, path] = parts.map((part) => part?.toLowerCase());
  const isHost = host === "*" || (host.startsWith("*.") ? target.hostname.endsWith(host.slice(1)) : target.hostname === host);
  const defaultPort = { "https:": "443", "http:": "80" }[target.protocol];
  const isPort = port === "*" || (port ?? defaultPort) === (target.port || defaultPort);
  const isPath = !path || path === "/" || (path.endsWith("/") ? target.pathname.startsWith(path) : target.pathname === path);
  return upgrades(scheme ?? page.protocol) && isHost && isPort && isPath;
}
