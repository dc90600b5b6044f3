// A page of the app, as Pi Browser opens it: whether its headers let Pi show it in a frame, Pi's SDK load and the Worker be
// reached, and whether the Worker lets it call.

import { ask, isPrivateEnough, printable, said } from "./deployment.mjs";
import { Problem } from "./problem.mjs";

const TIMEOUT_MS = 10_000; // a page may come from a server that has to wake up
const MAX_REDIRECTS = 5;
const MAX_READ_BYTES = 256 * 1024; // a policy in the page stands in its head
const SDK = new URL("https://sdk.minepi.com/pi-sdk.js");

/** Where Pi shows a page of an app in a frame: in Pi Browser, in the sandbox, and in PiNet. Pi does not document the list;
 * these are the hosts that have been seen. Each source with a host that only it stands for. */
const FRAMES = {
  "https://*.minepi.com": "https://any.minepi.com",
  "https://app-cdn.minepi.com": "https://app-cdn.minepi.com",
  "https://sandbox.minepi.com": "https://sandbox.minepi.com",
  "https://*.pinet.com": "https://any.pinet.com",
};

/** `issuer` is the Worker's origin, if it is known. */
export async function checkPage(report, url, issuer) {
  if (!isPrivateEnough(url)) return report.error("--page must be https: Pi Browser opens no other page. (http is for this machine alone.)");
  const { page, response, text } = await open(url);
  if (page.origin !== url.origin) {
    report.warning(`The page redirects to ${printable(page.origin)}. Register that address in Pi's developer portal: Pi looks for its validation key, and opens the app, at the address that is registered, and does not follow a redirect to another host for the key.`);
  }
  if (response.status !== 200) throw new Problem(`The page answered ${response.status}. Name a page of the app that everybody can open.`);
  const policies = policiesOf(response.headers.get("content-security-policy"));
  checkFrames(report, page, policies, response.headers.get("x-frame-options"));
  // A policy in the page cannot say who may frame it, but everything else.
  const all = [...policies, ...written(text)];
  if (!all.every((policy) => allows(directive(policy, "script-src-elem", "script-src", "default-src"), SDK, page, true))) {
    report.error("The page's Content-Security-Policy does not let it load Pi's SDK. Add https://sdk.minepi.com to script-src.");
  }
  if (issuer === undefined) return report.note("Whether the page may call the Worker was not checked. Name the Worker as well: npx pioneer-session doctor https://… --page https://…");
  const target = new URL("/session", issuer);
  if (!all.every((policy) => allows(directive(policy, "connect-src", "default-src"), target, page))) {
    report.error(`The page's Content-Security-Policy does not let it call the Worker. Add the Worker's origin, which is its SESSION_ISSUER, to connect-src.`);
  }
  await checkOrigin(report, page, target);
}

/** Follows redirects one by one, for each may lead to another origin. */
async function open(url) {
  let page = url;
  for (let redirects = 0; ; redirects++) {
    const { response, text } = await fetchPage(page);
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null) return { page, response, text };
    if (redirects === MAX_REDIRECTS) throw new Problem(`The page redirects more than ${MAX_REDIRECTS} times. Name the page itself.`);
    if (!URL.canParse(location, page)) throw new Problem("The page redirects to what is not a URL. Check the server's redirects.");
    page = new URL(location, page);
    if (!isPrivateEnough(page)) throw new Problem("The page redirects to plain http, which Pi Browser does not open. Redirect to https.");
  }
}

async function fetchPage(url) {
  try {
    const response = await fetch(url, { redirect: "manual", headers: { accept: "text/html" }, signal: AbortSignal.timeout(TIMEOUT_MS) });
    const decoder = new TextDecoder();
    let [text, length] = ["", 0];
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      length += chunk.length;
      if (length > MAX_READ_BYTES) break;
    }
    return { response, text };
  } catch (error) {
    const reason = error.name === "TimeoutError" ? `no whole answer within ${TIMEOUT_MS / 1000} seconds` : (error.cause?.code ?? "the connection failed");
    throw new Problem(`The page cannot be reached: ${reason}. Check the URL.`);
  }
}

