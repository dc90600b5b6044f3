// Web origins, as browsers write them (RFC 6454 §6.2) and as the Worker compares them.

/** @import { Report } from "./report.mjs" */

import { trim } from "./text.mjs";

const MAX_PORT = 65_535;

/**
 * The fault of an origin, in words that continue the setting's name; undefined if it has none.
 *
 * @param {string} text
 * @param {boolean} production
 */
export function originFault(text, production, { mayHaveDefaultPort = false } = {}) {
  if (/^https?:\/\/[^/]+\/$/.test(text)) return "ends with a slash. Remove it: an origin has none, such as https://app.example.com";
  if (!mayHaveDefaultPort && /^https:.*:443$|^http:.*:80$/.test(text)) return "has the default port. Remove the port, as browsers do.";
  const [, port = "0"] = /^https?:\/\/(?:[a-z0-9.-]*[a-z0-9-]|\[[a-z0-9.:-]+\])(?::(0|[1-9][0-9]{0,4}))?$/.exec(text) ?? [, "none"];
  if (!(Number(port) <= MAX_PORT)) return "must be an https origin in lower case, without a path, such as https://app.example.com";
  if (production && text.startsWith("http:")) return "must be https. Plain http is only for ENVIRONMENT=development.";
  return undefined;
}

/**
 * Checks ALLOWED_ORIGINS.
 *
 * @param {Report} report
 * @param {string} list
 * @param {boolean} hasCookie
 * @param {boolean} production
 */
export function checkOrigins(report, list, hasCookie, production) {
  const origins = list.split(",").map(trim).filter(Boolean);
  let isSound = true;
  origins.forEach((origin, index) => {
    const which = `ALLOWED_ORIGINS, entry ${index + 1},`;
    const opens = origin.includes("*") || origin === "null";
    const fault = opens ? undefined : originFault(origin, production);
    isSound &&= !opens && !fault;
    if (opens) {
      report.error(`${which} would open the Worker to anyone's pages. List each origin, such as https://app.example.com`);
    } else if (fault) {
      report.error(`${which} ${fault}`);
    }
  });
  if (origins.length > 0) {
    if (isSound && production) checkSiblings(report, origins);
    return;
  }
  if (hasCookie) {
    report.error("SESSION_COOKIE is on, but ALLOWED_ORIGINS is empty, so only the Worker's own pages could use the cookie. List the origins of your frontend.");
  } else {
    report.warning("ALLOWED_ORIGINS is empty, so only the Worker's own pages can sign in. List the origins of your frontend.");
  }
}

/**
 * Pi opens an app at the host that it has verified, which may be the www host, and at its pinet.com
 * host. Each is an origin of its own.
 *
 * @param {Report} report
 * @param {string[]} origins
 */
function checkSiblings(report, origins) {
  const hosts = origins.map((origin) => origin.replace(/^https?:\/\//, "").replace(/:[0-9]+$/, ""));
  hosts.forEach((host, index) => {
    const isWww = host.startsWith("www.");
    // A third label may be a subdomain, which hardly has a www host, or belong to a suffix such as
    // co.uk.
    if (!isWww && host.split(".").length !== 2) return;
    if (hosts.includes(isWww ? host.slice(4) : `www.${host}`)) return;
    report.warning(`ALLOWED_ORIGINS, entry ${index + 1}, is listed ${isWww ? "with www only" : "without its www host"}, so the Worker refuses pages of the other host. List both if both can be opened.`);
  });
  if (!hosts.some((host) => host.endsWith(".pinet.com"))) {
    report.warning("ALLOWED_ORIGINS has no pinet.com origin, so the Worker refuses the app's pages when Pi opens them in PiNet. Add the app's own, such as https://app1234.pinet.com; Pi assigns it when the app is registered.");
  }
}
