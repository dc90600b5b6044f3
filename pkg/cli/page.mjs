// `doctor --page`: checks whether Pi can show a page of the app in a frame, and whether the page
// may load Pi's SDK and call the Worker.

/** @import { Policy } from "./csp.mjs" */
/** @import { Report } from "./report.mjs" */

import { isSecure } from "../verify/secure.mjs";
import { isFromAccess } from "./access.mjs";
import { allows, directive, policiesOf, written } from "./csp.mjs";
import { ask, printable, said } from "./deployment.mjs";
import { Problem } from "./problem.mjs";
import { request } from "./request.mjs";

const TIMEOUT_MS = 10_000; // the page's server may have to wake up
const MAX_REDIRECTS = 5;
const MAX_READ_BYTES = 256 * 1024; // a policy in the page is in its head
const SDK = new URL("https://sdk.minepi.com/pi-sdk.js");

/**
 * Where Pi shows a page of an app in a frame: in Pi Browser, in the sandbox, and in PiNet. Pi does
 * not document the list; these are the hosts that have been seen. Each source has a host that the
 * page's policy must allow for it.
 */
const FRAMES = {
  "https://*.minepi.com": "https://any.minepi.com",
  "https://app-cdn.minepi.com": "https://app-cdn.minepi.com",
  "https://sandbox.minepi.com": "https://sandbox.minepi.com",
  "https://*.pinet.com": "https://any.pinet.com",
};

/**
 * `issuer` is the Worker's origin, if it is known.
 *
 * @param {Report} report
 * @param {URL} url
 * @param {string | undefined} issuer
 */
export async function checkPage(report, url, issuer) {
  if (!isSecure(url)) return report.error("--page must be https: Pi Browser opens no other page. Plain http is only for this machine.");
  const { page, response, text } = await open(url);
  if (page.origin !== url.origin) {
    report.warning(`The page redirects to ${printable(page.origin)}. Register that address in Pi's developer portal: Pi opens the app and looks for its validation key at the registered address, and follows no redirect to another host.`);
  }
  if (response.status !== 200) throw new Problem(`The page answered ${response.status}. Name a page of the app that anyone can open.`);
  const policies = policiesOf(response.headers.get("content-security-policy"));
  checkFrames(report, page, policies, response.headers.get("x-frame-options"));
  // A policy in the page can restrict everything except framing.
  const all = [...policies, ...written(text)];
  if (!all.every((policy) => allows(directive(policy, "script-src-elem", "script-src", "default-src"), SDK, page, true))) {
    report.error("The page's Content-Security-Policy does not let it load Pi's SDK. Add https://sdk.minepi.com to script-src.");
  }
  if (issuer === undefined) return report.note("doctor did not check whether the page may call the Worker. Name the Worker as well: npx pioneer-session doctor https://… --page https://…");
  const target = new URL("/session", issuer);
  if (!all.every((policy) => allows(directive(policy, "connect-src", "default-src"), target, page))) {
    report.error(`The page's Content-Security-Policy does not let it call the Worker. Add the Worker's origin, its SESSION_ISSUER, to connect-src.`);
  }
  await checkOrigin(report, page, target);
}

/**
 * Follows redirects one by one, because each may lead to another origin.
 *
 * @param {URL} url
 */
async function open(url) {
  let page = url;
  for (let redirects = 0; ; redirects++) {
    const { response, text } = await fetchPage(page);
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null) return { page, response, text };
    if (redirects === MAX_REDIRECTS) throw new Problem(`The page redirects more than ${MAX_REDIRECTS} times. Name the last page.`);
    if (!URL.canParse(location, page)) throw new Problem("The page redirects to an invalid URL. Check the server's redirects.");
    page = new URL(location, page);
    if (!isSecure(page)) throw new Problem("The page redirects to plain http, which Pi Browser does not open. Redirect to https.");
  }
}

/** @param {URL} url */
function fetchPage(url) {
  const explain = (/** @type {string} */ reason) => `The page cannot be reached: ${reason}. Check the URL.`;
  return request(url, { headers: { accept: "text/html" } }, { timeoutMs: TIMEOUT_MS, maxBytes: MAX_READ_BYTES, explain });
}

/**
 * @param {Report} report
 * @param {URL} page
 * @param {Policy[]} policies
 * @param {string | null} frameOptions
 */
function checkFrames(report, page, policies, frameOptions) {
  const lists = policies.map((policy) => policy.get("frame-ancestors")).filter(Boolean);
  if (frameOptions !== null && lists.length === 0) {
    report.error(`The page has the header X-Frame-Options, so Pi Browser cannot show it. Replace it with Content-Security-Policy: frame-ancestors 'self' ${Object.keys(FRAMES).join(" ")}`);
  } else if (frameOptions !== null) {
    report.warning("The page has the headers X-Frame-Options and Content-Security-Policy with frame-ancestors. Remove X-Frame-Options: old browsers obey it.");
  }
  const missing = Object.entries(FRAMES).filter(([, example]) => !lists.every((list) => allows(list, new URL(example), page)));
  if (missing.length > 0) {
    report.error(`The page's frame-ancestors do not allow Pi to show it. Add: ${missing.map(([source]) => source).join(" ")}`);
  }
}

/**
 * Sends the preflight request that a browser sends before the page's first sign-in.
 *
 * @param {Report} report
 * @param {URL} page
 * @param {URL} target
 */
async function checkOrigin(report, page, target) {
  if (page.origin === target.origin) return;
  const { status, headers, text } = await ask(target.href, {
    asBrowser: true,
    method: "OPTIONS",
    headers: { origin: page.origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
  });
  if (isFromAccess({ status, headers })) throw new Problem("Cloudflare Access stands in front of the Worker, so no page of another origin can call it. Use Access only for a deployment with SERVES set to admin.");
  const isAllowed = status >= 200 && status < 300 && headers.get("access-control-allow-origin") === page.origin;
  if (isAllowed) return;
  if (status !== 403 && (status < 200 || status >= 300)) throw new Problem(said("OPTIONS /session", status, text));
  report.error(`The Worker refuses this page. Add its origin to ALLOWED_ORIGINS, and deploy the Worker: ${printable(page.origin)}`);
}
