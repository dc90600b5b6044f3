// Cloudflare Access in front of a Worker, as for a deployment with SERVES=admin. It answers instead
// of the Worker, unless a request carries a service token:
// https://developers.cloudflare.com/cloudflare-one/access-controls/service-credentials/service-tokens/

/** @import { Limits } from "./request.mjs" */

import { Problem } from "./problem.mjs";
import { request } from "./request.mjs";

const ID = "CF_ACCESS_CLIENT_ID";
const SECRET = "CF_ACCESS_CLIENT_SECRET";
/** Both halves of a token of either format, and no character that could end a header. */
const VALUE = /^[\w.-]{8,256}$/;

/** What Access does to users. */
export const SHUTS_USERS_OUT = "Cloudflare Access also answers the users of this Worker, so their pages cannot sign them in. Use Access only for a deployment with SERVES set to admin.";

/** How the commands get past Cloudflare Access. */
export const REMEDY = `Set ${ID} and ${SECRET} to those of a service token that a policy with the action Service Auth admits.`;

/** Cloudflare Access answered instead of the Worker. */
export class BehindAccess extends Problem {
  /** Whether it refused a service token. */
  hadToken;

  /**
   * @param {string} origin
   * @param {boolean} hadToken
   */
  constructor(origin, hadToken) {
    const refused = `refused the service token. Check ${ID} and ${SECRET}, whether the token has expired, and that a policy with the action Service Auth admits it.`;
    super(`Cloudflare Access stands in front of ${origin}, and ${hadToken ? refused : `answered instead of the Worker. ${REMEDY}`}`);
    this.hadToken = hadToken;
  }
}

/**
 * The headers with the service token in the environment; none if there is no token.
 *
 * @returns {Record<string, string>}
 */
export function serviceToken() {
  const [id = "", secret = ""] = [ID, SECRET].map((name) => process.env[name]?.trim());
  if (id === "" && secret === "") return {};
  if (id === "" || secret === "") throw new Problem(`${id === "" ? ID : SECRET} is missing. Set both ${ID} and ${SECRET}, or neither.`);
  // The value is not in the error: it may be the secret in the wrong variable.
  const wrong = VALUE.test(id) ? SECRET : ID;
  if (!VALUE.test(id) || !VALUE.test(secret)) throw new Problem(`${wrong} has characters that no service token has. Set it to the value only, without the name of the header.`);
  return { "CF-Access-Client-Id": id, "CF-Access-Client-Secret": secret };
}

/**
 * Whether Cloudflare Access gave this answer: it asks for a login at the team's address.
 *
 * @param {{ status: number, headers: Headers }} answer
 */
export function isFromAccess({ status, headers }) {
  if (/^cloudflare-access\b/i.test(headers.get("www-authenticate") ?? "")) return true;
  const location = headers.get("location") ?? "";
  return status >= 300 && status < 400 && URL.canParse(location) && new URL(location).hostname.endsWith(".cloudflareaccess.com");
}

/**
 * Whether a service token was refused without a login page, which Access does where tokens are
 * strict. The Worker's own refusals are problem documents.
 *
 * @param {{ status: number, headers: Headers }} answer
 */
const isRefused = ({ status, headers }) => (status === 401 || status === 403) && !headers.get("content-type")?.startsWith("application/problem+json");

/**
 * Sends one request to a Worker. If Access answers, sends it again with the service token, so no
 * other address receives the token, and a Worker that is open is seen as the world sees it. It
 * follows no redirect.
 *
 * @param {string | URL} url
 * @param {RequestInit & { headers?: Record<string, string> }} init
 * @param {Limits} limits
 */
export async function requestWorker(url, init, limits) {
  const token = serviceToken();
  const answer = await request(url, init, limits);
  if (!isFromAccess(answer.response)) return { ...answer, isClosed: false };
  const { origin } = new URL(url);
  if (Object.keys(token).length === 0) throw new BehindAccess(origin, false);
  const admitted = await request(url, { ...init, headers: { ...init.headers, ...token } }, limits);
  if (isFromAccess(admitted.response) || isRefused(admitted.response)) throw new BehindAccess(origin, true);
  return { ...admitted, isClosed: true };
}