function checkFrames(report, page, policies, frameOptions) {
  const lists = policies.map((policy) => policy.get("frame-ancestors")).filter(Boolean);
  if (frameOptions !== null && lists.length === 0) {
    report.error(`The page has the header X-Frame-Options, so Pi Browser cannot show it. Remove it, and say instead who may: Content-Security-Policy: frame-ancestors 'self' ${Object.keys(FRAMES).join(" ")}`);
  } else if (frameOptions !== null) {
    report.warning("The page has the header X-Frame-Options beside frame-ancestors. Browsers ignore it there, but old ones obey it: remove it.");
  }
  const missing = Object.keys(FRAMES).filter((source) => !lists.every((list) => allows(list, new URL(FRAMES[source]), page)));
  if (missing.length > 0) {
    report.error(`The page's frame-ancestors keep Pi from showing it. Add: ${missing.join(" ")}`);
  }
}

/** What a browser asks before the page's first sign-in. */
async function checkOrigin(report, page, target) {
  if (page.origin === target.origin) return;
  const { status, headers, text } = await ask(target.href, {
    method: "OPTIONS",
    headers: { origin: page.origin, "access-control-request-method": "POST", "access-control-request-headers": "content-type" },
  });
  const isAllowed = status >= 200 && status < 300 && headers.get("access-control-allow-origin") === page.origin;
  if (isAllowed) return;
  if (status !== 403 && (status < 200 || status >= 300)) throw new Problem(said("OPTIONS /session", status, text));
  report.error(`The Worker refuses this page. Add its origin to ALLOWED_ORIGINS, and deploy the Worker: ${printable(page.origin)}`);
}

/** The policies of a header, each as a map of its directives; the first of a name counts. */
function policiesOf(header) {
  return (header ?? "").split(",").map((policy) => {
    const directives = new Map();
    for (const text of policy.split(";")) {
      const [name, ...sources] = text.trim().split(/\s+/);
      const key = name.toLowerCase();
      if (key !== "" && !directives.has(key)) directives.set(key, sources);
    }
    return directives;
  });
}

/** The policies in the page's own meta elements. */
function written(text) {
  const elements = text.match(/<meta\s[^>]*>/gi) ?? [];
  const policies = elements.filter((element) => /\shttp-equiv\s*=\s*["']?content-security-policy["'\s/>]/i.test(element));
  return policies.flatMap((element) => policiesOf(/\scontent\s*=\s*(?:"([^"]*)"|'([^']*)')/i.exec(element)?.slice(1).find((value) => value !== undefined)));
}

const directive = (policy, ...names) => policy.get(names.find((name) => policy.has(name)));

/** Whether a list of sources has one for this URL (CSP Level 3 §6.7.2). Without a list, everything is allowed. */
function allows(sources, target, page, isScript = false) {
  if (sources === undefined) return true;
  // The page can give the script of the SDK its nonce, which is not to be seen from here.
  if (isScript && sources.some((source) => /^'nonce-/i.test(source))) return true;
  if (isScript && sources.some((source) => /^'strict-dynamic'$/i.test(source))) return false;
  return sources.some((source) => matches(source, target, page));
}

function matches(source, target, page) {
  if (source === "*") return true;
  if (/^'self'$/i.test(source)) return target.origin === page.origin;
  const upgrades = (scheme) => scheme === target.protocol || (scheme === "http:" && target.protocol === "https:");
  if (/^[a-z][a-z0-9+.-]*:$/i.test(source)) return upgrades(source.toLowerCase());
  const parts = /^(?:([a-z][a-z0-9+.-]*:)\/\/)?(\*|(?:\*\.)?[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(\d+|\*))?(\/.*)?$/i.exec(source);
  if (!parts) return false;
  const [, scheme, host, port, path] = parts.map((part) => part?.toLowerCase());
  const isHost = host === "*" || (host.startsWith("*.") ? target.hostname.endsWith(host.slice(1)) : target.hostname === host);
  const defaultPort = { "https:": "443", "http:": "80" }[target.protocol];
  const isPort = port === "*" || (port ?? defaultPort) === (target.port || defaultPort);
  const isPath = !path || path === "/" || (path.endsWith("/") ? target.pathname.startsWith(path) : target.pathname === path);
  return upgrades(scheme ?? page.protocol) && isHost && isPort && isPath;
}
