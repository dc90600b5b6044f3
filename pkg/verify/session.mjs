// The session that a verified payload describes.

/** @import { Session, SessionClaims } from "pioneer-session" */

/**
 * The claims in a verified payload, without the members `__proto__` and `constructor`, through
 * which careless code that copies or merges would change a prototype. An escape may spell one of
 * these names.
 *
 * @param {string} payload
 * @returns {SessionClaims}
 */
export function claimsIn(payload) {
  if (!payload.includes("__proto__") && !payload.includes("constructor") && !payload.includes("\\")) return JSON.parse(payload);
  return JSON.parse(payload, (name, value) => (name === "__proto__" || name === "constructor" ? undefined : value));
}

/**
 * The session with these claims. The wasm has checked that the required claims are there; the
 * optional ones are read only as own members.
 *
 * @param {SessionClaims} claims
 * @returns {Session}
 */
export function sessionWith(claims) {
  const scopes = claims.scope === "" ? [] : claims.scope.split(" ");
  const appBound = claims.app_bound === true && Object.hasOwn(claims, "app_bound");
  const issuedAt = new Date(claims.iat * 1000);
  const expiresAt = new Date(claims.exp * 1000);
  const authTime = new Date(claims.auth_time * 1000);
  const { sub: uid, sid } = claims;
  if (!Object.hasOwn(claims, "preferred_username")) return { uid, sid, scopes, appBound, issuedAt, expiresAt, authTime, claims };
  return { uid, sid, username: claims.preferred_username, scopes, appBound, issuedAt, expiresAt, authTime, claims };
}
