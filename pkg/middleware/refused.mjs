// Tells the developer about refused requests: calls the option `onRefused`, or warns on the console
// once for each code.

/** @import { SessionError } from "pioneer-session" */
/** @import { AnyVerifier } from "./check.mjs" */

/**
 * The codes that no client can do anything about: an option, the machine or the application must
 * change. The others come from signed-out users and forgers, and warning about them would be noise.
 *
 * @type {ReadonlySet<string>}
 */
const FOR_DEVELOPERS = new Set([
  "token_malformed", // the frontend sends another token: Pi's access token, or the refresh token
  "unknown_key",
  "wrong_issuer",
  "wrong_audience",
  "not_yet_valid",
  "invalid_claims",
  "keys_unavailable",
  "revocations_unavailable",
]);

/**
 * The codes about which was warned, for each verifier. Each is warned about once, so that nobody
 * can fill the log with forged tokens.
 *
 * @type {WeakMap<object, Set<string>>}
 */
const warned = new WeakMap();

/**
 * Whether this is the first time.
 *
 * @param {AnyVerifier} verifier
 * @param {string} code
 */
function isNews(verifier, code) {
  const key = verifier.about ?? verifier;
  const codes = warned.get(key) ?? new Set();
  if (codes.has(code)) return false;
  warned.set(key, codes.add(code));
  return true;
}

/**
 * @param {SessionError} error
 * @param {AnyVerifier} verifier
 */
function warnOnce(error, verifier) {
  const { code, message, hint, help } = error;
  if (!FOR_DEVELOPERS.has(code) || !isNews(verifier, code)) return;
  const { about } = verifier;
  const options = about ? ` The options are issuer ${JSON.stringify(about.issuer)} and audience ${JSON.stringify(about.audience)}.` : "";
  globalThis.console?.warn(`pioneer-session: a request was refused. ${message}. ${hint}${options} See ${help} (logged once for each code; the option onRefused gets every refusal)`);
}

/**
 * @param {unknown} error
 * @param {AnyVerifier} verifier
 */
function warnOfListener(error, verifier) {
  if (!isNews(verifier, "onRefused")) return;
  // Only the stack of an error: any other value may be the request, with its token.
  const cause = error instanceof Error ? `\n${error.stack}` : "";
  globalThis.console?.warn(`pioneer-session: the function onRefused has failed, and the request was refused anyway. Catch errors inside the function.${cause}`);
}

/**
 * Reports a refused request. It never throws and is not waited for, because it must not change the
 * answer.
 *
 * @template Request
 * @param {SessionError} error
 * @param {Request} request
 * @param {AnyVerifier} verifier
 * @param {((error: SessionError, request: Request) => unknown) | undefined} onRefused
 */
export async function report(error, request, verifier, onRefused) {
  try {
    if (onRefused) await onRefused(error, request);
    else warnOnce(error, verifier);
  } catch (failure) {
    try {
      warnOfListener(failure, verifier);
    } catch {
      // The console has failed, too.
    }
  }
}
